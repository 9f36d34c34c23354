package mysql

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// BenchmarkDrain reads a backlog of single-row statements, and has mariadb-binlog --raw read the same one. The size of the
// backlog is in WAYBILL_BACKLOG (default 100000 changes).
func BenchmarkDrain(b *testing.B) {
	changes := 100_000
	if n, err := strconv.Atoi(os.Getenv("WAYBILL_BACKLOG")); err == nil {
		changes = n
	}
	for _, tx := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("tx=%d", tx), func(b *testing.B) { drain(b, changes, tx) })
	}
}

func drain(b *testing.B, changes, tx int) {
	dir, err := os.MkdirTemp("", "waybill-drain-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m, err := cdctest.NewMariaDB(dir, cdctest.MariaDBOptions{Args: []string{"--max-binlog-size=1G", "--sync-binlog=0"}})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Kill()
	defer m.DB.Close()
	m.Exec(b, `CREATE DATABASE bench; USE bench; CREATE TABLE stop_event(id BIGINT PRIMARY KEY, load_no INT NOT NULL, kind ENUM('pickup','delivery'),
		amt DECIMAL(12,2), at DATETIME(6), place VARCHAR(60), note VARCHAR(300), done TINYINT(1));`)
	src := New(config(m, "bench"), []cdc.Selection{{Table: cdc.Table{Name: "stop_event"}, Columns: []string{"load_no", "kind", "amt", "at", "place", "note", "done"}}}, quiet())
	ctx := context.Background()
	if err := src.Open(ctx, ""); err != nil {
		b.Fatal(err)
	}
	var start cdc.Position
	for start == "" {
		batch, err := src.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		start = batch.Position
	}
	src.Close()
	m.Exec(b, fmt.Sprintf(`CREATE PROCEDURE bench.fill() BEGIN DECLARE i INT DEFAULT 0; START TRANSACTION; WHILE i < %d DO
		INSERT INTO bench.stop_event VALUES (i, i DIV 3, 1 + i %% 2, i / 7, '2026-03-08 14:05:00.123456', 'Kansas City Terminal 4', REPEAT('note ', 40), 1);
		SET i = i + 1; IF i %% %d = 0 THEN COMMIT; START TRANSACTION; END IF; END WHILE; COMMIT; END; CALL bench.fill();`, changes, tx))
	first, err := parsePosition(start)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	// In memory, so that the tool is not held up by the disk.
	target, err := os.MkdirTemp("/dev/shm", "waybill-drain-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(target)
	out := target + "/"
	var own, tool time.Duration
	var bytes int
	for range b.N {
		began := time.Now()
		if err := src.Open(ctx, start); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < changes; {
			batch, err := src.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			n += batch.Changes
			bytes += len(batch.Data)
		}
		own += time.Since(began)
		src.Close()
		began = time.Now()
		cmd := exec.Command("mariadb-binlog", "--no-defaults", "--read-from-remote-server", "--raw", "--result-file="+out, "--host="+m.Host,
			"--port="+strconv.Itoa(m.Port), "--user="+m.User, "--password="+m.Password, "--to-last-log", "--start-position="+strconv.FormatUint(first.pos, 10), first.file)
		if said, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, said)
		}
		tool += time.Since(began)
	}
	rate := func(d time.Duration) float64 { return float64(changes) * float64(b.N) / d.Seconds() }
	b.ReportMetric(rate(own), "changes/s")
	b.ReportMetric(rate(tool), "raw-changes/s")
	b.ReportMetric(rate(own)/rate(tool), "ratio")
	b.ReportMetric(float64(bytes)/float64(b.N)/float64(changes), "B/change")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRows walks an event of a hundred rows like those above.
func BenchmarkRows(b *testing.B) {
	m := &tableMap{schema: "d", table: "t", columns: []mapColumn{{kind: tLongLong}, {kind: tLong}, {kind: tEnum, meta: 1}, {kind: tDecimal, meta: 12<<8 | 2},
		{kind: tDatetime2, meta: 6}, {kind: tVarchar, meta: 240}, {kind: tVarchar, meta: 1200}, {kind: tTiny}}}
	p, err := newPlan(m, &cdc.Schema{Columns: make([]cdc.Column, 8)}, func(int) bool { return true })
	if err != nil {
		b.Fatal(err)
	}
	row := append([]byte{0}, make([]byte, 8+4+1+6+8)...)
	row = append(append(row, 22), make([]byte, 22)...)
	row = append(append(row, 200, 0), make([]byte, 200+1)...)
	e := rowsEvent{op: cdc.Insert, columns: 8, present: []byte{0xff}, data: bytes.Repeat(row, 100)}
	var enc cdc.Encoder
	b.ReportAllocs()
	for b.Loop() {
		enc.Reset()
		if err := p.encode(&enc, &e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/row")
}
