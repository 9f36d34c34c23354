package s4hana

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	sim "waybill/sinks/sinktest/s4hana"
	"waybill/sinks/web"
)

// tenant is a simulated tenant with a sink of company 1010.
type tenant struct {
	*sinktest.Sim
	product *sim.Product
	sink    *Sink
}

func simulated(t *testing.T, o sim.Options, change func(*Config)) *tenant {
	t.Helper()
	o.Companies, o.Taxes = map[string]string{"1010": "USD"}, map[string]string{"O0": "0", "O1": "8.25", "O2": "1"}
	s, p := sim.Start(t, o)
	return &tenant{s, p, against(t, s.URL, "Welcome1", change)}
}

// against makes a sink of a tenant's address.
func against(t *testing.T, url, password string, change func(*Config)) *Sink {
	t.Helper()
	cfg := good()
	cfg.URL, cfg.Timeout, cfg.Auth.Basic = url, 10*time.Second, &web.Basic{User: "WAYBILL", Password: web.Plain(password)}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func operation(entity, external, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + external, Sink: "erp", Entity: entity, ExternalID: external, OrderKey: external, Body: json.RawMessage(body)}
}

func customerOp(n int) sinks.Operation {
	return operation(customerEntity, fmt.Sprint("C", n), fmt.Sprintf(`{"code":"C%d","name":"Lone Star Foods %d","street":"1 Main St","city":"Dallas","state":"TX","postal_code":"75201","country":"US",
		"email":"ap%d@lonestar.example","phone":"+1 214 555 0100","tax_id":"12-345678%d","payment_term":"NET 30","active":true}`, n, n, n, n))
}

func invoiceOp(n int, party string) sinks.Operation {
	return operation(invoiceEntity, fmt.Sprintf("nstar:A%d:0", n), fmt.Sprintf(`{"reference":"nstar:A%d:0","type":"invoice","party":%q,"date":"2026-10-01","currency":"USD","description":"load 88121","net":"1150.00","tax":"82.50",
		"total":"1232.50","lines":[{"product":"FRT","account":"41000000","description":"Linehaul","quantity":"1.000","unit_price":"1000.0000","net":"1000.00","tax":"TX"},
		{"product":"DET","account":"41000000","description":"Detention","quantity":"2.000","net":"150.00","tax":"EX"}]}`, n, party))
}

// one delivers an operation and expects it to be applied.
func (s *tenant) one(t *testing.T, op sinks.Operation) sinks.Outcome {
	t.Helper()
	o := s.try(t, op)
	if o.Class != sinks.Applied {
		t.Fatalf("%s %s: %+v", op.Entity, op.ExternalID, o)
	}
	return o
}

func (s *tenant) try(t *testing.T, op sinks.Operation) sinks.Outcome {
	t.Helper()
	in := s.prepare(t, op)
	o := s.sink.Deliver(t.Context(), in)
	if text := fmt.Sprintf("%+v %s", o, in.Request); strings.Contains(text, "Welcome1") {
		t.Errorf("the password is in %s", text)
	}
	return o
}

func (s *tenant) prepare(t *testing.T, op sinks.Operation) sinks.Intent {
	t.Helper()
	in, out := s.sink.Prepare(t.Context(), op, handlers[op.Entity].step, nil, time.Now())
	if out != nil {
		t.Fatalf("preparing %s %s: %+v", op.Entity, op.ExternalID, *out)
	}
	return in
}

// simulators are the simulator's words for what the adapter does.
func simulators(entity, step string) (string, string) {
	switch {
	case step == stepPost:
		return entity, "post"
	case entity == locationEntity:
		return customerEntity, "create"
	}
	return entity, "create"
}

