package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/transform"
)

// xrefPlan is what a decision does to the registry. It is made from the state alone, so that a preview and the projector make the same.
type xrefPlan struct {
	reg    transform.Registry
	steps  []XrefStep
	same   int
	faults []XrefFault
	absent bool
	line   int // of the import that is being read
	rows   map[transform.RegistryKey][]*transform.RegistryRow
}

// planXref plans a decision. The error is a broken state; what is wrong with the decision are the plan's faults.
func planXref(s transform.State, r *XrefRequest) (*xrefPlan, error) {
	p, err := stepsOf(s, r)
	if err == nil && r.Action != XrefImport {
		p.weigh()
	}
	return p, err
}

// weigh refuses more than one transaction takes. A new row is found by several ways, each no longer than the row.
func (p *xrefPlan) weigh() {
	total := 0
	for i := range p.steps {
		row := &p.steps[i].Row
		size := 400 + len(row.Key) + len(row.Why)
		for name, v := range row.Attributes {
			size += len(name) + len(v)
		}
		if row.ID == "" {
			size *= 4
		}
		total += size
	}
	if total > xrefWeight {
		p.fault("", fmt.Sprintf("%d rows of about %d bytes in the state", len(p.steps), total), fmt.Sprintf("at most %d bytes in one decision; decide about fewer rows at once", xrefWeight))
	}
}

func stepsOf(s transform.State, r *XrefRequest) (*xrefPlan, error) {
	p := &xrefPlan{reg: transform.Registry{State: s}, rows: map[transform.RegistryKey][]*transform.RegistryRow{}}
	if strings.TrimSpace(r.Why) == "" {
		p.fault("", "no reason", "why, for the audit")
	}
	switch {
	case len(r.IDs) > xrefRows:
		p.fault("", fmt.Sprintf("%d rows", len(r.IDs)), fmt.Sprintf("at most %d in one decision", xrefRows))
		return p, nil
	case len(r.IDs) == 0 && slices.Contains([]XrefAction{XrefApprove, XrefReject, XrefClose, XrefSplit}, r.Action):
		p.fault("", "no row", "the ids of rows: R-000012")
		return p, nil
	}
	switch r.Action {
	case XrefPropose:
		return p, p.propose(r)
	case XrefApprove:
		return p, p.each(r.IDs, []transform.RegistryState{transform.RowProposed}, func(row *transform.RegistryRow) error { return p.approve(row, r.Succeed) })
	case XrefReject:
		return p, p.each(r.IDs, []transform.RegistryState{transform.RowProposed, transform.RowActive}, func(row *transform.RegistryRow) error {
			row.State = transform.RowRejected
			return p.step("reject", row)
		})
	case XrefClose:
		p.day("the last day", r.On, true)
		return p, p.each(r.IDs, []transform.RegistryState{transform.RowActive}, func(row *transform.RegistryRow) error { return p.end(row, r.On) })
	case XrefMerge, XrefSplit:
		return p, p.move(r)
	case XrefImport:
		return p, p.enter(r)
	}
	p.fault("", fmt.Sprintf("the decision %q", r.Action), "propose, approve, reject, close, merge, split or import")
	return p, nil
}

func (p *xrefPlan) fault(column, found, expected string) {
	p.faults = append(p.faults, XrefFault{p.line, column, found, expected})
}

// of returns the rows of a key as the plan has left them so far.
func (p *xrefPlan) of(k transform.RegistryKey) ([]*transform.RegistryRow, error) {
	if known, ok := p.rows[k]; ok {
		return known, nil
	}
	stored, err := p.reg.Rows(k)
	if err != nil {
		return nil, err
	}
	all := make([]*transform.RegistryRow, 0, len(stored))
	for i := range stored {
		all = append(all, &stored[i])
	}
	p.rows[k] = all
	return all, nil
}

// find returns a row by its id as the plan has left it so far, or nil and a fault.
func (p *xrefPlan) find(id string) (*transform.RegistryRow, error) {
	r, err := p.reg.Row(id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		p.fault("", fmt.Sprintf("no row %q", id), "an id that waybill xref list shows")
		p.absent = true
		return nil, nil
	}
	all, err := p.of(r.RegistryKey)
	if err != nil {
		return nil, err
	}
	return all[slices.IndexFunc(all, func(o *transform.RegistryRow) bool { return o.ID == id })], nil
}

