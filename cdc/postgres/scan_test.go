package postgres

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestScans looks at the plans: a chunk finds its rows by the key's index or by their places, and sorts no table. It reads
// by places as before PostgreSQL 14, too, where the server takes the statement of that time as well.
func TestScans(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE keyed (id uuid PRIMARY KEY, n int); INSERT INTO keyed SELECT gen_random_uuid(), i FROM generate_series(1, 50000) i;
		CREATE TABLE keyless (n int); INSERT INTO keyless SELECT generate_series(1, 50000);
		CREATE TABLE parts (n int) PARTITION BY RANGE (n); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (30000);
		CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (30000) TO (60000); INSERT INTO parts SELECT generate_series(1, 50000)`)
	s := New(Config{Name: "scans", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password},
		[]cdc.Selection{{Table: cdc.Table{Name: "keyed"}, Columns: []string{"n"}}, {Table: cdc.Table{Name: "keyless"}, Columns: []string{"n"}},
			{Table: cdc.Table{Name: "parts"}, Columns: []string{"n"}}}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	defer s.Close()
	for _, c := range []struct {
		table   string
		version int
		plan    string
	}{
		{"keyed", 150000, "Index Scan"}, {"keyless", 150000, "Tid Range Scan"}, {"keyless", 130000, "Tid Scan"}, {"keyless", 120000, "Tid Scan"},
		{"parts", 150000, "Tid Range Scan"}, {"parts", 120000, "Tid Scan"},
	} {
		reader, err := s.readers.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reader.version = c.version
		request := cdc.ChunkRequest{Table: cdc.Table{Schema: "public", Name: c.table}}
		look := &chunk{source: s, reader: reader, request: request}
		if err := look.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if plan := explain(t, look); !strings.Contains(plan, c.plan) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s on version %d:\n%s", c.table, c.version, plan)
		}
		if err := look.finish(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s.readers.give(reader)
		total := 0
		for request.After = ""; ; {
			r, err := s.ReadChunk(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			total += r.Batch.Changes
			if r.Batch.Chunk.End {
				break
			}
			request.After = r.Batch.Chunk.After
		}
		if total != 50000 {
			t.Errorf("%s on version %d: %d rows", c.table, c.version, total)
		}
	}
}

func explain(t *testing.T, c *chunk) string {
	t.Helper()
	result := c.reader.conn.PgConn().ExecParams(context.Background(), "EXPLAIN "+c.scan.sql, c.scan.values, c.scan.types, nil, nil).Read()
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	var plan strings.Builder
	for _, row := range result.Rows {
		plan.Write(row[0])
		plan.WriteByte('\n')
	}
	return plan.String()
}
