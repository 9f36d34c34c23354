package netsuite

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// prepareJournal freezes a journal entry. It is posted when it is saved, if the account does not ask for an approval.
func (x *exchange) prepareJournal(op sinks.Operation) (request, *sinks.Outcome) {
	req := request{Type: "journalEntry"}
	var j journal
	if out := strictBody(op.Body, &j); out != nil {
		return req, out
	}
	var r reader
	r.need("reference", j.Reference)
	r.need("currency", j.Currency)
	r.dates(j.Date, &j.PostingDate)
	r.lines(len(j.Lines), 2)
	debits, credits := decimal.Zero, decimal.Zero
	var amounts []decimal.Decimal // debits are positive
	for i, l := range j.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		r.need(at+"account", l.Account)
		var debit, credit decimal.Decimal
		if l.Debit.Value != "" {
			debit = r.number(at+"debit", l.Debit)
		}
		if l.Credit.Value != "" {
			credit = r.number(at+"credit", l.Credit)
		}
		if debit.IsNegative() || credit.IsNegative() || debit.IsZero() == credit.IsZero() {
			r.fault("NUMBER", at+"debit", fmt.Sprintf("The line has debit %s and credit %s.", debit, credit), "One of the two is positive and the other is not there.")
		}
		debits, credits = debits.Add(debit), credits.Add(credit)
		amounts = append(amounts, debit.Sub(credit))
	}
	if r.bad != nil {
		return req, r.bad
	}
	if !debits.Equal(credits) {
		return req, rejected("UNBALANCED", "lines", fmt.Sprintf("Debits are %s and credits %s.", debits, credits), "Correct the entry; it does not balance.")
	}
	e := expect{Date: j.Date, Money: j.Currency, Total: debits.String()}
	var out *sinks.Outcome
	if e.Subsidiary, out = x.subsidiary(op.Company); out != nil {
		return req, out
	}
	if e.Currency, out = x.resolve(lookCurrency, j.Currency); out != nil {
		return req, out
	}
	body := record{"tranDate": j.Date, "currency": refer(e.Currency)}
	if e.Subsidiary != "" {
		body["subsidiary"] = refer(e.Subsidiary)
	}
	if memo := described(j.Description, "reference", j.Reference); memo != "" {
		body["memo"] = memo
	}
	if j.PostingDate != j.Date {
		period, out := x.period(j.PostingDate)
		if out != nil {
			return req, out
		}
		body["postingPeriod"] = refer(period)
	}
	var lines []record
	for i, l := range j.Lines {
		account, out := x.resolve(lookAccount, l.Account)
		if out != nil {
			out.Field = fmt.Sprintf("lines[%d].account", i)
			return req, out
		}
		line := record{"account": refer(account)}
		if amounts[i].IsPositive() {
			line["debit"] = number(amounts[i])
		} else {
			line["credit"] = number(amounts[i].Neg())
		}
		if l.Description != "" {
			line["memo"] = l.Description
		}
		lines = append(lines, line)
	}
	body["line"] = record{"items": lines}
	req.Expect = &e
	var err error
	if req.Body, err = json.Marshal(body); err != nil {
		return req, rejected("BODY", "", err.Error(), "")
	}
	return req, nil
}
