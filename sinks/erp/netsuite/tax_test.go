package netsuite

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// Whatever a document's amounts are, what is sent adds up to them: the lines to the net, their taxes to the tax, to the cent and by digits alone.
func TestAmountsComeOutAsTheyWentIn(t *testing.T) {
	s, err := New(Config{Account: "1", Auth: bearerOf("x"), TaxType: "id:1", Taxes: map[string]Tax{"TX": {Code: "id:2"}, "EX": {Exempt: true}}, Items: map[string]string{"4000": "id:3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x, cancel := s.begin(t.Context())
	defer cancel()
	cents := func(n int) string { return decimal.New(int64(n), -2).String() }
	rapid.Check(t, func(t *rapid.T) {
		sign := rapid.SampledFrom([]int{1, -1}).Draw(t, "sign")
		nets := rapid.SliceOfN(rapid.IntRange(1, 10_000_000), 1, 12).Draw(t, "nets")
		tax := sign * rapid.IntRange(0, 1_000_000).Draw(t, "tax")
		net := 0
		lines := []map[string]string{}
		for i, n := range nets {
			net += sign * n
			name := "TX"
			if i > 0 && rapid.Bool().Draw(t, "exempt") {
				name = "EX"
			}
			lines = append(lines, map[string]string{"account": "4000", "net": cents(sign * n), "tax": name})
		}
		raw, err := json.Marshal(map[string]any{"reference": "A", "party": "C", "date": "2026-10-01", "currency": "USD", "net": cents(net), "tax": cents(tax), "total": cents(net + tax), "lines": lines})
		if err != nil {
			t.Fatal(err)
		}
		d, out := readInvoice(raw, invoiceEntity)
		if out != nil {
			t.Fatal(out)
		}
		body := record{}
		for i := range d.lines {
			d.lines[i].Account = "" // its income account is not asked for
			d.lines[i].Product = "4000"
		}
		if out := x.bookLines(d, body); out != nil {
			t.Fatal(out)
		}
		sent, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var back record
		if err := decode(sent, &back); err != nil {
			t.Fatal(err)
		}
		sum := func(list, name string) (total decimal.Decimal) {
			for _, l := range back.items(list) {
				a, ok := l.amount(name)
				if !ok || !a.Equal(a.Round(2)) {
					t.Fatalf("%s of %v", name, l)
				}
				total = total.Add(a)
			}
			return total
		}
		if got, want := fmt.Sprint(sum("item", "amount"), " ", sum("taxDetails", "taxAmount")), cents(sign*net)+" "+cents(sign*tax); got != want {
			t.Fatalf("net and tax are %s, want %s:\n%s", got, want, sent)
		}
	})
}
