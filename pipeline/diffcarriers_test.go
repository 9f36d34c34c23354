package pipeline

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// joined is a history of two carriers: past was alone at first, south came later.
func joined(t *testing.T) *past {
	t.Helper()
	p := newPast(t)
	p.commits("customers: C1 First N30", "customers: C2 Second N45")
	p.quiet()
	if _, err := p.store.Backup(""); err != nil {
		t.Fatal(err)
	}
	m, err := transform.Parse("south.yaml", []byte(southMapping))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(activation{mappingEntry: mappingEntry{m.Version(), "south.yaml", southMapping}, Carrier: "south"})
	if err != nil {
		t.Fatal(err)
	}
	p.journal(checkpoint.Mapping, payload)
	p.seeded("south")
	p.rows(southern(1, "S1", "S1"))
	p.commits("customers: C3 Third N30")
	p.rows(southern(2, "S2", "S1"))
	p.quiet()
	return p
}

// A difference is of one carrier's mapping. The others' stay what they are, on both sides and at every moment: from the beginning,
// when they were not there, and from a snapshot.
func TestDiffOfOneCarrier(t *testing.T) {
	p := joined(t)
	text := next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45")
	south := next(southMapping, "name: name }", "name: name, email: name }")
	for from, since := range map[string]time.Time{"the beginning of the journal": {}, "the state snapshot of": time.Now().Add(time.Minute)} {
		v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}, Since: since})
		if !strings.HasPrefix(v.From, from) || v.Old != "past/1" || v.New != "past/2" || v.History.Added != 1 || v.History.Gone+v.History.Changed != 0 || v.Activation.Added != 1 || v.History.Events[0].Key != "C2" {
			t.Errorf("of the first carrier, from %s: %+v", from, v)
		}
		v = p.diff(DiffRequest{New: MappingText{"south-2.yaml", south}, Since: since})
		if v.Old != "south/1" || v.History.Added+v.History.Gone != 0 || v.History.Changed != 2 || v.Activation.Added != 0 || len(v.History.Exceptions) != 0 {
			t.Errorf("of the second carrier, from %s: %+v", from, v)
		}
	}
	for text, want := range map[string]string{
		next(pastMapping, "mapping: past", "mapping: other"):     "mapping other/2 is of another carrier than those that are active (past/1, south/1)",
		next(southMapping, "company: SOUTH", "company: SOUTHER"): `is of the company "SOUTHER"`,
	} {
		if _, err := p.history().DiffMappings(context.Background(), DiffRequest{New: MappingText{"x.yaml", text}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// To suppose the version that is active changes nothing, for either carrier: the other one's mapping is what the journal says.
func TestSupposeWhatIs(t *testing.T) {
	p := joined(t)
	h := p.history()
	bases, err := p.store.Bases()
	if err != nil || len(bases) != 2 {
		t.Fatal(bases, err)
	}
	for _, from := range bases {
		for version, text := range map[string]string{"past/1": pastMapping, "south/1": southMapping} {
			r, err := h.supposed(t.Context(), from, p.store.Last(), mappingEntry{version, "x.yaml", text})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := p.madeIn(r.side.View, 0), p.made(0); !slices.Equal(got, want) || len(want) != 4 {
				t.Errorf("%s from %s makes\n%s\nwant\n%s", version, baseText(from), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if err := r.side.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A person activates another version of one of two carriers: it makes what the difference said, and the other one stays active, after
// a new start too.
func TestActivateOneCarrier(t *testing.T) {
	p := joined(t)
	text := next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45")
	v := p.diff(DiffRequest{New: MappingText{"past-2.yaml", text}})
	p.start()
	daemon := &Pipeline{store: p.store, project: p.project, log: slog.New(slog.DiscardHandler),
		o: Options{Carriers: carriers(t, pastMapping, southMapping), Sinks: map[string]sinks.Sink{"erp": p.sink}}}
	before := p.events()
	a, err := daemon.ActivateMapping(t.Context(), ActivateRequest{Mapping: MappingText{"past.yaml", text}, By: "ann", Why: "tariff"})
	if err != nil || a.Before != "past/1" || a.Version != "past/2" {
		t.Fatalf("%+v %v", a, err)
	}
	if got := *daemon.activated.Load(); got != "past/2, south/1" {
		t.Errorf("active is %s", got)
	}
	var said []string
	for _, e := range v.Activation.Events {
		said = append(said, strings.TrimSpace(e.ID+" "+e.Type+" "+e.Key+" "+moneyText(e.New)))
	}
	var made []string
	for _, line := range p.made(before) {
		made = append(made, strings.TrimSpace(line))
	}
	if !slices.Equal(made, said) || len(said) != 1 {
		t.Errorf("made %v, said %v", made, said)
	}
	p.rows(southern(3, "S3", "S1"))
	p.quiet()
	if p.events() != before+2 {
		t.Errorf("the other carrier made %d events", p.events()-before-1)
	}
	again := &Pipeline{o: Options{Carriers: carriers(t, text, southMapping)}, store: p.store, log: slog.New(slog.DiscardHandler)}
	again.project = newProjector(p.store, p.project.codecs, again.log, func() {})
	known, err := again.project.load()
	if err != nil || len(wanted(known, again.o.Carriers)) != 0 {
		t.Errorf("a new start activates %+v, %v", wanted(known, again.o.Carriers), err)
	}
	p.settled()
	p.madeAgain()
}
