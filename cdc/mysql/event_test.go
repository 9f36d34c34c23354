package mysql

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// logEvent makes an event as a server sends it.
func logEvent(kind byte, at, end uint32, flags uint16, body []byte, sum bool) []byte {
	size := headerSize + len(body)
	if sum {
		size += checksumSize
	}
	le := binary.LittleEndian
	out := le.AppendUint32(nil, at)
	out = append(out, kind)
	out = le.AppendUint32(out, 1)
	out = le.AppendUint32(out, uint32(size))
	out = le.AppendUint32(out, end)
	out = le.AppendUint16(out, flags)
	out = append(out, body...)
	if sum {
		out = le.AppendUint32(out, crc32.ChecksumIEEE(out))
	}
	return out
}

func formatBody(alg byte) []byte {
	body := append([]byte{4, 0}, make([]byte, 54)...)
	body = append(body, headerSize)
	body = append(body, make([]byte, 40)...)
	return append(body, alg)
}

// mysqlSession is one at a place in a log of MySQL's dialect, with the table d.t selected.
func mysqlSession(t testing.TB) *session {
	cfg := Config{Name: "billing", Flavor: MySQL, Heartbeat: time.Second}
	gtids, err := parseGTIDSet(MySQL, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-4")
	if err != nil {
		t.Fatal(err)
	}
	table := cdc.Table{Schema: "d", Name: "t"}
	s := &session{cfg: &cfg, log: quiet(), gtids: gtids, announced: map[uint64]bool{}, used: map[*cdc.Schema]bool{}, plans: map[uint64]tablePlan{},
		tables:   map[cdc.Table]*selected{table: {table: table, columns: []string{"id", "v"}}},
		resolver: resolver{source: "billing", flavor: MySQL, charsets: map[uint32]string{255: "utf8mb4"}}}
	s.history = &history{flavor: MySQL, selected: s.tables, tables: map[cdc.Table]*definition{table: {info: &tableInfo{}}}, databases: map[string]bool{"d": true}}
	s.resume = position{flavor: MySQL, server: "s", history: "mysql/s", file: "b.000009", pos: 0xffffff00}
	s.place = s.resume
	return s
}

func mysqlGTIDBody(n uint64) []byte {
	uuid, _ := hex.DecodeString("3e11fa4771ca11e19e33c80aa9429562")
	body := append([]byte{1}, uuid...)
	body = binary.LittleEndian.AppendUint64(body, n)
	body = append(body, 2)
	body = append(body, make([]byte, 16)...)
	micros := uint64(1772978700123456)
	return append(body, byte(micros), byte(micros>>8), byte(micros>>16), byte(micros>>24), byte(micros>>32), byte(micros>>40), byte(micros>>48))
}

func mysqlQuery(q string) []byte {
	return append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'd', 0}, q...)
}

// mysqlRows are a table map of id INT UNSIGNED (key), v VARCHAR(40) utf8mb4, and two rows of it.
func mysqlRows() (tableMap, rows []byte) {
	return append([]byte{7, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 2, tLong, tVarchar, 2, 160, 0, 2},
			1, 1, 0x80, // unsigned
			2, 3, 0xfc, 255, 0, // collation 255
			4, 5, 2, 'i', 'd', 1, 'v',
			8, 1, 0),
		[]byte{7, 0, 0, 0, 0, 0, 1, 0, 5, 0, 1, 2, 3, 2, 0xff, 0, 255, 255, 255, 255, 2, 0xc3, 0xbc, 2, 1, 0, 0, 0}
}

