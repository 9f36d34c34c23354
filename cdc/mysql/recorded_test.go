package mysql

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// TestRecordedMySQL reads a log in MySQL's dialect that Dolt 1.83.2 wrote: GTID events, binary JSON, rows of version 2, metadata
// without names. The statements of the log alone tell the columns.
func TestRecordedMySQL(t *testing.T) {
	raw := recorded(t, "testdata/dolt-1.83.binlog.gz")
	table := cdc.Table{Schema: "d", Name: "t"}
	gtids, err := parseGTIDSet(MySQL, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Name: "billing", Flavor: MySQL, Heartbeat: time.Second}
	s := &session{cfg: &cfg, log: quiet(), gtids: gtids, announced: map[uint64]bool{}, used: map[*cdc.Schema]bool{}, plans: map[uint64]tablePlan{},
		tables:   map[cdc.Table]*selected{table: {table: table, columns: []string{"gone"}}},
		resolver: resolver{source: "billing", flavor: MySQL, charsets: map[uint32]string{33: "utf8mb3", 45: "utf8mb4", 63: "binary", 255: "utf8mb4", 309: "utf8mb4"}}}
	s.history = &history{flavor: MySQL, selected: s.tables, tables: map[cdc.Table]*definition{table: {gone: true}, {Schema: "d"}: {info: &tableInfo{charset: "utf8mb4"}}}, databases: map[string]bool{"d": true}}
	s.resume = position{flavor: MySQL, server: "s", history: "mysql/s", file: "binlog-main.000001", pos: 4}
	s.place = s.resume
	f := &follower{t: t, schemas: map[uint64]*cdc.Schema{}}
	for raw = raw[4:]; len(raw) > 0; {
		size := binary.LittleEndian.Uint32(raw[9:])
		if err := s.packet(t.Context(), append([]byte{0}, raw[:size]...)); err != nil {
			t.Fatal(err)
		}
		raw = raw[size:]
	}
	s.emitRun()
	reader := cdc.NewReader(Codecs(), func(id uint64) (*cdc.Schema, error) { return f.schemas[id], nil })
	for _, b := range s.ready {
		for _, schema := range b.Schemas {
			f.schemas[schema.ID()] = schema
		}
		reader.Reset(&b)
		for reader.Next() {
			c := reader.Change()
			f.rows = append(f.rows, strings.Trim(strconv.Quote(show(c)+c.Schema.Fault), `"`))
		}
		if err := reader.Err(); err != nil {
			t.Fatal(err)
		}
		f.pos = b.Position
	}
	long := strings.Repeat("ü", 40000)
	got := strings.ReplaceAll(strings.Join(f.rows, "\n"), long, "(40000 ü)")
	compareGolden(t, "recorded.golden", got+"\n"+string(f.pos)+"\n")
}

func recorded(t testing.TB, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
