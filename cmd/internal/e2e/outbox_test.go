package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

const outboxMapping = `
events:
  customer.changed:
    from: db.sent
    lane: master
    key: k
    set: { code: k, name: note }
  payment.received:
    from: db.message(payment)
    key: id
    correlate: { customer: customer }
    set: { amount: dec(amount), customer: customer, id: id }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name }
  payment.received -> erp.sales_invoice:
    external_id: "payment:{id}"
    require:
      - { erp.customer: customer, deadline: 24h }
    body: { amount: amount }
`

// TestOutboxWithoutATable emits messages beside rows, in transactions that commit and some that do not, and kills the daemon over
// and over. Every message that was committed is posted once; nothing else is.
func TestOutboxWithoutATable(t *testing.T) {
	e := newEngine(t, "postgres")
	e.sql(e.db, "CREATE TABLE sent (k bigint PRIMARY KEY, note varchar(200) NOT NULL)")
	e.configure(outboxMapping, "")
	var want []string
	pay := func(n int, end string) {
		t.Helper()
		e.sql(e.db, fmt.Sprintf(`BEGIN; INSERT INTO sent VALUES (%[1]d, 'sent');
			SELECT pg_logical_emit_message(true, 'payment', '{"id": "P%[1]d", "amount": %[1]d.50, "customer": %[1]d}'),
			pg_logical_emit_message(true, 'gossip', 'x'), pg_logical_emit_message(false, 'payment', '{"id": "loose", "customer": 1}'); %[2]s`, n, end))
	}
	e.start()
	n := 0
	for kill := range 5 {
		for range 12 {
			n++
			pay(n, "COMMIT")
			want = append(want, fmt.Sprintf("payment:P%d", n))
			pay(100_000+n, "ROLLBACK")
		}
		if kill < 4 {
			e.kill()
			e.start()
		}
	}
	e.sql(e.db, "SELECT pg_logical_emit_message(true, 'payment', 'ten dollars')")
	st := e.settled(2 * time.Minute)
	report, err := sinktest.Ledger(e.erp.File, map[string][]string{"sales_invoice": want}, nil)
	if err != nil || len(report.Duplicates)+len(report.Missing) > 0 {
		t.Errorf("%v, duplicates %v, missing %v", err, report.Duplicates, report.Missing)
	}
	if posted := e.delivered(); posted != 2*len(want) { // customers, too
		t.Errorf("the ERP has %d records, %d were to be posted", posted, 2*len(want))
	}
	if len(st.Exceptions) != 1 || st.Exceptions[0].Code != "MESSAGE_NOT_READ" || st.Exceptions[0].Open != 1 {
		t.Errorf("exceptions: %+v", st.Exceptions)
	}
	if !strings.Contains(e.log.String(), "a message outside a transaction is not captured") {
		t.Error("the log does not tell of messages outside a transaction")
	}
	if out := e.must("events", "list", "--type", "payment.received", "--limit", "1000"); strings.Contains(out, "loose") {
		t.Errorf("a message outside a transaction became an event:\n%s", out)
	}
	if out, errs, code := e.waybill("snapshot", "db", "message(payment)", "--dry-run"); code == 0 || !strings.Contains(out+errs, "are messages") {
		t.Errorf("messages were read again: %d\n%s%s", code, out, errs)
	}
	e.stop()
}

// TestMessagesOfMariaDB names a source that has none, to both checks and to run.
func TestMessagesOfMariaDB(t *testing.T) {
	e := newEngine(t, "mariadb")
	e.sql(e.db, "CREATE TABLE sent (k bigint PRIMARY KEY, note varchar(200) NOT NULL)")
	e.configure(outboxMapping, "")
	out, errs, code := e.waybill("map", "check")
	if code != 2 || !strings.Contains(out+errs, "the messages db.message(payment), which the source db does not have") {
		t.Errorf("map check: %d\n%s%s", code, out, errs)
	}
	const found = "messages, which mariadb has not"
	if out, errs, code = e.waybill("check"); code == 0 || !strings.Contains(out+errs, found) {
		t.Errorf("check: %d\n%s%s", code, out, errs)
	}
	if text, code := e.refused(); code != 3 || !strings.Contains(text, found) {
		t.Errorf("run: %d\n%s", code, text)
	}
}