func TestSuite(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(0))
	s.one(t, operation(invoiceEntity, "ORIGINAL", strings.ReplaceAll(string(invoiceOp(0, "C0").Body), "nstar:A0:0", "ORIGINAL")))
	dead := against(t, s.URL, "wrong", nil)
	sinktest.TestSink(t, sinktest.Harness{
		Sink: s.sink,
		Operations: map[string]func(*testing.T, int) sinks.Operation{
			customerEntity: func(_ *testing.T, n int) sinks.Operation { return customerOp(n) },
			locationEntity: func(_ *testing.T, n int) sinks.Operation {
				return operation(locationEntity, fmt.Sprint("L", n), fmt.Sprintf(`{"code":"L%d","name":"Dock %d","city":"Dallas","state":"US-TX","country":"US"}`, n, n))
			},
			itemEntity: func(_ *testing.T, n int) sinks.Operation {
				return operation(itemEntity, fmt.Sprint("FRT", n), fmt.Sprintf(`{"code":"FRT%d","name":"Freight %d"}`, n, n))
			},
			invoiceEntity: func(_ *testing.T, n int) sinks.Operation { return invoiceOp(n, "C0") },
			creditEntity: func(_ *testing.T, n int) sinks.Operation {
				return operation(creditEntity, fmt.Sprintf("nstar:K%d:0", n), fmt.Sprintf(`{"reference":"nstar:K%d:0","type":"credit","party":"C0","date":"2026-10-02","currency":"USD","applies_to":"ORIGINAL","net":"-10.00","tax":"0.00",
					"total":"-10.00","lines":[{"account":"41000000","net":"-10.00","tax":"EX"}]}`, n))
			},
			journalEntity: func(_ *testing.T, n int) sinks.Operation {
				return operation(journalEntity, fmt.Sprintf("nstar:J%d", n), fmt.Sprintf(`{"reference":"nstar:J%d","date":"2026-10-01","currency":"JPY","description":"accrual",
					"lines":[{"account":"51000000","debit":"120"},{"account":"21000000","credit":"100"},{"account":"21000001","credit":20}]}`, n))
			},
		},
		Altered: func(op sinks.Operation) sinks.Operation {
			body := string(op.Body)
			for _, swap := range [][2]string{{"Lone Star", "Other"}, {"Dock", "Gate"}, {"Freight", "Haulage"}, {"2026-10-01", "2026-10-03"}, {"2026-10-02", "2026-10-03"}} {
				body = strings.ReplaceAll(body, swap[0], swap[1])
			}
			op.Body = json.RawMessage(body)
			return op
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			op := invoiceOp(n, "C0")
			op.Body = json.RawMessage(strings.Replace(string(op.Body), `"41000000"`, `"0"`, 1))
			return op
		},
		LoseAnswer: func(entity, step string) {
			e, st := simulators(entity, step)
			s.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: e, Step: st, Count: 1})
		},
		Unreachable: func() { s.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse}) },
		Heal:        func() { s.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass}) },
		Intruder:    func(*testing.T) sinks.Sink { return dead },
	})
	s.unique(t)
}

// unique looks in the ledger for anything that was made twice.
func (s *tenant) unique(t *testing.T) {
	t.Helper()
	seen := map[string]int{}
	for _, c := range s.Ledger() {
		if c.Step == "create" || c.Step == "post" {
			seen[c.Entity+" "+c.Key]++
		}
	}
	for key, n := range seen {
		if n > 1 && !strings.HasSuffix(key, " ") {
			t.Errorf("%s was made %d times", key, n)
		}
	}
	if len(seen) == 0 {
		t.Error("nothing was made")
	}
}

