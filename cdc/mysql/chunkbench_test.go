package mysql

import (
	"context"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"waybill/cdc"
)

// BenchmarkChunks reads a table of a million rows in chunks, one after the other, and has the client program read it with one
// SELECT.
func BenchmarkChunks(b *testing.B) {
	const rows = 1_000_000
	server.Exec(b, `CREATE OR REPLACE DATABASE bench; USE bench; SET SESSION sql_log_bin=0;
		CREATE TABLE stop_event(id BIGINT PRIMARY KEY, load_no INT NOT NULL, kind ENUM('pickup','delivery'),
		amt DECIMAL(12,2), at DATETIME(6), place VARCHAR(60), note VARCHAR(300), done TINYINT(1));
		INSERT INTO stop_event SELECT seq, seq DIV 3, 1 + seq % 2, seq / 7, '2026-03-08 14:05:00.123456', 'Kansas City Terminal 4', REPEAT('note ', 20), 1 FROM seq_1_to_1000000`)
	src := New(config(server, "bench"), []cdc.Selection{{Table: cdc.Table{Name: "stop_event"}, Columns: []string{"load_no", "kind", "amt", "at", "place", "note", "done"}}}, quiet())
	if err := src.Open(context.Background(), ""); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	streamed := make(chan struct{})
	go func() { // what lies in the log is told by the stream
		defer close(streamed)
		for ctx.Err() == nil {
			_, _ = src.Next(ctx)
		}
	}()
	defer func() { stop(); <-streamed; src.Close() }()
	var own, tool time.Duration
	chunks := 0
	for range b.N {
		began := time.Now()
		for n, after, end := 0, "", false; !end; chunks++ {
			c, err := src.ReadChunk(context.Background(), cdc.ChunkRequest{Table: cdc.Table{Name: "stop_event"}, After: after})
			if err != nil {
				b.Fatal(err)
			}
			n += c.Batch.Changes
			if after, end = c.Batch.Chunk.After, c.Batch.Chunk.End; end && n != rows {
				b.Fatalf("%d rows", n)
			}
		}
		own += time.Since(began)
		began = time.Now()
		cmd := exec.Command("mariadb", "--no-defaults", "--quick", "--skip-column-names", "--batch", "--host="+server.Host, "--port="+strconv.Itoa(server.Port),
			"--user="+server.User, "--password="+server.Password, "--execute=SELECT * FROM bench.stop_event")
		if err := cmd.Run(); err != nil { // what it says goes nowhere
			b.Fatal(err)
		}
		tool += time.Since(began)
	}
	rate := func(d time.Duration) float64 { return rows * float64(b.N) / d.Seconds() }
	b.ReportMetric(rate(own), "rows/s")
	b.ReportMetric(rate(tool), "client-rows/s")
	b.ReportMetric(rate(own)/rate(tool), "ratio")
	b.ReportMetric(float64(chunks)/float64(b.N), "chunks")
	b.ReportMetric(0, "ns/op")
}
