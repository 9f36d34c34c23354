package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// dayMapping is pastMapping with cases, and with customers that the registry must know.
func dayMapping() string {
	return strings.NewReplacer(
		"bill_to: h.cust_cd", "bill_to: xref.account(h.cust_cd, as_of=h.rel_ts)",
		"{ erp.customer: bill_to }", "{ erp.customer: bill_to.account }",
		"codes:\n", "xref:\n  account: { registry: customer, system: past, key: cust_cd, value: { account: erp_account } }\ncodes:\n",
	).Replace(pastMapping) + `cases:
  keys: { shipment: strong, invoice: shared }
  wait: 2s
  orphan: 2s
`
}

// knows lets two decisions bring a customer's row.
func (p *past) knows(customer string) {
	p.t.Helper()
	p.quiet()
	row := &transform.RegistryRow{RegistryKey: transform.RegistryKey{Kind: "customer", System: "past", Key: customer}, Canonical: "C-" + customer, From: "2020-01-01",
		Attributes: map[string]string{"erp_account": customer}}
	daemon := &Pipeline{store: p.store, project: p.project}
	v, err := daemon.ChangeXref(context.Background(), XrefRequest{Action: XrefPropose, Row: row, By: "ann", Why: "new"})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := daemon.ChangeXref(context.Background(), XrefRequest{Action: XrefApprove, IDs: []string{v.Steps[0].Row.ID}, By: "bob", Why: "seen"}); err != nil {
		p.t.Fatal(err)
	}
}

// Cases, the registry's rows and what their approvals release, a retry, a discard and a second carrier: made while lanes delivered,
// and made again from the journal, from a snapshot on the way, in commits of any size.
func TestRebuildOfCasesAndTheRegistry(t *testing.T) {
	p := newPast(t)
	p.activates(next(dayMapping(), "", ""))
	var refused atomic.Bool
	p.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "A5" && refused.CompareAndSwap(false, true) {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "PERIOD_CLOSED", Message: "the period is closed"}
		}
		return nil
	})
	p.start()
	for i := range 4 {
		p.knows(fmt.Sprintf("C%d", i))
	}
	p.settled()
	p.month()
	p.settled()
	if _, err := p.store.Backup(""); err != nil {
		t.Fatal(err)
	}
	for i := 4; i < 8; i++ {
		p.knows(fmt.Sprintf("C%d", i)) // each releases what its invoices waited for
	}
	p.settled()
	p.judges("retry", "DELIVERY/")
	p.settled()
	p.discards("MASTER/UNKNOWN_CUSTOMER")
	p.activates(strings.Replace(next(dayMapping(), "N30: NET 30", "N30: NET 30, N45: NET 45"), "version: 2", "version: 3", 1))
	p.settled()
	proof, err := p.history().VerifyState(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range proof.Kinds {
		if k.Count == 0 {
			t.Errorf("no %s were compared", k.What)
		}
	}
	p.madeAgain()
}
