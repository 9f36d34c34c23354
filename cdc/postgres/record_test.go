package postgres_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"waybill/cdc/cdctest"
)

// TestRecord writes the recording that TestAgainstReference reads, with -update; otherwise it only sees to it that a server
// still makes messages of the kinds that the recording has.
func TestRecord(t *testing.T) {
	p := cdctest.StartPostgres(t)
	script(t, p, "types.sql")
	p.Exec(t, `ALTER TABLE types ALTER text SET STORAGE EXTERNAL; CREATE TABLE full_id (id int, n int); ALTER TABLE full_id REPLICA IDENTITY FULL;
		CREATE PUBLICATION p FOR TABLE types, full_id`)
	p.Exec(t, `SELECT pg_create_logical_replication_slot('s', 'pgoutput')`)
	script(t, p, "types_rows.sql")
	p.Exec(t, `UPDATE types SET text = repeat('x', 3000) WHERE id = '1 plain'`)
	p.Exec(t, `UPDATE types SET int = 5; UPDATE types SET id = 'a' || id; INSERT INTO full_id VALUES (1, 1), (2, NULL); UPDATE full_id SET n = 3;
		DELETE FROM types WHERE id > 'a3'; DELETE FROM full_id; SELECT pg_logical_emit_message(true, 'prefix', 'content'); TRUNCATE types, full_id`)
	rows, err := p.DB.Query(`SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	kinds := map[byte]bool{}
	var out bytes.Buffer
	for rows.Next() {
		var msg []byte
		if err := rows.Scan(&msg); err != nil {
			t.Fatal(err)
		}
		kinds[msg[0]] = true
		out.WriteString(hex.EncodeToString(msg) + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, k := range []byte("BRYIUDTC") {
		if !kinds[k] {
			t.Errorf("the server made no message %q", k)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/pgoutput.hex", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
