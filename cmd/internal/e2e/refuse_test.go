package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/cdc/cdctest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// masks replace what differs from run to run.
var masks = []struct{ find, put string }{
	{`time=\S+ `, ""},
	{`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d| C[SD]T)?`, "TIME"},
	{`outcome unknown \(.*\)`, "outcome unknown (WHY)"},
	{`(?m)^(TIME +\S+ +\S+) +\d+  `, "$1 ENTRY  "},
	{`/tmp/\S*?/\d{3}/`, "DIR/"},
	{`/tmp/Test[^\s"]*/\d{3}`, "DIR"},
	{`127\.0\.0\.1:\d+`, "HOST:PORT"},
	{`127\.0\.0\.1", port \d+`, `HOST", port PORT`},
	{`port:? \d+`, "port PORT"},
	{`tms_\d+`, "TMS"},
	{`billing_\d+`, "BILLING"},
	{`pg/\d+/`, "pg/SYSTEM/"},
	{`\b[0-9A-F]+/[0-9A-F]{5,8}\b`, "LSN"},
	{`\b\d+-\d+-\d+\b`, "GTID"},
	{`binlog\.\d{6}(:\d+)?`, "BINLOG"},
	{`process \d+`, "process PID"},
	{`PID \d+`, "PID PID"},
	{`active_pid \d+`, "active_pid PID"},
	{`\d+ MiB free`, "N MiB free"},
	{`\(/tmp/waybill-e2e-\d+/waybill run\)`, "(waybill run)"},
	{`/tmp/waybill-e2e-\d+/`, "SCRATCH/"},
	{`[0-9a-f]{8}-[0-9a-f-]{27}`, "UUID"},
	{`inode \d+`, "inode N"},
	{`ledger-[0-9a-f]+`, "LEDGER"},
}

// golden compares what a person sees with the file of the test.
func (s *site) golden(name, text string) {
	s.t.Helper()
	for _, m := range masks {
		text = regexp.MustCompile(m.find).ReplaceAllString(text, m.put)
	}
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if text != string(want) {
		s.t.Errorf("%s differs\n--- got\n%s\n--- want\n%s", file, text, want)
	}
}

// complaint is what the daemon said when it ended: the last line is for people, the log lines before it are not compared.
func complaint(text string) string {
	if i := strings.Index(text, "waybill: "); i >= 0 {
		return text[i:]
	}
	return text
}

// refuses proves that the daemon does not run, and says why as the golden file has it.
func (s *site) refuses(name string, code int) {
	s.t.Helper()
	text, got := s.refused()
	if got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	s.golden(name, complaint(text))
}

// carriesOn proves that the daemon runs again and that nothing was lost meanwhile.
func (s *site) carriesOn(post func() []string, check func([]string)) {
	s.t.Helper()
	numbers := post()
	s.start()
	s.settled(60 * time.Second)
	check(numbers)
	s.stop()
}

// purge drops every binary log but a new one.
func (s *site) purge() {
	s.t.Helper()
	maria.Exec(s.t, "FLUSH BINARY LOGS")
	var name string
	var position int64
	var do, ignore string
	if err := maria.DB.QueryRow("SHOW MASTER STATUS").Scan(&name, &position, &do, &ignore); err != nil {
		s.t.Fatal(err)
	}
	s.until(20*time.Second, "the old binary logs are gone", func() bool {
		maria.Exec(s.t, "PURGE BINARY LOGS TO '"+name+"'") // keeps what a dead reader's thread still holds
		rows, err := maria.DB.Query("SHOW BINARY LOGS")
		if err != nil {
			s.t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			n++
		}
		return n == 1
	})
}

// good reads a file of the site.
func good(s *site, name string) string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(raw)
}

