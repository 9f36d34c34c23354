package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc/cdctest"
	"waybill/cmd/internal/books"
)

// testStores starts both servers and makes the carriers' tables in them.
func testStores(t *testing.T) stores {
	t.Helper()
	s := &servers{postgres: cdctest.StartPostgres(t), mariadb: cdctest.StartMariaDB(t), stores: stores{}}
	t.Cleanup(func() {
		for _, db := range s.stores {
			db.Close()
		}
	})
	if err := s.createStores(t.Context(), carriersFolder); err != nil {
		t.Fatal(err)
	}
	return s.stores
}

// The days, played into the real databases, leave what the script promises: read by the books' own eyes.
func TestDaysInRealDatabases(t *testing.T) {
	into := testStores(t)
	plan := testPlan(t, 3)
	plan.Span = time.Second
	script := mustScript(t, plan)
	s := &show{servers: &servers{stores: into}, script: script, cutover: plan.Start.Add(-2 * time.Second), zone: plan.Zone}
	if err := SeedHistory(t.Context(), into[Billing], 1000, plan.Seed, s.cutover); err != nil {
		t.Fatal(err)
	}
	if err := into.apply(t.Context(), script.Before); err != nil {
		t.Fatal(err)
	}
	told := 0
	if err := into.play(t.Context(), script.Days, time.Now(), func(tx Transaction) {
		if tx.Tell != "" {
			told++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if told != len(script.Mishaps)-2 { // one is a disaster, one happens later
		t.Errorf("%d mishaps are told while the days are played, of %d", told, len(script.Mishaps))
	}
	// The ERP has the shipment apart that is taken out of its week.
	var invoices []books.Invoice
	for _, id := range script.Released {
		invoices = append(invoices, books.Invoice{Reference: id, State: "cancelled"})
	}
	due := func() (keys, wrong []string, old int) {
		t.Helper()
		carriers, err := s.carriers(t.Context(), invoices)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range carriers {
			for _, h := range c.Headers {
				switch {
				case h.State == "R" && h.Released.Before(s.cutover.AddDate(0, 0, -30)):
					old++
				case h.State == "R":
					keys = append(keys, h.Key)
					if h.Net+h.Tax != h.Total || h.Account == "" || !strings.HasPrefix(h.Key, c.Prefix) {
						wrong = append(wrong, h.Key)
					}
				}
			}
		}
		slices.Sort(keys)
		return keys, wrong, old
	}
	keys, wrong, old := due()
	if want := len(script.Released) - 3; len(keys) != want || len(wrong) != 1 || old < 900 {
		t.Errorf("%d documents are released, want %d; wrong are %v, want one; %d are old", len(keys), want, wrong, old)
	}
	for _, m := range script.Mishaps {
		if err := into.apply(t.Context(), m.Now); err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Remedy {
			if err := into.apply(t.Context(), r.Transactions); err != nil {
				t.Fatal(err)
			}
		}
	}
	if keys, wrong, _ = due(); !slices.Equal(keys, slices.Sorted(slices.Values(script.Released))) || len(wrong) > 0 {
		t.Errorf("after the repairs %d documents are released, want %d; wrong are %v", len(keys), len(script.Released), wrong)
	}
	var loads, moved int
	if err := into[Dispatch].QueryRow("SELECT count(*) FROM loads WHERE status_cd = 'CLS'").Scan(&loads); err != nil || loads < 90 {
		t.Errorf("%d loads are closed (%v), want at least 90", loads, err)
	}
	if err := into[Billing].QueryRow("SELECT count(*) FROM inv_hdr h JOIN bill_cust c ON c.cust_cd = h.cust_cd AND h.inv_dt BETWEEN c.eff_dt AND COALESCE(c.end_dt, h.inv_dt) WHERE c.erp_acct = '104412' AND h.inv_no LIKE 'B%'").Scan(&moved); err != nil || moved == 0 {
		t.Errorf("no document falls on the account that the customer moved to (%v)", err)
	}
}