// What is read back is what was posted: number, year, period, dates and totals.
func TestReadBack(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	o := s.one(t, invoiceOp(1, "C1"))
	want := map[string]string{"state": "posted", "company": "1010", "fiscal_year": "2026", "period": "010", "date": "2026-10-01", "posting_date": "2026-10-01", "total": "1232.5", "currency": "USD", "party": "C1", "net": "1150", "tax": "82.5"}
	for name, value := range want {
		if o.Facts[name] != value {
			t.Errorf("%s is %q, want %q", name, o.Facts[name], value)
		}
	}
	if o.Number == "" || o.Ref != "1010/2026/"+o.Number || !strings.Contains(o.Request, "JournalEntryBulkCreateRequest") || !strings.Contains(o.Answer, o.Number) {
		t.Errorf("%+v", o)
	}
	l := s.Ledger()[len(s.Ledger())-1]
	if total, err := decimal.NewFromString(l.Total); err != nil || !total.Equal(decimal.RequireFromString("1232.50")) || l.Key != reference("nstar:A1:0") || l.Company != "1010" {
		t.Errorf("%+v", l)
	}
	if again := s.try(t, invoiceOp(1, "C1")); again.Class != sinks.AlreadyApplied || again.Ref != o.Ref {
		t.Errorf("sent again: %+v", again)
	}
}

// A credit of the original that is there names it; without it nothing is posted. So it is with the sales_invoice of type credit that carriers post today.
func TestCredit(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	s.one(t, customerOp(2))
	credit := func(entity, of, party string) sinks.Operation {
		return operation(entity, "nstar:A1-C:0", fmt.Sprintf(`{"reference":"nstar:A1-C:0","type":"credit","party":%q,"date":"2026-10-02","currency":"USD","applies_to":%q,"net":"-100.00","tax":"-8.25","total":"-108.25",
			"lines":[{"account":"41000000","net":"-100.00","tax":"TX"}]}`, party, of))
	}
	refused := func(op sinks.Operation, code string) {
		t.Helper()
		if _, out := s.sink.Prepare(t.Context(), op, stepPost, nil, time.Now()); out == nil || out.Class != sinks.Rejected || out.Code != code {
			t.Errorf("%s of %s: %+v", op.Entity, op.ExternalID, out)
		}
	}
	refused(credit(creditEntity, "nstar:A1:0", "C1"), "UNKNOWN_ORIGINAL")
	refused(credit(invoiceEntity, "nstar:A1:0", "C1"), "UNKNOWN_ORIGINAL")
	refused(credit(creditEntity, "", "C1"), "REQUIRED")
	original := s.one(t, invoiceOp(1, "C1"))
	refused(credit(creditEntity, "nstar:A1:0", "C2"), "UNKNOWN_ORIGINAL")
	o := s.one(t, credit(invoiceEntity, "nstar:A1:0", "C1"))
	if o.Facts["applies_to"] != original.Ref || o.Facts["total"] != "-108.25" || !strings.Contains(o.Request, "<Reference1IDByBusinessPartner>"+original.Number+"<") || !strings.Contains(o.Request, "<AccountingDocumentType>DG<") {
		t.Errorf("%+v", o)
	}
	l := s.Ledger()
	if c := l[len(l)-1]; c.Entity != "credit_note" || c.Total != "-108.25" {
		t.Errorf("%+v", c)
	}
}

// An update carries the ETags that were read, all parts in one changeset: all of them or none.
func TestUpdateOfSeveralParts(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	first := s.one(t, customerOp(1))
	before := len(s.Calls())
	change := operation(customerEntity, "C1", `{"code":"C1","name":"Lone Star Foods 1","street":"2 Elm St","city":"Dallas","state":"TX","postal_code":"75201","country":"US","email":"new@lonestar.example","phone":"","payment_term":"NT15","active":false}`)
	o := s.one(t, change)
	if o.Ref != first.Ref || !strings.Contains(o.Request, "changeset") || strings.Count(o.Request, "If-Match") < 2 {
		t.Errorf("%+v", o)
	}
	if v := s.sink.Verify(t.Context(), s.prepare(t, change)); v.Class != sinks.AlreadyApplied {
		t.Errorf("verify: %+v", v)
	}
	if n := len(s.Calls()) - before; n > 6 {
		t.Errorf("%d requests for one change", n)
	}
	// A part that fails takes all others with it.
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Count: 1})
	in := s.prepare(t, customerOp(1))
	if o := s.sink.Deliver(t.Context(), in); o.Done() || o.Class == sinks.Unknown {
		t.Errorf("a changeset with a part that failed: %+v", o)
	}
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	if v := s.sink.Verify(t.Context(), in); v.Class != sinks.Absent || !strings.Contains(v.Message, "StreetName") || !strings.Contains(v.Message, "BusinessPartnerIsBlocked") {
		t.Errorf("something of it was done: %+v", v)
	}
	s.one(t, customerOp(1))
	s.unique(t)
}

