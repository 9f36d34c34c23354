package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/transform"
)

// caseOf asks for a case; nothing is known of it yet when the second result is false.
func (s *site) caseOf(key string) (v pipeline.CaseView, ok bool) {
	s.t.Helper()
	out, errs, code := s.waybill("case", "show", key, "--json")
	if code != 0 {
		if !strings.Contains(errs, "no case is known") {
			s.t.Fatal(errs)
		}
		return v, false
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return v, true
}

// becomes waits until the case is as the condition says.
func (s *site) becomes(key, what string, cond func(pipeline.CaseView) bool) (v pipeline.CaseView) {
	s.t.Helper()
	s.until(20*time.Second, key+" "+what, func() bool {
		var ok bool
		v, ok = s.caseOf(key)
		return ok && cond(v)
	})
	return v
}

// openCodes lists the codes of the open exceptions with their subjects.
func (s *site) openCodes() string {
	s.t.Helper()
	var list []pipeline.ExceptionView
	out := s.must("exceptions", "list", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	var all []string
	for _, x := range list {
		all = append(all, x.Code+" "+strings.Join(x.Subjects, " "))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestCases follows two loads through dispatch on PostgreSQL, billing on MariaDB and the ERP: one from its assignment to the
// posted invoice, with a second invoice that a person links; one that is completed before anybody knows its load. A kill -9 in
// between changes nothing of it.
func TestCases(t *testing.T) {
	s := newSite(t)
	s.ledger()
	s.write()
	mapping := filepath.Join(s.dir, "mapping.yaml")
	text, err := os.ReadFile(mapping)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "correlate: { shipment: h.load_no }", "correlate: { shipment: h.load_no, bol: h.memo }", 1)
	s.file("mapping.yaml", with+`
cases:
  keys: { shipment: strong, load: strong, invoice: shared, bol: medium }
  fields: [customer]
  wait: 2s
  orphan: 2s
  pod: { required: "true", within: 48h }
`)
	s.start()
	s.customer("100001", "Lone Star Foods")

	at := func(before time.Duration) string { return chicago(time.Now().Add(-before)) }
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) VALUES (501, '100001', 'AVL', now(), 20)`)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='ASG', driver_id=7, upd_ts=$1 WHERE load_no=501`, at(9*time.Minute))
	s.sql(s.dispatch, `UPDATE loads SET status_cd='LDD', dep_ts=$1 WHERE load_no=501`, at(8*time.Minute))
	delivered := at(5 * time.Minute)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='MTY', dlv_dt=$1, dlv_tm=$2, pcs_dlv=20 WHERE load_no=501`, delivered[:10], delivered[11:])
	v := s.becomes("501", "is delivered", func(v pipeline.CaseView) bool { return v.Stage == "delivered" })
	if v.Ref != "shipment/501" || v.Ready != nil || !strings.HasPrefix(v.Waits, "It waits for the POD") {
		t.Errorf("%+v", v)
	}
	s.sql(s.dispatch, `UPDATE loads SET status_cd='CLS', pod_ts=$1 WHERE load_no=501`, at(time.Minute))
	s.becomes("load/501", "is ready to be billed", func(v pipeline.CaseView) bool { return v.Stage == "billable" && v.Ready != nil })
	if out := s.must("events", "list", "--type", "billing.ready"); strings.Count(out, "billing.ready") != 1 {
		t.Error(out)
	}

	inv := plain("T1", "100001", 115000)
	inv.load = 501
	s.draft(inv)
	s.becomes("501", "is drafted", func(v pipeline.CaseView) bool { return v.Stage == "drafted" })
	s.kill()
	s.release("T1")
	s.start()
	s.becomes("invoice/T1", "is posted", func(v pipeline.CaseView) bool { return v.Stage == "posted" })

	// An invoice that names no load, only a bill of lading that nobody else does.
	s.draft(plain("M1", "100001", 5000))
	s.sql(s.billing, `UPDATE inv_hdr SET memo='BOL77' WHERE inv_no='M1'`)
	s.release("M1")
	s.until(20*time.Second, "people are told of the invoice without a case", func() bool { return strings.Contains(s.openCodes(), "UNMATCHED invoice/M1") })
	if _, _, code := s.waybill("case", "link", "invoice/M1", "shipment/999", "--why", "a guess"); code != 1 {
		t.Errorf("linked to a case that there is not: code %d", code)
	}
	s.must("case", "link", "invoice/M1", "501", "--why", "the shipper said so")

	// The completion is there before the load.
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord, pcs_dlv, dlv_dt, dlv_tm) VALUES (502, '100001', 'MTY', now(), 20, 20, $1, $2)`, delivered[:10], delivered[11:])
	s.until(20*time.Second, "people are told of the orphan", func() bool { return strings.Contains(s.openCodes(), "ORPHAN_COMPLETION shipment/502") })
	s.sql(s.dispatch, `UPDATE loads SET driver_id=7, upd_ts=$1 WHERE load_no=502`, at(9*time.Minute))
	s.until(20*time.Second, "nothing needs a person", func() bool { return s.openCodes() == "" })

	v = s.becomes("501", "has two posted documents", func(v pipeline.CaseView) bool {
		return !slices.ContainsFunc(v.Documents, func(d transform.CaseDocument) bool { return d.State != "posted" })
	})
	if len(v.Documents) != 2 || v.Documents[0].Number != "M1" || len(v.Exceptions) > 0 || len(v.Flags) > 0 {
		t.Errorf("%+v", v)
	}
	if out := s.must("case", "list", "--stage", "delivered"); !strings.Contains(out, "shipment/502") || strings.Contains(out, "shipment/501") {
		t.Error(out)
	}
	s.stop()
}
