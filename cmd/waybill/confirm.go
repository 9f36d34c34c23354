package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errDeclined ends a command that a person said no to.
var errDeclined = errors.New("nothing was changed")

// confirm asks for a typed yes. Where nobody can answer it refuses, so that a script must say --yes.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.terminal {
		return usage("", "refusing without --yes: standard input is not a terminal, so nobody can be asked")
	}
	fmt.Fprintf(a.err, "%s Type yes to go on: ", question)
	type answer struct {
		line string
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // a read of the terminal cannot be ended; Ctrl-C ends the command instead, and with it the process
		line, err := bufio.NewReader(io.LimitReader(a.in, 1024)).ReadString('\n')
		typed <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return errDeclined
	case got := <-typed:
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return fmt.Errorf("reading the answer: %w", got.err)
		}
		if strings.TrimSpace(got.line) != "yes" {
			return errDeclined
		}
		return nil
	}
}
