package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The buckets of lookups. Questions of all mappings stand in one queue, that of their service; answers are the mapping's own.
const (
	bucketAsked    = "ask/q"        // service, mapping, lookup, … → Question
	bucketSilent   = "ask/silent"   // service: it does not answer → what its caller keeps of that
	bucketAnswer   = "map/ans"      // lookup, company, day, key → kept answer
	bucketAnswerOf = "map/ansold"   // lookup, number of its journal entry → key of the answer, so that the oldest is found
	bucketAnswers  = "map/ansn"     // lookup → how many answers are kept
	bucketDistrust = "map/ansdoubt" // lookup → journal time before which answers are not believed
)

// Param is a part of what a question is about.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Question is what a service is to be asked. It says all that is needed to ask it, and to read the answer.
type Question struct {
	Mapping string        `json:"mapping"`
	Lookup  string        `json:"lookup"`
	Service string        `json:"service"` // a service or sink of the configuration
	Name    string        `json:"name"`    // the question as the service knows it
	Company string        `json:"company,omitempty"`
	Key     []Param       `json:"key,omitempty"`
	AsOf    string        `json:"as_of,omitempty"` // a day
	Fields  []AnswerField `json:"fields"`
	At      time.Time     `json:"at"` // journal time at which it was put
	// Again is set when the question has been answered and something waits for another answer: it is asked once in this time, and
	// told only when the answer is not Last any more, or nobody waits.
	Again time.Duration `json:"again,omitempty"`
	Last  string        `json:"last,omitempty"`
	Wakes []string      `json:"wakes,omitempty"` // fingerprints that wait for it
}

// ID names the question: the same service, mapping, lookup and key is one, however many wait for its answer.
func (q *Question) ID() string {
	parts := []string{q.Service, q.Mapping}
	return stateKey(append(parts, q.own()...)...)
}

// own names the question within its mapping.
func (q *Question) own() []string {
	parts := []string{q.Lookup, q.Company, q.AsOf}
	for _, p := range q.Key {
		parts = append(parts, p.Value)
	}
	return parts
}

// The statuses of an answer.
const (
	AnswerFound   = "found"
	AnswerAbsent  = "absent"  // the service answered that there is nothing
	AnswerRefused = "refused" // the service does not take the question, or its answer is not what the mapping expects
	AnswerDropped = "dropped" // nobody can or needs to ask it any more
)

// Answer is what came of a question, the payload of a journal entry.
type Answer struct {
	Question `json:"question"`
	Status   string            `json:"status"`
	Values   map[string]string `json:"values,omitempty"`  // field → canonical text
	Version  string            `json:"version,omitempty"` // of the record, as the service names it
	Asked    time.Time         `json:"asked"`             // by the clock of who asked
	Took     time.Duration     `json:"took,omitempty"`
	Why      string            `json:"why,omitempty"` // of a refusal
}

func loadJSON(st State, bucket, key string, into any) (bool, error) {
	raw, err := st.Get(bucket, key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("reading %s: %w", bucket, err)
	}
	return true, nil
}

func saveJSON(st State, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", bucket, err)
	}
	return st.Put(bucket, key, raw)
}

// maxWakes bounds the problems that one question is about: it is pending, has no answer, or its period is closed.
const maxWakes = 8

// ask puts a question into the queue of its service, or joins the one that is there. fingerprint is what waits for it; empty when
// nothing does and a fresher answer is merely wanted soon.
func (r *run) ask(q *Question, fingerprint string) error {
	id := q.ID()
	var known Question
	found, err := loadJSON(r.st, bucketAsked, id, &known)
	if err != nil {
		return err
	}
	if !found {
		known = *q
		known.At = r.at.Observed
	}
	sooner := known.Again > 0 && q.Again == 0 && fingerprint != ""
	if sooner {
		known.Again, known.Last = 0, ""
	}
	joins := fingerprint != "" && !contains(known.Wakes, fingerprint) && len(known.Wakes) < maxWakes
	if joins {
		known.Wakes = append(known.Wakes, fingerprint)
	}
	if found && !joins && !sooner {
		return nil
	}
	return saveJSON(r.st, bucketAsked, id, &known)
}

// refresh asks again for answers that were used though they will soon be too old, or came from a fallback.
func (r *run) refresh() error {
	due := r.aging
	r.aging = nil
	for _, q := range due {
		if err := r.ask(q, ""); err != nil {
			return err
		}
	}
	return nil
}

