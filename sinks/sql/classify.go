package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	my "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/sinks"
)

// stage is how far a call had come when it went wrong.
type stage string

const (
	reading    stage = "reading"    // nothing was to be written
	writing    stage = "writing"    // inside the transaction: without COMMIT it is certainly undone
	committing stage = "committing" // COMMIT was sent
)

// The codes that callers branch on or that several rules share.
const (
	codeOutage    = "OUTAGE"
	codeAuth      = "AUTH"
	codeRights    = "RIGHTS"
	codeTable     = "TABLE"
	codeLocked    = "LOCKED"
	codeReadOnly  = "READ_ONLY"
	codeUnique    = "UNIQUE"
	codeRace      = "RACE"
	codeRefused   = "REFUSED"
	codeChangedBy = "CHANGED_ON_WRITE"
)

const (
	hintDown    = "Is the database running and reachable?"
	hintLost    = "It is not known whether COMMIT came to its end; the row is read on the primary before anything is sent again."
	hintPrimary = "After a failover point host at the new primary. A server that is set to read only is set back with SET GLOBAL read_only = OFF, or ALTER SYSTEM."
	hintLocked  = "Somebody holds the same row; if it stays so, look for a transaction that never ends in the target."
	hintAuth    = "Correct user or password in the sink's configuration."
	hintRights  = "Grant the rights that waybill check names."
	hintTable   = "The table is another than it was; compare the sink's entities with it (waybill check)."
	hintFull    = "The target has no room; nothing is written until it has."
	hintUnique  = "Another row of the target has this value in a column that must be unique; correct one of them."
	hintFix     = "Correct the value in its source, or the mapping."
)

// rule maps what a target said to an outcome: the first whose product is equal and whose code begins what was said. final: so it is too when
// COMMIT is answered with it, for the transaction is certainly undone; any other answer to COMMIT is Unknown.
type rule struct {
	product string // Postgres; MySQL for MariaDB, too
	code    string
	class   sinks.Class
	name    string
	outage  bool
	final   bool
	hint    string
}

