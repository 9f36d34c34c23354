package businesscentral

import (
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulator "waybill/sinks/sinktest/businesscentral"
)

// No principal has more requests in flight than Business Central runs of a user, and all of them take part.
func TestPrincipalsTakeTurns(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true, Sim: sinktest.SimOptions{Takes: 20 * time.Millisecond, Concurrent: 100}}, nil)
	two := sinkOf(t, sim, func(c *Config) {
		c.Principals = []Principal{principal(sim, "s3cret-of-entra"), {InFlight: 2, Auth: c.Principals[0].Auth}}
	})
	done := make(chan sinks.Outcome)
	for n := range 30 {
		in := prepared(t, s, invoiceOp(n), stepCreate, nil)
		go func() { done <- two.Verify(t.Context(), in) }()
	}
	for range 30 {
		if o := <-done; o.Class != sinks.Absent {
			t.Errorf("%+v", o)
		}
	}
	if n := len(two.pool.turns); n != 7 {
		t.Errorf("%d turns are free, want 7", n)
	}
	if sim.Peak() > 7 {
		t.Errorf("%d requests at the same time, of at most 7", sim.Peak())
	}
}

func TestCheck(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	found, err := s.Check(t.Context())
	if err != nil || len(cdc.Concerns(found...)) != 0 {
		t.Errorf("%+v %v", cdc.Concerns(found...), err)
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Check)
	}
	want := []string{"login and company", "rights", "posting date today", "posting date in 30 days", "account 40100", "tax code TAXABLE", "tax code EXEMPT", "payment term NET 30", "ids of documents", "reads of the primary"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	wrong := sinkOf(t, sim, func(c *Config) { c.Company, c.Accounts = "Nobody", []string{"99999"} })
	if found, err := wrong.Check(t.Context()); err != nil || len(found) != 1 || found[0].Level != cdc.LevelFail || !strings.Contains(found[0].Found, "Northstar") {
		t.Errorf("%+v %v", found, err)
	}
	named := sinkOf(t, sim, func(c *Config) { c.Accounts = []string{"99999"} })
	if found, err := named.Check(t.Context()); err != nil || len(cdc.Concerns(found...)) != 1 {
		t.Errorf("%+v %v", found, err)
	}
	id, err := s.Identity(t.Context())
	if err != nil || !strings.HasPrefix(id, "businesscentral:127.0.0.1") || !strings.Contains(id, "/production/companies(") {
		t.Errorf("%s %v", id, err)
	}
}

func TestProbe(t *testing.T) {
	for _, ids := range []bool{true, false} {
		sim, s := withAcme(t, simulator.Options{ClientIDs: ids}, func(c *Config) { c.Probe.Customer = "104377" })
		for range 2 {
			found, err := s.Probe(t.Context())
			if err != nil || len(found) != 2 || strings.Contains(found[1].Found, "chosen here") != ids {
				t.Errorf("ids %v: %+v %v", ids, found, err)
			}
		}
		x, cancel := s.begin(t.Context())
		defer cancel()
		if out := x.open(); out != nil {
			t.Fatal(out)
		}
		if rows, out := x.find("salesInvoices", "", 10); out != nil || len(rows) != 0 {
			t.Errorf("drafts stay: %v %+v", rows, out)
		}
		nobody := sinkOf(t, sim, func(c *Config) { c.Probe.Customer = "nobody" })
		if found, err := nobody.Probe(t.Context()); err != nil || len(found) != 1 || found[0].Level != cdc.LevelFail {
			t.Errorf("%+v %v", found, err)
		}
	}
}
