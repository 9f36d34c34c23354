package transform

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// bulk drives the mapping of the carrier whose bills carry their lines.
func bulk(t *testing.T) *drive {
	t.Helper()
	d := newDrive(t, carrierMapping(t, "gulfcoast"))
	d.catalog = sqlCatalog(t, "gcbk", "../testdata/carriers/gulfcoast/broker.sql")
	d.tx("insert gcbk.parties tax_id=36-1234567 pname=Sand net_days=30 is_void=false upd_ms=1790850000000")
	d.events()
	d.posts()
	return d
}

// billOf is a bill of one line.
func billOf(no, stat string, cents int) change {
	return change(fmt.Sprintf(`insert gcbk.bills bill_no=%s bill_tax_id=36-1234567 stat=%s bill_ms=1790850000000 rel_ms=1790850000000 tot_c=%d is_void=false `+
		`upd_ms=1790850000000 chg=[{"cd":"HAUL","c":%d}]`, no, stat, cents, cents))
}

// Whatever credits come, in whatever order, and however they are corrected: what is issued is never more than the original.
func TestCreditsAreNeverBeyondTheirOriginal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := bulk(t)
		whole := rapid.IntRange(1, 1000).Draw(rt, "original")
		var todo []change
		for i := range rapid.IntRange(1, 6).Draw(rt, "credits") {
			no := fmt.Sprintf("5-%c", 'A'+i)
			todo = append(todo, billOf(no, "R", -rapid.IntRange(1, 600).Draw(rt, "credit")))
			if less := rapid.IntRange(0, 300).Draw(rt, "less"); less > 0 {
				todo = append(todo, change(fmt.Sprintf(`update gcbk.bills bill_no=%s tot_c=-%d chg=[{"cd":"HAUL","c":-%d}]`, no, less, less)))
			}
		}
		at := rapid.IntRange(0, len(todo)).Draw(rt, "original at")
		for i, ch := range todo {
			if i == at {
				d.tx(billOf("5", "R", whole))
			}
			d.tx(ch)
		}
		credited := number{}
		for _, e := range d.out.events {
			if e.Type != "credit_memo.issued" {
				continue
			}
			if at == len(todo) {
				rt.Fatalf("credited without an original: %s", e.Key)
			}
			n, err := parseNumber(e.Amount.Amount)
			if err != nil {
				rt.Fatal(err)
			}
			credited.Decimal = credited.Decimal.Sub(n.Decimal)
		}
		if credited.Shift(2).IntPart() > int64(whole) {
			rt.Fatalf("%s credited of %d cents", credited, whole)
		}
	})
}

func TestAReleasedDocumentThatIsDeletedIsAnAlarm(t *testing.T) {
	d := bulk(t)
	d.tx(billOf("5", "R", 1000))
	d.tx(billOf("6", "R", 1000))
	d.tx(billOf("7", "O", 1000))
	d.events()
	d.tx("delete gcbk.bills bill_no=5", "delete gcbk.bills bill_no=7")
	d.tx("delete gcbk.bills bill_no=6")
	d.expect("one cause, two invoices", d.problems(), "DELETED_AFTER_RELEASE invoice/5, DELETED_AFTER_RELEASE invoice/6")
	causes := map[string]bool{}
	for k, p := range d.out.open {
		causes[k[0]] = true
		if p.Amount == nil || *p.Amount != (Money{"10.00", "USD"}) {
			t.Errorf("%+v", p)
		}
	}
	if len(causes) != 1 {
		t.Errorf("%v", causes)
	}
	d.posts()
	d.tx(billOf("5", "R", 1000))
	d.expect("it is there again", d.problems(), "DELETED_AFTER_RELEASE invoice/6")
	d.expect("and is not posted twice", d.posts()+d.events(), "")
	d.tx(billOf("6", "R", 1001))
	d.expect("another is not what was posted", d.problems(), "CHANGED_AFTER_RELEASE invoice/6")
	d.clock = d.clock.Add(3 * 365 * 24 * time.Hour)
	d.tx("delete gcbk.bills bill_no=5")
	d.expect("an archive job", d.problems(), "CHANGED_AFTER_RELEASE invoice/6")
}

func TestLinesInJSONKeepTheirDigitsOrAreRefused(t *testing.T) {
	for _, c := range []struct{ chg, want string }{
		{`[{"cd":"HAUL","q":24.350,"c":1000}]`, `"quantity":"24.350"`},
		{`[{"cd":"HAUL","c":"1000"}]`, `"net":"10.00"`},
		{`[{"cd":"HAUL","c":400},{"cd":"FUEL%","c":600}]`, `"charge":"FUEL_SURCHARGE"`},
		{`{"cd":"HAUL"}`, "LINES_NOT_READ"},
		{`[7]`, "LINES_NOT_READ"},
		{`[{"cd":"HAUL","c":1000}`, "LINES_NOT_READ"},
		{`[{"cd":"HAUL","c":1000,"c":1000}]`, "LINES_NOT_READ"},
		{`[{"cd":"HAUL","c":1e3}]`, "VALUE_NOT_EXACT"},
	} {
		d := bulk(t)
		ch := billOf("5", "R", 1000)
		d.tx(change(strings.Split(string(ch), "chg=")[0] + "chg=" + c.chg))
		d.wait(2 * time.Minute)
		got := d.problems()
		for _, e := range d.out.events {
			got += string(e.Data)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.chg, got, c.want)
		}
	}
}

func TestEpochsAreExactOrRefused(t *testing.T) {
	d := bulk(t)
	job := func(no int, loaded string) change {
		return change(fmt.Sprintf("insert gcbk.jobs job_no=%d bill_tax_id=36-1234567 state=0 tons_ord=1.000 wait_c=0 pod_yn=N is_void=false upd_ms=1790850000000 loaded_ts=%s", no, loaded))
	}
	d.tx(job(1, "1790856000001"), job(2, "-62135596800000"))
	var times []string
	for _, e := range d.out.events {
		times = append(times, e.Occurred.UTC().Format(time.RFC3339Nano))
	}
	d.expect("to the millisecond, from the first year on", strings.Join(times, " "), "2026-10-01T12:00:00.001Z 0001-01-01T00:00:00Z")
	d.tx(job(3, "179085600000100000"))
	d.expect("a unit that is mistaken", d.problems(), "EXPRESSION shipment/3")
}