// Each fault, to the caller and in the ledger.
func TestFaults(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	hasty := against(t, s.URL, "Welcome1", func(c *Config) { c.Timeout = 1500 * time.Millisecond })
	s.one(t, customerOp(1))
	for i, c := range []struct {
		fault   sinktest.FaultOrder
		deliver sinks.Class
		code    string
		verify  sinks.Class
	}{
		{sinktest.FaultOrder{Fault: sinktest.DropAnswer}, sinks.Unknown, "OUTAGE", sinks.AlreadyApplied},
		{sinktest.FaultOrder{Fault: sinktest.ErrorAfter}, sinks.Unknown, "OUTAGE", sinks.AlreadyApplied},
		{sinktest.FaultOrder{Fault: sinktest.Delay, Delay: 3 * time.Second}, sinks.Unknown, "OUTAGE", ""}, // absent at first, there later
		{sinktest.FaultOrder{Fault: sinktest.Throttle, Delay: 7 * time.Second}, sinks.RetryLater, "RATE", sinks.Absent},
		{sinktest.FaultOrder{Fault: sinktest.Down}, sinks.Unknown, "OUTAGE", sinks.Absent},
		{sinktest.FaultOrder{Fault: sinktest.Locked}, sinks.RetryLater, codeLocked, sinks.Absent},
	} {
		t.Run(string(c.fault.Fault), func(t *testing.T) {
			in := s.prepare(t, invoiceOp(i, "C1"))
			c.fault.Entity, c.fault.Step, c.fault.Count = "sales_invoice", "post", 1
			s.SetFault(c.fault)
			sink := s.sink
			if c.fault.Fault == sinktest.Delay {
				sink = hasty
			}
			o := sink.Deliver(t.Context(), in)
			if o.Class != c.deliver || o.Code != c.code || c.fault.Fault == sinktest.Throttle && o.Wait != 7*time.Second {
				t.Errorf("deliver: %+v, want %s %s", o, c.deliver, c.code)
			}
			if v := s.sink.Verify(t.Context(), in); c.verify != "" && v.Class != c.verify {
				t.Errorf("verify: %+v, want %s", v, c.verify)
			}
			for deadline := time.Now().Add(20 * time.Second); c.verify == "" && s.sink.Verify(t.Context(), in).Class != sinks.AlreadyApplied; {
				if time.Now().After(deadline) {
					t.Fatal("it never came")
				}
			}
			if o := s.try(t, invoiceOp(i, "C1")); !o.Done() {
				t.Errorf("taken up again: %+v", o)
			}
		})
	}
	// A message whose first answer was lost and that a read does not show yet is the same message: S/4HANA does it once.
	in := s.prepare(t, invoiceOp(100, "C1"))
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Step: "post", Count: 1})
	s.sink.Deliver(t.Context(), in)
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Delay: time.Hour, Count: 1})
	if o := s.sink.Deliver(t.Context(), in); !o.Done() {
		t.Errorf("sent again behind a stale read: %+v", o)
	}
	s.unique(t)
}

