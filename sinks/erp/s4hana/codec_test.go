package s4hana

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// A date goes to the wire and back as the same day, whatever zone this machine is in.
func TestDatesComeBack(t *testing.T) {
	for _, zone := range []string{"UTC", "Pacific/Kiritimati", "Etc/GMT+12", "America/Chicago", "Europe/Berlin"} {
		local, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		before := time.Local
		time.Local = local
		rapid.Check(t, func(t *rapid.T) {
			day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 3652058).Draw(t, "day")).Format(dateForm)
			wire, err := writeDate(day)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := readDate(wire); err != nil || back != day {
				t.Fatalf("%s is %s on the wire and %s, %v behind it", day, wire, back, err)
			}
		})
		time.Local = before
	}
	for wire, want := range map[string]string{"": "", "/Date(1764892800000)/": "2025-12-05", "/Date(-62135596800000)/": "0001-01-01", "/Date(1764892800000+0000)/": "2025-12-05", "/Date(1764892800000+0900)/": "2025-12-05"} {
		if got, err := readDate(wire); got != want || err != nil {
			t.Errorf("%s: %q %v, want %s", wire, got, err, want)
		}
	}
	for _, wire := range []string{"2025-12-05", "/Date(x)/", "/Date(1764892800001)/", "/Date(1764925200000)/", "/Date(999999999999999)/", "/Date(1764892800000)"} {
		if got, err := readDate(wire); err == nil {
			t.Errorf("%s is read as %s", wire, got)
		}
	}
	if _, err := writeDate("2026-13-01"); err == nil {
		t.Error("a 13th month is written")
	}
}

// An amount goes to the wire with its currency's digits, and comes back equal, or not at all.
func TestAmountsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]string{"USD", "EUR", "JPY", "KWD", "MXN", "CLP"}).Draw(t, "currency")
		n := decimal.New(rapid.Int64().Draw(t, "units"), -rapid.Int32Range(0, 4).Draw(t, "digits"))
		text, err := amount(n, currency)
		if exact := n.Equal(n.Round(places(currency))); exact != (err == nil) {
			t.Fatalf("%s %s: %q %v", n, currency, text, err)
		}
		if err != nil {
			return
		}
		back, err := object{"A": text}.decimal("A")
		if err != nil || !back.Equal(n) {
			t.Fatalf("%s %s is %s on the wire and %s, %v behind it", n, currency, text, back, err)
		}
		_, digits, _ := strings.Cut(text, ".")
		if int32(len(digits)) != places(currency) {
			t.Fatalf("%s %s has %d digits on the wire", n, currency, len(digits))
		}
	})
}

func TestUnwrap(t *testing.T) {
	all, more, err := unwrap([]byte(`{"d":{"results":[{"A":"1.10","N":12345678901234567890,"B":true,"to":{"results":[{"X":"1"}]},"__metadata":{"etag":"W/\"1\""}}],"__next":"x"}}`))
	if err != nil || !more || len(all) != 1 || all[0].text("N") != "12345678901234567890" || all[0].text("A") != "1.10" || !all[0].truth("B") || all[0].list("to")[0].text("X") != "1" || all[0].etag() != `W/"1"` {
		t.Errorf("%v %v %v", all, more, err)
	}
	if all, _, err = unwrap([]byte(`{"d":{"A":"x"}}`)); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
	for _, raw := range []string{"", "{}", "<html>", `{"error":{}}`} {
		if _, _, err := unwrap([]byte(raw)); err == nil {
			t.Errorf("%q is an answer", raw)
		}
	}
}

// Keys keep what they can, are different for different ids, and the same for the same for ever.
func TestReferences(t *testing.T) {
	for external, want := range map[string]string{"NSTAR:A100:1": "NSTAR:A100:1", "A1": "A1", "nstar:A100:1": "WB-", "NSTAR:A100:1:TOO:LONG": "WB-", "": "WB-"} {
		got := reference(external)
		if len(got) > 16 || got != strings.ToUpper(got) || strings.HasPrefix(want, "WB-") != strings.HasPrefix(got, "WB-") || !strings.HasPrefix(want, "WB-") && got != want {
			t.Errorf("%q: %q", external, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if (a == b) != (reference(a) == reference(b)) || len(reference(a)) > 16 {
			t.Fatalf("%q %q: %s %s", a, b, reference(a), reference(b))
		}
	})
	if id := messageID("1010", "sales_invoice", "A1"); id != messageID("1010", "sales_invoice", "A1") || id == messageID("1010", "sales_invoiceA", "1") || id.Version() != 5 {
		t.Error(id)
	}
	if got := fmt.Sprint(quoted("O'Neill")); got != "'O''Neill'" {
		t.Error(got)
	}
}
