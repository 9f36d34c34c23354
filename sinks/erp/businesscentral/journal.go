package businesscentral

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// entry is the body of a journal_entry.
type entry struct {
	Reference   string      `json:"reference"`
	Date        string      `json:"date"`         // YYYY-MM-DD
	PostingDate string      `json:"posting_date"` // empty: the date
	Currency    string      `json:"currency"`     // the company's; a journal of the API has no other
	Description string      `json:"description"`
	Total       field       `json:"total"` // of the debits; empty: their sum
	Lines       []entryLine `json:"lines"`
}

type entryLine struct {
	Account     string `json:"account"` // G/L account, or empty with a party
	Party       string `json:"party"`   // code of a customer
	Description string `json:"description"`
	Amount      field  `json:"amount"` // signed: a debit is positive; or one of the next two
	Debit       field  `json:"debit"`
	Credit      field  `json:"credit"`
}

// entryMost bounds the lines of a journal entry.
const entryMost = 200

// lineStep is between the numbers of journal lines, as the product leaves it.
const lineStep = 10_000

// journalRequest is the frozen intent of a journal entry. It has a journal of its own, for posting a journal posts all that is in it, and which is deleted afterwards.
type journalRequest struct {
	Code     string        `json:"code"`     // of the journal
	Number   string        `json:"number"`   // of the document: what the ledger keeps
	External string        `json:"external"` // external document number of the lines
	Name     string        `json:"name"`
	Date     string        `json:"date"` // of the posting
	Currency string        `json:"currency"`
	Total    string        `json:"total"` // of the debits
	Lines    []journalLine `json:"lines"`
}

type journalLine struct {
	Type        string `json:"type"` // of the account, in the words of the API
	Account     string `json:"account"`
	Description string `json:"description"`
	Amount      string `json:"amount"`
}