func TestRefusals(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	numbers := s.workday(3, 5)
	s.settled(60 * time.Second)
	s.stop()
	next := 0
	more := func() []string {
		next++
		inv := plain("R"+string(rune('0'+next)), "100001", 7700)
		s.draft(inv)
		s.release(inv.no)
		numbers = append(numbers, inv.no)
		return numbers
	}
	check := func(numbers []string) { simulated{s, erp}.posted(numbers) }
	yaml, mapping := good(s, "waybill.yaml"), good(s, "mapping.yaml")

	t.Run("wrong mapping", func(t *testing.T) {
		s.t = t
		s.file("mapping.yaml", strings.Replace(mapping, "status_cd", "status_code", 1))
		out, errs, code := s.waybill("map", "check")
		if code != 2 {
			t.Errorf("exit code %d", code)
		}
		s.golden("wrong_mapping", out[max(0, strings.Index(out, "FAIL  ")):]+errs)
		s.file("mapping.yaml", mapping)
		s.carriesOn(more, check)
	})
	t.Run("wrong password", func(t *testing.T) {
		s.t = t
		s.file("waybill.yaml", strings.Replace(yaml, "password: "+maria.Password, "password: nonsense", 2))
		s.refuses("wrong_password_billing", 3)
		if text := s.log.String(); strings.Contains(text, "nonsense") {
			t.Errorf("the password is in the log:\n%s", text) // Invariant 12
		}
		s.file("waybill.yaml", yaml)
		s.carriesOn(more, check)
	})
	t.Run("missing privilege", func(t *testing.T) {
		fresh := newSite(t)
		erp := fresh.ledger()
		fresh.write()
		full := good(fresh, "waybill.yaml")
		fresh.sql(fresh.dispatch, `CREATE ROLE narrow LOGIN REPLICATION PASSWORD '`+narrowPassword+`'; GRANT SELECT ON customers, stops, accessorials TO narrow`)
		fresh.file("waybill.yaml", strings.Replace(strings.Replace(full, "user: "+pg.User, "user: narrow", 1), "password: "+pg.Password, "password: "+narrowPassword, 1))
		fresh.refuses("missing_privilege", 3)
		fresh.file("waybill.yaml", full)
		fresh.carriesOn(func() []string {
			fresh.customer("100001", "Lone Star Foods")
			fresh.draft(plain("P1", "100001", 100))
			fresh.release("P1")
			return []string{"P1"}
		}, func(numbers []string) { simulated{fresh, erp}.posted(numbers) })
	})
	t.Run("table without identity", func(t *testing.T) {
		fresh := newSite(t)
		erp := fresh.ledger()
		fresh.write()
		fresh.sql(fresh.dispatch, `ALTER TABLE loads DROP CONSTRAINT loads_pkey`)
		fresh.customer("100001", "Lone Star Foods")
		text, code := fresh.refused()
		if code != 3 {
			t.Errorf("exit code %d", code)
		}
		fresh.golden("table_without_identity", complaint(text))
		// The source is not hurt: its updates work, and the statement that we print makes us start.
		fresh.load(1, "100001")
		fix := regexp.MustCompile(`ALTER TABLE .*?REPLICA IDENTITY FULL;`).FindString(complaint(text))
		if fix == "" {
			t.Fatalf("no statement to run in:\n%s", text)
		}
		fresh.sql(fresh.dispatch, fix)
		fresh.start()
		fresh.load(2, "100001")
		inv := plain("I1", "100001", 5000)
		inv.load = 2
		fresh.draft(inv)
		fresh.release("I1")
		fresh.settled(60 * time.Second)
		simulated{fresh, erp}.posted([]string{"I1"})
		fresh.stop()
	})
	t.Run("second daemon", func(t *testing.T) {
		s.t = t
		s.start()
		first, exited, log := s.daemon, s.exited, s.log
		s.refuses("second_daemon", 3)
		s.daemon, s.exited, s.log = first, exited, log
		s.stop()
		s.carriesOn(more, check)
	})
	t.Run("dropped slot", func(t *testing.T) {
		s.t = t
		s.sql(s.dispatch, `SELECT pg_drop_replication_slot($1)`, s.pgName)
		s.refuses("dropped_slot", 3)
		more()
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "the slot was dropped")
		s.carriesOn(more, check)
	})
	t.Run("purged binlog", func(t *testing.T) {
		s.t = t
		more()
		s.purge()
		s.refuses("purged_binlog", 3)
		s.must("checkpoint", "reset", "billing", "--to", "snapshot", "--yes", "--why", "the binlog was purged")
		s.carriesOn(more, check)
	})
	t.Run("another server", func(t *testing.T) {
		s.t = t
		other := cdctest.StartMariaDB(t, "--server-id=77", "--character-set-server=latin1")
		other.Exec(t, "CREATE DATABASE "+s.myName)
		other.Exec(t, "USE "+s.myName+"; "+s.read("billing.sql"))
		text := regexp.MustCompile(`port: `+itoa(maria.Port)).ReplaceAllString(yaml, "port: "+itoa(other.Port))
		s.file("waybill.yaml", text)
		s.refuses("another_server", 3)
		s.file("waybill.yaml", yaml)
		s.carriesOn(more, check)
	})
	t.Run("copied store", func(t *testing.T) {
		s.t = t
		if out, err := exec.Command("cp", "-a", filepath.Join(s.dir, "data"), filepath.Join(s.dir, "data2")).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		s.file("waybill.yaml", strings.Replace(yaml, "data: data", "data: data2", 1))
		s.refuses("copied_store", 3)
		s.file("waybill.yaml", yaml)
		s.carriesOn(more, check)
	})
	t.Run("staging databases at the production target", func(t *testing.T) {
		staging := newSite(t)
		staging.sink = s.sink
		staging.write()
		staging.refuses("staging_at_production", 3)
		s.t = t
		s.carriesOn(more, check)
	})
	s.t = t
}

func TestFullDiskPausesAndGoesOn(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=400m"); err != nil {
		t.Fatalf("a volume of limited size needs the right to mount: %v", err)
	}
	defer func() {
		if s.daemon != nil {
			s.kill()
		}
		if err := syscall.Unmount(data, 0); err != nil {
			t.Error(err)
		}
	}()
	s.start()
	numbers := s.workday(3, 5)
	s.settled(60 * time.Second)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(data, &fs); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(data, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*fs.Bsize-48<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		inv := plain("F"+string(rune('1'+i)), "100001", 5500)
		s.draft(inv)
		s.release(inv.no)
		numbers = append(numbers, inv.no)
	}
	var why string
	s.until(30*time.Second, "capture pauses", func() bool {
		for _, src := range s.status().Sources {
			if src.Name == "billing" && src.State == "paused" {
				why = src.Error
				return true
			}
		}
		return false
	})
	s.golden("full_disk", why+"\n")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.settled(60 * time.Second)
	simulated{s, erp}.posted(numbers)
	s.stop()
}
