package postgres

import (
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestLogicalMessages has a server decode messages among rows, and reads them as a source that selects them, one that
// selects them without their content, and one that does not.
func TestLogicalMessages(t *testing.T) {
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY); CREATE PUBLICATION waybill FOR TABLE loads`)
		p.Exec(t, `SELECT pg_create_logical_replication_slot('s', 'pgoutput')`)
		p.Exec(t, `SELECT pg_logical_emit_message(true, 'alone', '{"no": 7}')`)
		p.Exec(t, `BEGIN; INSERT INTO loads VALUES (1); SELECT pg_logical_emit_message(true, 'invoice', 'Łódź'); INSERT INTO loads VALUES (2);
			SELECT pg_logical_emit_message(true, '', '\xff00'::bytea), pg_logical_emit_message(false, 'heartbeat', 'no event'); COMMIT`)
		p.Exec(t, `BEGIN; SELECT pg_logical_emit_message(true, 'never', 'x'), pg_logical_emit_message(false, 'never', 'x'); ROLLBACK`)
		messages := cdc.Selection{Table: cdc.Table{Name: "pg_logical_message"}, Columns: []string{"prefix", "content"}}
		loads := cdc.Selection{Table: cdc.Table{Name: "loads"}}
		for _, c := range []struct {
			selection []cdc.Selection
			masked    []string
			want      string
		}{
			{[]cdc.Selection{loads, messages}, nil, `pg_catalog.pg_logical_message prefix="alone" content="{\"no\": 7}"
public.loads id="1"
pg_catalog.pg_logical_message prefix="invoice" content="Łódź"
public.loads id="2"
pg_catalog.pg_logical_message prefix="" content=error
`},
			{[]cdc.Selection{messages}, []string{"pg_logical_message.content"}, `pg_catalog.pg_logical_message prefix="alone"
pg_catalog.pg_logical_message prefix="invoice"
pg_catalog.pg_logical_message prefix=""
`},
			{[]cdc.Selection{loads}, nil, "public.loads id=\"1\"\npublic.loads id=\"2\"\n"},
		} {
			cfg := Config{Name: "test", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password, Publication: "waybill", Masked: c.masked}
			s := New(cfg, c.selection, nil)
			if got := readStream(t, p, s, "s"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		}
	})
}

// readStream reads what a slot holds, as a session with the source's options would, and leaves it there.
func readStream(t *testing.T, p *cdctest.Postgres, s *Source, slot string) string {
	t.Helper()
	n := newSession()
	n.source, n.catalog = s, &side{source: s}
	defer n.catalog.close()
	n.stream.resolve = n.resolve
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
	return showBatch(t, b)
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
		out.WriteString(c.Schema.Table.String())
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
