package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
)

// TestMassUpdateIsHeld writes many rows of a mapped table in one transaction (make soak: 50,000): nothing of it leaves, one exception shows
// it, and it is given up. A smaller one is released; the program is killed in the middle of that, and each row is sent once.
func TestMassUpdateIsHeld(t *testing.T) {
	many, few := setting("MASS_ROWS", 5000), 600
	plainBinary(t)
	e := newEngine(t, "postgres")
	e.sql(e.db, "CREATE TABLE parts (id integer PRIMARY KEY, name varchar(40) NOT NULL)")
	e.sql(e.db, "INSERT INTO parts SELECT n, 'part' FROM "+e.series(many))
	e.configure(customersOf("parts", "changed(name) and old.name is not null", `"{id}"`, "name")+"bounds: { events: 500 }\n", "")
	e.start()
	e.settled(60 * time.Second)

	memory := watchMemory(t, e.daemon.Process.Pid)
	held := func(items int) (x pipeline.ExceptionView) {
		e.until(60*time.Second, "the mass update is held", func() bool {
			list, err := e.api.Exceptions(t.Context(), pipeline.ExceptionQuery{Code: "BLAST_RADIUS"})
			if err != nil || len(list) != 1 {
				return false
			}
			x = list[0]
			return x.Held == items
		})
		return x
	}
	e.sql(e.db, "UPDATE parts SET name = 'wrong'")
	x := held(2 * many)
	if want := fmt.Sprintf("customer.changed made %d events, %d postings; its bound is 500 events in one transaction. Nothing of it was sent.", many, many); !strings.Contains(x.Title, want) {
		t.Errorf("title %q", x.Title)
	}
	e.sql(e.db, "UPDATE parts SET name = 'behind' WHERE id = 7")
	held(2*many + 2)
	peak := memory.peak()
	t.Logf("%d events and their postings held, peak anonymous memory %d MB", many, peak>>20)
	if peak > largeBound {
		t.Errorf("peak anonymous memory %d MB, the bound is %d MB", peak>>20, largeBound>>20)
	}
	if n := e.delivered(); n != 0 {
		t.Errorf("%d deliveries of what is held", n)
	}
	if out := e.must("trace", "customer/7"); !strings.Contains(out, x.ID+" BLAST_RADIUS opened") {
		t.Errorf("the trace does not say what holds it:\n%s", out)
	}
	e.must("exceptions", "discard", x.ID, "--why", "a wrong script", "--yes")
	e.settled(60 * time.Second)
	if n := e.effects(); len(n) != 1 || n["7"] != 1 {
		t.Errorf("after the discard: %d deliveries", len(n))
	}

	e.sql(e.db, fmt.Sprintf("UPDATE parts SET name = 'right' WHERE id <= %d", few))
	x = held(2 * few)
	e.must("exceptions", "release", x.ID, "--why", "the yearly round", "--yes")
	e.kill()
	e.start()
	e.settled(60 * time.Second)
	for id, n := range e.effects() {
		if want := map[bool]int{true: 2, false: 1}[id == "7"]; n != want {
			t.Errorf("%s was delivered %d times, want %d", id, n, want)
		}
	}
	if n := e.delivered(); n != few {
		t.Errorf("%d customers were delivered, want %d", n, few)
	}
	e.stop()
	if out := e.must("audit", "verify"); !strings.Contains(out, "lines proved") {
		t.Errorf("the audit of the stopped store:\n%s", out)
	}
	if out := e.must("audit", "list", "--target", x.ID); !strings.Contains(out, "the yearly round") {
		t.Errorf("the release is not in the audit:\n%s", out)
	}
}
