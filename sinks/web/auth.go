package web

import (
	"context"
	"net/http"
	"time"
)

// Auth lets requests into a target. All methods may be called from several goroutines.
type Auth interface {
	// Apply adds to a request what lets it in. body is what the request carries. It may ask a token server, within ctx. After an error the
	// request is not sent.
	Apply(ctx context.Context, r *http.Request, body []byte) error
	// Refused is told that the target refused a request for its credentials. again: there are new ones, and it may be sent once more. It
	// logs in at most once for all requests that were refused with the same credentials, and never in a loop.
	Refused(ctx context.Context, a Answer) (again bool, err error)
	// Secrets are those that no text may show, tokens too; none is empty.
	Secrets() []string
}

// AuthError is that there are no credentials now: the secret cannot be read, or the token server refuses it. Nothing was sent but, at most,
// requests that the target refused.
type AuthError struct {
	Err    error
	Outage bool // the token server does not answer: nobody needs to correct anything
	Unread bool // the secret itself cannot be read
	// Wait is how long the token server wants to be left alone; 0 when it did not say.
	Wait time.Duration
}

func (e *AuthError) Error() string { return "credentials: " + e.Err.Error() }

func (e *AuthError) Unwrap() error { return e.Err }

// nobody asks for credentials.
type nobody struct{}

func (nobody) Apply(context.Context, *http.Request, []byte) error      { return nil }
func (nobody) Refused(context.Context, Answer) (again bool, err error) { return false, nil }
func (nobody) Secrets() []string                                       { return nil }
