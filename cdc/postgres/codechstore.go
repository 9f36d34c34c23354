package postgres

import (
	"bytes"
	"unicode/utf8"
)

// hstoreText turns "b"=>NULL, "a"=>"1" into {"a":"1","b":null}, its keys in the order of their bytes.
func hstoreText(raw []byte) (string, error) {
	if !utf8.Valid(raw) {
		return plainText(raw)
	}
	pairs := map[string]*string{}
	for len(raw) > 0 {
		key, after, ok := quoted(raw)
		rest, arrow := bytes.CutPrefix(after, []byte("=>"))
		if _, twice := pairs[string(key)]; !ok || !arrow || twice {
			return "", errForm
		}
		if after, null := bytes.CutPrefix(rest, []byte("NULL")); null {
			pairs[string(key)], raw = nil, after
		} else {
			value, after, ok := quoted(rest)
			if !ok {
				return "", errForm
			}
			text := string(value)
			pairs[string(key)], raw = &text, after
		}
		if len(raw) > 0 {
			if raw, ok = bytes.CutPrefix(raw, []byte(", ")); !ok || len(raw) == 0 {
				return "", errForm
			}
		}
	}
	return jsonText(pairs)
}
