package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a running daemon takes, and what it refuses; no secret is shown.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("mapping.yml", "mapping: none\n")
	const text = `mapping: mapping.yml
sources:
  a: { type: mariadb, host: db, database: d, user: u, password: hunter2 }
sinks:
  erp: { type: ledger, url: "http://127.0.0.1:9", policy: { account: shared } }
  own: { type: ledger, url: "http://127.0.0.1:9", policy: { rate: 5 } }
accounts:
  shared: { concurrency: 4 }
`
	read := func(text string) *Config {
		t.Helper()
		c, err := load(write("waybill.yaml", text), lookup)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := read(text)
	if taken, faults := old.Changed(read(text + "# a comment\n")); len(taken)+len(faults) > 0 {
		t.Errorf("nothing changed: %v %v", taken, faults)
	}
	edit := strings.NewReplacer("rate: 5", "burst: 3, dry_run: true", "concurrency: 4", "concurrency: 8, adapt: { floor: 2 }")
	taken, faults := old.Changed(read(edit.Replace(text)))
	want := "[accounts.shared.adapt.floor: (not set) → 2 accounts.shared.concurrency: 4 → 8 sinks.own.policy.burst: (not set) → 3 " +
		"sinks.own.policy.dry_run: (not set) → true sinks.own.policy.rate: 5 → (not set)]"
	if len(faults) > 0 || fmt.Sprint(taken) != want {
		t.Errorf("%v\n%v, want\n%s", faults, taken, want)
	}
	edit = strings.NewReplacer("hunter2", "hunter3", "host: db", "host: other", "{ account: shared }", "{ rate: 1 }", "127.0.0.1:9", "127.0.0.1:8")
	taken, faults = old.Changed(read(edit.Replace(text)))
	if got := fmt.Sprint(taken); got != "[sinks.erp.policy.rate: (not set) → 1]" {
		t.Error(got)
	}
	got := strings.ReplaceAll(faults.Error(), dir+"/", "")
	want = `waybill.yaml:3: sources.a.host: found "other", expected as at the start "db". Put it back, or restart the daemon to take it.
waybill.yaml:3: sources.a.password: found another value than at the start. Put it back, or restart the daemon to take it.
waybill.yaml:5: sinks.erp.policy.account: found nothing, expected as at the start "shared". Put it back, or restart the daemon to take it.
waybill.yaml:5: sinks.erp.url: found "http://127.0.0.1:8", expected as at the start "http://127.0.0.1:9". Put it back, or restart the daemon to take it.
waybill.yaml:6: sinks.own.url: found "http://127.0.0.1:8", expected as at the start "http://127.0.0.1:9". Put it back, or restart the daemon to take it.`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
