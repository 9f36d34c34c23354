package transform

import (
	"fmt"
	"time"
)

// maxAnswers bounds the kept answers of one lookup; the oldest go first.
const maxAnswers = 10_000

// Sum is equal for two answers that say the same.
func (a *Answer) Sum() string {
	parts := []string{a.Status, a.Version, a.Why}
	for _, f := range a.Fields {
		v, ok := a.Values[f.Name]
		parts = append(parts, f.Name, fmt.Sprint(ok), v)
	}
	return hash(parts...)
}

// kept is an answer as the state has it.
type kept struct {
	Status  string            `json:"status"`
	Values  map[string]string `json:"values,omitempty"`
	Version string            `json:"version,omitempty"`
	Asked   time.Time         `json:"asked"`
	Why     string            `json:"why,omitempty"`
	Sum     string            `json:"sum"`
	At      time.Time         `json:"at"`    // journal time: the age counts from here
	Index   uint64            `json:"index"` // its journal entry
}

// keep stores an answer in the place of the one before, and drops the oldest beyond the bound and those that nothing may use any more.
func (r *run) keep(l *lookupRule, a *Answer) error {
	at := stateKey(a.own()...)
	var was kept
	replaces, err := loadJSON(r.st, bucketAnswer, at, &was)
	if err != nil {
		return err
	}
	if replaces {
		if err := r.st.Delete(bucketAnswerOf, ageKey(l, was.Index)); err != nil {
			return err
		}
	}
	if err := r.st.Put(bucketAnswerOf, ageKey(l, r.at.Index), []byte(at)); err != nil {
		return err
	}
	if err := saveJSON(r.st, bucketAnswer, at, &kept{Status: a.Status, Values: a.Values, Version: a.Version, Asked: a.Asked, Why: a.Why, Sum: a.Sum(),
		At: r.at.Observed, Index: r.at.Index}); err != nil {
		return err
	}
	n := 0
	if _, err := loadJSON(r.st, bucketAnswers, l.name, &n); err != nil {
		return err
	}
	if !replaces {
		n++
	}
	if n, err = r.forgetAnswers(l, n); err != nil {
		return err
	}
	return saveJSON(r.st, bucketAnswers, l.name, n)
}

func ageKey(l *lookupRule, index uint64) string { return stateKey(l.name, fmt.Sprintf("%016x", index)) }

// forgetAnswers drops a few of the oldest answers, when there are too many or they are too old for any use. It returns how many are left.
func (r *run) forgetAnswers(l *lookupRule, n int) (int, error) {
	const atOnce = 4
	type old struct{ age, at string }
	var oldest []old
	err := r.st.Scan(bucketAnswerOf, l.name+separator, "", func(k string, at []byte) (bool, error) {
		oldest = append(oldest, old{k, string(at)})
		return len(oldest) < atOnce, nil
	})
	if err != nil {
		return n, err
	}
	for _, o := range oldest {
		var k kept
		if _, err := loadJSON(r.st, bucketAnswer, o.at, &k); err != nil {
			return n, err
		}
		if n <= l.most && r.at.Observed.Sub(k.At) <= l.maxAge+l.stale {
			return n, nil
		}
		if err := r.st.Delete(bucketAnswer, o.at); err != nil {
			return n, err
		}
		if err := r.st.Delete(bucketAnswerOf, o.age); err != nil {
			return n, err
		}
		n--
	}
	return n, nil
}

// Doubt says that a target refused a posting because its period is closed, whatever was answered before: no older answer about periods is
// believed any more.
func (p *Mapper) Doubt(st State, at Entry, post *Post) error {
	for _, rule := range p.m.posts {
		if rule.dated == nil || rule.sink != post.Sink || rule.entity != post.Entity {
			continue
		}
		if err := st.Put(bucketDistrust, rule.dated.periods.name, []byte(at.Observed.UTC().Format(time.RFC3339Nano))); err != nil {
			return err
		}
	}
	return nil
}
