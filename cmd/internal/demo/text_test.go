package demo

import (
	"slices"
	"testing"
	"time"
)

func TestGrouped(t *testing.T) {
	for in, want := range map[string]string{"0.00": "0.00", "999.10": "999.10", "1000.00": "1,000.00", "-1234567.89": "-1,234,567.89", "12": "12", "0.5": "0.50", "1.125": "1.125", "-100.00": "-100.00"} {
		if got := grouped(in); got != want {
			t.Errorf("grouped(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestQuoted(t *testing.T) {
	if got, want := quoted([]string{"xref", "approve", "R-000001", "--why", "Acme's dock"}), `xref approve R-000001 --why "Acme's dock"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStatementText(t *testing.T) {
	for want, s := range map[string]Statement{
		"UPDATE t SET a = 'it''s', b = NULL WHERE c = 7": {"UPDATE t SET a = ?, b = ?\n WHERE c = ?", []any{"it's", nil, 7}},
		"UPDATE t SET a = now":                           {"UPDATE t SET a = $1", []any{localClock}},
		"UPDATE t SET a = 'x' WHERE c = 7":               {"UPDATE t SET a = $2 WHERE c = $1", []any{7, "x"}},
	} {
		if got := s.text(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	if got, want := wrap("one two three fourteen five", 9), []string{"one two", "  three", "  fourteen", "  five"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := wrap("", 9); !slices.Equal(got, []string{""}) {
		t.Errorf("nothing is %q", got)
	}
}

// A clock is read when its statement is run.
func TestClock(t *testing.T) {
	now := time.Date(2026, 7, 1, 17, 0, 0, 0, time.UTC)
	got, err := Statement{"", []any{1, localClock, milliClock}}.read(now)
	if err != nil || !slices.Equal(got, []any{1, "2026-07-01 12:00:00", int64(1782925200000)}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := (Statement{"", []any{clock("Atlantis")}}).read(now); err == nil {
		t.Error("a zone that there is not shows a time")
	}
}
