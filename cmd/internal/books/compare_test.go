package books

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

var cutover = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// pair is a small month: five invoices, of which A2 is credited and A3 rebilled, one draft, one from before the cut-over.
func pair() ([]Header, []Invoice) {
	headers := []Header{
		{Key: "A0", Number: "A0", Code: "ACM01", Account: "104377", Currency: "USD", State: "R", Released: cutover.Add(-time.Second), Net: 7000, Total: 7000},
		{Key: "A1", Number: "A1", Code: "ACM01", Account: "104377", Currency: "USD", State: "R", Released: cutover, Net: 100000, Tax: 8250, Total: 108250},
		{Key: "A2", Number: "A2", Code: "ACM01", Account: "104377", Currency: "USD", State: "R", Released: cutover.Add(time.Hour), Net: 50000, Total: 50000},
		{Key: "A3", Number: "A3", Code: "BET02", Account: "104401", Currency: "CAD", State: "R", Released: cutover.Add(time.Hour), Net: 20000, Total: 20000},
		{Key: "A4", Number: "A4", Code: "BET02", Account: "104401", Currency: "CAD", State: "D", Net: 100, Total: 100},
		{Key: "C2", Number: "C2", Original: "A2", Code: "ACM01", Account: "104377", Currency: "USD", State: "R", Released: cutover.Add(2 * time.Hour), Net: -50000, Total: -50000},
		{Key: "C3", Number: "C3", Original: "A3", Code: "BET02", Account: "104401", Currency: "CAD", State: "R", Released: cutover.Add(2 * time.Hour), Net: -20000, Total: -20000},
		{Key: "R3", Number: "R3", Original: "A3", Code: "BET02", Account: "104401", Currency: "CAD", State: "R", Released: cutover.Add(2 * time.Hour), Net: 21000, Total: 21000},
	}
	var invoices []Invoice
	for n, h := range headers {
		if h.State == "R" && !h.Released.Before(cutover) {
			invoices = append(invoices, posting(int64(n), h))
		}
	}
	return headers, invoices
}

var names = map[string]string{"104377": "Acme Foods", "104401": "Béton Québec"}

func posting(id int64, h Header) Invoice {
	return Invoice{ID: id, Reference: h.Key, Number: "INV-" + h.Key, State: "posted", Move: id + 100, PartyCode: h.Account,
		PartyName: names[h.Account], Currency: h.Currency, Net: h.Net, Tax: h.Tax, Total: h.Total}
}

func TestCompareAgrees(t *testing.T) {
	headers, invoices := pair()
	report := Compare(headers, invoices, Terms{Cutover: cutover, Names: names})
	if !report.OK() || report.Paired != 6 || report.Credits != 2 || report.Rebills != 1 {
		t.Errorf("equal books: got %+v", report)
	}
	golden(t, "agrees", report)
}

