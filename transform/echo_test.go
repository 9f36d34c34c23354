package transform

import (
	"testing"

	"waybill/cdc"
)

// What an adapter wrote and what the log shows of it have forms of their own.
func TestSameAsWritten(t *testing.T) {
	for _, c := range []struct {
		kind        cdc.Kind
		shown, want string
		same        bool
	}{
		{cdc.KindDecimal, "2500.50", "2500.5", true},
		{cdc.KindDecimal, "100.00", "100", true},
		{cdc.KindDecimal, "100", "100", true},
		{cdc.KindDecimal, "-0.00", "0", true},
		{cdc.KindDecimal, "1000", "1", false},
		{cdc.KindInt, "100", "1", false},
		{cdc.KindInt, "1", "true", true},
		{cdc.KindInt, "0", "true", false},
		{cdc.KindInt, "0", "false", true},
		{cdc.KindBool, "true", "true", true},
		{cdc.KindBool, "false", "true", false},
		{cdc.KindBits, "1", "true", true},
		{cdc.KindText, "C1      ", "C1", true},
		{cdc.KindText, " C1", "C1", false},
		{cdc.KindText, "1.50", "1.5", false},
		{cdc.KindText, "true", "1", false},
		{cdc.KindEnum, "Y", "Y", true},
		{cdc.KindInstant, "2026-11-23T14:30:00.5Z", "2026-11-23 14:30:00.5", true},
		{cdc.KindTimestamp, "2026-11-23 08:30:00", "2026-11-23 08:30:00", true},
		{cdc.KindDate, "2026-11-23", "2026-11-23", true},
		{cdc.KindFloat, "0.1", "0.1", true},
		{cdc.KindJSON, "{}", "{}", false},
	} {
		if got := sameAsWritten(cdc.Of(c.kind, c.shown), &c.want); got != c.same {
			t.Errorf("%s %q and %q: %v", c.kind, c.shown, c.want, got)
		}
	}
	empty := ""
	if !sameAsWritten(cdc.NullOf(cdc.KindText), nil) || sameAsWritten(cdc.NullOf(cdc.KindText), &empty) || sameAsWritten(cdc.Of(cdc.KindText, ""), nil) {
		t.Error("NULL is not an empty text")
	}
}
