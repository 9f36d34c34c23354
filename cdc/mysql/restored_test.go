package mysql

import (
	"os/exec"
	"path/filepath"
	"testing"

	"waybill/cdc/cdctest"
)

// TestRestored puts an older copy of the server's files in their place, and then has it written to again, until it has more
// transactions than it had: they are others, under the same numbers.
func TestRestored(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)")
	data, copied := filepath.Join(m.Dir, "data"), filepath.Join(m.Dir, "copy")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	start := func() {
		t.Helper()
		if err := m.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	// restored reads a while, and goes back to before that.
	restored := func() *follower {
		f := follow(t, config(m, "d"), pick("t")).open()
		f.until(1)
		f.settled()
		f.src.Close()
		m.Stop()
		run("cp", "-a", data, copied)
		start()
		f.open()
		m.Exec(t, "INSERT INTO d.t VALUES (2); INSERT INTO d.t VALUES (3)")
		f.until(3)
		f.src.Close()
		m.Stop()
		run("rm", "-r", data)
		run("mv", copied, data)
		start()
		return f
	}
	f := restored()
	f.again(m, f.lostWith("before the stored position 0-1-", "restored"))
	f = restored()
	m.Exec(t, "CREATE TABLE d.other(id INT PRIMARY KEY)")
	for range 5 {
		m.Exec(t, "INSERT INTO d.t SELECT MAX(id) + 10 FROM d.t")
	}
	f.again(m, f.lostWith("another history"))
}
