package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

// Config says which database to capture, and with what.
type Config struct {
	Name           string        `yaml:"-"`               // the source's name in the configuration
	Host           string        `yaml:"host"`            // host name, address, or directory of a Unix socket
	Port           int           `yaml:"port"`            // default 5432
	Database       string        `yaml:"database"`        // the one database that the slot decodes
	User           string        `yaml:"user"`            // role with REPLICATION and SELECT on the tables
	Password       string        `yaml:"-"`               // resolved by the caller from its secret; never logged
	SSLMode        string        `yaml:"ssl_mode"`        // disable, allow, prefer (default), require, verify-ca, verify-full
	SSLRootCert    string        `yaml:"ssl_root_cert"`   // file with the certificate authority's certificates; with it, require is verify-ca
	SSLCert        string        `yaml:"ssl_cert"`        // file with our certificate, if the server asks for one
	SSLKey         string        `yaml:"ssl_key"`         // file with its key
	Slot           string        `yaml:"slot"`            // replication slot; default waybill_<name>
	Publication    string        `yaml:"publication"`     // default: as the slot
	Schema         string        `yaml:"schema"`          // schema of tables named without one; default public
	Masked         []string      `yaml:"masked"`          // table.column or schema.table.column, never captured
	Heartbeat      time.Duration `yaml:"heartbeat"`       // an idle source says so this often; default 5s, 1s to 1m
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // for each connection; default 10s
	MaxRetained    cdc.Bytes     `yaml:"max_retained"`    // if the server must keep more log than this for us, and it grows, drop the slot and begin again with a compared snapshot; unset: never

	// Memory, if set, lets a first start begin anew by itself after a crash in the short moment between the making of
	// the slot and the storing of its position. Without it Open refuses there, and a person must reset; and what
	// happened to slot and publication while no process of ours ran is not noticed.
	Memory Memory `yaml:"-"`

	// Secret, if set, is asked for the password before each connection, in place of Password, so that one that was changed
	// on the server and in its file works from the next connection on. It is called from any goroutine.
	Secret func() (string, error) `yaml:"-"`
}

// Memory keeps short notes over a crash: under the slot's name the point of the slot that a first start made although its position
// may not have been stored; and, under that name with a dot and a word behind it, what is to be known of the publication
// and the slot at the next start. The caller keeps it in its store; Open, Next and the session's own goroutine call it.
type Memory interface {
	// Remember keeps a short text, such as the slot's consistent point, synced when it returns.
	Remember(name, text string) error
	// Recall returns the text remembered last under the name, or "".
	Recall(name string) (text string, err error)
}

// withDefaults returns the configuration with every empty field filled.
func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = 5432
	}
	if c.SSLMode == "" {
		c.SSLMode = "prefer"
	}
	if c.Slot == "" {
		c.Slot = slotName(c.Name)
	}
	if c.Publication == "" {
		c.Publication = c.Slot
	}
	if c.Schema == "" {
		c.Schema = "public"
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 5 * time.Second
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	return c
}

// slotName makes a slot name of a source's name: PostgreSQL allows lower case letters, digits and underscores.
func slotName(source string) string {
	return "waybill_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(source))
}

// minRetained is the least max_retained: the server keeps a few segments of 16 MiB in any case.
const minRetained cdc.Bytes = 128 << 20

var (
	slotPattern = regexp.MustCompile(`^[a-z0-9_]{1,54}$`)
	sslModes    = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
)

// Validate reports every fault of the configuration at once, each with its field, what was found and what is expected.
func (c Config) Validate() error {
	d := c.withDefaults()
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	for _, f := range []struct{ field, value string }{{"host", c.Host}, {"database", c.Database}, {"user", c.User}} {
		if f.value == "" {
			fault(f.field, "must not be empty")
		}
	}
	if d.Port < 1 || d.Port > 65535 {
		fault("port", "must be 1 to 65535 (got %d)", d.Port)
	}
	if !slices.Contains(sslModes, d.SSLMode) {
		fault("ssl_mode", "must be one of %s (got %q)", strings.Join(sslModes, ", "), d.SSLMode)
	}
	if (c.SSLCert == "") != (c.SSLKey == "") {
		fault("ssl_cert, ssl_key", "must be given together")
	}
	if c.MaxRetained != 0 && c.MaxRetained < minRetained {
		fault("max_retained", "must be at least %s, or unset (got %s)", minRetained, c.MaxRetained)
	}
	if !slotPattern.MatchString(d.Slot) {
		fault("slot", "must be 1 to 54 lower case letters, digits or underscores (got %q)", d.Slot)
	}
	if len(d.Publication) > 63 || strings.ContainsRune(d.Publication, 0) {
		fault("publication", "must be at most 63 bytes (got %q)", d.Publication)
	}
	if d.Heartbeat < time.Second || d.Heartbeat > time.Minute {
		fault("heartbeat", "must be 1s to 1m (got %s)", d.Heartbeat)
	}
	if d.ConnectTimeout < time.Second || d.ConnectTimeout > 5*time.Minute {
		fault("connect_timeout", "must be 1s to 5m (got %s)", d.ConnectTimeout)
	}
	for i, m := range c.Masked {
		if _, _, err := d.column(m); err != nil {
			fault(fmt.Sprintf("masked[%d]", i), "%v", err)
		}
	}
	return errors.Join(faults...)
}