// TestMySQLEvents reads a transaction in MySQL's dialect: rows of version 2, a commit time in microseconds, a log that ends
// inside a transaction, and a position past 4 GiB. The events are made here; MySQL itself was not at hand.
func TestMySQLEvents(t *testing.T) {
	s := mysqlSession(t)
	feed := func(kind byte, end uint32, body []byte) {
		t.Helper()
		if err := s.packet(t.Context(), append([]byte{0}, logEvent(kind, 1000, end, 0, body, true)...)); err != nil {
			t.Fatal(err)
		}
	}
	gtid, query := mysqlGTIDBody, mysqlQuery
	tableMapBody, rows := mysqlRows()
	if err := s.packet(t.Context(), append([]byte{0}, logEvent(evFormat, 0, 0, 0, formatBody(1), true)...)); err != nil {
		t.Fatal(err)
	}
	feed(evGTID, 0xffffff40, gtid(5))
	feed(evQuery, 0xffffff60, query("BEGIN"))
	feed(evTableMap, 0xffffff80, tableMapBody)
	feed(evWriteV2, 0xffffffc0, rows)
	feed(evXID, 0x10, make([]byte, 8))
	// The server goes down before the next commit and comes back with a new file.
	feed(evGTID, 0x50, gtid(6))
	feed(evQuery, 0x70, query("BEGIN"))
	feed(evTableMap, 0x90, tableMapBody)
	feed(evWriteV2, 0xb0, rows)
	feed(evRotate, 0, append(binary.LittleEndian.AppendUint64(nil, 4), "b.000010"...))
	feed(evFormat, 126, formatBody(1))
	feed(evGTID, 0x100, gtid(6))
	feed(evQuery, 0x110, query("BEGIN"))
	feed(evTableMap, 0x120, tableMapBody)
	feed(evDeleteV2, 0x130, rows)
	feed(evXID, 0x150, make([]byte, 8))
	s.emitRun()
	b := s.ready[0]
	if want := "mysql/s/b.000010:336/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-6"; string(b.Position) != want {
		t.Errorf("position %s, want %s", b.Position, want)
	}
	f := &follower{t: t, schemas: map[uint64]*cdc.Schema{}}
	for _, schema := range b.Schemas {
		f.schemas[schema.ID()] = schema
	}
	r := cdc.NewReader(Codecs(), func(id uint64) (*cdc.Schema, error) { return f.schemas[id], nil })
	r.Reset(&b)
	for r.Next() {
		c := r.Change()
		f.rows = append(f.rows, show(c)+" "+c.Tx.Commit+" "+c.Tx.CommitAt.Format(time.RFC3339Nano))
	}
	const when = "2026-03-08T14:05:00.123456Z"
	equalRows(t, f.rows,
		"insert t new id=4294967295 v=ü 3e11fa47-71ca-11e1-9e33-c80aa9429562:5 "+when,
		"insert t new id=1 v=NULL 3e11fa47-71ca-11e1-9e33-c80aa9429562:5 "+when,
		"delete t old id=4294967295 v=ü 3e11fa47-71ca-11e1-9e33-c80aa9429562:6 "+when,
		"delete t old id=1 v=NULL 3e11fa47-71ca-11e1-9e33-c80aa9429562:6 "+when)
}

func TestChecksum(t *testing.T) {
	raw := logEvent(evXID, 1, 2, 0, make([]byte, 8), true)
	if e, err := parseEvent(raw, checksumCRC32); err != nil || len(e.body) != 8 {
		t.Fatal(e, err)
	}
	raw[headerSize] ^= 1
	if _, err := parseEvent(raw, checksumCRC32); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged event: %v", err)
	}
	// In-use flag set without a new checksum, as the server does with the first event of the file that it writes.
	format := logEvent(evFormat, 1, 2, 0, formatBody(1), true)
	format[17] |= 1
	if e, err := parseEvent(format, checksumUnknown); err != nil || len(e.body) != len(formatBody(1)) {
		t.Fatal(err)
	}
}

