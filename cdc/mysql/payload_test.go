package mysql

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// payloadBody compresses events as MySQL does.
func payloadBody(t testing.TB, kind byte, events ...[]byte) []byte {
	var plain []byte
	for _, e := range events {
		plain = append(plain, e...)
	}
	data := plain
	if kind == 0 {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		data = z.EncodeAll(plain, nil)
		z.Close()
	}
	body := append([]byte{1, 3, 0xfc}, binary.LittleEndian.AppendUint16(nil, uint16(len(data)))...)
	if kind == 255 {
		body = append(body, 2, 3, 0xfc, 255, 0)
	} else {
		body = append(body, 2, 1, kind)
	}
	body = append(body, 3, 3, 0xfc, byte(len(plain)), byte(len(plain)>>8))
	return append(append(body, 0), data...)
}

// TestPayload reads a transaction of MySQL's log compressed, in the two ways there are.
func TestPayload(t *testing.T) {
	tableMap, rows := mysqlRows()
	for _, kind := range []byte{0, 255} {
		s := mysqlSession(t)
		feed := func(kind byte, end uint32, body []byte) error {
			return s.packet(t.Context(), append([]byte{0}, logEvent(kind, 1000, end, 0, body, true)...))
		}
		inner := func(kind byte, body []byte) []byte { return logEvent(kind, 1000, 0, 0, body, false) }
		body := payloadBody(t, kind, inner(evQuery, mysqlQuery("BEGIN")), inner(evTableMap, tableMap), inner(evWriteV2, rows), inner(evXID, make([]byte, 8)))
		for _, step := range []error{
			s.packet(t.Context(), append([]byte{0}, logEvent(evFormat, 0, 0, 0, formatBody(1), true)...)),
			feed(evGTID, 0xffffff40, mysqlGTIDBody(5)), feed(evPayload, 0xffffff90, body),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
		s.emitRun()
		if b := s.ready[0]; b.Changes != 2 || !strings.Contains(string(b.Position), ":4294967184/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5") {
			t.Errorf("%d changes, position %s", b.Changes, b.Position)
		}
		for _, bad := range [][]byte{body[:len(body)-3], body[:5], {2, 1, 9, 0}} {
			s.group = group{open: true}
			if err := feed(evPayload, 0xffffffa0, bad); err == nil {
				t.Errorf("damaged: %x was read", bad[:min(len(bad), 8)])
			}
		}
	}
}
