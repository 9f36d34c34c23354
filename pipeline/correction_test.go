package pipeline

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// A credit that was queued before its original would wait for what stands behind it: what is waited for steps ahead.
func TestWhatIsWaitedForStepsAhead(t *testing.T) {
	r := newRig(t)
	original := transform.Gate{Kind: transform.GateLedger, Name: "erp.sales_invoice", Key: "x:o"}
	r.post(invoice("z", "invoice/1"), invoice("c", "invoice/1", original), invoice("r", "invoice/1", original), invoice("o", "invoice/1"), invoice("y", "invoice/1"))
	r.start()
	r.state("y", StateDone)
	if want := []string{"x:z create", "x:z post", "x:o create", "x:o post", "x:c create", "x:c post", "x:r create", "x:r post", "x:y create", "x:y post"}; !slices.Equal(r.sink.sent(), want) {
		t.Errorf("sent %v", r.sink.sent())
	}
}

// When a person gives up a credit, its replacement would be open beside the original: it waits for a person, too.
func TestAReplacementOfACreditThatWasGivenUpWaits(t *testing.T) {
	r := newRig(t)
	types := map[string]string{"o": "invoice.released", "c": "credit_memo.issued", "r": "invoice.rebilled", "m": "credit_memo.issued", "n": "credit_memo.issued"}
	posts := []transform.Post{invoice("o", "invoice/1"), invoice("c", "invoice/1"), invoice("r", "invoice/1"), invoice("m", "invoice/2"), invoice("n", "invoice/2")}
	r.do(func(_ *state, out *output) error {
		for _, p := range posts {
			if err := out.Event(transform.Event{ID: p.Event, Type: types[p.ID], Entity: "invoice", Key: p.ID, Data: json.RawMessage(`{}`)}); err != nil {
				return err
			}
		}
		return nil
	})
	r.post(posts...)
	refused := true
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if refused && (in.ExternalID == "x:c" || in.ExternalID == "x:m") {
			return &sinks.Outcome{Class: sinks.Rejected, Message: "no"}
		}
		return nil
	})
	r.start()
	r.state("c", StateParked)
	r.state("m", StateParked)
	p := fleet(r, partsMapping)
	ctx := context.Background()
	open := func() (ids map[string]string) {
		list, err := p.Exceptions(ctx, ExceptionQuery{})
		if err != nil {
			t.Fatal(err)
		}
		ids = map[string]string{}
		for _, x := range list {
			ids[x.Code+" "+strings.Join(x.Subjects, " ")] = x.ID
		}
		return ids
	}
	for k, id := range open() {
		if _, err := p.Discard(ctx, []string{id}, "ann", "posted by hand"); err != nil {
			t.Fatal(k, err)
		}
	}
	r.state("n", StateDone) // another credit of its original goes on
	r.state("r", StateParked)
	id := open()["CORRECTION_PENDING invoice/r"]
	if sent := r.sink.sent(); id == "" || slices.Contains(sent, "x:r create") {
		t.Fatalf("open: %v, sent %v", open(), sent)
	}
	if _, err := p.Retry(ctx, []string{id}, "ann", "credited by hand in the ERP"); err != nil {
		t.Fatal(err)
	}
	r.state("r", StateDone)
	if left := open(); len(left) > 0 {
		t.Errorf("still open: %v", left)
	}
}

// A rebill is told as one thing, at each of its steps.
func TestACorrectionIsToldAsOneThing(t *testing.T) {
	f := newFair(t)
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)), f)
	defer w.close()
	p := &Pipeline{store: w.store, project: w.project}
	said := func(key string) string {
		t.Helper()
		items, err := p.Trace(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		if last := items[len(items)-1]; last.Kind == "correction" {
			return last.Where + ": " + last.Text
		}
		return ""
	}
	expect := func(what, want string) {
		t.Helper()
		for _, key := range []string{"invoice/I1", "I1"} {
			if got := said(key); got != want {
				t.Errorf("%s, %s:\n got %s\nwant %s", what, key, got, want)
			}
		}
	}
	commit := func(changes ...change) {
		w.commit(changes)
		w.pass(time.Second)
	}
	work := func() {
		for w.work(true) {
		}
	}
	commit("dispatch customers insert cust_cd=100100 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00")
	commit("billing bill_cust insert cust_cd=ACM01 erp_acct=100100 eff_dt=2019-01-01")
	commit("dispatch loads insert load_no=1 cust_cd=100100 status_cd=MTY pcs_ord=9 ord_ts=2026-10-01_06:00:00 dlv_dt=2026-10-02 dlv_tm=10:00:00 upd_ts=2026-10-02_10:00:00")
	commit(header("I1", "", "R", "150.00")+" load_no=1", lineOf("I1", "150.00"))
	work()
	expect("an invoice that nothing corrects", "")
	commit(header("I1R", "I1", "R", "140.00")+" load_no=1", lineOf("I1R", "140.00"))
	expect("the replacement came first", "invoice/I1: invoice I1 is posted as N-nstar:I1:0; "+
		"replacement I1R is not ready: invoice/I1R replaces invoice/I1, for which no credit_memo.issued has come; open: I1 150.00 USD")
	commit(header("I1C", "I1", "R", "-150.00")+" load_no=1", lineOf("I1C", "-150.00"))
	expect("the credit is on its way", "invoice/I1: invoice I1 is posted as N-nstar:I1:0; replacement I1R waits for credit I1C to be posted; "+
		"credit I1C will be sent next; open: I1 150.00 USD")
	work()
	done := "invoice I1 is posted as N-nstar:I1:0; replacement I1R is posted as N-nstar:I1R:0; credit I1C is posted as N-nstar:I1C:0; open: I1R 140.00 USD"
	expect("all is posted", "invoice/I1: "+done)
	v, err := p.Case(context.Background(), "shipment/1")
	if err != nil || len(v.Corrections) != 1 || v.Corrections[0].Of != "invoice/I1" || v.Corrections[0].Text != done {
		t.Errorf("the case: %+v %v", v.Corrections, err)
	}
}
