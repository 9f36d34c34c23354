package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// fingerprint tells two states of a publication apart, also when it was altered and altered back: what changed in between is not
// in the stream. The transaction that wrote its row changes with every ALTER of its options, the id of a table's
// membership with every leaving and joining.
type fingerprint struct {
	ID     uint32            `json:"id"`
	Flags  string            `json:"flags"` // its options, and
	Owner  uint32            `json:"owner"`
	Row    string            `json:"row"`    // the transaction that wrote them
	Tables map[string]string `json:"tables"` // selected tables: id of the table and of its membership
}

// A table of a FOR ALL TABLES or FOR TABLES IN SCHEMA publication has no membership of its own: 0.
const printSQL = `SELECT p.oid, p.pubowner, p.xmin::text, to_jsonb(p) - 'oid' - 'pubowner' - 'pubname',
  t.schemaname || '.' || t.tablename, c.oid || '/' || coalesce(r.oid, 0)
FROM pg_publication p
LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname
LEFT JOIN pg_namespace n ON n.nspname = t.schemaname LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE p.pubname = $1`

func (s *Source) readPrint(ctx context.Context, conn *pgx.Conn) (fingerprint, error) {
	p := fingerprint{Tables: map[string]string{}}
	rows, err := conn.Query(ctx, printSQL, s.cfg.Publication)
	if err != nil {
		return p, fmt.Errorf("reading publication %q: %w", s.cfg.Publication, err)
	}
	var table, id *string
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Owner, &p.Row, &p.Flags, &table, &id}, func() error {
		if table != nil && id != nil && slices.ContainsFunc(s.tables, func(t cdc.Table) bool { return t.String() == *table }) {
			p.Tables[*table] = *id
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("reading publication %q: %w", s.cfg.Publication, err)
	}
	return p, nil
}

// changed says in words what happened to the publication since; "" if nothing that matters. A table that is not selected any
// more, or does not exist any more, does not matter.
func (p fingerprint) changed(now fingerprint, selected func(table string) (exists bool)) string {
	switch {
	case p.ID != now.ID && now.ID == 0:
		return "was dropped"
	case p.ID != now.ID:
		return "was dropped and made anew"
	case p.Flags != now.Flags || p.Row != now.Row && p.Owner == now.Owner: // altered, or altered and altered back
		return "was altered (its options)"
	}
	var gone, anew []string
	for table, id := range p.Tables {
		switch is, in := now.Tables[table]; {
		case !in && selected(table):
			gone = append(gone, table)
		case in && is != id:
			anew = append(anew, table)
		}
	}
	slices.Sort(gone)
	slices.Sort(anew)
	switch {
	case len(gone) > 0:
		return "was altered: " + strings.Join(gone, ", ") + " left it"
	case len(anew) > 0:
		return "was altered: " + strings.Join(anew, ", ") + " left it for a time, or was made anew"
	}
	return ""
}

// unaltered refuses to go on when the publication is not what it was: what was changed in the meantime in a table that was
// not in it, or by an operation or in a row that it leaves out, is in no stream (Invariant 11).
func (s *Source) unaltered(ctx context.Context, conn *pgx.Conn, version int) error {
	now, err := s.readPrint(ctx, conn)
	if err != nil {
		return s.disconnected(err)
	}
	p, err := readPublication(ctx, conn, s.cfg.Publication, version)
	if err != nil {
		return s.disconnected(err)
	}
	var what string
	if text := s.guard.note(printNote); text != "" {
		var known fingerprint
		if err := json.Unmarshal([]byte(text), &known); err != nil {
			return fmt.Errorf("reading what is remembered of publication %q: %w", s.cfg.Publication, err)
		}
		if what, err = s.difference(ctx, conn, known, now); err != nil {
			return err
		}
	}
	if what == "" && p.exists && p.narrows() {
		what = "does not publish whole tables, or not every operation"
	}
	if what == "" {
		return nil
	}
	reason := fmt.Sprintf("publication %q %s; changes are missing in the stream from then on", s.cfg.Publication, what)
	sql, err := s.repairSQL(ctx, conn, p, version)
	if err != nil {
		return err
	}
	if len(sql) == 0 {
		return s.lost("%s", reason)
	}
	return s.lostFirst("Repair it first: as its owner", sql, "%s", reason)
}

// difference is changed with the tables looked up, which is only done when there may be one.
func (s *Source) difference(ctx context.Context, conn *pgx.Conn, known, now fingerprint) (string, error) {
	if known.ID == 0 || known.changed(now, func(string) bool { return true }) == "" {
		return "", nil
	}
	exists := map[string]bool{}
	for _, t := range s.tables {
		r, err := lookUp(ctx, conn, t)
		if err != nil {
			return "", s.disconnected(err)
		}
		exists[t.String()] = r != nil
	}
	return known.changed(now, func(table string) bool { return exists[table] }), nil
}

// narrows reports whether the publication leaves out operations, rows or columns.
func (p *publication) narrows() bool { return !p.publishes || len(p.narrowed) > 0 }

// repairSQL is what makes the publication whole again; nothing if it is.
func (s *Source) repairSQL(ctx context.Context, conn *pgx.Conn, p *publication, version int) ([]string, error) {
	var there []cdc.Table
	for _, t := range s.tables {
		r, err := lookUp(ctx, conn, t)
		if err != nil {
			return nil, s.disconnected(err)
		}
		if r != nil && r.publishable() {
			there = append(there, t)
		}
	}
	if !p.exists {
		return []string{s.createSQL(there, version) + ";"}, nil
	}
	var list []string
	if !p.publishes {
		list = append(list, s.publishSQL())
	}
	if missing := p.missing(there); len(p.narrowed) > 0 {
		list = append(list, s.wholeSQL())
	} else if len(missing) > 0 {
		list = append(list, s.addSQL(missing)+";")
	}
	return list, nil
}

func (s *Source) publishSQL() string {
	return fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');", identifier(s.cfg.Publication))
}

func (s *Source) wholeSQL() string {
	return fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s;", identifier(s.cfg.Publication), tableList(s.tables))
}

// publish makes sure that the publication exists and contains the selected tables, and remembers what it looks like.
func (s *Source) publish(ctx context.Context, conn *pgx.Conn, version int) error {
	if err := s.guard.load(s.cfg); err != nil {
		return err
	}
	if err := s.addTables(ctx, conn, version); err != nil {
		return err
	}
	now, err := s.readPrint(ctx, conn)
	if err != nil {
		return s.disconnected(err)
	}
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("remembering publication %q: %w", s.cfg.Publication, err)
	}
	s.guard.mu.Lock()
	s.guard.known, s.guard.version, s.guard.over, s.guard.restart = now, version, 0, 0
	s.guard.mu.Unlock()
	if s.guard.note(printNote) != string(text) {
		if err := s.guard.keep(s.cfg, printNote, string(text)); err != nil {
			return fmt.Errorf("remembering publication %q: %w", s.cfg.Publication, err)
		}
	}
	return s.forget(ctx, conn, version)
}

// forget drops what was noted of a slot that is no more: another will be made.
func (s *Source) forget(ctx context.Context, conn *pgx.Conn, version int) error {
	is, err := readSlot(ctx, conn, s.cfg.Slot, version)
	if err != nil {
		return s.disconnected(err)
	}
	for _, name := range []string{droppedNote, restartNote} {
		if is.exists || s.guard.note(name) == "" {
			continue
		}
		if err := s.guard.keep(s.cfg, name, ""); err != nil {
			return fmt.Errorf("forgetting slot %q: %w", s.cfg.Slot, err)
		}
	}
	return nil
}
