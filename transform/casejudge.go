package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// caseTrouble is a problem of a case. detail tells problems of one code apart; with the code it is what a person gives up.
type caseTrouble struct {
	*trouble
	detail string
	hold   string // why billing.ready waits for it, "" when it does not
}

func (t *caseTrouble) waiver() string { return t.code + " " + t.detail }

// judgement looks at one case: what is wrong, what is missing for billing.ready, and when to look again.
type judgement struct {
	r        *run
	s        *cases
	rec      *caseRecord
	t        *caseStory
	troubles []caseTrouble
	notes    []string
	items    []CheckItem
	without  map[string]string // charges that stay out of the invoice → why
	again    time.Time         // the next deadline
	fields   *frame
	pod      bool // required
	whole    bool // a dispute holds everything
}

// judgeCase makes a case what its reports say, tells people what is wrong with it, derives billing.ready when everything is there, and
// saves it.
func (r *run) judgeCase(rec *caseRecord) error {
	j, err := r.judgement(rec)
	if err != nil {
		return err
	}
	if err := j.ready(); err != nil {
		return err
	}
	j.troubles = slices.DeleteFunc(j.troubles, func(t caseTrouble) bool { return slices.Contains(rec.Waived, t.waiver()) })
	plain := make([]*trouble, len(j.troubles))
	for i := range j.troubles {
		plain[i] = j.troubles[i].trouble
	}
	w := waiter{waiterCase, rec.ID, rec.ID}
	rec.Waits, err = r.settle(w, rec.Waits, plain, func(t *trouble) Problem {
		return t.problem(rec.ID, rec.ID, "cases ("+j.s.at+")", nil) // its money is counted with its invoices
	})
	if err != nil {
		return err
	}
	if gone, err := j.over(); err != nil || gone {
		return err
	}
	if err := j.setTimer(); err != nil {
		return err
	}
	c := j.shown()
	if err := r.saveView(&c); err != nil {
		return err
	}
	return r.saveCase(rec)
}

// judgement evaluates the rules, without any effect.
func (r *run) judgement(rec *caseRecord) (*judgement, error) {
	j := &judgement{r: r, s: r.m.cases, rec: rec, without: map[string]string{}}
	j.t = j.s.fold(rec)
	if !j.t.live {
		return j, nil // history: nothing to tell, nothing to derive
	}
	if err := j.conditions(); err != nil {
		return nil, err
	}
	for _, rule := range []func(){j.wide, j.orphan, j.regression, j.duplicates, j.backdated, j.reassigned, j.cancelledLate, j.partial, j.podMissing, j.cargo,
		j.evidence, j.disputed} {
		rule()
	}
	j.checklist()
	return j, nil
}

// conditions evaluates what the mapping asks about the fields of the case.
func (j *judgement) conditions() error {
	j.fields = &frame{m: j.r.m, st: j.r.st, fields: map[string]ref.Val{}}
	for _, name := range j.s.fields {
		for _, p := range j.t.reports {
			if v, ok := p.Fields[name]; ok {
				j.fields.fields[name] = types.String(v)
				break
			}
		}
	}
	var err error
	if j.s.pod != nil && (j.t.facts["delivered"] != nil || j.t.facts["partly_delivered"] != nil) {
		if j.pod, err = j.asks(j.s.pod.required, "whether a POD is required"); err != nil {
			return err
		}
	}
	if j.s.whole != nil && len(j.t.disputes) > 0 {
		j.whole, err = j.asks(j.s.whole, "whether a dispute holds the whole invoice")
	}
	return err
}

// asks evaluates a condition. While it cannot be answered the case waits: the careful answer is yes.
func (j *judgement) asks(e *expr, what string) (bool, error) {
	yes, err := e.holds(j.fields)
	var t *trouble
	if errors.As(err, &t) {
		j.troubles = append(j.troubles, caseTrouble{t, what, "it is not known " + what})
		return true, nil
	}
	return yes, err
}

// add notes a problem of the case.
func (j *judgement) add(class, code, detail, owner, hold, title, hint string, evidence map[string]any) {
	j.troubles = append(j.troubles, caseTrouble{&trouble{class: class, code: code, cause: j.rec.ID + "/" + detail, owner: owner, title: title, hint: hint,
		evidence: evidence}, detail, hold})
}

// passed reports whether every source has been captured past the instant; if not, the case is looked at again then.
func (j *judgement) passed(at time.Time) bool {
	if !j.rec.Past.Before(at) {
		return true
	}
	if j.again.IsZero() || at.Before(j.again) {
		j.again = at
	}
	return false
}

// over ends a case whose retention has passed.
func (j *judgement) over() (bool, error) {
	newest := j.t.newest
	for _, p := range j.t.reports {
		newest = later(newest, p.Recorded)
	}
	if len(j.rec.Waits) > 0 || newest.IsZero() || !j.passed(newest.Add(j.s.keep)) {
		return false, nil
	}
	if stage := j.t.stage(j.rec.Ready); j.t.live && stage != "posted" && stage != "settled" && stage != cancelled {
		return false, nil // something is still to come
	}
	return true, j.r.forgetCase(j.rec)
}

