package demo

import (
	"crypto/sha256"
	"encoding/json"
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
	return Plan{Seed: seed, Start: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Zone: zone, Span: 30 * time.Second, Invoices: 100}
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

// ofCarrier counts what begins with a carrier's prefix.
func ofCarrier(ids []string, prefix string) (n int) {
	for _, id := range ids {
		if strings.HasPrefix(id, prefix) {
			n++
		}
	}
	return n
}

// The script keeps its promises for any seed: enough documents, ten mishaps that are told once each, order in time.
func TestScriptAddsUp(t *testing.T) {
	for seed := range uint64(50) {
		p := testPlan(t, seed)
		s := mustScript(t, p)
		if n := ofCarrier(s.Released, "nstar:"); n != p.Invoices {
			t.Errorf("seed %d: Northstar releases %d documents, want %d", seed, n, p.Invoices)
		}
		if n, m := ofCarrier(s.Released, "pvly:"), ofCarrier(s.Released, "gcbk:"); n != 18 || m != 18 || n+m+p.Invoices != len(s.Released) {
			t.Errorf("seed %d: Pine Valley releases %d documents and Gulf Coast %d of %d", seed, n, m, len(s.Released))
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
		checkMishaps(t, seed, s)
		checkSums(t, seed, s)
	}
}

// checkMishaps looks whether each mishap is there, told when it happens, and ends with documents that are released.
func checkMishaps(t *testing.T, seed uint64, s Script) {
	t.Helper()
	var names []string
	for _, m := range s.Mishaps {
		names = append(names, m.Name)
		told := 0
		for _, tx := range s.Days {
			if tx.Tell == m.Story {
				told++
			}
		}
		if byDisaster := strings.Contains(m.Story, "Tryton"); told != 1 && !byDisaster && m.Now == nil {
			t.Errorf("seed %d: %q is told %d times", seed, m.Name, told)
		}
		for _, id := range m.Posted {
			if !slices.Contains(s.Released, id) {
				t.Errorf("seed %d: %q ends with %s, which is never released", seed, m.Name, id)
			}
		}
		if n := len("  " + "happened   " + m.Story); n > columns+12 || m.About == "" || len(m.Posted) == 0 {
			t.Errorf("seed %d: %q: %d columns, about %q, posted %v", seed, m.Name, n, m.About, m.Posted)
		}
	}
	if !slices.Equal(names, settleOrder) {
		t.Errorf("seed %d: mishaps %q", seed, names)
	}
	if len(s.Tell) != len(fleet) {
		t.Errorf("seed %d: cases to tell: %v", seed, s.Tell)
	}
}

// checkSums adds the lines of every document that the script writes and compares them with the header.
func checkSums(t *testing.T, seed uint64, s Script) {
	t.Helper()
	totals, lines := map[string]cents{}, map[string]cents{}
	for _, tx := range append(slices.Clone(s.Before), s.Days...) {
		for _, st := range tx.Statements {
			switch table := strings.Fields(st.SQL)[2]; {
			case !strings.HasPrefix(st.SQL, "INSERT"):
			case table == "inv_hdr":
				totals[st.Args[0].(string)] = parse(t, st.Args[8].(string))
				lines[st.Args[0].(string)] += parse(t, st.Args[7].(string))
			case table == "inv_line":
				lines[st.Args[0].(string)] += parse(t, st.Args[6].(string))
			case table == "ar.cons_inv":
				totals[st.Args[0].(string)] = parse(t, st.Args[7].(string))
			case table == "ar.cons_dtl":
				lines[st.Args[0].(string)] += parse(t, st.Args[5].(string)) + parse(t, st.Args[6].(string))
			case table == "bills":
				totals[st.Args[0].(string)], lines[st.Args[0].(string)] = cents(st.Args[4].(int64)), charged(t, st.Args[5].(string))
			}
		}
	}
	var wrong []string
	for number, total := range totals {
		if lines[number] != total {
			wrong = append(wrong, fmt.Sprintf("%s is a cent off: %v", number, total-lines[number] == 1))
		}
	}
	if len(wrong) != 1 || !strings.Contains(wrong[0], "true") || len(totals) < 100 {
		t.Errorf("seed %d: of %d documents these do not add up, want the one of the mishap: %v", seed, len(totals), wrong)
	}
}

// charged adds up the lines that a bill carries.
func charged(t *testing.T, text string) (sum cents) {
	t.Helper()
	var lines []struct{ C cents }
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		sum += l.C
	}
	return sum
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
