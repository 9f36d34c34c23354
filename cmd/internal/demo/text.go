package demo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// grouped writes a decimal with commas between its thousands, and no less than two decimals if it has any.
func grouped(amount string) string {
	whole, part, _ := strings.Cut(amount, ".")
	digits, negative := strings.CutPrefix(whole, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if negative {
		digits = "-" + digits
	}
	if part != "" {
		digits += "." + (part + "0")[:max(2, len(part))]
	}
	return digits
}

// quoted is a command as one types it.
func quoted(args []string) string {
	var all []string
	for _, a := range args {
		if strings.ContainsAny(a, " '") {
			a = strconv.Quote(a)
		}
		all = append(all, a)
	}
	return strings.Join(all, " ")
}

var placeholder = regexp.MustCompile(`\$[0-9]+|\?`)

// text is a statement with its values, as one types it.
func (s Statement) text() string {
	next := 0
	text := placeholder.ReplaceAllStringFunc(s.SQL, func(p string) string {
		n := next
		if p != "?" {
			n, _ = strconv.Atoi(p[1:]) // digits
			n--
		}
		next++
		switch v := s.Args[n].(type) {
		case nil:
			return "NULL"
		case clock:
			return "now"
		case string:
			return "'" + strings.ReplaceAll(v, "'", "''") + "'"
		default:
			return fmt.Sprint(v)
		}
	})
	return strings.Join(strings.Fields(text), " ")
}

// clip cuts a text that would need more than two lines.
func clip(text string) string {
	const most = 2*(columns-13) - 12
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + " …"
	}
	return text
}
