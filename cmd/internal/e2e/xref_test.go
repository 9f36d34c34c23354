package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

const registryMapping = `
xref:
  customer:
    registry: customer
    system: stress.db
    role: bill_to
    from: db.cust
    key: cust_cd
    describe: { name: cust_nm, tax_id: fed_id }
    value: { account: erp_account }
documents:
  invoice:
    root: db.inv as h
    key: h.inv_no
    released_at: h.rel_ts
    emit: { invoice.released: 'became(h.stat, "R")' }
    total: source
    amount: h.amt
    set:
      number: h.inv_no
      date: h.inv_dt
      currency: "USD"
      bill_to: xref.customer(h.cust_cd, as_of=h.inv_dt)
      total: money(h.amt)
      lines[]: { net: money(l.amt) }
    lines: db.inv_line as l on l.inv_no = h.inv_no order by l.line_no
posts:
  invoice.released -> erp.sales_invoice:
    external_id: "e2e:{number}"
    body: { party: bill_to.account, canonical: bill_to.id, total: total }
bounds: { events: 50, posts: 50, money: 5000 } # of what rows make: what an approval releases, a person has decided
`

// TestOneUnknownCustomerWithManyInvoices releases 200 invoices of a customer that nobody knows: one exception holds them while the other
// customer's flow. One approval releases all, and the daemon is killed while they are on their way: each is posted once.
func TestOneUnknownCustomerWithManyInvoices(t *testing.T) {
	e := newEngine(t, "postgres")
	e.sql(e.db, `CREATE TABLE cust (cust_cd varchar(8) PRIMARY KEY, cust_nm varchar(60), fed_id varchar(12));
		CREATE TABLE inv (inv_no varchar(12) PRIMARY KEY, cust_cd varchar(8) NOT NULL, stat char(1) NOT NULL, inv_dt date NOT NULL, amt numeric(12,2) NOT NULL,
			rel_ts timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
		CREATE TABLE inv_line (inv_no varchar(12), line_no int, amt numeric(12,2) NOT NULL, PRIMARY KEY (inv_no, line_no))`)
	e.configure(registryMapping, "")
	e.file("erp.csv", "kind,system,role,key,canonical,valid_from,attr.erp_account,attr.name,attr.tax_id\n"+
		"customer,erp,,118200,C-18,,118200,\"Lone Star Foods, Inc.\",36-1234567\n"+
		"customer,stress.db,bill_to,KNOWN,C-19,2019-01-01,119000,,\n")
	e.start()
	e.must("xref", "import", "erp.csv", "--why", "customers of the ERP", "--yes")
	if out := e.must("xref", "import", "erp.csv", "--why", "again", "--yes"); !strings.Contains(out, "There was nothing to do.") {
		t.Errorf("imported again:\n%s", out)
	}
	const unknown = 200
	write := func(prefix, customer string, n int) {
		t.Helper()
		e.sql(e.db, fmt.Sprintf(`BEGIN; INSERT INTO inv SELECT '%[1]s' || n, '%[2]s', 'R', '2026-10-01', n FROM generate_series(1, %[3]d) n;
			INSERT INTO inv_line SELECT '%[1]s' || n, 1, n FROM generate_series(1, %[3]d) n; COMMIT`, prefix, customer, n))
	}
	write("N", "NEW01", unknown)
	write("K", "KNOWN", 5)
	e.sql(e.db, `INSERT INTO cust VALUES ('NEW01', 'LONE STAR FOODS', '361234567')`)
	e.until(30*time.Second, "the known customer's invoices flow, and the others wait", func() bool {
		return e.delivered() == 5 && strings.Contains(e.must("exceptions", "list", "--json"), "It may be C-18")
	})
	var open []pipeline.ExceptionView
	e.json(&open, "exceptions", "list")
	if len(open) != 1 || open[0].Waiting != unknown || open[0].Code != "UNKNOWN_CUSTOMER" || open[0].Money["USD"] != "20100.00" {
		t.Fatalf("exceptions: %+v", open)
	}
	var plan pipeline.PlanView
	if e.json(&plan, "plan", "--registry", "erp.csv", "--lookups", "0"); plan.Events["invoice.released"] != 5 {
		t.Errorf("a plan with the rows of the file: %+v", plan)
	}
	shown := e.must("xref", "show", "customer", "stress.db", "NEW01", "--role", "bill_to")
	if !strings.Contains(shown, "same tax id 361234567, same name LONE STAR FOODS") || !strings.Contains(shown, "200 subjects (20,100.00 USD)") {
		t.Errorf("what it may be:\n%s", shown)
	}
	e.must("xref", "propose", "customer", "stress.db", "NEW01", "--role", "bill_to", "--like", "R-000001", "--why", "same tax id", "--yes")
	if out := e.must("xref", "approve", "R-000003", "--why", "test", "--dry-run"); !strings.Contains(out, "200 subjects wait (20,100.00 USD) on X-000001") {
		t.Errorf("what an approval would release:\n%s", out)
	}
	if n := e.delivered(); n != 5 {
		t.Fatalf("a proposal released %d invoices", n-5)
	}

	e.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Delay, Delay: 20 * time.Millisecond})
	approve := e.command("xref", "approve", "R-000003", "--why", "confirmed by phone", "--yes")
	if err := approve.Start(); err != nil {
		t.Fatal(err)
	}
	e.until(30*time.Second, "the release has begun", func() bool { return e.delivered() > 15 })
	write("L", "KNOWN", 5)
	e.kill()
	_ = approve.Wait() // it may have lost the daemon
	if n := e.delivered(); n >= unknown {
		t.Fatalf("%d of %d were posted before the kill: it was not in the middle", n, unknown)
	}
	e.start()
	e.settled(60 * time.Second)
	e.once(unknown)
	if out := e.must("exceptions", "list"); !strings.Contains(out, "Nothing needs a person.") {
		t.Errorf("exceptions:\n%s", out)
	}
	if out := e.must("xref", "export"); !strings.Contains(out, "customer,,stress.db,bill_to,NEW01,C-18,,,active,118200,\"Lone Star Foods, Inc.\",36-1234567") {
		t.Errorf("exported:\n%s", out)
	}
	e.stop()
}

// once proves that the ERP holds each invoice once, with the account of the registry.
func (e *engine) once(unknown int) {
	e.t.Helper()
	want := map[string][]string{}
	for prefix, n := range map[string]int{"N": unknown, "K": 5, "L": 5} {
		for i := range n {
			want["sales_invoice"] = append(want["sales_invoice"], fmt.Sprintf("e2e:%s%d", prefix, i+1))
		}
	}
	report, err := sinktest.Ledger(e.erp.File, want, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if len(report.Duplicates)+len(report.Missing) > 0 || len(report.Effects) != 2*(unknown+10) {
		e.t.Errorf("%d effects, twice %v, missing %v", len(report.Effects), report.Duplicates, report.Missing)
	}
	for _, x := range report.Effects {
		account := `"party":"119000"`
		if strings.HasPrefix(x.ExternalID, "e2e:N") {
			account = `"party":"118200"`
		}
		if !strings.Contains(string(x.Body), account) {
			e.t.Fatalf("%s: %s", x.ExternalID, x.Body)
		}
	}
}

// json runs a command with --json and reads its answer.
func (s *site) json(into any, args ...string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must(append(args, "--json")...)), into); err != nil {
		s.t.Fatal(err)
	}
}