// An expired session is renewed without counting as a failure, and a closed period is an exception that a retry gets through once it is open.
func TestSessionsAndPeriods(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.ExpireTokens, Count: 1})
	s.one(t, customerOp(2))
	s.product.Close("2026-11-01", "")
	o := s.try(t, invoiceOp(1, "C1"))
	if o.Class != sinks.Rejected || o.Code != "PERIOD_CLOSED" || o.Hint == "" {
		t.Errorf("%+v", o)
	}
	s.product.Close("", "")
	s.one(t, invoiceOp(1, "C1")) // the same UUID would bring back the refusal
	// That the present period is closed stops every document, and is one cause.
	now := invoiceOp(2, "C1")
	now.Body = json.RawMessage(strings.Replace(string(now.Body), "2026-10-01", time.Now().UTC().Format(dateForm), 1))
	s.product.Close("2100-01-01", "")
	if o := s.try(t, now); o.Class != sinks.Setup || o.Code != "PERIOD_CLOSED" {
		t.Errorf("%+v", o)
	}
	s.product.Close("", "")
	s.one(t, now)
	s.unique(t)
}

// The other property for the key finds the customer too, and two partners with one key are nobody's guess.
func TestPartnerKeys(t *testing.T) {
	s := simulated(t, sim.Options{}, func(c *Config) { c.Partner.Key = externalField })
	o := s.one(t, customerOp(1))
	if inv := s.one(t, invoiceOp(1, "C1")); !strings.Contains(inv.Request, "<Debtor>"+o.Ref+"</Debtor>") || !strings.Contains(o.Request, `"BusinessPartnerIDByExtSystem":"C1"`) {
		t.Errorf("%+v %+v", o, inv)
	}
	x := &exchange{Sink: s.sink, ctx: t.Context()}
	twin := object{"BusinessPartnerCategory": "2", "OrganizationBPName1": "Twin", externalField: "C1"}
	if _, out := x.write(partnerService, []change{{Method: http.MethodPost, Path: "A_BusinessPartner", Body: twin}}, sinks.Intent{}, "x"); out != nil {
		t.Fatal(*out)
	}
	if _, out := s.sink.Prepare(t.Context(), customerOp(1), stepUpsert, nil, time.Now()); out == nil || out.Class != sinks.Conflict || out.Code != "DUPLICATE_IN_TARGET" {
		t.Errorf("%+v", out)
	}
}

func TestRequestIDs(t *testing.T) {
	s := simulated(t, sim.Options{Repeatable: true}, func(c *Config) { c.Repeatability = RepeatabilityRequestID })
	in := s.prepare(t, customerOp(1))
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Step: "create", Count: 1})
	if o := s.sink.Deliver(t.Context(), in); o.Class != sinks.Unknown {
		t.Fatalf("%+v", o)
	}
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Delay: time.Hour, Count: 1})
	if o := s.sink.Deliver(t.Context(), in); !o.Done() || o.Ref == "" {
		t.Errorf("%+v", o)
	}
	s.unique(t)
}

