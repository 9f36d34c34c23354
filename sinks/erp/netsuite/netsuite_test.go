package netsuite

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/sinks/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// note is a Memory.
type note struct {
	mu    sync.Mutex
	texts map[string]string
}

func (n *note) Remember(name, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts == nil {
		n.texts = map[string]string{}
	}
	n.texts[name] = text
	return nil
}

func (n *note) Recall(name string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.texts[name], nil
}

func bearerOf(token string) web.AuthConfig {
	return web.AuthConfig{Bearer: &web.Bearer{Token: web.Plain(token)}}
}

func open(t *testing.T, f *fake, token string, memory sinks.Memory, change func(*Config)) *Sink {
	t.Helper()
	c := Config{Account: "1234567_SB1", URL: f.URL, Memory: memory, Auth: bearerOf(token), Subsidiary: "Northstar Inc", TaxType: "US Sales Tax", Taxes: map[string]Tax{"EX": {Exempt: true}},
		Timeout: 5 * time.Second, Horizon: time.Second, Poll: 5 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func operation(entity, external, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + external, Sink: "erp", Entity: entity, ExternalID: external, OrderKey: external, Body: json.RawMessage(body)}
}

func customerOp(code, city string) sinks.Operation {
	return operation("customer", code, fmt.Sprintf(`{"code":%q,"name":"Customer %[1]s","street":"1 Main St","city":%[2]q,"postal_code":"75201","state":"TX","country":"US",
		"email":"ap@%[1]s.example","phone":"+1 (214) 555-0100","tax_id":"75-1234567","payment_term":"NET 15","active":true}`, code, city))
}

// documentOp is a document of one line without tax.
func documentOp(entity, reference, party, net string) sinks.Operation {
	return operation(entity, reference, fmt.Sprintf(`{"reference":%q,"party":%q,"date":"2026-10-01","currency":"USD","net":%[3]q,"tax":"0.00","total":%[3]q,
		"lines":[{"product":"LH","account":"4000","description":"Line haul","net":%[3]q,"tax":"EX"}]}`, reference, party, net))
}

func journalOp(reference, amount string) sinks.Operation {
	return operation("journal_entry", reference, fmt.Sprintf(`{"reference":%q,"date":"2026-10-01","currency":"USD","lines":[{"account":"1200","debit":%[2]q},{"account":"4000","credit":%[2]q}]}`, reference, amount))
}

func prepare(t *testing.T, s *Sink, op sinks.Operation) sinks.Intent {
	t.Helper()
	e, err := s.Entity(op.Entity)
	if err != nil {
		t.Fatal(err)
	}
	in, out := s.Prepare(t.Context(), op, e.Steps[0], nil, time.Now())
	if out != nil {
		t.Fatalf("preparing %s: %+v", op.ExternalID, *out)
	}
	return in
}

func want(t *testing.T, o sinks.Outcome, class sinks.Class, code string) {
	t.Helper()
	if o.Class != class || o.Code != code {
		t.Fatalf("got %s %s, want %s %s: %+v", o.Class, o.Code, class, code, o)
	}
}

func deliver(t *testing.T, s *Sink, op sinks.Operation) sinks.Outcome {
	t.Helper()
	o := s.Deliver(t.Context(), prepare(t, s, op))
	want(t, o, sinks.Applied, "")
	return o
}

// The suite of all sinks, at once and by jobs.
func TestSuite(t *testing.T) {
	for _, mode := range []string{modeSync, modeAsync} {
		t.Run(mode, func(t *testing.T) {
			f := startFake(t)
			s := open(t, f, "good", &note{}, func(c *Config) { c.Mode = mode })
			deliver(t, s, customerOp("T-0", "Dallas"))
			sinktest.TestSink(t, sinktest.Harness{
				Sink: s,
				Operations: map[string]func(*testing.T, int) sinks.Operation{
					"customer": func(_ *testing.T, n int) sinks.Operation { return customerOp(fmt.Sprint("T-", n), "Dallas") },
					"location": func(_ *testing.T, n int) sinks.Operation {
						return operation("location", fmt.Sprint("L", n), fmt.Sprintf(`{"code":"L%d","name":"Terminal %[1]d","city":"Dallas","country":"US"}`, n))
					},
					"item": func(_ *testing.T, n int) sinks.Operation {
						return operation("item", fmt.Sprint("I", n), fmt.Sprintf(`{"code":"I%d","name":"Charge %[1]d","account":"4000"}`, n))
					},
					"tax_code": func(_ *testing.T, n int) sinks.Operation {
						return operation("tax_code", fmt.Sprint("X", n), fmt.Sprintf(`{"code":"X%d","description":"Tax","tax_type":"US Sales Tax"}`, n))
					},
					invoiceEntity: func(_ *testing.T, n int) sinks.Operation {
						return documentOp(invoiceEntity, fmt.Sprint("nstar:", n, ":0"), "T-0", "100.00")
					},
					creditEntity: func(_ *testing.T, n int) sinks.Operation {
						return documentOp(creditEntity, fmt.Sprint("C", n), "T-0", "-100.00")
					},
					journalEntity: func(_ *testing.T, n int) sinks.Operation { return journalOp(fmt.Sprint("J", n), "100.00") },
				},
				Altered: altered,
				Refused: func(_ *testing.T, n int) sinks.Operation {
					return documentOp(invoiceEntity, fmt.Sprint("R", n), "nobody", "100.00")
				},
				LoseAnswer: func(entity, _ string) {
					if mode == modeAsync { // the answer with the job is lost; a job is asked for when it is begun
						f.mu.Lock()
						f.slow = 0
						f.mu.Unlock()
					}
					f.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: entity, Step: "create", Count: 1})
				},
				Unreachable: func() { f.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse}) },
				Heal: func() {
					f.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
					f.finish()
				},
				Intruder: func(t *testing.T) sinks.Sink { return open(t, f, "wrong", nil, nil) },
			})
			seen := map[string]bool{}
			for _, line := range f.Ledger() {
				if id := line.Entity + " " + line.Key; seen[id] {
					t.Errorf("%s was saved twice", id)
				} else {
					seen[id] = true
				}
			}
		})
	}
}

