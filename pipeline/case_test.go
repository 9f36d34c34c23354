package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/transform"
)

const caseMapping = `mapping: small
version: 3
sources:
  dispatch: { schema: public, zone: America/Chicago }
events:
  shipment.delivered:
    from: dispatch.loads
    when: changed(dlv_dt)
    key: load_no
    correlate: { load: load_no, bol: bol_no }
    set: { pieces: pcs_ord }
cases:
  keys: { shipment: strong, load: strong, bol: medium }
`

// caseRig is a rig whose mapping has cases, with a pipeline that answers about them.
func caseRig(t *testing.T) (*rig, *Pipeline) {
	t.Helper()
	r := newRig(t)
	if err := r.project.use(map[string]activation{"": {mappingEntry: mappingEntry{Version: "small/3", File: "small.yml", Text: caseMapping}}}); err != nil {
		t.Fatal(err)
	}
	return r, &Pipeline{store: r.store, project: r.project}
}

// happen files an event as the mapper does when it makes one.
func (r *rig) happen(id, typ, key string, refs ...string) {
	r.t.Helper()
	entity, _, _ := strings.Cut(typ, ".")
	at := time.Date(2026, 10, 2, 10, 0, 0, 0, time.UTC)
	ev := transform.Event{ID: id, Type: typ, Entity: entity, Key: key, Lane: transform.LaneTransactional, Source: "/small/dispatch/public.loads", MapVersion: "small/3", Occurred: at, Recorded: at,
		Refs: append([]string{entity + "/" + key}, refs...), Data: json.RawMessage(`{}`)}
	r.do(func(s *state, out *output) error { return r.project.inCase(s, out, ev) })
}

func (r *rig) fact(p *Pipeline, key, name string) int {
	r.t.Helper()
	v, err := p.Case(context.Background(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range v.Facts {
		if f.Name == name {
			return len(f.Reports) + f.More
		}
	}
	return 0
}

// A person links what waits, more of it than one piece of work takes; the decision is in the journal and in the audit, and the same
// journal gives the same cases.
func TestLinkCase(t *testing.T) {
	r, p := caseRig(t)
	r.happen("d1", "shipment.delivered", "1")
	const waiting = 2*linkLimit + 7
	for i := range waiting {
		r.happen(fmt.Sprintf("p%03d", i), "pod.received", fmt.Sprintf("P%d", i), "bol/B9")
	}
	r.start()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var refused *CaseError
	if _, err := p.LinkCase(ctx, CaseLink{Ref: "bol/B8", Case: "shipment/1", By: "ann", Why: "seen"}); !errors.As(err, &refused) || !refused.Absent {
		t.Errorf("nothing waits: %v", err)
	}
	if _, err := p.LinkCase(ctx, CaseLink{Ref: "bol/B9", Case: "shipment/2", By: "ann", Why: "seen"}); !errors.As(err, &refused) || !refused.Absent {
		t.Errorf("no such case: %v", err)
	}
	if _, err := p.LinkCase(ctx, CaseLink{Ref: "bol/B9", Case: "shipment/1", Why: "seen"}); err == nil {
		t.Error("nobody decided")
	}
	if n := r.fact(p, "shipment/1", "pod"); n != 0 {
		t.Fatalf("%d reports before the link", n)
	}
	v, err := p.LinkCase(ctx, CaseLink{Ref: "bol/B9", Case: "shipment/1", By: "ann", Why: "seen"})
	if err != nil || v.Ref != "shipment/1" {
		t.Fatal(v, err)
	}
	if n := r.fact(p, "shipment/1", "pod"); n != waiting {
		t.Errorf("%d reports, want %d", n, waiting)
	}
	audit, err := p.Audit(ctx, AuditQuery{})
	if err != nil || len(audit) != 1 || audit[0].By != "ann" || audit[0].Action != actionLinkCase || audit[0].Target != "bol/B9 shipment/1" || audit[0].Why != "seen" {
		t.Errorf("%+v %v", audit, err)
	}
}

func TestCasesAreListedInPages(t *testing.T) {
	r, p := caseRig(t)
	for i := range 5 {
		r.happen(fmt.Sprint("d", i), "shipment.delivered", fmt.Sprint(i), fmt.Sprint("bol/B", i/2))
	}
	r.happen("c", "shipment.cancelled", "3")
	ctx := context.Background()
	show := func(q CaseQuery) string {
		list, err := p.Cases(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range list {
			all = append(all, c.Ref+" "+c.Stage)
		}
		return strings.Join(all, ", ")
	}
	for _, x := range []struct {
		q    CaseQuery
		want string
	}{
		{CaseQuery{Limit: 2}, "shipment/0 delivered, shipment/1 delivered"},
		{CaseQuery{Limit: 2, After: "shipment/1"}, "shipment/2 delivered, shipment/3 cancelled"},
		{CaseQuery{Stage: "cancelled"}, "shipment/3 cancelled"},
		{CaseQuery{Flag: "hold"}, ""},
	} {
		if got := show(x.q); got != x.want {
			t.Errorf("%+v: %s, want %s", x.q, got, x.want)
		}
	}
	var refused *CaseError
	if _, err := p.Case(ctx, "bol/B0"); !errors.As(err, &refused) || refused.Absent || refused.Hint != "Name one of them: shipment/0, shipment/1." {
		t.Errorf("%v %+v", err, refused)
	}
	if v, err := p.Case(ctx, "bol/B2"); err != nil || v.Ref != "shipment/4" {
		t.Errorf("%+v %v", v, err)
	}
}

// What is open for a case or one of its documents is shown with it.
func TestCaseShowsItsExceptions(t *testing.T) {
	r, p := caseRig(t)
	r.happen("d", "shipment.delivered", "1")
	r.happen("i", "invoice.released", "A1", "shipment/1")
	r.do(func(s *state, out *output) error {
		for i, subject := range []string{"invoice/A1", "shipment/1", "invoice/A2"} {
			if err := out.Problem(transform.Problem{Fingerprint: fmt.Sprint("DATA/X/", i), Class: "DATA", Code: "X", Title: subject + " is wrong", Subject: subject}); err != nil {
				return err
			}
		}
		x, err := s.exception("X-000002") // somebody is at it: it is open all the same
		if err != nil {
			return err
		}
		x.State = ExceptionAssigned
		if err := s.save(bucketException, x.ID, x); err != nil {
			return err
		}
		return out.Resolve("DATA/X/9", "invoice/A1")
	})
	v, err := p.Case(context.Background(), "shipment/1")
	if err != nil || len(v.Exceptions) != 2 || v.Exceptions[0].Subject != "shipment/1" || v.Exceptions[1].Subject != "invoice/A1" {
		t.Errorf("%+v %v", v.Exceptions, err)
	}
}
