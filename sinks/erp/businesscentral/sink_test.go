package businesscentral

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulator "waybill/sinks/sinktest/businesscentral"
	"waybill/sinks/web"
)

func principal(s *simulator.Simulator, secret string) Principal {
	return Principal{Auth: web.AuthConfig{OAuth2: &web.OAuth2{TokenURL: s.TokenURL(), ClientID: "waybill", ClientSecret: web.Plain(secret), Scope: "https://api.businesscentral.dynamics.com/.default"}}}
}

// environment starts the simulator with what the documents of the tests need.
func environment(t testing.TB, o simulator.Options) *simulator.Simulator {
	t.Helper()
	s := simulator.Start(t, o)
	for _, number := range []string{"10100", "40100", "40200", "60100"} {
		s.AddAccount(number, "Account "+number)
	}
	s.AddTax("TAXABLE", "Taxable", "8.25")
	s.AddTax("EXEMPT", "Exempt", "0")
	s.AddItem("LINEHAUL", "Line haul", "TAXABLE")
	s.AddPaymentTerm("NET30", "NET 30")
	s.AddCurrency("CAD", "0.01")
	return s
}

func sinkOf(t testing.TB, s *simulator.Simulator, change func(*Config)) *Sink {
	t.Helper()
	c := Config{URL: s.API(), Company: "Northstar Freight Lines", Currency: "USD", Tax: "TAXABLE", ExemptTax: "EXEMPT", Timeout: 5 * time.Second, Horizon: time.Second,
		Principals: []Principal{principal(s, "s3cret-of-entra")}, Accounts: []string{"40100"}, Taxes: []string{"TAXABLE"}, Terms: []string{"NET 30"}}
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

func operation(entity, external, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + external, Sink: "erp", Entity: entity, ExternalID: external, OrderKey: "o/" + external, Body: json.RawMessage(body)}
}

func customerOp(n int) sinks.Operation {
	return operation(entityCustomer, fmt.Sprint("C", n), fmt.Sprintf(`{"code":"C%d","name":"Lone Star Foods","street":"1 Main St\nSuite 2","city":"Dallas","postal_code":"75201","state":"TX","country":"US","email":"ap@example.com","phone":null,"payment_term":"NET 30","active":true}`, n))
}

var acme = operation(entityCustomer, "104377", `{"code":"104377","name":"Acme"}`)

func invoiceOp(n int) sinks.Operation {
	key := fmt.Sprintf("nstar:A%d:0", n)
	return operation(entityInvoice, key, strings.Replace(plainSale, "nstar:A1:0", key, 1))
}

func creditOp(n int, original string) sinks.Operation {
	key := fmt.Sprintf("nstar:A%d-C:0", n)
	return operation(entityCredit, key, fmt.Sprintf(`{"reference":%q,"type":"credit","party":"104377","date":"2026-10-02","currency":"USD","applies_to":%q,"net":"-1150.00","tax":"-82.50","total":"-1232.50",
"lines":[{"account":"40100","quantity":"-1","unit_price":"1000","net":"-1000.00","tax":"-82.50"},{"account":"40200","quantity":"-2","unit_price":"75","net":"-150.00","tax":"0.00"}]}`, key, original))
}

func journalOp(n int) sinks.Operation {
	key := fmt.Sprintf("nstar:J%d", n)
	return operation(entityJournal, key, fmt.Sprintf(`{"reference":%q,"date":"2026-10-01","currency":"USD","description":"Fuel","lines":[{"account":"60100","debit":"12.50"},{"account":"10100","credit":"12.50"}]}`, key))
}

func masterOp(entity, code, more string) sinks.Operation {
	return operation(entity, code, fmt.Sprintf(`{"code":%q,"name":"Name of it"%s}`, code, more))
}

// deliver brings an operation to its end.
func deliver(t testing.TB, s sinks.Sink, op sinks.Operation) (last sinks.Outcome) {
	t.Helper()
	e, err := s.Entity(op.Entity)
	if err != nil {
		t.Fatal(err)
	}
	prior := map[string]sinks.Outcome{}
	for _, step := range e.Steps {
		for range 2 { // the first document tells whether the server takes our ids
			in, out := s.Prepare(t.Context(), op, step, prior, time.Now())
			if out != nil {
				t.Fatalf("preparing %s of %s: %+v", step, op.ExternalID, *out)
			}
			if last = s.Deliver(t.Context(), in); last.Class != sinks.RetryLater {
				break
			}
		}
		if !last.Done() {
			t.Fatalf("%s of %s: %+v", step, op.ExternalID, last)
		}
		prior[step] = last
	}
	return last
}

