package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"waybill/pipeline"
)

// Error is an answer of the API that is not a success.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ". " + e.Hint
}

// Is lets callers ask errors.Is(err, pipeline.ErrNotFound) on both sides of the socket.
func (e *Error) Is(target error) bool {
	return target == pipeline.ErrNotFound && e.Status == http.StatusNotFound
}

// NotRunningError says that no daemon listens on the socket.
type NotRunningError struct {
	Socket string
	Config string // the file that named the socket; may be empty
	Err    error
}

func (e *NotRunningError) Error() string {
	start := "waybill run"
	if e.Config != "" {
		start += " -c " + e.Config
	}
	return fmt.Sprintf("no daemon answers at %s; start it with %s", e.Socket, start)
}

func (e *NotRunningError) Unwrap() error { return e.Err }

func badRequest(hint, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// errorOf classifies what a handler returned.
func errorOf(err error) *Error {
	var e *Error
	var tooLarge *http.MaxBytesError
	var refused *pipeline.ReadingError
	var unfit *pipeline.XrefError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &refused):
		return refusalOf(refused.Absent, refused.Reason, refused.Hint)
	case errors.As(err, &unfit):
		return refusalOf(unfit.Absent, unfit.Error(), "")
	case errors.Is(err, pipeline.ErrSideBusy):
		return &Error{Status: http.StatusConflict, Message: err.Error()}
	case errors.Is(err, pipeline.ErrNotFound):
		return &Error{Status: http.StatusNotFound, Message: err.Error()}
	case errors.As(err, &tooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Message: "the daemon did not answer in time",
			Hint: "Ask again; if it stays so, waybill status shows what it is busy with."}
	}
	return &Error{Status: http.StatusInternalServerError, Message: err.Error()}
}

func writeError(w http.ResponseWriter, err error) {
	e := errorOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	if err := json.NewEncoder(w).Encode(e); err != nil {
		return // the caller has gone; there is nobody to tell
	}
}

// refusalOf is what the pipeline refuses: 404 when what was named is not there, else 409.
func refusalOf(absent bool, reason, hint string) *Error {
	status := http.StatusConflict
	if absent {
		status = http.StatusNotFound
	}
	return &Error{Status: status, Message: reason, Hint: hint}
}
