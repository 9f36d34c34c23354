package erp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
)

// server is one real Tryton for all tests of the package; each test uses keys of its own.
var server struct {
	sync.Mutex
	*sinktest.Tryton
}

func liveConfig(t *sinktest.Tryton, url string) TrytonConfig {
	return TrytonConfig{URL: url, Database: t.Database(), User: t.User(), Password: t.Password(), Company: t.Company(),
		Tax: "Sales tax 8.25%", ExemptTax: "Exempt", PaymentTerm: "NET 30", Horizon: time.Second}
}

func newLive(t *testing.T, cfg TrytonConfig) *Tryton {
	t.Helper()
	s, err := NewTryton(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestTrytonLive(t *testing.T) {
	erp := sinktest.StartTryton(t, sinktest.TrytonOptions{})
	proxy := sinktest.StartFaultProxy(t, erp.Addr(), 1)
	l := &live{erp: erp, proxy: proxy, sink: newLive(t, liveConfig(erp, proxy.URL())), rpc: erp.RPC(t, "admin")}
	for _, c := range []struct {
		name string
		run  func(*live, *testing.T)
	}{
		{"check", (*live).check}, {"customer", (*live).customer}, {"cents", (*live).cents},
	} {
		t.Run(c.name, func(t *testing.T) { proxy.Set(sinktest.Pass); c.run(l, t) })
	}
}

type live struct {
	erp   *sinktest.Tryton
	proxy *sinktest.FaultProxy
	sink  *Tryton
	rpc   *sinktest.TrytonRPC
}

func op(entity, external, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + external, Sink: "erp", Entity: entity, ExternalID: external, OrderKey: external, Body: json.RawMessage(body)}
}

func (l *live) prepare(t *testing.T, o sinks.Operation, step string, prior map[string]sinks.Outcome) sinks.Intent {
	t.Helper()
	in, out := l.sink.Prepare(context.Background(), o, step, prior, time.Now())
	if out != nil {
		t.Fatalf("preparing %s: %+v", step, *out)
	}
	return in
}

func want(t *testing.T, o sinks.Outcome, class sinks.Class, code string) {
	t.Helper()
	if o.Class != class || (code != "" && o.Code != code) {
		t.Fatalf("got %s %s, want %s %s: %+v", o.Class, o.Code, class, code, o)
	}
}

func (l *live) addCustomer(t *testing.T, code string) {
	t.Helper()
	in := l.prepare(t, op("customer", code, fmt.Sprintf(`{"code":%q,"name":"Customer %s","street":"1 Main St","city":"Dallas","postal_code":"75201","state":"TX","country":"US","payment_term":"NET 30"}`, code, code)), "upsert", nil)
	if o := l.sink.Deliver(context.Background(), in); !o.Done() {
		t.Fatalf("adding customer %s: %+v", code, o)
	}
}

func (l *live) post(t *testing.T, o sinks.Operation) (create, post sinks.Outcome) {
	t.Helper()
	in := l.prepare(t, o, "create", nil)
	create = l.sink.Deliver(context.Background(), in)
	want(t, create, sinks.Applied, "")
	in = l.prepare(t, o, "post", map[string]sinks.Outcome{"create": create})
	return create, l.sink.Deliver(context.Background(), in)
}

func (l *live) check(t *testing.T) {
	f, err := l.sink.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f {
		t.Logf("%-5s %s: %s %s", x.Level, x.Check, x.Found, x.Fix)
		if x.Level != "ok" {
			t.Errorf("check %s is %s", x.Check, x.Level)
		}
	}
	id, err := l.sink.Identity(context.Background())
	t.Log(id, err)
}

func (l *live) customer(t *testing.T) {
	body := `{"code":"C-100","name":"Lone Star Foods","street":"100 Main St","city":"Dallas","postal_code":"75201","state":"TX","country":"US","email":"ap@lonestar.example","phone":"+1 214 555 0100","tax_id":"75-1234567","payment_term":"NET 15"}`
	in := l.prepare(t, op("customer", "C-100", body), "upsert", nil)
	want(t, l.sink.Verify(context.Background(), in), sinks.Absent, "")
	want(t, l.sink.Deliver(context.Background(), in), sinks.Applied, "")
	want(t, l.sink.Verify(context.Background(), in), sinks.AlreadyApplied, "")
	want(t, l.sink.Deliver(context.Background(), in), sinks.AlreadyApplied, "")
}

func (l *live) cents(t *testing.T) {
	l.addCustomer(t, "C-200")
	today := time.Now().UTC().Format("2006-01-02")
	o := op("sales_invoice", "A200", fmt.Sprintf(`{"reference":"A200","party":"C-200","date":%q,"currency":"USD","net":"2175.88","tax":"152.63","total":"2328.51","lines":[
		{"product":"FRT","account":"4000","description":"Line haul","quantity":"1.000","unit_price":"1850.0000","net":"1850.00","tax":"Sales tax 8.25%%"},
		{"product":"FSC","account":"4010","description":"Fuel","quantity":"1","unit_price":"212.75","net":"212.75","tax":"Exempt"},
		{"product":"DET","account":"4020","description":"Detention","quantity":"2.5","unit_price":"45.25","net":"113.13","tax":"Exempt"}]}`, today))
	create, post := l.post(t, o)
	t.Logf("%+v\n%+v", create, post)
	want(t, post, sinks.Applied, "")
	if post.Facts["total"] != "2328.51" || post.Facts["tax"] != "152.63" || post.Facts["state"] != "posted" || post.Facts["move"] == "" {
		t.Errorf("facts: %v", post.Facts)
	}
}
