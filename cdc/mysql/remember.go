package mysql

import (
	"context"
	"fmt"
	"slices"

	"waybill/cdc"
)

// remember makes the history of table definitions at the place where the session begins: from what was kept, and for tables
// of which nothing was kept from information_schema. It is called once the place is known. A fresh session has no past.
// confirmed tells the position before which no later session begins.
func (s *session) remember(ctx context.Context, server *serverInfo, at position, fresh bool, confirmed func() cdc.Position) error {
	h := &history{flavor: s.cfg.Flavor, lower: server.variables["lower_case_table_names"] != "0", selected: s.tables,
		tables: map[cdc.Table]*definition{}, databases: map[string]bool{}, confirmed: confirmed}
	s.history = h
	for table := range s.tables {
		h.databases[table.Schema] = true
	}
	if err := s.recall(ctx, at, fresh); err != nil {
		return err
	}
	if err := s.begun(ctx, fresh); err != nil {
		return err
	}
	for t, d := range h.tables {
		if d.held != "" {
			s.holds.set(t, d.held)
		}
	}
	if h.proved(s.place.file, s.place.pos) || fresh {
		return s.keep(ctx)
	}
	return nil
}

// recall takes over what was kept for the place.
func (s *session) recall(ctx context.Context, at position, fresh bool) error {
	if s.cfg.Definitions == nil || fresh {
		return nil
	}
	list, err := s.cfg.Definitions.Load(ctx, s.cfg.Name)
	if err == nil {
		s.history.kept, err = upTo(list, at)
	}
	if err != nil {
		return fmt.Errorf("loading the table definitions of source %s: %w", s.cfg.Name, err)
	}
	for i := range s.history.kept {
		d := &s.history.kept[i]
		known, err := restored(d, s.cfg.Flavor)
		if err != nil {
			return err
		}
		if known.gone && !s.history.wanted(d.Table) {
			continue
		}
		if s.history.tables[d.Table] = known; !s.history.wanted(d.Table) {
			s.history.made = append(s.history.made, d.Table)
		}
	}
	return nil
}

// begun asks for the tables and databases of which nothing was kept.
func (s *session) begun(ctx context.Context, fresh bool) error {
	h := s.history
	var names []cdc.Table
	for table := range s.tables {
		names = append(names, table, cdc.Table{Schema: table.Schema})
	}
	for _, name := range names {
		if h.tables[name] != nil {
			continue
		}
		d := &definition{guess: true, fresh: fresh, why: "nothing was kept of its definition"}
		h.tables[name] = d
		if err := s.see(ctx, name, d); err != nil {
			return err
		}
		if d.seen == nil {
			d.gone, d.why = true, "it does not exist"
		}
	}
	return nil
}

// see asks information_schema for a table or a database, and then where the log ends: what it says is true at some place before that end.
func (s *session) see(ctx context.Context, table cdc.Table, d *definition) error {
	if _, err := s.ask(ctx); err != nil { // the connection may have been idle for too long
		return err
	}
	var info *tableInfo
	var err error
	if table.Name == "" {
		var answer rows
		answer, err = s.side.query(ctx, "SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME="+quote(table.Schema))
		if len(answer) > 0 {
			info = &tableInfo{charset: answer.one()}
		}
	} else {
		info, err = s.side.describe(ctx, table, s.cfg.Flavor == MariaDB)
	}
	if err != nil {
		return fmt.Errorf("describing %s: %w", table, err)
	}
	if info == nil {
		return nil
	}
	file, pos, err := s.side.logEnd(ctx, s.cfg.Flavor)
	if err != nil {
		return fmt.Errorf("describing %s: %w", table, err)
	}
	s.history.saw(d, info, file, pos)
	return nil
}

// definition returns what is known of a table here, and whether it is certain; without the latter info may be nil.
func (s *session) definition(ctx context.Context, table cdc.Table) (d *definition, info *tableInfo, certain bool, err error) {
	h := s.history
	if d = h.tables[table]; d == nil || d.gone {
		h.unknown(table, "the log does not say how the table was made")
		d = h.tables[table]
	}
	if d.info != nil {
		return d, d.info, true, nil
	}
	if d.seen == nil {
		if err := s.see(ctx, table, d); err != nil {
			return nil, nil, false, err
		}
	}
	if d.guess {
		return d, d.seen, false, nil
	}
	return d, nil, false, nil
}

// ddl follows a statement that may change tables.
func (s *session) ddl(q *queryEvent, start uint64) {
	statement := string(q.statement)
	if name := s.resolver.charsets[uint32(q.collation)]; name != "" && !plain(q.statement) {
		if out, err := text(name, q.statement); err == nil {
			statement = out
		}
	}
	where := fmt.Sprintf("%s at %s:%d", excerpt(statement), s.place.file, start)
	changes, err := parseDDL(statement, q.database, s.cfg.Flavor, q.mode)
	if err != nil {
		s.history.missed(statement, fmt.Sprintf("%s is not understood: %v", where, err))
		return
	}
	for i := range changes {
		s.history.apply(&changes[i], where)
	}
}

// ascertain is called at the end of a group: it keeps what the group changed before a position behind it is handed on.
func (s *session) ascertain(ctx context.Context) error {
	h := s.history
	for _, t := range h.dirty { // asked at once, little of the log is doubtful
		if d := h.tables[t]; h.wanted(t) && d.info == nil && d.seen == nil && !d.gone {
			if err := s.see(ctx, t, d); err != nil {
				return err
			}
		}
	}
	if h.proved(s.place.file, s.place.pos) {
		s.forget()
	}
	if len(h.dirty) == 0 {
		return nil
	}
	return s.keep(ctx)
}

// keptMost is the length at which definitions that no restart needs any more are taken out.
const keptMost = 200

// keep appends the definitions that changed, as from here on, and saves the history.
func (s *session) keep(ctx context.Context) error {
	from := s.position()
	h := s.history
	for i, t := range h.dirty {
		if slices.Contains(h.dirty[:i], t) {
			continue
		}
		switch d := h.tables[t]; {
		case d == nil:
			s.history.kept = append(s.history.kept, Definition{From: from, Table: t, Gone: true})
		case d.info != nil || !d.guess || d.held != "":
			s.history.kept = append(s.history.kept, d.record(t, from))
		}
	}
	h.dirty = h.dirty[:0]
	if s.cfg.Definitions == nil {
		s.history.kept = nil
		return nil
	}
	if len(s.history.kept) > keptMost {
		if err := s.thin(); err != nil {
			return err
		}
	}
	if err := s.cfg.Definitions.Save(ctx, s.cfg.Name, slices.Clone(s.history.kept)); err != nil {
		return fmt.Errorf("keeping the table definitions of source %s: %w", s.cfg.Name, err)
	}
	return nil
}

// thin takes out the definitions that another one follows before the confirmed position.
func (s *session) thin() error {
	h := s.history
	at := h.confirmed()
	if at == "" {
		return nil
	}
	place, err := parsePosition(at)
	if err != nil {
		return err
	}
	past, err := upTo(h.kept, place)
	if err != nil {
		return err
	}
	h.kept = slices.DeleteFunc(h.kept, func(d Definition) bool {
		from, err := parsePosition(d.From)
		if err != nil {
			return false
		}
		reached, err := reaches(place, from)
		return err == nil && reached
	})
	past = slices.DeleteFunc(past, func(d Definition) bool { return d.Gone && !h.wanted(d.Table) })
	h.kept = append(past, h.kept...)
	return nil
}

// confirmed returns the last position that is synced in the journal.
func (s *Source) confirmed() cdc.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lag.Confirmed
}
