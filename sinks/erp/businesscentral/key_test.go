package businesscentral

import (
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	a := idFor("salesInvoices", "", "nstar:A1:0")
	if a != "569f49cb-4aa0-57a8-83c2-5e9fb9bbc606" {
		t.Errorf("%s", a)
	}
	for _, other := range []string{idFor("salesInvoices", "", "nstar:A1:1"), idFor("salesCreditMemos", "", "nstar:A1:0"), idFor("salesInvoices", "nstar", "A1:0")} {
		if other == a {
			t.Errorf("%s twice", a)
		}
	}
	if got := codeFor("nstar:A1:0", externalMost); got != "NSTAR:A1:0" {
		t.Error(got)
	}
	seen := map[string]string{}
	for _, external := range []string{"nstar:A1:0", strings.Repeat("x", 35), strings.Repeat("x", 36), strings.Repeat("x", 37), "a'b", "a''b", "a b", "a.b", "ä", "a&b", "a|b"} {
		for _, most := range []int{externalMost, documentMost, journalMost} {
			code := codeFor(external, most)
			if len(code) > most || code != strings.ToUpper(code) || strings.ContainsAny(code, "' &|") {
				t.Errorf("%q in %d: %q", external, most, code)
			}
			if before := seen[code]; before != "" && before != external {
				t.Errorf("%q and %q are both %q", before, external, code)
			}
			seen[code] = external
		}
	}
}
