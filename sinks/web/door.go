package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// shutFor is how long credentials that were refused are not tried again, unless they have changed.
const shutFor = 5 * time.Minute

// errShut is said of credentials that are not tried. It names no time, so that one cause has one text.
var errShut = errors.New("they were refused, and are not tried again for 5m or until they change")

// door keeps wrong credentials from being tried again and again, which locks accounts: those that were never accepted are tried by one
// request alone, and those that were refused by none. The zero door is open.
type door struct {
	mu       sync.Mutex
	clock    func() time.Time // nil: time.Now
	accepted string
	refused  string
	until    time.Time
	trying   chan struct{} // closed when the request that tries credentials has ended
}

func (d *door) now() time.Time {
	if d.clock != nil {
		return d.clock()
	}
	return time.Now()
}

// shut says why these credentials are not tried now; nil when they are.
func (d *door) shut(with string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shutTo(with)
}

func (d *door) shutTo(with string) error {
	if with == d.refused && d.now().Before(d.until) {
		return &AuthError{Err: errShut}
	}
	return nil
}

// enter lets the attempt in with these credentials, waits while another tries them, or refuses.
func (d *door) enter(ctx context.Context, with string) error {
	for {
		d.mu.Lock()
		if err := d.shutTo(with); err != nil {
			d.mu.Unlock()
			return err
		}
		trying := d.trying
		if trying == nil || with == d.accepted {
			t, followed := ctx.Value(attemptKey{}).(*attempt)
			if followed {
				t.with = with
			}
			if followed && with != d.accepted {
				d.trying = make(chan struct{})
				t.done = func(accepted bool) { d.leave(with, accepted) }
			}
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		select {
		case <-trying:
		case <-ctx.Done():
			return &AuthError{Err: fmt.Errorf("waiting for another request that tries them: %w", ctx.Err()), Outage: true}
		}
	}
}

func (d *door) leave(with string, accepted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if accepted && with != d.refused {
		d.accepted = with
	}
	close(d.trying)
	d.trying = nil
}

// refuse is told that credentials were refused. Those that were accepted before may be tried once more, by one request alone: it may have been
// the matter of one address.
func (d *door) refuse(with string) (accepted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if with == d.accepted {
		d.accepted = ""
		return true
	}
	d.refused, d.until = with, d.now().Add(shutFor)
	return false
}

// readAll reads secrets as they are now. The error is an AuthError.
func readAll(secrets []Secret) ([]string, error) {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		text, err := s.Read()
		if err == nil && text == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, &AuthError{Err: fmt.Errorf("reading the secret: %w", err), Unread: true}
		}
		texts[i] = text
	}
	return texts, nil
}

// named is a name of credentials that is no secret.
func named(texts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:])
}