func TestRefusedBeforeSending(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	edit := func(op sinks.Operation, swaps ...string) sinks.Operation {
		op.Body = json.RawMessage(strings.NewReplacer(swaps...).Replace(string(op.Body)))
		return op
	}
	other := invoiceOp(1, "C1")
	other.Company = "1710"
	before := len(s.Calls())
	for name, c := range map[string]struct {
		op   sinks.Operation
		code string
	}{
		"unknown member":   {edit(invoiceOp(1, "C1"), `"type"`, `"kind"`), "BODY"},
		"no customer":      {invoiceOp(1, "NOBODY"), "UNKNOWN_CUSTOMER"},
		"lines":            {edit(invoiceOp(1, "C1"), `"1000.00"`, `"999.00"`), codeTotal},
		"total":            {edit(invoiceOp(1, "C1"), `"1232.50"`, `"1232.51"`), codeTotal},
		"tax name":         {edit(invoiceOp(1, "C1"), `"TX"`, `"XX"`), "UNKNOWN_TAX"},
		"date":             {edit(invoiceOp(1, "C1"), "2026-10-01", "2026-10-01T00:00"), "DATE"},
		"digits":           {edit(invoiceOp(1, "C1"), `"USD"`, `"JPY"`), "DIGITS"},
		"currency":         {edit(invoiceOp(1, "C1"), `"USD"`, `"Dollar"`), "CURRENCY"},
		"sign":             {edit(invoiceOp(1, "C1"), `"invoice"`, `"credit"`), "TYPE"},
		"company":          {other, "COMPANY"},
		"small letters":    {edit(customerOp(1), `"C1"`, `"c1"`), "KEY"},
		"term":             {edit(customerOp(1), "NET 30", "NET 45"), "UNKNOWN_TERM"},
		"term of invoice":  {edit(invoiceOp(1, "C1"), `"type"`, `"payment_term":"NET 45","type"`), "UNKNOWN_TERM"},
		"state":            {edit(customerOp(1), `"country":"US",`, ""), "REQUIRED"},
		"number as code":   {operation(itemEntity, "1", `{"code":"1","name":"x"}`), "KEY"},
		"unbalanced":       {operation(journalEntity, "J", `{"reference":"J","date":"2026-10-01","currency":"USD","lines":[{"account":"1","debit":1},{"account":"2","credit":2}]}`), codeTotal},
		"both sides":       {operation(journalEntity, "J", `{"reference":"J","date":"2026-10-01","currency":"USD","lines":[{"account":"1","debit":1,"credit":1},{"account":"2","credit":2}]}`), "SIDE"},
		"credit above":     {edit(operation(creditEntity, "X", string(invoiceOp(1, "C1").Body)), `"invoice"`, `"credit"`), "TYPE"},
		"nothing but zero": {operation(invoiceEntity, "Z", `{"reference":"Z","party":"C1","date":"2026-10-01","currency":"USD","net":0,"tax":0,"total":0,"lines":[{"account":"1","net":0}]}`), codeTotal},
	} {
		_, out := s.sink.Prepare(t.Context(), c.op, handlers[c.op.Entity].step, nil, time.Now())
		if out == nil || out.Class != sinks.Rejected || out.Code != c.code || out.Message == "" {
			t.Errorf("%s: %+v, want %s", name, out, c.code)
		}
	}
	for _, call := range s.Calls()[before:] {
		if call.Step != "read" {
			t.Errorf("%+v", call)
		}
	}
	if _, err := s.sink.Entity("tax_code"); err == nil || !strings.Contains(err.Error(), "tax_codes") {
		t.Error(err)
	}
}

// Several taxes in one document make its tax to the cent.
func TestTaxes(t *testing.T) {
	x := &exchange{Sink: &Sink{cfg: good().withDefaults()}}
	for name, c := range map[string]struct{ lines, tax, want string }{
		"one":                {`{"account":"1","net":"100.00","tax":"TX"},{"account":"1","net":"50.00","tax":"EX"}`, "8.26", "O0 50 0, O1 100 8.26"},
		"several":            {`{"account":"1","net":"100.00","tax":"TX"},{"account":"1","net":"50.00","tax":"CITY"}`, "8.75", "O1 100 8.25, O2 50 0.5"},
		"a cent of rounding": {`{"account":"1","net":"100.00","tax":"TX"},{"account":"1","net":"50.00","tax":"CITY"}`, "8.76", "O1 100 8.26, O2 50 0.5"},
		"by amounts":         {`{"account":"1","net":"100.00","tax":"8.24"},{"account":"1","net":"50.00","tax":"0"}`, "8.24", "O0 50 0, O1 100 8.24"},
		"too far":            {`{"account":"1","net":"100.00","tax":"TX"},{"account":"1","net":"50.00","tax":"CITY"}`, "9.75", codeTotal},
		"none bears it":      {`{"account":"1","net":"150.00","tax":"EX"}`, "8.25", "UNKNOWN_TAX"},
	} {
		net := decimal.RequireFromString("150.00")
		body := fmt.Sprintf(`{"reference":"A","party":"C","date":"2026-10-01","currency":"USD","net":"150.00","tax":%q,"total":%q,"lines":[%s]}`, c.tax, net.Add(decimal.RequireFromString(c.tax)), c.lines)
		d, out := x.readDocument(operation(invoiceEntity, "A", body))
		if out != nil {
			t.Errorf("%s: %+v", name, out)
			continue
		}
		taxes, out := d.taxes()
		var got []string
		for _, tax := range taxes {
			got = append(got, fmt.Sprintf("%s %s %s", tax.code.Code, tax.base, tax.amount))
		}
		if out != nil {
			got = []string{out.Code}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, ", "), c.want)
		}
	}
}

