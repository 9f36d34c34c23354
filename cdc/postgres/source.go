package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

var (
	_ cdc.Source    = (*Source)(nil)
	_ cdc.Inspector = (*Source)(nil)
)

// Source captures the selected tables of one PostgreSQL database. It keeps a replication slot and a publication on the
// server, which Release drops.
type Source struct {
	cfg      Config
	log      *slog.Logger
	tables   []cdc.Table // selected, in the order of the selection
	messages []cdc.Table // so are these: see cdc.Messages
	choices  map[cdc.Table]*choice

	session *session // while it is open
	readers readers  // of chunks
	learnt  learnt   // about the tables, by reading them
	made    string   // consistent point of a slot that this process made and whose position is not confirmed yet

	confirmed atomic.Uint64 // LSN that the caller has stored
	returned  atomic.Uint64 // LSN of the last position that Next returned
	wake      chan struct{} // something was confirmed, or the server wants to hear from us
	nudges    chan struct{} // a watermark is wanted soon
	guard     guard
	streamed  streamed

	mu        sync.Mutex
	identity  string // of the server that we are connected to
	lag       cdc.Lag
	serverEnd pglogrepl.LSN
}

// New returns the source for the selected tables. It connects to nothing before Open or a method of cdc.Inspector is called.
func New(cfg Config, selection []cdc.Selection, log *slog.Logger) *Source {
	s := &Source{cfg: cfg.withDefaults(), log: log, wake: make(chan struct{}, 1), nudges: make(chan struct{}, 1)}
	s.readers.source = s
	s.choose(selection)
	return s
}

// Open implements cdc.Source.
func (s *Source) Open(ctx context.Context, pos cdc.Position) error {
	if err := s.Close(); err != nil {
		return err
	}
	if len(s.choices) == 0 {
		return fmt.Errorf("opening source %s: no table is selected", s.cfg.Name)
	}
	var err error
	if pos == "" {
		err = s.openTail(ctx)
	} else {
		err = s.openAt(ctx, pos)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("opening source %s: %w (%v)", s.cfg.Name, ctx.Err(), err)
	}
	return err
}

// Next implements cdc.Source.
func (s *Source) Next(ctx context.Context) (cdc.Batch, error) {
	if s.session == nil {
		return cdc.Batch{}, fmt.Errorf("source %s is not open", s.cfg.Name)
	}
	b, err := s.session.next(ctx)
	if errors.Is(err, cdc.ErrDisconnected) {
		s.lagState(func(l *cdc.Lag) { l.Connected = false })
	}
	return b, err
}

// Confirm implements cdc.Source. A position of another history, or one that Next has not returned, is not passed on.
func (s *Source) Confirm(pos cdc.Position) {
	p, err := parsePosition(pos)
	s.mu.Lock()
	foreign := err != nil || p.identity() != s.identity
	s.mu.Unlock()
	if foreign || uint64(p.lsn) > s.returned.Load() {
		s.log.Error("not confirming a position that this session did not return", "source", s.cfg.Name, "position", pos)
		return
	}
	for {
		old := s.confirmed.Load()
		if uint64(p.lsn) <= old {
			return
		}
		if s.confirmed.CompareAndSwap(old, uint64(p.lsn)) {
			break
		}
	}
	s.wakeReport()
}

func (s *Source) confirmedLSN() pglogrepl.LSN { return pglogrepl.LSN(s.confirmed.Load()) }

// Close implements cdc.Source.
func (s *Source) Close() error {
	var err error
	if s.session != nil {
		err = s.session.close()
		s.session = nil
	}
	s.readers.close()
	s.lagState(func(l *cdc.Lag) { l.Connected = false })
	return err
}

// Lag implements cdc.Source.
func (s *Source) Lag() cdc.Lag {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lag
	l.Bytes = -1
	if s.serverEnd != 0 {
		l.Bytes = max(0, int64(s.serverEnd)-int64(s.returned.Load()))
	}
	return l
}

func (s *Source) lagState(change func(*cdc.Lag)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.lag)
}

// begin sets the place from which the session counts.
func (s *Source) begin(p place, stored bool) {
	s.returned.Store(uint64(p.lsn))
	s.confirmed.Store(0)
	if stored {
		s.confirmed.Store(uint64(p.lsn))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = p.identity()
	s.lag = cdc.Lag{Connected: true, HeardAt: time.Now()}
	if stored {
		s.lag.Position, s.lag.Confirmed = p.position(), p.position()
	}
}

// disconnected marks an error as the end of the session.
func (s *Source) disconnected(err error) error {
	return fmt.Errorf("%w: source %s at %s: %w", cdc.ErrDisconnected, s.cfg.Name, s.cfg.address(), err)
}

// connectError tells a server that cannot be reached for the moment from one that refuses us for good, or until the login
// is set right.
func (s *Source) connectError(err error) error {
	if errors.Is(err, cdc.ErrDenied) {
		return err
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:2] {
		case "28": // password or role
			return fmt.Errorf("connecting to %s: %w: %w", s.cfg.address(), cdc.ErrDenied, err)
		case "3D", "42", "0A", "22": // database, privilege, feature, setting
			return fmt.Errorf("connecting to %s: %w", s.cfg.address(), err)
		}
	}
	return s.disconnected(err)
}
