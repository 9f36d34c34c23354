package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/pipeline"
)

// TestMaxRetained holds capture back until the slot keeps more than max_retained. Waybill drops it, begins again with a compared
// reading by itself, and posts once what was released while nobody listened.
func TestMaxRetained(t *testing.T) {
	e := newEngine(t, "postgres")
	e.sql(e.db, `CREATE TABLE freight (k bigint PRIMARY KEY, status text NOT NULL, note text NOT NULL); INSERT INTO freight SELECT n, 'D', 'load' FROM generate_series(1, 5) n`)
	e.configure(customersOf("freight", `became(status, "R")`, "k", "note"), "")
	e.file("waybill.yaml", strings.Replace(good(e.site, "waybill.yaml"), "    heartbeat: 1s\n", "    heartbeat: 1s\n    max_retained: 128MiB\n", 1))
	free := e.smallDisk()
	e.start()
	e.settled(time.Minute)
	e.sql(e.db, `UPDATE freight SET status = 'R' WHERE k = 1`)
	e.settled(time.Minute)

	full := e.fill(free)
	e.until(30*time.Second, "capture is paused", func() bool { src, _ := e.source(); return src.State == "paused" })
	e.sql(e.db, `UPDATE freight SET status = 'R' WHERE k = 2; INSERT INTO freight VALUES (6, 'R', 'new'); DELETE FROM freight WHERE k = 5`)
	for range 12 { // of 16 MiB
		e.sql(e.db, `SELECT pg_logical_emit_message(false, 'fill', 'x')`)
		e.sql(e.db, `SELECT pg_switch_wal()`)
	}
	e.until(time.Minute, "the slot was dropped and the source reset", func() bool { return len(e.resets()) > 0 })
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	e.settled(2 * time.Minute)
	e.sql(e.db, `UPDATE freight SET status = 'R' WHERE k = 3`) // and the stream goes on
	e.settled(time.Minute)
	got := e.effects()
	for _, k := range []string{"1", "2", "3", "6"} {
		if got[k] != 1 {
			t.Errorf("load %s was posted %d times", k, got[k])
		}
	}
	if len(got) != 4 {
		t.Errorf("posted %v", got)
	}
	for _, why := range e.resets() {
		if !strings.Contains(why, fmt.Sprintf("Waybill dropped replication slot %q itself", e.pgName)) || !strings.Contains(why, "max_retained is 128MiB") {
			t.Errorf("the audit says %q", why)
		}
	}
	e.stop()
}

// resets are the reasons of the resets that Waybill decided itself.
func (e *engine) resets() (whys []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lines, err := e.api.Audit(ctx, pipeline.AuditQuery{})
	if err != nil {
		return nil // the daemon is busy: asked again
	}
	for _, l := range lines {
		if l.Action == "reset" && l.By == "waybill" && l.Target == "db" {
			whys = append(whys, l.Why)
		}
	}
	return whys
}

// smallDisk gives the store a volume of its own and returns its folder.
func (e *engine) smallDisk() string {
	e.t.Helper()
	data := filepath.Join(e.dir, "data")
	if err := os.Mkdir(data, 0o750); err != nil {
		e.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=400m"); err != nil {
		e.t.Fatalf("a volume of limited size needs the right to mount: %v", err)
	}
	e.t.Cleanup(func() {
		if e.daemon != nil {
			e.kill()
		}
		if err := syscall.Unmount(data, 0); err != nil {
			e.t.Error(err)
		}
	})
	return data
}

// fill leaves less than the floor of the volume free: rows are refused, decisions are not. It returns the file to remove.
func (e *engine) fill(data string) string {
	e.t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(data, &fs); err != nil {
		e.t.Fatal(err)
	}
	ballast := filepath.Join(data, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*fs.Bsize-48<<20), 0o600); err != nil {
		e.t.Fatal(err)
	}
	return ballast
}