// rules is the classification: SQLSTATE of PostgreSQL 12 to 17, error numbers of MariaDB 10.3 to 11 and MySQL 5.7 to 8.4.
var rules = []rule{
	{Postgres, "40001", sinks.RetryLater, codeLocked, false, true, hintLocked},  // serialization_failure
	{Postgres, "40P01", sinks.RetryLater, codeLocked, false, true, hintLocked},  // deadlock_detected
	{Postgres, "40", sinks.RetryLater, codeLocked, false, false, hintLocked},    // 40003: completion unknown
	{Postgres, "55P03", sinks.RetryLater, codeLocked, false, false, hintLocked}, // lock_not_available
	{Postgres, "55006", sinks.RetryLater, codeLocked, false, false, hintLocked}, // object_in_use
	{Postgres, "57014", sinks.RetryLater, "TIMEOUT", true, false, "The target is slow: a statement came to statement_timeout."},
	{Postgres, "57P05", sinks.RetryLater, codeOutage, true, false, hintDown}, // idle_session_timeout
	{Postgres, "57P04", sinks.Setup, "DATABASE", false, false, "The database was dropped; correct database in the sink's configuration."},
	{Postgres, "57P", sinks.RetryLater, codeOutage, true, false, hintDown},        // shutting down, starting
	{Postgres, "08", sinks.RetryLater, codeOutage, true, false, hintDown},         // connection
	{Postgres, "25006", sinks.RetryLater, codeReadOnly, true, false, hintPrimary}, // read_only_sql_transaction
	{Postgres, "25P03", sinks.RetryLater, codeOutage, true, false, hintDown},      // idle in transaction too long
	{Postgres, "53300", sinks.RetryLater, codeOutage, true, false, "The target has no free connection."},
	{Postgres, "53", sinks.RetryLater, "FULL", true, false, hintFull}, // disk full, out of memory
	{Postgres, "28", sinks.Setup, codeAuth, false, false, hintAuth},
	{Postgres, "3D000", sinks.Setup, "DATABASE", false, false, "There is no such database; correct database in the sink's configuration."},
	{Postgres, "42501", sinks.Setup, codeRights, false, false, hintRights}, // insufficient_privilege
	{Postgres, "42", sinks.Setup, codeTable, false, false, hintTable},      // undefined table or column, wrong type
	{Postgres, "3F000", sinks.Setup, codeTable, false, false, hintTable},
	{Postgres, "0A000", sinks.Setup, codeTable, false, false, hintTable},
	{Postgres, "428C9", sinks.Setup, codeTable, false, false, hintTable}, // generated column
	{Postgres, "23505", sinks.Conflict, codeUnique, false, true, hintUnique},
	{Postgres, "23P01", sinks.Conflict, codeUnique, false, true, hintUnique}, // exclusion
	{Postgres, "23502", sinks.Rejected, "NOT_NULL", false, true, "Give the column a value in the sink's entity, or a default in the target."},
	{Postgres, "23503", sinks.Rejected, "FOREIGN_KEY", false, true, "The row that this one names is not in the target yet, or the value is wrong."},
	{Postgres, "23514", sinks.Rejected, "CHECK", false, true, hintFix},
	{Postgres, "23", sinks.Rejected, codeRefused, false, true, hintFix},
	{Postgres, "22001", sinks.Rejected, codeTooLong, false, false, hintFix},
	{Postgres, "22003", sinks.Rejected, codeRange, false, false, hintFix},
	{Postgres, "22P05", sinks.Rejected, "CHARSET", false, false, "The target's encoding does not have a character of the text."},
	{Postgres, "22021", sinks.Rejected, "CHARSET", false, false, "The target's encoding does not have a character of the text."},
	{Postgres, "22", sinks.Rejected, codeType, false, false, hintFix},
	{Postgres, "44000", sinks.Rejected, "CHECK", false, true, hintFix}, // check option of a view
	{Postgres, "P0001", sinks.Rejected, codeRefused, false, true, "A trigger of the target refuses it; see the message."},
	{Postgres, "P0", sinks.Rejected, codeRefused, false, true, "A trigger of the target refuses it; see the message."},

	{MySQL, "1213", sinks.RetryLater, codeLocked, false, true, hintLocked},                                                  // deadlock; at COMMIT the cluster's certification
	{MySQL, "1205", sinks.RetryLater, codeLocked, false, false, hintLocked},                                                 // lock wait
	{MySQL, "1020", sinks.RetryLater, codeLocked, false, false, hintLocked},                                                 // changed since it was read
	{MySQL, "1412", sinks.RetryLater, codeLocked, false, false, hintLocked},                                                 // table altered meanwhile
	{MySQL, "3572", sinks.RetryLater, codeLocked, false, false, hintLocked},                                                 // NOWAIT
	{MySQL, "1969", sinks.RetryLater, "TIMEOUT", true, false, "The target is slow: a statement came to statement_timeout."}, // MariaDB
	{MySQL, "3024", sinks.RetryLater, "TIMEOUT", true, false, "The target is slow: a statement came to its time limit."},
	{MySQL, "1317", sinks.RetryLater, "TIMEOUT", true, false, "Somebody ended the statement."},
	{MySQL, "1290", sinks.RetryLater, codeReadOnly, true, false, hintPrimary},
	{MySQL, "1792", sinks.RetryLater, codeReadOnly, true, false, hintPrimary},
	{MySQL, "1836", sinks.RetryLater, codeReadOnly, true, false, hintPrimary},
	{MySQL, "1047", sinks.RetryLater, codeOutage, true, false, "The node of the cluster is not ready."},
	{MySQL, "1040", sinks.RetryLater, codeOutage, true, false, "The target has no free connection."},
	{MySQL, "1203", sinks.RetryLater, codeOutage, true, false, "The target has no free connection for this user."},
	{MySQL, "1226", sinks.RetryLater, codeOutage, true, false, "The user has used up what the target lets it do in an hour."},
	{MySQL, "1053", sinks.RetryLater, codeOutage, true, false, hintDown}, // shutdown
	{MySQL, "1927", sinks.RetryLater, codeOutage, true, false, hintDown}, // connection killed
	{MySQL, "4031", sinks.RetryLater, codeOutage, true, false, hintDown}, // idle too long
	{MySQL, "1129", sinks.Setup, codeAuth, false, false, "The server blocks this host after too many faulty connections: FLUSH HOSTS there."},
	{MySQL, "1130", sinks.Setup, codeAuth, false, false, "The server lets no user in from this host."},
	{MySQL, "1021", sinks.RetryLater, "FULL", true, false, hintFull},
	{MySQL, "1114", sinks.RetryLater, "FULL", true, false, hintFull},
	{MySQL, "1041", sinks.RetryLater, "FULL", true, false, hintFull},
	{MySQL, "1045", sinks.Setup, codeAuth, false, false, hintAuth},
	{MySQL, "1698", sinks.Setup, codeAuth, false, false, hintAuth},
	{MySQL, "1862", sinks.Setup, codeAuth, false, false, "The password has expired."},
	{MySQL, "1820", sinks.Setup, codeAuth, false, false, "The password has expired."},
	{MySQL, "3118", sinks.Setup, codeAuth, false, false, "The account is locked."},
	{MySQL, "4151", sinks.Setup, codeAuth, false, false, "The account is locked."},
	{MySQL, "3159", sinks.Setup, codeAuth, false, false, "The server wants an encrypted connection; set tls.mode."},
	{MySQL, "1049", sinks.Setup, "DATABASE", false, false, "There is no such database; correct database in the sink's configuration."},
	{MySQL, "1044", sinks.Setup, codeRights, false, false, hintRights},
	{MySQL, "1142", sinks.Setup, codeRights, false, false, hintRights},
	{MySQL, "1143", sinks.Setup, codeRights, false, false, hintRights},
	{MySQL, "1227", sinks.Setup, codeRights, false, false, hintRights},
	{MySQL, "1370", sinks.Setup, codeRights, false, false, hintRights},
	{MySQL, "1146", sinks.Setup, codeTable, false, false, hintTable},
	{MySQL, "1054", sinks.Setup, codeTable, false, false, hintTable},
	{MySQL, "1064", sinks.Setup, codeTable, false, false, hintTable},
	{MySQL, "1193", sinks.Setup, "PRODUCT", false, false, "The server does not know a setting: is it MariaDB where the sink's type says MySQL, or the other way round?"},
	{MySQL, "1665", sinks.Setup, "BINLOG", false, false, "The server logs statements; SET GLOBAL binlog_format = 'ROW'."},
	{MySQL, "1906", sinks.Setup, codeTable, false, false, hintTable}, // generated column, MariaDB
	{MySQL, "3105", sinks.Setup, codeTable, false, false, hintTable}, // generated column, MySQL
	{MySQL, "1062", sinks.Conflict, codeUnique, false, true, hintUnique},
	{MySQL, "1586", sinks.Conflict, codeUnique, false, true, hintUnique},
	{MySQL, "1048", sinks.Rejected, "NOT_NULL", false, true, "Give the column a value in the sink's entity, or a default in the target."},
	{MySQL, "1364", sinks.Rejected, "NOT_NULL", false, true, "Give the column a value in the sink's entity, or a default in the target."},
	{MySQL, "1452", sinks.Rejected, "FOREIGN_KEY", false, true, "The row that this one names is not in the target yet, or the value is wrong."},
	{MySQL, "1451", sinks.Rejected, "FOREIGN_KEY", false, true, "Other rows of the target name this one."},
	{MySQL, "1216", sinks.Rejected, "FOREIGN_KEY", false, true, "The row that this one names is not in the target yet, or the value is wrong."},
	{MySQL, "1217", sinks.Rejected, "FOREIGN_KEY", false, true, "Other rows of the target name this one."},
	{MySQL, "4025", sinks.Rejected, "CHECK", false, true, hintFix}, // MariaDB
	{MySQL, "3819", sinks.Rejected, "CHECK", false, true, hintFix}, // MySQL
	{MySQL, "1369", sinks.Rejected, "CHECK", false, true, hintFix},
	{MySQL, "1406", sinks.Rejected, codeTooLong, false, true, hintFix},
	{MySQL, "1264", sinks.Rejected, codeRange, false, true, hintFix},
	{MySQL, "1265", sinks.Rejected, codeExact, false, true, hintFix}, // truncated
	{MySQL, "1366", sinks.Rejected, "CHARSET", false, true, "The column's character set does not have a character of the text, or the value is of another type."},
	{MySQL, "1292", sinks.Rejected, codeType, false, true, hintFix},
	{MySQL, "1267", sinks.Rejected, "CHARSET", false, true, "The key's collation and the text do not go together."},
	{MySQL, "1644", sinks.Rejected, codeRefused, false, true, "A trigger of the target refuses it; see the message."},
}

