package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

func ledgerOp(entity string, n int, city string) sinks.Operation {
	return sinks.Operation{ID: fmt.Sprint("d", n), Sink: "ledger", Entity: entity, ExternalID: fmt.Sprint("X", n), OrderKey: "K",
		Body: json.RawMessage(fmt.Sprintf(`{"n":%d,"city":%q}`, n, city))}
}

func startLedger(t *testing.T) (*LedgerProcess, *LedgerSink) {
	t.Helper()
	p := StartLedgerERP(t, filepath.Join(t.TempDir(), "ledger"))
	s := NewLedgerSink(p.URL, 300*time.Millisecond)
	t.Cleanup(func() { s.Close() })
	return p, s
}

func TestLedgerSink(t *testing.T) {
	p, s := startLedger(t)
	ops := map[string]func(*testing.T, int) sinks.Operation{}
	for entity := range ledgerSteps {
		ops[entity] = func(_ *testing.T, n int) sinks.Operation { return ledgerOp(entity, n, "Dallas") }
	}
	TestSink(t, Harness{
		Sink: s, Operations: ops,
		Altered: func(op sinks.Operation) sinks.Operation {
			op.Body = json.RawMessage(`{"city":"Houston"}`)
			return op
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			p.SetFault(FaultOrder{Fault: Reject, Count: 1})
			return ledgerOp("sales_invoice", n, "Dallas")
		},
		LoseAnswer: func(entity, step string) {
			p.SetFault(FaultOrder{Entity: entity, Step: step, Fault: DropAnswer, Count: 1})
		},
		Unreachable: func() { p.SetFault(FaultOrder{Fault: Down}) },
		Heal:        func() { p.SetFault(FaultOrder{Fault: Pass}) },
		Questions: []Questioned{{Ask: &transform.Question{Name: "period", AsOf: "2026-10-01"}, Fields: []transform.AnswerField{{Name: "open", Type: "bool", Path: "open"},
			{Name: "name", Type: "text", Path: "name"}}}},
	})
}

// TestLedgerFaults shows that every fault does what it says, to the client and in the ledger.
func TestLedgerFaults(t *testing.T) {
	p, s := startLedger(t)
	ctx := context.Background()
	for i, c := range []struct {
		fault   Fault
		delay   time.Duration
		class   sinks.Class
		done    bool // at once
		verdict sinks.Class
	}{
		{Pass, 0, sinks.Applied, true, sinks.AlreadyApplied},
		{DropAnswer, 0, sinks.Unknown, true, sinks.AlreadyApplied},
		{ErrorAfter, 0, sinks.Unknown, true, sinks.AlreadyApplied},
		{BlackHole, 0, sinks.Unknown, false, sinks.Absent},
		{Delay, 600 * time.Millisecond, sinks.Unknown, false, sinks.Absent},
		{Throttle, 7 * time.Second, sinks.RetryLater, false, sinks.Absent},
		{Down, 0, sinks.RetryLater, false, sinks.Absent},
		{Unauthorized, 0, sinks.Setup, false, sinks.Absent},
		{Reject, 0, sinks.Rejected, false, sinks.Absent},
		{StaleReads, time.Hour, sinks.Applied, true, sinks.Absent},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			op := ledgerOp("sales_invoice", i, "Dallas")
			in, out := s.Prepare(ctx, op, "create", nil, time.Now())
			if out != nil {
				t.Fatal(out)
			}
			p.SetFault(FaultOrder{Fault: c.fault, Delay: c.delay, Step: map[bool]string{false: "create"}[c.fault == StaleReads]})
			o := s.Deliver(ctx, in)
			if o.Class != c.class {
				t.Errorf("deliver: %+v, want %s", o, c.class)
			}
			if v := s.Verify(ctx, in); v.Class != c.verdict {
				t.Errorf("verify: %+v, want %s", v, c.verdict)
			}
			if c.fault == Throttle && o.Wait != 7*time.Second {
				t.Errorf("Retry-After is read as %s", o.Wait)
			}
			p.SetFault(FaultOrder{Fault: Pass})
			r, err := Ledger(p.File, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if done := slices.ContainsFunc(r.Effects, func(e Effect) bool { return e.ExternalID == op.ExternalID }); done != c.done {
				t.Errorf("done: %t, want %t", done, c.done)
			}
			if c.fault == Delay { // it comes when nobody waits any more
				waitFor(t, func() bool { return s.Verify(ctx, in).Class == sinks.AlreadyApplied })
			}
		})
	}
}

