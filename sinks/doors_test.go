package sinks

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A paused flow writes nothing; what is unknown of it is verified, and other flows go on.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(0)}
		g := govern(s, Policy{})
		g.Pause(map[string]Reason{"sales_invoice": {By: "ann", Why: "period close"}})
		invoice, customer := Intent{Operation: Operation{Entity: "sales_invoice"}}, Intent{Operation: Operation{Entity: "customer"}}
		o := g.Lane("transactional").Deliver(t.Context(), invoice)
		if o.Code != CodePaused || o.Message != "The flow is paused by ann: period close" || s.calls != 0 {
			t.Errorf("%+v", o)
		}
		if v := g.Verify(t.Context(), invoice); v.Class != Absent {
			t.Errorf("verified as %+v", v)
		}
		if o := g.Deliver(t.Context(), customer); o.Class != Applied {
			t.Errorf("another flow: %+v", o)
		}
		if until, why := g.Shut("sales_invoice"); time.Until(until) <= 0 || why == "" {
			t.Errorf("shut until %s: %q", until, why)
		}
		g.Pause(map[string]Reason{"": {By: "ann", Why: "all"}})
		if o := g.Deliver(t.Context(), customer); o.Code != CodePaused {
			t.Errorf("all flows: %+v", o)
		}
		g.Pause(nil)
		if o := g.Deliver(t.Context(), invoice); o.Class != Applied {
			t.Errorf("resumed: %+v", o)
		}
	})
}

// A write that waits for a slot when the flow is paused is not made.
func TestPauseReachesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(time.Second)}
		g := govern(s, Policy{Concurrency: 1})
		go g.Deliver(t.Context(), Intent{})
		synctest.Wait()
		done := make(chan Outcome, 1)
		go func() { done <- g.Deliver(t.Context(), Intent{}) }()
		synctest.Wait()
		g.Pause(map[string]Reason{"": {By: "ann", Why: "now"}})
		if o := <-done; o.Code != CodePaused || s.calls != 1 {
			t.Errorf("%+v, %d calls", o, s.calls)
		}
		synctest.Wait()
		if wait := g.Available(); wait != 0 {
			t.Errorf("the pause quiets the account for %s", wait)
		}
	})
}

func TestDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(0)}
		g := govern(s, Policy{DryRun: true})
		if in, o := g.Prepare(t.Context(), Operation{ID: "d1"}, "create", nil, time.Now()); o != nil || in.ID != "d1" {
			t.Errorf("prepared %+v, %+v", in, o)
		}
		if o := g.Deliver(t.Context(), Intent{}); o.Code != CodeDryRun || s.calls != 0 || !g.DryRun() {
			t.Errorf("%+v", o)
		}
		if err := g.Bind(t.Context(), Binding{}); err != nil {
			t.Error(err)
		}
		g.Set(Policy{})
		if o := g.Deliver(t.Context(), Intent{}); o.Class != Applied {
			t.Errorf("%+v", o)
		}
	})
}

func TestBlackout(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	night := Blackout{From: "22:00", To: "06:00", Zone: "America/Chicago"}
	weekend := Blackout{From: "18:00", To: "24:00", Zone: "UTC", Days: []string{"fri"}}
	day := Blackout{From: "00:00", To: "24:00", Zone: "Europe/Berlin", Dates: []string{"2026-12-31"}}
	for _, c := range []struct {
		list       []Blackout
		now, until string
	}{
		{[]Blackout{night}, "2026-11-24T03:59:59Z", ""},
		{[]Blackout{night}, "2026-11-24T04:00:00Z", "2026-11-24T12:00:00Z"},
		{[]Blackout{night}, "2026-11-24T11:59:59Z", "2026-11-24T12:00:00Z"},
		{[]Blackout{night}, "2026-11-24T12:00:00Z", ""},
		{[]Blackout{night}, "2026-03-08T07:30:00Z", "2026-03-08T11:00:00Z"}, // the clock jumps an hour at 02:00
		{[]Blackout{night}, "2026-11-01T06:30:00Z", "2026-11-01T12:00:00Z"}, // and goes back one
		{[]Blackout{weekend}, "2026-11-27T18:00:00Z", "2026-11-28T00:00:00Z"},
		{[]Blackout{weekend}, "2026-11-26T18:00:00Z", ""},
		{[]Blackout{day}, "2026-12-30T23:00:00Z", "2026-12-31T23:00:00Z"},
		{[]Blackout{day}, "2026-12-31T23:00:00Z", ""},
		{[]Blackout{night, {From: "06:00", To: "07:30", Zone: "America/Chicago"}}, "2026-11-24T05:00:00Z", "2026-11-24T13:30:00Z"},
	} {
		got := blackedOut(c.list, at(c.now))
		if want := c.until; want == "" && !got.IsZero() || want != "" && !got.Equal(at(want)) {
			t.Errorf("%s: until %s, want %q", c.now, got.UTC().Format(time.RFC3339), want)
		}
	}
	always := []Blackout{{From: "00:00", To: "24:00", Zone: "UTC"}}
	if until := blackedOut(always, at("2026-01-01T00:00:00Z")); until.IsZero() {
		t.Error("a blackout of every hour is none")
	}
}

// In a blackout nothing is written; a verification passes.
func TestBlackoutDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins at midnight UTC
		s := &target{deliver: takes(0)}
		g := govern(s, Policy{Blackout: []Blackout{{From: "00:00", To: "01:00", Zone: "UTC"}}})
		if o := g.Deliver(t.Context(), Intent{}); o.Code != CodeBlackout || o.Wait != time.Hour || s.calls != 0 {
			t.Errorf("%+v", o)
		}
		if o := g.Verify(t.Context(), Intent{}); o.Class != Absent {
			t.Errorf("%+v", o)
		}
		time.Sleep(time.Hour)
		if o := g.Deliver(t.Context(), Intent{}); o.Class != Applied {
			t.Errorf("%+v", o)
		}
	})
}

// Retries are a share of first attempts, beside a few that were saved and one in ten seconds.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := govern(&target{deliver: func(context.Context, Intent) Outcome { return Outcome{Class: Applied} }}, Policy{})
		spent := func() (n int) {
			for g.Again() == 0 {
				n++
			}
			return n
		}
		if n := spent(); n != 10 {
			t.Errorf("%d retries were saved, want 10", n)
		}
		for range 55 {
			g.Deliver(t.Context(), Intent{Attempt: 1})
		}
		for range 55 {
			g.Deliver(t.Context(), Intent{Attempt: 2}) // no first attempts
		}
		if n := spent(); n != 5 {
			t.Errorf("%d retries after 55 first attempts, want 5", n)
		}
		if wait := g.Again(); wait <= 0 || wait > 10*time.Second {
			t.Errorf("the next in %s", wait)
		}
		time.Sleep(30 * time.Second)
		if n := spent(); n != 3 {
			t.Errorf("%d retries after half a minute, want 3", n)
		}
	})
}
