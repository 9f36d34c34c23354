// Command billing is a simulator, for tests and the demo: a small billing system with an HTTP API that is asked for the invoice of a
// shipment. It answers and fails as such services do, and writes what it makes into the billing database when it is given one, so
// that the invoice comes back through that database's log. Nobody is billed by it.
//
//	POST /v1/invoices            {"shipment", "customer", "charges": [{"charge", "amount"}]} with an Idempotency-Key
//	GET  /v1/invoices?key=KEY    what was made under the key
//	GET  /health
//	POST /control                {"fault", "count", "delay_ms"}: drop, error, slow, throttle, down or pass
//	GET  /control                {"received", "made"}: how many requests came, and how many invoices it made
//
// The first line on standard output is its address. The environment says the rest: BILLING_ADDR (default 127.0.0.1:0),
// BILLING_FILE (what it made, a JSON line each; it is read again at the next start), BILLING_TOKEN (what callers must bear),
// BILLING_DSN (of the MariaDB with inv_hdr, inv_line and bill_cust), BILLING_RELEASE=1 (drafts are released at once),
// BILLING_FORGETFUL=1 (it knows no keys: what is asked twice is made twice).
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "billing simulator:", err)
		os.Exit(1)
	}
}

func run() error {
	s := &service{token: os.Getenv("BILLING_TOKEN"), forgetful: os.Getenv("BILLING_FORGETFUL") == "1", made: map[string][]*invoice{}}
	if err := s.open(os.Getenv("BILLING_FILE")); err != nil {
		return err
	}
	if dsn := os.Getenv("BILLING_DSN"); dsn != "" {
		b, err := openBooks(dsn, os.Getenv("BILLING_RELEASE") == "1")
		if err != nil {
			return err
		}
		defer b.db.Close()
		s.books = b
	}
	addr := os.Getenv("BILLING_ADDR")
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}
