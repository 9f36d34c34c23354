package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestLogicalMessages has a server decode messages among rows, and reads them as a source that selects some prefixes, one that
// selects nothing else, and one that selects none.
func TestLogicalMessages(t *testing.T) {
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY); CREATE PUBLICATION waybill FOR TABLE loads`)
		p.Exec(t, `SELECT pg_create_logical_replication_slot('s', 'pgoutput')`)
		p.Exec(t, `SELECT pg_logical_emit_message(true, 'note', '{"no": 7}')`)
		p.Exec(t, `BEGIN; INSERT INTO loads VALUES (1); SELECT pg_logical_emit_message(true, 'invoice', 'Łódź'); INSERT INTO loads VALUES (2);
			SELECT pg_logical_emit_message(true, 'nobody''s', 'x'), pg_logical_emit_message(true, 'note', '1'), pg_logical_emit_message(true, 'invoice', '\xff00'::bytea),
			pg_logical_emit_message(false, 'note', 'no event'), pg_logical_emit_message(false, 'note', 'no event'), pg_logical_emit_message(false, 'other', ''); COMMIT`)
		p.Exec(t, `BEGIN; SELECT pg_logical_emit_message(true, 'note', 'x'), pg_logical_emit_message(false, 'never', 'x'); ROLLBACK`)
		loads := cdc.Selection{Table: cdc.Table{Name: "loads"}}
		invoice, note := cdc.Selection{Table: cdc.Messages("invoice")}, cdc.Selection{Table: cdc.Messages("note")}
		for _, c := range []struct {
			selection []cdc.Selection
			warned    string // of messages outside a transaction
			want      string
		}{
			{[]cdc.Selection{loads, invoice, note}, "message(note)", `message(note) 0 content="{\"no\": 7}"
