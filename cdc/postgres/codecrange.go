package postgres

import "bytes"

// rangeText keeps the server's text of a range or multirange: https://www.postgresql.org/docs/current/rangetypes.html
func rangeText(raw []byte) (string, error) {
	if string(raw) == "empty" || string(raw) == "{}" {
		return string(raw), nil
	}
	rest, several := bytes.CutPrefix(raw, []byte("{"))
	for {
		var ok bool
		if rest, ok = cutRange(rest); !ok {
			return "", errForm
		}
		if after, more := bytes.CutPrefix(rest, []byte(",")); several && more {
			rest = after
			continue
		}
		if several && string(rest) == "}" || !several && len(rest) == 0 {
			return plainText(raw)
		}
		return "", errForm
	}
}

// cutRange takes one range, such as ["a b",(], from the front.
func cutRange(raw []byte) (rest []byte, ok bool) {
	if len(raw) == 0 || raw[0] != '[' && raw[0] != '(' {
		return nil, false
	}
	if rest, ok = cutBound(raw[1:]); !ok || len(rest) == 0 || rest[0] != ',' {
		return nil, false
	}
	if rest, ok = cutBound(rest[1:]); !ok || len(rest) == 0 || rest[0] != ']' && rest[0] != ')' {
		return nil, false
	}
	return rest[1:], true
}

// cutBound takes a bound, which is empty, plain, or in double quotes of which those inside are doubled.
func cutBound(raw []byte) (rest []byte, ok bool) {
	inside := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			inside = !inside // a doubled one leaves and comes back
		case c == '\\':
			i++
		case !inside && bytes.IndexByte([]byte(",()[]"), c) >= 0:
			return raw[i:], true
		}
	}
	return nil, false
}
