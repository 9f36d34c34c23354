package transform

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// chargeFields are what a line of a posting of billing.ready may say of one charge.
var chargeFields = []string{"key", "charge", "amount"}

// readyScope are the names that the postings of billing.ready may use: the fields of the case, its keys by their kinds, and in
// lines[] each charge that goes on the invoice.
func (c *compiler) readyScope() *scope {
	sc := &scope{fields: map[string]*cel.Type{}, roots: map[string]root{}, places: 2, made: map[string]*cel.Type{}}
	for _, k := range c.m.cases.keys {
		sc.fields[k.kind] = cel.NullableType(cel.StringType)
	}
	for _, name := range c.m.cases.fields {
		sc.fields[name] = cel.NullableType(cel.StringType)
	}
	for _, name := range chargeFields {
		sc.made[name] = cel.NullableType(cel.StringType)
	}
	return sc
}

// requests makes what billing.ready asks of the targets. While something is missing for it the event itself waits: people are told, and
// the case is looked at again when it is there.
func (j *judgement) requests(ev *Event) (posts []Post, whole bool, err error) {
	if len(j.s.posts) == 0 {
		return nil, true, nil
	}
	posts, troubles, err := j.r.makePosts(j.s.posts, j.readyFrame(), ev, &cause{At: ev.Recorded})
	for _, t := range troubles {
		j.troubles = append(j.troubles, caseTrouble{t, "request", "the request to " + j.s.posts[0].sink + " cannot be written"})
	}
	return posts, len(troubles) == 0, err
}

// readyFrame holds the values of readyScope. A key of a kind that the case has twice is the first in the order of the file.
func (j *judgement) readyFrame() *frame {
	f := &frame{m: j.r.m, st: j.r.st, fields: map[string]ref.Val{}}
	for _, k := range j.s.keys {
		for _, ref := range append(append([]string(nil), j.rec.Keys...), j.rec.Others...) {
			if kind, value := splitRef(ref, j.rec.Company); kind == k.kind {
				f.fields[kind] = types.String(value)
				break
			}
		}
	}
	for name, v := range j.fields.fields {
		f.fields[name] = v
	}
	for _, c := range j.t.charges {
		if c.State != "approved" || j.without[c.Key] != "" {
			continue
		}
		line := map[string]ref.Val{}
		for name, text := range map[string]string{"key": c.Key, "charge": c.Charge, "amount": c.Amount} {
			line[name] = types.NullValue
			if text != "" {
				line[name] = types.String(text)
			}
		}
		f.lines, f.made = append(f.lines, nil), append(f.made, line)
	}
	return f
}

// asked says where and when an invoice was asked for; nil when it was not yet.
func (t *caseStory) asked() *report {
	for _, p := range t.reports {
		if p.Type == requested {
			return p
		}
	}
	return nil
}

// requested is the event that a target took the request for a shipment's invoice: derived from the outcome.
const requested = "invoice.requested"

// waitsForBilling answers for a case that is billable.
func (j *judgement) waitsForBilling() string {
	p := j.t.asked()
	switch {
	case p != nil:
		number := ""
		if n := p.Fields["number"]; n != "" {
			number = ", " + n + ","
		}
		return "It is billable: asked " + p.Table + " for the invoice" + number + " at " + minute(p.At) + "; it waits for the draft."
	case len(j.s.posts) > 0:
		var sinks []string
		for _, p := range j.s.posts {
			sinks = append(sinks, p.sink)
		}
		return "It is billable; " + strings.Join(sinks, ", ") + " has not been asked for its invoice yet."
	}
	return "It is billable and waits for billing to draft its invoice."
}
