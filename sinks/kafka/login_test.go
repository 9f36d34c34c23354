package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"waybill/cdc/cdctest"
	"waybill/sinks"
	"waybill/sinks/web"
)

// A server that wants a certificate gets ours.
func TestOurCertificateIsShown(t *testing.T) {
	authority := cdctest.NewAuthority(t, "brokers")
	raw, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	cert, key := authority.Sign(t, "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shown := make(chan string, 1)
	go func() {
		defer close(shown)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		secure := conn.(*tls.Conn)
		if err := errors.Join(conn.SetDeadline(time.Now().Add(10*time.Second)), secure.Handshake()); err == nil {
			shown <- secure.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
	}()
	ours, ourKey := authority.Sign(t, "waybill")
	c, err := TLS{Enabled: true, CA: web.File(authority.File), Cert: web.File(ours), Key: web.File(ourKey)}.config()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", listener.Addr().String(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if name := <-shown; name != "waybill" {
		t.Errorf("the server saw %q", name)
	}
}

// Files that are gone when a connection is opened are a matter for a person, as a secret is that cannot be read. Nothing goes to a broker.
func TestFilesThatAreGone(t *testing.T) {
	c := good()
	c.TLS = TLS{Enabled: true, CA: "/nowhere/ca.pem"}
	p := New(c)
	defer p.Close()
	if o := p.Publish(t.Context(), to("t", 1, 1))[0]; o.Class != sinks.Setup || o.Code != "AUTH" {
		t.Errorf("%+v", o)
	}
}
