package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestCharsets asks the server for the character of every byte of its one-byte charsets, and of every pair of bytes of the
// supported two-byte ones: ours must be the same, or an error where it has none.
func TestCharsets(t *testing.T) {
	list, err := server.DB.Query("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	var refused, one, two []string
	for list.Next() {
		var name string
		var length int
		if err := list.Scan(&name, &length); err != nil {
			t.Fatal(err)
		}
		switch {
		case length != maxLength(name):
			t.Errorf("%s: a character has %d bytes, not %d", name, length, maxLength(name))
		case !charsetKnown(name):
			refused = append(refused, name)
		case length == 1:
			one = append(one, name)
		case length == 2 && name != "ucs2":
			two = append(two, name)
		}
	}
	if got := strings.Join(refused, " "); got != "big5 binary eucjpms gb2312 sjis swe7 ujis" {
		t.Errorf("refused: %s", got)
	}
	for _, name := range one {
		var codes [][]byte
		for b := range 256 {
			codes = append(codes, []byte{byte(b)})
		}
		compareCharset(t, name, codes)
	}
	for _, name := range two {
		for first := 0x80; first < 256; first++ {
			var codes [][]byte
			for second := 0x30; second < 256; second++ {
				codes = append(codes, []byte{byte(first), byte(second)})
			}
			compareCharset(t, name, codes)
		}
	}
}

func compareCharset(t *testing.T, name string, codes [][]byte) {
	t.Helper()
	var query strings.Builder
	query.WriteString("SELECT CONCAT_WS(','")
	for _, code := range codes {
		fmt.Fprintf(&query, ", IFNULL(HEX(CONVERT(CONVERT(x'%x' USING %s) USING utf8mb4)), '')", code, name)
	}
	var answer string
	if err := server.DB.QueryRow(query.String() + ")").Scan(&answer); err != nil {
		t.Fatal(err)
	}
	for i, got := range strings.Split(answer, ",") {
		raw, err := hex.DecodeString(got)
		if err != nil {
			t.Fatal(err)
		}
		want := string(raw)
		ours, err := text(name, codes[i])
		known := utf8.RuneCountInString(want) == 1 && want != "\uFFFD" && (want != "?" || codes[i][0] == '?')
		if known && ours != want && (len(codes[i]) == 1 || err == nil) {
			t.Errorf("%s %x is %q, the server says %q (%v)", name, codes[i], ours, want, err)
		}
		if !known && len(codes[i]) == 1 && err == nil {
			t.Errorf("%s %x is %q, the server has no such character", name, codes[i], ours)
		}
	}
}

// TestInvalidText refuses bytes that stand for nothing, and says where.
func TestInvalidText(t *testing.T) {
	for _, c := range []struct{ charset, bytes, want string }{
		{"utf8mb4", "M\xfcller", "the bytes are not valid utf8mb4: byte 0xfc at 1"}, // Windows-1252 in a utf8 column
		{"utf8mb3", "\xed\xa0\x80", "the bytes are not valid utf8mb3: byte 0xed at 0"},
		{"ascii", "a\x80", "the bytes are not valid ascii: byte 0x80 at 1"},
		{"cp1250", "a\x81", "the bytes are not valid cp1250: byte 0x81 at 1 stands for no character"},
		{"utf16", "\xd8\x00", "the bytes are not valid utf16: half a character, 0xd800, at 0"},
		{"utf16", "\xd8\x00\x00a", "the bytes are not valid utf16: half a character at 0"},
		{"ucs2", "\xd8\x3d\xde\x00", "the bytes are not valid ucs2: half a character, 0xd83d, at 0"},
		{"utf32", "\x00\x11\x00\x00", "the bytes are not valid utf32: 0x00110000 at 0 is no character"},
		{"cp932", "a\xff", `the bytes are not valid cp932: no character behind "a"`},
		{"big5", "a", `charset "big5" is not supported`},
	} {
		if got, err := text(c.charset, []byte(c.bytes)); err == nil || err.Error() != c.want {
			t.Errorf("%s %q: %q, %v", c.charset, c.bytes, got, err)
		}
	}
}
