package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"waybill/cdc"
	"waybill/transform"
)

// table prints aligned columns. A column whose title starts with > is aligned to the right, as numbers and money are.
type table struct {
	titles []string
	right  []bool
	rows   [][]string
	indent string
}

func newTable(titles ...string) *table {
	t := &table{}
	for _, title := range titles {
		name, right := strings.CutPrefix(title, ">")
		t.titles, t.right = append(t.titles, name), append(t.right, right)
	}
	return t
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	widths := make([]int, len(t.titles))
	all := t.rows
	if strings.Join(t.titles, "") != "" {
		all = append([][]string{t.titles}, t.rows...)
	}
	for _, cells := range all {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, cells := range all {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, c := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if t.right[i] {
				line.WriteString(pad + c)
			} else {
				line.WriteString(c + pad)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// printJSON prints v for programs.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// time shows an instant in the reader's zone; nothing for none.
func (a *app) time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(a.zone).Format("2006-01-02 15:04:05 MST")
}

// ago shows how long something has lasted.
func (a *app) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(a.now().Sub(t))
}

// span shows a duration with its two largest units.
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// count shows a number with separators: 1,204,331.
func count[N ~int | ~int64 | ~uint64](n N) string { return group(strconv.FormatInt(int64(n), 10)) }

// size shows a size; -1 is not known.
func size(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return cdc.Bytes(n).String()
}

// group puts a comma between each three digits of a decimal text, and leaves everything else as it is.
func group(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, fraction, found := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return sign + whole
}

func money(m *transform.Money) string {
	if m == nil {
		return "-"
	}
	return group(m.Amount) + " " + m.Currency
}

// sums shows an amount for each currency, in the order of the currencies.
func sums(m map[string]string) string {
	if len(m) == 0 {
		return "-"
	}
	parts := make([]string, 0, len(m))
	for currency, amount := range m {
		parts = append(parts, group(amount)+" "+currency)
	}
	slices.SortFunc(parts, func(a, b string) int { return strings.Compare(a[len(a)-3:], b[len(b)-3:]) })
	return strings.Join(parts, " + ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// oneLine keeps a text of outside from breaking the table or the terminal.
func oneLine(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}

// indented shifts every line of a text.
func indented(text, by string) string { return by + strings.ReplaceAll(text, "\n", "\n"+by) }
