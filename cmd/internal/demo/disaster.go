package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill/sinks/sinktest"
)

// outage is how long the ERP is away.
const outage = 8 * time.Second

// days starts Waybill and plays the carriers' days into the databases, with the disasters.
func (s *show) days(ctx context.Context) error {
	s.console.say("$ waybill run")
	if err := s.daemon.start(); err != nil {
		return err
	}
	if err := s.streaming(ctx); err != nil {
		return err
	}
	if err := s.registry(ctx); err != nil {
		return err
	}
	start := time.Now()
	span := s.script.Days[len(s.script.Days)-1].At
	s.console.say("the databases are read and followed; %d transactions come in %.0f s", len(s.script.Days), span.Seconds())
	playing, ctx := errgroup.WithContext(ctx)
	playing.Go(func() error { return s.servers.stores.play(ctx, s.script.Days, start, s.tell) })
	playing.Go(func() error { return s.disasters(ctx, start, span) })
	if err := playing.Wait(); err != nil {
		return err
	}
	s.console.event("the days are over: %d loads moved, %d documents released", s.script.Loads, len(s.script.Released)-s.script.later())
	return nil
}

// later is how many documents are made only when people come to the mishaps: an invoice after its POD, a shipment that is taken out of its week, and what
// happens then.
func (s *Script) later() int {
	n := 2
	for _, m := range s.Mishaps {
		n += len(m.Now)
	}
	return n
}

// tell prints what goes wrong when it does.
func (s *show) tell(t Transaction) {
	if t.Tell != "" {
		s.console.event("%s", t.Tell)
	}
}

// registry tells Waybill what people know of Pine Valley's ship-tos.
func (s *show) registry(ctx context.Context) error {
	s.console.say("$ waybill xref import ship-tos.csv --why \"known ship-tos\" --yes")
	text, err := s.daemon.command(ctx, "xref", "import", "ship-tos.csv", "--why", "known ship-tos", "--yes")
	if err != nil {
		return err
	}
	s.console.say("%s", lastLine(text))
	return nil
}

// disasters strike in this order, at moments that the seed decides: Waybill is killed, the ERP loses an answer and goes away, Waybill is killed again.
func (s *show) disasters(ctx context.Context, start time.Time, span time.Duration) error {
	luck := s.luck()
	at := func(from, to float64) time.Time {
		return start.Add(time.Duration((from + luck.Float64()*(to-from)) * float64(span)))
	}
	first, second := at(0.15, 0.22), at(0.80, 0.92)
	s.servers.proxy.Set(sinktest.ProxyFault{Fault: sinktest.DropAnswer, Match: fmt.Sprintf(`"reference":%q`, s.script.Lost), Count: 1})
	if err := s.crash(ctx, first); err != nil {
		return err
	}
	if err := s.lostAnswer(ctx); err != nil {
		return err
	}
	return s.crash(ctx, second)
}

// taken reports whether the ERP has a document whose answer was lost. The proxy counts it as hurt before the ERP has done anything.
func (s *show) taken(ctx context.Context) (bool, error) {
	if _, hurt := s.servers.proxy.Requests(); hurt == 0 {
		return false, nil
	}
	var found []struct {
		ID int64 `json:"id"`
	}
	err := s.admin(ctx, &found, "model.account.invoice.search_read", []any{[]any{"reference", "=", s.script.Lost}}, 0, 1, nil, []string{"reference"})
	return len(found) > 0, err
}

// lostAnswer waits until the ERP has done what nobody hears of, and stops it.
func (s *show) lostAnswer(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(patience); ; {
		taken, err := s.taken(ctx)
		if err != nil {
			return err
		}
		if taken {
			break
		}
		if time.Now().After(over) {
			return fmt.Errorf("the document %s did not come to the ERP within %s", s.script.Lost, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	s.servers.tryton.Stop()
	ended := time.Now().Add(outage)
	s.console.event("Tryton has taken invoice %s, and its answer is lost; then Tryton is away", s.script.Lost)
	if err := until(ctx, ended); err != nil {
		return err
	}
	if err := s.servers.tryton.Start(); err != nil {
		return fmt.Errorf("starting Tryton again: %w", err)
	}
	s.console.event("Tryton is back after %s", outage)
	return nil
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
	s.console.event("waybill is killed with SIGKILL, and started again")
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
