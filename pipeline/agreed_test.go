package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"waybill/cdc"
)

// shed is a shelf that can lose its position, refuse our login, and end its session.
type shed struct {
	*shelf
	mu       sync.Mutex
	fails    error // of Open behind a position
	release  error // of Release
	released int
	end      chan error // ends the session
}

var (
	_ cdc.Inspector   = (*shed)(nil)
	_ cdc.TableReader = (*shed)(nil)
)

func newShed() *shed { return &shed{shelf: newShelf(30, 20), end: make(chan error, 1)} }

func (s *shed) set(fails, release error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.release = fails, release
}

func (s *shed) Open(ctx context.Context, pos cdc.Position) error {
	s.mu.Lock()
	err := s.fails
	s.mu.Unlock()
	if err != nil && (pos != "" || errors.Is(err, cdc.ErrDenied)) {
		return err
	}
	return s.shelf.Open(ctx, pos)
}

func (s *shed) Next(ctx context.Context) (cdc.Batch, error) {
	select {
	case err := <-s.end:
		return cdc.Batch{}, err
	case <-s.nudge:
		s.Nudge()
		return s.shelf.Next(ctx)
	case <-ctx.Done():
		return cdc.Batch{}, ctx.Err()
	}
}

func (s *shed) Release(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release == nil {
		s.released++
		s.fails = nil
	}
	return s.release
}

func (s *shed) Check(context.Context) ([]cdc.Finding, error)                { return nil, nil }
func (s *shed) Catalog(context.Context, []cdc.Table) ([]*cdc.Schema, error) { return nil, nil }
func (s *shed) Peek(context.Context, func(cdc.Batch) error) error           { return nil }

var agreedLoss = &cdc.LostError{Source: "dispatch", Reason: "Waybill dropped the slot itself", Hint: "Reset.", Agreed: true}

// TestAnAgreedLossIsMadeGood loses the position while the daemon runs, and again while it does not: it begins again with a
// compared reading by itself, says so in the audit, and starts.
func TestAnAgreedLossIsMadeGood(t *testing.T) {
	s, dir := newShed(), t.TempDir()
	read := func(p *Pipeline) func() bool {
		return func() bool {
			st, err := p.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range st.Sources[0].Readings {
				if r.State != ReadingDone {
					return false
				}
			}
			return st.Sources[0].State == "streaming" && seen(t, p, "customers") == 30 && seen(t, p, "bills") == 20
		}
	}
	resets := func(p *Pipeline, want int) func() bool {
		return func() bool {
			lines, err := p.Audit(context.Background(), AuditQuery{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, l := range lines {
				if l.Action == "reset" && l.By == "waybill" && l.Target == "dispatch" && l.Why == agreedLoss.Reason {
					n++
				}
			}
			return n == want
		}
	}
	runShelf(t, s, dir, ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
		poll(t, "the tables are read", read(p))
		s.set(agreedLoss, errors.New("process 17 uses it")) // the server lets go of the slot a little later
		s.end <- cdc.ErrDisconnected
		poll(t, "the source backs off", func() bool {
			st, err := p.Status(context.Background())
			return err == nil && st.Sources[0].State == "backing off" && strings.Contains(st.Sources[0].Error, "process 17 uses it")
		})
		s.set(agreedLoss, nil)
		poll(t, "the source was reset once", resets(p, 1))
		poll(t, "the tables are read again", read(p))
	})
	s.set(agreedLoss, nil)
	runShelf(t, s, dir, ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
		poll(t, "the source was reset again", resets(p, 2))
		poll(t, "the tables are read a third time", read(p))
	})
	if s.released != 2 {
		t.Errorf("released %d times", s.released)
	}
}

// TestALossThatNobodyAgreedToWaits stops the source, with the SQL for a person.
func TestALossThatNobodyAgreedToWaits(t *testing.T) {
	s := newShed()
	runShelf(t, s, t.TempDir(), ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
		poll(t, "the table is read", func() bool { return seen(t, p, "bills") == 20 })
		s.set(&cdc.LostError{Source: "dispatch", Reason: "slot is gone", SQL: []string{"SELECT 1;"}}, nil)
		s.end <- cdc.ErrDisconnected
		poll(t, "the source has stopped", func() bool {
			st, err := p.Status(context.Background())
			return err == nil && st.Sources[0].State == "stopped" && len(st.Sources[0].SQL) == 1
		})
		if s.released != 0 {
			t.Error("the source was released")
		}
	})
}

// TestARefusedLoginIsTriedAgain changes the password under a running daemon; at a start it is a fault of the configuration.
func TestARefusedLoginIsTriedAgain(t *testing.T) {
	s, dir := newShed(), t.TempDir()
	denied := fmt.Errorf("connecting: %w", cdc.ErrDenied)
	runShelf(t, s, dir, ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
		state := func(want, text string) func() bool {
			return func() bool {
				st, err := p.Status(context.Background())
				return err == nil && st.Sources[0].State == want && strings.Contains(st.Sources[0].Error, text)
			}
		}
		poll(t, "the source streams", state("streaming", ""))
		s.set(denied, nil)
		s.end <- cdc.ErrDisconnected
		poll(t, "the refused login is told", state("backing off", "login refused"))
		s.set(nil, nil)
		poll(t, "the source streams again", state("streaming", ""))
	})
	s.set(denied, nil)
	p, closeStore := newShelfPipeline(t, s, dir, ReadingOptions{})
	defer closeStore()
	var refused *StartError
	if err := p.Run(t.Context()); !errors.As(err, &refused) || !errors.Is(err, cdc.ErrDenied) {
		t.Errorf("a start with a refused login returned %v", err)
	}
}
