package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"waybill/cmd/internal/admin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a folder with a configuration, and a person at a terminal, or a script.
type desk struct {
	t      *testing.T
	dir    string
	config string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	mapping, err := os.ReadFile("../../testdata/carriers/northstar/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"waybill.yaml": `data: data
mapping: northstar.yml
sources:
  billing: { type: mariadb, host: 127.0.0.1, port: 1, database: nstar_billing, user: waybill }
  dispatch: { type: postgres, host: 127.0.0.1, port: 1, database: nstar_tms, user: waybill }
sinks:
  erp: { type: ledger, url: "http://127.0.0.1:1", timeout: 1s }
`,
		"northstar.yml": string(mapping),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &desk{t, dir, filepath.Join(dir, "waybill.yaml")}
}

// edit changes the configuration.
func (d *desk) edit(old, with string) {
	d.t.Helper()
	text, err := os.ReadFile(d.config)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.config, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// daemon runs the admin server on the desk's socket, before a fake.
func (d *desk) daemon(f *fakeDaemon) {
	d.t.Helper()
	s, err := admin.New(f, admin.Options{Socket: filepath.Join(d.dir, "data", "waybill.sock"), Gather: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	})
}

// run gives one command and returns what it wrote and its exit code. A typed answer means that a person is there.
func (d *desk) run(ctx context.Context, answer string, args ...string) (out, err string, code int) {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	code = d.app(answer, &stdout, &stderr).execute(ctx, append([]string{"-c", d.config}, args...))
	clean := func(b *bytes.Buffer) string { return strings.ReplaceAll(b.String(), d.dir, "DIR") }
	return clean(&stdout), clean(&stderr), code
}

func (d *desk) app(answer string, stdout, stderr io.Writer) *app {
	return &app{in: strings.NewReader(answer), out: stdout, err: stderr, terminal: answer != "", zone: testZone, now: nowForTests, by: "ann@desk"}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}
