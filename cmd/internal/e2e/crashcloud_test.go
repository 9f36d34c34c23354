package e2e

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
	"waybill/sinks/sinktest/businesscentral"
	"waybill/sinks/sinktest/netsuite"
	"waybill/sinks/sinktest/s4hana"
)

// cloud is a simulated ERP of the cloud as the target of the crash test: how it is set up for the carrier, the sinks section of waybill.yaml, and
// the steps that its ledger names.
type cloud struct {
	name  string
	start func(t *testing.T) (sim *sinktest.Sim, sink string)
	// once are the steps that each document takes, once each.
	once []string
}

const cloudPolicy = "    policy: { concurrency: 8, backoff_cap: 500ms, breaker_cooldown: 500ms }\n"

var clouds = []cloud{
	{"netsuite", netsuiteCloud, []string{"create"}},
	{"s4hana", s4Cloud, []string{"post"}},
	{"businesscentral", businessCentralCloud, []string{"create", "post"}},
}

func netsuiteCloud(t *testing.T) (*sinktest.Sim, string) {
	s := netsuite.Start(t, netsuite.Options{SimOptions: sinktest.SimOptions{Concurrent: 16}})
	for _, item := range []string{"FRT", "FSC", "DET", "LMP"} {
		s.Add(t, "serviceSaleItem", fmt.Sprintf(`{"itemId":%q,"displayName":%[1]q}`, item))
	}
	s.Add(t, "salesTaxItem", `{"itemId":"TXST","rate":8.25}`)
	d := netsuite.Default
	return s.Sim, fmt.Sprintf(`  erp:
    type: netsuite
    account: 1234567_SB1
    url: %s
    subsidiary: "id:1"
    taxation: lines
    fields: { tax_code.code: itemId }
    taxes: { "Sales tax 8.25%%": { code: TXST }, Exempt: { exempt: true } }
    timeout: 2s
    horizon: 2s
    auth: { oauth1: { consumer_key: %s, consumer_secret: %s, token_id: %s, token_secret: %s } }
`+cloudPolicy, s.URL, d.ConsumerKey, d.ConsumerSecret, d.TokenID, d.TokenSecret)
}

func s4Cloud(t *testing.T) (*sinktest.Sim, string) {
	s, _ := s4hana.Start(t, s4hana.Options{User: "WAYBILL", Password: "w8-canary-s4"})
	return s, fmt.Sprintf(`  erp:
    type: s4hana
    url: %s
    company: "1710"
    tax_codes: { "Sales tax 8.25%%": { code: O1, rate: "8.25" }, Exempt: { code: O0, rate: "0" } }
    payment_terms: { NET 30: NT30, NET 15: NT15, DUE ON RECEIPT: NT00 }
    partner: { reconciliation_account: "12100000", tax_type: US1 }
    timeout: 2s
    horizon: 2s
    auth: { basic: { user: WAYBILL, password: w8-canary-s4 } }
`+cloudPolicy, s.URL)
}

func businessCentralCloud(t *testing.T) (*sinktest.Sim, string) {
	s := businesscentral.Start(t, businesscentral.Options{ClientIDs: true, ReplicaLag: 300 * time.Millisecond, ClientSecret: "w8-canary-bc"})
	for _, account := range []string{"4000", "4010", "4020"} {
		s.AddAccount(account, "Revenue "+account)
	}
	s.AddTax("Sales tax 8.25%", "Sales tax", "8.25")
	s.AddTax("Exempt", "Exempt", "0")
	for code, name := range map[string]string{"NET30": "NET 30", "NET15": "NET 15", "COD": "DUE ON RECEIPT"} {
		s.AddPaymentTerm(code, name)
	}
	return s.Sim, fmt.Sprintf(`  erp:
    type: businesscentral
    url: %s
    company: Northstar Freight Lines
    currency: USD
    timeout: 2s
    horizon: 2s
    principals: [ { name: one, auth: { oauth2: { token_url: %s, client_id: waybill, client_secret: w8-canary-bc, scope: "https://api.businesscentral.dynamics.com/.default" } } } ]
`+cloudPolicy, s.API(), s.TokenURL())
}

