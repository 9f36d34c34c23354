package erp

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
)

// live is one real Tryton for all these tests, behind a proxy; each test uses keys of its own.
type live struct {
	erp   *sinktest.Tryton
	proxy *sinktest.FaultProxy
	sink  *Tryton
	rpc   *sinktest.TrytonRPC
}

func (l *live) config() TrytonConfig {
	return TrytonConfig{URL: l.proxy.URL(), Database: l.erp.Database(), User: l.erp.User(), Password: l.erp.Password(),
		Company: l.erp.Company(), Tax: "Sales tax 8.25%", ExemptTax: "Exempt", PaymentTerm: "NET 30", Horizon: time.Second,
		Accounts: []string{"4000", "4010", "4020"}, Products: []string{"FRT"}}
}

func open(t *testing.T, cfg TrytonConfig) *Tryton {
	t.Helper()
	s, err := NewTryton(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestTryton(t *testing.T) {
	erp := sinktest.StartTryton(t, sinktest.TrytonOptions{})
	l := &live{erp: erp, proxy: sinktest.StartFaultProxy(t, erp.Addr(), 1), rpc: erp.RPC(t, "admin")}
	l.sink = open(t, l.config())
	for _, c := range []struct {
		name string
		run  func(*live, *testing.T)
	}{
		{"contract", (*live).contract},
		{"check", (*live).check},
		{"customer changes", (*live).customerChanges},
		{"edits in Tryton", (*live).edits},
		{"the source's cents win", (*live).cents},
		{"no taxes at all", (*live).untaxed},
		{"credit memo", (*live).creditMemo},
		{"back-dated documents", (*live).backDated},
		{"closed period", (*live).closedPeriod},
		{"lookups", (*live).lookups},
		{"posting date", (*live).postingDate},
		{"refused before anything is sent", (*live).refusals},
		{"a draft created twice", (*live).createdTwice},
		{"somebody else's hands", (*live).otherHands},
		{"session ends", (*live).sessionEnds},
		{"one login for a wrong password", (*live).wrongPassword},
		{"server killed while posting", (*live).killed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(l, t) })
	}
}

func (l *live) contract(t *testing.T) {
	method := map[string]string{"upsert": "party.party.create", "create": "account.invoice.create", "post": "account.invoice.post"}
	heal := func() { l.proxy.Set(sinktest.ProxyFault{Fault: sinktest.Pass}) }
	sinktest.TestSink(t, sinktest.Harness{
		Sink: l.sink,
		Operations: map[string]func(*testing.T, int) sinks.Operation{
			"customer": func(_ *testing.T, n int) sinks.Operation { return customerOp(fmt.Sprintf("T-%d", n), "Dallas") },
			"sales_invoice": func(t *testing.T, n int) sinks.Operation {
				l.addCustomer(t, "T-0")
				return invoiceOp(fmt.Sprintf("TI-%d", n), "T-0", today(), "100.00")
			},
		},
		Altered: func(op sinks.Operation) sinks.Operation {
			if op.Entity == "customer" {
				return customerOp(op.ExternalID, "Houston")
			}
			return invoiceOp(op.ExternalID, "T-0", today(), "101.00")
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			return invoiceOp(fmt.Sprintf("TI-%d", n), "nobody", today(), "100.00")
		},
		LoseAnswer: func(_, step string) {
			l.proxy.Set(sinktest.ProxyFault{Fault: sinktest.DropAnswer, Match: method[step], Count: 1})
		},
		Unreachable: func() { l.proxy.Set(sinktest.ProxyFault{Fault: sinktest.Refuse}) },
		Heal:        heal,
		Questions:   l.questions(t),
		Intruder: func(t *testing.T) sinks.Sink {
			cfg := l.config()
			cfg.User, cfg.Password = "intruder", "wrong"
			return open(t, cfg)
		},
	})
}

func today() string { return time.Now().UTC().Format(dateForm) }

func operation(entity, external, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + external, Sink: "erp", Entity: entity, ExternalID: external, OrderKey: external, Body: json.RawMessage(body)}
}

