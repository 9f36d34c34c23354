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
			if time.Since(told) > 5*time.Second {
				told = time.Now()
				s.console.say("%s", sentence(status))
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
	var parts []string
	for _, m := range status.Money {
		parts = append(parts, fmt.Sprintf("%s: %d released, %d posted, %d in exception, %d in flight", m.Currency, m.Released, m.Posted, m.Exception, m.InFlight))
	}
	for _, l := range status.Lanes {
		if l.State != "running" {
			parts = append(parts, l.Lane+" lane "+l.State)
		}
	}
	return strings.Join(append(parts, status.Problems...), "; ")
}

// streaming waits until both snapshots are taken and the streams are on.
func (s *show) streaming(ctx context.Context) error {
	return s.poll(ctx, "starting", func(status pipeline.Status) (bool, error) {
		return len(status.Sources) == 2 && !slices.ContainsFunc(status.Sources, func(x pipeline.SourceStatus) bool { return x.State != "streaming" }), nil
	})
}

// quiet waits until everything that was committed so far is captured and nothing is under way, twice in a row, and then looks whether
// exactly the documents of want wait in exceptions.
func (s *show) quiet(ctx context.Context, doing string, want []string) error {
	since, before, calm := time.Now(), uint64(0), false
	return s.poll(ctx, doing, func(status pipeline.Status) (bool, error) {
		still := captured(status, since) && idle(status)
		ok := still && calm && status.Journal.Applied >= before
		calm, before = still, status.Journal.Last
		if !ok {
			return false, nil
		}
		waiting, err := s.waiting(ctx)
		if err != nil {
			return false, err
		}
		return slices.Equal(waiting, slices.Sorted(slices.Values(want))), nil
	})
}

func captured(status pipeline.Status, since time.Time) bool {
	return len(status.Sources) == 2 && !slices.ContainsFunc(status.Sources, func(x pipeline.SourceStatus) bool {
		return x.State != "streaming" || !x.Watermark.After(since)
	})
}

func idle(status pipeline.Status) bool {
	return !slices.ContainsFunc(status.Lanes, func(l pipeline.LaneStatus) bool { return l.Waiting+l.Ready+l.InFlight+l.Unknown > 0 })
}

// exceptions are the open ones.
func (s *show) exceptions(ctx context.Context) ([]pipeline.ExceptionView, error) {
	return ask[[]pipeline.ExceptionView](ctx, s.daemon, "exceptions", "list")
}

// waiting is the numbers of the documents that wait in exceptions, in order.
func (s *show) waiting(ctx context.Context) ([]string, error) {
	list, err := s.exceptions(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []string
	for _, x := range list {
		numbers = append(numbers, subjects(x)...)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// subjects is the numbers of the documents that wait in an exception.
func subjects(x pipeline.ExceptionView) []string {
	var numbers []string
	for _, subject := range x.Subjects {
		numbers = append(numbers, subject[strings.LastIndexByte(subject, '/')+1:])
	}
	if len(numbers) == 0 && x.Delivery != nil {
		numbers = append(numbers, x.Delivery.ExternalID)
	}
	return numbers
}

// stuck is the numbers of the documents and customers that the mishaps hold.
func (s *show) stuck() []string {
	var numbers []string
	for _, r := range s.script.Repairs {
		numbers = append(numbers, r.Waiting...)
	}
	return numbers
}

// settle waits until only the mishaps are left, and shows the books at that moment.
func (s *show) settle(ctx context.Context) error {
	if err := s.quiet(ctx, "posting all but the mishaps", s.stuck()); err != nil {
		return err
	}
	report, err := s.check(ctx, s.stuck())
	if err != nil {
		return err
	}
	s.console.say("the books at this moment:")
	return report.Write(s.console)
}

func (s *show) drain(ctx context.Context) error { return s.quiet(ctx, "posting the rest", nil) }
