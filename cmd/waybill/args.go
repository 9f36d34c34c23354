package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/config"
)

// meant says which of the names somebody may have meant, or else which there are.
func meant(typed string, names []string) string {
	if near := config.Suggest(typed, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "there are " + strings.Join(names, ", ")
}

// noArgs refuses arguments, with the exit code of a usage error.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Sprintf("%s takes no argument (got %q)", c.CommandPath(), args[0]), c.CommandPath() + " --help"}
	}
	return nil
}

// oneArg wants exactly one argument, described for the message: "an event id".
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{fmt.Sprintf("%s needs %s (got %d arguments)", c.CommandPath(), what, len(args)), c.CommandPath() + " --help"}
		}
		return nil
	}
}

// atMostOneArg takes one argument or none.
func atMostOneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{fmt.Sprintf("%s takes %s (got %d arguments)", c.CommandPath(), what, len(args)), c.CommandPath() + " --help"}
		}
		return nil
	}
}

// checkLimit refuses a --limit that the daemon would not keep to.
func checkLimit(n int) error {
	if n < 1 || n > 10_000 {
		return usage("", "--limit: found %d, expected 1 to 10000", n)
	}
	return nil
}
