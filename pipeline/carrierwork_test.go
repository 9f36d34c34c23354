package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
)

// several is a transaction that writes customers of one source.
func several(schema *cdc.Schema, n int, position string, codes ...string) cdc.Batch {
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 9, 0, n, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: fmt.Sprintf("m%d", n), CommitAt: at})
	for _, code := range codes {
		e.Change(cdc.Insert, schema)
		e.Value([]byte(code))
		e.Value([]byte("A1"))
	}
	b := cdc.Batch{Source: schema.Source, Schemas: []*cdc.Schema{schema}, CommitAt: at, Position: cdc.Position(fmt.Sprint(position, n))}
	b.Identity = strings.TrimSuffix(position, "/")
	b.Data, b.Changes = e.Take()
	return b
}

// Bounds, owners and due times are those of the carrier that an exception is of; the other carrier's rules go on.
func TestEachCarrierHasItsOwnBounds(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	p := fleet(r, partsMapping, southMapping+"bounds: { events: 3 }\nexceptions: { owners: { POLICY: south desk }, due: { BLAST_RADIUS: 1h } }\n")
	if err := p.configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	r.rows(cdc.Batch{Source: "south", Identity: "pg/2/1", Snapshot: true, Tx: "snapshot", Position: "pg/2/1/0", CommitAt: time.Unix(1, 0)})
	south := *partsSchema
	south.Source = "south"
	codes := []string{"A1", "A2", "A3", "A4", "A5"}
	r.rows(several(partsSchema, 1, "pg/1/1/", codes...))
	r.rows(several(&south, 2, "pg/2/1/", codes...))
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	list, err := p.Exceptions(context.Background(), ExceptionQuery{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	x := list[0]
	if x.Cause != "POLICY/BLAST_RADIUS/south/customer.changed" || x.Held != 10 || x.Owner != "south desk" || x.Version != "south/1" || x.Due == nil || !x.Due.Equal(x.OpenedAt.Add(time.Hour)) {
		t.Errorf("%+v", x)
	}
	events := func() (refs []string) {
		list, err := p.Events(context.Background(), EventQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			refs = append(refs, strings.TrimPrefix(e.Company+":"+e.Key, ":"))
		}
		slices.Sort(refs)
		return refs
	}
	if got := events(); !slices.Equal(got, codes) {
		t.Errorf("went out: %v", got)
	}
	r.decide(decisionEntry{Action: "release", IDs: []string{x.ID}, By: "ann", Why: "right"})
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(events(), " "); got != "A1 A2 A3 A4 A5 SOUTH:A1 SOUTH:A2 SOUTH:A3 SOUTH:A4 SOUTH:A5" {
		t.Errorf("after the release: %v", got)
	}
	if proof := r.proof(""); proof.Bad != 0 || proof.Lines != 3 { // two activations, one release
		t.Errorf("the chain: %+v", proof)
	}
}

// A document whose first version was refused counts once, as its later version.
func TestReportsCountTheLaterVersion(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if strings.Contains(string(in.Body), "old") {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "NO", Message: "no"}
		}
		return nil
	})
	version := func(id, body string, hour int) {
		e := happenedAt("invoice.released", "C", hour, "10.00")
		e.ID = "e-" + id
		r.told(e)
		post := invoice(id, "invoice/C")
		post.ExternalID, post.Refs, post.Body = "x:C", []string{"invoice/C"}, json.RawMessage(body)
		r.post(post)
	}
	version("C1", `{"n":"old"}`, 1)
	r.start()
	r.state("C1", StateParked)
	r.again()
	version("C2", `{"n":"new"}`, 2)
	r.start()
	r.state("C2", StateDone)
	if d := r.delivery("C1"); d.State != StateSuperseded {
		t.Fatalf("the first version is %s", d.State)
	}
	p := &Pipeline{store: r.store}
	report, err := p.Reconcile(context.Background(), ReportQuery{Since: reportDay, Until: reportDay.Add(24 * time.Hour)})
	if err != nil || len(report.Lines) != 1 {
		t.Fatalf("%+v %v", report, err)
	}
	if l := report.Lines[0]; l.Released != (ReportSum{1, "10.00"}) || l.Posted != l.Released || l.Exception.Count+l.InFlight.Count != 0 || len(report.Differences) != 1 {
		t.Errorf("%+v\n%+v", l, report.Differences)
	}
	if got := r.backlog(ReportQuery{}); !strings.Contains(got, "released 0, posted 1 10.00 invoice/C") {
		t.Errorf("still on its way: %s", got)
	}
}
