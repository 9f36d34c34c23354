package mysql

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

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
func classify(database string, statement []byte) (verb, cdc.Table) {
	t := &tokens{rest: string(statement[:min(len(statement), statementHead)])}
	v := verbs[strings.ToUpper(t.next())]
	switch v {
	case verbRollback:
		if strings.EqualFold(t.next(), "TO") {
			v = verbRollbackTo
		}
	case verbTruncate:
		name := t.next()
		if strings.EqualFold(name, "TABLE") {
			name = t.next()
		}
		table := cdc.Table{Schema: database, Name: name}
		if t.next() == "." {
			table = cdc.Table{Schema: name, Name: t.next()}
		}
		return v, table
	}
	return v, cdc.Table{}
}

// tokens splits the head of a statement into words, quoted names and signs. Comments are passed over, but the text of an
// executable one (/*! and /*M!) counts.
type tokens struct{ rest string }

func (t *tokens) next() string {
	for {
		t.rest = strings.TrimLeft(t.rest, " \t\r\n")
		switch {
		case t.rest == "":
			return ""
		case strings.HasPrefix(t.rest, "/*!"), strings.HasPrefix(t.rest, "/*M!"):
			_, t.rest, _ = strings.Cut(t.rest, "!")
			t.rest = strings.TrimLeft(t.rest, "0123456789")
		case strings.HasPrefix(t.rest, "*/"):
			t.rest = t.rest[2:]
		case strings.HasPrefix(t.rest, "/*"):
			_, t.rest, _ = strings.Cut(t.rest, "*/")
		case strings.HasPrefix(t.rest, "-- "), strings.HasPrefix(t.rest, "#"):
			_, t.rest, _ = strings.Cut(t.rest, "\n")
		case t.rest[0] == '`' || t.rest[0] == '"':
			return t.quoted(t.rest[:1])
		default:
			return t.word()
		}
	}
}

func (t *tokens) quoted(mark string) string {
	var name strings.Builder
	for {
		part, rest, ok := strings.Cut(t.rest[1:], mark)
		name.WriteString(part)
		if !ok {
			t.rest = ""
			return name.String()
		}
		if !strings.HasPrefix(rest, mark) {
			t.rest = rest
			return name.String()
		}
		name.WriteString(mark)
		t.rest = rest
	}
}

func (t *tokens) word() string {
	i := 0
	for i < len(t.rest) && wordByte(t.rest[i]) {
		i++
	}
	i = max(i, 1)
	word := t.rest[:i]
	t.rest = t.rest[i:]
	return word
}

func wordByte(b byte) bool {
	return b == '_' || b == '$' || b >= utf8.RuneSelf || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
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
		s.forget()
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
