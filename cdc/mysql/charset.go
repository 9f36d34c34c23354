package mysql

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charset turns bytes of one character set into UTF-8. Bytes that stand for no character are an error (Invariant 10).
type charset func(raw []byte) (string, error)

// charsets has those whose every character is known to become what the server itself makes of it: TestCharsets compares.
// What MariaDB and MySQL call latin1 is Windows-1252 in which the five bytes without a character stand for the control
// characters of the same number. big5, sjis, ujis, eucjpms, gb2312 and swe7 are missing: the common tables differ from the
// server's in some characters.
var charsets = map[string]charset{
	"utf8mb4": utf8Text, "utf8mb3": utf8Text, "utf8": utf8Text, "ascii": asciiText,
	"utf16":   func(raw []byte) (string, error) { return utf16Text(raw, binary.BigEndian, true) },
	"utf16le": func(raw []byte) (string, error) { return utf16Text(raw, binary.LittleEndian, true) },
	"ucs2":    func(raw []byte) (string, error) { return utf16Text(raw, binary.BigEndian, false) },
	"utf32":   utf32Text,
	"gbk":     multibyte(simplifiedchinese.GBK), "cp932": multibyte(japanese.ShiftJIS), "euckr": multibyte(korean.EUCKR),
}

func init() {
	for name, half := range halves {
		charsets[name] = oneByte([]rune(half))
	}
}

// charsetKnown reports whether text of the charset can be carried exactly.
func charsetKnown(name string) bool { return charsets[name] != nil }

// text transcodes bytes of a charset to UTF-8.
func text(name string, raw []byte) (string, error) {
	decode := charsets[name]
	if decode == nil {
		return "", fmt.Errorf("charset %q is not supported", name)
	}
	out, err := decode(raw)
	if err != nil {
		return "", fmt.Errorf("the bytes are not valid %s: %w", name, err)
	}
	return out, nil
}

func utf8Text(raw []byte) (string, error) {
	if !utf8.Valid(raw) {
		for at, rest := 0, raw; ; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n <= 1 {
				return "", fmt.Errorf("byte 0x%02x at %d", raw[at], at)
			}
			at, rest = at+n, rest[n:]
		}
	}
	return string(raw), nil
}

func plain(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func asciiText(raw []byte) (string, error) {
	for at, b := range raw {
		if b >= utf8.RuneSelf {
			return "", fmt.Errorf("byte 0x%02x at %d", b, at)
		}
	}
	return string(raw), nil
}

func oneByte(half []rune) charset {
	return func(raw []byte) (string, error) {
		if plain(raw) {
			return string(raw), nil
		}
		out := make([]byte, 0, len(raw)+len(raw)/2)
		for at, b := range raw {
			if b < utf8.RuneSelf {
				out = append(out, b)
				continue
			}
			r := half[b-utf8.RuneSelf]
			if r == utf8.RuneError {
				return "", fmt.Errorf("byte 0x%02x at %d stands for no character", b, at)
			}
			out = utf8.AppendRune(out, r)
		}
		return string(out), nil
	}
}

func utf16Text(raw []byte, order binary.ByteOrder, pairs bool) (string, error) {
	if len(raw)%2 != 0 {
		return "", errSize
	}
	out := make([]byte, 0, len(raw)*3/2)
	for at := 0; at < len(raw); at += 2 {
		r := rune(order.Uint16(raw[at:]))
		if utf16.IsSurrogate(r) {
			if !pairs || at+4 > len(raw) {
				return "", fmt.Errorf("half a character, 0x%04x, at %d", r, at)
			}
			at += 2
			if r = utf16.DecodeRune(r, rune(order.Uint16(raw[at:]))); r == utf8.RuneError {
				return "", fmt.Errorf("half a character at %d", at-2)
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

func utf32Text(raw []byte) (string, error) {
	if len(raw)%4 != 0 {
		return "", errSize
	}
	out := make([]byte, 0, len(raw)/2)
	for at := 0; at < len(raw); at += 4 {
		n := binary.BigEndian.Uint32(raw[at:])
		if n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return "", fmt.Errorf("0x%08x at %d is no character", n, at)
		}
		out = utf8.AppendRune(out, rune(n))
	}
	return string(out), nil
}

// multibyte uses a table of the text library, which puts U+FFFD where bytes stand for no character.
func multibyte(e encoding.Encoding) charset {
	return func(raw []byte) (string, error) {
		if plain(raw) {
			return string(raw), nil
		}
		out, err := e.NewDecoder().Bytes(raw)
		if err != nil {
			return "", err
		}
		for at, r := range string(out) {
			if r == utf8.RuneError {
				return "", fmt.Errorf("no character behind %q", out[:at])
			}
		}
		return string(out), nil
	}
}

// maxLength returns the most bytes that one character takes.
func maxLength(charset string) int {
	switch charset {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8mb3", "utf8", "ujis", "eucjpms":
		return 3
	case "ucs2", "big5", "cp932", "euckr", "gb2312", "gbk", "sjis":
		return 2
	}
	return 1
}
