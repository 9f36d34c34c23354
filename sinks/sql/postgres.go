package sql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is PostgreSQL.
type postgres struct{}

var _ dialect = postgres{}

// connect implements dialect. Statements are sent unnamed, so that a pooler between needs to know nothing of ours.
func (postgres) connect(ctx context.Context, cfg *Config) (driver.Conn, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	text := fmt.Sprintf("host=%s port=%d sslmode=%s", quote(cfg.Host), cfg.Port, sslModes[cfg.TLS.Mode])
	for name, file := range map[string]string{"sslrootcert": cfg.TLS.CA, "sslcert": cfg.TLS.Cert, "sslkey": cfg.TLS.Key} {
		if file != "" {
			text += " " + name + "=" + quote(file)
		}
	}
	settings, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("reading connection settings: %w", err)
	}
	// Names and password stand beside the parsed string, so that no error text can repeat them.
	settings.User, settings.Password, settings.Database = cfg.User, password, cfg.Database
	settings.DefaultQueryExecMode = pgx.QueryExecModeExec
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	settings.RuntimeParams = map[string]string{
		"application_name": "waybill", "client_encoding": "UTF8", "DateStyle": "ISO, MDY", "TimeZone": "UTC", "extra_float_digits": "3",
		"standard_conforming_strings": "on", "bytea_output": "hex",
		"lock_timeout": millis(cfg.LockTimeout), "statement_timeout": millis(cfg.StatementTimeout),
		// Should we die with a transaction open, its row must not stay locked for the two hours of the system.
		"idle_in_transaction_session_timeout": millis(cfg.StatementTimeout + cfg.LockTimeout),
		"tcp_keepalives_idle":                 "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
		// A policy that hides rows must be an error: a hidden row would look absent.
		"row_security": "off", "default_transaction_isolation": "read committed",
	}
	return stdlib.GetConnector(*settings).Connect(ctx)
}

// primary implements dialect.
func (postgres) primary(ctx context.Context, x *session) (string, error) {
	standby, err := x.one(ctx, "SELECT pg_is_in_recovery()::text || ' ' || current_setting('transaction_read_only')")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(standby, "true"):
		return "the server is a standby", nil
	case strings.HasSuffix(standby, " on"):
		return "the server, database or role is set to read only", nil
	}
	return "", nil
}

// identity implements dialect.
func (postgres) identity(ctx context.Context, x *session) (string, error) {
	id, err := x.one(ctx, "SELECT system_identifier::text FROM pg_control_system()")
	return "postgres/" + id, err
}

// quote implements dialect.
func (postgres) quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// read implements dialect.
func (p postgres) read(c *column) string {
	if c.kind == kindInstant {
		return "(" + p.quote(c.name) + " AT TIME ZONE 'UTC')::text"
	}
	return p.quote(c.name) + "::text"
}

// place implements dialect. The cast is to the type without its length: what is too long is an error, and not cut.
func (postgres) place(c *column, value string, n int) (string, []any) {
	if c.kind == kindInstant {
		value += "+00"
	}
	return fmt.Sprintf("CAST($%d::text AS %s)", n, c.cast), []any{value}
}

// pgKinds are the types of PostgreSQL, below domains.
var pgKinds = map[string]kind{
	"bpchar": kindText, "varchar": kindText, "text": kindText, "citext": kindText, "name": kindText,
	"int2": kindInteger, "int4": kindInteger, "int8": kindInteger, "numeric": kindDecimal, "float4": kindFloat, "float8": kindFloat,
	"bool": kindBoolean, "date": kindDate, "time": kindClock, "timestamp": kindLocal, "timestamptz": kindInstant,
	"uuid": kindUUID, "json": kindJSON, "jsonb": kindJSON,
}

