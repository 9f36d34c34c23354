package mysql

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"waybill/cdc"
)

// FuzzRows walks row images of any bytes by any Table_map event: no panic, and what was written can be read back.
func FuzzRows(f *testing.F) {
	tableMap := append([]byte{7, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 2, tLong, tVarchar, 2, 160, 0, 2},
		1, 1, 0x80, 2, 3, 0xfc, 255, 0, 4, 5, 2, 'i', 'd', 1, 'v', 8, 1, 0)
	f.Add(tableMap, byte(evWriteV2), []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2, 3, 0xff, 0, 255, 255, 255, 255, 2, 0xc3, 0xbc, 2, 1, 0, 0, 0})
	f.Add(tableMap, byte(evUpdateV1), []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 3, 1, 0, 1, 0, 0, 0, 1, 'a', 0, 2, 0, 0, 0})
	f.Add(tableMap, byte(evMariaWrite), []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 3, 1, 10, 0x78, 0x9c})
	all := []byte{7, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 9, tDecimal, tDatetime2, tTimestamp2, tTime2, tString, tString, tBlob, tBit, tYear,
		11, 12, 2, 6, 3, 0, tEnum, 1, 0xee, 44, 2, 3, 1, 0xff, 1}
	f.Add(all, byte(evDeleteV1), []byte{7, 0, 0, 0, 0, 0, 1, 0, 9, 0xff, 1, 0, 0, 1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, mapBody []byte, kind byte, body []byte) {
		m, err := parseTableMap(mapBody, true)
		if err != nil {
			return
		}
		sel := &selected{columns: []string{"v"}}
		for i := range m.columns {
			sel.columns = append(sel.columns, m.columns[i].name)
		}
		r := resolver{source: "s", flavor: MariaDB, charsets: map[uint32]string{255: "utf8mb4"}}
		p, err := r.plan(m, mapBody, known{}, 0, sel)
		if err != nil {
			return
		}
		e, err := parseRows(kind, body, unzip)
		if err != nil || e.op == 0 {
			return
		}
		var enc cdc.Encoder
		enc.Begin(cdc.Tx{Commit: "c"})
		if err := p.encode(&enc, &e); err != nil {
			return
		}
		data, changes := enc.Take()
		reader := cdc.NewReader(Codecs(), func(uint64) (*cdc.Schema, error) { return p.schema, nil })
		reader.Reset(&cdc.Batch{Data: data})
		for reader.Next() {
			changes--
			show(reader.Change())
		}
		if err := reader.Err(); err != nil || changes != 0 {
			t.Fatalf("%d changes are missing, %v", changes, err)
		}
	})
}

// FuzzEvent reads events of any bytes.
func FuzzEvent(f *testing.F) {
	f.Add(logEvent(evQuery, 1, 2, 0, append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'd', 0}, "TRUNCATE t"...), true))
	f.Add(logEvent(evFormat, 1, 2, 0, formatBody(1), true))
	f.Add(logEvent(evMariaQuery, 1, 2, 0, append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'd', 0}, 1, 10, 0x78), false))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, sum := range []checksum{checksumUnknown, checksumNone, checksumCRC32} {
			e, err := parseEvent(raw, sum)
			if err != nil {
				continue
			}
			parseFormat(e.body, true)
			parseFormat(e.body, false)
			parseRotate(e.body)
			parseMariaGTID(e.body, 1)
			parseGTID(e.body, false)
			if in, err := openPayload(e.body); err == nil {
				io.CopyN(io.Discard, in, 1<<20) // whatever comes, it ends
				in.Close()
			}
			if q, err := parseQuery(e.body, e.flags&1 == 1); err == nil {
				classify(&q, MariaDB)
				mentions(q.statement, "t")
				if len(q.statement) < 1000 {
					unzip(q.statement)
				}
			}
		}
	})
}

