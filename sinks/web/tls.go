package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS says whom we believe and who we are.
type TLS struct {
	// Certificates (PEM) that are believed beside the system's.
	CA File `yaml:"ca"`
	// Our certificate (PEM), for a target that lets in by it. It is read again when the file has changed.
	Cert File `yaml:"cert"`
	// Its private key (PEM).
	Key File `yaml:"key"`
	// Name that the target's certificate must have, where it is not the one of the address.
	ServerName string `yaml:"server_name"`
}

func (t TLS) validate(at string, bad fault) {
	if (t.Cert == "") != (t.Key == "") {
		bad(at+"key", string(t.Key), "cert and key together")
	} else if t.Cert != "" {
		if _, err := tls.LoadX509KeyPair(string(t.Cert), string(t.Key)); err != nil {
			bad(at+"cert", string(t.Cert), "a certificate and its key ("+err.Error()+")")
		}
	}
	if t.CA != "" {
		if _, err := pool(t.CA); err != nil {
			bad(at+"ca", string(t.CA), "certificates in PEM ("+err.Error()+")")
		}
	}
}

// config is nil when nothing is set.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName}
	if t.CA != "" {
		roots, err := pool(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca: %w", err)
		}
		c.RootCAs = roots
	}
	if t.Cert != "" {
		pair := &keyPair{cert: string(t.Cert), key: string(t.Key)}
		if _, err := pair.get(); err != nil {
			return nil, fmt.Errorf("reading tls.cert and tls.key: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.get() }
	}
	return c, nil
}

// pool is the system's certificates with those of a file.
func pool(file File) (*x509.CertPool, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in it")
	}
	return roots, nil
}

// keyPair is a certificate with its key, read again when one of the files has changed.
type keyPair struct {
	cert, key string

	mu    sync.Mutex
	stamp [2]fileStamp
	pair  *tls.Certificate
}

type fileStamp struct {
	changed time.Time
	size    int64
}

// get gives the pair for one handshake. While the two files are replaced they do not fit; the old pair serves until they do, and it is the
// target that says when it has expired.
func (k *keyPair) get() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var stamp [2]fileStamp
	for i, file := range []string{k.cert, k.key} {
		if info, err := os.Stat(file); err == nil {
			stamp[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	if k.pair != nil && stamp == k.stamp {
		return k.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err == nil {
		k.pair, k.stamp = &pair, stamp
	}
	if k.pair == nil {
		return nil, err
	}
	return k.pair, nil
}