// The suite of all sinks, over the simulator, whether or not the server takes our ids, and with reads that are behind without the header.
func TestSinkOverTheSimulator(t *testing.T) {
	for name, ids := range map[string]bool{"ids taken": true, "ids refused": false} {
		t.Run(name, func(t *testing.T) { suite(t, ids) })
	}
}

func suite(t *testing.T, ids bool) {
	sim := environment(t, simulator.Options{ClientIDs: ids, ReplicaLag: time.Hour})
	s := sinkOf(t, sim, nil)
	deliver(t, s, acme)
	deliver(t, s, invoiceOp(1000))
	sinktest.TestSink(t, sinktest.Harness{
		Sink: s,
		Operations: map[string]func(*testing.T, int) sinks.Operation{
			entityCustomer: func(_ *testing.T, n int) sinks.Operation { return customerOp(n) },
			entityLocation: func(_ *testing.T, n int) sinks.Operation {
				return masterOp(entityLocation, fmt.Sprint("L", n), `,"city":"Dallas","country":"us"`)
			},
			entityItem: func(_ *testing.T, n int) sinks.Operation {
				return masterOp(entityItem, fmt.Sprint("I", n), `,"type":"service","price":"12.50"`)
			},
			entityTaxCode: func(_ *testing.T, n int) sinks.Operation {
				return masterOp(entityTaxCode, fmt.Sprint("T", n), `,"kind":"area"`)
			},
			entityInvoice: func(_ *testing.T, n int) sinks.Operation { return invoiceOp(n) },
			entityCredit: func(t *testing.T, n int) sinks.Operation {
				original := invoiceOp(n)
				deliver(t, s, original)
				return creditOp(n, original.ExternalID)
			},
			entityJournal: func(_ *testing.T, n int) sinks.Operation { return journalOp(n) },
		},
		Altered: func(op sinks.Operation) sinks.Operation {
			body := string(op.Body)
			for _, change := range [][2]string{{`"name":"`, `"name":"Other `}, {"1150.00", "1000.00"}, {"1232.50", "1082.50"}, {`"12.50"}`, `"13.50"}`}} {
				body = strings.ReplaceAll(body, change[0], change[1])
			}
			op.Body = json.RawMessage(strings.ReplaceAll(strings.ReplaceAll(body, `"net":"150.00"`, `"net":"0.00"`), `"net":"-150.00"`, `"net":"0.00"`))
			return op
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			op := invoiceOp(n)
			op.Body = json.RawMessage(strings.Replace(string(op.Body), "104377", "nobody", 1))
			return op
		},
		LoseAnswer: func(entity, step string) {
			o := sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: entity, Step: step, Count: 1}
			switch {
			case step == stepUpsert:
				o.Step = "create"
			case entity == entityCredit && step == stepCreate:
				o.Step = "update" // of the corrective credit memo
			case entity == entityJournal && step == stepCreate:
				o.Entity, o.Step = "", "batch"
			}
			sim.SetFault(o)
		},
		Unreachable: func() { sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Refuse}) },
		Heal:        func() { sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass}) },
		Intruder: func(t *testing.T) sinks.Sink {
			return sinkOf(t, sim, func(c *Config) { c.Principals = []Principal{principal(sim, "wrong")} })
		},
	})
	once(t, sim)
	if want := map[bool]int32{true: idsTaken, false: idsRefused}[ids]; s.ids.Load() != want {
		t.Errorf("what the server does with ids: %d, want %d", s.ids.Load(), want)
	}
}

// once proves from the ledger that nothing was created or posted twice.
func once(t testing.TB, sim *simulator.Simulator) {
	t.Helper()
	seen := map[string]int{}
	for _, c := range sim.Ledger() {
		if c.Step == "update" {
			continue
		}
		seen[c.Entity+" "+c.Step+" "+c.Key]++
	}
	for what, n := range seen {
		most := 1
		if strings.HasPrefix(what, entityJournal+" create") {
			most = 2 // lines
		}
		if n > most {
			t.Errorf("%s: %d times", what, n)
		}
	}
}
