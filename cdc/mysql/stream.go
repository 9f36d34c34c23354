package mysql

import (
	"bytes"
	"context"
	"fmt"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// event takes one event of the log.
func (s *session) event(ctx context.Context, e *event) error {
	before := s.place.pos
	s.advance(e)
	switch e.kind {
	case evTableMap:
		return s.tableMap(ctx, e)
	case evWriteV1, evUpdateV1, evDeleteV1, evWriteV2, evUpdateV2, evDeleteV2, evMariaWrite, evMariaUpdate, evMariaDelete:
		return s.rows(e)
	case evXID:
		s.commit()
		return nil
	case evMariaGTID:
		g, err := parseMariaGTID(e.body, e.serverID)
		if err == nil {
			s.begin(e, g, before)
			s.group.trx = !g.standalone
		}
		return err
	case evGTID, evAnonymousGTID:
		g, err := parseGTID(e.body, e.kind == evAnonymousGTID)
		if err == nil {
			s.begin(e, g, before)
		}
		return err
	case evQuery, evMariaQuery, evExecuteLoad:
		return s.query(ctx, e, before)
	case evFormat:
		return s.format(e)
	case evRotate:
		return s.rotate(e)
	case evHeartbeat:
		s.heartbeat(e)
		return nil
	case evHeartbeatV2, evStop:
		return nil
	case evXAPrepare:
		if s.group.begun || s.group.part > 0 {
			return s.stop("a transaction of two phases (XA PREPARE) changed a selected table", "Waybill does not read XA transactions: change these tables without XA")
		}
		s.commit()
		return nil
	case evIncident:
		return s.stop("the server lost events of its own log (an incident is recorded in it)", "The log has a gap")
	case evPartialUpdate:
		if p, err := s.planOf(e); err != nil || p == nil {
			return err
		}
		return s.stop("binlog_row_value_options=PARTIAL_JSON: an update holds only parts of a JSON value", "Run: SET GLOBAL binlog_row_value_options=''")
	case evPayload:
		return s.stop("a compressed transaction is in the log (binlog_transaction_compression=ON)", "Run: SET GLOBAL binlog_transaction_compression=OFF")
	case evTaggedGTID:
		return s.stop("a GTID with a tag is in the log", "Waybill does not read tagged GTIDs")
	}
	if !s.group.open { // an event about the log itself
		s.resume.file, s.resume.pos = s.place.file, s.place.pos
	}
	return nil
}

// stop ends the source where going on would lose changes.
func (s *session) stop(reason, hint string) error {
	return s.lost(fmt.Sprintf("%s, before %s:%d", reason, s.place.file, s.place.pos),
		hint+"; then: waybill checkpoint reset "+s.cfg.Name+" --to snapshot")
}

// advance moves the place behind the event. The log's positions have 32 bits in the header; a file with a very large
// transaction is longer, so the higher bits are counted here. Some events of MariaDB 11.4 have no position.
func (s *session) advance(e *event) {
	switch {
	case e.artificial(), e.kind == evHeartbeat, e.kind == evHeartbeatV2, e.kind == evRotate:
	case e.end > 0:
		pos := s.place.pos&^0xffffffff | uint64(e.end)
		if pos < s.place.pos {
			pos += 1 << 32
		}
		s.place.pos = pos
	case e.kind != evFormat:
		s.place.pos += uint64(e.size)
	}
}

func (s *session) format(e *event) error {
	s.abort() // a log that begins anew inside a transaction: the server went down before its commit
	sum, err := parseFormat(e.body, s.stripped(e))
	if err != nil {
		return err
	}
	s.sum = sum
	if e.end > 0 {
		s.resume.file, s.resume.pos = s.place.file, s.place.pos
	}
	return nil
}

// stripped reports whether parseEvent took a checksum off the event.
func (s *session) stripped(e *event) bool { return len(e.body) < int(e.size)-headerSize }

func (s *session) rotate(e *event) error {
	file, pos, err := parseRotate(e.body)
	if err != nil {
		return err
	}
	s.abort()
	if s.place.file != file || s.place.pos < pos {
		s.place.file, s.place.pos = file, pos
		s.resume.file, s.resume.pos = file, pos
	}
	clear(s.plans) // table ids are given anew after a restart
	return nil
}

// heartbeat takes the place that an idle server names: all before it was sent, or lies before the GTIDs we began at.
func (s *session) heartbeat(e *event) {
	if s.group.open || e.end == 0 || len(e.body) == 0 {
		return
	}
	if file := string(e.body); file != s.place.file {
		s.place.file, s.place.pos = file, uint64(e.end)
	} else if pos := s.place.pos&^0xffffffff | uint64(e.end); pos > s.place.pos {
		s.place.pos = pos
	}
	s.resume.file, s.resume.pos = s.place.file, s.place.pos
	s.located = true
}

// begin starts an event group; start is where the log stood before its first event.
func (s *session) begin(e *event, g gtidEvent, start uint64) {
	s.abort()
	s.group = group{open: true, gtid: g, commit: g.text, at: e.at()}
	if g.text == "" {
		s.group.commit = fmt.Sprintf("%s:%d", s.place.file, start)
	}
	if g.micros != 0 {
		s.group.at = time.UnixMicro(g.micros).UTC()
	}
}

// abort forgets a group whose end is not in the log. Parts of it that were handed on never get an end.
func (s *session) abort() {
	if s.group.open {
		s.enc.Undo(s.mark)
		s.group = group{}
	}
}

// commit ends the group: here and nowhere else lies a position (Invariant 2).
func (s *session) commit() {
	g := &s.group
	if s.gtids != nil && g.gtid.text != "" {
		s.gtids.add(&g.gtid)
	}
	s.resume.file, s.resume.pos = s.place.file, s.place.pos
	s.commitAt = g.at
	s.located = true
	if g.part > 0 {
		s.emitPart(true)
	} else if s.mark = s.enc.Mark(); s.enc.Len() >= maxBatch {
		s.emitRun()
	}
	s.group = group{}
	if s.goal != nil && s.enc.Changes() == 0 && s.reached() {
		s.emitGoal()
	}
}

func (s *session) tableMap(ctx context.Context, e *event) error {
	id, err := tableID(e.body)
	if err != nil {
		return err
	}
	if known, ok := s.plans[id]; ok && bytes.Equal(known.raw, e.body) {
		return nil
	}
	if len(s.plans) >= tablesMax {
		clear(s.plans)
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
		s.enc.Begin(cdc.Tx{Commit: s.group.commit, CommitAt: s.group.at})
		s.group.begun = true
	}
}

// query takes a statement: the bounds of transactions, DDL, and changes that were not written as rows.
func (s *session) query(ctx context.Context, e *event, start uint64) error {
	database, statement, err := parseQuery(e.body, e.kind == evExecuteLoad)
	if err == nil && e.kind == evMariaQuery {
		statement, err = unzip(statement)
	}
	if err != nil {
		return fmt.Errorf("reading a statement: %w", err)
	}
	v, table := classify(database, statement)
	if !s.group.open {
		s.begin(e, gtidEvent{}, start)
	}
	switch v {
	case verbBegin:
		s.group.trx = true
		return nil
	case verbCommit:
		s.commit()
		return nil
	case verbRollback:
		s.enc.Undo(s.mark)
		s.group.begun, s.group.part = false, 0
		s.commit()
		return nil
	case verbRollbackTo:
		if s.group.begun || s.group.part > 0 {
			return s.stop("a transaction that changed selected tables was rolled back in part (ROLLBACK TO SAVEPOINT with a table that has no transactions)", "Give every table that the application changes ENGINE=InnoDB")
		}
	case verbDDL, verbTruncate:
		clear(s.plans)
		clear(s.catalog)
		if err := s.truncate(ctx, v, table); err != nil {
			return err
		}
	case verbDML, verbOther:
		if name := s.changedByStatement(v, statement); name != "" {
			return s.stop("a change of "+name+" is in the log as a statement, without its rows (binlog_format was not ROW)",
				"Run: SET GLOBAL binlog_format='ROW', and connect the applications anew")
		}
	}
	if !s.group.trx {
		s.commit()
	}
	return nil
}

// changedByStatement returns the selected table that a statement seems to change.
func (s *session) changedByStatement(v verb, statement []byte) string {
	if v != verbDML {
		return ""
	}
	for table := range s.tables {
		if mentions(statement, table.Name) {
			return table.String()
		}
	}
	return ""
}

func (s *session) truncate(ctx context.Context, v verb, table cdc.Table) error {
	sel := s.tables[table]
	if v != verbTruncate || sel == nil {
		return nil
	}
	schema := &cdc.Schema{Source: s.cfg.Name, Table: table, Codec: CodecBinlog}
	info, err := s.describe(ctx, table)
	if err != nil {
		return err
	}
	if info != nil {
		schema = sel.schema(s.cfg.Name, CodecBinlog, info)
	}
	s.use(schema)
	s.beginTx()
	s.enc.Change(cdc.Truncate, schema)
	return nil
}

// schema returns the selected columns of a table as it is now.
func (s *selected) schema(source, codec string, info *tableInfo) *cdc.Schema {
	out := &cdc.Schema{Source: source, Table: info.table, Codec: codec}
	for i := range info.columns {
		if c := info.columns[i].captured(); s.keeps(&c) {
			out.Columns = append(out.Columns, c)
		}
	}
	return out
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
