package businesscentral

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/sinks/web"
)

// open is a principal of a server that asks for nothing.
var open = Principal{Auth: web.AuthConfig{Bearer: &web.Bearer{Token: web.Plain("t0ken")}}}

func bare(t *testing.T, change func(*Config)) *exchange {
	t.Helper()
	c := Config{URL: "http://bc.example/api/v2.0", Company: "CRONUS", Tax: "TAXABLE", Principals: []Principal{open}}
	if change != nil {
		change(&c)
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	x, cancel := s.begin(t.Context())
	t.Cleanup(cancel)
	x.books = books{currency: "USD"}
	return x
}

const plainSale = `{"reference":"nstar:A1:0","type":"invoice","party":"104377","date":"2026-10-01","currency":"USD","net":"1150.00","tax":"82.50","total":"1232.50",
"lines":[{"product":"LINEHAUL","account":"40100","description":"Line haul","quantity":"1.000","unit_price":"1000.0000","net":"1000.00","tax":"82.50"},
{"account":"40200","description":"Detention","quantity":"2.000","unit_price":"75.0000","net":"150.00","tax":"0.00","shipment":"88121"}]}`

func TestSalesAreRead(t *testing.T) {
	x := bare(t, nil)
	d, out := x.readSale(sinks.Operation{Entity: entityInvoice, Body: json.RawMessage(plainSale)})
	if out != nil || d.credit() || len(d.lines) != 2 {
		t.Fatalf("%+v %+v", d, out)
	}
	raw, err := json.Marshal([]record{d.lines[0].line(x.cfg, decimal.NewFromInt(1)), d.lines[1].line(x.cfg, decimal.NewFromInt(1))})
	if want := `[{"description":"Line haul","lineObjectNumber":"40100","lineType":"Account","quantity":1,"taxCode":"TAXABLE","unitPrice":1000},` +
		`{"description":"Detention, shipment 88121","lineObjectNumber":"40200","lineType":"Account","quantity":2,"unitPrice":75}]`; err != nil || string(raw) != want {
		t.Errorf("%s %v", raw, err)
	}
	x.cfg.TaxCodes = map[string]string{"Sales tax 8.25%": "TX"}
	for name, code := range map[string]string{"Sales tax 8.25%": "TX", "Other": "Other"} {
		body := strings.NewReplacer(`"tax":"82.50"},`, `"tax":"`+name+`"},`, `"tax":"0.00",`, `"tax":"`+name+`",`).Replace(plainSale)
		if d, out := x.readSale(sinks.Operation{Entity: entityInvoice, Body: json.RawMessage(body)}); out != nil || d.lines[0].code != code {
			t.Errorf("%+v %+v", d.lines, out)
		}
	}
	for change, code := range map[[2]string]string{
		{`"date":"2026-10-01"`, `"date":"2026-10-01T00:00:00"`}: "DATE", {`"net":"1150.00"`, `"net":"1150.01"`}: codeTotal, {`"total":"1232.50"`, `"total":"1232.51"`}: codeTotal,
		{`"party":"104377"`, `"party":""`}: "REQUIRED", {`"tax":"82.50","total"`, `"tax":"x","total"`}: "NUMBER", {`"type":"invoice"`, `"type":"memo"`}: "TYPE",
		{`"account":"40100",`, ``}: "REQUIRED", {`"reference"`, `"referenz"`}: "BODY", {`"type":"invoice"`, `"type":"credit"`}: "TYPE",
		{`"tax":"82.50"},`, `"tax":"82.49"},`}: codeTotal} {
		_, out := x.readSale(sinks.Operation{Entity: entityInvoice, Body: json.RawMessage(strings.Replace(plainSale, change[0], change[1], 1))})
		if out == nil || out.Class != sinks.Rejected || out.Code != code || out.Message == "" {
			t.Errorf("%s: %+v, want %s", change[1], out, code)
		}
	}
	_, out = x.readSale(sinks.Operation{Entity: entityInvoice, Body: json.RawMessage(`{"nonsense":1}`)})
	if !strings.Contains(out.Hint, "reference, type, party") || !strings.Contains(out.Hint, "lines[product, account") {
		t.Errorf("the known members are not named: %s", out.Hint)
	}
	if _, out := x.readSale(sinks.Operation{Entity: entityCredit, Body: json.RawMessage(plainSale)}); out == nil || out.Field != "applies_to" {
		t.Errorf("%+v", out)
	}
}

// What quantity and price do not make exactly is one unit at the net amount: nothing is left to the rounding of the product.
func TestLinesKeepTheSourcesAmount(t *testing.T) {
	for _, c := range []struct{ quantity, price, net, sentQuantity, sentPrice, text string }{
		{"3", "33.33", "99.99", "3", "33.33", ""},
		{"3", "33.333", "100.00", "1", "100", "(3 x 33.333)"},
		{"1.234567", "10", "12.35", "1", "12.35", "(1.234567 x 10)"},
		{"", "", "-5.00", "-1", "5", ""},
		{"-2", "2.50", "-5.00", "-2", "2.5", ""},
		{"2", "-2.50", "-5.00", "-1", "5", "(2 x -2.5)"},
		{"7", "", "70.00", "1", "70", "(7)"},
	} {
		l := documentLine{saleLine: saleLine{Account: "1", Quantity: field{true, c.quantity}, UnitPrice: field{true, c.price}}, quantity: decimal.NewFromInt(1), net: decimal.RequireFromString(c.net)}
		l.price = l.net
		if c.quantity != "" {
			l.quantity = decimal.RequireFromString(c.quantity)
		}
		if c.price != "" {
			l.price = decimal.RequireFromString(c.price)
		}
		r := l.line(Config{}, decimal.NewFromInt(1))
		if r.text("quantity") != c.sentQuantity || r.text("unitPrice") != c.sentPrice || r.text("description") != c.text {
			t.Errorf("%+v: %v", c, r)
		}
		q, _ := r.amount("quantity")
		p, _ := r.amount("unitPrice")
		if !q.Mul(p).Equal(l.net) {
			t.Errorf("%s x %s is not %s", q, p, l.net)
		}
		credit := l.line(Config{}, decimal.NewFromInt(-1))
		q, _ = credit.amount("quantity")
		if p, _ = credit.amount("unitPrice"); !q.Mul(p).Equal(l.net.Neg()) {
			t.Errorf("in a credit memo %s x %s is not %s", q, p, l.net.Neg())
		}
	}
}

// Whatever a line says of quantity and price, what is sent makes its net amount to the last digit.
func TestMoneyIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := func(digits int32) decimal.Decimal {
		return decimal.New(rnd.Int64N(2_000_000_000)-1_000_000_000, -digits)
	}
	for range 5000 {
		l := documentLine{saleLine: saleLine{Account: "1", UnitPrice: field{true, "x"}}, quantity: random(rnd.Int32N(8)), price: random(rnd.Int32N(8)), net: random(2)}
		if rnd.IntN(2) == 0 {
			l.net = l.quantity.Mul(l.price)
		}
		r := l.line(Config{}, decimal.NewFromInt(1))
		q, okQ := r.amount("quantity")
		p, okP := r.amount("unitPrice")
		if !okQ || !okP || !q.Mul(p).Equal(l.net) || p.IsNegative() {
			t.Fatalf("%s x %s is not %s", q, p, l.net)
		}
	}
}

