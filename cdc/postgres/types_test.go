package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and review the difference. Got:\n%s", path, got)
	}
}

func script(t *testing.T, p *cdctest.Postgres, name string) {
	t.Helper()
	sql, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	p.Exec(t, string(sql))
}

// typeTables are made by types.sql; types_rows.sql fills them.
var typeTables = []string{"types", "arrays", "ranges", "multiranges"}

// everything selects all columns of the tables.
func everything(t *testing.T, p *cdctest.Postgres, tables ...string) (list []cdc.Selection) {
	t.Helper()
	for _, table := range tables {
		var columns string
		if err := p.DB.QueryRow(`SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0`, table).Scan(&columns); err != nil {
			t.Fatal(err)
		}
		list = append(list, selection(table, strings.Fields(columns)...))
	}
	return list
}

// TestTypes captures every supported type from the snapshot and from the stream, on a server whose database, role and
// settings would give other texts, and expects one golden for both and for every version of the server.
func TestTypes(t *testing.T) {
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		script(t, p, "types.sql")
		script(t, p, "types_rows.sql")
		p.Exec(t, `ALTER DATABASE postgres SET DateStyle = 'German, DMY'; ALTER DATABASE postgres SET TimeZone = 'Asia/Kathmandu';
			ALTER ROLE postgres SET extra_float_digits = 0; ALTER ROLE postgres SET bytea_output = 'escape';
			ALTER ROLE postgres SET IntervalStyle = 'sql_standard'; ALTER ROLE postgres SET xmlbinary = 'hex'`)
		s := postgres.New(config(p, "types"), everything(t, p, typeTables...), logger(t))
		defer s.Close()
		f := follow(t, s)
		f.open("")
		f.until(1)
		snapshot := f.take()
		for _, table := range typeTables {
			p.Exec(t, "DELETE FROM "+table)
		}
		script(t, p, "types_rows.sql")
		f.until(2 * len(snapshot))
		stream := f.take()[len(snapshot):]
		if a, b := lines(snapshot), lines(stream); !bytes.Equal(a, b) {
			t.Errorf("snapshot and stream differ:\n%s\n%s", a, b)
		}
		if len(f.schemas) != len(typeTables) {
			t.Errorf("snapshot and stream made %d schemas of %d tables", len(f.schemas), len(typeTables))
		}
		golden(t, "types.golden", append(schemaLines(snapshot), lines(snapshot)...))
		if p.Version(t) >= 17 { // which brought infinite intervals
			p.Exec(t, `UPDATE types SET span = '-infinity' WHERE id = '1 plain'`)
			f.until(1)
			if got := f.rows[0].new[f.rows[0].schema.Column("span")]; got != `"-infinity"` {
				t.Errorf("an infinite interval is %s", got)
			}
		}
	})
}

