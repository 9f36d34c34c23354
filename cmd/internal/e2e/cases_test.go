package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/transform"
)

// asker asks the daemon of a site without a process of its own.
type asker struct {
	*site
	api *admin.Client
}

func (s *site) asker() *asker {
	a := &asker{s, admin.Dial(filepath.Join(s.dir, "data", "waybill.sock"), "waybill.yaml")}
	s.t.Cleanup(a.api.Close)
	return a
}

// becomes waits until the case is as the condition says.
func (a *asker) becomes(key, what string, cond func(pipeline.CaseView) bool) (v pipeline.CaseView) {
	a.t.Helper()
	a.until(60*time.Second, key+" "+what, func() bool {
		var err error
		v, err = a.api.Case(context.Background(), key)
		if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			a.t.Fatal(err)
		}
		return err == nil && cond(v)
	})
	return v
}

// open lists the codes of the open exceptions with their subjects.
func (a *asker) open() string {
	a.t.Helper()
	list, err := a.api.Exceptions(context.Background(), pipeline.ExceptionQuery{Limit: 100})
	if err != nil {
		a.t.Fatal(err)
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
	a := s.asker()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.settled(60 * time.Second) // the first readings are over: what comes now is news

	at := func(before time.Duration) string { return chicago(time.Now().Add(-before)) }
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) VALUES (501, '100001', 'AVL', now(), 20)`)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='ASG', driver_id=7, upd_ts=$1 WHERE load_no=501`, at(9*time.Minute))
	s.sql(s.dispatch, `UPDATE loads SET status_cd='LDD', dep_ts=$1 WHERE load_no=501`, at(8*time.Minute))
	delivered := at(5 * time.Minute)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='MTY', dlv_dt=$1, dlv_tm=$2, pcs_dlv=20 WHERE load_no=501`, delivered[:10], delivered[11:])
	v := a.becomes("501", "is delivered", func(v pipeline.CaseView) bool { return v.Stage == "delivered" })
	if v.Ref != "shipment/501" || v.Ready != nil || !strings.HasPrefix(v.Waits, "It waits for the POD") {
		t.Errorf("%+v", v)
	}
	s.sql(s.dispatch, `UPDATE loads SET status_cd='CLS', pod_ts=$1 WHERE load_no=501`, at(time.Minute))
	a.becomes("load/501", "is ready to be billed", func(v pipeline.CaseView) bool { return v.Stage == "billable" && v.Ready != nil })
	if out := s.must("events", "list", "--type", "billing.ready"); strings.Count(out, "billing.ready") != 1 {
		t.Error(out)
	}

	inv := plain("T1", "100001", 115000)
	inv.load = 501
	s.draft(inv)
	a.becomes("501", "is drafted", func(v pipeline.CaseView) bool { return v.Stage == "drafted" })
	s.kill()
	s.release("T1")
	s.start()
	a.becomes("invoice/T1", "is posted", func(v pipeline.CaseView) bool { return v.Stage == "posted" })

	// An invoice that names no load, only a bill of lading that nobody else does.
	s.draft(plain("M1", "100001", 5000))
	s.sql(s.billing, `UPDATE inv_hdr SET memo='BOL77' WHERE inv_no='M1'`)
	s.release("M1")
	s.until(60*time.Second, "people are told of the invoice without a case", func() bool { return strings.Contains(a.open(), "UNMATCHED invoice/M1") })
	if _, _, code := s.waybill("case", "link", "invoice/M1", "shipment/999", "--why", "a guess"); code != 1 {
		t.Errorf("linked to a case that there is not: code %d", code)
	}
	s.must("case", "link", "invoice/M1", "501", "--why", "the shipper said so")

	// The completion is there before the load.
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord, pcs_dlv, dlv_dt, dlv_tm) VALUES (502, '100001', 'MTY', now(), 20, 20, $1, $2)`, delivered[:10], delivered[11:])
	s.until(60*time.Second, "people are told of the orphan", func() bool { return strings.Contains(a.open(), "ORPHAN_COMPLETION shipment/502") })
	s.sql(s.dispatch, `UPDATE loads SET driver_id=7, upd_ts=$1 WHERE load_no=502`, at(9*time.Minute))
	s.until(60*time.Second, "nothing needs a person", func() bool { return a.open() == "" })

	v = a.becomes("501", "has two posted documents", func(v pipeline.CaseView) bool {
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
