package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/pipeline"
)

// TestReadingGivesWayToTheStream stops the server's process that sends the log, and has a table read: the reading waits and says
// why, and goes on when the stream has caught up.
func TestReadingGivesWayToTheStream(t *testing.T) {
	e := newEngine(t, "postgres")
	e.sql(e.db, "CREATE TABLE sent (k bigint PRIMARY KEY, note varchar(200) NOT NULL)")
	e.sql(e.db, "INSERT INTO sent SELECT n, 'sent' FROM "+e.series(2000))
	e.configure(`
events:
  customer.changed: { from: db.sent, lane: master, key: k, set: { code: k, name: note } }
`, "")
	e.file("waybill.yaml", strings.Replace(good(e.site, "waybill.yaml"), "    heartbeat: 1s\n", "    heartbeat: 1s\n    snapshot: { max_lag: 3s, chunk_rows: 500 }\n", 1))
	e.start()
	e.settled(time.Minute)
	var sender int
	if err := e.db.QueryRow("SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", e.pgName).Scan(&sender); err != nil {
		t.Fatal(err)
	}
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(sender, s); err != nil {
			t.Error(err)
		}
	}
	signal(syscall.SIGSTOP)
	held := true
	defer func() {
		if held {
			signal(syscall.SIGCONT)
		}
	}()
	e.until(time.Minute, "the stream is behind", func() bool {
		src, _ := e.source()
		return src.LagSeconds > 3.5
	})
	e.must("snapshot", "db", "sent", "--yes", "--why", "test")
	e.until(time.Minute, "the reading says what it waits for", func() bool {
		src, _ := e.source()
		return len(src.Readings) == 1 && strings.HasPrefix(src.Readings[0].Waits, "the stream is ") && src.Readings[0].Rows == 0
	})
	if out := e.must("status"); !strings.Contains(out, "sent waits: the stream is ") {
		t.Errorf("the status does not say so:\n%s", out)
	}
	signal(syscall.SIGCONT)
	held = false
	e.until(time.Minute, "the table is read", func() bool {
		src, _ := e.source()
		return len(src.Readings) == 1 && src.Readings[0].State == pipeline.ReadingDone && src.Readings[0].Rows == 2000 && src.Readings[0].Waits == ""
	})
	e.stop()
}