func TestCommentsAreWhole(t *testing.T) {
	words := strings.Repeat("a load of seven words and a half ", 12)
	var back []string
	for _, c := range comments(words) {
		if text := c.text("description"); len(text) > textMost {
			t.Errorf("%d characters", len(text))
		} else {
			back = append(back, text)
		}
	}
	if strings.Join(back, " ") != strings.TrimSpace(words) {
		t.Errorf("%q", back)
	}
}

func TestJournalsAreRead(t *testing.T) {
	x := bare(t, nil)
	const good = `{"reference":"nstar:J1","date":"2026-10-01","currency":"USD","description":"Fuel","lines":[{"account":"60100","debit":"10.00","credit":"0.00"},{"party":"104377","amount":"-10.00"}]}`
	op := sinks.Operation{Entity: entityJournal, ExternalID: "nstar:J1", Body: json.RawMessage(good)}
	req, out := x.prepareJournal(op)
	if out != nil || req.Total != "10" || req.Number != "NSTAR:J1" || req.Lines[1].Type != "Customer" || req.Lines[1].Amount != "-10" {
		t.Fatalf("%+v %+v", req, out)
	}
	for change, code := range map[[2]string]string{
		{`"amount":"-10.00"`, `"amount":"-10.01"`}: codeTotal, {`"currency":"USD"`, `"currency":"EUR"`}: "CURRENCY", {`"account":"60100",`, ``}: "REQUIRED",
		{`"amount":"-10.00"`, `"amount":"-10.00","credit":"10.00"`}: "REQUIRED", {`"currency":"USD"`, `"currency":"USD","total":"11"`}: codeTotal} {
		op.Body = json.RawMessage(strings.Replace(good, change[0], change[1], 1))
		if _, out := x.prepareJournal(op); out == nil || out.Code != code {
			t.Errorf("%s: %+v", change[1], out)
		}
	}
	rows := []record{{"accountNumber": "60100", "debitAmount": json.Number("10.0"), "creditAmount": json.Number("0")}, {"accountNumber": "13100", "debitAmount": json.Number("0"), "creditAmount": json.Number("10")}}
	if diff := req.drift(rows); diff != "" {
		t.Error(diff)
	}
	rows[0]["debitAmount"] = json.Number("9")
	if diff := req.drift(rows); !strings.Contains(diff, "60100 has 9, 10 here") {
		t.Error(diff)
	}
}

func TestConfigValidate(t *testing.T) {
	bad := Config{URL: "ftp://u:pw@x", Principals: []Principal{{InFlight: 6}}, ClientIDs: "maybe", Lines: "x", Corrective: "x", Timeout: -1, Horizon: 3 * 3600e9}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"url", "company", "principals[0].in_flight", "client_ids", "lines", "corrective", "timeout", "horizon"} {
		if !strings.Contains(err.Error(), field+": found ") {
			t.Errorf("nothing about %s in\n%v", field, err)
		}
	}
	if strings.Contains(err.Error(), "pw") {
		t.Error(err)
	}
}