func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited 10 s in vain")
		}
	}
}

// TestLedgerReport shows that the checker sees what it is there to see, also after the simulator was killed.
func TestLedgerReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger")
	ctx := context.Background()
	deliver := func(s *LedgerSink, n int, steps ...string) {
		t.Helper()
		prior := map[string]sinks.Outcome{"create": {Ref: "R"}}
		for _, step := range steps {
			in, out := s.Prepare(ctx, ledgerOp("sales_invoice", n, "Dallas"), step, prior, time.Now())
			if out != nil {
				t.Fatal(out)
			}
			if o := s.Deliver(ctx, in); o.Class != sinks.Applied {
				t.Fatal(o)
			}
		}
	}
	p := StartLedgerERP(t, file)
	s := NewLedgerSink(p.URL, time.Second)
	id, err := s.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	deliver(s, 3, "create", "post")
	deliver(s, 1, "create", "post")
	p.Kill()
	p = StartLedgerERP(t, file)
	s = NewLedgerSink(p.URL, time.Second)
	if again, err := s.Identity(ctx); err != nil || again != id {
		t.Errorf("after a restart the ledger is %q (%v), was %q", again, err, id)
	}
	deliver(s, 3, "post")
	deliver(s, 4, "create")
	version := func(e Effect) int64 {
		var b struct{ N int64 }
		if err := json.Unmarshal(e.Body, &b); err != nil {
			t.Error(err)
		}
		return b.N
	}
	r, err := Ledger(file, map[string][]string{"sales_invoice": {"X1", "X3", "X4", "X5"}}, version)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"sales_invoice/X3/post"}; !slices.Equal(r.Duplicates, want) {
		t.Errorf("duplicates %v, want %v", r.Duplicates, want)
	}
	if want := []string{"sales_invoice/X4/post", "sales_invoice/X5/post"}; !slices.Equal(r.Missing, want) {
		t.Errorf("missing %v, want %v", r.Missing, want)
	}
	if want := []string{"K"}; !slices.Equal(r.OutOfOrder, want) {
		t.Errorf("out of order %v, want %v", r.OutOfOrder, want)
	}
	if err := os.WriteFile(file, []byte("{\"seq\":1}\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ledger(file, nil, nil); err == nil {
		t.Error("nonsense in the ledger goes unnoticed")
	}
}

// A closed period is answered as such, with the first day after all that is closed, and nothing is booked into it.
func TestClosedPeriodsOfTheLedger(t *testing.T) {
	p, s := startLedger(t)
	p.ClosePeriods(Closed{"2026-08-01", "2026-08-31", "2026-08"}, Closed{"2026-09-01", "2026-09-30", "2026-09"})
	for day, want := range map[string]string{"2026-08-17": `{"name":"2026-08","next_open":"2026-10-01","open":false}`, "2026-10-01": `{"name":"2026-10","open":true}`} {
		a, out := s.Ask(t.Context(), &transform.Question{Name: "period", AsOf: day})
		if out != nil || string(a.Object) != want {
			t.Errorf("%s: %s, %+v", day, a.Object, out)
		}
	}
	for body, want := range map[string]sinks.Class{`{"date":"2026-08-17"}`: sinks.Rejected, `{"date":"2026-08-17","posting_date":"2026-10-01"}`: sinks.Applied} {
		op := ledgerOp("sales_invoice", 1, "")
		op.Body = json.RawMessage(body)
		in, err := prepare(t.Context(), s, op, "create", nil)
		if err != nil {
			t.Fatal(err)
		}
		o := s.Deliver(t.Context(), in)
		if o.Class != want || want == sinks.Rejected && o.Code != "PERIOD_CLOSED" || want == sinks.Applied && (o.Facts["posting_date"] != "2026-10-01" || o.Facts["date"] != "2026-08-17") {
			t.Errorf("%s: %+v", body, o)
		}
	}
}
