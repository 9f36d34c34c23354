package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"waybill/cdc"
)

// Source reads one MariaDB or MySQL database.
type Source struct {
	cfg    Config
	tables []*selected
	log    *slog.Logger

	session *session  // of the goroutine that calls Open, Next and Close
	left    time.Time // when Next returned last: the time that the caller takes is not the server's silence

	readers readers // of tables beside the stream

	mu   sync.Mutex
	lag  cdc.Lag
	live *session // the open one, for Nudge and the readers of tables; nil without one

	gauge gauge

	sampling sync.Mutex // held while the end of the server's log is being asked for
	sampler  *conn
	sampled  time.Time
}

var (
	_ cdc.Source    = (*Source)(nil)
	_ cdc.Inspector = (*Source)(nil)
	_ cdc.Viewer    = textCodec{}
)

// New makes a source of the selected tables. A table without a database is one of cfg.Database. cfg must be valid.
func New(cfg Config, selection []cdc.Selection, log *slog.Logger) *Source {
	s := &Source{cfg: cfg.withDefaults(), log: log}
	for _, sel := range selection {
		if sel.Table.Schema == "" {
			sel.Table.Schema = s.cfg.Database
		}
		one := &selected{table: sel.Table, columns: sel.Columns, old: sel.Old}
		for _, m := range cfg.Masked {
			table, column, _ := cutLast(m)
			if table == sel.Table.String() || table == sel.Table.Name && !strings.Contains(table, ".") {
				one.masked = append(one.masked, column)
			}
		}
		s.tables = append(s.tables, one)
	}
	s.lag.Bytes = -1
	return s
}

// Open implements cdc.Source.
func (s *Source) Open(ctx context.Context, pos cdc.Position) error {
	if s.session != nil {
		return fmt.Errorf("opening source %s: it is open", s.cfg.Name)
	}
	session, err := s.open(ctx, pos)
	if err != nil {
		return fmt.Errorf("opening source %s: %w", s.cfg.Name, err)
	}
	s.session, s.left = session, time.Now()
	s.readers.open(true)
	if pos == "" {
		pos = session.position()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = session
	s.lag.Connected, s.lag.Position, s.lag.HeardAt = true, pos, time.Now()
	return nil
}

// Next implements cdc.Source.
func (s *Source) Next(ctx context.Context) (cdc.Batch, error) {
	if s.session == nil {
		return cdc.Batch{}, fmt.Errorf("reading source %s: it is not open", s.cfg.Name)
	}
	s.session.wire.heardAt = s.session.wire.heardAt.Add(time.Since(s.left))
	b, err := s.session.next(ctx)
	s.left = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag.HeardAt = s.session.wire.heardAt
	if err != nil {
		if ctx.Err() == nil {
			s.lag.Connected = false
		}
		return cdc.Batch{}, err
	}
	if b.Position != "" {
		s.lag.Position = b.Position
	}
	return b, nil
}

// Confirm implements cdc.Source. The server keeps its log by its own rules and is told nothing.
func (s *Source) Confirm(pos cdc.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag.Confirmed = pos
}

// Close implements cdc.Source.
func (s *Source) Close() error {
	if s.session != nil {
		s.session.close()
		s.session = nil
	}
	s.mu.Lock()
	s.lag.Connected = false // from now on Lag asks nobody
	s.live = nil
	s.mu.Unlock()
	s.readers.open(false)
	s.sampling.Lock()
	defer s.sampling.Unlock()
	s.sampler.close()
	s.sampler = nil
	return nil
}

// sampleTimeout bounds the question after the end of the log, so that Lag answers soon even when the server does not.
const sampleTimeout = 2 * time.Second

// Lag implements cdc.Source. It asks the server once a second at most, and keeps the last answer when it gets none.
func (s *Source) Lag() cdc.Lag {
	if s.sampling.TryLock() {
		if s.connected() && time.Since(s.sampled) > time.Second {
			s.sampled = time.Now()
			s.sample()
		}
		s.sampling.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lag
}

func (s *Source) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lag.Connected
}

func (s *Source) sample() {
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
	defer cancel()
	files, err := s.ask(ctx)
	if err != nil {
		s.sampler.close()
		s.sampler = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag.Bytes = -1
	if err != nil || len(files) == 0 {
		return
	}
	last := files[len(files)-1]
	s.lag.Server = fmt.Sprintf("%s:%d", last.name, last.size)
	if pos, err := parsePosition(s.lag.Position); err == nil {
		s.lag.Bytes = behind(files, pos.file, pos.pos)
	}
}

func (s *Source) ask(ctx context.Context) ([]logFile, error) {
	if s.sampler == nil {
		conn, err := s.cfg.dial(ctx)
		if err != nil {
			return nil, err
		}
		s.sampler = conn
	}
	return s.sampler.logFiles(ctx)
}

// Check implements cdc.Inspector.
func (s *Source) Check(ctx context.Context) ([]cdc.Finding, error) {
	conn, err := s.cfg.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	server, err := s.cfg.inspect(ctx, conn)
	if err != nil {
		return nil, err
	}
	return s.check(ctx, conn, server)
}

// Catalog implements cdc.Inspector. Columns are described as the stream delivers them.
func (s *Source) Catalog(ctx context.Context, want []cdc.Table) ([]*cdc.Schema, error) {
	conn, err := s.cfg.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	var out []*cdc.Schema
	for _, table := range want {
		if table.Schema == "" {
			table.Schema = s.cfg.Database
		}
		info, err := conn.describe(ctx, table, s.cfg.Flavor == MariaDB)
		if err != nil {
			return nil, err
		}
		if info != nil {
			out = append(out, info.shape(s.cfg.Name, CodecBinlog))
		}
	}
	return out, nil
}

// Release implements cdc.Inspector. MariaDB and MySQL keep nothing for a replica, so there is nothing to drop.
func (s *Source) Release(context.Context) error { return nil }

// refuse turns failed checks into an error. When a position is stored only those that concern the whole server count: the
// other tables go on while one is missing.
func refuse(source string, findings []cdc.Finding, first bool) error {
	var failed []cdc.Finding
	for _, f := range findings {
		if f.Level == cdc.LevelFail && (first || !ofTable(f.Check)) {
			failed = append(failed, f)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &cdc.RefusedError{Source: source, Findings: failed}
}

// ofTable reports whether a check is about one table.
func ofTable(check string) bool {
	for _, prefix := range []string{"table ", "column ", "engine of ", "primary key of "} {
		if strings.HasPrefix(check, prefix) {
			return true
		}
	}
	return false
}
