package netsuite

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
)

func dec(values map[string]any, name string) decimal.Decimal {
	n, err := decimal.NewFromString(str(values, name))
	if err != nil {
		return decimal.Zero // the form has been looked at: it is not there
	}
	return n
}

func jsonNumber(n decimal.Decimal) json.Number { return json.Number(n.String()) }

func finishCustomer(w *write, r *record, values map[string]any) *problem {
	if values["isPerson"] == true {
		if str(values, "firstName") == "" || str(values, "lastName") == "" {
			return wrong(userError, "lastName", "You must enter a value for First Name and Last Name.")
		}
	} else if str(values, "companyName") == "" {
		return wrong(userError, "companyName", "You must enter a value for Company Name.")
	}
	if values["subsidiary"] == nil {
		return wrong(userError, "subsidiary", "Please enter value(s) for: Primary Subsidiary")
	}
	if values["entityId"] == nil {
		values["entityId"] = str(values, "companyName") // auto-generated numbers are off
	}
	for _, other := range w.server.records["customer"] {
		if other != r && !other.last().gone && str(other.last().values, "entityId") == str(values, "entityId") {
			return wrong(userError, "", "This entity already exists.")
		}
	}
	if r == nil {
		values["dateCreated"] = time.Now().UTC().Format(momentForm)
	}
	return nil
}

func finishItem(w *write, r *record, values map[string]any) *problem {
	for _, k := range itemKinds {
		for _, other := range w.server.records[k] {
			if other != r && !other.last().gone && str(other.last().values, "itemId") == str(values, "itemId") {
				return wrong("DUP_ITEM", "itemId", "Uniqueness error - There is already an item with that name or combination of name and parent.")
			}
		}
	}
	return nil
}

// period is the accounting period of a date; nil when there is none.
func (s *Server) period(date string) *record {
	for _, p := range s.records["accountingPeriod"] {
		values := p.last().values
		if values["isYear"] != true && values["isQuarter"] != true && str(values, "startDate") <= date && date <= str(values, "endDate") {
			return p
		}
	}
	return nil
}

func (w *write) openPeriod(date string) *problem {
	p := w.server.period(date)
	if p == nil {
		return wrong(userError, "tranDate", "There is no accounting period for the transaction date %s.", date)
	}
	if p.last().values["closed"] == true {
		return wrong("CLOSED_TRAN_PRD", "postingPeriod", "The posting period %s is closed.", str(p.last().values, "periodName"))
	}
	return nil
}

// head fills what a transaction has when nobody says it: date, period, number.
func (w *write) head(r *record, values map[string]any, prefix string) *problem {
	if values["tranDate"] == nil {
		values["tranDate"] = time.Now().UTC().Format(dateForm)
	}
	if r != nil {
		if p := w.openPeriod(str(r.last().values, "tranDate")); p != nil {
			return p // what is posted into a closed period stays as it is
		}
	}
	if p := w.openPeriod(str(values, "tranDate")); p != nil {
		return p
	}
	s := w.server
	if given := ref(values, "postingPeriod"); given != "" && (r == nil || given != ref(r.last().values, "postingPeriod")) {
		if s.byID("accountingPeriod", given).last().values["closed"] == true {
			return wrong("CLOSED_TRAN_PRD", "postingPeriod", "The posting period is closed.")
		}
	} else {
		values["postingPeriod"] = map[string]any{"id": s.period(str(values, "tranDate")).id}
	}
	if values["tranId"] == nil {
		s.numbers[w.kind.name]++
		values["tranId"] = prefix + strconv.Itoa(s.numbers[w.kind.name])
	}
	if r == nil {
		values["createdDate"] = time.Now().UTC().Format(momentForm)
	}
	return nil
}

// places are the digits behind the point of a document's currency.
func (s *Server) places(values map[string]any) int32 {
	r := s.byID("currency", ref(values, "currency"))
	if r == nil {
		return 2
	}
	n, err := strconv.ParseInt(str(r.last().values, "currencyPrecision"), 10, 32)
	if err != nil {
		return 2
	}
	return int32(n)
}

