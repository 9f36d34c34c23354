package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// outage is how long the ERP is away.
const outage = 8 * time.Second

// days starts Waybill and plays the carrier's days into the databases, with the disasters.
func (s *show) days(ctx context.Context) error {
	s.console.say("$ waybill run")
	if err := s.daemon.start(); err != nil {
		return err
	}
	if err := s.streaming(ctx); err != nil {
		return err
	}
	start := time.Now()
	span := s.script.Days[len(s.script.Days)-1].At
	s.console.say("the databases are read; %d transactions follow in %.0f s", len(s.script.Days), span.Seconds())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.stores.play(ctx, s.script.Days, start) })
	group.Go(func() error { return s.disasters(ctx, start, span) })
	if err := group.Wait(); err != nil {
		return err
	}
	s.console.say("the days are over: %d loads moved, %d documents released", s.script.Loads, len(s.script.Released))
	return nil
}

// disasters strike in this order, at moments that the seed decides.
func (s *show) disasters(ctx context.Context, start time.Time, span time.Duration) error {
	luck := s.luck()
	at := func(from, to float64) time.Time {
		return start.Add(time.Duration((from + luck.Float64()*(to-from)) * float64(span)))
	}
	first, away, second := at(0.20, 0.40), at(0.44, 0.54), at(0.75, 0.92)
	if err := s.crash(ctx, first); err != nil {
		return err
	}
	if err := until(ctx, away); err != nil {
		return err
	}
	s.console.say("disaster: Tryton is stopped")
	s.servers.tryton.Stop()
	ended := time.Now().Add(outage)
	crashed := false
	if second.Before(ended) { // in a fast demo the outage outlasts the days
		if err := s.crash(ctx, second); err != nil {
			return err
		}
		crashed = true
	}
	if err := until(ctx, ended); err != nil {
		return err
	}
	if err := s.servers.tryton.Start(); err != nil {
		return fmt.Errorf("starting Tryton again: %w", err)
	}
	s.console.say("Tryton is back after %s", outage)
	if crashed {
		return nil
	}
	return s.crash(ctx, second)
}

// crash kills Waybill with SIGKILL and starts it again.
func (s *show) crash(ctx context.Context, at time.Time) error {
	if err := until(ctx, at); err != nil {
		return err
	}
	if s.daemon.ended() {
		return errors.New("waybill ended by itself")
	}
	s.daemon.kill()
	s.console.say("disaster: waybill is killed with SIGKILL, and started again")
	return s.daemon.start()
}

// until waits for a moment.
func until(ctx context.Context, at time.Time) error {
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}
