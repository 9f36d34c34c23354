package erp

import (
	"encoding/json"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func taxRow(id int, name, rate string) record {
	var r record
	raw := `{"id":` + itoa(int64(id)) + `,"name":"` + name + `","type":"percentage","rate":{"__class__":"Decimal","decimal":"` + rate +
		`"},"invoice_account":7,"credit_note_account":8,"childs":[],"description":"d"}`
	if err := decodeAnswer([]byte(raw), &r); err != nil {
		panic(err)
	}
	return r
}

// Whatever a source made of its tax, as long as rounding can explain it, the tax lines add up to it and the bases to
// the taxed lines.
func TestTaxIsTheSourcesToTheCent(t *testing.T) {
	taxes := []record{taxRow(1, "Sales tax 8.25%", "0.0825"), taxRow(2, "Exempt", "0"), taxRow(3, "Local 1%", "0.01")}
	rapid.Check(t, func(t *rapid.T) {
		book := taxBook{digits: 2}
		want, net, taxed := decimal.Zero, decimal.Zero, false
		for _, cents := range rapid.SliceOfN(rapid.Int64Range(-1_000_000, 1_000_000), 1, 12).Draw(t, "cents") {
			amount := decimal.New(cents, -2)
			tax := taxes[rapid.IntRange(0, 2).Draw(t, "tax")]
			if out := book.add(tax, amount); out != nil {
				t.Fatal(out)
			}
			rate := decimal.RequireFromString(tax.amount("rate"))
			want, net, taxed = want.Add(amount.Mul(rate).Round(2)), net.Add(amount), taxed || !rate.IsZero()
		}
		rows, out := book.lines(want) // rounded half up by line, as billing systems do
		if out != nil {
			t.Fatalf("rounding by line is refused: %+v", *out)
		}
		sum, base := decimal.Zero, decimal.Zero
		for _, r := range rows {
			sum = sum.Add(decimal.RequireFromString(r["amount"].(record)["decimal"].(string)))
			base = base.Add(decimal.RequireFromString(r["base"].(record)["decimal"].(string)))
		}
		if !sum.Equal(want) || !base.Equal(net) {
			t.Fatalf("tax %s of %s, want %s of %s", sum, base, want, net)
		}
		if _, out := book.lines(want.Add(decimal.New(1, 0))); out == nil || out.Code != "TAX_MISMATCH" {
			t.Fatalf("a tax that is off by 1.00 is taken (taxed %t)", taxed)
		}
	})
}

func TestWire(t *testing.T) {
	var r record
	raw := `{"a":{"__class__":"Decimal","decimal":"12345678901234567890.10"},"d":{"__class__":"date","year":2026,"month":3,"day":8},
		"n":null,"i":9007199254740993,"t":1,"f":0,"b":true,"p.":{"code":"C","id":3},"l.":[{"id":1},{"id":2}],
		"c":{"__class__":"datetime","year":2026,"month":11,"day":23,"hour":6,"minute":58,"second":47,"microsecond":45}}`
	if err := decodeAnswer([]byte(raw), &r); err != nil {
		t.Fatal(err)
	}
	if r.amount("a") != "12345678901234567890.1" || r.amount("n") != "" || r.date("d") != "2026-03-08" || r.date("n") != "" ||
		r.id("i") != 9007199254740993 || r.id("n") != 0 || !r.truth("t") || r.truth("f") || !r.truth("b") || r.truth("n") ||
		r.sub("p").text("code") != "C" || r.sub("x").id("id") != 0 || len(r.list("l")) != 2 || r.list("l")[1].id("id") != 2 ||
		r.instant("c") != "2026-11-23T06:58:47.000045" {
		t.Errorf("%+v", r)
	}
	d, err := wireDate("2026-03-08")
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(record{"d": d, "x": wireDecimal(decimal.RequireFromString("0.10"))})
	if want := `{"d":{"__class__":"date","day":8,"month":3,"year":2026},"x":{"__class__":"Decimal","decimal":"0.1"}}`; err != nil || string(out) != want {
		t.Errorf("%s, %v, want %s", out, err, want)
	}
	if _, err := wireDate("08.03.2026"); err == nil {
		t.Error("a date of another form is taken")
	}
}