// The message on the wire.
func TestMessage(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	op := invoiceOp(1, "C1")
	op.Body = json.RawMessage(strings.NewReplacer("Linehaul", `Linehaul <A&B> \"ü\"`, `"type"`, `"payment_term":"NET 30","type"`).Replace(string(op.Body)))
	in, out := s.sink.Prepare(t.Context(), op, stepPost, nil, time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC))
	if out != nil {
		t.Fatal(*out)
	}
	var req postRequest
	if err := json.Unmarshal(in.Request, &req); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(req.XML, req.Expect.Party, "PARTY"), "><", ">\n<")
	compare(t, "testdata/message.golden", text+"\n")
}

func TestCheck(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	s.one(t, customerOp(1))
	s.one(t, invoiceOp(1, "C1"))
	found, err := s.sink.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	concerns := cdc.Concerns(found...)
	if len(concerns) != 1 || concerns[0].Check != "tax CITY" || concerns[0].Level != cdc.LevelWarn {
		t.Errorf("%+v", found)
	}
	if id, err := s.sink.Identity(t.Context()); err != nil || id != "s4hana:"+strings.TrimPrefix(s.URL, "http://")+"/none/1010" {
		t.Error(id, err)
	}
	for _, c := range []struct {
		sink *Sink
		code string
	}{{against(t, s.URL, "wrong", nil), "AUTH"}, {against(t, s.URL, "Welcome1", func(c *Config) { c.Company = "9999" }), "COMPANY"}} {
		found, err := c.sink.Check(t.Context())
		if err != nil || len(found) != 1 || found[0].Level != cdc.LevelFail || !strings.HasPrefix(found[0].Found, c.code) {
			t.Errorf("%s: %+v %v", c.code, found, err)
		}
	}
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse})
	if _, err := s.sink.Check(t.Context()); err == nil {
		t.Error("a tenant that is not there is no error")
	}
}

// A filter that is ignored must not pass for an answer.
func TestIgnoredFilter(t *testing.T) {
	server := sinktest.StartSim(t, everything{}, sinktest.SimOptions{})
	sink := against(t, server.URL, "x", nil)
	x := &exchange{Sink: sink, ctx: t.Context()}
	if _, out := x.documents("MINE", "DR"); out == nil || out.Class != sinks.Setup {
		t.Errorf("%+v", out)
	}
	if all, out := x.documents("YOURS", "DR"); out != nil || len(all) != 1 {
		t.Errorf("%+v %+v", all, out)
	}
}

// everything answers every question with the same document.
type everything struct{}

func (everything) Handle(_ *sinktest.Sim, w http.ResponseWriter, _ *http.Request, _ []byte) {
	fmt.Fprint(w, `{"d":{"results":[{"CompanyCode":"1010","FiscalYear":"2026","AccountingDocument":"1800000000","DocumentReferenceID":"YOURS","AmountInTransactionCurrency":"1.00"}]}}`)
}
func (everything) Names(*http.Request, []byte) (string, string)            { return "", "read" }
func (everything) Fail(w http.ResponseWriter, status int, _ time.Duration) { w.WriteHeader(status) }