func (x *exchange) prepareJournal(op sinks.Operation) (journalRequest, *sinks.Outcome) {
	var e entry
	req := journalRequest{Code: codeFor(op.ExternalID, journalMost), Number: codeFor(op.ExternalID, documentMost), External: codeFor(op.ExternalID, externalMost)}
	if out := strict(op.Body, &e); out != nil {
		return req, out
	}
	var r reader
	r.need("reference", e.Reference)
	r.need("currency", e.Currency)
	r.date("date", e.Date)
	if e.PostingDate == "" {
		e.PostingDate = e.Date
	}
	r.date("posting_date", e.PostingDate)
	if n := len(e.Lines); (n < 2 || n > entryMost) && r.bad == nil {
		r.bad = rejected("LINES", "lines", fmt.Sprintf("The entry has %d lines; 2 to %d are possible.", n, entryMost), "")
	}
	sum, debits := decimal.Zero, decimal.Zero
	for i, l := range e.Lines {
		line, amount := readEntryLine(&r, fmt.Sprintf("lines[%d].", i), l, e.Description)
		if sum = sum.Add(amount); amount.IsPositive() {
			debits = debits.Add(amount)
		}
		req.Lines = append(req.Lines, line)
	}
	if r.bad != nil {
		return req, r.bad
	}
	if !sum.IsZero() {
		return req, rejected(codeTotal, "lines", fmt.Sprintf("Debits and credits differ by %s.", sum), "Correct the entry in its source; it does not balance.")
	}
	if want := r.number("total", orText(e.Total.Value, debits.String())); r.bad != nil || !want.Equal(debits) {
		return req, rejected(codeTotal, "total", fmt.Sprintf("The debits add up to %s, total says %s.", debits, e.Total.Value), "Correct the entry in its source; it does not add up.")
	}
	if x.books.theirs(e.Currency) != "" {
		return req, rejected("CURRENCY", "currency", fmt.Sprintf("The entry is in %s, and the company's currency is %s.", e.Currency, x.books.currency), "A journal of this API is kept in the company's currency; convert it in the source.")
	}
	req.Name, req.Date, req.Currency, req.Total = clip(e.Reference, 100), e.PostingDate, x.books.currency, debits.String()
	return req, nil
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func readEntryLine(r *reader, at string, l entryLine, memo string) (journalLine, decimal.Decimal) {
	line := journalLine{Type: "G/L Account", Account: strings.ToUpper(l.Account), Description: clip(orText(l.Description, memo), textMost)}
	if l.Account == "" {
		r.need(at+"account", l.Party)
		line.Type, line.Account = "Customer", strings.ToUpper(l.Party)
	}
	given, amount := 0, decimal.Zero
	for _, a := range []struct {
		name  string
		value field
		sign  int64
	}{{"amount", l.Amount, 1}, {"debit", l.Debit, 1}, {"credit", l.Credit, -1}} {
		if a.value.Value == "" {
			continue
		}
		n := r.number(at+a.name, a.value.Value)
		if a.name != "amount" && n.IsZero() {
			continue // an empty column
		}
		amount, given = n.Mul(decimal.NewFromInt(a.sign)), given+1
	}
	if given != 1 && r.bad == nil {
		r.bad = rejected("REQUIRED", at+"amount", fmt.Sprintf("The line has %d amounts.", given), "Map one of amount, debit and credit.")
	}
	line.Amount = amount.String()
	return line, amount
}

func readJournal(in sinks.Intent) (req journalRequest, out *sinks.Outcome) {
	if err := decode(in.Request, &req); err != nil {
		return req, rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	return req, nil
}

// journal finds the journal of an entry and its lines by their numbers; nil without an outcome: there is none.
func (x *exchange) journal(code string) (journal record, lines map[string]record, out *sinks.Outcome) {
	rows, out := x.find("journals", "code eq "+quoted(code), 2)
	if out != nil || len(rows) == 0 {
		return nil, nil, out
	}
	journal = rows[0]
	all, out := x.find("journals("+journal.id()+")/journalLines", "", entryMost+1)
	lines = map[string]record{}
	for _, l := range all {
		lines[l.text("lineNumber")] = l
	}
	return journal, lines, out
}

// missing are the lines that a journal does not have yet; the outcome is a conflict when it holds something else.
func (req journalRequest) missing(lines map[string]record) (todo []int, out *sinks.Outcome) {
	for i, want := range req.Lines {
		got, there := lines[fmt.Sprint((i+1)*lineStep)]
		if !there {
			todo = append(todo, i)
			continue
		}
		a, ok := got.amount("amount")
		amount, err := decimal.NewFromString(want.Amount)
		if err != nil || !ok || !a.Equal(amount) || !strings.EqualFold(got.text("accountNumber"), want.Account) || got.date("postingDate") != req.Date ||
			!strings.EqualFold(got.text("documentNumber"), req.Number) {
			return nil, conflict("POST_CONFLICT", fmt.Sprintf("Line %d of the journal %s is %s on account %s on %s in Business Central, %s on %s on %s here.", i+1, req.Code, got.text("amount"),
				got.text("accountNumber"), got.date("postingDate"), want.Amount, want.Account, req.Date), "Find out who changed it; delete the journal there, then retry.")
		}
	}
	if len(lines) > len(req.Lines)-len(todo) {
		return nil, conflict("POST_CONFLICT", fmt.Sprintf("The journal %s has %d lines in Business Central, %d here.", req.Code, len(lines), len(req.Lines)), "Find out who changed it; delete the journal there, then retry.")
	}
	return todo, nil
}

// createJournal makes the journal and its lines. What is there already stays: a line is known by its number.
func (x *exchange) createJournal(in sinks.Intent) sinks.Outcome {
	req, out := readJournal(in)
	if out != nil {
		return *out
	}
	if o := x.entered(req, ""); o.Class != sinks.Absent {
		return o
	}
	journal, lines, out := x.journal(req.Code)
	if out != nil {
		return *out
	}
	if journal == nil {
		if out := x.write(&journal, http.MethodPost, "journals", "", record{"code": req.Code, "displayName": req.Name}); out != nil {
			return *out
		}
	}
	todo, out := req.missing(lines)
	if out != nil {
		return *out
	}
	var bodies []record
	for _, i := range todo {
		l := req.Lines[i]
		amount, err := decimal.NewFromString(l.Amount)
		if err != nil {
			return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
		}
		bodies = append(bodies, record{"lineNumber": (i + 1) * lineStep, "accountType": l.Type, "accountNumber": l.Account, "postingDate": req.Date, "documentNumber": req.Number,
			"externalDocumentNumber": req.External, "amount": number(amount), "description": l.Description})
	}
	if out := x.createAll("journals("+journal.id()+")/journalLines", bodies); out != nil {
		return *out
	}
	o := x.drafted(req)
	if o.Class == sinks.AlreadyApplied {
		o.Class = sinks.Applied
	} else if o.Class == sinks.Absent || o.Class == sinks.RetryLater {
		return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: o.Outage, Message: "The journal was written and could not be read back.", Hint: hintAgain}
	}
	return o
}

// verifyJournal looks for the entry in the ledger and then for its journal. One that lacks lines is absent: what it lacks is added.
func (x *exchange) verifyJournal(in sinks.Intent) sinks.Outcome {
	req, out := readJournal(in)
	if out != nil {
		return *out
	}
	if o := x.entered(req, ""); o.Class != sinks.Absent {
		return o
	}
	return x.drafted(req)
}

func (x *exchange) drafted(req journalRequest) sinks.Outcome {
	journal, lines, out := x.journal(req.Code)
	switch {
	case out != nil:
		return *out
	case journal == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: "Business Central has no journal " + req.Code + "."}
	}
	todo, out := req.missing(lines)
	switch {
	case out != nil:
		out.Ref = journal.id()
		return *out
	case len(todo) > 0:
		return sinks.Outcome{Class: sinks.Absent, Ref: journal.id(), Message: fmt.Sprintf("The journal %s lacks %d of %d lines.", req.Code, len(todo), len(req.Lines))}
	}
	return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: journal.id(), Number: req.Number, Facts: req.facts("Draft")}
}