// FuzzCodec decodes any bytes as any type: no panic, and a value or an error.
func FuzzCodec(f *testing.F) {
	f.Add(uint8(cdc.KindDecimal), "246,3074,0,,", []byte{0x80, 0, 0, 4, 126})
	f.Add(uint8(cdc.KindTimestamp), "18,6,0,,", []byte{0x99, 1, 2, 3, 4, 5, 6, 7})
	f.Add(uint8(cdc.KindInstant), "17,0,0,,", []byte("2026-03-08 14:05:00.5"))
	f.Add(uint8(cdc.KindUUID), "254,16,0,,", []byte("11223344-5566-7788-99aa-bbccddeeff00"))
	f.Add(uint8(cdc.KindBits), "16,258,0,,", []byte{1, 2, 3})
	f.Add(uint8(cdc.KindArray), "248,1,0,,", []byte("1"))
	f.Add(uint8(cdc.KindTime), "19,6,0,,", []byte("-838:59:59.000001"))
	f.Add(uint8(cdc.KindText), "254,16,0,,a", []byte("::1"))
	for name := range charsets {
		f.Add(uint8(cdc.KindText), "15,0,0,"+name+",", []byte("a\x80\xff\x81\x40"))
	}
	f.Fuzz(func(t *testing.T, kind uint8, meta string, raw []byte) {
		if len(meta) > 60 {
			return
		}
		col := &cdc.Column{Kind: cdc.Kind(kind), Meta: meta, Labels: []string{"a"}}
		m, err := parseMeta(meta)
		if err != nil || m.length > 1<<20 {
			return
		}
		for _, codec := range Codecs() {
			v, err := codec.Decode(col, raw)
			if err == nil && (v.State != cdc.Present || col.Kind != cdc.KindBytes && !utf8.ValidString(v.Text)) {
				t.Fatalf("%+v without an error", v)
			}
		}
	})
}

// FuzzJSON reads any bytes as binary JSON: what comes of it is JSON, and the text codec leaves it as it is.
func FuzzJSON(f *testing.F) {
	f.Add(smallJSON([]string{"a", "b"}, str("x"), smallJSON(nil, double(1.5), opaque(tDecimal, 12, 2, 0x80, 0, 0, 4, 0x7e, 0x32))))
	f.Add(smallJSON(nil, packed(tTime, -1), packed(tDatetime, 1<<60), wide(jsonUint64, 1<<63), []byte{jsonLiteral, 2}))
	f.Add([]byte{jsonArray + 1, 2, 0, 0, 0, 18, 0, 0, 0, jsonInt32, 0, 0, 0, 0x80, jsonLiteral, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := jsonBinary(raw)
		if err != nil {
			return
		}
		if !json.Valid([]byte(out)) {
			t.Fatalf("%x became %s", raw, out)
		}
		if again, err := jsonText([]byte(out)); err != nil || again != out {
			t.Fatalf("%s became %s (%v)", out, again, err)
		}
	})
}

// FuzzDDL reads any text as a statement and follows it: no panic, and what is known afterwards can be kept and read back.
func FuzzDDL(f *testing.F) {
	for _, statement := range ddlCorpus {
		f.Add(strings.TrimPrefix(statement, "?"), uint16(0))
	}
	f.Add(oldLog, uint16(modeAnsiQuotes))
	f.Fuzz(func(t *testing.T, statements string, mode uint16) {
		for _, flavor := range []string{MariaDB, MySQL} {
			h := &history{flavor: flavor, selected: map[cdc.Table]*selected{{Schema: "d", Name: "t"}: {}}, databases: map[string]bool{"d": true},
				tables: map[cdc.Table]*definition{{Schema: "d"}: {info: &tableInfo{charset: "utf8mb4"}}}}
			for statement := range strings.SplitSeq("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20) CHARSET latin1, c INT);"+statements, ";") {
				changes, err := parseDDL(statement, "d", flavor, uint64(mode))
				if err != nil {
					h.missed(statement, err.Error())
				}
				for i := range changes {
					h.apply(&changes[i], "it")
				}
			}
			for table, d := range h.tables {
				record := d.record(table, "mariadb/1/b.1:4/")
				back, err := restored(&record, flavor)
				if err == nil && d.info != nil && shapeOf(back.info) != shapeOf(d.info) {
					t.Fatalf("%s came back as %s", shapeOf(d.info), shapeOf(back.info))
				}
				if err != nil && utf8.ValidString(statements) {
					t.Fatal(err)
				}
			}
		}
	})
}
