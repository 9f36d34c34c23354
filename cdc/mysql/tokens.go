package mysql

// tokens are those of a whole statement, and how far it has been read.
type tokens struct {
	list []token
	at   int
}

// The bits of sql_mode that change how a statement is read.
const (
	modeRealAsFloat = 1 << 0
	modeAnsiQuotes  = 1 << 2
	modeOracle      = 1 << 9
	modeNoBackslash = 1 << 20
)

// lexed splits a statement; nil when a quote or a comment in it does not end.
func lexed(statement, flavor string, mode uint64) *tokens {
	l := &lexer{rest: statement, mariadb: flavor == MariaDB, ansiQuotes: mode&modeAnsiQuotes != 0, noBackslash: mode&modeNoBackslash != 0}
	t := &tokens{}
	for next := l.next(); next.kind != tokenEnd; next = l.next() {
		t.list = append(t.list, next)
	}
	if l.broken {
		return nil
	}
	return t
}

func (t *tokens) peek() token { return t.ahead(0) }

func (t *tokens) ahead(n int) token {
	if t.at+n >= len(t.list) {
		return token{}
	}
	return t.list[t.at+n]
}

func (t *tokens) take() token {
	next := t.peek()
	t.at += btoi(next.kind != tokenEnd)
	return next
}

// accept takes the next token if it is one of the words.
func (t *tokens) accept(words ...string) bool {
	ok := t.peek().is(words...)
	t.at += btoi(ok)
	return ok
}

// phrase takes the next tokens if they are these words, one behind the other.
func (t *tokens) phrase(words ...string) bool {
	for i, w := range words {
		if !t.ahead(i).is(w) {
			return false
		}
	}
	t.at += len(words)
	return true
}

// parens takes a balanced pair of parentheses and what is between them, if one begins here.
func (t *tokens) parens() bool {
	if !t.accept("(") {
		return false
	}
	for depth := 1; depth > 0 && t.peek().kind != tokenEnd; {
		switch next := t.take(); {
		case next.is("("):
			depth++
		case next.is(")"):
			depth--
		}
	}
	return true
}

// done reports whether a clause ends here.
func (t *tokens) done() bool { return t.peek().kind == tokenEnd || t.peek().is(",", ")") }
