package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// console prints the demo's progress for a person: numbered steps with the seconds since the start, and what happens under them.
type console struct {
	out   io.Writer
	began time.Time
	of    int // steps

	mu   sync.Mutex
	step int
}

func (c *console) title(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step++
	fmt.Fprintf(c.out, "\n[%5.1f s] %d/%d  %s\n", time.Since(c.began).Seconds(), c.step, c.of, fmt.Sprintf(format, args...))
}

// say prints a line, or lines, under the step.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(fmt.Sprintf(format, args...), "\n")) {
		fmt.Fprintf(c.out, "[%5.1f s]      %s\n", time.Since(c.began).Seconds(), strings.TrimRight(line, "\n"))
	}
}

// Write lets whole texts be printed under the step.
func (c *console) Write(p []byte) (int, error) {
	c.say("%s", p)
	return len(p), nil
}
