package books

import (
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// A real Tryton's invoices are read as they are: a draft, a posted one, a posted credit, with the party's own letters.
func TestTrytonInvoices(t *testing.T) {
	erp := sinktest.StartTryton(t, sinktest.TrytonOptions{})
	rpc := erp.RPC(t, "sync")
	now := time.Now()
	var parties, invoices []int64
	rpc.Must(&parties, "party.party.create", []any{map[string]any{"code": "104377", "name": "Béton Québec Ltée",
		"addresses": []any{[]any{"create", []any{map[string]any{"street": "1 Main St"}}}}}})
	party := rpc.Rows("party.party", []any{[]any{"code", "=", "104377"}}, "addresses")[0]
	id := func(model, field, value string) any {
		return rpc.Rows(model, []any{[]any{field, "=", value}}, "id")[0]["id"]
	}
	document := func(reference, currency string, quantity float64) map[string]any {
		currencyID := id("currency.currency", "code", currency)
		line := map[string]any{"type": "line", "currency": currencyID, "account": id("account.account", "code", "4000"), "quantity": quantity,
			"unit_price": map[string]string{"__class__": "Decimal", "decimal": "100.00"}, "taxes": []any{[]any{"add", []any{id("account.tax", "name", "Sales tax 8.25%")}}}}
		return map[string]any{"type": "out", "party": parties[0], "invoice_address": party["addresses"].([]any)[0], "currency": currencyID,
			"journal": id("account.journal", "type", "revenue"), "account": id("account.account", "code", "1200"), "reference": reference,
			"payment_term": id("account.invoice.payment_term", "name", "NET 30"), "invoice_date": sinktest.WireDate(now.Year(), int(now.Month()), now.Day()), "lines": []any{[]any{"create", []any{line}}}}
	}
	rpc.Must(&invoices, "account.invoice.create", []any{document("B1", "USD", 1), document("C1", "CAD", -1), document("B2", "USD", 2)})
	for _, n := range invoices[:2] {
		rpc.Must(nil, "account.invoice.post", []any{n})
	}
	got, err := (&Tryton{URL: erp.URL(), Database: erp.Database(), User: erp.User(), Password: erp.Password()}).Invoices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Invoice{
		{Reference: "B1", State: "posted", Currency: "USD", Net: 10000, Tax: 825, Total: 10825},
		{Reference: "C1", State: "posted", Currency: "CAD", Net: -10000, Tax: -825, Total: -10825},
		{Reference: "B2", State: "draft", Currency: "USD"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d invoices, want %d: %+v", len(got), len(want), got)
	}
	for n, i := range got {
		w := want[n]
		if i.Reference != w.Reference || i.State != w.State || i.Currency != w.Currency || i.PartyCode != "104377" || i.PartyName != "Béton Québec Ltée" {
			t.Errorf("got %+v, want %+v", i, w)
		}
		if w.State == "posted" && (i.Net != w.Net || i.Tax != w.Tax || i.Total != w.Total || i.Move == 0 || i.Number == "") {
			t.Errorf("got %+v, want %+v with a number and a move", i, w)
		}
		if w.State == "draft" && (i.Move != 0 || i.Number != "") {
			t.Errorf("the draft is %+v", i)
		}
	}
	if _, err := (&Tryton{URL: erp.URL(), Database: erp.Database(), User: "sync", Password: "wrong"}).Invoices(t.Context()); err == nil {
		t.Error("a wrong password reads the books")
	}
}
