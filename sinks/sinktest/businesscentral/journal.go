package businesscentral

import (
	"time"

	"github.com/shopspring/decimal"
)

func (s *Simulator) makeJournalLine(t *transaction, v values) (*row, *refusal) {
	r := resources["journalLines"]
	journal := t.find("journals", v.text("journalId"))
	if journal == nil {
		return nil, notFound(resources["journals"], v.text("journalId"))
	}
	if v.text("accountType") == "" {
		v["accountType"] = "G/L Account"
	}
	set := map[string]string{"G/L Account": "accounts", "Customer": "customers"}[v.text("accountType")]
	if set == "" {
		return nil, bad("Application_DialogException", "The account type %s is not set up in this simulator.", v.text("accountType"))
	}
	account := t.by(set, "number", v.text("accountNumber"))
	if id := v.text("accountId"); id != "" && id != noID {
		account = t.find(set, id)
	}
	if account == nil {
		return nil, missing(r, "accountNumber", orElse(v.text("accountId"), v.text("accountNumber")), resources[set].table)
	}
	v["accountId"], v["accountNumber"], v["journalDisplayName"] = account.id, account.now()["number"], journal.now()["displayName"]
	if v.text("postingDate") == "" {
		v["postingDate"] = time.Now().UTC().Format(dateForm)
	}
	if v.text("documentNumber") == "" {
		v["documentNumber"] = t.number("documents of "+journal.id, "G%05d", 1)
	}
	if v["lineNumber"] == nil {
		v["lineNumber"] = decimal.NewFromInt(int64(10000 * (1 + len(t.children(r.set, r.parent, journal.id)))))
	}
	if v.text("balancingAccountNumber") == "" {
		v["balancingAccountNumber"] = journal.now().text("balancingAccountNumber")
	}
	return t.insert(r.set, v), nil
}

// postJournal posts all lines of a journal: each document must be in balance. The lines leave the journal. A document number that was posted before
// is taken again.
func (s *Simulator) postJournal(t *transaction, journal *row) *refusal {
	lines := t.children("journalLines", "journalId", journal.id)
	if len(lines) == 0 {
		return bad("Application_DialogException", "There is nothing to post.")
	}
	var order []string
	documents := map[string][]values{}
	for _, row := range lines {
		v := row.now()
		if out := s.allowed(v.text("postingDate")); out != nil {
			return out
		}
		n := v.text("documentNumber")
		if documents[n] == nil {
			order = append(order, n)
		}
		documents[n] = append(documents[n], v)
	}
	for _, n := range order {
		sum := decimal.Zero
		for _, v := range documents[n] {
			if v.text("balancingAccountNumber") == "" {
				sum = sum.Add(v.amount("amount"))
			}
		}
		if !sum.IsZero() {
			return bad("Application_DialogException", "Document No. %s is out of balance by %s.", n, sum)
		}
	}
	for _, n := range order {
		total := decimal.Zero
		for _, v := range documents[n] {
			if a := v.amount("amount"); a.IsPositive() {
				total = total.Add(a)
			}
			v = values{"number": n, "postingDate": v["postingDate"], "customerName": v.text("description"), "amount": v["amount"], "accountNumber": v["accountNumber"], "balancing": v["balancingAccountNumber"]}
			s.book(t, v, v.text("accountNumber"), v.amount("amount"))
			if other := v.text("balancing"); other != "" {
				s.book(t, v, other, v.amount("amount").Neg())
			}
		}
		first := documents[n][0]
		t.note(resources["journalLines"], "post", orElse(first.text("externalDocumentNumber"), n), first, n, total.String())
	}
	for _, row := range lines {
		t.set(row, nil)
	}
	t.commit()
	return nil
}
