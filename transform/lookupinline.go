package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// testAnswer is what an imagined service says in an inline test: { ask: contract, customer: C1, answer: { rate: "2.10" } }, or answer:
// absent. A key that is not named fits all. { silent: pricing } says that a service does not answer any more, until it does.
type testAnswer struct {
	lookup *lookupRule
	key    map[string]string
	asOf   string
	values map[string]string
	status string
	silent string // a service, instead of all the rest
}

// testAnswers reads the step { lookup: rows }.
func (c *compiler) testAnswers(n *yaml.Node) (all []testAnswer) {
	rows := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		rows = n.Content
	}
	for _, row := range rows {
		got := map[string]field{}
		for _, f := range c.fields(row, "an answer") {
			got[f.key] = f
		}
		if s, ok := got["silent"]; ok {
			all = append(all, testAnswer{silent: c.text(s.value, "a service")})
			continue
		}
		if c.need(row, got, "an answer", "ask", "answer") {
			if a, ok := c.testAnswer(got); ok {
				all = append(all, a)
			}
		}
	}
	return all
}

func (c *compiler) testAnswer(got map[string]field) (a testAnswer, ok bool) {
	name := c.text(got["ask"].value, "a lookup")
	l := c.m.lookups[name]
	if l == nil {
		c.fault(got["ask"].value, fmt.Sprintf("the lookup %q", name), "one declared under lookups", "")
		return a, false
	}
	a = testAnswer{lookup: l, key: map[string]string{}, values: map[string]string{}, status: AnswerFound}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		f := got[k]
		switch {
		case k == "ask" || k == "answer":
		case k == "as_of" && l.dated:
			a.asOf = c.text(f.value, "a day")
		case slices.Contains(l.key, k):
			a.key[k] = c.text(f.value, k)
		default:
			c.fault(f.at, fmt.Sprintf("%q in an answer of %s", k, l.name), "ask, answer and its key: "+strings.Join(l.key, ", "), suggest(k, l.key))
		}
	}
	f := got["answer"]
	if f.value.Kind == yaml.ScalarNode {
		a.status = c.choice(f.value, "an answer, or that there is none", AnswerAbsent)
		return a, true
	}
	for _, v := range c.fields(f.value, "the answer") {
		declared := l.field(v.key)
		if declared == nil {
			c.fault(v.at, fmt.Sprintf("%q in the answer of %s", v.key, l.name), "one of "+strings.Join(l.names(""), ", "), suggest(v.key, l.names("")))
			continue
		}
		text := c.text(v.value, v.key)
		if err := declared.valid(text); err != nil {
			c.fault(v.value, err.Error(), declared.Type, "")
		}
		a.values[v.key] = text
	}
	for _, d := range l.fields {
		if _, has := a.values[d.Name]; !has && !d.Optional {
			c.fault(f.at, fmt.Sprintf("an answer of %s without %s", l.name, d.Name), "every field that is not optional", "")
		}
	}
	return a, true
}

// says reports whether the answer is to the question.
func (a *testAnswer) says(q *Question) bool {
	if a.lookup == nil || a.lookup.name != q.Lookup || a.asOf != "" && a.asOf != q.AsOf {
		return false
	}
	for _, p := range q.Key {
		if want, named := a.key[p.Name]; named && want != p.Value {
			return false
		}
	}
	return true
}

// hear takes what the imagined services say from now on.
func (b *bench) hear(answers []testAnswer) error {
	for _, a := range answers {
		if a.silent == "" {
			b.answers = append(b.answers, a)
			continue
		}
		b.answers = slices.DeleteFunc(b.answers, func(o testAnswer) bool { return o.lookup.service == a.silent })
		if err := Silence(b.st, a.silent, []byte("silent")); err != nil {
			return err
		}
		var waiting []*Question
		if err := Questions(b.st, a.silent, "", func(_ string, q *Question) (bool, error) {
			waiting = append(waiting, q)
			return true, nil
		}); err != nil {
			return err
		}
		for _, q := range waiting {
			if err := b.p.FallBack(b.st, b.out, b.entry(), q); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer answers every question that the imagined services know, as whoever asks them would.
func (b *bench) answer() error {
	for range 1000 {
		var next *Answer
		err := Questions(b.st, "", "", func(_ string, q *Question) (bool, error) {
			for i := len(b.answers) - 1; i >= 0; i-- {
				if !b.answers[i].says(q) {
					continue
				}
				a := &Answer{Question: *q, Status: b.answers[i].status, Values: b.answers[i].values, Asked: b.clock}
				if q.Again == 0 || a.Sum() != q.Last {
					next = a
				}
				break
			}
			return next == nil, nil
		})
		if err != nil || next == nil {
			return err
		}
		b.index++
		if err := Heard(b.st, next.Service); err != nil {
			return err
		}
		if err := b.p.Answered(b.st, b.out, b.entry(), next); err != nil {
			return err
		}
	}
	return errors.New("questions without end")
}