// said is what a target answered in place of doing it.
type said struct {
	product, code, text string
	column, constraint  string
}

var (
	myColumnName = regexp.MustCompile(`(?i)column '([^']+)'|field '([^']+)'|FOREIGN KEY \(.([^)]+?).\)`)
	myKeyName    = regexp.MustCompile(`for key '(?:[^']*\.)?([^'.]+)'`)
	pgKeyColumn  = regexp.MustCompile(`Key \(([^)]+)\)`)
)

// heard takes a target's answer out of an error; false when the target gave none.
func heard(err error) (said, bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		s := said{product: Postgres, code: pg.Code, text: pg.Message, column: pg.ColumnName, constraint: pg.ConstraintName}
		if m := pgKeyColumn.FindStringSubmatch(pg.Detail); m != nil && s.column == "" {
			s.column = m[1]
		}
		if pg.Detail != "" {
			s.text += ": " + pg.Detail
		}
		return s, true
	}
	var m *my.MySQLError
	if errors.As(err, &m) {
		s := said{product: MySQL, code: strconv.Itoa(int(m.Number)), text: m.Message}
		if c := myColumnName.FindStringSubmatch(m.Message); c != nil {
			s.column = c[1] + c[2] + c[3]
		}
		if k := myKeyName.FindStringSubmatch(m.Message); k != nil {
			s.constraint = k[1]
		}
		return s, true
	}
	return said{}, false
}

