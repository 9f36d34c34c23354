package mysql

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charmaps are the one-byte charsets that are transcoded. What MariaDB and MySQL call latin1 is Windows-1252 in which the
// five bytes without a character stand for the control characters of the same number.
var charmaps = map[string]*charmap.Charmap{
	"latin1": charmap.Windows1252, "latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
	"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257,
	"cp850": charmap.CodePage850, "cp852": charmap.CodePage852, "cp866": charmap.CodePage866,
	"greek": charmap.ISO8859_7, "hebrew": charmap.ISO8859_8, "koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U,
}

// charsetKnown reports whether text of the charset can be carried exactly.
func charsetKnown(name string) bool {
	switch name {
	case "utf8mb4", "utf8mb3", "utf8", "ascii":
		return true
	}
	return charmaps[name] != nil
}

// text transcodes bytes of a charset to UTF-8. Bytes that stand for no character are an error (Invariant 10).
func text(charset string, raw []byte) (string, error) {
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8":
		if !utf8.Valid(raw) {
			return "", fmt.Errorf("the bytes are not valid %s", charset)
		}
		return string(raw), nil
	}
	table := charmaps[charset]
	if table == nil && charset != "ascii" {
		return "", fmt.Errorf("charset %q is not supported", charset)
	}
	plain := true
	for _, b := range raw {
		plain = plain && b < utf8.RuneSelf
	}
	if plain {
		return string(raw), nil
	}
	if table == nil {
		return "", fmt.Errorf("the bytes are not valid ascii")
	}
	out := make([]byte, 0, len(raw)+len(raw)/2)
	for _, b := range raw {
		r := table.DecodeByte(b)
		if r == utf8.RuneError {
			if charset != "latin1" {
				return "", fmt.Errorf("byte 0x%02x stands for no character in %s", b, charset)
			}
			r = rune(b)
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}
