package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// config is nil when connections are not encrypted. The error names the file that cannot be used.
func (t TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		raw, err := os.ReadFile(string(t.CA))
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(string(t.Cert), string(t.Key))
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// loginError is that what we log in with cannot be read: nothing was asked of a broker.
type loginError struct{ err error }

func (e *loginError) Error() string { return "credentials: " + e.err.Error() }

func (e *loginError) Unwrap() error { return e.err }

// login is a mechanism whose password is read anew for each connection.
type login struct{ SASL }

// mechanism is nil when there is no login.
func (s SASL) mechanism() sasl.Mechanism {
	if s.Mechanism == "" {
		return nil
	}
	return login{s}
}

// Name is that of the protocol.
func (l login) Name() string { return strings.ToUpper(l.Mechanism) }

// Start implements sasl.Mechanism.
func (l login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	password, err := l.Password.Read()
	if err != nil {
		return nil, nil, &loginError{err}
	}
	if l.Mechanism == "plain" {
		return plain.Mechanism{Username: l.User, Password: password}.Start(ctx)
	}
	algorithm := scram.SHA512
	if l.Mechanism == "scram-sha-256" {
		algorithm = scram.SHA256
	}
	m, err := scram.Mechanism(algorithm, l.User, password)
	if err != nil {
		return nil, nil, &loginError{fmt.Errorf("user or password cannot be used with %s", l.Mechanism)}
	}
	return m.Start(ctx)
}
