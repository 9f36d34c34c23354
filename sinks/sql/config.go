package sql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/sinks/web"
)

// The products.
const (
	Postgres = "postgres"
	MariaDB  = "mariadb"
	MySQL    = "mysql"
)

// Config is one database and the tables that the entities of the mapping become.
type Config struct {
	// Product is postgres, mariadb or mysql; the type of the sink says it.
	Product string `yaml:"-"`
	// Host name, address, or socket.
	Host string `yaml:"host"`
	// Default 5432, or 3306.
	Port int `yaml:"port"`
	// The database that holds the tables.
	Database string `yaml:"database"`
	// A role that may read and write the configured columns.
	User string `yaml:"user"`
	// From password_file or password_command it is read before each connection.
	Password web.Secret `yaml:"password"`
	TLS      TLS        `yaml:"tls"`
	// Schema of tables named without one. Default public; of MariaDB and MySQL the database.
	Schema string `yaml:"schema"`
	// IANA name of the zone in which columns without a zone are written and read. Default UTC.
	TimeZone string `yaml:"time_zone"`
	// Of one delivery or look, with its connection. Default 20s.
	Timeout time.Duration `yaml:"timeout"`
	// How long a row that somebody else holds is waited for. Default 2s, in whole seconds on MariaDB and MySQL.
	LockTimeout time.Duration `yaml:"lock_timeout"`
	// Of one statement, kept by the server. Default 10s; MySQL has none for writes.
	StatementTimeout time.Duration `yaml:"statement_timeout"`
	// How long after a lost answer a COMMIT may still come to its end. Default 15s.
	Horizon time.Duration `yaml:"horizon"`
	// Connections at most. Default 4.
	Connections int `yaml:"connections"`
	// The source that captures this database, if one does: the change that a posting makes there is then an echo, and no news.
	Source string `yaml:"source"`
	// What the mapping's posts may name behind the sink, and its table.
	Entities map[string]Entity `yaml:"entities"`
}

// TLS says how the connection is protected.
type TLS struct {
	// off; prefer (default: encrypted where the server can); require (its certificate is not checked); verify-ca (its authority is); verify (and its name).
	Mode string `yaml:"mode"`
	// File with the certificate authority; the system's when left out.
	CA string `yaml:"ca"`
	// File with our certificate.
	Cert string `yaml:"cert"`
	// File with its key.
	Key string `yaml:"key"`
}

const (
	tlsOff      = "off"
	tlsPrefer   = "prefer"
	tlsRequire  = "require"
	tlsVerifyCA = "verify-ca"
	tlsVerify   = "verify"
)

var sslModes = map[string]string{tlsOff: "disable", tlsPrefer: "prefer", tlsRequire: "require", tlsVerifyCA: "verify-ca", tlsVerify: "verify-full"}

func (c Config) withDefaults() Config {
	texts := []struct {
		at    *string
		value string
	}{{&c.TLS.Mode, tlsPrefer}, {&c.TimeZone, "UTC"}, {&c.Schema, c.Database}}
	if c.Product == Postgres {
		texts[2].value = "public"
	}
	for _, d := range texts {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	if c.Port == 0 {
		c.Port = map[bool]int{true: 5432, false: 3306}[c.Product == Postgres]
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&c.Timeout, 20 * time.Second}, {&c.LockTimeout, 2 * time.Second}, {&c.StatementTimeout, 10 * time.Second}, {&c.Horizon, 15 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	c.Entities = maps.Clone(c.Entities)
	for name, e := range c.Entities {
		c.Entities[name] = e.withDefaults()
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	d := c.withDefaults()
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	for _, f := range []struct{ name, value, want string }{{"host", c.Host, "the name or address of the server"},
		{"database", c.Database, "the name of the database"}, {"user", c.User, "the role that writes"}} {
		if f.value == "" {
			bad(f.name, f.value, f.want)
		}
	}
	if d.Port < 1 || d.Port > 65535 {
		bad("port", strconv.Itoa(d.Port), "1 to 65535")
	}
	if sslModes[d.TLS.Mode] == "" {
		bad("tls.mode", d.TLS.Mode, "off, prefer, require, verify-ca or verify")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls.cert", c.TLS.Cert, "tls.cert and tls.key together")
	}
	if _, err := time.LoadLocation(d.TimeZone); err != nil {
		bad("time_zone", c.TimeZone, "an IANA name such as America/Chicago")
	}
	for _, t := range []struct {
		name        string
		value       time.Duration
		least, most time.Duration
	}{{"timeout", d.Timeout, time.Second, time.Hour}, {"lock_timeout", d.LockTimeout, 10 * time.Millisecond, time.Minute},
		{"statement_timeout", d.StatementTimeout, 100 * time.Millisecond, 10 * time.Minute}, {"horizon", d.Horizon, time.Second, time.Hour}} {
		if t.value < t.least || t.value > t.most {
			bad(t.name, t.value.String(), fmt.Sprintf("a duration from %s to %s", t.least, t.most))
		}
	}
	if d.Connections < 1 || d.Connections > 100 {
		bad("connections", strconv.Itoa(c.Connections), "1 to 100")
	}
	if len(c.Entities) == 0 {
		bad("entities", "", "at least one, by the name that the mapping's posts give it")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Entities)) {
		d.Entities[name].validate("entities."+name+".", bad)
	}
	return errors.Join(errs...)
}

// password is the one to log in with now.
func (c *Config) password() (string, error) {
	p, err := c.Password.Read()
	if err != nil {
		return "", &secretError{err}
	}
	return p, nil
}

// secretError is that the password could not be read.
type secretError struct{ err error }

func (e *secretError) Error() string { return "reading the password: " + e.err.Error() }
func (e *secretError) Unwrap() error { return e.err }

// address is how messages name the server.
func (c *Config) address() string {
	if strings.Contains(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// client returns the settings of an encrypted connection, nil when it is not to be.
func (t *TLS) client(host string) (*tls.Config, error) {
	if t.Mode == tlsOff {
		return nil, nil
	}
	out := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Mode != tlsVerify}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls.ca %s: no certificate in PEM form", t.CA)
		}
	}
	if t.Mode == tlsVerifyCA {
		out.VerifyConnection = func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: out.RootCAs, Intermediates: between})
			return err
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("reading tls.cert and tls.key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
