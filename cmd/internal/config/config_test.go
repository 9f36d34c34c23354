package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/cdc/mysql"
	"waybill/cdc/postgres"
	"waybill/pipeline"
	"waybill/sinks/erp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const folder = "../../../testdata/config"

// environment is what the tests' files may name.
var environment = map[string]string{"DISPATCH_PASSWORD": "dispatch-secret", "ERP_PASSWORD": "erp-secret", "PRICING_TOKEN": "pricing-secret", "WAYBILL_TOKEN": "0123456789abcdef",
	"WAYBILL_ALERT_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}

func lookup(name string) (string, bool) { v, ok := environment[name]; return v, ok }

// One file for each mistake; the message beside it is what people read.
func TestBadConfigs(t *testing.T) {
	t.Chdir(folder)
	files, err := filepath.Glob("*.bad.yml")
	if err != nil || len(files) < 25 {
		t.Fatalf("bad configurations: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			_, err := load(file, lookup)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message shows a secret: %s", err)
			}
			golden(t, strings.TrimSuffix(file, ".yml")+".txt", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
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
		t.Errorf("%s differs; if that is meant: go test ./cmd/internal/config -update\n got %s\nwant %s", file, got, want)
	}
}

func TestExample(t *testing.T) {
	c, err := load(folder+"/waybill.example.yml", lookup)
	if err != nil {
		t.Fatal(err)
	}
	pg := c.Sources["dispatch"].Settings.(*postgres.Config)
	if pg.Name != "dispatch" || pg.Password != "dispatch-secret" || pg.Port != 5432 || pg.Masked[0] != "public.drivers.ssn" {
		t.Errorf("dispatch: %s %d %v", pg.Name, pg.Port, pg.Masked)
	}
	my := c.Sources["billing"].Settings.(*mysql.Config)
	if my.Name != "billing" || my.Flavor != mysql.MariaDB || my.Password != "billing-secret" || my.TLS.Mode != "verify" || my.Heartbeat != 5*time.Second {
		t.Errorf("billing: %s %s %s", my.Name, my.Flavor, my.TLS.Mode)
	}
	if tr := c.Sinks["erp"].Settings.(*erp.TrytonConfig); tr.Password != "erp-secret" || tr.Company != "Northstar Freight" {
		t.Errorf("erp: %s", tr.Company)
	}
	if c.Journal.MaxBytes != 20<<30 || c.Journal.MaxAge != 7*24*time.Hour || c.Grace != 20*time.Second {
		t.Errorf("bounds: %+v %s", c.Journal, c.Grace)
	}
	if len(c.Mapping) != 1 || !filepath.IsAbs(c.Mapping[0]) || c.Admin.Socket != "/run/waybill/waybill.sock" {
		t.Errorf("paths: %s %s", c.Mapping, c.Admin.Socket)
	}
	if line := c.Line("sources.billing.port"); line < 10 {
		t.Errorf("line of sources.billing.port: %d", line)
	}
}

// The example shows the defaults, so it must not drift from them.
func TestExampleShowsDefaults(t *testing.T) {
	c, err := load(folder+"/waybill.example.yml", lookup)
	if err != nil {
		t.Fatal(err)
	}
	d := Default()
	if c.Journal != d.Journal || c.Disk != d.Disk || c.Limits != d.Limits || c.Log != d.Log || c.Grace != d.Grace ||
		c.Sources["dispatch"].Snapshot != Snapshot(pipeline.DefaultReadings()) || c.Sources["billing"].Snapshot != c.Sources["dispatch"].Snapshot ||
		c.Alerts.Interval != d.Alerts.Interval || c.Alerts.UnknownAfter != d.Alerts.UnknownAfter {
		t.Errorf("the example differs from the defaults: %+v %+v", c.Journal, d.Journal)
	}
}

func TestSecretHides(t *testing.T) {
	s := Secret("hunter2")
	text := fmt.Sprintf("%s %v %+v %#v %q", s, s, struct{ S Secret }{s}, s, s)
	raw, err := json.Marshal(Admin{Token: s})
	if err != nil {
		t.Fatal(err)
	}
	if text += string(raw); strings.Contains(text, "hunter2") {
		t.Errorf("the secret shows itself: %s", text)
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal hides")
	}
}

// A secret that came from a file is read anew whenever its adapter asks; one of the file's text or the environment stays.
func TestSecretsAreReadAnew(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mapping.yml", "mapping: none\n")
	write("dispatch.password", "first\n")
	write("billing.password", "one\r\n")
	write("waybill.yml", `mapping: mapping.yml
sources:
  dispatch: { type: postgres, host: db, database: tms, user: waybill, password_file: dispatch.password, ssl_cert: our.crt, ssl_key: our.key }
  billing: { type: mysql, host: db, database: nstar, user: waybill, password_file: billing.password }
  third: { type: mariadb, host: db, database: nstar, user: waybill, password: "${DISPATCH_PASSWORD}" }
sinks:
  erp: { type: ledger, url: "http://127.0.0.1:9000" }
`)
	c, err := load(filepath.Join(dir, "waybill.yml"), lookup)
	if err != nil {
		t.Fatal(err)
	}
	pg, my := c.Sources["dispatch"].Settings.(*postgres.Config), c.Sources["billing"].Settings.(*mysql.Config)
	if third := c.Sources["third"].Settings.(*mysql.Config); third.Secret != nil || third.Password != "dispatch-secret" {
		t.Error("a secret of the environment is asked for again")
	}
	if pg.SSLCert != filepath.Join(dir, "our.crt") || pg.SSLKey != filepath.Join(dir, "our.key") {
		t.Errorf("client certificate %s, %s", pg.SSLCert, pg.SSLKey)
	}
	expect := func(ask func() (string, error), want string) {
		t.Helper()
		if got, err := ask(); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	expect(pg.Secret, "first")
	expect(my.Secret, "one")
	write("dispatch.password", "second")
	expect(pg.Secret, "second")
	expect(my.Secret, "one")
	write("dispatch.password", "\n") // in the middle of being replaced
	if got, err := pg.Secret(); err == nil {
		t.Errorf("an empty file gave %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "billing.password")); err != nil {
		t.Fatal(err)
	}
	if got, err := my.Secret(); !os.IsNotExist(err) {
		t.Errorf("a missing file gave %q, %v", got, err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "5", "1d-2h", "99999999d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q read as %s", text, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "waybill.yaml")
	text := "mapping: waybill.yaml\nsources:\n  a: { type: mariadb, host: 'h${X}', database: '$${d}', user: u }\n" +
		"sinks:\n  erp: { type: ledger, url: 'http://127.0.0.1:9' }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(file, func(n string) (string, bool) { return "1", n == "X" })
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Sources["a"].Settings.(*mysql.Config); m.Host != "h1" || m.Database != "${d}" {
		t.Errorf("host %q, database %q", m.Host, m.Database)
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{"MaxBytes": "max_bytes", "URL": "url", "TLSMode": "tls_mode", "GTID": "gtid", "ServerID": "server_id"} {
		if got := snake(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob(folder + "/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "waybill.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := load(file, lookup); (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
	})
}