func (req journalRequest) facts(state string) map[string]string {
	return map[string]string{"state": state, "posting_date": req.Date, "total": req.Total, "currency": req.Currency, "journal": req.Code}
}

// entered looks for the entry in the general ledger, by its document number and date. ref is the reference that the outcome carries.
func (x *exchange) entered(req journalRequest, ref string) sinks.Outcome {
	rows, out := x.find("generalLedgerEntries", "documentNumber eq "+quoted(req.Number)+" and postingDate eq "+req.Date, 10*entryMost)
	switch {
	case out != nil:
		return *out
	case len(rows) == 0:
		return sinks.Outcome{Class: sinks.Absent, Ref: ref, Message: "The ledger of Business Central has no document " + req.Number + " on " + req.Date + "."}
	}
	if diff := req.drift(rows); diff != "" {
		o := conflict("POST_AMOUNT_DRIFT", "The ledger of Business Central has another document "+req.Number+": "+diff, "Find out which entry is right, and reverse the other there.")
		o.Number = req.Number
		return *o
	}
	if ref == "" {
		ref = req.Number
	}
	return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: ref, Number: req.Number, Facts: req.facts("Posted")}
}

// drift says in which accounts the entries of the ledger differ. Of customers, whose account the posting group decides, only the total is compared.
func (req journalRequest) drift(rows []record) string {
	ours, theirs, debits := map[string]decimal.Decimal{}, map[string]decimal.Decimal{}, decimal.Zero
	for _, l := range req.Lines {
		if a, err := decimal.NewFromString(l.Amount); err == nil && l.Type == "G/L Account" {
			ours[l.Account] = ours[l.Account].Add(a)
		}
	}
	for _, r := range rows {
		debit, _ := r.amount("debitAmount") // absent is zero
		credit, _ := r.amount("creditAmount")
		account := strings.ToUpper(r.text("accountNumber"))
		theirs[account], debits = theirs[account].Add(debit).Sub(credit), debits.Add(debit)
	}
	for _, l := range req.Lines {
		if l.Type == "G/L Account" && !ours[l.Account].Equal(theirs[l.Account]) {
			return fmt.Sprintf("account %s has %s, %s here", l.Account, theirs[l.Account], ours[l.Account])
		}
	}
	if total, err := decimal.NewFromString(req.Total); err != nil || !total.Equal(debits) {
		return fmt.Sprintf("the debits are %s, %s here", debits, req.Total)
	}
	return ""
}