func (j *judgement) setTimer() error {
	switch {
	case j.again.Equal(j.rec.Timer):
		return nil
	case j.again.IsZero():
		j.rec.Timer = j.again
		return j.r.out.ClearTimer(timerCase + j.rec.ID)
	}
	j.rec.Timer = j.again
	return j.r.out.SetTimer(Timer{ID: timerCase + j.rec.ID, At: j.again, Payload: j.rec.ID})
}

// waive gives up a problem of the case: a named person decided that it is none. It stays given up.
func (r *run) waive(rec *caseRecord, fingerprint string) error {
	j, err := r.judgement(rec)
	if err != nil {
		return err
	}
	j.expected()
	for _, t := range j.troubles {
		if t.fingerprint() == fingerprint && !slices.Contains(rec.Waived, t.waiver()) {
			rec.Waived = append(rec.Waived, t.waiver())
		}
	}
	slices.Sort(rec.Waived)
	return r.judgeCase(rec)
}

// shown is the case as people see it.
func (j *judgement) shown() Case {
	rec, t := j.rec, j.t
	c := Case{Ref: rec.ID, Company: rec.Company, Keys: slices.Concat(rec.Keys, rec.Others), Stage: t.stage(rec.Ready), Facts: t.orderedFacts(rec.More), Stops: t.stops,
		Assignments: t.assigned, Documents: t.documents, Checklist: j.items, Ready: rec.Ready, Notes: j.notes}
	for _, x := range t.charges {
		x.Reason = j.without[x.Key]
		c.Charges = append(c.Charges, x)
	}
	for _, x := range j.troubles {
		c.Problems = append(c.Problems, CaseProblem{x.class, x.code, x.title})
	}
	for _, p := range t.reports {
		c.Updated = later(c.Updated, p.Recorded)
	}
	c.Flags = j.flags()
	c.Waits = j.waits(&c)
	return c
}

// flags stand beside the stage, any number at once.
func (j *judgement) flags() []string {
	var all []string
	set := func(name string, is bool) {
		if is {
			all = append(all, name)
		}
	}
	hold, late := false, j.t.delayed && j.t.facts["delivered"] == nil
	for _, t := range j.troubles {
		hold = hold || t.hold != ""
		late = late || t.code == "POD_MISSING"
	}
	for _, d := range j.t.documents {
		hold = hold || d.State == "held"
	}
	set("exception", len(j.troubles) > 0)
	set("hold", hold)
	set("dispute", len(j.t.disputes) > 0)
	set("partial", j.t.facts["partly_delivered"] != nil && j.t.facts["delivered"] == nil)
	set("late", late)
	return all
}

// waits answers "why is it waiting?" in one sentence.
func (j *judgement) waits(c *Case) string {
	if !j.t.live {
		return "It is history from before Waybill came; it waits for nothing."
	}
	if c.Stage == cancelled {
		if slices.ContainsFunc(j.troubles, func(t caseTrouble) bool { return t.code == "CANCEL_AFTER_BILLING" }) {
			return "It was cancelled after billing: it waits for a void or a credit memo."
		}
		return "It was cancelled and waits for nothing."
	}
	if rank := stageRank(c.Stage); rank > stageRank("billable") {
		return j.waitsForMoney(c)
	}
	var unmet []string
	for _, i := range j.items {
		if !i.Met {
			unmet = append(unmet, i.Why)
		}
	}
	switch {
	case j.rec.Ready != nil && len(unmet) > 0:
		return "It is billable, but meanwhile " + sentence(unmet) + "."
	case j.rec.Ready != nil:
		return j.waitsForBilling()
	case len(unmet) > 0:
		return upperFirst(sentence(unmet)) + "."
	}
	return "Everything is there; it waits until every source has been read past its last change."
}

func (j *judgement) waitsForMoney(c *Case) string {
	by := map[string][]string{}
	for _, d := range c.Documents {
		by[d.State] = append(by[d.State], d.Number)
	}
	switch {
	case len(by["held"]) > 0:
		return fmt.Sprintf("Billing holds %s.", sentence(by["held"]))
	case len(by["drafted"]) > 0:
		return fmt.Sprintf("It waits for billing to release %s.", sentence(by["drafted"]))
	case len(by["released"]) > 0:
		return fmt.Sprintf("It waits for the ERP to post %s.", sentence(by["released"]))
	case c.Stage == "settled":
		return "It is paid and waits for nothing."
	}
	return fmt.Sprintf("%s posted; it waits for the payment.", upperFirst(areIs(by["posted"])))
}

func areIs(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return sentence(list) + " are"
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