func customerOp(code, city string) sinks.Operation {
	return operation("customer", code, fmt.Sprintf(`{"code":%q,"name":"Customer %[1]s","street":"1 Main St","city":%[2]q,
		"postal_code":"75201","state":"TX","country":"US","email":"ap@%[1]s.example","phone":"+1 (214) 555-0100","tax_id":"75-1234567",
		"payment_term":"NET 15"}`, code, city))
}

// invoiceOp is a document of one exempt line.
func invoiceOp(reference, party, date, net string) sinks.Operation {
	return operation("sales_invoice", reference, fmt.Sprintf(`{"reference":%q,"party":%q,"date":%q,"currency":"USD","net":%[4]q,
		"tax":"0.00","total":%[4]q,"lines":[{"product":"FRT","account":"4000","description":"Line haul","net":%[4]q,"tax":"Exempt"}]}`,
		reference, party, date, net))
}

func (l *live) prepare(t *testing.T, op sinks.Operation, step string, prior map[string]sinks.Outcome) sinks.Intent {
	t.Helper()
	in, out := l.sink.Prepare(t.Context(), op, step, prior, time.Now())
	if out != nil {
		t.Fatalf("preparing %s: %+v", step, *out)
	}
	return in
}

func want(t *testing.T, o sinks.Outcome, class sinks.Class, code string) {
	t.Helper()
	if o.Class != class || o.Code != code {
		t.Fatalf("got %s %s, want %s %s: %+v", o.Class, o.Code, class, code, o)
	}
}

func wantFacts(t *testing.T, o sinks.Outcome, facts map[string]string) {
	t.Helper()
	for k, v := range facts {
		if o.Facts[k] != v {
			t.Errorf("%s is %q, want %q", k, o.Facts[k], v)
		}
	}
}

func (l *live) addCustomer(t *testing.T, code string) {
	t.Helper()
	if o := l.sink.Deliver(t.Context(), l.prepare(t, customerOp(code, "Dallas"), "upsert", nil)); !o.Done() {
		t.Fatalf("adding customer %s: %+v", code, o)
	}
}

func (l *live) create(t *testing.T, op sinks.Operation) sinks.Outcome {
	t.Helper()
	o := l.sink.Deliver(t.Context(), l.prepare(t, op, "create", nil))
	want(t, o, sinks.Applied, "")
	return o
}

func (l *live) post(t *testing.T, op sinks.Operation) sinks.Outcome {
	t.Helper()
	in := l.prepare(t, op, "post", map[string]sinks.Outcome{"create": l.create(t, op)})
	if in.Sequence == "" {
		t.Error("a post needs a number sequence")
	}
	o := l.sink.Deliver(t.Context(), in)
	want(t, o, sinks.Applied, "")
	return o
}

func (l *live) check(t *testing.T) {
	found, err := l.sink.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Level != "ok" {
			t.Errorf("%+v", f)
		}
	}
	cfg := l.config()
	cfg.Taxes, cfg.Company = []string{"VAT 19%"}, l.erp.Company()
	bad, err := open(t, cfg).Check(t.Context())
	if err != nil || bad[len(bad)-1].Check == "" {
		t.Fatal(bad, err)
	}
	for _, f := range bad {
		if f.Check == "tax VAT 19%" && f.Level == "fail" && f.Fix != "" {
			return
		}
	}
	t.Errorf("a missing tax is not found: %+v", bad)
}

func (l *live) customerChanges(t *testing.T) {
	ctx := t.Context()
	l.addCustomer(t, "C-1")
	l.rpc.Must(nil, "party.party.write", []any{l.rpc.Rows("party.party", []any{[]any{"code", "=", "C-1"}}, "id")[0]["id"]}, map[string]any{"active": false})
	in := l.prepare(t, operation("customer", "C-1", `{"code":"C-1","name":"Lone Star Foods Inc","city":"Houston","phone":"1-214-555-0100","email":null}`), "upsert", nil)
	want(t, l.sink.Deliver(ctx, in), sinks.Applied, "")
	want(t, l.sink.Deliver(ctx, in), sinks.AlreadyApplied, "")
	rows := l.rpc.Rows("party.party", []any{[]any{"code", "=", "C-1"}}, "name", "active", "addresses.city", "addresses.street",
		"contact_mechanisms.type", "contact_mechanisms.value", "identifiers.code", "customer_payment_term.name")
	got, _ := json.Marshal(rows)
	r := record(rows[0])
	address, contacts := r.list("addresses")[0], r.list("contact_mechanisms")
	if len(rows) != 1 || r.text("name") != "Lone Star Foods Inc" || address.text("city") != "Houston" || address.text("street") != "1 Main St" ||
		len(contacts) != 1 || contacts[0].text("value") != "+1 (214) 555-0100" || r.sub("customer_payment_term").text("name") != "NET 15" {
		t.Errorf("party: %s", got)
	}
}

