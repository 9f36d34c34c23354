package s4hana

import (
	"maps"
	"strings"

	"github.com/shopspring/decimal"
)

// reverse books the contrary of a document, which is named by its number, company code and year. A document is reversed once.
func (t *tx) reverse(b books, e *node, refuse func(id, note string) posted) posted {
	name := e.value("ReversalReferenceDocument")
	if len(name) != 18 || e.value("ReversalReason") == "" {
		return refuse("361(F5)", "Reversal document "+name+" or the reversal reason is missing")
	}
	number, company, year := name[:10], name[10:14], name[14:]
	const set = "A_OperationalAcctgDocItemCube"
	customers := false
	for i, r := range t.data.rows[set] {
		if !r.has(map[string]string{"AccountingDocument": number, "CompanyCode": company, "FiscalYear": year}) {
			continue
		}
		if r.values["IsReversed"] == true {
			return refuse("361(F5)", "Document "+number+" "+year+" was already reversed")
		}
		amount, err := decimal.NewFromString(text(r.values["AmountInTransactionCurrency"]))
		if err != nil {
			panic("reading an amount of the simulator's own: " + err.Error())
		}
		b.currency = text(r.values["TransactionCurrency"])
		customers = customers || text(r.values["Customer"]) != ""
		b.lines = append(b.lines, accountLine{kind: text(r.values["FinancialAccountType"]), account: text(r.values["GLAccount"]), customer: text(r.values["Customer"]),
			text: text(r.values["DocumentItemText"]), tax: text(r.values["TaxCode"]), amount: amount.Neg()})
		for _, s := range []string{set, "A_JournalEntryItemBasic"} {
			values := maps.Clone(t.data.rows[s][i].values)
			values["IsReversed"] = true
			t.data.put(s, row{values: values})
		}
	}
	if len(b.lines) == 0 {
		return refuse("361(F5)", "Document "+number+" "+company+" "+year+" does not exist")
	}
	made := t.book(b, number, year)
	entity := "journal_entry"
	if customers {
		entity = "credit_note"
	}
	t.note(entity, b, made)
	return posted{document: made, company: b.company, year: b.posting[:4], log: []logItem{{"605(RW)", strings.Join([]string{"Document posted successfully: BKPFF", made + b.company + b.posting[:4], "S4HCLNT100"}, " "), 1}}}
}
