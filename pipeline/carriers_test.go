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

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// southMapping is another carrier of the same build as partsMapping, whose customers wait for the one that they name.
const southMapping = `mapping: south
version: 1
company: SOUTH
cutover: "2020-01-01T00:00:00Z"
sources:
  south: { schema: public, zone: America/Chicago }
events:
  customer.changed:
    from: south.customers
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name }
posts:
  customer.changed -> erp.customer:
    external_id: "s:{code}"
    require: [ { customer.changed: name } ]
    body: { code: code, name: name }
`

// southern is a transaction of the source south that writes one customer.
func southern(n int, code, name string) cdc.Batch {
	schema := *partsSchema
	schema.Source = "south"
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 9, 0, n, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: fmt.Sprintf("s%d", n), CommitAt: at})
	e.Change(cdc.Insert, &schema)
	e.Value([]byte(code))
	e.Value([]byte(name))
	b := cdc.Batch{Source: "south", Identity: "pg/2/1", Schemas: []*cdc.Schema{&schema}, CommitAt: at, Position: cdc.Position(fmt.Sprintf("pg/2/1/%d", n))}
	b.Data, b.Changes = e.Take()
	return b
}

// fleet is a pipeline over a rig, without sessions.
func fleet(r *rig, texts ...string) *Pipeline {
	return &Pipeline{o: Options{Carriers: carriers(r.t, texts...)}, store: r.store, project: r.project, log: slog.New(slog.DiscardHandler)}
}

// configure does what a start does with its configuration.
func (p *Pipeline) configure(t *testing.T) error {
	t.Helper()
	known, err := p.project.load()
	if err != nil {
		t.Fatal(err)
	}
	return p.activate(context.Background(), known)
}

func (r *rig) text(bucket, k string) string {
	r.t.Helper()
	var raw []byte
	err := r.store.View(func(tx *checkpoint.Txn) (err error) {
		raw, err = tx.Get(bucket, k)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return string(raw)
}

func (r *rig) mappings(p *Pipeline) string {
	r.t.Helper()
	v, err := checkpointView(p.store, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return v.Mapping
}

// A store of one carrier takes up a second one, loses it and takes it up again. What the first one left is found as it was, and
// nothing of the one meets anything of the other.
func TestASecondCarrierJoins(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	alone := fleet(r, partsMapping)
	if err := alone.configure(t); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(mappingEntry{"parts/1", "1.yaml", partsMapping})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.text(bucketSystem, homeKey); got != string(want) {
		t.Fatalf("one mapping is kept as %s", got)
	}
	r.seeded("dispatch")
	r.rows(part("1", 0, false, "A1"))
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}

	both := fleet(r, partsMapping, southMapping)
	last := r.store.Last()
	if err := both.configure(t); err != nil {
		t.Fatal(err)
	}
	if n := r.store.Last() - last; n != 1 {
		t.Errorf("%d entries for one mapping that joins", n)
	}
	if got := r.text(bucketSystem, homeKey); got != string(want) {
		t.Errorf("the first mapping is kept as %s", got)
	}
	if got := r.mappings(both); got != "parts/1, south/1" {
		t.Errorf("active: %s", got)
	}
	r.rows(cdc.Batch{Source: "south", Identity: "pg/2/1", Snapshot: true, Tx: "snapshot", Position: "pg/2/1/0", CommitAt: time.Unix(1, 0)})
	r.start()
	r.until("the first carrier's customer is delivered", func() bool { return slices.Equal(r.sink.sent(), []string{"A1 upsert"}) })

	// The second carrier's B1 waits for its own A1, not for the first carrier's.
	r.rows(southern(1, "B1", "A1"))
	r.rows(part("2", 0, false, "A2"))
	r.until("the first carrier goes on", func() bool { return slices.Contains(r.sink.sent(), "A2 upsert") })
	if sent := r.sink.sent(); slices.Contains(sent, "s:B1 upsert") {
		t.Fatalf("a gate was met by another carrier's event: %v", sent)
	}
	r.rows(southern(2, "A1", "A1"))
	r.until("its own event meets the gate", func() bool {
		sent := r.sink.sent()
		return slices.Contains(sent, "s:B1 upsert") && slices.Contains(sent, "s:A1 upsert")
	})
	r.stop()
	items, err := both.Trace(context.Background(), "A1")
	if err != nil {
		t.Fatal(err)
	}
	var story strings.Builder
	for _, i := range items {
		story.WriteString(i.Where + " " + i.Text + "\n")
	}
	for _, part := range []string{"parts/1 customer.changed customer/A1,", "south/1 customer.changed customer/SOUTH:A1,", "upsert A1: applied", "upsert s:A1: applied"} {
		if !strings.Contains(story.String(), part) {
			t.Errorf("the story of A1 has no %q:\n%s", part, story.String())
		}
	}

	// It is taken out and comes back; a start with the same configuration changes nothing.
	for _, step := range []struct {
		p    *Pipeline
		want string
		more uint64
	}{{fleet(r, partsMapping, southMapping), "parts/1, south/1", 0}, {fleet(r, partsMapping), "parts/1", 1}, {fleet(r, southMapping), "south/1", 1},
		{fleet(r, southMapping, partsMapping), "parts/1, south/1", 1}} {
		last := r.store.Last()
		if err := step.p.configure(t); err != nil {
			t.Fatal(err)
		}
		if got, n := r.mappings(step.p), r.store.Last()-last; got != step.want || n != step.more {
			t.Errorf("active: %s by %d entries, expected %s by %d", got, n, step.want, step.more)
		}
	}
	if got := r.text(bucketSystem, homeKey); !strings.Contains(got, "mapping: parts") || strings.Contains(got, "retired") {
		t.Errorf("the first mapping is kept as %s", got)
	}
	r.rows(southern(3, "C1", "A1"))
	r.rows(part("3", 0, false, "A3"))
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"A3", "C1"} {
		if list, err := both.Events(context.Background(), EventQuery{Key: k}); err != nil || len(list) != 1 {
			t.Errorf("events of %s: %v %v", k, list, err)
		}
	}
}

func TestOneMappingIsRenamedInItsPlace(t *testing.T) {
	r := newRig(t)
	if err := fleet(r, partsMapping).configure(t); err != nil {
		t.Fatal(err)
	}
	renamed := fleet(r, strings.Replace(partsMapping, "mapping: parts", "mapping: pieces", 1))
	if err := renamed.configure(t); err != nil {
		t.Fatal(err)
	}
	if got := r.text(bucketSystem, homeKey); !strings.Contains(got, "pieces") || r.mappings(renamed) != "pieces/1" {
		t.Errorf("active: %s, kept as %s", r.mappings(renamed), got)
	}
}

func TestWhatIsNotFoundAgainIsRefused(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	if err := fleet(r, partsMapping).configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	company := strings.Replace(partsMapping, "version: 1\n", "version: 2\ncompany: NSTAR\n", 1)
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{company}, `mapping parts/2 is of the company "NSTAR", what was captured of source dispatch is of ""`},
		{[]string{strings.Replace(partsMapping, "mapping: parts", "mapping: other", 1), southMapping}, "mapping other/1 reads source dispatch, which parts/1 read so far"},
	} {
		last := r.store.Last()
		err := fleet(r, c.texts...).configure(t)
		if err == nil || !strings.Contains(err.Error(), c.want) || r.store.Last() != last {
			t.Errorf("%d entries, error %v", r.store.Last()-last, err)
		}
	}
}