// cents has a tax that Tryton rounds to 152.62, and hours that its unit cannot hold.
func (l *live) cents(t *testing.T) {
	l.addCustomer(t, "C-2")
	o := l.post(t, operation("sales_invoice", "A-200", fmt.Sprintf(`{"reference":"A-200","party":"C-2","date":%q,"currency":"USD",
		"net":"2175.88","tax":"152.63","total":"2328.51","payment_term":"NET 30","description":"Load 88412","lines":[
		{"product":"FRT","account":"4000","description":"Line haul","quantity":"1.000","unit_price":"1850.0000","net":"1850.00","tax":"Sales tax 8.25%%"},
		{"product":"FSC","account":"4010","description":"Fuel","quantity":"1","unit_price":"212.75","net":"212.75","tax":"Exempt"},
		{"product":"DET","account":"4020","description":"Detention","quantity":"2.5","unit_price":"45.25","net":"113.13","tax":"Exempt"}]}`, today())))
	wantFacts(t, o, map[string]string{"state": "posted", "net": "2175.88", "tax": "152.63", "total": "2328.51", "party": "C-2", "currency": "USD"})
	rows := l.rpc.Rows("account.move.line", []any{[]any{"move.origin", "=", "account.invoice," + o.Ref}}, "account.code", "debit", "credit", "tax_lines.type", "tax_lines.amount")
	books := map[string]string{}
	for _, r := range rows {
		r := record(r)
		books[r.sub("account").text("code")] = sinktest.Amount(r["debit"]) + " " + sinktest.Amount(r["credit"])
		for _, x := range r.list("tax_lines") {
			books["tax "+x.text("type")] += " " + x.amount("amount")
		}
	}
	for k, v := range map[string]string{"1200": "2328.51 0", "4000": "0 1850.00", "4010": "0 212.75", "4020": "0 113.13", "2200": "0 152.63"} {
		if books[k] != v {
			t.Errorf("account %s: debit and credit %q, want %q", k, books[k], v)
		}
	}
	if books["tax tax"] != " 152.63" || len(books["tax base"]) == 0 {
		t.Errorf("the tax report loses its bases: %v", books)
	}
	o = l.post(t, operation("sales_invoice", "A-201", fmt.Sprintf(`{"reference":"A-201","party":"C-2","date":%q,"currency":"USD",
		"net":"1800.00","tax":"148.51","total":"1948.51","lines":[
		{"product":"FRT","account":"4000","description":"Line haul","quantity":"1","unit_price":"1850.00","net":"1850.00","tax":"152.63"},
		{"product":"FRT","account":"4000","description":"Discount","quantity":"-1","unit_price":"50.00","net":"-50.00","tax":"-4.12"}]}`, today())))
	wantFacts(t, o, map[string]string{"net": "1800", "tax": "148.51", "total": "1948.51"})
}

