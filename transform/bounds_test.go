package transform

import (
	"math"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func TestBounds(t *testing.T) {
	m := northstar(t)
	if m.Bound("invoice.released") != (Bound{Events: standardEvents}) || m.LeastEvents() != standardEvents || m.BoundedBeyondEvents() {
		t.Error("a mapping that declares nothing has the standard bound of events alone")
	}
	m = northstar(t, "tests:                                  #", "bounds: { events: 500, posts: 100, money: \"100000.00\", per: 10m, rules: { load.assigned: { events: none, per: transaction }, invoice.released: { money: none } } }\ntests:                                  #")
	if b := m.Bound("pod.received"); b.Events != 500 || b.Posts != 100 || !b.Money.Equal(decimal.NewFromInt(100000)) || b.Window != 10*time.Minute {
		t.Errorf("%+v", b)
	}
	if b := m.Bound("load.assigned"); b.Events != 0 || b.Posts != 100 || b.Window != 0 {
		t.Errorf("%+v", b)
	}
	if b := m.Bound("invoice.released"); !b.Money.IsZero() || b.Window != 10*time.Minute {
		t.Errorf("%+v", b)
	}
	if m.LeastEvents() != 500 || !m.BoundedBeyondEvents() {
		t.Error("the least bound")
	}
	m = northstar(t, "tests:                                  #", "bounds: { events: none }\ntests:                                  #")
	if m.LeastEvents() != math.MaxInt || m.BoundedBeyondEvents() {
		t.Error("no bound at all")
	}
}

func TestDuties(t *testing.T) {
	m := northstar(t)
	if m.Due("DATA", "MISSING_FIELD") != 0 || m.Owner("DATA", "MISSING_FIELD") != "" {
		t.Error("a mapping that declares nothing")
	}
	m = northstar(t, "tests:                                  #", "exceptions: { due: { DATA: 8h, MISSING_FIELD: 2h }, owners: { MISSING_FIELD: dispatch } }\ntests:                                  #")
	if m.Due("DATA", "MISSING_FIELD") != 2*time.Hour || m.Due("DATA", "TOTAL_MISMATCH") != 8*time.Hour || m.Due("MASTER", "UNKNOWN_CUSTOMER") != 0 {
		t.Error("due")
	}
	if m.Owner("DATA", "MISSING_FIELD") != "dispatch" || m.Owner("DATA", "TOTAL_MISMATCH") != "" {
		t.Error("owners")
	}
}
