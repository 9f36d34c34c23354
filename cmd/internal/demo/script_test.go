package demo

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testPlan(t *testing.T, seed uint64) Plan {
	t.Helper()
	zone, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	return Plan{Seed: seed, Start: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Zone: zone, Span: 30 * time.Second, Invoices: 236}
}

func mustScript(t *testing.T, p Plan) Script {
	t.Helper()
	s, err := NewScript(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The same seed and start make the same SQL, in this build and the next.
func TestScriptIsDeterministic(t *testing.T) {
	sum := func(seed uint64) string {
		return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, mustScript(t, testPlan(t, seed)))))
	}
	if first, again := sum(7), sum(7); first != again {
		t.Error("two scripts of one seed differ")
	}
	if sum(7) == sum(8) {
		t.Error("the scripts of two seeds are the same")
	}
}

// The script keeps its promises for any seed: enough documents, sums that add up but for the one mishap, order in time.
func TestScriptAddsUp(t *testing.T) {
	for seed := range uint64(50) {
		p := testPlan(t, seed)
		s := mustScript(t, p)
		if n := len(s.Released); n != p.Invoices {
			t.Errorf("seed %d: %d documents are released, want %d", seed, n, p.Invoices)
		}
		if len(s.Rebilled) != 5 || len(s.Repairs) != 5 {
			t.Errorf("seed %d: %d rebills, %d repairs; want 5 and 5", seed, len(s.Rebilled), len(s.Repairs))
		}
		if len(slices.Compact(slices.Sorted(slices.Values(s.Released)))) != len(s.Released) {
			t.Errorf("seed %d: a document is released twice", seed)
		}
		if !slices.IsSortedFunc(s.Days, func(a, b Transaction) int { return int(a.At - b.At) }) {
			t.Errorf("seed %d: the days are not in order", seed)
		}
		if last := s.Days[len(s.Days)-1].At; last > p.Span+time.Second {
			t.Errorf("seed %d: the days last %s, want %s", seed, last, p.Span)
		}
		checkSums(t, seed, s)
	}
}

// checkSums adds the lines of every document that the script writes and compares them with the header.
func checkSums(t *testing.T, seed uint64, s Script) {
	t.Helper()
	headers, lines, nets := map[string][]any{}, map[string]int{}, map[string]cents{}
	for _, tx := range append(slices.Clone(s.Before), s.Days...) {
		for _, st := range tx.Statements {
			switch {
			case strings.HasPrefix(st.SQL, "INSERT INTO inv_hdr"):
				headers[st.Args[0].(string)] = st.Args
			case strings.HasPrefix(st.SQL, "INSERT INTO inv_line"):
				number := st.Args[0].(string)
				lines[number]++
				nets[number] += parse(t, st.Args[6].(string))
			}
		}
	}
	wrong := 0
	for number, h := range headers {
		if lines[number] != h[6] {
			t.Errorf("seed %d: document %s has %d lines, its header says %d", seed, number, lines[number], h[6])
		}
		if nets[number]+parse(t, h[7].(string)) != parse(t, h[8].(string)) {
			wrong++
		}
	}
	if wrong != 1 {
		t.Errorf("seed %d: %d documents do not add up, want the one of the mishap", seed, wrong)
	}
}

func parse(t *testing.T, s string) cents {
	t.Helper()
	digits, negative := strings.CutPrefix(s, "-")
	var whole, frac int64
	if _, err := fmt.Sscanf(digits, "%d.%d", &whole, &frac); err != nil {
		t.Fatal(err)
	}
	if negative {
		return -cents(whole*100 + frac)
	}
	return cents(whole*100 + frac)
}

func TestTax(t *testing.T) {
	for _, test := range []struct{ net, want cents }{
		{0, 0}, {100, 8}, {200, 17}, {-200, -17}, {185_000, 15_263}, {-185_000, -15_263}, {100_000, 8_250}, {1, 0}, {6, 0}, {7, 1},
	} {
		if got := taxOf(test.net); got != test.want {
			t.Errorf("tax of %s is %s, want %s", test.net, got, test.want)
		}
	}
}

func TestExtend(t *testing.T) {
	for _, test := range []struct {
		qty, rate int64
		want      string
	}{{1000, 1850_0000, "1850.00"}, {-1000, 1850_0000, "-1850.00"}, {1012_000, 4200, "425.04"}, {1500, 65_0000, "97.50"}, {1, 50_000, "0.01"}, {-1, 50_000, "-0.01"}} {
		if got := extend(test.qty, test.rate).String(); got != test.want {
			t.Errorf("extend(%d, %d) = %s, want %s", test.qty, test.rate, got, test.want)
		}
	}
}

func TestNewScriptRefuses(t *testing.T) {
	p := testPlan(t, 1)
	p.Invoices = 39
	if _, err := NewScript(p); err == nil {
		t.Error("39 invoices are accepted")
	}
	p = testPlan(t, 1)
	p.Start = p.Start.Add(time.Millisecond)
	if _, err := NewScript(p); err == nil {
		t.Error("a start between two seconds is accepted")
	}
}
