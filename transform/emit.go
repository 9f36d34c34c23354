package transform

import (
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

func (r *run) frame(c *rowChange) *frame {
	f := &frame{m: r.m, st: r.st, op: c.op, now: r.at.Observed, aging: &r.aging}
	f.rows[newRow], f.rows[oldRow] = c.now, c.before
	return f
}

// refs notes what the change is about, for trace: the entities of the table's rules.
func (r *run) refs(c *rowChange) error {
	var all []string
	add := func(ref string) {
		if !contains(all, ref) && len(all) < 20 {
			all = append(all, ref)
		}
	}
	f := r.frame(c)
	for _, e := range c.table.events {
		company := r.quietCompany(e.company, f)
		if key := quietText(e.key, f); key != "" {
			add(Ref(company, e.entity, key))
		}
		for _, x := range e.correlate {
			if key := quietText(x.e, f); key != "" {
				add(Ref(company, x.entity, key))
			}
		}
	}
	if f.rows[newRow] == nil {
		f.rows[newRow] = c.before // a document's names mean its header, the deleted one too
	}
	for _, d := range c.table.root {
		key, company := r.keyOf(d, f)
		if key != "" {
			add(d.name + "/" + key)
		}
		for _, x := range d.correlate {
			if x.each {
				continue // its event says so
			}
			if key := quietText(x.e, f); key != "" {
				add(Ref(company, x.entity, key))
			}
		}
	}
	for _, d := range c.table.lines {
		if v := f.row(newRow).vals[d.joinLine]; v.State == cdc.Present && d.company == nil {
			add(Ref(r.m.company, d.name, v.Text))
		}
	}
	if len(all) == 0 {
		return nil
	}
	if r.at.Echo != "" {
		if err := r.out.Note(Note{Rule: "echo", Refs: all, Why: "made by " + r.at.Echo + ", so it is no news"}); err != nil {
			return err
		}
	}
	return r.out.Row(all)
}

// quietText is a value for people; nothing when it cannot be had.
func quietText(e *expr, f *frame) string {
	v, err := e.eval(f)
	if err != nil {
		return ""
	}
	return textOf(v)
}

// event runs one rule over a change.
func (r *run) event(e *eventRule, c *rowChange) error {
	if r.at.Echo != "" && !c.first && e.governed == nil { // versions are judged by people, whoever wrote them
		return r.echoed(e, c)
	}
	if c.first && e.lane != LaneMaster {
		return r.seed(e, c)
	}
	if c.first {
		c.cause.Adopt = true
	}
	return r.evaluateEvent(e, c, nil)
}

// seed keeps what has happened before the first snapshot, for gates: it is history, not news.
func (r *run) seed(e *eventRule, c *rowChange) error {
	if e.seed == nil || e.others != "" {
		return nil
	}
	f := r.frame(c)
	if yes, err := e.seed.holds(f); err != nil || !yes {
		return bug(err)
	}
	ev, _, err := r.makeEvent(e, f, &c.cause)
	if err != nil || ev.Key == "" {
		return err
	}
	ev.Historic = true
	return r.tell(&ev)
}

// bug drops trouble about the data and keeps a broken State.
func bug(err error) error {
	var t *trouble
	if errors.As(err, &t) {
		return nil
	}
	return err
}

// evaluateEvent makes the rule's event, or holds the change. held is the change when it was held before.
func (r *run) evaluateEvent(e *eventRule, c *rowChange, held *heldChange) error {
	f := r.frame(c)
	if held != nil {
		var err error
		if f.amend, err = r.amendment(waiter{"held", heldID(e, c), held.Subject}); err != nil {
			return err
		}
	}
	if e.lane == LaneMaster && c.now == nil && e.when == nil && (e.gone == nil || c.before == nil) {
		if err := r.unproposed(e, c); err != nil {
			return err
		}
		return r.dropSuperseded(e, c, held)
	}
	if e.gone != nil && c.now == nil {
		f.rows[newRow] = c.before // the entity as it was last known, with what when_deleted says
	}
	if e.when != nil {
		yes, err := e.when.holds(f)
		var t *trouble
		if errors.As(err, &t) {
			return r.hold(e, c, held, []*trouble{t}, f)
		}
		if err != nil {
			return err
		}
		if !yes {
			return r.dropSuperseded(e, c, held)
		}
	}
	ev, troubles, err := r.makeEvent(e, f, &c.cause)
	if err != nil {
		return err
	}
	if e.others != "" {
		return r.foreign(e, c, held, &ev, troubles, f)
	}
	posts, more, err := r.makePosts(e.posts, f, &ev, &c.cause)
	if err != nil {
		return err
	}
	if troubles, err = r.unwaived(union(troubles, more), e.shape, f); err != nil {
		return err
	}
	if len(troubles) > 0 {
		return r.hold(e, c, held, troubles, f)
	}
	if e.governed != nil {
		return r.govern(e, c, held, &ev, posts, f)
	}
	if err := r.dropSuperseded(e, c, held); err != nil {
		return err
	}
	if e.lane == LaneMaster {
		known, err := r.sameVersion(&ev)
		if err != nil {
			return err
		}
		if known {
			return r.owned(e, &ev)
		}
	}
	if err := r.send(ev, posts); err != nil {
		return err
	}
	return r.owned(e, &ev)
}

// tell gives an event to the output and to its case.
func (r *run) tell(ev *Event) error {
	if err := r.out.Event(*ev); err != nil {
		return err
	}
	return r.toCases(ev)
}

func (r *run) send(ev Event, posts []Post) error {
	if err := r.tell(&ev); err != nil {
		return err
	}
	for _, p := range posts {
		if err := r.out.Post(p); err != nil {
			return err
		}
	}
	return r.refresh()
}

// sameVersion reports whether the entity's mapped fields are what they were at its last event.
func (r *run) sameVersion(ev *Event) (bool, error) {
	version := hash(string(ev.Data))[:16]
	at := stateKey(ev.Type, CompanyKey(ev.Company, ev.Key))
	known, err := r.st.Get(bucketMaster, at)
	if err != nil {
		return false, err
	}
	if string(known) == version {
		return true, nil
	}
	return false, r.st.Put(bucketMaster, at, []byte(version))
}

// makeEvent evaluates a rule's fields.
func (r *run) makeEvent(e *eventRule, f *frame, by *cause) (Event, []*trouble, error) {
	ev := r.newEvent(e.typ, e.entity, e.at, e.lane, by)
	var res result
	key, err := res.one(f, &setting{name: "key", e: e.key}, e.typ)
	if err != nil {
		return ev, nil, err
	}
	ev.Key = textOfKey(key)
	fields := e.set
	if f.op == cdc.Delete && e.gone != nil {
		fields = e.gone
	}
	if ev.Company, err = r.companyOf(e.company, f, &res, e.entity+"/"+ev.Key); err != nil {
		return ev, nil, err
	}
	subject := Ref(ev.Company, e.entity, ev.Key)
	set, err := apply(f, fields, subject)
	if err != nil {
		return ev, nil, err
	}
	for _, t := range union(set.troubles, e.shape.incomplete(f, subject, e.at)) {
		res.add(t)
	}
	ev.Refs = []string{subject}
	for _, x := range e.correlate {
		ref := ""
		if k := quietText(x.e, f); k != "" {
			ref = Ref(ev.Company, x.entity, k)
		}
		if ref != "" && !contains(ev.Refs, ref) {
			ev.Refs = append(ev.Refs, ref)
			if ev.Correlation == "" {
				ev.Correlation = ref
			}
		}
	}
	if ev.Correlation == "" {
		ev.Correlation = subject
	}
	ev.OrderKey = ev.Correlation
	if e.lane == LaneMaster {
		ev.OrderKey = subject
	}
	if e.orderKey != nil {
		v, err := res.one(f, &setting{name: "order", e: e.orderKey}, subject)
		if err != nil {
			return ev, nil, err
		}
		ev.OrderKey = orderKey(ev.Company, textOfKey(v))
	}
	if err := r.occurred(&ev, e, f, subject, &res); err != nil {
		return ev, nil, err
	}
	if f.amend != nil {
		ev.Edited = f.amend.By
	}
	ev.Data, err = canonical(set.data)
	return ev, res.troubles, err
}

// union joins troubles, each cause once.
func union(a, b []*trouble) []*trouble {
	r := result{troubles: a}
	for _, t := range b {
		r.add(t)
	}
	return r.troubles
}

func textOfKey(v ref.Val) string {
	if types.IsError(v) {
		return ""
	}
	return textOf(v)
}

// occurred sets the business time of an event.
func (r *run) occurred(ev *Event, e *eventRule, f *frame, subject string, res *result) error {
	if e.time == nil {
		return nil
	}
	v, err := res.one(f, &setting{name: "at", e: e.time}, subject)
	if err != nil || types.IsError(v) || v == types.NullValue {
		return err
	}
	zone := e.table.source.zone
	if e.zone != nil {
		z, err := res.one(f, &setting{name: "zone", e: e.zone}, subject)
		if err != nil || types.IsError(z) {
			return err
		}
		zone = textOf(z)
	}
	t, trouble := r.instant(v, zone, e.table.source, subject)
	if trouble != nil {
		res.add(trouble)
		return nil
	}
	ev.Occurred = t
	return nil
}

// location finds a time zone by its IANA name, nil when there is none. Reading one is dear, so they are remembered.
func (r *run) location(zone string) *time.Location {
	if zone == "" {
		return nil
	}
	if loc, ok := r.zones[zone]; ok {
		return loc
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = nil
	}
	if len(r.zones) < maxZones {
		r.zones[zone] = loc
	}
	return loc
}

// maxZones bounds the remembered zones; the database of zones has about 600 names.
const maxZones = 1000

// instant gives a value its place in time.
func (r *run) instant(v ref.Val, zone string, src *source, subject string) (time.Time, *trouble) {
	if t, ok := v.(types.Timestamp); ok {
		return t.Time, nil
	}
	c, ok := v.(civil)
	if !ok {
		return time.Time{}, brokenRule(textOf(v), subject, fmt.Errorf("it is no time"))
	}
	loc := r.location(zone)
	if loc == nil {
		return time.Time{}, &trouble{class: "DATA", code: "ZONE_UNKNOWN", cause: zone, title: fmt.Sprintf("The time zone %q of %s is not known.", zone, subject),
			hint: "Use a name of the IANA time zone database: America/Chicago."}
	}
	t, err := c.instant(loc, src.dst)
	if y := t.UTC().Year(); err == nil && (y < 1 || y > 9999) {
		return time.Time{}, &trouble{class: "DATA", code: "TIME_UNCERTAIN", cause: subject + "/" + c.text,
			title: fmt.Sprintf("The time of %s, %s, lies outside the years 1 to 9999.", subject, c.text),
			hint:  "Correct the time in the source; in an expression, leave out what stands for no time."}
	}
	if err != nil {
		return time.Time{}, &trouble{class: "DATA", code: "TIME_UNCERTAIN", cause: subject + "/" + c.text,
			title: fmt.Sprintf("The time of %s is uncertain: %v.", subject, err),
			hint:  "Correct the time in the source; for the edges of daylight saving time a rule can be declared: dst of the source " + src.name + " in the mapping."}
	}
	return t, nil
}

func (r *run) newEvent(typ, entity, rule string, lane Lane, by *cause) Event {
	return Event{ID: by.event(typ), Type: typ, Rule: typ + " (" + rule + ")", Source: "/" + r.m.name + "/" + by.Source + "/" + by.Table, Entity: entity,
		Lane: lane, Occurred: by.At, Recorded: by.At, Observed: by.Observed, MapVersion: r.m.Version(), Position: by.Commit, Index: by.Index}
}
