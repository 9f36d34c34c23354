package postgres_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestTLS connects in every mode, with right and wrong certificates, and captures over the strictest.
func TestTLS(t *testing.T) {
	p := cdctest.StartPostgres(t)
	ours, strange := cdctest.NewAuthority(t, "ours"), cdctest.NewAuthority(t, "strange")
	cert, key := ours.Sign(t, "127.0.0.1")
	data := filepath.Join(p.Dir, "data")
	p.Exec(t, `CREATE ROLE scram LOGIN SUPERUSER REPLICATION PASSWORD 'change-me'; CREATE ROLE bycert LOGIN SUPERUSER REPLICATION;
		CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	p.Exec(t, `SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN SUPERUSER REPLICATION PASSWORD 'change-me'`)
	for setting, value := range map[string]string{"ssl": "on", "ssl_cert_file": cdctest.PlaceFile(t, data, "s.crt", cert),
		"ssl_key_file": cdctest.PlaceFile(t, data, "s.key", key), "ssl_ca_file": cdctest.PlaceFile(t, data, "ca.crt", ours.File)} {
		p.Exec(t, `ALTER SYSTEM SET `+setting+` = '`+value+`'`)
	}
	cdctest.Place(t, data, "pg_hba.conf", []byte("local all all trust\nhost all postgres all scram-sha-256\nhostssl all scram all scram-sha-256\n"+
		"hostssl all bycert all cert\nhost all md5 all md5\n"))
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	right, rightKey := ours.Sign(t, "bycert")
	wrong, wrongKey := strange.Sign(t, "bycert")
	for _, c := range []struct {
		name, user, mode, ca, cert, key, host string
		want                                  string // in the error
	}{
		{name: "scram, require", user: "scram", mode: "require"},
		{name: "scram, verify-ca", user: "scram", mode: "verify-ca", ca: ours.File, host: "localhost"},
		{name: "scram, verify-full", user: "scram", mode: "verify-full", ca: ours.File},
		{name: "a server of another authority", user: "scram", mode: "verify-full", ca: strange.File, want: "certificate"},
		{name: "the same by verify-ca", user: "scram", mode: "verify-ca", ca: strange.File, want: "certificate"},
		{name: "another host's certificate", user: "scram", mode: "verify-full", ca: ours.File, host: "localhost", want: "localhost"},
		{name: "no TLS where the server wants it", user: "scram", mode: "disable", want: "28000"},
		{name: "md5, in the clear", user: "md5", mode: "disable"},
		{name: "md5, prefer", user: "md5", mode: "prefer"},
		{name: "client certificate", user: "bycert", mode: "verify-full", ca: ours.File, cert: right, key: rightKey},
		{name: "client certificate of another authority", user: "bycert", mode: "verify-full", ca: ours.File, cert: wrong, key: wrongKey, want: "28000"},
		{name: "no client certificate", user: "bycert", mode: "verify-full", ca: ours.File, want: "28000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(p, "tls")
			cfg.User, cfg.Password, cfg.SSLMode, cfg.SSLRootCert, cfg.SSLCert, cfg.SSLKey = c.user, "change-me", c.mode, c.ca, c.cert, c.key
			if c.host != "" {
				cfg.Host = c.host
			}
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
			findings, err := s.Check(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "change-me") {
					t.Errorf("the error is %v; want one with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.Check == "encryption" && (f.Level != cdc.LevelOK || strings.HasPrefix(f.Found, "on") != (c.mode != "disable")) {
					t.Errorf("%+v", f)
				}
			}
		})
	}

	t.Run("capture", func(t *testing.T) {
		cfg := config(p, "tls")
		cfg.User, cfg.SSLMode, cfg.SSLRootCert, cfg.SSLCert, cfg.SSLKey = "bycert", "verify-full", ours.File, right, rightKey
		s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
		defer s.Close()
		f := follow(t, s)
		f.open("")
		f.until(1)
		p.Exec(t, `INSERT INTO loads SELECT i, i FROM generate_series(2, 20001) i`)
		began := time.Now()
		f.until(20001)
		if took := time.Since(began); took > 6*time.Second { // one record of TLS for each pause would be 12 s and more
			t.Errorf("20000 rows took %s", took)
		}
		for range 3 { // idle: reads that run into their deadline do not harm the session
			f.next()
		}
		p.Exec(t, `UPDATE loads SET n = 7 WHERE id = 1`)
		f.until(20002)
		expect(t, f.rows[20001:], `update loads id="1" n="7"`)
		var on bool
		if err := p.DB.QueryRow(`SELECT bool_and(ssl) FROM pg_stat_ssl s JOIN pg_stat_replication r USING (pid)`).Scan(&on); err != nil || !on {
			t.Errorf("the stream is encrypted: %t, %v", on, err)
		}
	})
}

// TestSecretRotated changes the password while the source runs, on the server and in what the source asks.
func TestSecretRotated(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE ROLE waybill LOGIN SUPERUSER PASSWORD 'first'; CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	cfg := config(p, "rotate")
	secret, failure := "first", error(nil)
	cfg.User, cfg.Password = "waybill", "never used"
	cfg.Secret = func() (string, error) { return secret, failure }
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	s.Close()
	p.Exec(t, `ALTER ROLE waybill PASSWORD 'second'`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Open(ctx, f.pos); !errors.Is(err, cdc.ErrDenied) || errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("with the old password Open returned %v", err)
	}
	secret = "second"
	f.open(f.pos)
	f.next()
	s.Close()
	failure = errors.New("no such file")
	if err := s.Open(ctx, f.pos); !errors.Is(err, failure) || !errors.Is(err, cdc.ErrDenied) {
		t.Errorf("without a secret Open returned %v", err)
	}
}