func TestWhatIsIgnoredIsCountedAndTold(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.do(func(_ *state, out *output) error {
			return out.Note(transform.Note{Rule: "customer.changed (m.yaml:9)", Refs: []string{"customer/A1"}, Why: "customer.changed of billing.bill_cust ignored: dispatch owns it"})
		})
	}
	items, err := fleet(r, partsMapping).Trace(context.Background(), "customer/A1")
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 1 || items[0].Kind != "note" || items[0].Where != "customer.changed (m.yaml:9)" ||
		!strings.HasPrefix(items[0].Text, "customer.changed of billing.bill_cust ignored: dispatch owns it; 3 times since ") {
		t.Errorf("%+v", items)
	}
}

func TestAnExternalIDOfTwoCompaniesIsNotSent(t *testing.T) {
	r := newRig(t)
	of := func(id, company string) transform.Post {
		p := invoice(id, transform.Ref(company, "invoice", "1"))
		p.ExternalID, p.Company, p.Refs = "A1", company, []string{transform.Ref(company, "invoice", "1")}
		return p
	}
	master := customer("C1")
	master.Company = "EAST"
	again := of("i4", "EAST") // its next version
	r.post(of("i1", "EAST"), of("i2", "WEST"), of("i3", ""), again, customer("C1"), master)
	late := of("i5", "WEST")
	late.ExternalID = "B1"
	first := of("i6", "")
	first.ExternalID, first.OrderKey = "B1", "invoice/2"
	r.post(first, late)
	r.start()
	r.state("i1", StateDone)
	r.state("i4", StateDone)
	r.state("i6", StateDone)
	for _, id := range []string{"i2", "i3"} {
		r.state(id, StateParked)
	}
	r.stop()
	if sent := r.sink.sent(); slices.Contains(sent, "B1 create TWICE") || !slices.Contains(sent, "B1 create") {
		t.Errorf("sent: %v", sent)
	}
	list, err := fleet(r, partsMapping).Exceptions(context.Background(), ExceptionQuery{Code: "EXTERNAL_ID_SHARED"})
	if err != nil || len(list) != 3 || list[0].Title != "invoice/WEST:1 of company WEST has the external id A1, which a document of company EAST has in erp." {
		t.Errorf("%v %+v", err, list)
	}
}

func TestAGateIsMetInItsCompanyAlone(t *testing.T) {
	r := newRig(t)
	r.do(func(s *state, out *output) error {
		s.awaited = map[string]bool{"pod.received": true}
		if err := out.Event(transform.Event{ID: "1", Type: "pod.received", Entity: "pod", Key: "7", Company: "SOUTH", Refs: []string{"pod/SOUTH:7", "shipment/SOUTH:8"}}); err != nil {
			return err
		}
		for k, want := range map[string]bool{"7": false, "8": false, "SOUTH:7": true, "SOUTH:8": true} {
			if met, err := s.met(transform.Gate{Kind: transform.GateEvent, Name: "pod.received", Key: k}); err != nil || met != want {
				t.Errorf("pod.received %s is met: %t, %v", k, met, err)
			}
		}
		return nil
	})
	p := invoice("i1", "invoice/SOUTH:1")
	p.Company = "SOUTH"
	r.post(p)
	r.start()
	r.state("i1", StateDone)
	r.stop()
	r.do(func(s *state, _ *output) error {
		for k, want := range map[string]bool{"x:i1": false, "SOUTH:x:i1": true} {
			if met, err := s.met(transform.Gate{Kind: transform.GateLedger, Name: "erp.sales_invoice", Key: k}); err != nil || met != want {
				t.Errorf("erp.sales_invoice %s is met: %t, %v", k, met, err)
			}
		}
		return nil
	})
}