// TestEncodings reads a database that is not UTF-8, which the server converts, and one of which it does not know what its bytes
// mean.
func TestEncodings(t *testing.T) {
	p := cdctest.StartPostgres(t)
	for _, c := range []struct{ encoding, value, want string }{
		{"LATIN9", `'è €', array['ž'], 'ž=>€'`, `id="1" città="è €" lists="[\"ž\"]" pairs="{\"ž\":\"€\"}"`},
		{"SQL_ASCII", `E'\xe8', array[E'\xe8'], E'a=>\xe8'`, strings.NewReplacer("E", "error: the text is not valid UTF-8 (a database with encoding SQL_ASCII does not convert)").
			Replace(`id="1" città=E lists=E pairs=E`)},
	} {
		t.Run(c.encoding, func(t *testing.T) {
			name := strings.ToLower(c.encoding)
			p.Exec(t, fmt.Sprintf(`CREATE DATABASE %s ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`, name, c.encoding))
			db, err := sql.Open("pgx", strings.Replace(p.DSN(), "dbname=postgres", "dbname="+name+" client_encoding=UTF8", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			exec := func(statement string) {
				t.Helper()
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE EXTENSION hstore; CREATE TABLE places (id int PRIMARY KEY, "città" text, lists text[], pairs hstore)`)
			exec(`INSERT INTO places VALUES (1, ` + c.value + `)`)
			cfg := config(p, name)
			cfg.Database = name
			s := postgres.New(cfg, []cdc.Selection{selection("places", "città", "lists", "pairs")}, logger(t))
			defer s.Close()
			f := follow(t, s)
			f.open("")
			f.until(1)
			exec(`DELETE FROM places; INSERT INTO places VALUES (1, ` + c.value + `)`)
			f.until(3)
			expect(t, f.rows, "snapshot places "+c.want, `delete places old.id="1"`, "insert places "+c.want)
		})
	}
}

var ownOID = regexp.MustCompile(`\b[1-9][0-9]{4,}\b`)

// schemaLines prints the columns of each schema, without the OIDs of types that were created here.
func schemaLines(rows []row) []byte {
	var out bytes.Buffer
	for i, r := range rows {
		if i > 0 && rows[i-1].schema == r.schema {
			continue
		}
		fmt.Fprintf(&out, "table %s\n", r.schema.Table)
		for _, c := range r.schema.Columns {
			fmt.Fprintf(&out, "%s %s: %s meta %s key %t not null %t labels %q\n", c.Name, c.Type, c.Kind,
				ownOID.ReplaceAllString(c.Meta, "(its own)"), c.Key, c.NotNull, c.Labels)
		}
	}
	return out.Bytes()
}

// row is a decoded change.
type row struct {
	op     cdc.Op
	schema *cdc.Schema
	tx     cdc.Tx
	old    []string
	new    []string
}

func lines(rows []row) []byte {
	var out bytes.Buffer
	for _, r := range rows {
		fmt.Fprintln(&out)
		for i, c := range r.schema.Columns {
			fmt.Fprintf(&out, "%s: %s\n", c.Name, r.new[i])
		}
	}
	return out.Bytes()
}

// follower reads a source as a journal's reader would.
type follower struct {
	t       *testing.T
	ctx     context.Context
	s       *postgres.Source
	schemas map[uint64]*cdc.Schema
	reader  *cdc.Reader
	rows    []row
	pos     cdc.Position
	batch   cdc.Batch
}

func follow(t *testing.T, s *postgres.Source) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	f := &follower{t: t, ctx: ctx, s: s, schemas: map[uint64]*cdc.Schema{}}
	f.reader = cdc.NewReader(cdc.Codecs{postgres.CodecName: postgres.Codec()}, func(id uint64) (*cdc.Schema, error) {
		if s := f.schemas[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("schema %x is unknown", id)
	})
	return f
}

// start opens at the end of the log, and reads nothing yet.
func (f *follower) start() {
	f.t.Helper()
	if err := f.s.Open(f.ctx, ""); err != nil {
		f.t.Fatal(err)
	}
}

// open opens at a position. Without one it also takes the first batch, and reads the tables.
func (f *follower) open(pos cdc.Position) {
	f.t.Helper()
	if pos != "" {
		if err := f.s.Open(f.ctx, pos); err != nil {
			f.t.Fatal(err)
		}
		return
	}
	f.start()
	f.next()
	for _, t := range f.s.Tables() {
		f.table(t, "", 0)
	}
}

// until reads until n rows are there and the batch has a position; it confirms.
func (f *follower) until(n int) {
	f.t.Helper()
	for len(f.rows) < n || f.pos == "" {
		f.next()
	}
}

func (f *follower) next() {
	f.t.Helper()
	b, err := f.s.Next(f.ctx)
	if err != nil {
		for _, r := range f.rows[max(0, len(f.rows)-20):] {
			f.t.Log(show(r))
		}
		f.t.Fatalf("Next: %v", err)
	}
	f.read(b)
	f.s.Confirm(b.Position)
}

func (f *follower) read(b cdc.Batch) {
	f.t.Helper()
	f.batch = b
	for _, s := range b.Schemas {
		f.schemas[s.ID()] = s
	}
	if b.Position != "" {
		f.pos = b.Position
	}
	f.reader.Reset(&b)
	for f.reader.Next() {
		c := f.reader.Change()
		r := row{op: c.Op, schema: c.Schema, tx: c.Tx}
		for i := range c.Schema.Columns {
			r.old = append(r.old, text(c.Old(i)))
			r.new = append(r.new, text(c.New(i)))
		}
		f.rows = append(f.rows, r)
	}
	if err := f.reader.Err(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *follower) take() []row {
	rows := f.rows
	f.rows = nil
	return rows
}

func text(v cdc.Value, err error) string {
	var decode *cdc.DecodeError
	switch {
	case err != nil && errors.As(err, &decode):
		return "error: " + decode.Err.Error()
	case err != nil:
		return "ERROR " + err.Error()
	case v.IsAbsent():
		return "absent"
	case v.IsNull():
		return "null"
	}
	return fmt.Sprintf("%q", v.Text)
}
