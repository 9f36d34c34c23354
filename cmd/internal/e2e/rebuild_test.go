package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// fleet is three carriers in one daemon with one ERP: the sample carrier on PostgreSQL and MariaDB, whose customers stand in the
// registry and whose loads are cases, and two others on PostgreSQL.
type fleet struct {
	*asker
	ltl, bulk *yard
	erp       *sinktest.LedgerProcess
}

func newFleet(t *testing.T) *fleet {
	s := newSite(t)
	f := &fleet{erp: s.ledger()}
	s.write()
	cut := "cutover: " + s.cutover.Format(time.RFC3339)
	rules, _, _ := strings.Cut(s.mapping(), "\ntests:") // which are of the table that the registry replaces
	s.file("mapping.yaml", strings.Replace(rules, `    from: billing.bill_cust
    key: cust_cd
    valid: [eff_dt, end_dt]
    value: { account: erp_acct }
    miss: UNKNOWN_CUSTOMER
    owner: master data
`, `    registry: customer
    system: nstar.billing
    from: billing.bill_cust
    key: cust_cd
    describe: { name: erp_acct }
    value: { account: erp_account }
`, 1)+`
cases:
  keys: { shipment: strong, load: strong, invoice: shared }
  fields: [customer]
  wait: 2s
  orphan: 2s
`)
	beside := &yard{site: s, erp: f.erp}
	f.ltl, f.bulk = newYard(t, "pinevalley", "carrier.sql", "pvly", beside), newYard(t, "gulfcoast", "broker.sql", "gcbk", beside)
	raw, err := os.ReadFile(filepath.Join(s.dir, "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(raw)
	for _, y := range []*yard{f.ltl, f.bulk} {
		s.file(y.folder+".yaml", strings.Replace(cutoverLine.ReplaceAllString(y.text("mapping.yaml"), cut), "\nversion:", "\ncompany: "+strings.ToUpper(y.source)+"\nversion:", 1))
		config = strings.Replace(config, "\nsinks:\n", fmt.Sprintf("\n  %s: { type: postgres, host: 127.0.0.1, port: %d, database: %s, user: %s, password: %q, ssl_mode: disable, slot: %[3]s, publication: %[3]s, heartbeat: 1s }\nsinks:\n",
			y.source, pg.Port, y.pgName, pg.User, pg.Password), 1)
	}
	s.file("waybill.yaml", strings.Replace(config, "mapping: mapping.yaml", "mapping: [mapping.yaml, pinevalley.yaml, gulfcoast.yaml]", 1))
	f.asker = s.asker()
	return f
}

// snapshot keeps a state snapshot of the stopped store, as a trim of the journal does.
func (f *fleet) snapshot() {
	f.t.Helper()
	store, err := checkpoint.Open(f.dir+"/data", checkpoint.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := store.Backup(""); err != nil {
		f.t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// morning is work of all three carriers: what flows, an unknown customer whose row two decisions bring, an unknown code.
func (f *fleet) morning() {
	f.t.Helper()
	f.customer("C1", "Lone Star")
	f.file("erp.csv", "kind,system,role,key,canonical,valid_from,attr.erp_account,attr.name\ncustomer,erp,,C1,C-1,,C1,Lone Star\n")
	f.must("xref", "import", "erp.csv", "--why", "customers of the ERP", "--yes")
	f.load(1, "C1")
	for i, no := range []string{"A1", "A2", "A3"} {
		inv := plain(no, "C1", int64(100_00*(i+1)))
		inv.load = 1
		f.draft(inv)
	}
	f.draft(invoice{no: "A4", customer: "C1", lines: []line{{"TRF", 300_00, "EX"}}})
	f.draft(invoice{no: "A5", customer: "C1", lines: []line{{"XXX", 300_00, "EX"}}})
	f.release("A1", "A2", "A4", "A5")
	f.ltl.do(`INSERT INTO ops.consignee (shipto_cd, nm, adr1, adr2, ctry) VALUES ('MAPLE', 'Maple', '5 King St', 'Toronto, ON M5H 1A1', 'CA')`)
	f.ltl.do(`INSERT INTO ar.cust_acct VALUES ('MAPLE', 'MAPLE', 'CAD', '2019-01-01', NULL)`)
	for i := range 4 {
		f.ltl.shipment(pro(i))
	}
	f.ltl.week("W1", "MAPLE", "CAD", "", 1, map[string]int64{pro(0): 18010, pro(1): 7545}, nil)
	f.ltl.releaseWeek("W1")
	f.bulk.do(`INSERT INTO parties VALUES ('36-1234567', 'Gulf', '1 Main St|Houston|TX|77002', 30, false, $1)`, time.Now().UnixMilli())
	f.bulk.job(7001, "36-1234567")
	f.bulk.bill("50017", "36-1234567", "R", 7001, 171100)
	f.until(60*time.Second, "the unknown customer and the unknown codes are told", func() bool {
		open := f.open()
		return strings.Contains(open, "UNKNOWN_CUSTOMER") && strings.Contains(open, "UNMAPPED_CODE invoice/A4") && strings.Contains(open, "UNMAPPED_CODE invoice/A5")
	})
	f.must("xref", "propose", "customer", "nstar.billing", "BC1", "--like", "R-000001", "--why", "same account", "--yes")
	f.must("xref", "approve", "R-000002", "--why", "confirmed by phone", "--yes")
	f.until(60*time.Second, "the approval lets them go", func() bool { return len(postedBy(f.t, f.erp)) == 4 })
}

// refused writes documents that the ERP refuses, one of which a person sends again and the other gives up.
func (f *fleet) refused() {
	f.t.Helper()
	f.erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Step: "create", Fault: sinktest.Reject})
	f.bulk.bill("50018", "36-1234567", "R", 7001, 99999)
	f.bulk.bill("50019", "36-1234567", "R", 7001, 5000)
	f.until(60*time.Second, "both are refused", func() bool {
		return strings.Count(f.open(), "gcbk:5001") == 2 || strings.Count(f.open(), "GCBK:5001") == 2
	})
	f.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	f.must("exceptions", "retry", f.of("50018"), "--why", "the period is open again")
	f.must("exceptions", "discard", f.of("50019"), "--why", "written by hand", "--yes")
	f.must("exceptions", "discard", f.of("A5"), "--why", "a mistake of billing", "--yes")
}

// of is the id of the open exception on which something waits.
func (f *fleet) of(key string) string {
	f.t.Helper()
	list := told[[]pipeline.ExceptionView](f.site, "exceptions", "list")
	i := slices.IndexFunc(list, func(x pipeline.ExceptionView) bool { return strings.Contains(strings.Join(x.Subjects, " "), key) })
	if i < 0 {
		f.t.Fatalf("no exception of %s in %+v", key, list)
	}
	return list[i].ID
}

// TestRebuildOfADay makes a day's state again from the journal, and from a state snapshot on the way: three carriers, a registry,
// cases, refusals, a retry, discards, an activation, a kill in the middle of deliveries, a new start. Events, cases, exceptions,
// ledger, audit and all else are the same, byte for byte.
func TestRebuildOfADay(t *testing.T) {
	f := newFleet(t)
	f.start()
	f.morning()
	f.settled(60 * time.Second)
	f.stop()
	f.snapshot()
	noon := time.Now()

	f.start()
	f.refused()
	f.file("mapping.yaml", strings.NewReplacer("\nversion: 1\n", "\nversion: 2\n", "LMP: LUMPER, _unknown: hold }\n  item", "LMP: LUMPER, TRF: LUMPER, _unknown: hold }\n  item").Replace(f.mapping()))
	f.must("map", "activate", "northstar", "--why", "new tariff", "--yes")
	f.until(60*time.Second, "A4 is posted by the new version", func() bool { _, ok := postedBy(t, f.erp)["nstar:A4:0"]; return ok })

	f.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Delay, Delay: 1500 * time.Millisecond})
	f.release("A3")
	f.ltl.week("W1C", "MAPLE", "CAD", "W1", -1, map[string]int64{pro(0): 18010, pro(1): 7545}, nil)
	f.ltl.releaseWeek("W1C")
	f.ltl.week("W2", "MAPLE", "CAD", "", 1, map[string]int64{pro(2): 100, pro(3): 200}, nil)
	f.ltl.releaseWeek("W2")
	f.until(60*time.Second, "they are on their way", func() bool {
		st, err := f.api.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(st.Lanes, func(l pipeline.LaneStatus) bool { return l.InFlight > 0 })
	})
	f.kill()
	f.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	f.start()
	f.settled(60 * time.Second)
	if n := len(postedBy(t, f.erp)); n != 9 {
		t.Errorf("%d documents are posted: %v", n, postedBy(t, f.erp))
	}
	f.verified("while the daemon runs", "the beginning of the journal")
	f.stop()
	f.verified("from the beginning", "the beginning of the journal")
	f.verified("from the snapshot", "the state snapshot of", "--since", noon.Format(time.RFC3339Nano))
	if out := f.must("checkpoint", "verify"); !strings.Contains(out, "Compared, byte for byte: ") || !strings.Contains(out, " cases, ") || !strings.Contains(out, " registry rows") {
		t.Errorf("what was compared:\n%s", out)
	}
}

// verified proves that the state is what the journal makes.
func (f *fleet) verified(when, from string, args ...string) {
	f.t.Helper()
	proof := told[pipeline.StateProof](f.site, append([]string{"checkpoint", "verify"}, args...)...)
	if !proof.Equal || !strings.HasPrefix(proof.From, from) {
		f.t.Errorf("%s: %+v %+v", when, proof, proof.First)
	}
	for _, k := range proof.Kinds {
		if k.Count == 0 {
			f.t.Errorf("%s: no %s were compared", when, k.What)
		}
	}
}
