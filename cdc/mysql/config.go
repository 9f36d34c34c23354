package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"strings"
	"time"
)

// Config names one MariaDB or MySQL database.
type Config struct {
	Name     string `yaml:"-"`        // the source's name in the configuration; part of every event id
	Flavor   string `yaml:"flavor"`   // mariadb (default) or mysql
	Host     string `yaml:"host"`     // host name, address, or the path of a socket
	Port     int    `yaml:"port"`     // default 3306
	Database string `yaml:"database"` // the database of tables that a mapping names without one
	User     string `yaml:"user"`
	Password string `yaml:"-"` // resolved by the caller from its secret; never logged
	TLS      TLS    `yaml:"tls"`

	ServerID       uint32        `yaml:"server_id"`       // our id among the server's replicas; derived from machine, name and database when 0
	Heartbeat      time.Duration `yaml:"heartbeat"`       // an idle source reports its position this often; default 5s
	GTID           string        `yaml:"gtid"`            // auto (default): resume by GTID when the server has them; on: must; off: by file and position
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // default 10s
	Masked         []string      `yaml:"masked"`          // "table.column": never read from a row, never stored

	// Secret, if set, is asked for the password before each connection, in place of Password, so that one that was changed
	// on the server and in its file works from the next connection on. It is called from any goroutine.
	Secret func() (string, error) `yaml:"-"`

	Definitions Definitions `yaml:"-"` // where the history of table definitions is kept; nil: in memory, and lost at Close
}

// TLS says how the connection is protected.
type TLS struct {
	Mode string `yaml:"mode"` // off (default), require (encrypted, certificate not checked), verify-ca (its authority is), verify (and its name)
	CA   string `yaml:"ca"`   // file with the certificate authority; the system's when empty
	Cert string `yaml:"cert"` // file with the client certificate
	Key  string `yaml:"key"`  // file with its key
}

// The values of Flavor, GTID and TLS.Mode.
const (
	MariaDB = "mariadb"
	MySQL   = "mysql"

	gtidAuto, gtidOn, gtidOff        = "auto", "on", "off"
	tlsOff, tlsRequire               = "off", "require"
	tlsVerifyCA, tlsVerify           = "verify-ca", "verify"
	minHeartbeat                     = 100 * time.Millisecond
	defaultPort                      = 3306
	defaultHeartbeat, defaultConnect = 5 * time.Second, 10 * time.Second
)

// withDefaults fills in what the configuration leaves open.
func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Flavor, MariaDB)
	def(&c.GTID, gtidAuto)
	def(&c.TLS.Mode, tlsOff)
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnect
	}
	if c.ServerID == 0 {
		c.ServerID = c.derivedServerID()
	}
	return c
}

// derivedServerID gives the same id on every start on one machine, above the range that people number servers in. Two
// daemons on one machine, each with its carrier's database on the same server, get different ones.
func (c Config) derivedServerID() uint32 {
	h := fnv.New32a()
	host, _ := os.Hostname() // without one the name alone must do
	fmt.Fprintf(h, "waybill\x00%s\x00%s\x00%s", host, c.Name, c.Database)
	return h.Sum32() | 1<<30
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	must := func(field, value string) {
		if value == "" {
			fault("%s: must not be empty", field)
		}
	}
	oneOf := func(field, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		fault("%s: must be one of %s (got %q)", field, strings.Join(allowed, ", "), value)
	}
	must("name", c.Name)
	must("host", c.Host)
	must("database", c.Database)
	must("user", c.User)
	oneOf("flavor", c.Flavor, MariaDB, MySQL)
	oneOf("gtid", c.GTID, gtidAuto, gtidOn, gtidOff)
	oneOf("tls.mode", c.TLS.Mode, tlsOff, tlsRequire, tlsVerifyCA, tlsVerify)
	if c.Port < 1 || c.Port > 65535 {
		fault("port: must be between 1 and 65535 (got %d)", c.Port)
	}
	if c.Heartbeat < minHeartbeat || c.Heartbeat > time.Hour {
		fault("heartbeat: must be between %v and 1h (got %v)", minHeartbeat, c.Heartbeat)
	}
	if c.ConnectTimeout < time.Second || c.ConnectTimeout > 10*time.Minute {
		fault("connect_timeout: must be between 1s and 10m (got %v)", c.ConnectTimeout)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		fault("tls.cert, tls.key: must be given together")
	}
	for i, m := range c.Masked {
		if table, column, ok := cutLast(m); !ok || table == "" || column == "" {
			fault("masked[%d]: must be table.column (got %q)", i, m)
		}
	}
	return errors.Join(faults...)
}

// tlsConfig returns nil when the connection is not protected.
func (c *Config) tlsConfig() (*tls.Config, error) {
	if c.TLS.Mode == tlsOff {
		return nil, nil
	}
	out := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.TLS.Mode != tlsVerify}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(c.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls.ca %s: no certificate in PEM form", c.TLS.CA)
		}
	}
	if c.TLS.Mode == tlsVerifyCA {
		out.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, out.RootCAs) }
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("reading tls.cert and tls.key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// verifyChain checks who signed the server's certificate, and not whom it names.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// local reports whether the server is on this machine.
func (c *Config) local() bool {
	ip := net.ParseIP(c.Host)
	return strings.Contains(c.Host, "/") || c.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// cutLast splits "a.b.c" into "a.b" and "c".
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
