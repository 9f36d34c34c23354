package mysql

import (
	"bytes"
	"context"
	"fmt"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

func (s *session) tableMap(ctx context.Context, e *event) error {
	id, err := tableID(e.body)
	if err != nil {
		return err
	}
	if known, ok := s.plans[id]; ok && bytes.Equal(known.raw, e.body) {
		return nil
	}
	if len(s.plans) >= tablesMax {
		s.forget()
	}
	entry := tablePlan{raw: bytes.Clone(e.body)}
	if entry.plan, err = s.resolve(ctx, e); err != nil {
		return err
	}
	s.plans[id] = entry
	return nil
}

// resolve makes the plan of a selected table; nil for the others.
func (s *session) resolve(ctx context.Context, e *event) (*plan, error) {
	schema, name, _, err := tableName(e.body)
	if err != nil {
		return nil, err
	}
	table := cdc.Table{Schema: string(schema), Name: string(name)}
	sel := s.tables[table]
	if sel == nil {
		return nil, nil
	}
	m, err := parseTableMap(e.body, s.cfg.Flavor == MariaDB)
	if err != nil {
		return nil, fmt.Errorf("reading the table map of %s: %w", table, err)
	}
	info, err := s.describe(ctx, table)
	if err != nil {
		return nil, err
	}
	p, err := s.resolver.plan(m, e.body, info, int64(e.timestamp), sel)
	if err != nil {
		return nil, err
	}
	if p.schema.Fault != "" {
		s.log.Warn("rows are kept but held: their columns are not known for certain", "source", s.cfg.Name, "table", table.String(), "reason", p.schema.Fault)
	}
	return p, nil
}

// describe reads a table's definition once, until a DDL statement comes by.
func (s *session) describe(ctx context.Context, table cdc.Table) (*tableInfo, error) {
	if info, ok := s.catalog[table]; ok {
		return info, nil
	}
	if _, err := s.ask(ctx); err != nil { // the connection may have been idle for too long
		return nil, err
	}
	info, err := s.side.describe(ctx, table, s.cfg.Flavor == MariaDB)
	if err != nil {
		return nil, fmt.Errorf("describing %s: %w", table, err)
	}
	s.catalog[table] = info
	return info, nil
}

func (s *session) planOf(e *event) (*plan, error) {
	id, err := tableID(e.body)
	if err != nil {
		return nil, err
	}
	entry, ok := s.plans[id]
	const endOfStatement = 0xffffff // a row event that only says so
	if !ok && id != endOfStatement {
		return nil, fmt.Errorf("rows of table id %d without a table map", id)
	}
	return entry.plan, nil
}

func (s *session) rows(e *event) error {
	p, err := s.planOf(e)
	if err != nil || p == nil {
		return err
	}
	if !s.group.open {
		return fmt.Errorf("rows of %s outside a transaction", p.schema.Table)
	}
	rows, err := parseRows(e.kind, e.body, unzip)
	if err == nil {
		s.use(p.schema)
		s.beginTx()
		err = p.encode(&s.enc, &rows)
	}
	if err != nil {
		return fmt.Errorf("reading rows of %s: %w", p.schema.Table, err)
	}
	if s.enc.Len() >= maxBatch {
		s.overflow()
	}
	return nil
}

// overflow makes room inside a transaction: the whole ones before it go first, then a part of it.
func (s *session) overflow() {
	if s.mark.Len() > 0 {
		s.emitRun()
	}
	if s.enc.Len() >= maxBatch {
		s.emitPart(false)
	}
}

func (s *session) beginTx() {
	if !s.group.begun {
		at := place{s.resume.opening, s.resume.server, fileNumber(s.place.file), s.group.inside}
		s.enc.Begin(cdc.Tx{Commit: s.group.commit, XID: at.String(), CommitAt: s.group.at})
		s.group.begun = true
	}
}

// unzip opens what MariaDB compresses under log_bin_compress. The library panics on damaged bytes and believes the length
// that they claim, so both are looked at here first.
func unzip(data []byte) ([]byte, error) {
	if len(data) < 2 {
		return nil, errShort
	}
	head := int(data[0] & 7)
	if head < 1 || head > 4 || len(data) < 1+head {
		return nil, fmt.Errorf("compressed data with a length of %d bytes", head)
	}
	if n := big(data[1 : 1+head]); n > maxPacket {
		return nil, fmt.Errorf("compressed data of %d bytes", n)
	}
	return driver.DecompressMariadbData(data)
}
