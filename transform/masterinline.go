package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// masterStep is a step of an inline test about governed entities: a person's word on the version that waits, or what targets demand.
type masterStep struct {
	judge   *MasterJudgement
	targets map[string]*TargetTable
}

// masterWords are the keys of such a step.
var masterWords = []string{"approve", "reject", "targets"}

// masterStep reads { approve: customer/104377, by: ann }, { reject: … } or { targets: { erp.customer: { name: { most: 40 } } } }. It returns
// nil for another step.
func (c *compiler) masterStep(all []field) *masterStep {
	s := &masterStep{}
	by := field{}
	for _, f := range all {
		switch f.key {
		case "approve", "reject":
			s.judge = &MasterJudgement{Ref: c.text(f.value, "the reference of an entity"), Approve: f.key == "approve"}
			if s.judge.Ref != "" && !strings.Contains(s.judge.Ref, "/") {
				c.fault(f.value, describe(f.value), "the reference of an entity", "customer/104377")
			}
		case "by":
			by = f
		case "targets":
			s.targets = c.testTargets(f)
		}
	}
	switch {
	case s.judge == nil && s.targets == nil:
		return nil
	case s.judge != nil && by.value == nil:
		c.fault(all[0].at, "a judgement without by", "who gives it", "by: ann")
	case s.judge != nil:
		s.judge.By = c.text(by.value, "a name")
	}
	return s
}

func (c *compiler) testTargets(f field) map[string]*TargetTable {
	tables := map[string]*TargetTable{}
	for _, tf := range c.fields(f.value, "targets") {
		if !slices.Contains(c.m.Targets(), tf.key) {
			c.fault(tf.at, fmt.Sprintf("the target %q", tf.key), "a target of a post", suggest(tf.key, c.m.Targets()))
		}
		t := &TargetTable{}
		for _, x := range c.fields(tf.value, "what "+tf.key+" demands") {
			one := TargetField{Name: x.key}
			got := c.record(x.value, "what "+tf.key+" demands of "+x.key, validateKeys, nil)
			for _, k := range slices.Sorted(maps.Keys(got)) {
				c.validation(got[k], &one, &governance{entity: tf.key}, nil)
			}
			t.Fields = append(t.Fields, one)
		}
		tables[tf.key] = t
	}
	return tables
}

// govern does a step as the pipeline does what a person decides, and what a start of the daemon finds.
func (b *bench) govern(s *masterStep) error {
	for _, name := range slices.Sorted(maps.Keys(s.targets)) {
		if err := SetTarget(b.st, name, s.targets[name]); err != nil {
			return err
		}
		if err := b.p.Retry(b.st, b.out, b.entry(), ""); err != nil {
			return err
		}
	}
	if s.judge == nil {
		return b.fire()
	}
	e, err := MasterEntityOf(b.st, s.judge.Ref)
	if err != nil {
		return err
	}
	if e == nil || len(e.Waiting) == 0 {
		return fmt.Errorf("no version of %s waits", s.judge.Ref)
	}
	j := *s.judge
	j.Version, j.At = e.Waiting[len(e.Waiting)-1], b.clock
	for i := range e.Versions {
		if v := &e.Versions[i]; v.Number == j.Version {
			j.Content = v.Content
			if why := j.Refusal(v); why != "" {
				return fmt.Errorf("%s: %s", s.judge.Ref, why)
			}
		}
	}
	if _, err := b.p.JudgeMaster(b.st, b.out, b.entry(), j); err != nil {
		return err
	}
	return b.fire()
}
