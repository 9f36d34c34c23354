package web

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A client certificate that is replaced is used from the next connection on, without a restart.
func TestClientCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	writeCert(t, file("server.crt"), file("server.key"), "target.example", 1)
	pair, err := tls.LoadX509KeyPair(file("server.crt"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	var who []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who = append(who, r.TLS.PeerCertificates[0].Subject.CommonName)
		w.Header().Set("Connection", "close")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	c := AuthConfig{TLS: TLS{CA: File(file("server.crt")), Cert: File(file("our.crt")), Key: File(file("our.key")), ServerName: "target.example"}}
	if err := c.Validate("auth."); err == nil || !strings.Contains(err.Error(), "auth.tls.cert: found ") {
		t.Fatal(err)
	}
	writeCert(t, file("our.crt"), file("our.key"), "first", 2)
	cl := client(t, c, Options{}, server.URL)
	ask := func() {
		t.Helper()
		if a := post(cl, server.URL); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	ask()
	time.Sleep(20 * time.Millisecond)                             // the file system's clock ticks
	writeCert(t, file("our.crt"), file("other.key"), "second", 3) // half of the change: the old pair serves
	ask()
	writeCert(t, file("our.crt"), file("our.key"), "second", 3)
	ask()
	if strings.Join(who, " ") != "first first second" {
		t.Error(who)
	}
	if c.Kind() != KindTLS || c.Validate("auth.", KindTLS) != nil || c.Validate("auth.", KindBasic) == nil {
		t.Error("a certificate alone is a kind")
	}
	wrong := client(t, AuthConfig{TLS: TLS{CA: File(file("our.crt")), ServerName: "target.example"}}, Options{}, server.URL)
	if a := post(wrong, server.URL); a.Err == nil || a.Sent {
		t.Errorf("a server that nobody vouches for: %+v", a)
	}
	roots, err := pool(File(file("server.crt")))
	if err != nil {
		t.Fatal(err)
	}
	if system, err := x509.SystemCertPool(); err == nil && roots.Equal(system) {
		t.Error("the certificates of tls.ca are not believed")
	}
}
