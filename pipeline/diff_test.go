package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// next is a mapping's next version with one text replaced.
func next(mapping, old, fresh string) string {
	return strings.Replace(strings.Replace(mapping, "version: 1", "version: 2", 1), old, fresh, 1)
}

func (p *past) decides(d decisionEntry) {
	p.t.Helper()
	payload, err := json.Marshal(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.journal(checkpoint.Decision, payload)
}

func (p *past) diff(q DiffRequest) MappingDiff {
	p.t.Helper()
	before := p.store.Last()
	v, err := p.history().DiffMappings(context.Background(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.store.Last() != before {
		p.t.Error("asking for a difference wrote into the journal")
	}
	return v
}

// made lists events that are in the state behind the given one, with the bodies that were queued for them.
func (p *past) made(after uint64) []string { p.t.Helper(); return p.madeIn(p.store.View, after) }

func (p *past) madeIn(view func(func(*checkpoint.Txn) error) error, after uint64) (list []string) {
	p.t.Helper()
	err := view(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		return s.made(context.Background(), after, func(e *transform.Event) error {
			list = append(list, fmt.Sprintf("%s %s %s %s", e.ID, e.Type, e.Key, moneyText(e.Amount)))
			return nil
		})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func (p *past) events() (n uint64) {
	p.t.Helper()
	err := p.store.View(func(tx *checkpoint.Txn) (err error) {
		n, err = newState(tx).sequence("event")
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// A code table that learns codes: the difference over the history is what was held, and the activation then makes exactly that.
func TestDiffThenActivate(t *testing.T) {
	p := newPast(t)
	p.start()
	p.month()
	p.settled()
	text := next(next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45"), "FSC: FUEL", "FSC: FUEL, ZZ: OTHER")
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}, Limit: 1000})
	// Two customers with N45; four invoices of the kind ZZ: 107.50, 117.50, 127.50 and 137.50.
	if v.Old != "past/1" || v.New != "past/2" || v.History.Added != 6 || v.History.Gone != 0 || v.History.Changed != 0 || v.Activation.Added != 6 {
		t.Fatalf("%+v", v)
	}
	want := []MoneyDiff{{"customer.changed", "", 24, "", 26, ""}, {"erp.customer", "", 24, "", 26, ""},
		{"erp.sales_invoice", "USD", 36, "4310.00", 40, "4800.00"}, {"invoice.released", "USD", 36, "4310.00", 40, "4800.00"}}
	if !slices.Equal(v.History.Money, want) {
		t.Errorf("money %+v", v.History.Money)
	}
	for _, d := range []Difference{v.History, v.Activation} {
		if len(d.Exceptions) != 2 || d.Exceptions[0].Kind != diffGone || d.Posts != (PostDiffs{Added: 6}) {
			t.Errorf("exceptions %+v, documents %+v", d.Exceptions, d.Posts)
		}
	}
	lines := func(all []EventDiff) (list []string) {
		for _, e := range all {
			list = append(list, fmt.Sprintf("%s %s %s %s", e.ID, e.Type, e.Key, moneyText(e.New)))
		}
		slices.Sort(list)
		return list
	}
	before := p.events()
	p.activates(text)
	p.settled()
	got := p.made(before)
	if !slices.Equal(lines(v.Activation.Events), got) || !slices.Equal(lines(v.History.Events), got) {
		t.Errorf("the activation made\n%s\nthe difference said\n%s", strings.Join(got, "\n"), strings.Join(lines(v.Activation.Events), "\n"))
	}
}

// A code that gets another meaning changes what would have been sent. What was sent stays; an activation makes nothing of it.
func TestDiffOfWhatWasSent(t *testing.T) {
	p := newPast(t)
	p.start()
	p.month()
	p.settled()
	text := next(pastMapping, "LH: FREIGHT", "LH: LINEHAUL")
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}, Limit: 10})
	if v.History.Changed != 36 || v.History.Posts.Changed != 36 || len(v.History.Events) != 10 || v.History.More != 2*26 || len(v.History.Money) != 0 {
		t.Fatalf("%+v", v.History)
	}
	// The customers with N45 are held, so their invoices wait for them and are not posted.
	d := v.History.Documents[0]
	if d.ExternalID != "A0" || !d.Posted || !slices.Equal(d.Fields, []FieldDiff{{"body.kind", "FREIGHT", "LINEHAUL"}}) {
		t.Errorf("%+v", d)
	}
	if a := v.Activation; a.Added+a.Gone+a.Changed+len(a.Documents) != 0 {
		t.Errorf("an activation would make %+v", a)
	}
	before := p.events()
	p.activates(text)
	p.settled()
	if got := p.made(before); len(got) > 0 {
		t.Errorf("the activation made %v", got)
	}
}

// A rule that no longer holds takes events away; one that is stricter too, and what follows from outcomes does not stop it.
func TestDiffOfARuleThatIsGone(t *testing.T) {
	p := newPast(t)
	p.start()
	p.month()
	p.settled()
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", next(pastMapping, `became(h.stat, "R")`, `became(h.stat, "R") and h.amt > 120`)}, Limit: 1000})
	for _, e := range v.History.Events {
		if e.Kind != diffGone || e.Type != "invoice.released" || e.Old == nil {
			t.Errorf("%+v", e)
		}
	}
	if v.History.Gone != 18 || v.History.Added != 0 {
		t.Errorf("%+v", v.History)
	}
}

// A window begins at the state snapshot before it, and says so when there is none.
func TestDiffSince(t *testing.T) {
	p := newPast(t)
	p.commits("customers: C1 First N45")
	p.quiet()
	early := time.Now().Add(-time.Hour)
	if _, err := p.store.Backup(""); err != nil {
		t.Fatal(err)
	}
	p.commits("customers: C2 Second N45")
	p.quiet()
	text := next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45")
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}, Since: time.Now().Add(time.Minute)})
	if !strings.HasPrefix(v.From, "the state snapshot of") || v.Entries != 1 || v.History.Added != 2 || len(v.Notes) > 0 {
		t.Errorf("%+v", v) // what was held before the window is released at its beginning
	}
	if v = p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}, Since: early}); v.From != "the beginning of the journal" || v.Entries != 4 {
		t.Errorf("%+v", v)
	}
}