// Each case spoils the ERP's books, or billing's, in one way. The checker must be red, and name the document.
func TestCompareIsRed(t *testing.T) {
	at := func(invoices []Invoice, key string) *Invoice {
		return &invoices[slices.IndexFunc(invoices, func(i Invoice) bool { return i.Reference == key })]
	}
	without := func(invoices []Invoice, key string) []Invoice {
		return slices.DeleteFunc(invoices, func(i Invoice) bool { return i.Reference == key })
	}
	tests := []struct {
		name  string
		spoil func(h []Header, i []Invoice) ([]Header, []Invoice)
		kind  string
		key   string
	}{
		{"one document removed", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, without(i, "A1") }, "missing", "A1"},
		{"one document doubled", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, append(i, posting(900, h[1])) }, "duplicate", "A1"},
		{"a draft beside the posted one", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			d := posting(900, h[1])
			d.State, d.Number, d.Move = "draft", "", 0
			return h, append(i, d)
		}, "duplicate", "A1"},
		{"one cent off", func(h []Header, i []Invoice) ([]Header, []Invoice) { at(i, "A1").Total++; return h, i }, "total", "A1"},
		{"one cent moved from net to tax", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			at(i, "A1").Net--
			at(i, "A1").Tax++
			return h, i
		}, "tax", "A1"},
		{"credit without its replacement", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, without(i, "R3") }, "rebill", "C3"},
		{"replacement without its credit", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, without(i, "C3") }, "rebill", "R3"},
		{"replacement that billing never credited", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			return slices.DeleteFunc(h, func(h Header) bool { return h.Key == "C3" }), without(i, "C3")
		}, "rebill", "R3"},
		{"draft left", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			at(i, "A2").State, at(i, "A2").Move = "draft", 0
			return h, i
		}, "state", "A2"},
		{"posted without a booking", func(h []Header, i []Invoice) ([]Header, []Invoice) { at(i, "A2").Move = 0; return h, i }, "state", "A2"},
		{"cancelled in the ERP", func(h []Header, i []Invoice) ([]Header, []Invoice) { at(i, "A2").State = "cancelled"; return h, i }, "missing", "A2"},
		{"wrong party", func(h []Header, i []Invoice) ([]Header, []Invoice) { at(i, "A3").PartyCode = "104377"; return h, i }, "party", "A3"},
		{"party of another name", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			at(i, "A3").PartyName = "B?ton Qu?bec"
			return h, i
		}, "party", "A3"},
		{"customer unknown on the date", func(h []Header, i []Invoice) ([]Header, []Invoice) { h[3].Account = ""; return h, i }, "party", "A3"},
		{"wrong currency", func(h []Header, i []Invoice) ([]Header, []Invoice) { at(i, "A3").Currency = "USD"; return h, i }, "currency", "A3"},
		{"posted from before the cut-over", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, append(i, posting(900, h[0])) }, "before cut-over", "A0"},
		{"posted though a draft in billing", func(h []Header, i []Invoice) ([]Header, []Invoice) { return h, append(i, posting(900, h[4])) }, "not released", "A4"},
		{"posted out of nowhere", func(h []Header, i []Invoice) ([]Header, []Invoice) {
			return h, append(i, posting(900, Header{Key: "Z9", Currency: "USD", Total: 5}))
		}, "unknown", "Z9"},
		{"billing does not add up", func(h []Header, i []Invoice) ([]Header, []Invoice) { h[2].Net++; at(i, "A2").Net++; return h, i }, "billing", "A2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, i := test.spoil(pair())
			report := Compare(h, i, Terms{Cutover: cutover, Names: names})
			if report.OK() {
				t.Fatal("the checker is green")
			}
			found := slices.ContainsFunc(report.Differences, func(d Difference) bool { return d.Kind == test.kind && d.Key == test.key })
			if !found {
				t.Errorf("want a difference of kind %q on %s, got %v", test.kind, test.key, report.Differences)
			}
			golden(t, "red "+test.name, report)
		})
	}
}

// What the feed itself says is waiting is counted apart, and is no difference unless it is posted all the same.
func TestCompareWaiting(t *testing.T) {
	headers, invoices := pair()
	invoices = slices.DeleteFunc(invoices, func(i Invoice) bool { return i.Reference == "A1" || i.Reference == "A2" })
	terms := Terms{Cutover: cutover, Names: names, Exceptions: map[string]bool{"A1": true}, InFlight: map[string]bool{"A2": true, "C3": true}}
	report := Compare(headers, invoices, terms)
	if !report.OK() || report.Paired != 4 {
		t.Errorf("waiting documents: got %+v", report)
	}
	golden(t, "waiting", report)
}

// Two differences of the same size and opposite sign do not cancel out.
func TestDifferenceDoesNotCancelOut(t *testing.T) {
	headers, invoices := pair()
	for n := range invoices {
		switch invoices[n].Reference {
		case "A1":
			invoices[n].Total++
		case "R3":
			invoices[n].Total--
		}
	}
	report := Compare(headers, invoices, Terms{Cutover: cutover, Names: names})
	if report.OK() || report.Difference() != 2 {
		t.Errorf("got difference %s, ok %v; want 0.02, false", report.Difference(), report.OK())
	}
}

func TestParseCents(t *testing.T) {
	for text, want := range map[string]Cents{"0": 0, "1": 100, "1.5": 150, "-1150.00": -115000, "-0.01": -1, "2215.3700": 221537, "12345678901.23": 1234567890123} {
		if got, err := ParseCents(text); err != nil || got != want {
			t.Errorf("ParseCents(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "1.001", "1,5", "1e3", "--1", "+1", " 1", "1.-1", "0x10"} {
		if got, err := ParseCents(text); err == nil {
			t.Errorf("ParseCents(%q) = %d; want an error", text, got)
		}
	}
}

func golden(t *testing.T, name string, report Report) {
	t.Helper()
	var got strings.Builder
	if err := report.Write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("report differs from %s:\n%s\nwant:\n%s", path, got.String(), want)
	}
}