// sale fills a document of a customer: subsidiary, currency, lines, totals.
func (w *write) sale(r *record, values map[string]any, prefix string) *problem {
	s := w.server
	customer := s.byID("customer", ref(values, "entity"))
	if customer == nil {
		return invalidValue("entity", ref(values, "entity"), "entity")
	}
	home := ref(customer.last().values, "subsidiary")
	switch given := ref(values, "subsidiary"); given {
	case "":
		values["subsidiary"] = map[string]any{"id": home}
	case home:
	default:
		return invalidValue("subsidiary", given, "subsidiary")
	}
	if values["currency"] == nil {
		currency := customer.last().values["currency"]
		if currency == nil {
			currency = s.byID("subsidiary", home).last().values["currency"]
		}
		values["currency"] = clone(currency)
	}
	if p := w.head(r, values, prefix); p != nil {
		return p
	}
	return w.totals(values)
}

// totals computes the lines. A line's own amount and its own tax win over what the product would compute.
func (w *write) totals(values map[string]any) *problem {
	s, places := w.server, w.server.places(values)
	items := rows(values, "item")
	if len(items) == 0 {
		return wrong(userError, "item", "You must enter at least one line item for this transaction.")
	}
	subtotal, taxes := decimal.Zero, decimal.Zero
	for i, line := range items {
		at := fmt.Sprintf("item.items[%d]", i)
		if line["item"] == nil {
			return wrong(userError, at+".item", "Please choose an item to add")
		}
		quantity := decimal.NewFromInt(1)
		if line["quantity"] != nil {
			quantity = dec(line, "quantity")
		} else {
			line["quantity"] = json.Number("1")
		}
		if line["amount"] == nil {
			line["amount"] = jsonNumber(quantity.Mul(dec(line, "rate")).Round(places))
		}
		amount := dec(line, "amount")
		if !amount.Equal(amount.Round(places)) {
			return invalidValue(at+".amount", amount.String(), "amount")
		}
		tax := s.lineTax(values, line, amount, places)
		line["grossAmt"] = jsonNumber(amount.Add(tax))
		subtotal, taxes = subtotal.Add(amount), taxes.Add(tax)
	}
	total := subtotal.Add(taxes)
	if total.IsNegative() {
		return wrong(userError, "", "The total of a %s cannot be negative.", w.kind.name)
	}
	values["subtotal"], values["taxTotal"], values["total"] = jsonNumber(subtotal), jsonNumber(taxes), jsonNumber(total)
	return nil
}

func (s *Server) lineTax(values, line map[string]any, amount decimal.Decimal, places int32) decimal.Decimal {
	if line["tax1Amt"] != nil {
		return dec(line, "tax1Amt")
	}
	code := ref(line, "taxCode")
	if code == "" && line["isTaxable"] == true {
		code = ref(values, "taxItem")
	}
	rate := dec(line, "taxRate1")
	if r := s.byID("salesTaxItem", code); r != nil && line["taxRate1"] == nil {
		rate = dec(r.last().values, "rate")
	}
	return amount.Mul(rate).Div(decimal.NewFromInt(100)).Round(places)
}

func finishInvoice(w *write, r *record, values map[string]any) *problem {
	if p := w.sale(r, values, "INV"); p != nil {
		return p
	}
	id := ""
	if r != nil {
		id = r.id
	}
	return w.server.balance(id, values)
}

// balance says what is open of an invoice.
func (s *Server) balance(id string, values map[string]any) *problem {
	paid := decimal.Zero
	if id != "" {
		paid = s.appliedTo(id, nil)
	}
	remaining := dec(values, "total").Sub(paid)
	if remaining.IsNegative() {
		return wrong(userError, "", "The invoice has been credited by %s, which is more than its total.", paid)
	}
	values["amountPaid"], values["amountRemaining"] = jsonNumber(paid), jsonNumber(remaining)
	values["status"] = map[string]any{"id": "Open", "refName": "Open"}
	if remaining.IsZero() {
		values["status"] = map[string]any{"id": "Paid In Full", "refName": "Paid In Full"}
	}
	return nil
}

