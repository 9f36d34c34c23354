package mysql

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"waybill/cdc"
)

// verb is what a statement in the log means to capture.
type verb byte

const (
	verbOther verb = iota
	verbBegin
	verbCommit
	verbRollback
	verbRollbackTo // a savepoint
	verbSavepoint
	verbDDL
	verbTruncate
	verbDML // a change of rows written as a statement, which tells no row
	verbXA
)

var verbs = map[string]verb{
	"BEGIN": verbBegin, "COMMIT": verbCommit, "ROLLBACK": verbRollback, "SAVEPOINT": verbSavepoint, "RELEASE": verbSavepoint,
	"ALTER": verbDDL, "CREATE": verbDDL, "DROP": verbDDL, "RENAME": verbDDL, "OPTIMIZE": verbDDL, "REPAIR": verbDDL,
	"TRUNCATE": verbTruncate, "INSERT": verbDML, "UPDATE": verbDML, "DELETE": verbDML, "REPLACE": verbDML, "LOAD": verbDML,
	"WITH": verbDML, "IMPORT": verbDML, "XA": verbXA, "START": verbBegin,
}

// statementHead is how much of a statement is looked at for its verb and table.
const statementHead = 4096

// classify returns the statement's verb, and for TRUNCATE the table.
func classify(q *queryEvent, flavor string) (verb, cdc.Table) {
	l := &lexer{rest: string(q.statement[:min(len(q.statement), statementHead)]), mariadb: flavor == MariaDB,
		ansiQuotes: q.mode&modeAnsiQuotes != 0, noBackslash: q.mode&modeNoBackslash != 0}
	v := verbs[strings.ToUpper(l.next().text)]
	switch v {
	case verbRollback:
		if l.next().is("TO") {
			v = verbRollbackTo
		}
	case verbTruncate:
		name := l.next()
		if name.is("TABLE") {
			name = l.next()
		}
		table := cdc.Table{Schema: q.database, Name: name.text}
		if l.next().is(".") {
			table = cdc.Table{Schema: name.text, Name: l.next().text}
		}
		return v, table
	}
	return v, cdc.Table{}
}

// mentions reports whether the statement has the name as a word. It may say yes for a text that only looks so: the caller
// stops rather than loses a change.
func mentions(statement []byte, name string) bool {
	lower, want := bytes.ToLower(statement), []byte(strings.ToLower(name))
	for at := 0; ; {
		i := bytes.Index(lower[at:], want)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(want)
		if (start == 0 || !wordByte(lower[start-1])) && (end == len(lower) || !wordByte(lower[end])) {
			return true
		}
		at = start + 1
	}
}

// query takes a statement: the bounds of transactions, DDL, and changes that were not written as rows.
func (s *session) query(ctx context.Context, e *event, start uint64) error {
	q, err := parseQuery(e.body, e.kind == evExecuteLoad)
	if err == nil && e.kind == evMariaQuery {
		q.statement, err = unzip(q.statement)
	}
	if err != nil {
		return fmt.Errorf("reading a statement: %w", err)
	}
	v, table := classify(&q, s.cfg.Flavor)
	if !s.group.open {
		s.begin(e, gtidEvent{}, start)
	}
	switch v {
	case verbBegin:
		s.group.trx = true
		return nil
	case verbCommit:
		return s.commit(ctx)
	case verbRollback:
		s.enc.Undo(s.mark)
		s.group.begun, s.group.part = false, 0
		return s.commit(ctx)
	case verbRollbackTo:
		if s.group.begun || s.group.part > 0 {
			return s.stop("a transaction that changed selected tables was rolled back in part (ROLLBACK TO SAVEPOINT with a table that has no transactions)", "Give every table that the application changes ENGINE=InnoDB")
		}
	case verbDDL, verbTruncate:
		s.forget()
		if !s.group.gtid.unfinished {
			s.ddl(&q, start)
		}
		if err := s.truncate(ctx, v, table); err != nil {
			return err
		}
	case verbDML:
		s.changedByStatement(q.statement, start)
	}
	if !s.group.trx {
		return s.commit(ctx)
	}
	return nil
}

// changedByStatement holds the selected tables that a statement seems to change: the log has it without its rows, which are
// lost, and what follows for such a table would build on what is not there. One change without a row stands for it.
func (s *session) changedByStatement(statement []byte, start uint64) {
	for table, d := range s.history.tables {
		if s.tables[table] == nil || !mentions(statement, table.Name) {
			continue
		}
		reason := fmt.Sprintf("a change of %s is in the log at %s:%d as a statement, without its rows (binlog_format was not ROW). Run: SET GLOBAL binlog_format='ROW', "+
			"connect the applications anew, then: %s", table, s.place.file, start, again(s.cfg.Name, table))
		if d.held == "" {
			s.hold(table, d, reason)
		}
		s.log.Error("a change was lost, and the table's rows are held from here on", "source", s.cfg.Name, "table", table.String(), "reason", reason)
		schema := &cdc.Schema{Source: s.cfg.Name, Table: table, Codec: CodecBinlog, Fault: reason, Columns: []cdc.Column{{Type: "statement", Kind: cdc.KindBytes}}}
		s.use(schema)
		s.beginTx()
		s.enc.Change(cdc.Update, schema)
		s.enc.Absent()
	}
}

func (s *session) truncate(ctx context.Context, v verb, table cdc.Table) error {
	sel := s.tables[table]
	if v != verbTruncate || sel == nil {
		return nil
	}
	schema := &cdc.Schema{Source: s.cfg.Name, Table: table, Codec: CodecBinlog}
	_, info, _, err := s.definition(ctx, table)
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
