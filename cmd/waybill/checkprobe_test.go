package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"waybill/cmd/internal/config"
)

// books is a service that takes invoices; keyed, it makes one of what comes twice with a key.
type books struct {
	keyed bool
	mu    sync.Mutex
	made  []string // keys
}

func (b *books) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-RateLimit-Limit", "600")
	if r.Header.Get("X-Api-Key") != "k3y-k3y" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet {
		var items []string
		for i, key := range b.made {
			if key == r.URL.Query().Get("key") {
				items = append(items, fmt.Sprintf(`{"id":"I%d"}`, i+1))
			}
		}
		fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	key := r.Header.Get("Idempotency-Key")
	for i, other := range b.made {
		if b.keyed && other == key {
			fmt.Fprintf(w, `{"id":"I%d"}`, i+1)
			return
		}
	}
	b.made = append(b.made, key)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"id":"I%d"}`, len(b.made))
}

// What people see of targets of several kinds: one that honours the key, one that does not, with and without a verification, one that refuses us, one that may not be
// written into, and one of another type.
func TestProbe(t *testing.T) {
	d := newDesk(t)
	sink := func(b *books, key, more string) string {
		s := httptest.NewServer(b)
		t.Cleanup(s.Close)
		return fmt.Sprintf(`{ type: http, url: %q, auth: { api_key: { key: %s } }, entities: { invoice: { path: /invoices, ref: id, verify: { path: "/invoices?key={external_id}", found: items } } }%s }`, s.URL, key, more)
	}
	blind := `{ type: http, url: %q, auth: { api_key: { key: k3y-k3y } }, entities: { invoice: { path: /invoices, ref: id } }, probe: { entity: invoice, body: '{"test":true}' } }`
	unverified := httptest.NewServer(&books{})
	t.Cleanup(unverified.Close)
	const record = `, probe: { entity: invoice, body: '{"test":true}' }`
	silent, forgetful := &books{keyed: true}, &books{}
	d.edit("sinks:\n", "sinks:\n  honest: "+sink(&books{keyed: true}, "k3y-k3y", record)+"\n  forgetful: "+sink(forgetful, "k3y-k3y", record)+
		"\n  locked: "+sink(&books{}, "wr0ng-k3y", record)+"\n  silent: "+sink(silent, "k3y-k3y", "")+"\n  unverified: "+fmt.Sprintf(blind, unverified.URL)+"\n")
	cfg, err := config.Load(d.config)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := &report{}
	if err := probeSinks(t.Context(), r, cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := d.app("", &out, io.Discard).printReport(r, "Next: waybill plan, then waybill run."); exitCode(err) != exitEnvironment {
		t.Errorf("%v", err)
	}
	golden(t, "check_probe", out.String())
	if len(silent.made) != 0 || len(forgetful.made) != 2 || forgetful.made[0] != "WAYBILL-PROBE" {
		t.Errorf("%v %v", silent.made, forgetful.made)
	}
	if text, _, _ := d.run(t.Context(), "", "check", "--probe"); !strings.Contains(text, "probe: key") {
		t.Error(text)
	}
	if text, _, _ := d.run(t.Context(), "", "check"); strings.Contains(text, "probe:") {
		t.Error(text)
	}
}
