package netsuite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// expect is what makes a document in NetSuite the same as ours. Ids are NetSuite's own; amounts are as NetSuite has them, positive for a
// credit memo too.
type expect struct {
	Party      string `json:"party,omitempty"`
	Code       string `json:"code,omitempty"` // of the party, for people
	Currency   string `json:"currency"`
	Money      string `json:"money,omitempty"` // the currency's code of ISO 4217
	Date       string `json:"date"`
	Subsidiary string `json:"subsidiary,omitempty"`
	Net        string `json:"net,omitempty"`
	Tax        string `json:"tax,omitempty"`
	Total      string `json:"total"`
}

// createDocument looks for the document first, for PUT would change one that is there; then it creates it, once, and believes what it reads
// back. A PUT that arrives late, behind another of the same document, exchanges the lines for the same (Lists) where it would add them.
func (x *exchange) createDocument(in sinks.Intent, req request) sinks.Outcome {
	if o := x.verifyDocument(in, req); o.Class != sinks.Absent {
		return o
	}
	if out := x.send(in, req, req.Body, req.Lists); out != nil {
		return *out
	}
	o := x.verifyDocument(in, req)
	switch o.Class {
	case sinks.AlreadyApplied:
		o.Class = sinks.Applied
	case sinks.Conflict: // the document is in the books, and is another than ours
	default:
		o = sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: o.Outage, Message: "The document was saved and could not be read back: " + o.Message}
	}
	return o
}

// verifyDocument reads the document by its external id.
func (x *exchange) verifyDocument(in sinks.Intent, req request) sinks.Outcome {
	if out := x.awaits(in, req); out != nil {
		return *out
	}
	r, out := x.find(req.Type, req.Key)
	switch {
	case out != nil:
		return *out
	case r == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("NetSuite has no %s with the external id %s.", req.Type, req.Key)}
	}
	if diff := req.Expect.differences(r); diff != "" {
		o := conflict("POST_CONFLICT", "The external id is already used: "+diff, "Find out which document is right; a posted one is corrected by a credit memo.")
		o.Ref, o.Number = r.text("id"), r.text("tranId")
		return *o
	}
	return documentOutcome(r, req)
}

// differences names the compared fields in which a document differs, with both values. A field that NetSuite does not show is not compared,
// except the total and the date.
func (e expect) differences(r record) string {
	var diffs []string
	differ := func(field, ours, theirs string) {
		diffs = append(diffs, fmt.Sprintf("%s is %s in NetSuite, %s here", field, orNone(theirs), orNone(ours)))
	}
	for _, f := range []struct{ name, ours, theirs, shown string }{
		{"party", e.Party, r.ref("entity"), r.shown("entity")}, {"currency", e.Currency, r.ref("currency"), r.shown("currency")},
		{"subsidiary", e.Subsidiary, r.ref("subsidiary"), r.shown("subsidiary")},
	} {
		if f.ours != "" && f.theirs != "" && f.ours != f.theirs {
			differ(f.name, f.ours, f.shown)
		}
	}
	if date := r.text("tranDate"); date != e.Date {
		differ("date", e.Date, date)
	}
	net, tax, total := amounts(r)
	for _, f := range []struct {
		name, ours string
		theirs     *decimal.Decimal
	}{{"net", e.Net, net}, {"tax", e.Tax, tax}, {"total", e.Total, total}} {
		ours, err := decimal.NewFromString(f.ours)
		switch {
		case f.ours == "", f.theirs == nil && f.name != "total":
		case f.theirs == nil:
			differ(f.name, f.ours, "")
		case err != nil || !ours.Equal(*f.theirs):
			differ(f.name, f.ours, f.theirs.String())
		}
	}
	return strings.Join(diffs, "; ")
}

// amounts are what NetSuite shows of a document; a journal entry's total is the sum of its debits.
func amounts(r record) (net, tax, total *decimal.Decimal) {
	one := func(name string) *decimal.Decimal {
		if d, ok := r.amount(name); ok {
			return &d
		}
		return nil
	}
	net, tax, total = one("subtotal"), one("taxTotal"), one("total")
	if lines := r.items("line"); total == nil && len(lines) > 0 {
		sum := decimal.Zero
		for _, l := range lines {
			if d, ok := l.amount("debit"); ok {
				sum = sum.Add(d)
			}
		}
		total = &sum
	}
	return net, tax, total
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// documentOutcome carries what was read back.
func documentOutcome(r record, req request) sinks.Outcome {
	facts := map[string]string{"date": r.text("tranDate")}
	put := func(name, value string) {
		if value != "" {
			facts[name] = value
		}
	}
	put("state", r.shown("status"))
	put("period", r.shown("postingPeriod"))
	put("currency", r.shown("currency"))
	if req.Expect.Money != "" && r.ref("currency") == req.Expect.Currency {
		put("currency", req.Expect.Money) // NetSuite shows its name
	}
	put("party", req.Expect.Code)
	put("original", req.Original)
	net, tax, total := amounts(r)
	sign := func(d *decimal.Decimal) string {
		switch {
		case d == nil:
			return ""
		case req.Type == "creditMemo":
			return d.Neg().String() // as the source has it
		}
		return d.String()
	}
	put("net", sign(net))
	put("tax", sign(tax))
	put("total", sign(total))
	return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: r.text("id"), Number: r.text("tranId"), Facts: facts}
}

func errOf(o *sinks.Outcome) error {
	return errors.New(strings.TrimSpace(o.Code + ": " + o.Message + " " + o.Hint))
}
