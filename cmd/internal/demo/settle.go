package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/pipeline"
)

// patience is the longest wait for Waybill to get somewhere; a slow machine posts one document a second.
const patience = 10 * time.Minute

// poll asks for the status twice a second until done says so. A daemon that has just been killed may not answer yet; one that ended
// by itself is an error. doing says for what, in an error.
func (s *show) poll(ctx context.Context, doing string, done func(pipeline.Status) (bool, error)) error {
	began, told, last := time.Now(), time.Now(), error(nil)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.daemon.ended() {
			return errors.New("waybill ended by itself")
		}
		status, err := ask[pipeline.Status](ctx, s.daemon, "status")
		if last = err; err == nil {
			ok, err := done(status)
			if ok || err != nil {
				return err
			}
			if time.Since(told) > 10*time.Second {
				told = time.Now()
				s.console.event("%s", sentence(status))
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Since(began) > patience {
			return errors.Join(fmt.Errorf("%s took more than %s; the last status: %s", doing, patience, sentence(status)), last)
		}
	}
}

// sentence is a status in a line.
func sentence(status pipeline.Status) string {
	released, posted, held, flying := 0, 0, 0, 0
	for _, m := range status.Money {
		released, posted, held, flying = released+m.Released, posted+m.Posted, held+m.Exception, flying+m.InFlight
	}
	parts := []string{fmt.Sprintf("%d documents released: %d posted, %d in exception, %d in flight", released, posted, held, flying)}
	for _, l := range status.Lanes {
		if l.State != "running" {
			parts = append(parts, l.Lane+" lane "+l.State)
		}
	}
	return strings.Join(parts, "; ")
}

// sources is how many databases Waybill follows.
var sources = func() (n int) {
	for _, h := range fleet {
		n += len(h.sources)
	}
	return n
}()

// streaming waits until all tables are read and the streams are on.
func (s *show) streaming(ctx context.Context) error {
	return s.poll(ctx, "starting", func(status pipeline.Status) (bool, error) {
		return len(status.Sources) == sources && !slices.ContainsFunc(status.Sources, func(x pipeline.SourceStatus) bool {
			return x.State != "streaming" || slices.ContainsFunc(x.Readings, func(r pipeline.ReadingStatus) bool { return r.State != pipeline.ReadingDone })
		}), nil
	})
}

// quiet waits until everything that was committed so far is captured and nothing is under way but what waits at a gate, twice in a row, and then
// looks whether each of the mishaps that needs a person has its exception, and nothing else.
func (s *show) quiet(ctx context.Context, doing string, gated int, want []Mishap) error {
	since, before, calm := time.Now(), uint64(0), false
	return s.poll(ctx, doing, func(status pipeline.Status) (bool, error) {
		still := captured(status, since) && idle(status, gated)
		ok := still && calm && status.Journal.Applied >= before
		calm, before = still, status.Journal.Last
		if !ok {
			return false, nil
		}
		open, err := s.exceptions(ctx)
		if err != nil || len(open) != len(want) {
			return false, err
		}
		for _, m := range want {
			if find(open, m) == nil {
				return false, nil
			}
		}
		return true, nil
	})
}

func captured(status pipeline.Status, since time.Time) bool {
	return len(status.Sources) == sources && !slices.ContainsFunc(status.Sources, func(x pipeline.SourceStatus) bool {
		return x.State != "streaming" || !x.Watermark.After(since)
	})
}

// idle reports whether the lanes have nothing to do but wait at the gates of so many documents.
func idle(status pipeline.Status, gated int) bool {
	waiting := 0
	for _, l := range status.Lanes {
		waiting += l.Waiting
		if l.Ready+l.InFlight+l.Unknown > 0 {
			return false
		}
	}
	return waiting == gated
}

// exceptions are the open ones.
func (s *show) exceptions(ctx context.Context) ([]pipeline.ExceptionView, error) {
	return ask[[]pipeline.ExceptionView](ctx, s.daemon, "exceptions", "list")
}

// find is the exception of a mishap, or nil.
func find(open []pipeline.ExceptionView, m Mishap) *pipeline.ExceptionView {
	for i, x := range open {
		if x.Code == m.Code && slices.Contains(x.Subjects, m.About) {
			return &open[i]
		}
	}
	return nil
}

// held are the mishaps that need a person.
func (s *show) held() []Mishap {
	return slices.DeleteFunc(slices.Clone(s.script.Mishaps), func(m Mishap) bool { return m.Code == "" })
}

// settle waits until only the mishaps are left, and shows the books at that moment.
func (s *show) settle(ctx context.Context) error {
	if err := s.quiet(ctx, "posting all but the mishaps", s.script.Gated, s.held()); err != nil {
		return err
	}
	return s.reconcile(ctx)
}
