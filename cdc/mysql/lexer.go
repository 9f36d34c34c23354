package mysql

import (
	"strings"
	"unicode/utf8"
)

// token is the smallest part of a statement that has a meaning.
type token struct {
	kind tokenKind
	text string // without quotes
}

type tokenKind byte

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a keyword, a name or a number
	tokenName             // a quoted name
	tokenString           // a string
	tokenSign
)

// is reports whether the token is one of the words, in any case, or one of the signs.
func (t token) is(words ...string) bool {
	if t.kind != tokenWord && t.kind != tokenSign {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(t.text, w) {
			return true
		}
	}
	return false
}

// lexer splits a statement into tokens. Comments are passed over, but the text of an executable one counts where the server
// executes it.
type lexer struct {
	rest        string
	mariadb     bool
	ansiQuotes  bool // "a" is a name, not a string
	noBackslash bool // \ is a character like others
	broken      bool // a quote or a comment does not end
}

func (l *lexer) next() token {
	for {
		l.rest = strings.TrimLeft(l.rest, " \t\r\n\v\f\x00;")
		switch {
		case l.rest == "":
			return token{}
		case strings.HasPrefix(l.rest, "/*"):
			l.comment()
		case strings.HasPrefix(l.rest, "*/"):
			l.rest = l.rest[2:]
		case l.rest[0] == '#', strings.HasPrefix(l.rest, "--") && (len(l.rest) == 2 || l.rest[2] <= ' '):
			_, l.rest, _ = strings.Cut(l.rest, "\n")
		case l.rest[0] == '`', l.rest[0] == '"' && l.ansiQuotes:
			return token{tokenName, l.quoted(false)}
		case l.rest[0] == '\'', l.rest[0] == '"':
			return token{tokenString, l.quoted(!l.noBackslash)}
		default:
			return l.word()
		}
	}
}

// comment passes over a comment, or over the head of one that is executed. MariaDB takes those that are marked for MySQL 5.7
// and later for comments.
func (l *lexer) comment() {
	head, own := 3, strings.HasPrefix(l.rest, "/*M!")
	if own {
		head = 4
	}
	if own && l.mariadb || strings.HasPrefix(l.rest, "/*!") {
		version := l.rest[head:]
		version = version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
		if !l.mariadb || own || len(version) != 5 || version < "50700" {
			l.rest = l.rest[head+len(version):]
			return
		}
	}
	var closed bool
	_, l.rest, closed = strings.Cut(l.rest[2:], "*/")
	l.broken = l.broken || !closed
}

// quoted reads up to the closing quote, which stands for itself when doubled.
func (l *lexer) quoted(backslash bool) string {
	mark := l.rest[0]
	var out strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '\\' && backslash && i+1 < len(l.rest):
			i++
			out.WriteString(unescaped(l.rest[i]))
		case c == mark && i+1 < len(l.rest) && l.rest[i+1] == mark:
			i++
			out.WriteByte(c)
		case c == mark:
			l.rest = l.rest[i+1:]
			return out.String()
		default:
			out.WriteByte(c)
		}
	}
	l.rest, l.broken = "", true
	return out.String()
}

func unescaped(c byte) string {
	switch c {
	case '0':
		return "\x00"
	case 'b':
		return "\b"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'Z':
		return "\x1a"
	case '%', '_':
		return `\` + string(c)
	}
	return string([]byte{c})
}

func (l *lexer) word() token {
	i := 0
	for i < len(l.rest) && wordByte(l.rest[i]) {
		i++
	}
	kind := tokenWord
	if i == 0 {
		i, kind = 1, tokenSign
	}
	out := token{kind, l.rest[:i]}
	l.rest = l.rest[i:]
	return out
}

func wordByte(b byte) bool {
	return b == '_' || b == '$' || b >= utf8.RuneSelf || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
