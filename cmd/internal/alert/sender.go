package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// message is the body of the webhook.
type message struct {
	Type      string    `json:"type"` // waybill.alert.firing or waybill.alert.resolved
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	State  string    `json:"state"` // firing or resolved
	Cause  string    `json:"cause"` // stable: the same for firing, repeats and resolved
	Title  string    `json:"title"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since"`
	Store  string    `json:"store"`
	Host   string    `json:"host,omitempty"`
}

// Bounds of the delivery (Invariant 7). What is given up is sent again when the cause's interval has passed.
const (
	maxQueued   = 64
	maxAttempts = 6
	callTimeout = 10 * time.Second
	backoffBase = 2 * time.Second
	backoffMax  = time.Minute
)

// sender posts messages one after the other.
type sender struct {
	url     string
	key     []byte
	log     *slog.Logger
	client  *http.Client
	waiting chan message
	backoff func(attempt int) time.Duration
}

func newSender(o Options) *sender {
	return &sender{url: o.URL, key: o.Key, log: o.Log, waiting: make(chan message, maxQueued), backoff: jittered,
		client: &http.Client{Timeout: callTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second},
			// A redirect would carry the alert to an address that nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// queue never blocks.
func (s *sender) queue(m message) {
	select {
	case s.waiting <- m:
	default:
		s.log.Warn("alert dropped: too many wait for the webhook", "cause", m.Data.Cause)
	}
}

func (s *sender) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.waiting:
			if err := s.deliver(ctx, m); err != nil && ctx.Err() == nil {
				s.log.Warn("alert not delivered", "cause", m.Data.Cause, "state", m.Data.State, "error", err)
			}
		}
	}
}

// deliver tries a message maxAttempts times. Each attempt has the same id and a time of its own.
func (s *sender) deliver(ctx context.Context, m message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding the alert: %w", err)
	}
	id := newID()
	for attempt := 1; ; attempt++ {
		again, err := s.post(ctx, id, body, time.Now())
		if err == nil || !again || attempt == maxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.backoff(attempt)):
		}
	}
}

// post sends once, and says whether another attempt may help.
func (s *sender) post(ctx context.Context, id string, body []byte, now time.Time) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "waybill")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", Sign(s.key, id, now, body))
	res, err := s.client.Do(req)
	if err != nil {
		var u *url.Error // names the address, which may hold a token
		if errors.As(err, &u) {
			err = u.Err
		}
		return true, fmt.Errorf("posting the alert: %w", err)
	}
	defer res.Body.Close()
	if _, err := io.CopyN(io.Discard, res.Body, 64<<10); err != nil && err != io.EOF {
		s.log.Debug("answer of the webhook cut short", "error", err)
	}
	if res.StatusCode/100 == 2 {
		return false, nil
	}
	again = res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout
	return again, fmt.Errorf("the webhook answered %s", res.Status)
}

// Sign returns the webhook-signature of a message: v1, and the base64 of HMAC-SHA256 over id, time and body.
func Sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return "msg_" + hex.EncodeToString(b[:])
}

// jittered waits between nothing and the doubled base, so that many daemons do not come back together.
func jittered(attempt int) time.Duration {
	return mathrand.N(min(backoffMax, backoffBase<<attempt)) + time.Millisecond
}