// column splits the name of a masked column.
func (c Config) column(name string) (cdc.Table, string, error) {
	if strings.HasPrefix(name, "message(") {
		return cdc.Table{}, "", fmt.Errorf("must be a table's column: a message is captured whole or not at all, so leave out what nobody may see when it is emitted (got %q)", name)
	}
	parts := strings.Split(name, ".")
	if slices.Contains(parts, "") || len(parts) < 2 || len(parts) > 3 {
		return cdc.Table{}, "", fmt.Errorf("must be table.column or schema.table.column (got %q)", name)
	}
	if len(parts) == 2 {
		parts = append([]string{c.Schema}, parts...)
	}
	return cdc.Table{Schema: parts[0], Name: parts[1]}, parts[2], nil
}

// session settings that shape the text of values. They are the same for stream and snapshot, whatever the server,
// the database or the role would choose, and are part of what codec "pgtext/1" means.
var pinned = map[string]string{
	"client_encoding":             "UTF8",
	"DateStyle":                   "ISO, MDY",
	"IntervalStyle":               "iso_8601",
	"TimeZone":                    "UTC",
	"extra_float_digits":          "3",
	"bytea_output":                "hex",
	"lc_monetary":                 "C",
	"standard_conforming_strings": "on",
	// A snapshot may last for hours, and a policy that hides rows must be an error, not a smaller snapshot.
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"row_security":                        "off",
	// A lock that is not to be had at once would make the database's own users queue behind us (Invariant 13).
	"lock_timeout": "5s",
	// When our host dies, its temporary slot must not hold the server's log for the system's two hours.
	"tcp_keepalives_idle":     "60",
	"tcp_keepalives_interval": "10",
	"tcp_keepalives_count":    "6",
	"application_name":        "waybill",
}

// keepBytes lets a server that does not know what its bytes mean send them as they are. Asked for UTF-8 it would convert nothing, and
// end the statement, or the stream, at the first text that is not valid; so it is one value that fails to decode.
func keepBytes(ctx context.Context, conn *pgconn.PgConn) error {
	if conn.ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	if err := conn.Exec(ctx, "SET client_encoding = 'SQL_ASCII'").Close(); err != nil {
		return fmt.Errorf("asking for text without conversion: %w", err)
	}
	return nil
}

// connection returns the settings of one connection. The password and names are set beside the parsed string, so that
// no error text can repeat them.
func (c Config) connection(replication bool) (*pgx.ConnConfig, error) {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	text := fmt.Sprintf("host=%s port=%d sslmode=%s connect_timeout=%d", quote(c.Host), c.Port, c.SSLMode,
		max(1, int(c.ConnectTimeout/time.Second)))
	for name, file := range map[string]string{"sslrootcert": c.SSLRootCert, "sslcert": c.SSLCert, "sslkey": c.SSLKey} {
		if file != "" { // read anew for each connection, so that a renewed one is taken up
			text += " " + name + "=" + quote(file)
		}
	}
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("reading connection settings: %w", err)
	}
	cfg.User, cfg.Password, cfg.Database = c.User, c.Password, c.Database
	if c.Secret != nil {
		if cfg.Password, err = c.Secret(); err != nil {
			return nil, fmt.Errorf("%w: reading the password of source %s: %w", cdc.ErrDenied, c.Name, err)
		}
	}
	cfg.RuntimeParams = map[string]string{}
	for name, value := range pinned {
		cfg.RuntimeParams[name] = value
	}
	cfg.AfterConnect = keepBytes
	dialer := &net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 15 * time.Second}
	if replication {
		cfg.RuntimeParams["replication"] = "database"
		// Making a slot waits for the transactions that run, for as long as they do.
		cfg.RuntimeParams["lock_timeout"] = "0"
		dialer.Control = smallReceiveBuffer
	}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil || !replication {
			return conn, err
		}
		return &gather{Conn: conn, buf: make([]byte, gatherSize)}, nil
	}
	return cfg, nil
}

// smallReceiveBuffer keeps the window small, before the connection is made. The walsender makes one send for each message;
// when the window closes, the kernel merges them into full segments, and both sides make a fraction of the system calls.
// Measured under load, with pauses of 1 ms: 32 KiB holds the stream back, 64 KiB does not always close and is then half
// as fast; 48 KiB drained within 1 % of the same rate in every run.
func smallReceiveBuffer(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 48<<10)
	})
	return errors.Join(err, failed)
}

// address is how messages name the server.
func (c Config) address() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) + "/" + c.Database
}

// connect opens an ordinary connection.
func (c Config) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := c.connection(false)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", c.address(), err)
	}
	return conn, nil
}