// untaxed lines name no tax at all; what the document corrects and which shipment a line is of is read in the descriptions.
func (l *live) untaxed(t *testing.T) {
	kept, cfg := l.sink, l.config()
	cfg.ExemptTax = ""
	l.sink = open(t, cfg)
	defer func() { l.sink = kept }()
	l.addCustomer(t, "C-15")
	o := l.post(t, operation("sales_invoice", "A-1500-B", fmt.Sprintf(`{"reference":"A-1500-B","party":"C-15","date":%q,"currency":"USD","applies_to":"A-1500",
		"net":"1500.50","tax":"0.00","total":"1500.50","lines":[
		{"product":"FRT","account":"4000","description":"Haulage","shipment":"7001","quantity":"24.350","net":"1500.50"}]}`, today())))
	wantFacts(t, o, map[string]string{"state": "posted", "tax": "0", "total": "1500.5"})
	rows := l.rpc.Rows("account.invoice", []any{[]any{"id", "=", json.Number(o.Ref)}}, "description", "taxes", "lines.description")
	r := record(rows[0])
	if text := r.list("lines")[0].text("description"); r.text("description") != "corrects A-1500" || text != "Haulage, shipment 7001 (24.35)" || len(toIDs(r["taxes"])) > 0 {
		t.Errorf("%v, line %q", r, text)
	}
}

func (l *live) creditMemo(t *testing.T) {
	l.addCustomer(t, "C-3")
	o := l.post(t, operation("sales_invoice", "CM-300", fmt.Sprintf(`{"reference":"CM-300","type":"credit","party":"C-3","date":%q,"currency":"USD",
		"net":"-150.00","tax":"-12.38","total":"-162.38","lines":[
		{"product":"FRT","account":"4000","description":"Rate correction","quantity":"-1","unit_price":"150.00","net":"-150.00","tax":"-12.38"}]}`, today())))
	wantFacts(t, o, map[string]string{"state": "posted", "total": "-162.38"})
	if o.Number[:4] != "CRN-" {
		t.Errorf("a credit memo got the number %s", o.Number)
	}
}

// backDated documents are overdue, which Tryton warns of, and come after numbers that are already out.
func (l *live) backDated(t *testing.T) {
	l.addCustomer(t, "C-4")
	l.post(t, invoiceOp("A-400", "C-4", today(), "10.00"))
	now := time.Now().UTC()
	old := now.AddDate(0, 0, -60)
	if old.Year() < now.Year()-1 {
		t.Fatal("the fiscal years do not reach back")
	}
	o := l.post(t, invoiceOp("A-401", "C-4", old.Format(dateForm), "20.00"))
	posting := today()
	if old.Year() < now.Year() {
		posting = old.Format(dateForm) // another sequence, which is still empty
	}
	wantFacts(t, o, map[string]string{"date": old.Format(dateForm), "posting_date": posting})
}

// closedPeriod holds up the documents of its dates and no others, until somebody opens it.
func (l *live) closedPeriod(t *testing.T) {
	l.addCustomer(t, "C-11")
	at := time.Now().UTC().AddDate(0, 0, -100)
	day := sinktest.WireDate(at.Year(), int(at.Month()), at.Day())
	period := l.rpc.Rows("account.period", []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day}}, "id")[0]["id"]
	op := invoiceOp("A-1100", "C-11", at.Format(dateForm), "11.00")
	l.rpc.Must(nil, "account.period.close", []any{period})
	_, out := l.sink.Prepare(t.Context(), op, "create", nil, time.Now())
	if out == nil {
		t.Fatal("a closed period is taken")
	}
	want(t, *out, sinks.Rejected, codePeriod)
	l.post(t, invoiceOp("A-1101", "C-11", today(), "11.00"))
	l.rpc.Must(nil, "account.period.reopen", []any{period})
	l.post(t, op)
}