// Answered applies an answer: it is kept, and what waits for it is looked at again.
func (p *Mapper) Answered(st State, out Output, at Entry, a *Answer) error {
	r := p.run(st, out, at)
	id := a.ID()
	var q Question
	known, err := loadJSON(st, bucketAsked, id, &q)
	if err != nil {
		return err
	}
	if known {
		if err := st.Delete(bucketAsked, id); err != nil {
			return err
		}
	}
	if l := r.m.lookups[a.Lookup]; l != nil && l.service == a.Service && l.question == a.Name && a.Status != AnswerDropped {
		if err := r.keep(l, a); err != nil {
			return err
		}
	}
	for _, fp := range q.Wakes {
		if err := r.wake(fp); err != nil {
			return err
		}
	}
	return nil
}

// Questions calls fn for each question that a service is to be asked, in the order of their ids from one on (inclusive; empty is the
// first), until fn returns false. It is what those who ask read.
func Questions(st State, service, from string, fn func(id string, q *Question) (bool, error)) error {
	prefix := ""
	if service != "" {
		prefix = stateKey(service) + separator
	}
	return st.Scan(bucketAsked, prefix, from, func(k string, raw []byte) (bool, error) {
		var q Question
		if err := json.Unmarshal(raw, &q); err != nil {
			return false, fmt.Errorf("reading the question %q: %w", k, err)
		}
		return fn(k, &q)
	})
}

// Awaited reports whether anything waits for the answer of a question. st is the State in which its mapping is alone.
func (q *Question) Awaited(st State) (is bool, err error) {
	for _, fp := range q.Wakes {
		err = st.Scan(bucketWaits, stateKey(fp)+separator, "", func(string, []byte) (bool, error) {
			is = true
			return false, nil
		})
		if is || err != nil {
			return is, err
		}
	}
	return false, nil
}

// Silence notes that a service does not answer; what is what the caller keeps of it. Fallbacks hold from now on.
func Silence(st State, service string, what []byte) error { return st.Put(bucketSilent, service, what) }

// Silent returns what was kept of a service that does not answer; nil of one that does.
func Silent(st State, service string) ([]byte, error) { return st.Get(bucketSilent, service) }

// Heard notes that a service answers.
func Heard(st State, service string) error { return st.Delete(bucketSilent, service) }

// FallBack looks again at what waits for one question of a service that has become silent, where its rule has a fallback.
func (p *Mapper) FallBack(st State, out Output, at Entry, q *Question) error {
	l := p.m.lookups[q.Lookup]
	if l == nil || l.fallback == fallbackHold {
		return nil
	}
	r := p.run(st, out, at)
	for _, fp := range q.Wakes {
		if err := r.wake(fp); err != nil {
			return err
		}
	}
	return nil
}

// The methods for several mappings: see those of Mapper.

// Answered applies an answer for the mapping that put the question.
func (c *Carriers) Answered(st State, out Output, at Entry, a *Answer) error {
	if o := c.named(a.Mapping); o != nil {
		return o.p.Answered(o.state(st), c.output(o, out), c.entry(o, at), a)
	}
	return st.Delete(bucketAsked, a.ID()) // of a mapping that is not there any more
}

// FallBack looks again at what waits for a question of a silent service.
func (c *Carriers) FallBack(st State, out Output, at Entry, q *Question) error {
	if o := c.named(q.Mapping); o != nil {
		return o.p.FallBack(o.state(st), c.output(o, out), c.entry(o, at), q)
	}
	return nil
}

// Awaited reports whether anything waits for the answer of a question.
func (c *Carriers) Awaited(st State, q *Question) (bool, error) {
	if o := c.named(q.Mapping); o != nil {
		return q.Awaited(o.state(st))
	}
	return false, nil
}

// Doubt tells every mapping that posts so that a target says a period is closed.
func (c *Carriers) Doubt(st State, at Entry, post *Post) error {
	for _, o := range c.all {
		if err := o.p.Doubt(o.state(st), at, post); err != nil {
			return err
		}
	}
	return nil
}

func (c *Carriers) named(mapping string) *carrier {
	if i := slices.IndexFunc(c.all, func(o *carrier) bool { return o.m.name == mapping }); i >= 0 {
		return c.all[i]
	}
	return nil
}