public.loads 0 id="1"
message(invoice) 0 content="Łódź"
public.loads 1 id="2"
message(note) 0 content="1"
message(invoice) 1 content=error
`},
			{[]cdc.Selection{invoice}, "", "message(invoice) 0 content=\"Łódź\"\nmessage(invoice) 1 content=error\n"},
			{[]cdc.Selection{loads}, "", "public.loads 0 id=\"1\"\npublic.loads 1 id=\"2\"\n"},
		} {
			cfg := Config{Name: "test", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password, Publication: "waybill"}
			got, warned := readStream(t, p, New(cfg, c.selection, nil), "s")
			if got != c.want || warned != c.warned {
				t.Errorf("warned of %q, want %q; got\n%swant\n%s", warned, c.warned, got, c.want)
			}
		}
	})
}

// TestMessagesAlone opens a source that reads no table, only messages: it makes a publication without tables, and what there is to
// read of them is one empty chunk.
func TestMessagesAlone(t *testing.T) {
	p := cdctest.StartPostgres(t)
	cfg := Config{Name: "outbox", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password, Heartbeat: time.Second}
	s := New(cfg, []cdc.Selection{{Table: cdc.Messages("invoice")}}, slog.New(slog.DiscardHandler))
	defer s.Close()
	findings, err := s.Check(t.Context())
	if err != nil || slices.ContainsFunc(findings, failed) || !slices.Contains(findings, good("table message(invoice)", "logical messages")) {
		t.Fatalf("%v %+v", err, findings)
	}
	if old := s.checkMessages(130000); len(old) != 1 || old[0].Level != cdc.LevelFail || old[0].Found != "the server is PostgreSQL 13" {
		t.Errorf("on an older server: %+v", old)
	}
	shapes, err := s.Catalog(t.Context(), []cdc.Table{cdc.Messages("invoice")})
	if err != nil || len(shapes) != 1 || len(shapes[0].Columns) != 1 || shapes[0].Column("content") != 0 {
		t.Fatalf("%v %+v", err, shapes)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = s.Peek(ctx, func(b cdc.Batch) error {
		if b.Changes > 0 {
			t.Errorf("a snapshot has %d messages", b.Changes)
		}
		return nil
	})
	if err != nil {
		t.Errorf("reading a snapshot without tables: %v", err)
	}
	if err := s.Open(ctx, ""); err != nil {
		t.Fatal(err)
	}
	b, err := s.Next(ctx)
	if err != nil || !b.Watermark() {
		t.Fatalf("%v %+v", err, b)
	}
	p.Exec(t, `SELECT pg_logical_emit_message(true, 'invoice', '{}')`)
	chunk, err := s.ReadChunk(ctx, cdc.ChunkRequest{Table: cdc.Messages("invoice")})
	if err != nil || chunk.Batch.Changes != 0 || !chunk.Batch.Chunk.End {
		t.Fatalf("%v %+v", err, chunk)
	}
	if n, err := s.Estimate(ctx, cdc.Messages("invoice")); n != 0 || err != nil {
		t.Errorf("estimate %d, %v", n, err)
	}
	at, text := b.Position, ""
	for !s.Covers(at, chunk.High) || text == "" {
		s.Nudge()
		if b, err = s.Next(ctx); err != nil {
			t.Fatal(err)
		}
		at, text = b.Position, text+showBatch(t, b)
		if b.Changes > 0 {
			sees, err := Codec().(cdc.Viewer).Sees(chunk.Batch.Chunk.View, firstTx(t, b))
			if err != nil || !sees {
				t.Errorf("the empty chunk sees what was committed before: %t, %v", sees, err)
			}
		}
	}
	if text != "message(invoice) 0 content=\"{}\"\n" {
		t.Errorf("got %q", text)
	}
}

func firstTx(t *testing.T, b cdc.Batch) cdc.Tx {
	t.Helper()
	r := cdc.NewReader(nil, func(id uint64) (*cdc.Schema, error) { return b.Schemas[0], nil })
	if r.Reset(&b); !r.Next() {
		t.Fatal(r.Err())
	}
	return r.Change().Tx
}

// readStream reads what a slot holds, as a session with the source's options would, and leaves it there.
func readStream(t *testing.T, p *cdctest.Postgres, s *Source, slot string) (text, warned string) {
	t.Helper()
	n := newSession()
	n.source, n.catalog = s, &side{source: s}
	defer n.catalog.close()
	n.stream.resolve, n.stream.loose = n.resolve, func(t cdc.Table) { warned += t.String() }
	arguments := strings.NewReplacer("proto_version '", "'proto_version', '", "publication_names ", "'publication_names', ",
		"messages '", "'messages', '").Replace(s.options())
	rows, err := p.DB.Query(`SELECT data FROM pg_logical_slot_peek_binary_changes('` + slot + `', NULL, NULL, ` + arguments + `)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var msg []byte
		if err := rows.Scan(&msg); err != nil {
			t.Fatal(err)
		}
		n.feed(t, msg)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	b := n.cut()
	return showBatch(t, b), warned
}

// showBatch prints a batch that brings all its schemas.
func showBatch(t *testing.T, b cdc.Batch) string {
	t.Helper()
	schemas := map[uint64]*cdc.Schema{}
	for _, s := range b.Schemas {
		schemas[s.ID()] = s
	}
	r := cdc.NewReader(cdc.Codecs{CodecName: Codec()}, func(id uint64) (*cdc.Schema, error) { return schemas[id], nil })
	r.Reset(&b)
	var out strings.Builder
	for r.Next() {
		c := r.Change()
		fmt.Fprintf(&out, "%s %d", c.Schema.Table, c.Ordinal)
		for i, col := range c.Schema.Columns {
			v, err := c.New(i)
			if text := `"` + strings.ReplaceAll(v.Text, `"`, `\"`) + `"`; err == nil {
				out.WriteString(" " + col.Name + "=" + text)
			} else {
				out.WriteString(" " + col.Name + "=error")
			}
		}
		out.WriteByte('\n')
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