// finish ends all jobs, whoever asks for them.
func (f *fake) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.jobs {
		if j := &f.jobs[i]; !j.over {
			j.over, j.result = true, j.do()
		}
	}
}

func altered(op sinks.Operation) sinks.Operation {
	text := string(op.Body)
	for _, r := range [][2]string{{"Dallas", "Houston"}, {"100.00", "101.00"}, {"Charge", "Fee"}, {`"Tax"`, `"Taxes"`}} {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	op.Body = json.RawMessage(text)
	return op
}

func TestInvoiceAsItIsSent(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	deliver(t, s, customerOp("104377", "Dallas"))
	op := operation(invoiceEntity, "nstar:A1:0", `{"reference":"nstar:A1:0","party":"104377","date":"2026-10-01","currency":"USD","payment_term":"NET 30","description":"October",
		"net":"1150.08","tax":"82.51","total":"1232.59","lines":[
		{"product":"LH","account":"4000","quantity":"2","unit_price":"500.00","net":"1000.00","tax":"TX"},
		{"product":"LH","account":"4000","shipment":"88121","quantity":"3","unit_price":"0.0233","net":"0.07","tax":"TX"},
		{"product":"LH","account":"4000","net":"150.01","tax":"EX"}]}`)
	in := prepare(t, s, op)
	var req request
	if err := json.Unmarshal(in.Request, &req); err != nil {
		t.Fatal(err)
	}
	const body = `{"currency":{"id":"2"},"entity":{"id":"11"},"item":{"items":[` +
		`{"amount":1000,"item":{"id":"7"},"quantity":2,"rate":500,"taxDetailsReference":"L1"},` +
		`{"amount":0.07,"description":"shipment 88121 (3 x 0.0233)","item":{"id":"7"},"quantity":1,"rate":0.07,"taxDetailsReference":"L2"},` +
		`{"amount":150.01,"item":{"id":"7"},"quantity":1,"rate":150.01}]},"memo":"October","subsidiary":{"id":"1"},"taxDetails":{"items":[` +
		`{"taxAmount":82.5,"taxBasis":1000,"taxCode":{"id":"8"},"taxDetailsReference":"L1","taxRate":8.25,"taxType":{"id":"9"}},` +
		`{"taxAmount":0.01,"taxBasis":0.07,"taxCode":{"id":"8"},"taxDetailsReference":"L2","taxRate":14.2857,"taxType":{"id":"9"}}]},` +
		`"taxDetailsOverride":true,"terms":{"id":"4"},"tranDate":"2026-10-01"}`
	if string(req.Body) != body {
		t.Errorf("the body is\n%s\nwant\n%s", req.Body, body)
	}
	o := s.Deliver(t.Context(), in)
	want(t, o, sinks.Applied, "")
	for name, value := range map[string]string{"net": "1150.08", "tax": "82.51", "total": "1232.59", "date": "2026-10-01", "party": "104377"} {
		if o.Facts[name] != value {
			t.Errorf("%s is %q, want %q", name, o.Facts[name], value)
		}
	}
	// Sent again it is found, and nothing is saved a second time.
	want(t, s.Deliver(t.Context(), in), sinks.AlreadyApplied, "")
	f.edit("invoice", req.Key, record{"tranDate": "2026-10-02"})
	want(t, s.Deliver(t.Context(), in), sinks.Conflict, "POST_CONFLICT")
	if n := len(f.Ledger()); n != 2 {
		t.Errorf("%d records were saved", n)
	}
}

func TestCreditIsAppliedToItsOriginal(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	deliver(t, s, customerOp("104377", "Dallas"))
	credit := func(name string) sinks.Operation {
		op := documentOp(invoiceEntity, name, "104377", "-60.00")
		op.Body = json.RawMessage(strings.Replace(string(op.Body), `"party"`, `"applies_to":"A1","party"`, 1))
		return op
	}
	_, out := s.Prepare(t.Context(), credit("A1-C"), stepCreate, nil, time.Now())
	want(t, *out, sinks.Rejected, "UNKNOWN_ORIGINAL")
	original := deliver(t, s, documentOp(invoiceEntity, "A1", "104377", "100.00"))
	in := prepare(t, s, credit("A1-C"))
	if text := string(in.Request); !strings.Contains(text, `"apply":{"items":[{"amount":60,"apply":true,"doc":{"id":"`+original.Ref+`"}}]}`) || !strings.Contains(text, `"type":"creditMemo"`) {
		t.Errorf("the credit is %s", text)
	}
	o := s.Deliver(t.Context(), in)
	want(t, o, sinks.Applied, "")
	if o.Facts["total"] != "-60" || o.Facts["original"] != original.Ref {
		t.Errorf("facts: %v", o.Facts)
	}
	// What is paid already cannot be applied; the credit stays open for the customer.
	f.edit("invoice", "waybill-_a1", record{"amountRemaining": json.Number("0")})
	if text := string(prepare(t, s, credit("A1-D")).Request); strings.Contains(text, `"apply":{`) {
		t.Errorf("the credit is %s", text)
	}
}

func TestRefusals(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	deliver(t, s, customerOp("104377", "Dallas"))
	good := string(documentOp(invoiceEntity, "A1", "104377", "100.00").Body)
	for _, c := range []struct{ from, to, code, field string }{
		{`"net":"100.00","tax":"0.00"`, `"net":"99.00","tax":"0.00"`, "TOTAL_MISMATCH", "net"},
		{`"tax":"0.00"`, `"tax":"1.00"`, "TOTAL_MISMATCH", "total"},
		{`"USD"`, `"EUR"`, "UNKNOWN_CURRENCY", "currency"},
		{`"LH"`, `"ZZ"`, "UNKNOWN_PRODUCT", "lines[0].product"},
		{`"4000"`, `"4100"`, "ACCOUNT_MISMATCH", "lines[0].account"},
		{`"2026-10-01"`, `"10/01/2026"`, "DATE", "date"},
		{`"party"`, `"colour":"red","party"`, "BODY", ""},
		{`"EX"`, `"XX"`, "UNKNOWN_TAX", "lines[0].tax"},
		{`"104377"`, `"nobody"`, "UNKNOWN_CUSTOMER", "party"},
		{`"100.00","tax":"0.00","total":"100.00"`, `"100.00","tax":"8.25","total":"108.25"`, "TAX_MISMATCH", "tax"},
	} {
		_, out := s.Prepare(t.Context(), operation(invoiceEntity, "A1", strings.Replace(good, c.from, c.to, 1)), stepCreate, nil, time.Now())
		if out == nil || out.Class != sinks.Rejected || out.Code != c.code || out.Field != c.field || out.Hint == "" {
			t.Errorf("%s: %+v, want %s of %q", c.to, out, c.code, c.field)
		}
	}
	_, out := s.Prepare(t.Context(), operation("customer", "1", `{"code":"1","name":"A","colour":"red"}`), stepUpsert, nil, time.Now())
	if out == nil || out.Code != "BODY" || out.Field != "colour" || !strings.Contains(out.Hint, "payment_term") {
		t.Errorf("%+v", out)
	}
	f.fail = &fakeError{400, "USER_ERROR", "You cannot post into a closed period.", "tranDate"}
	o := s.Deliver(t.Context(), prepare(t, s, documentOp(invoiceEntity, "A1", "104377", "100.00")))
	want(t, o, sinks.Rejected, "PERIOD_CLOSED")
	if o.Field != "tranDate" {
		t.Errorf("%+v", o)
	}
}

// What somebody changed in NetSuite since is not written over unseen.
func TestSomebodyElseEdits(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	first := customerOp("104377", "Dallas")
	deliver(t, s, first)
	f.edit("customer", "waybill-104377", record{"email": "cfo@lonestar.example"})
	next := customerOp("104377", "Houston")
	next.Body = json.RawMessage(strings.Replace(string(next.Body), "ap@", "billing@", 1))
	next.Last = &sinks.Last{Body: first.Body}
	o := s.Deliver(t.Context(), prepare(t, s, next))
	want(t, o, sinks.Conflict, sinks.CodeChanged)
	if o.Field != "email" || o.Facts["there.email"] != "cfo@lonestar.example" || o.Facts["last.email"] != "ap@104377.example" {
		t.Errorf("%+v", o)
	}
	next.Take = sinks.TakeTheirs
	in := prepare(t, s, next)
	o = s.Deliver(t.Context(), in)
	want(t, o, sinks.Applied, "")
	if o.Facts["kept.email"] != "cfo@lonestar.example" {
		t.Errorf("%+v", o)
	}
	want(t, s.Verify(t.Context(), in), sinks.AlreadyApplied, "")
	r := f.records["customer"][o.Ref]
	if lines := r.items("addressBook"); r.text("email") != "cfo@lonestar.example" || len(lines) != 1 || lines[0].sub("addressBookAddress").text("city") != "Houston" {
		t.Errorf("the customer is %v", r)
	}
	next.Take = sinks.TakeOurs
	want(t, s.Deliver(t.Context(), prepare(t, s, next)), sinks.Applied, "")
	if r.text("email") != "billing@104377.example" {
		t.Errorf("the customer is %v", r)
	}
}

// A second address was put in by a person: it is not lost unseen.
func TestAddressesOfOthers(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	o := deliver(t, s, customerOp("104377", "Dallas"))
	r := f.records["customer"][o.Ref]
	book := r.sub("addressBook")
	book["items"] = append(book["items"].([]any), map[string]any{"addressBookAddress": map[string]any{"city": "Austin"}})
	want(t, s.Deliver(t.Context(), prepare(t, s, customerOp("104377", "Houston"))), sinks.Conflict, "ADDRESSES")
	gentle := open(t, f, "good", nil, func(c *Config) { c.Addresses = addressCreate })
	want(t, gentle.Deliver(t.Context(), prepare(t, gentle, customerOp("104377", "Houston"))), sinks.AlreadyApplied, "")
	if len(r.items("addressBook")) != 2 {
		t.Errorf("%v", r)
	}
}

func TestJobs(t *testing.T) {
	f := startFake(t)
	memory := &note{}
	async := func(c *Config) { c.Mode, c.Timeout = modeAsync, 300*time.Millisecond }
	s := open(t, f, "good", memory, async)
	deliver(t, s, customerOp("104377", "Dallas"))

	// A job that takes longer than we wait is known after a restart, and asked for again.
	f.slow = 1 << 30
	in := prepare(t, s, documentOp(invoiceEntity, "A1", "104377", "100.00"))
	want(t, s.Deliver(t.Context(), in), sinks.Unknown, "JOB_RUNNING")
	if !strings.Contains(memory.texts[jobsNote], "/services/rest/async/v1/job/2") {
		t.Errorf("the memory has %v", memory.texts)
	}
	s = open(t, f, "good", memory, async)
	want(t, s.Verify(t.Context(), in), sinks.RetryLater, "JOB_RUNNING")
	f.finish()
	want(t, s.Verify(t.Context(), in), sinks.AlreadyApplied, "")
	if memory.texts[jobsNote] != "{}" {
		t.Errorf("the memory has %v", memory.texts)
	}

	// A memory that is lost: the idempotency key finds the job again, and nothing is done twice.
	f.slow = 0
	in = prepare(t, s, documentOp(invoiceEntity, "A2", "104377", "100.00"))
	f.slow = 1 << 30
	want(t, s.Deliver(t.Context(), in), sinks.Unknown, "JOB_RUNNING")
	f.mu.Lock()
	f.jobs[2].left = 2
	f.mu.Unlock()
	s = open(t, f, "good", nil, async)
	want(t, s.Deliver(t.Context(), in), sinks.Applied, "")
	if len(f.jobs) != 3 {
		t.Errorf("%d jobs", len(f.jobs))
	}

	// A job that fails says why; corrected in NetSuite, the same request goes under a new key.
	f.slow, f.fail = 0, &fakeError{400, "USER_ERROR", "The accounting period is closed.", "tranDate"}
	in = prepare(t, s, documentOp(invoiceEntity, "A3", "104377", "100.00"))
	want(t, s.Deliver(t.Context(), in), sinks.Rejected, "PERIOD_CLOSED")
	f.fail = nil
	want(t, s.Deliver(t.Context(), in), sinks.Applied, "")

	// So it does where the failure was forgotten with the memory: the first try finds the failed job, the second is another.
	f.fail = &fakeError{400, "USER_ERROR", "The accounting period is closed.", "tranDate"}
	in = prepare(t, s, documentOp(invoiceEntity, "A4", "104377", "100.00"))
	want(t, s.Deliver(t.Context(), in), sinks.Rejected, "PERIOD_CLOSED")
	f.fail = nil
	s = open(t, f, "good", nil, async)
	want(t, s.Deliver(t.Context(), in), sinks.RetryLater, "JOB_FAILED")
	want(t, s.Deliver(t.Context(), in), sinks.Applied, "")
}

func TestCheck(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, func(c *Config) { c.Terms, c.Accounts = []string{"NET 15"}, []string{"4000"} })
	found, err := s.Check(t.Context())
	if err != nil || len(found) < 6 {
		t.Fatal(found, err)
	}
	for _, x := range found {
		if x.Level != cdc.LevelOK {
			t.Errorf("%+v", x)
		}
	}
	s = open(t, f, "good", nil, func(c *Config) { c.Terms = []string{"NET 99"} })
	if found, err = s.Check(t.Context()); err != nil || !strings.Contains(fmt.Sprint(found), `payment term NET 99`) {
		t.Error(found, err)
	}
	if found, err = open(t, f, "wrong", nil, nil).Check(t.Context()); err != nil || found[len(found)-1].Level != cdc.LevelFail || found[len(found)-1].Fix == "" {
		t.Error(found, err)
	}
	if id, err := s.Identity(t.Context()); err != nil || id != "netsuite:1234567_SB1/1" {
		t.Error(id, err)
	}
	f.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse})
	if _, err := s.Check(t.Context()); err == nil {
		t.Error("a NetSuite that is not there is not missed")
	}
}