// appliedTo is what credit memos, except one, have been applied to an invoice.
func (s *Server) appliedTo(invoice string, except *record) decimal.Decimal {
	sum := decimal.Zero
	for _, memo := range s.records["creditMemo"] {
		if memo == except || memo.last().gone {
			continue
		}
		for _, line := range rows(memo.last().values, "apply") {
			if line["apply"] == true && ref(line, "doc") == invoice {
				sum = sum.Add(dec(line, "amount"))
			}
		}
	}
	return sum
}

func finishCredit(w *write, r *record, values map[string]any) *problem {
	s := w.server
	from := ref(values, "createdFrom")
	if invoice := s.byID("invoice", from); invoice != nil && ref(invoice.last().values, "entity") != ref(values, "entity") {
		return invalidValue("createdFrom", from, "createdFrom")
	}
	if p := w.sale(r, values, "CM"); p != nil {
		return p
	}
	left := dec(values, "total")
	for i, line := range rows(values, "apply") {
		at := fmt.Sprintf("apply.items[%d]", i)
		if line["apply"] != true {
			continue
		}
		invoice := s.byID("invoice", ref(line, "doc"))
		if invoice == nil || ref(invoice.last().values, "entity") != ref(values, "entity") {
			return invalidValue(at+".doc", ref(line, "doc"), "doc")
		}
		open := dec(invoice.last().values, "total").Sub(s.appliedTo(invoice.id, r))
		if line["amount"] == nil {
			line["amount"] = jsonNumber(decimal.Min(open, left))
		}
		amount := dec(line, "amount")
		if amount.GreaterThan(open) || amount.GreaterThan(left) || amount.IsNegative() {
			return wrong(userError, at+".amount", "You cannot apply more than the amount remaining (%s).", decimal.Min(open, left))
		}
		left = left.Sub(amount)
	}
	values["unapplied"], values["applied"] = jsonNumber(left), jsonNumber(dec(values, "total").Sub(left))
	values["status"] = map[string]any{"id": "Open", "refName": "Open"}
	if left.IsZero() {
		values["status"] = map[string]any{"id": "Fully Applied", "refName": "Fully Applied"}
	}
	return nil
}

// settle writes what is open of the invoices that a credit memo is applied to.
func (s *Server) settle(memo map[string]any) {
	for _, line := range rows(memo, "apply") {
		invoice := s.byID("invoice", ref(line, "doc"))
		if invoice == nil {
			continue
		}
		values := invoice.copy()
		if s.balance(invoice.id, values) == nil {
			invoice.put(values, false)
		}
	}
}

func finishJournal(w *write, r *record, values map[string]any) *problem {
	debit, credit := decimal.Zero, decimal.Zero
	if values["currency"] == nil {
		values["currency"] = clone(w.server.byID("subsidiary", ref(values, "subsidiary")).last().values["currency"])
	}
	places := w.server.places(values)
	all := rows(values, "line")
	for i, line := range all {
		at := fmt.Sprintf("line.items[%d]", i)
		d, c := dec(line, "debit"), dec(line, "credit")
		switch {
		case line["account"] == nil:
			return wrong(userError, at+".account", "Please enter value(s) for: Account")
		case d.IsZero() == c.IsZero() || d.IsNegative() || c.IsNegative():
			return wrong(userError, at, "A line has either a debit or a credit, above zero.")
		case !d.Equal(d.Round(places)) || !c.Equal(c.Round(places)):
			return invalidValue(at, d.Add(c).String(), "amount")
		}
		debit, credit = debit.Add(d), credit.Add(c)
	}
	if len(all) < 2 || !debit.Equal(credit) {
		return wrong(userError, "line", "The amounts in a journal entry must balance.")
	}
	values["total"] = jsonNumber(debit)
	return w.head(r, values, "JE")
}
