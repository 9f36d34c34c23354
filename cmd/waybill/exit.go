package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/transform"
)

// The exit codes. A second signal ends with 128 and its number.
const (
	exitOK          = 0
	exitRuntime     = 1 // it went wrong
	exitUsage       = 2 // the command, the configuration or the mapping is wrong
	exitEnvironment = 3 // something outside is missing or refuses: no daemon, a database, the ERP, the disk
)

// usageError is a mistake on the command line.
type usageError struct {
	message string
	try     string // a command that helps; may be empty
}

func (e *usageError) Error() string {
	if e.try == "" {
		return e.message
	}
	return e.message + "\nTry: " + e.try
}

func usage(try, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), try}
}

// environmentError is a fault outside of Waybill.
type environmentError struct{ err error }

func (e *environmentError) Error() string { return e.err.Error() }
func (e *environmentError) Unwrap() error { return e.err }

// shownError is an error whose text the command has printed already, as findings or results.
type shownError struct{ code int }

func (e shownError) Error() string { return fmt.Sprintf("ended with code %d", e.code) }

// exitCode is the one place that turns errors into exit codes.
func exitCode(err error) int {
	var shown shownError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &shown):
		return shown.code
	case is[*usageError](err), is[config.Faults](err), is[transform.Faults](err):
		return exitUsage
	case is[*environmentError](err), is[*admin.NotRunningError](err), is[*pipeline.BindingError](err),
		is[*cdc.RefusedError](err), is[*cdc.LostError](err), errors.Is(err, cdc.ErrDisconnected), errors.Is(err, cdc.ErrDenied),
		is[*checkpoint.LockedError](err), is[*checkpoint.CopyError](err), is[*checkpoint.VersionError](err), is[*checkpoint.FloorError](err),
		is[*pipeline.StartError](err), is[*pipeline.BindingError](err),
		is[*net.OpError](err), is[*net.DNSError](err):
		return exitEnvironment
	}
	return exitRuntime
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// report prints an error: for people one paragraph, with --json one object.
func (a *app) report(err error) {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if !a.json {
		fmt.Fprintln(a.err, "waybill: "+err.Error())
		return
	}
	answer := struct {
		Error  string        `json:"error"`
		Hint   string        `json:"hint,omitempty"`
		SQL    []string      `json:"sql,omitempty"` // statements that the error names
		Faults config.Faults `json:"faults,omitempty"`
		Code   int           `json:"exit_code"`
	}{Error: err.Error(), Code: exitCode(err)}
	var api *admin.Error
	if errors.As(err, &api) {
		answer.Error, answer.Hint = api.Message, api.Hint
	}
	var lost *cdc.LostError
	if errors.As(err, &lost) {
		answer.SQL = lost.SQL
	}
	errors.As(err, &answer.Faults)
	if json.NewEncoder(a.err).Encode(answer) != nil {
		fmt.Fprintln(a.err, "waybill: "+err.Error())
	}
}