// TestCrashClouds kills the daemon as TestCrash does, before simulators of NetSuite, S/4HANA and Business Central: each document is there once, with its
// amount, and each customer as it was left. CRASH_CLOUD_KILLS (default 5) are those of each.
func TestCrashClouds(t *testing.T) {
	kills := crashes("CRASH_CLOUD_KILLS", 5)
	for i, target := range clouds {
		t.Run(target.name, func(t *testing.T) {
			for from := 0; from < kills; from += crashGroup {
				c := newCrash(t)
				c.most = 150
				sim, sink := target.start(t)
				c.sink = sink
				c.history(200)
				c.open()
				for seed := from; seed < min(from+crashGroup, kills); seed++ {
					c.life(uint64(20_000+1000*i+seed), func(rng *rand.Rand) { cloudFaults(sim, rng) })
				}
				sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
				c.rest()
				c.cloudBooks(sim, target)
			}
		})
	}
}

// cloudFaults draws the faults of one life: answers lost after the commit, late commits, errors that did it after all, outages. None outlasts
// the horizon.
func cloudFaults(sim *sinktest.Sim, rng *rand.Rand) {
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	for _, entity := range []string{"sales_invoice", "credit_note", "customer"} {
		if fault := []sinktest.Fault{sinktest.Pass, sinktest.DropAnswer, sinktest.Delay, sinktest.ErrorAfter, sinktest.Down, sinktest.Throttle}[rng.IntN(6)]; fault != sinktest.Pass {
			sim.SetFault(sinktest.FaultOrder{Entity: entity, Fault: fault, Count: 1 + rng.IntN(6), Delay: time.Duration(100+rng.IntN(500)) * time.Millisecond})
		}
	}
}

// cloudBooks compares what billing released with the simulator's ledger, by amounts: the keys are the adapter's own.
func (c *crash) cloudBooks(sim *sinktest.Sim, target cloud) {
	c.t.Helper()
	var want, got []string
	for _, number := range c.released {
		want = append(want, dollars(c.totals[number]))
	}
	seen, names := map[string]int{}, map[string]string{}
	for _, line := range sim.Ledger() {
		switch line.Entity {
		case "sales_invoice", "credit_note":
			if line.Step == target.once[len(target.once)-1] {
				got = append(got, signed(c.t, line))
			}
			for _, step := range target.once {
				if line.Step == step {
					if seen[line.Key+" "+step]++; seen[line.Key+" "+step] > 1 {
						c.t.Errorf("%s of %s was done twice", step, line.Key)
					}
				}
			}
		case "customer":
			names[line.Key] = string(line.Body)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		c.t.Errorf("released and posted differ: %d and %d documents\nreleased %v\nposted   %v", len(want), len(got), want, got)
	}
	for code, name := range c.names {
		if !slices.ContainsFunc(sortedValues(names), func(body string) bool { return strings.Contains(body, fmt.Sprintf("%q", name)) }) {
			c.t.Errorf("customer %s is %q in dispatch; the target has %v", code, name, sortedValues(names))
		}
	}
	c.t.Logf("%d documents, %d corrections, %d lines of the ledger in %s", len(c.released), len(c.chains), len(sim.Ledger()), time.Since(c.began).Round(time.Second))
}

// signed is the amount of a document, negative when it is a credit note.
func signed(t *testing.T, line sinktest.Committed) string {
	t.Helper()
	total, err := decimal.NewFromString(cmp.Or(line.Total, "none"))
	if err != nil {
		t.Fatalf("the ledger has %s without a total: %s", line.Key, line.Body)
	}
	if line.Entity == "credit_note" {
		total = total.Abs().Neg()
	}
	return total.StringFixed(2)
}

func sortedValues(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}
