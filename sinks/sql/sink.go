package sql

import (
	"context"
	db "database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// Sink writes rows into one database.
type Sink struct {
	cfg     Config
	dialect dialect
	zone    *time.Location
	pool    *db.DB

	mu     sync.Mutex
	tables map[string]*table // by entity; read when first asked for
}

var _ sinks.Sink = (*Sink)(nil)

const (
	stepUpsert = "upsert"
	idleMost   = 30 * time.Second // a connection that nobody uses is closed
)

// New makes the sink. It asks the server nothing.
func New(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the SQL sink: %w", err)
	}
	s := &Sink{cfg: cfg.withDefaults(), tables: map[string]*table{}}
	if s.dialect = (mysql{cfg.Product}); cfg.Product == Postgres {
		s.dialect = postgres{}
	}
	var err error
	if s.zone, err = time.LoadLocation(s.cfg.TimeZone); err != nil {
		return nil, fmt.Errorf("configuring the SQL sink: %w", err)
	}
	s.pool = db.OpenDB(connector{&s.cfg, s.dialect})
	s.pool.SetMaxOpenConns(s.cfg.Connections)
	s.pool.SetMaxIdleConns(s.cfg.Connections)
	s.pool.SetConnMaxIdleTime(idleMost)
	return s, nil
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	e, ok := s.cfg.Entities[name]
	if !ok {
		return sinks.Entity{}, fmt.Errorf("the sink's configuration has the entities %s, not %q", strings.Join(slices.Sorted(maps.Keys(s.cfg.Entities)), ", "), name)
	}
	return sinks.Entity{Name: name, Steps: []string{stepUpsert}, CanVerify: true, Horizon: s.cfg.Horizon, Compared: e.compared(), Takes: e.takes(),
		Edits: e.UnlessChanged || e.Version != ""}, nil
}

// compared are the columns that Verify looks at.
func (e *Entity) compared() []string {
	var all []string
	for _, part := range []map[string]string{e.Key, e.Columns, e.Constants} {
		for col := range part {
			if !slices.Contains(e.InsertOnly, col) {
				all = append(all, col)
			}
		}
	}
	slices.Sort(all)
	return all
}

// takes is what is known without asking: the members of the key have a value.
func (e *Entity) takes() *transform.TargetTable {
	t := &transform.TargetTable{}
	for _, member := range slices.Sorted(maps.Values(e.Key)) {
		if !strings.HasPrefix(member, "$") && !strings.Contains(member, ".") {
			t.Fields = append(t.Fields, transform.TargetField{Name: member, Required: true})
		}
	}
	if len(t.Fields) == 0 {
		return nil
	}
	return t
}

// session takes a connection.
func (s *Sink) session(ctx context.Context) (*session, error) {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{dialect: s.dialect, conn: conn}, nil
}

// bounded is the time that one call may take.
func (s *Sink) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

// table is what the catalogue says of an entity's table, read once and again after the target found it to be another.
func (s *Sink) table(ctx context.Context, x *session, entity string) (*table, error) {
	s.mu.Lock()
	t := s.tables[entity]
	s.mu.Unlock()
	if t != nil {
		return t, nil
	}
	e := s.cfg.Entities[entity]
	schema, name := e.table(s.cfg.Schema)
	t, err := x.catalogue(ctx, x, schema, name)
	if err != nil || t == nil {
		return nil, err
	}
	s.mu.Lock()
	s.tables[entity] = t
	s.mu.Unlock()
	return t, nil
}

// forget lets the catalogues be read again.
func (s *Sink) forget() {
	s.mu.Lock()
	clear(s.tables)
	s.mu.Unlock()
}

// Identity implements sinks.Sink.
func (s *Sink) Identity(ctx context.Context) (string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	x, err := s.session(ctx)
	if err != nil {
		return "", fmt.Errorf("connecting to %s: %w", s.cfg.address(), err)
	}
	defer x.close()
	id, err := x.identity(ctx, x)
	if err != nil {
		return "", fmt.Errorf("asking %s who it is: %w", s.cfg.address(), err)
	}
	return id + "/" + s.cfg.Database, nil
}

// Close implements sinks.Sink.
func (s *Sink) Close() error { return s.pool.Close() }

// Prepare implements sinks.Sink. It reads the catalogue, once, and nothing else.
func (s *Sink) Prepare(ctx context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	in := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	if _, ok := s.cfg.Entities[op.Entity]; !ok || step != stepUpsert {
		return in, rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", step, op.Entity), "Correct the mapping's posts, or the sink's entities.")
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	x, err := s.session(ctx)
	if err != nil {
		return in, s.outcome(err, reading, nil)
	}
	defer x.close()
	t, err := s.table(ctx, x, op.Entity)
	if err != nil {
		return in, s.outcome(err, reading, nil)
	}
	r, out := s.freeze(op, t)
	if out != nil {
		return in, out
	}
	if in.Request, err = json.Marshal(r); err != nil {
		return in, rejected("BODY", "", err.Error(), "")
	}
	if s.cfg.Source != "" {
		in.Writes = r.written(s.cfg.Source, t)
	}
	return in, nil
}

func rejected(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Field: field, Message: clip(message, 500), Hint: hint}
}