func (l *live) refusals(t *testing.T) {
	l.addCustomer(t, "C-5")
	for _, c := range []struct {
		name  string
		op    sinks.Operation
		class sinks.Class
		code  string
	}{
		{"future", invoiceOp("A-500", "C-5", time.Now().AddDate(0, 0, 3).Format(dateForm), "1.00"), sinks.Rejected, "FUTURE_DATE"},
		{"no period", invoiceOp("A-501", "C-5", "2019-05-01", "1.00"), sinks.Rejected, codePeriod},
		{"no party", invoiceOp("A-502", "C-5x", today(), "1.00"), sinks.Rejected, "UNKNOWN_CUSTOMER"},
		{"sum", operation("sales_invoice", "A-503", `{"reference":"A-503","party":"C-5","date":"2026-01-02","currency":"USD","net":"2.00","tax":"0","total":"2.00","lines":[{"account":"4000","net":"1.00"}]}`), sinks.Rejected, codeTotal},
		{"account", operation("sales_invoice", "A-504", `{"reference":"A-504","party":"C-5","date":"2026-01-02","currency":"USD","net":"2.00","tax":"0","total":"2.00","lines":[{"account":"4999","net":"2.00"}]}`), sinks.Rejected, "UNKNOWN_ACCOUNT"},
		{"tax rate", operation("sales_invoice", "A-505", `{"reference":"A-505","party":"C-5","date":"2026-01-02","currency":"USD","net":"100.00","tax":"10.00","total":"110.00","lines":[{"account":"4000","net":"100.00","tax":"Sales tax 8.25%"}]}`), sinks.Rejected, "TAX_MISMATCH"},
		{"currency", operation("sales_invoice", "A-506", `{"reference":"A-506","party":"C-5","date":"2026-01-02","currency":"XXX","net":"2.00","tax":"0","total":"2.00","lines":[{"account":"4000","net":"2.00"}]}`), sinks.Rejected, "UNKNOWN_CURRENCY"},
		{"field", operation("sales_invoice", "A-507", `{"reference":"A-507","customer":"C-5"}`), sinks.Rejected, "BODY"},
		{"state", operation("customer", "C-5", `{"code":"C-5","name":"x","state":"ZZ","country":"US"}`), sinks.Rejected, "UNKNOWN_STATE"},
	} {
		_, out := l.sink.Prepare(t.Context(), c.op, map[string]string{"customer": "upsert"}[c.op.Entity]+map[string]string{"sales_invoice": "create"}[c.op.Entity], nil, time.Now())
		if out == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		if out.Class != c.class || out.Code != c.code || out.Message == "" || out.Hint == "" {
			t.Errorf("%s: %+v", c.name, *out)
		}
	}
}

// createdTwice is the client that gave up early and sent again while the first create was still running.
func (l *live) createdTwice(t *testing.T) {
	l.addCustomer(t, "C-6")
	op := invoiceOp("A-600", "C-6", today(), "66.00")
	in := l.prepare(t, op, "create", nil)
	var req createRequest
	if err := decodeAnswer(in.Request, &req); err != nil {
		t.Fatal(err)
	}
	x, cancel := l.sink.begin(t.Context())
	defer cancel()
	for range 2 {
		if _, out := x.write(nil, "account.invoice", "create", nil, []record{req.Values}); out != nil {
			t.Fatal(out)
		}
	}
	want(t, l.sink.Verify(t.Context(), in), sinks.Conflict, "DUPLICATE_IN_TARGET")
	want(t, l.sink.Deliver(t.Context(), in), sinks.AlreadyApplied, "")
	want(t, l.sink.Verify(t.Context(), in), sinks.AlreadyApplied, "")
	if rows := l.rpc.Rows("account.invoice", []any{[]any{"reference", "=", "A-600"}}, "state"); len(rows) != 1 {
		t.Errorf("drafts left: %v", rows)
	}
}

func (l *live) otherHands(t *testing.T) {
	ctx := t.Context()
	l.addCustomer(t, "C-7")
	op := invoiceOp("A-700", "C-7", today(), "70.00")
	create := l.create(t, op)
	post := l.prepare(t, op, "post", map[string]sinks.Outcome{"create": create})
	var id json.Number = json.Number(create.Ref)
	lines := l.rpc.Rows("account.invoice.line", []any{[]any{"invoice", "=", id}}, "id")
	l.rpc.Must(nil, "account.invoice.line.write", []any{lines[0]["id"]}, map[string]any{"quantity": 2})
	want(t, l.sink.Deliver(ctx, post), sinks.Conflict, "CHANGED_IN_TARGET")
	l.rpc.Must(nil, "account.invoice.line.write", []any{lines[0]["id"]}, map[string]any{"quantity": 1})
	want(t, l.sink.Deliver(ctx, post), sinks.Applied, "")
	want(t, l.sink.Deliver(ctx, post), sinks.AlreadyApplied, "")

	op = invoiceOp("A-701", "C-7", today(), "71.00")
	post = l.prepare(t, op, "post", map[string]sinks.Outcome{"create": l.create(t, op)})
	l.rpc.Must(nil, "account.invoice.cancel", []any{json.Number(post.Ref)})
	want(t, l.sink.Deliver(ctx, post), sinks.Conflict, "CANCELLED")

	op = invoiceOp("A-702", "C-7", today(), "72.00")
	post = l.prepare(t, op, "post", map[string]sinks.Outcome{"create": l.create(t, op)})
	l.rpc.Must(nil, "account.invoice.delete", []any{json.Number(post.Ref)})
	want(t, l.sink.Deliver(ctx, post), sinks.Conflict, "DRAFT_DELETED")

	op = invoiceOp("A-703", "C-7", today(), "73.00")
	post = l.prepare(t, op, "post", map[string]sinks.Outcome{"create": l.create(t, op)})
	l.rpc.Must(nil, "account.invoice.write", []any{json.Number(post.Ref)}, map[string]any{"state": "posted"})
	want(t, l.sink.Verify(ctx, post), sinks.Conflict, "POST_INCOMPLETE")
}

