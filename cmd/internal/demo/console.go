package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// columns is how wide the demo's own lines may be.
const columns = 100

// console prints the demo's progress for a person: numbered steps with the seconds since the start, and what happens under them.
type console struct {
	out   io.Writer
	began time.Time
	of    int // steps

	mu   sync.Mutex
	step int
}

func (c *console) seconds() float64 { return time.Since(c.began).Seconds() }

func (c *console) title(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step++
	fmt.Fprintf(c.out, "\n[%5.1f s] %d/%d  %s\n", c.seconds(), c.step, c.of, fmt.Sprintf(format, args...))
}

// say prints a line, or lines, under the step, as they are.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(fmt.Sprintf(format, args...), "\n")) {
		fmt.Fprintln(c.out, strings.TrimRight("  "+strings.TrimRight(line, "\n"), " "))
	}
}

// blank prints an empty line.
func (c *console) blank() {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out)
}

// event prints what happens now, with its moment.
func (c *console) event(format string, args ...any) {
	c.point(fmt.Sprintf("%7.1f s", c.seconds()), fmt.Sprintf(format, args...))
}

// point prints a text under a word that says what it is; what does not fit goes on under the text.
func (c *console) point(word, text string) {
	const at = 11
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(text) {
		for _, part := range wrap(strings.TrimRight(line, "\n"), columns-2-at) {
			fmt.Fprintf(c.out, "  %-*s%s\n", at, word, part)
			word = ""
		}
	}
}

// wrap cuts a text at blanks into lines of a width; a word that is longer stays whole.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), "  "+word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Write lets whole texts be printed under the step; a line that is too wide goes on in the next.
func (c *console) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		line = strings.TrimRight(line, "\n")
		if utf8.RuneCountInString(line) > columns-2 {
			line = strings.Join(wrap(line, columns-2), "\n")
		}
		c.say("%s", line)
	}
	return len(p), nil
}
