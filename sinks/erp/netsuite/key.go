package netsuite

import (
	"fmt"
	"strings"
)

// maxKey bounds an external id, in bytes [K: the vendor names no bound that we found].
const maxKey = 200

// encodeKey makes the external id of a key: letters in lower case, digits and - stand for themselves, and _ begins all others, so
// that two keys never meet, whether or not NetSuite distinguishes cases: __ is _, _a is A, _058 is the byte 58 (:), and _- ends a company.
// It begins with the product's prefix, for one application owns the external ids of a record type.
func encodeKey(prefix, company, key string) (string, error) {
	if key == "" {
		return "", fmt.Errorf("the external key is empty")
	}
	var b strings.Builder
	b.WriteString(prefix + "-")
	if company != "" {
		escape(&b, company)
		b.WriteString("_-")
	}
	escape(&b, key)
	if b.Len() > maxKey {
		return "", fmt.Errorf("the external key %q makes an external id of %d characters, at most %d are possible", key, b.Len(), maxKey)
	}
	return b.String(), nil
}

func escape(b *strings.Builder, text string) {
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		case c == '_':
			b.WriteString("__")
		case c >= 'A' && c <= 'Z':
			b.WriteByte('_')
			b.WriteByte(c - 'A' + 'a')
		default:
			fmt.Fprintf(b, "_%03d", c)
		}
	}
}

// decodeKey reads an external id back. The error says that it is not one of ours.
func decodeKey(prefix, id string) (company, key string, err error) {
	rest, ours := strings.CutPrefix(id, prefix+"-")
	if !ours || rest == "" {
		return "", "", fmt.Errorf("%q is not an external id of ours: it does not begin with %s-", id, prefix)
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c != '_' {
			if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return "", "", fmt.Errorf("%q is not an external id of ours: it has the character %q", id, c)
			}
			b.WriteByte(c)
			continue
		}
		i++
		switch {
		case i < len(rest) && rest[i] == '_':
			b.WriteByte('_')
		case i < len(rest) && rest[i] == '-' && company == "":
			company = b.String()
			b.Reset()
		case i < len(rest) && rest[i] >= 'a' && rest[i] <= 'z':
			b.WriteByte(rest[i] - 'a' + 'A')
		case i+3 <= len(rest):
			n := 0
			for _, d := range []byte(rest[i : i+3]) {
				if d < '0' || d > '9' {
					return "", "", fmt.Errorf("%q is not an external id of ours: %q means nothing", id, rest[i-1:i+3])
				}
				n = n*10 + int(d-'0')
			}
			if n > 255 {
				return "", "", fmt.Errorf("%q is not an external id of ours: %d is no byte", id, n)
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", "", fmt.Errorf("%q is not an external id of ours: it ends within a character", id)
		}
	}
	return company, b.String(), nil
}
