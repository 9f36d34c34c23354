package mysql

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// small lays out a small object or array of values that stand behind it (not inlined), as MySQL does.
func smallJSON(keys []string, values ...[]byte) []byte {
	le := binary.LittleEndian
	object := keys != nil
	n, head, kind := len(values), 4, byte(jsonArray)
	if object {
		head += 4 * n
		kind = jsonObject
	}
	head += 3 * n
	out := le.AppendUint16(nil, uint16(n))
	out = append(out, 0, 0)
	at := head
	for _, k := range keys {
		out = le.AppendUint16(le.AppendUint16(out, uint16(at)), uint16(len(k)))
		at += len(k)
	}
	for _, v := range values {
		if v[0] == jsonLiteral || v[0] == jsonInt16 || v[0] == jsonUint16 {
			out = append(out, v[0], v[1], append(v, 0)[2])
			continue
		}
		out = le.AppendUint16(append(out, v[0]), uint16(at))
		at += len(v) - 1
	}
	out = append(out, strings.Join(keys, "")...)
	for _, v := range values {
		if v[0] != jsonLiteral && v[0] != jsonInt16 && v[0] != jsonUint16 {
			out = append(out, v[1:]...)
		}
	}
	le.PutUint16(out[2:], uint16(len(out)))
	return append([]byte{kind}, out...)
}

func wide(kind byte, v uint64) []byte { return binary.LittleEndian.AppendUint64([]byte{kind}, v) }

func opaque(kind byte, data ...byte) []byte {
	return append([]byte{jsonOpaque, kind, byte(len(data))}, data...)
}

func double(f float64) []byte { return wide(jsonDouble, math.Float64bits(f)) }

func packed(kind byte, v int64) []byte {
	return opaque(kind, binary.LittleEndian.AppendUint64(nil, uint64(v))...)
}

func str(s string) []byte { return append([]byte{jsonText8, byte(len(s))}, s...) }

// TestJSON reads documents in MySQL's binary form, and what a SELECT of MySQL shows of the same: both must become one text.
func TestJSON(t *testing.T) {
	at := func(month, day, h, m, s, us int64) int64 {
		return ((2026*13+month)<<22|day<<17|h<<12|m<<6|s)<<24 | us
	}
	long := strings.Repeat("ü", 100)
	for _, c := range []struct {
		name         string
		raw          []byte
		shown, value string
	}{
		{"nothing", nil, "null", "null"},
		{"literals", smallJSON(nil, []byte{jsonLiteral, 0}, []byte{jsonLiteral, 1}, []byte{jsonLiteral, 2}), "[null, true, false]", "[null, true, false]"},
		{"integers", smallJSON(nil, []byte{jsonInt16, 0xff, 0xff}, []byte{jsonUint16, 0xff, 0xff}, []byte{jsonInt32, 0, 0, 0, 0x80}, []byte{jsonUint32, 255, 255, 255, 255},
			wide(jsonInt64, 1<<63), wide(jsonUint64, math.MaxUint64), wide(jsonInt64, 1<<53+1)),
			"[-1, 65535, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 9007199254740993]",
			"[-1, 65535, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 9007199254740993]"},
		{"doubles", smallJSON(nil, double(1.5), double(1), double(-0.1), double(1e20), double(1e300), double(5e-324), double(1e-7)),
			"[1.5, 1.0, -0.1, 100000000000000000000.0, 1e300, 5e-324, 0.0000001]",
			"[1.5, 1, -0.1, 100000000000000000000, 1e300, 5e-324, 0.0000001]"},
		{"decimals", smallJSON(nil, opaque(tDecimal, append([]byte{12, 2}, decimalOf(t, "800000047E32")...)...)), "[1150.50]", "[1150.5]"},
		{"moments", smallJSON(nil, packed(tDatetime, at(3, 8, 14, 5, 0, 1)), packed(tDate, at(3, 8, 0, 0, 0, 0)), packed(tTime, (838<<12|59<<6|59)<<24),
			packed(tTime, -(1<<12<<24|500000)), packed(tTimestamp, at(12, 31, 0, 0, 0, 0))),
			`["2026-03-08 14:05:00.000001", "2026-03-08", "838:59:59.000000", "-01:00:00.500000", "2026-12-31 00:00:00.000000"]`,
			`["2026-03-08 14:05:00.000001", "2026-03-08", "838:59:59.000000", "-01:00:00.500000", "2026-12-31 00:00:00.000000"]`},
		{"others", smallJSON(nil, opaque(tVarString, 1, 2)), `["base64:type253:AQI="]`, `["base64:type253:AQI="]`},
		{"texts", smallJSON([]string{"a", "ü", "zz"}, str("x\"\\\n\x01/"), smallJSON([]string{}), append([]byte{jsonText8, 0xc8, 0x01}, long...)),
			`{"a": "x\"\\\n\u0001/", "ü": {}, "zz": "` + long + `"}`, `{"a": "x\"\\\n\u0001/", "ü": {}, "zz": "` + long + `"}`},
	} {
		got, err := jsonBinary(c.raw)
		if err != nil || got != c.value {
			t.Errorf("%s: from the log %s (%v), want %s", c.name, got, err, c.value)
		}
		if got, err = jsonText([]byte(c.shown)); err != nil || got != c.value {
			t.Errorf("%s: from a SELECT %s (%v), want %s", c.name, got, err, c.value)
		}
	}
	// A large array holds 32-bit numbers inline: two members, 26 bytes in all.
	large := []byte{jsonArray + 1, 2, 0, 0, 0, 18, 0, 0, 0, jsonInt32, 0, 0, 0, 0x80, jsonLiteral, 1, 0, 0, 0}
	if got, err := jsonBinary(large); err != nil || got != "[-2147483648, true]" {
		t.Errorf("a large array: %s, %v", got, err)
	}
	for _, bad := range []string{"05", "02ffff0000", "0200000000ff", "0201000700040300", "0b000000000000f07f", "0c05", "0f", "0cff", "020100070002000000"} {
		raw, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsonBinary(raw); err == nil && bad != "0200000000ff" {
			t.Errorf("%s became %s", bad, got)
		}
	}
	for _, bad := range []string{"", "[", "[1,]", "{\"a\" 1}", "1 2", "\xff"} {
		if got, err := jsonText([]byte(bad)); err == nil {
			t.Errorf("%q became %s", bad, got)
		}
	}
}

func decimalOf(t *testing.T, s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
