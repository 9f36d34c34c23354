package sql

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	my "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/sinks"
)

// TestClassify compares the outcome of each line of the table, before COMMIT and as its answer, with testdata/classify.golden.
func TestClassify(t *testing.T) {
	var b strings.Builder
	line := func(s said) {
		for _, at := range []stage{writing, committing} {
			o := classify(s, at)
			outage := ""
			if o.Outage {
				outage = " outage"
			}
			fmt.Fprintf(&b, "%-8s %-6s %-10s %s %s%s\n", s.product, s.code, at, o.Class, o.Code, outage)
		}
	}
	for _, r := range rules {
		line(said{product: r.product, code: r.code, text: "as the target says it"})
	}
	line(said{product: Postgres, code: "XX000"})
	line(said{product: MySQL, code: "9999"})
	const file = "testdata/classify.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(golden) {
		t.Errorf("the classification is another than %s (-update writes it):\n%s", file, b.String())
	}
}

func TestOutcome(t *testing.T) {
	s := &Sink{cfg: Config{Host: "h", Port: 1}}
	w := &work{entity: Entity{Columns: map[string]string{"alt_no": "alias", "nm": "name"}}, table: &table{unique: []uniqueIndex{{"PRIMARY", []string{"id"}}, {"uq_alt", []string{"alt_no"}}}},
		req: request{Key: []field{{Column: "id"}}}}
	lost := errors.New("connection reset by peer")
	for _, c := range []struct {
		what        string
		err         error
		at          stage
		class       sinks.Class
		code, field string
	}{
		{"lost before COMMIT", lost, writing, sinks.RetryLater, codeOutage, ""},
		{"lost at COMMIT", lost, committing, sinks.Unknown, codeOutage, ""},
		{"no connection for COMMIT", &dialError{lost}, committing, sinks.RetryLater, codeOutage, ""},
		{"shut down at COMMIT", &pgconn.PgError{Code: "57P01"}, committing, sinks.Unknown, codeOutage, ""},
		{"not known, before COMMIT", &pgconn.PgError{Code: "XX000"}, writing, sinks.RetryLater, "UNRECOGNISED", ""},
		{"not known, at COMMIT", &pgconn.PgError{Code: "XX000"}, committing, sinks.Unknown, "UNRECOGNISED", ""},
		{"deferred at COMMIT", &pgconn.PgError{Code: "23503", Detail: "Key (nm)=(x) is not present in table \"t\"."}, committing, sinks.Rejected, "FOREIGN_KEY", "name"},
		{"somebody made the row", &my.MySQLError{Number: 1062, Message: "Duplicate entry '1' for key 'PRIMARY'"}, writing, sinks.RetryLater, codeRace, ""},
		{"another key", &my.MySQLError{Number: 1062, Message: "Duplicate entry 'a' for key 't.uq_alt'"}, writing, sinks.Conflict, codeUnique, "alias"},
		{"too long", &my.MySQLError{Number: 1406, Message: "Data too long for column 'nm' at row 1"}, writing, sinks.Rejected, codeTooLong, "name"},
		{"foreign key", &my.MySQLError{Number: 1452, Message: "Cannot add or update a child row: a foreign key constraint fails (`d`.`t`, CONSTRAINT `f` FOREIGN KEY (`nm`) REFERENCES `x` (`y`))"},
			writing, sinks.Rejected, "FOREIGN_KEY", "name"},
		{"password", &secretError{lost}, reading, sinks.Setup, "SECRET", ""},
		{"rule", &metError{"UPDATE", 0}, writing, sinks.Rejected, codeChangedBy, ""},
	} {
		o := s.outcome(c.err, c.at, w)
		if o.Class != c.class || o.Code != c.code || c.field != "" && o.Field != c.field {
			t.Errorf("%s: got %s %s %q, want %s %s %q", c.what, o.Class, o.Code, o.Field, c.class, c.code, c.field)
		}
	}
}