func (l *live) sessionEnds(t *testing.T) {
	l.sink.rpc.mu.Lock()
	l.sink.rpc.auth = "Session c3luYzoyOmRlYWQ="
	l.sink.rpc.mu.Unlock()
	before, _ := l.proxy.Requests()
	l.addCustomer(t, "C-8")
	after, _ := l.proxy.Requests()
	if n := after - before; n > 8 {
		t.Errorf("%d requests for one customer after the session ended", n)
	}
}

func (l *live) wrongPassword(t *testing.T) {
	cfg := l.config()
	cfg.User, cfg.Password = "stranger", "wrong"
	s := open(t, cfg)
	clock := time.Now()
	s.rpc.now = func() time.Time { return clock }
	before, _ := l.proxy.Requests()
	for range 5 {
		_, out := s.Prepare(t.Context(), customerOp("C-9", "Dallas"), "upsert", nil, time.Now())
		want(t, *out, sinks.Setup, codeAuth)
		if out.Wait <= 0 {
			t.Errorf("no wait: %+v", *out)
		}
	}
	if after, _ := l.proxy.Requests(); after-before != 1 {
		t.Errorf("%d requests with a wrong password, want 1", after-before)
	}
	clock = clock.Add(301 * time.Second)
	_, _ = s.Prepare(t.Context(), customerOp("C-9", "Dallas"), "upsert", nil, time.Now())
	if after, _ := l.proxy.Requests(); after-before != 2 {
		t.Errorf("%d requests after the cool-down, want 2", after-before)
	}
}

// killed posts while the server is killed with kill -9, again and again; in the end each document is in the books once.
func (l *live) killed(t *testing.T) {
	ctx := t.Context()
	l.addCustomer(t, "C-10")
	const documents = 3
	for i := range documents {
		op := invoiceOp(fmt.Sprintf("K-%d", i), "C-10", today(), "5.00")
		post := l.prepare(t, op, "post", map[string]sinks.Outcome{"create": l.create(t, op)})
		done := make(chan sinks.Outcome)
		go func() { done <- l.sink.Deliver(ctx, post) }()
		time.Sleep(time.Duration(50+120*i) * time.Millisecond) // into the post, at another place each time
		l.erp.Kill()
		o := <-done
		if err := l.erp.Start(); err != nil {
			t.Fatal(err)
		}
		if !o.Done() {
			if o.Class != sinks.Unknown && o.Class != sinks.RetryLater {
				t.Fatalf("killed: %+v", o)
			}
			if v := l.sink.Verify(ctx, post); v.Class == sinks.Absent {
				want(t, l.sink.Deliver(ctx, post), sinks.Applied, "")
			} else {
				want(t, v, sinks.AlreadyApplied, "")
			}
		}
	}
	l.rpc = l.erp.RPC(t, "admin")
	rows := l.rpc.Rows("account.invoice", []any{[]any{"reference", "like", "K-%"}}, "state", "number", "move")
	if len(rows) != documents {
		t.Fatalf("documents: %v", rows)
	}
	for _, r := range rows {
		if r["state"] != "posted" || r["move"] == nil {
			t.Errorf("not in the books: %v", r)
		}
	}
}
