package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestTLS connects in every mode and with every method of MariaDB, with right and wrong certificates, and captures over
// the strictest.
func TestTLS(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	ours, strange := cdctest.NewAuthority(t, "ours"), cdctest.NewAuthority(t, "strange")
	cert, key := ours.Sign(t, "127.0.0.1")
	if err := m.Restart("--ssl-ca="+cdctest.PlaceFile(t, m.Dir, "ca.pem", ours.File), "--ssl-cert="+cdctest.PlaceFile(t, m.Dir, "cert.pem", cert),
		"--ssl-key="+cdctest.PlaceFile(t, m.Dir, "key.pem", key), "--plugin-load-add=auth_ed25519"); err != nil {
		t.Fatal(err)
	}
	m.Exec(t, `CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY, s VARCHAR(100)); INSERT INTO d.t VALUES (1, 'x');
		CREATE USER native IDENTIFIED VIA mysql_native_password USING PASSWORD('change-me'); CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('change-me');
		CREATE USER crypt IDENTIFIED BY 'change-me' REQUIRE SSL; CREATE USER bycert IDENTIFIED BY 'change-me' REQUIRE X509;
		GRANT ALL ON *.* TO native; GRANT ALL ON *.* TO ed; GRANT ALL ON *.* TO crypt; GRANT ALL ON *.* TO bycert`)
	right, rightKey := ours.Sign(t, "bycert")
	wrong, wrongKey := strange.Sign(t, "bycert")
	for _, c := range []struct {
		name, user, host string
		tls              TLS
		want             string // in the error
	}{
		{name: "native, off", user: "native"},
		{name: "ed25519, off", user: "ed"},
		{name: "ed25519, require", user: "ed", tls: TLS{Mode: tlsRequire}},
		{name: "native, verify-ca", user: "native", host: "localhost", tls: TLS{Mode: tlsVerifyCA, CA: ours.File}},
		{name: "native, verify", user: "native", tls: TLS{Mode: tlsVerify, CA: ours.File}},
		{name: "another host's certificate", user: "native", host: "localhost", tls: TLS{Mode: tlsVerify, CA: ours.File}, want: "localhost"},
		{name: "another authority", user: "native", tls: TLS{Mode: tlsVerify, CA: strange.File}, want: "certificate"},
		{name: "another authority, verify-ca", user: "native", tls: TLS{Mode: tlsVerifyCA, CA: strange.File}, want: "certificate"},
		{name: "no TLS where the user must", user: "crypt", want: "denied"},
		{name: "TLS where the user must", user: "crypt", tls: TLS{Mode: tlsRequire}},
		{name: "client certificate", user: "bycert", tls: TLS{Mode: tlsVerify, CA: ours.File, Cert: right, Key: rightKey}},
		{name: "no client certificate", user: "bycert", tls: TLS{Mode: tlsVerify, CA: ours.File}, want: "denied"},
		{name: "client certificate of another authority", user: "bycert", tls: TLS{Mode: tlsVerify, CA: ours.File, Cert: wrong, Key: wrongKey}, want: "connecting to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(m, "d")
			cfg.User, cfg.Password, cfg.TLS = c.user, "change-me", c.tls
			if c.host != "" {
				cfg.Host = c.host
			}
			findings, err := follow(t, cfg, pick("t", "s")).src.Check(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "change-me") {
					t.Errorf("the error is %v; want one with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range findings {
				if x.Check == string(aboutEncryption) && strings.HasPrefix(x.Found, "on") != (c.tls.Mode != "") {
					t.Errorf("%+v", x)
				}
			}
		})
	}

	t.Run("capture", func(t *testing.T) {
		cfg := config(m, "d")
		cfg.User, cfg.Password, cfg.TLS = "bycert", "change-me", TLS{Mode: tlsVerify, CA: ours.File, Cert: right, Key: rightKey}
		f := follow(t, cfg, pick("t", "s")).open()
		f.until(1)
		m.Exec(t, "USE d; INSERT INTO t SELECT seq, REPEAT('y', 100) FROM seq_2_to_20001")
		began := time.Now()
		f.until(20001)
		t.Logf("20000 rows in %s", time.Since(began))
		f.settled() // idle: reads that run into their deadline do not harm the session
		f.settled()
		m.Exec(t, "DELETE FROM d.t WHERE id = 1")
		equalRows(t, f.until(20002)[20001:], "delete t old id=1 s=x")
	})
}

// TestSecretRotated changes the password between two sessions, on the server and in what the source asks.
func TestSecretRotated(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY); INSERT INTO "+db+".t VALUES (1); CREATE OR REPLACE USER rotating IDENTIFIED BY 'first'; GRANT ALL ON *.* TO rotating")
	cfg := config(server, db)
	secret, failure := "first", error(nil)
	cfg.User, cfg.Password = "rotating", "never used"
	cfg.Secret = func() (string, error) { return secret, failure }
	f := follow(t, cfg, pick("t")).open()
	f.until(1)
	f.settled()
	f.src.Close()
	server.Exec(t, "ALTER USER rotating IDENTIFIED BY 'second'")
	if err := f.src.Open(t.Context(), f.pos); !errors.Is(err, cdc.ErrDenied) || errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "denied") {
		t.Errorf("with the old password Open returned %v", err)
	}
	secret = "second"
	f.open()
	f.settled()
	f.src.Close()
	failure = errors.New("no such file")
	if err := f.src.Open(t.Context(), f.pos); !errors.Is(err, failure) || !errors.Is(err, cdc.ErrDenied) {
		t.Errorf("without a secret Open returned %v", err)
	}
}
