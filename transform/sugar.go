package transform

import (
	"strings"
)

// The mapping language is CEL with the words that a mapping author expects. desugar turns them into CEL:
//
//	and or not           && || !
//	x is null            x == null
//	x is not null        x != null
//	as_of=d              d
//	a else b             two alternatives: b when a is null
//	x?                   optional: no value is no mistake
//
// Text in quotes is left alone.
func desugar(src string) (alternatives []string, optional bool) {
	var b strings.Builder
	var depth int
	var out []string
	toks := tokens(strings.TrimSpace(src))
	for len(toks) > 0 && toks[len(toks)-1] == " " {
		toks = toks[:len(toks)-1]
	}
	if n := len(toks); n > 1 && toks[n-1] == "?" {
		optional = true
		toks = toks[:n-1]
	}
	for i := 0; i < len(toks); i++ {
		switch t := toks[i]; t {
		case "and":
			b.WriteString("&&")
		case "or":
			b.WriteString("||")
		case "not":
			b.WriteString("!")
		case "is":
			if skip := words(toks[i+1:], "not", "null"); skip > 0 {
				b.WriteString("!= null")
				i += skip
			} else if skip := words(toks[i+1:], "null"); skip > 0 {
				b.WriteString("== null")
				i += skip
			} else {
				b.WriteString(t)
			}
		case "as_of":
			if skip := words(toks[i+1:], "="); skip > 0 {
				i += skip
			} else {
				b.WriteString(t)
			}
		case "else":
			if depth == 0 {
				out = append(out, strings.TrimSpace(b.String()))
				b.Reset()
			} else {
				b.WriteString(t)
			}
		default:
			switch t {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			b.WriteString(t)
		}
	}
	return append(out, strings.TrimSpace(b.String())), optional
}

// words reports how many tokens the words take, blanks included, when they come next.
func words(toks []string, want ...string) int {
	n := 0
	for _, w := range want {
		for n < len(toks) && toks[n] == " " {
			n++
		}
		if n >= len(toks) || toks[n] != w {
			return 0
		}
		n++
	}
	return n
}

// tokens cuts an expression into names, quoted texts, operators of one letter ("==" is kept whole) and single blanks.
func tokens(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == '"' || c == '\'':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(s))
		case isName(c):
			for i < len(s) && (isName(s[i]) || s[i] == '.') {
				i++
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			for i < len(s) && strings.IndexByte(" \t\n\r", s[i]) >= 0 {
				i++
			}
			out = append(out, " ")
			continue
		case strings.IndexByte("=!<>", c) >= 0 && i+1 < len(s) && s[i+1] == '=':
			i += 2
		default:
			i++
		}
		out = append(out, s[start:i])
	}
	return out
}

func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