func TestClassify(t *testing.T) {
	table := func(schema, name string) cdc.Table { return cdc.Table{Schema: schema, Name: name} }
	for _, c := range []struct {
		statement string
		verb      verb
		table     cdc.Table
	}{
		{"BEGIN", verbBegin, cdc.Table{}},
		{"COMMIT", verbCommit, cdc.Table{}},
		{"ROLLBACK", verbRollback, cdc.Table{}},
		{"ROLLBACK TO `a`", verbRollbackTo, cdc.Table{}},
		{"SAVEPOINT `a`", verbSavepoint, cdc.Table{}},
		{"/* x */ alter table t add a int", verbDDL, cdc.Table{}},
		{"-- x\n# y\ncreate index i on t(a)", verbDDL, cdc.Table{}},
		{"/*!50001 DROP TABLE t */", verbDDL, cdc.Table{}},
		{"TRUNCATE t", verbTruncate, table("d", "t")},
		{"truncate table `a``b`.`t x` WAIT 3", verbTruncate, table("a`b", "t x")},
		{"TRUNCATE TABLE /* why */ e . t", verbTruncate, table("e", "t")},
		{"/*M!100100 TRUNCATE*/ TABLE t", verbTruncate, table("d", "t")},
		{"insert into t values (1)", verbDML, cdc.Table{}},
		{"WITH x AS (SELECT 1) UPDATE t SET a=1", verbDML, cdc.Table{}},
		{"XA END X'78',X'',1", verbXA, cdc.Table{}},
		{"GRANT SELECT ON x TO y", verbOther, cdc.Table{}},
		{"", verbOther, cdc.Table{}},
		{"/* never ends", verbOther, cdc.Table{}},
		{"TRUNCATE `never ends", verbTruncate, table("d", "never ends")},
	} {
		if v, name := classify(&queryEvent{database: "d", statement: []byte(c.statement)}, MariaDB); v != c.verb || name != c.table {
			t.Errorf("%q: verb %d of %v, want %d of %v", c.statement, v, name, c.verb, c.table)
		}
	}
	for statement, want := range map[string]bool{"INSERT INTO inv_hdr VALUES": true, "update `INV_HDR` set": true, "UPDATE inv_hdr2 SET": false, "x inv_hdr": true, "my_inv_hdr": false} {
		if mentions([]byte(statement), "inv_hdr") != want {
			t.Errorf("mentions(%q) is not %v", statement, want)
		}
	}
}

func TestPosition(t *testing.T) {
	for _, text := range []cdc.Position{
		"mariadb/1/binlog.000001:1432/0-1-5", "mariadb/1/binlog.000001:4/", "mariadb/2/b.7:99/0-1-5,3-2-9/1-3",
		"mysql/3e11fa47-71ca-11e1-9e33-c80aa9429562/b.000002:8589934592/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5",
	} {
		p, err := parsePosition(text)
		if err != nil || p.text() != text {
			t.Errorf("%s became %s (%v)", text, p.text(), err)
		}
	}
	for _, text := range []cdc.Position{"", "0/16B3748", "mariadb/1/binlog.000001/0-1-5", "mariadb//b.1:4/", "oracle/1/b.1:4/", "mariadb/1/b.1:x/"} {
		if p, err := parsePosition(text); err == nil {
			t.Errorf("%q was read as %+v", text, p)
		}
	}
	if !before("b.999999", 5, "b.1000000", 4) || before("b.000002", 4, "b.000002", 4) || !before("b.000001", 9, "b.000002", 4) {
		t.Error("files are not in the order of their numbers")
	}
}

// TestWatermarkIsTrue gives a watermark the time of the server's clock only when the stream has come to where the log was then.
func TestWatermarkIsTrue(t *testing.T) {
	at := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	s := &session{cfg: &Config{Name: "billing", Flavor: MariaDB}, goal: &goal{at, "b.000002", 500}}
	s.resume = position{flavor: MariaDB, server: "1", history: "mariadb/1-0", file: "b.000001", pos: 900}
	s.place = s.resume
	if err := s.watermark(t.Context()); err != nil || len(s.ready) != 0 {
		t.Fatalf("%+v %v", s.ready, err)
	}
	s.commitAt = at.Add(-time.Hour) // of an unselected transaction
	if err := s.watermark(t.Context()); err != nil || !s.ready[0].CommitAt.Equal(s.commitAt) || s.ready[0].Position != "mariadb/1/b.000001:900/" {
		t.Fatalf("%+v %v", s.ready, err)
	}
	s.heartbeat(&event{end: 500, body: []byte("b.000002")})
	if err := s.watermark(t.Context()); err != nil || !s.ready[1].CommitAt.Equal(at) || s.ready[1].Position != "mariadb/1/b.000002:500/" || s.goal != nil {
		t.Fatalf("%+v %v", s.ready, err)
	}
}