// What cannot be compared is refused, with the reason.
func TestDiffRefuses(t *testing.T) {
	p := newPast(t)
	p.quiet()
	for text, want := range map[string]string{
		next(pastMapping, "name: name,", "name: nickname,"):               "column public.customers.nickname of source dispatch",
		next(pastMapping, "from: dispatch.loads", "from: dispatch.trips"): "table public.trips of source dispatch",
		next(pastMapping, "mapping: past", "mapping: other"):              "another carrier",
		"mapping: [": "past-2.yaml",
	} {
		_, err := p.history().DiffMappings(context.Background(), DiffRequest{New: MappingText{"past-2.yaml", text}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// What the target and people did is in the journal for what the old version made. Under the new one it is applied to what there is
// of it: a version that would have been sent before is taken as sent, and a decision about what is not held is none.
func TestDiffWithOtherQueues(t *testing.T) {
	p := newPast(t)
	p.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "A1" {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "PERIOD_CLOSED", Message: "the period is closed"}
		}
		return nil
	})
	p.start()
	p.commits("customers: C1 First N45", "customers: C2 Second N30", "customers: C9 Ninth N99") // held, sent, held
	p.commits("~customers: C1 First N30")                                                       // replaces what is held
	p.commits("loads: L1 A 1")
	p.commits("~loads: L1 D 1")
	p.commits("inv: A1 R C2 L1 LH 10.00 2026-10-01T08:00:00Z", "inv: A2 R C2 L1 LH 500.00 2026-10-01T08:00:00Z")
	p.until("A1 is refused", func() bool { return p.openCount() == 2 })
	p.settled()
	p.discards("DELIVERY/")
	p.discards("MAPPING/")
	p.settled()
	text := next(next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45"), `became(h.stat, "R")`, `became(h.stat, "R") and h.amt > 100`)
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}})
	var got []string
	for _, e := range v.History.Events {
		got = append(got, e.Kind+" "+e.Type+" "+e.Key)
	}
	if want := []string{"added customer.changed C1", "gone invoice.released A1"}; !slices.Equal(got, want) || len(v.History.Exceptions) != 0 {
		t.Errorf("%v, exceptions %+v", got, v.History.Exceptions)
	}
	if a := v.Activation; a.Added+a.Gone+a.Changed != 0 {
		t.Errorf("an activation would make %+v", a)
	}
}

func (p *past) openCount() (n int) {
	p.t.Helper()
	err := p.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).Scan(bucketOpen, "", "", func(string, []byte) (bool, error) { n++; return true, nil })
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// A person activates a version while the daemon runs: it is journalled with who and why, and one that needs a new start is refused.
func TestActivateMapping(t *testing.T) {
	p := newPast(t)
	p.commits("customers: C1 First N45")
	p.quiet()
	p.start()
	daemon := &Pipeline{store: p.store, project: p.project, log: slog.New(slog.DiscardHandler), o: Options{Carriers: carriers(t, pastMapping), Sinks: map[string]sinks.Sink{"erp": p.sink}}}
	known := next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45")
	last := p.store.Last()
	for text, want := range map[string]string{
		strings.Replace(known, "version: 2", "version: 1", 1):   "raise the version",
		next(pastMapping, "name: name,", "name: nickname,"):     "column public.customers.nickname",
		next(pastMapping, "-> erp.customer", "-> crm.customer"): "", // its own gate refuses it before
		next(pastMapping, "mapping: past", "mapping: other"):    "another carrier",
	} {
		_, err := daemon.ActivateMapping(t.Context(), ActivateRequest{Mapping: MappingText{"past.yaml", text}, By: "ann", Why: "test"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := daemon.ActivateMapping(t.Context(), ActivateRequest{Mapping: MappingText{"past.yaml", known}, By: "ann"}); err == nil {
		t.Error("activated without a reason")
	}
	if v, err := daemon.ActivateMapping(t.Context(), ActivateRequest{Mapping: MappingText{"past.yaml", pastMapping}, By: "ann", Why: "test"}); err != nil || v.Entry != 0 {
		t.Errorf("what is active already: %+v, %v", v, err)
	}
	if p.store.Last() != last {
		t.Error("a refusal was journalled")
	}
	v, err := daemon.ActivateMapping(t.Context(), ActivateRequest{Mapping: MappingText{"past.yaml", known}, By: "ann", Why: "tariff"})
	if err != nil || v.Before != "past/1" || v.Version != "past/2" || v.Entry != last+1 {
		t.Fatalf("%+v %v", v, err)
	}
	if p.openCount() != 0 || p.events() != 1 {
		t.Errorf("%d are open, %d events", p.openCount(), p.events())
	}
	lines, err := daemon.Audit(t.Context(), AuditQuery{Limit: 1})
	if err != nil || len(lines) != 1 || lines[0].By != "ann" || lines[0].Why != "tariff" || lines[0].Target != "past/2" {
		t.Errorf("audit %+v %v", lines, err)
	}
}
