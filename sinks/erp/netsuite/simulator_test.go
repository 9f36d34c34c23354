package netsuite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulated "waybill/sinks/sinktest/netsuite"
	"waybill/sinks/web"
	"waybill/transform"
)

// openSimulated makes a sink of the simulator, which is let in by token-based authentication.
func openSimulated(t *testing.T, s *simulated.Server, secret string, change func(*Config)) *Sink {
	t.Helper()
	d := simulated.Default
	auth := web.AuthConfig{OAuth1: &web.OAuth1{ConsumerKey: d.ConsumerKey, ConsumerSecret: web.Plain(d.ConsumerSecret), TokenID: d.TokenID, TokenSecret: web.Plain(first(secret, d.TokenSecret))}}
	// The simulator is of an account without SuiteTax.
	c := Config{Auth: auth, Memory: &note{}, Taxation: taxLines, Fields: map[string]string{"tax_code.code": "itemId"}, Account: "1234567_SB1", URL: s.URL, Subsidiary: "id:1", Taxes: map[string]Tax{"EX": {Exempt: true}}, Timeout: 5 * time.Second, Horizon: time.Second, Poll: 5 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	sink, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// The suite of all sinks over the simulator, which somebody else wrote from the reference.
func TestSuiteOverTheSimulator(t *testing.T) {
	for _, mode := range []string{modeSync, modeAsync} {
		t.Run(mode, func(t *testing.T) {
			server := simulated.Start(t, simulated.Options{Administrator: true})
			server.Add(t, "serviceSaleItem", `{"itemId":"LH","displayName":"Line haul"}`)
			for _, number := range []string{"1200"} {
				server.Add(t, "account", fmt.Sprintf(`{"acctNumber":%q,"acctName":"Account %[1]s"}`, number))
			}
			s := openSimulated(t, server, "", func(c *Config) { c.Mode = mode })
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
						return operation("tax_code", fmt.Sprint("X", n), fmt.Sprintf(`{"code":"X%d","description":"Tax","rate":"8.250"}`, n))
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
					server.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: entity, Step: "create", Count: 1})
				},
				Questions: []sinktest.Questioned{
					{Ask: &transform.Question{Name: "period", AsOf: "2026-10-01"}, Fields: []transform.AnswerField{{Name: "open", Type: "bool", Path: "open"}, {Name: "name", Type: "text", Path: "name"}}},
					{Ask: &transform.Question{Name: "customer", Key: []transform.Param{{Name: "code", Value: "T-0"}}}, Fields: []transform.AnswerField{{Name: "active", Type: "bool", Path: "active"}, {Name: "term", Type: "text", Path: "payment_term"}},
						Absent: &transform.Question{Name: "customer", Key: []transform.Param{{Name: "code", Value: "nobody"}}}}},
				Unreachable: func() { server.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse}) },
				Heal:        func() { server.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass}) },
			})
			seen := map[string]bool{}
			for _, line := range server.Ledger() {
				if id := line.Entity + " " + line.Step + " " + line.Key; line.Step == "create" && seen[id] {
					t.Errorf("%s stands twice in the ledger", id)
				} else {
					seen[id] = true
				}
			}
			if found, err := openSimulated(t, server, "wrong", nil).Check(t.Context()); err != nil || found[len(found)-1].Level != cdc.LevelFail {
				t.Errorf("a wrong secret: %+v, %v", found, err)
			}
			found, err := s.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Level == cdc.LevelFail {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// account starts a simulated account with what documents need, and a sink of it.
func account(t *testing.T, change func(*Config)) (*simulated.Server, *Sink) {
	t.Helper()
	server := simulated.Start(t, simulated.Options{Administrator: true})
	server.Add(t, "account", `{"acctNumber":"1200","acctName":"Receivables"}`)
	server.Add(t, "serviceSaleItem", `{"itemId":"LH","displayName":"Line haul"}`)
	server.Add(t, "salesTaxItem", `{"itemId":"TX","rate":8.25}`)
	s := openSimulated(t, server, "", change)
	deliver(t, s, customerOp("104377", "Dallas"))
	return server, s
}

func TestDocumentsOverTheSimulator(t *testing.T) {
	server, s := account(t, nil)
	taxed := operation(invoiceEntity, "A1", `{"reference":"A1","party":"104377","date":"2026-10-01","currency":"USD","payment_term":"id:1","net":"1150.00","tax":"82.50","total":"1232.50","lines":[
		{"product":"LH","quantity":"2","unit_price":"500.00","net":"1000.00","tax":"TX"},{"product":"LH","net":"150.00","tax":"EX"}]}`)
	original := deliver(t, s, taxed)
	for name, value := range map[string]string{"net": "1150", "tax": "82.5", "total": "1232.5", "date": "2026-10-01", "party": "104377"} {
		if original.Facts[name] != value {
			t.Errorf("%s is %q, want %q: %v", name, original.Facts[name], value, original.Facts)
		}
	}
	if original.Number == "" || original.Facts["period"] == "" {
		t.Errorf("number %q, facts %v", original.Number, original.Facts)
	}
	credit := documentOp(creditEntity, "A1-C", "104377", "-1000.00")
	credit.Body = []byte(strings.Replace(string(credit.Body), `"party"`, `"applies_to":"A1","party"`, 1))
	o := deliver(t, s, credit)
	if o.Facts["original"] != original.Ref || o.Facts["total"] != "-1000" {
		t.Errorf("%+v", o)
	}
	x, cancel := s.begin(t.Context())
	defer cancel()
	if r, out := x.get(recordPath+"invoice/"+original.Ref, nil); out != nil || r.text("amountRemaining") != "232.5" {
		t.Errorf("what is owed after the credit: %v, %v", r["amountRemaining"], out)
	}

	// The same PUT again, as one that was late, changes nothing.
	again := prepare(t, s, taxed)
	var req request
	if err := decode(again.Request, &req); err != nil || req.Lists != "item" {
		t.Fatal(req.Lists, err)
	}
	if a := x.put(req, req.Body, req.Lists, nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	want(t, s.Verify(t.Context(), again), sinks.AlreadyApplied, "")

	server.ClosePeriod(t, "2026-10-01", true)
	want(t, s.Deliver(t.Context(), prepare(t, s, documentOp(invoiceEntity, "A2", "104377", "5.00"))), sinks.Rejected, "PERIOD_CLOSED")
	later := documentOp(invoiceEntity, "A3", "104377", "5.00")
	later.Body = []byte(strings.Replace(string(later.Body), `"party"`, `"posting_date":"2026-11-02","party"`, 1))
	a, out := s.Ask(t.Context(), &transform.Question{Name: "period", AsOf: "2026-10-15"})
	if out != nil || string(a.Object) != `{"end":"2026-10-31","name":"Oct 2026","next_open":"2026-11-01","open":false,"start":"2026-10-01"}` {
		t.Errorf("the closed period: %s, %v", a.Object, out)
	}
	november, out := x.period("2026-11-02")
	if text := string(prepare(t, s, later).Request); out != nil || !strings.Contains(text, `"postingPeriod":{"id":"`+november+`"}`) {
		t.Errorf("a document of a later period: %s, %v", text, out)
	}
}

// Whatever is lost on the way, by the protocol of the lanes each document is in the books once.
func TestFaultsOverTheSimulator(t *testing.T) {
	for _, mode := range []string{modeSync, modeAsync} {
		t.Run(mode, func(t *testing.T) {
			server, s := account(t, func(c *Config) { c.Mode, c.Timeout = mode, 100*time.Millisecond })
			random := mathrand.New(mathrand.NewPCG(1, 2))
			faults := []sinktest.Fault{sinktest.Pass, sinktest.DropAnswer, sinktest.ErrorAfter, sinktest.Refuse, sinktest.Throttle, sinktest.Down, sinktest.Delay, sinktest.Locked}
			const many = 15
			for n := range many {
				fault := faults[random.IntN(len(faults))]
				if step := []string{"create", "read", ""}[random.IntN(3)]; fault != sinktest.Pass {
					server.SetFault(sinktest.FaultOrder{Fault: fault, Entity: invoiceEntity, Step: step, Count: 1 + random.IntN(2), Delay: 120 * time.Millisecond})
				}
				carry(t, s, documentOp(invoiceEntity, fmt.Sprint("F", n), "104377", "10.00"))
				server.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
			}
			times := map[string]int{}
			for _, line := range server.Ledger() {
				if line.Entity == invoiceEntity {
					times[line.Key]++
				}
			}
			for n := range many {
				if key, err := encodeKey("waybill", "", fmt.Sprint("F", n)); err != nil || times[key] != 1 {
					t.Errorf("%s stands %d times in the books (%v)", key, times[key], err)
				}
			}
		})
	}
}

// carry does with a document what a lane does: send, verify what is not known until the horizon is over, send again what is absent.
func carry(t *testing.T, s *Sink, op sinks.Operation) {
	t.Helper()
	ctx := t.Context()
	for range 50 {
		in, out := s.Prepare(ctx, op, stepCreate, nil, time.Now())
		if out != nil {
			if out.Class != sinks.RetryLater {
				t.Fatalf("%s: %+v", op.ExternalID, out)
			}
			continue
		}
		o := s.Deliver(ctx, in)
		if o.Class == sinks.Unknown {
			for over := time.Now().Add(150 * time.Millisecond); ; {
				if o = s.Verify(ctx, in); o.Done() || o.Class == sinks.Absent && time.Now().After(over) {
					break
				} else if o.Class != sinks.Absent && o.Class != sinks.RetryLater {
					t.Fatalf("verifying %s: %+v", op.ExternalID, o)
				}
			}
		}
		switch {
		case o.Done():
			return
		case o.Class != sinks.Absent && o.Class != sinks.RetryLater:
			t.Fatalf("%s: %+v", op.ExternalID, o)
		}
	}
	t.Fatalf("%s was tried 50 times", op.ExternalID)
}

// Before go-live a person sees whether keys are honoured; without a customer that is named for it nothing is written.
func TestProbeOverTheSimulator(t *testing.T) {
	server, s := account(t, nil)
	before := len(server.Ledger())
	found, err := s.Probe(t.Context())
	if err != nil || len(found) != 4 || found[3].Level != cdc.LevelWarn || len(server.Ledger()) != before {
		t.Errorf("%+v, %v", found, err)
	}
	s = openSimulated(t, server, "", func(c *Config) { c.Probe = "WAYBILL-PROBE" })
	for range 2 { // another day the customer is there
		found, err = s.Probe(t.Context())
		if err != nil || len(found) != 4 {
			t.Fatal(found, err)
		}
		for _, f := range found {
			if f.Level != cdc.LevelOK {
				t.Errorf("%+v", f)
			}
		}
	}
	if n := len(server.Ledger()) - before; n != 2 {
		t.Errorf("%d records were saved by two probes", n)
	}
}

// The better way in: an assertion signed for a mapped certificate. A token that has run out is renewed without a word.
func TestAssertionOverTheSimulator(t *testing.T) {
	server := simulated.Start(t, simulated.Options{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server.MapCertificate("cert-1", &key.PublicKey)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	s := openSimulated(t, server, "", func(c *Config) {
		c.Auth = web.AuthConfig{OAuth2: &web.OAuth2{ClientID: simulated.ClientID, Assertion: &web.Assertion{Algorithm: "ES256", Key: web.Plain(text), KeyID: "cert-1"}}}
	})
	deliver(t, s, customerOp("C1", "Dallas"))
	server.ExpireTokens()
	deliver(t, s, customerOp("C1", "Houston"))
	server.MapCertificate("cert-1", nil)
	server.ExpireTokens()
	in := prepare(t, s, operation("tax_code", "X", `{"code":"X"}`))
	want(t, s.Deliver(t.Context(), in), sinks.Setup, "AUTH")
}
