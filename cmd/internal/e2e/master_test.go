package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

const governedMapping = `
events:
  customer.changed:
    from: db.cust
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name, country: country, phone: phone, payment_term: term }
documents:
  invoice:
    root: db.inv as h
    lines: db.inv_line as l on l.inv_no = h.inv_no order by l.line_no
    key: h.inv_no
    released_at: h.rel_ts
    emit: { invoice.released: 'became(h.stat, "R")' }
    total: source
    amount: h.amt
    set:
      number: h.inv_no
      date: h.inv_dt
      currency: "USD"
      bill_to: h.cust_cd
      total: money(h.amt)
      lines[]: { net: money(l.amt) }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name, country: country, phone: phone, payment_term: payment_term }
  invoice.released -> erp.sales_invoice:
    external_id: "e2e:{number}"
    require: [ { erp.customer: bill_to, deadline: 1s } ]
    body:
      reference: "e2e:{number}"
      party: bill_to
      date: date
      currency: currency
      net: total
      tax: "0.00"
      total: total
      lines[]: { product: "FRT", account: "4000", description: "Line haul", net: net, tax: "Exempt" }
masters:
  customer:
    approve: { default: none, new: none, fields: { payment_term: two } }
    validate: { phone: { most: 20 } }
`

// TestGovernedCustomers runs a customer's versions against a real ERP: two persons bring new terms into force; one that the ERP could not take
// is held while invoices flow with the version before; and what somebody changed in the ERP by hand is not written over.
func TestGovernedCustomers(t *testing.T) {
	e := newEngine(t, "postgres")
	tryton := sinktest.StartTryton(t, sinktest.TrytonOptions{})
	e.into(tryton)
	rpc := tryton.RPC(t, "admin")
	e.sql(e.db, `CREATE TABLE cust (cust_cd varchar(8) PRIMARY KEY, name varchar(80) NOT NULL, country varchar(12) NOT NULL, phone varchar(40) NOT NULL, term varchar(12) NOT NULL);
		CREATE TABLE inv (inv_no varchar(12) PRIMARY KEY, cust_cd varchar(8) NOT NULL, stat char(1) NOT NULL, inv_dt date NOT NULL, amt numeric(12,2) NOT NULL,
			rel_ts timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
		CREATE TABLE inv_line (inv_no varchar(12), line_no int, amt numeric(12,2) NOT NULL, PRIMARY KEY (inv_no, line_no))`)
	e.configure(governedMapping, "")
	e.start()
	party := func(code string) string {
		t.Helper()
		rows := rpc.Rows("party.party", []any{[]any{"code", "=", code}}, "name", "contact_mechanisms.value", "customer_payment_term.name")
		if len(rows) != 1 {
			return fmt.Sprintf("%d parties", len(rows))
		}
		term, _ := rows[0]["customer_payment_term."].(map[string]any)
		contacts, _ := rows[0]["contact_mechanisms."].([]any)
		phone := ""
		if len(contacts) > 0 {
			phone, _ = contacts[0].(map[string]any)["value"].(string)
		}
		return fmt.Sprint(rows[0]["name"], ", ", phone, ", ", term["name"])
	}
	shows := func(what, want string) {
		t.Helper()
		e.until(20*time.Second, what, func() bool { return strings.Contains(e.master(), want) })
	}
	invoice := func(no, customer string) {
		t.Helper()
		e.sql(e.db, fmt.Sprintf(`BEGIN; INSERT INTO inv VALUES ('%[1]s', '%[2]s', 'R', (now() AT TIME ZONE 'America/Chicago')::date, 10); INSERT INTO inv_line VALUES ('%[1]s', 1, 10); COMMIT`, no, customer))
	}
	posted := func(no string) bool {
		rows := rpc.Rows("account.invoice", []any{[]any{"reference", "=", "e2e:" + no}}, "state")
		return len(rows) == 1 && rows[0]["state"] == "posted"
	}

	e.sql(e.db, `INSERT INTO cust VALUES ('C1', 'Lone Star', 'US', '+1 214 555 0100', 'NET 30')`)
	shows("the first version is acknowledged", "1 active, erp.customer holds 1")
	e.sql(e.db, `UPDATE cust SET term = 'NET 15'`)
	shows("new terms wait for two persons", "1 active, 2 proposed, erp.customer holds 1, APPROVAL_NEEDED")
	for i, by := range []string{"ann@desk", "ann@home", "bob@desk"} {
		_, err := e.api.JudgeMaster(context.Background(), pipeline.MasterRequest{Action: pipeline.MasterApprove, Ref: "customer/C1", By: by, Why: "contract"})
		if (err != nil) != (i == 1) {
			t.Fatalf("%s: %v", by, err)
		}
		if i == 0 && !strings.HasSuffix(party("C1"), "NET 30") {
			t.Fatalf("one person brought it into force: %s", party("C1"))
		}
	}
	shows("the second version is acknowledged", "1 superseded, 2 active, erp.customer holds 2")
	if got := party("C1"); !strings.HasSuffix(got, "NET 15") {
		t.Errorf("the ERP has %s", got)
	}

	// A customer and a change that the ERP could not take. The invoices of the first flow, those of the second wait for it as one.
	e.sql(e.db, `UPDATE cust SET country = 'U.S.A.'; INSERT INTO cust VALUES ('C2', 'Gulf Steel', 'Texas', '', 'NET 30')`)
	shows("the change is held", "3 held, erp.customer holds 2, INCOMPATIBLE_MASTER")
	invoice("A1", "C1")
	invoice("A2", "C2")
	invoice("A3", "C2")
	var open []pipeline.ExceptionView
	e.until(20*time.Second, "the invoice of the known customer is posted, and the others say what they wait for", func() bool {
		open = e.open("GATE_OVERDUE")
		return posted("A1") && len(open) > 0 && open[0].Waiting == 2
	})
	if len(open) != 1 || !strings.Contains(open[0].Title, "customer/C2 is not in force yet") {
		t.Errorf("exceptions: %+v", open)
	}
	if posted("A2") || party("C2") != "0 parties" {
		t.Error("what is held has left")
	}
	e.sql(e.db, `UPDATE cust SET country = 'US', phone = '+1 214 555 0111' WHERE cust_cd = 'C1'; UPDATE cust SET country = 'US', phone = '+1 214 555 0222' WHERE cust_cd = 'C2'`)
	shows("it is right now", "3 active, erp.customer holds 3")
	e.until(20*time.Second, "and the invoices that waited are posted", func() bool { return posted("A2") && posted("A3") })

	// Somebody changes the phone in the ERP; then the source changes the name.
	contact := rpc.Rows("party.contact_mechanism", []any{[]any{"party.code", "=", "C1"}}, "id")[0]["id"]
	rpc.Must(nil, "party.contact_mechanism.write", []any{contact}, map[string]any{"value": "+1 214 555 0199"})
	e.sql(e.db, `UPDATE cust SET name = 'Lone Star Foods' WHERE cust_cd = 'C1'`)
	shows("the edit is found", "4 active, erp.customer holds 3, CHANGED_IN_TARGET")
	if open = e.open(""); len(open) != 1 || !strings.Contains(open[0].Title, "0199") || !strings.Contains(open[0].Title, "0111") {
		t.Fatalf("exceptions: %+v", open)
	}
	e.must("master", "settle", open[0].ID, "--take", "theirs", "--why", "the customer called the office")
	shows("the name is written", "4 active, erp.customer holds 4")
	if got := party("C1"); !strings.HasPrefix(got, "Lone Star Foods, +1 214") || !strings.Contains(got, "0199") {
		t.Errorf("the ERP has %s", got)
	}
	if out := e.must("master", "show", "C1"); !strings.Contains(out, "its own value stays in phone") || !strings.Contains(out, "ann@desk, bob@desk") {
		t.Errorf("shown:\n%s", out)
	}
	if open = e.open(""); len(open) > 0 {
		t.Errorf("exceptions: %+v", open)
	}
	e.stop()
}

// open lists the open exceptions of a code, or all.
func (e *engine) open(code string) []pipeline.ExceptionView {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := e.api.Exceptions(ctx, pipeline.ExceptionQuery{Code: code})
	if err != nil {
		return nil
	}
	return list
}

// master shows the versions of the first customer, which one the ERP holds, and what is open.
func (e *engine) master() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	v, err := e.api.Master(ctx, "customer/C1")
	if err != nil {
		return ""
	}
	var all []string
	for _, x := range v.Versions {
		all = append(all, fmt.Sprintf("%d %s", x.Number, x.State))
	}
	for _, x := range v.Targets {
		if x.Holds && !x.At.IsZero() {
			all = append(all, fmt.Sprintf("%s holds %d", x.Target, x.Version))
		}
	}
	for _, x := range v.Exceptions {
		all = append(all, x.Code)
	}
	return strings.Join(all, ", ")
}
