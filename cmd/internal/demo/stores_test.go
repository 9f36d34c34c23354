package demo

import (
	"slices"
	"testing"
	"time"

	"waybill/cdc/cdctest"
	"waybill/cmd/internal/books"
)

// testStores starts both databases and makes the carrier's tables in them.
func testStores(t *testing.T) *servers {
	t.Helper()
	s := &servers{postgres: cdctest.StartPostgres(t), mariadb: cdctest.StartMariaDB(t)}
	t.Cleanup(func() {
		if s.dispatch != nil {
			s.dispatch.Close()
		}
		if s.billing != nil {
			s.billing.Close()
		}
	})
	if err := s.createStores(t.Context(), carrierFolder); err != nil {
		t.Fatal(err)
	}
	return s
}

// The days, played into the real databases, leave what the script promises: read by the books' own eyes.
func TestDaysInRealDatabases(t *testing.T) {
	s := testStores(t)
	plan := testPlan(t, 3)
	plan.Span = time.Second
	script := mustScript(t, plan)
	cutover := plan.Start.Add(-2 * time.Second)
	if err := SeedHistory(t.Context(), s.billing, 10_000, plan.Seed, cutover); err != nil {
		t.Fatal(err)
	}
	into := stores{s.dispatch, s.billing}
	if err := into.apply(t.Context(), script.Before); err != nil {
		t.Fatal(err)
	}
	if err := into.play(t.Context(), script.Days, time.Now()); err != nil {
		t.Fatal(err)
	}
	key := func(number string, _ int) string { return number }
	due := func() (numbers, unknown, wrong []string, old int) {
		headers, err := books.ReadBilling(t.Context(), s.billing, plan.Zone, key)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			switch {
			case h.Number[0] == 'A':
				old++
				if !h.Released.Before(cutover.AddDate(0, 0, -30)) {
					t.Errorf("old document %s was released on %s", h.Number, h.Released)
				}
			case h.State == "R":
				numbers = append(numbers, h.Number)
				if h.Account == "" {
					unknown = append(unknown, h.Number)
				}
				if h.Net+h.Tax != h.Total {
					wrong = append(wrong, h.Number)
				}
			}
		}
		return numbers, unknown, wrong, old
	}
	numbers, unknown, wrong, old := due()
	if want := slices.Sorted(slices.Values(script.Released)); !slices.Equal(numbers, want) || old != 10_000 {
		t.Errorf("%d documents are released and %d old, want %d and 10000", len(numbers), old, len(want))
	}
	if len(unknown) != 2 || len(wrong) != 1 {
		t.Errorf("documents of unknown customers %v, with wrong totals %v; want two and one", unknown, wrong)
	}
	for _, r := range script.Repairs {
		if err := into.apply(t.Context(), r.Transactions); err != nil {
			t.Fatal(err)
		}
	}
	if _, unknown, wrong, _ := due(); len(unknown)+len(wrong) > 0 {
		t.Errorf("after the repairs: unknown customers %v, wrong totals %v", unknown, wrong)
	}
	var moved, loads int
	if err := s.dispatch.QueryRow("SELECT count(*) FROM loads WHERE status_cd = 'CLS'").Scan(&loads); err != nil || loads < 200 {
		t.Errorf("%d loads are closed (%v), want at least 200", loads, err)
	}
	if err := s.billing.QueryRow("SELECT count(*) FROM inv_hdr h JOIN bill_cust c ON c.cust_cd = h.cust_cd AND h.inv_dt BETWEEN c.eff_dt AND COALESCE(c.end_dt, h.inv_dt) WHERE c.erp_acct = '104412' AND h.inv_no LIKE 'B%'").Scan(&moved); err != nil || moved == 0 {
		t.Errorf("no document falls on the account that the customer moved to (%v)", err)
	}
}