const (
	pgRelation = `SELECT c.oid::text, c.relkind::text, has_table_privilege(c.oid, 'DELETE')::text, c.relrowsecurity::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $2::text`
	// A domain is followed to the type below it, with the length that the lowest one gives.
	pgColumns = `WITH RECURSIVE base(num, typ, typmod) AS (
  SELECT attnum, atttypid, atttypmod FROM pg_attribute WHERE attrelid = $1::text::oid AND attnum > 0 AND NOT attisdropped
  UNION ALL SELECT b.num, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.typ AND t.typtype = 'd')
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1), t.typname::text, t.typtype::text, b.typmod::text,
  (NOT a.attnotnull)::text, (a.atthasdef OR a.attidentity <> '')::text, (a.attgenerated <> '' OR a.attidentity = 'a')::text,
  has_column_privilege(a.attrelid, a.attnum, 'SELECT')::text, has_column_privilege(a.attrelid, a.attnum, 'INSERT')::text,
  has_column_privilege(a.attrelid, a.attnum, 'UPDATE')::text,
  (SELECT string_agg(e.enumlabel, chr(1) ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_attribute a JOIN base b ON b.num = a.attnum JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd'
WHERE a.attrelid = $1::text::oid ORDER BY a.attnum`
	pgUnique = `SELECT c.relname::text, string_agg(a.attname::text, chr(1)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((string_to_array(i.indkey::text, ' '))[1:i.indnkeyatts]::int[])
WHERE i.indrelid = $1::text::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY c.relname ORDER BY c.relname`
	pgTriggers = `SELECT tgname || ': ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::text::oid AND NOT tgisinternal AND tgenabled <> 'D'
ORDER BY tgname`
)

var pgRelations = map[string]string{"v": "a view", "m": "a materialized view", "f": "a foreign table", "c": "a type", "i": "an index", "S": "a sequence"}

// catalogue implements dialect.
func (p postgres) catalogue(ctx context.Context, x *session, schema, name string) (*table, error) {
	found, err := x.rows(ctx, pgRelation, schema, name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	oid := str(found[0][0])
	t := &table{schema: schema, name: name, sort: pgRelations[str(found[0][1])], mayDelete: str(found[0][2]) == "true", columns: map[string]*column{}}
	if str(found[0][3]) == "true" {
		t.notes = append(t.notes, "row security is on: a statement that a policy would narrow fails")
	}
	columns, err := x.rows(ctx, pgColumns, oid)
	if err != nil {
		return nil, err
	}
	for _, r := range columns {
		c := pgColumn(r)
		t.columns[c.name], t.order = c, append(t.order, c.name)
	}
	unique, err := x.rows(ctx, pgUnique, oid)
	if err != nil {
		return nil, err
	}
	for _, r := range unique {
		t.unique = append(t.unique, uniqueIndex{str(r[0]), strings.Split(str(r[1]), "\x01")})
	}
	triggers, err := x.rows(ctx, pgTriggers, oid)
	for _, r := range triggers {
		t.triggers = append(t.triggers, str(r[0]))
	}
	return t, err
}

// pgColumn makes a column of a row of pgColumns.
func pgColumn(r []*string) *column {
	is := func(i int) bool { return str(r[i]) == "true" }
	base, mod := str(r[3]), -1
	if n, err := strconv.Atoi(str(r[5])); err == nil {
		mod = n
	}
	c := &column{name: str(r[0]), typ: str(r[1]), cast: str(r[2]), kind: pgKinds[base], nullable: is(6), filled: is(7), generated: is(8),
		may: map[string]bool{"select": is(9), "insert": is(10), "update": is(11)}}
	switch base {
	case "bpchar", "varchar":
		c.padded = base == "bpchar"
		if mod >= 4 {
			c.chars = mod - 4
		}
	case "int2":
		c.integer(2, false)
	case "int4":
		c.integer(4, false)
	case "int8":
		c.integer(8, false)
	case "numeric":
		if mod >= 4 {
			c.digits, c.scale = (mod-4)>>16&0xffff, ((mod-4)&0x7ff^1024)-1024
		}
	case "float4":
		c.single = true
	case "time", "timestamp", "timestamptz":
		if c.fraction = 6; mod >= 0 {
			c.fraction = mod
		}
	}
	if str(r[4]) == "e" {
		c.kind, c.words = kindEnum, strings.Split(str(r[12]), "\x01")
	}
	return c
}

// settings implements dialect.
func (postgres) settings(ctx context.Context, x *session) ([]setting, error) {
	rows, err := x.rows(ctx, "SELECT current_setting('server_encoding'), current_setting('server_version')")
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	s := setting{check: "encoding", found: str(rows[0][0]), want: "UTF8"}
	if s.found != "UTF8" {
		s.warn, s.why = true, "A character that the database does not have is refused when it comes."
	}
	return []setting{{check: "server", found: "PostgreSQL " + str(rows[0][1])}, s}, nil
}
