package erp

import (
	"encoding/json"
	"testing"
)

// What Tryton has no field for is read in the descriptions.
func TestDescriptions(t *testing.T) {
	for _, test := range []struct{ text, what, name, want string }{
		{"freight", "shipment", "", "freight"}, {"freight", "shipment", "0012", "freight, shipment 0012"}, {"", "corrects", "pvly:C1", "corrects pvly:C1"},
	} {
		if got := described(test.text, test.what, test.name); got != test.want {
			t.Errorf("described(%q, %q, %q) = %q, want %q", test.text, test.what, test.name, got, test.want)
		}
	}
	x := &exchange{Tryton: &Tryton{}}
	d, out := x.readInvoice(json.RawMessage(`{"reference":"A1","party":"7","currency":"USD","date":"2026-10-01","net":"10.00","tax":"0.00","total":"10.00","applies_to":"A0",
		"lines":[{"account":"4000","shipment":"12","quantity":"24.350","net":"6.00"},{"account":"4000","quantity":"2.5","unit_price":"1.6","net":"4.00"}]}`))
	if out != nil {
		t.Fatal(out.Message)
	}
	if a, b := d.lines[0].measure(), d.lines[1].measure(); d.AppliesTo != "A0" || d.lines[0].Shipment != "12" || a != "24.35" || b != "2.5 x 1.6" {
		t.Errorf("%+v, measures %q and %q", d, a, b)
	}
}
