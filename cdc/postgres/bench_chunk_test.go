package postgres_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// BenchmarkChunks reads a table of a million rows in chunks on one connection, and the same columns by COPY.
func BenchmarkChunks(b *testing.B) {
	p := cdctest.StartPostgres(b, "shared_buffers=512MB", "autovacuum=off", "synchronous_commit=off")
	p.Exec(b, `CREATE TABLE bench (id bigint PRIMARY KEY, a integer, b text, c numeric(12,2), d float8, e boolean,
		f timestamptz, g timestamp, h date, i jsonb, j uuid, k varchar(40));
		INSERT INTO bench SELECT x, x, 'load ' || x, x * 1.25, x / 3.0, true, now(), now(), now(),
		'{"stop": 1, "city": "Joliet"}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'carrier ' || x FROM generate_series(1, 1000000) x`)
	p.Exec(b, `VACUUM ANALYZE bench`)
	rate := func(b *testing.B, read func() int) {
		rows, began := 0, time.Now()
		for b.Loop() {
			rows += read()
		}
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("chunks", func(b *testing.B) {
		s := postgres.New(config(p, "bench"), []cdc.Selection{{Table: cdc.Table{Name: "bench"}, Columns: benchColumns}}, logger(b))
		defer s.Close()
		rate(b, func() int {
			rows, chunks, after := 0, 0, ""
			for {
				r, err := s.ReadChunk(context.Background(), cdc.ChunkRequest{Table: cdc.Table{Name: "bench"}, After: after})
				if err != nil {
					b.Fatal(err)
				}
				rows, chunks, after = rows+r.Batch.Changes, chunks+1, r.Batch.Chunk.After
				if r.Batch.Chunk.End {
					b.ReportMetric(float64(chunks), "chunks")
					return rows
				}
			}
		})
	})
	b.Run("copy", func(b *testing.B) {
		conn, err := pgx.Connect(context.Background(), p.DSN())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		rate(b, func() int {
			done, err := conn.PgConn().CopyTo(context.Background(), io.Discard, "COPY (SELECT * FROM bench) TO STDOUT")
			if err != nil {
				b.Fatal(err)
			}
			return int(done.RowsAffected())
		})
	})
}
