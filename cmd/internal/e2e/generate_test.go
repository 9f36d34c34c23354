package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// mapped writes the sample carrier's mapping with other parts: pairs of a text and what takes its place.
func (s *site) mapped(replace ...string) {
	s.t.Helper()
	s.write()
	path := filepath.Join(s.dir, "mapping.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			s.t.Fatalf("%q is not in the mapping", replace[i])
		}
		text = []byte(strings.Replace(string(text), replace[i], replace[i+1], 1))
	}
	s.file("mapping.yaml", string(text))
}

// TestGeneration asks a billing system for the invoices of delivered shipments, while it is slow and loses answers and the daemon is killed
// in the middle of requests. The service knows no keys: only what Waybill looks up keeps a shipment from being
// billed twice. The invoices come back through the billing database's log, find their cases, and reach the ERP.
func TestGeneration(t *testing.T) {
	const loads = 8
	s := newSite(t)
	s.ledger()
	billing := sinktest.StartBilling(t, sinktest.BillingOptions{File: filepath.Join(s.dir, "made.jsonl"), Token: "tok", Release: true, Forgetful: true,
		DSN: fmt.Sprintf("%s:%s@tcp(%s:%d)/%s", maria.User, maria.Password, maria.Host, maria.Port, s.myName)})
	s.file("token", "Bearer tok")
	s.sink += fmt.Sprintf(`  billing:
    type: http
    url: %s
    secret_file: token
    timeout: 2s
    horizon: 1s
    check: /health
    entities:
      generate:
        path: /v1/invoices
        ref: id
        number: number
        verify: { path: "/v1/invoices?key={external_id}", found: items, compare: { shipment: shipment, customer: customer } }
    policy: { concurrency: 2, backoff_cap: 1s, breaker_cooldown: 1s }
`, billing.URL)
	s.mapped("\ntests:", `
  billing.ready -> billing.generate:
    external_id: "nstar:gen:{shipment}"
    require: [ { erp.customer: customer, deadline: 24h } ]
    body:
      shipment: shipment
      customer: customer
      charges[]: { charge: charge, amount: amount }

cases:
  keys: { shipment: strong, load: strong, invoice: shared }
  fields: [customer]
  wait: 1s
  pod: { required: "true", within: 48h }

tests:`)
	if out, errs, _ := s.waybill("check"); !regexp.MustCompile(`ok +billing +answer +200\b`).MatchString(out) || !regexp.MustCompile(`ok +billing +verify of generate `).MatchString(out) {
		t.Errorf("check:\n%s%s", out, errs)
	}
	a := s.asker()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.settled(60 * time.Second) // the first readings are over: what comes now is news
	for i, phase := range []struct {
		fault string
		kill  bool // in the middle of the request
	}{{"slow", true}, {"error", false}, {"drop", true}, {"drop", false}} {
		seen := billing.Received()
		billing.Fault(phase.fault, 1, 300*time.Millisecond)
		s.load(601+2*i, "100001")
		s.load(602+2*i, "100001")
		s.until(60*time.Second, "a request is on its way", func() bool { return billing.Received() > seen })
		if phase.kill {
			s.kill()
			s.start()
		}
	}
	for i := range loads {
		key := fmt.Sprintf("shipment/%d", 601+i)
		v := a.becomes(key, "is posted", func(v pipeline.CaseView) bool { return v.Stage == "posted" })
		if len(v.Documents) != 1 || v.Documents[0].Amount == nil || v.Documents[0].Amount.Amount != "1000.00" {
			t.Errorf("%s has the documents %+v", key, v.Documents)
		}
	}
	// The invoice may be back before the request for it is looked up.
	s.until(60*time.Second, "every request was answered or found", func() bool {
		return strings.Count(s.must("events", "list", "--type", "invoice.requested"), "invoice.requested") == loads
	})
	made := map[string]int{}
	for _, key := range billing.Made() {
		made[key]++
	}
	for i := range loads {
		if key := fmt.Sprintf("nstar:gen:%d", 601+i); made[key] != 1 || len(made) != loads {
			t.Errorf("%s was made %d times of %v", key, made[key], made)
		}
	}
	if out := s.must("trace", "shipment/601"); !strings.Contains(out, "billing.generate") || strings.Contains(out, "tok") {
		t.Error(out)
	}
	s.stop()
}

// TestGenerationIsShownInItsCase follows one shipment whose invoice is asked for, and drafted but not released.
func TestGenerationIsShownInItsCase(t *testing.T) {
	s := newSite(t)
	s.ledger()
	billing := sinktest.StartBilling(t, sinktest.BillingOptions{File: filepath.Join(s.dir, "made.jsonl")})
	s.sink += fmt.Sprintf("  billing: { type: http, url: %q, timeout: 2s, horizon: 1s, entities: { generate: { path: /v1/invoices, ref: id, number: number, verify: { path: '/v1/invoices?key={external_id}', found: items } } } }\n", billing.URL)
	s.mapped("\ntests:", `
  billing.ready -> billing.generate:
    external_id: "nstar:gen:{shipment}"
    body: { shipment: shipment, customer: customer }

cases: { keys: { shipment: strong }, fields: [customer], wait: 1s }

tests:`)
	a := s.asker()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.settled(60 * time.Second)
	billing.Fault("down", 0, 0)
	s.load(701, "100001")
	a.becomes("shipment/701", "waits for the service", func(v pipeline.CaseView) bool {
		return v.Ready != nil && strings.HasPrefix(v.Waits, "It is billable; billing has not been asked")
	})
	billing.Fault("pass", 0, 0)
	a.becomes("shipment/701", "was asked for", func(v pipeline.CaseView) bool {
		return v.Stage == "billable" && strings.HasPrefix(v.Waits, "It is billable: asked billing for the invoice, G00001, at 2")
	})
	s.stop()
}