// each applies a decision to rows that must be in one of the states.
func (p *xrefPlan) each(ids []string, states []transform.RegistryState, do func(*transform.RegistryRow) error) error {
	for _, id := range ids {
		row, err := p.find(id)
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		if !slices.Contains(states, row.State) {
			words := make([]string, len(states))
			for i, s := range states {
				words[i] = string(s)
			}
			p.fault("", fmt.Sprintf("row %s, which is %s", id, row.State), "a row that is "+strings.Join(words, " or "))
			continue
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

// step notes a row as it is now.
func (p *xrefPlan) step(change string, row *transform.RegistryRow) error {
	p.steps = append(p.steps, XrefStep{change, *row})
	return nil
}

// add notes a new row.
func (p *xrefPlan) add(row transform.RegistryRow) error {
	all, err := p.of(row.RegistryKey)
	if err != nil {
		return err
	}
	p.rows[row.RegistryKey] = append(all, &row)
	change := "new"
	if row.State == transform.RowProposed {
		change = "propose"
	}
	return p.step(change, &row)
}

func (p *xrefPlan) propose(r *XrefRequest) error {
	if r.Row == nil {
		p.fault("", "no row", "a row")
		return nil
	}
	row := *r.Row
	row.ID, row.State = "", transform.RowProposed
	p.checkRow(&row)
	all, err := p.of(row.RegistryKey)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.State == transform.RowProposed && o.SameMeaning(&row) && o.To == row.To {
			p.fault("", "row "+o.ID+", which proposes the same", "waybill xref approve "+o.ID)
		}
	}
	return p.add(row)
}

// approve lets a row answer. No day may have two rows that do.
func (p *xrefPlan) approve(row *transform.RegistryRow, succeed bool) error {
	approved := *row
	approved.State = transform.RowActive
	all, err := p.of(row.RegistryKey)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o == row || !o.Meets(&approved) {
			continue
		}
		if succeed && o.State == transform.RowActive && o.To == "" && o.From < row.From {
			if err := p.end(o, dayBefore(row.From)); err != nil {
				return err
			}
			row.Follows = o.ID
			continue
		}
		p.meets(o, &approved)
	}
	row.State = transform.RowActive
	return p.step("approve", row)
}

// meets refuses two rows for one day.
func (p *xrefPlan) meets(o, row *transform.RegistryRow) {
	name := "row " + o.ID
	if o.ID == "" {
		name = "another row of it"
	}
	p.fault("", fmt.Sprintf("%s for the key %s %s, which answers %s", name, row.Kind, row.Key, days(o)),
		"no day with two rows; close that row first, or let the new one succeed it")
}

// days is the time of a row for people.
func days(r *transform.RegistryRow) string {
	switch {
	case r.From == "" && r.To == "":
		return "on every day"
	case r.To == "":
		return "from " + r.From
	case r.From == "":
		return "until " + r.To
	}
	return "from " + r.From + " until " + r.To
}

// end closes a row on its last day.
func (p *xrefPlan) end(row *transform.RegistryRow, last string) error {
	switch {
	case row.From != "" && last < row.From:
		p.fault("", fmt.Sprintf("row %s, which begins on %s only", row.ID, row.From), "a last day from then on, or waybill xref reject "+row.ID)
	case row.To != "" && row.To < last:
		p.fault("", fmt.Sprintf("row %s, which ends on %s already", row.ID, row.To), "a last day until then")
	}
	row.To, row.State = last, transform.RowClosed
	return p.step("close", row)
}

// move ends rows and begins others that mean somebody else: of a merge every row of a canonical id, of a split the rows that are named.
func (p *xrefPlan) move(r *XrefRequest) error {
	p.day("the first day", r.On, true)
	p.token("into", r.Into, true)
	p.checkAttributes(r.Attributes)
	var rows []*transform.RegistryRow
	if r.Action == XrefSplit {
		err := p.each(r.IDs, []transform.RegistryState{transform.RowActive}, func(row *transform.RegistryRow) error {
			rows = append(rows, row)
			return nil
		})
		if err != nil {
			return err
		}
	} else {
		found, err := p.reg.Of(r.Kind, r.Canonical, xrefRows+1)
		if err != nil {
			return err
		}
		if r.Canonical == r.Into || len(found) > xrefRows {
			p.fault("", fmt.Sprintf("%s, which has %d rows", r.Canonical, len(found)), fmt.Sprintf("another than %s, with at most %d", r.Into, xrefRows))
		}
		for _, f := range found {
			if f.State != transform.RowActive || f.To != "" && f.To < r.On {
				continue
			}
			row, err := p.find(f.ID)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		if len(rows) == 0 {
			p.fault("", fmt.Sprintf("no active row of the %s %s", r.Kind, r.Canonical), "a canonical id that waybill xref list shows")
			p.absent = true
		}
	}
	if len(p.faults) > 0 {
		return nil
	}
	for _, row := range rows {
		if err := p.moveRow(row, r); err != nil {
			return err
		}
	}
	return nil
}

// moveRow ends one row and begins the one that takes its place. A row that begins later is replaced from its beginning.
func (p *xrefPlan) moveRow(row *transform.RegistryRow, r *XrefRequest) error {
	next := transform.RegistryRow{RegistryKey: row.RegistryKey, Canonical: r.Into, From: r.On, To: row.To, State: transform.RowActive, Follows: row.ID}
	var err error
	if next.Attributes, err = p.attributes(row, r); err != nil {
		return err
	}
	if row.From >= r.On {
		next.From = row.From
		row.State = transform.RowRejected // it means nobody on any day
		err = p.step("reject", row)
	} else {
		err = p.end(row, dayBefore(r.On))
	}
	if err != nil {
		return err
	}
	return p.add(next)
}

// attributes of a row that takes another's place: what the decision says over those of the canonical id that it goes to, in the same
// company on that day; over its own when that has no row.
func (p *xrefPlan) attributes(row *transform.RegistryRow, r *XrefRequest) (map[string]string, error) {
	taken := maps.Clone(row.Attributes)
	if row.Canonical != r.Into {
		found, err := p.reg.Of(row.Kind, r.Into, xrefRows)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(o transform.RegistryRow) bool {
			return o.Company == row.Company && o.Role == row.Role && o.AnswersOn(r.On)
		})
		if i < 0 {
			i = slices.IndexFunc(found, func(o transform.RegistryRow) bool { return o.Company == row.Company && o.AnswersOn(r.On) })
		}
		if i >= 0 {
			taken = maps.Clone(found[i].Attributes)
		}
	}
	if taken == nil {
		taken = map[string]string{}
	}
	maps.Copy(taken, r.Attributes)
	return taken, nil
}