// classify makes the outcome of an answer.
func classify(s said, at stage) sinks.Outcome {
	o := sinks.Outcome{Class: sinks.Unknown, Code: "UNRECOGNISED", Message: s.code + ": " + s.text, Field: s.column,
		Hint: "The target said something that is not in the table of known answers."}
	for _, r := range rules {
		if r.product != s.product || !strings.HasPrefix(s.code, r.code) {
			continue
		}
		o.Class, o.Code, o.Outage, o.Hint = r.class, r.name, r.outage, r.hint
		if at == committing && !r.final {
			o.Class, o.Outage, o.Hint = sinks.Unknown, true, hintLost
		}
		return o
	}
	return o
}

// outcome is what an error of a call means. w says which table it was about; nil for none.
func (s *Sink) outcome(err error, at stage, w *work) *sinks.Outcome {
	var dial *dialError
	if errors.As(err, &dial) {
		at = reading // nothing was sent
	}
	o := sinks.Outcome{Class: sinks.RetryLater, Code: codeOutage, Outage: true, Message: err.Error(), Hint: hintDown}
	answer, answered := heard(err)
	var secret *secretError
	var met *metError
	switch {
	case errors.As(err, &secret):
		o = sinks.Outcome{Class: sinks.Setup, Code: "SECRET", Message: err.Error(), Hint: "Make password_file readable again."}
	case errors.As(err, &met):
		o = sinks.Outcome{Class: sinks.Rejected, Code: codeChangedBy, Message: err.Error() + ": a trigger, rule or policy of the target changes what is written",
			Hint: "Look at the table's triggers, rules and policies."}
	case answered:
		o = classify(answer, at)
		if w != nil && w.table != nil {
			w.explain(&o, answer)
		}
		if o.Code == codeTable {
			s.forget()
		}
	case at == committing:
		o.Class, o.Hint = sinks.Unknown, hintLost
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn):
		o.Message = fmt.Sprintf("%s did not answer in time, or the connection was lost: %v", s.cfg.address(), err)
	}
	if at != committing && o.Class == sinks.Unknown {
		o.Class = sinks.RetryLater // without COMMIT nothing was done
	}
	o.Message = clip(o.Message, 500)
	return &o
}

// explain names the member behind a column, and tells a row that somebody else made in the same moment from a value that another row has.
func (w *work) explain(o *sinks.Outcome, answer said) {
	if o.Field != "" {
		o.Field = w.entity.memberOf(o.Field)
	}
	if o.Code != codeUnique {
		return
	}
	var key []string
	for _, f := range w.req.Key {
		key = append(key, f.Column)
	}
	for _, u := range w.table.unique {
		if u.name != answer.constraint {
			continue
		}
		if own, ok := (&table{unique: []uniqueIndex{u}}).uniqueOn(key); ok && own.name == u.name {
			o.Class, o.Code, o.Hint = sinks.RetryLater, codeRace, "Somebody else made the row in the same moment; it is read and compared next time."
		} else {
			o.Field = w.entity.memberOf(u.columns[0])
		}
	}
}
