package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// OAuth2 is a token server that gives tokens for client credentials (RFC 6749, 4.4) or a signed assertion (RFC 7523).
type OAuth2 struct {
	// Address of the token server that gives tokens.
	TokenURL string `yaml:"token_url"`
	// Who we are there.
	ClientID string `yaml:"client_id"`
	// Of the client; or client_secret_file, client_secret_command. None beside assertion.
	ClientSecret Secret `yaml:"client_secret"`
	// How the client secret is sent: header (default, as Basic) or body.
	SecretIn string `yaml:"secret_in"`
	// What is asked for, separated by blanks: https://api.businesscentral.dynamics.com/.default
	Scope string `yaml:"scope"`
	// More parameters of the request for a token: audience, resource. No secrets.
	Params map[string]string `yaml:"params"`
	// A signed assertion in place of the client secret: NetSuite's certificates, Entra's certificates.
	Assertion *Assertion `yaml:"assertion"`
}

func (o OAuth2) validate(at string, bad fault) {
	if found, want := badURL(o.TokenURL); want != "" {
		bad(at+"token_url", found, want+" of the token server")
	}
	if o.ClientID == "" && (o.Assertion == nil || o.Assertion.Issuer == "") {
		bad(at+"client_id", "", "the id that the token server knows us by")
	}
	if !slices.Contains([]string{"", "header", "body"}, o.SecretIn) {
		bad(at+"secret_in", o.SecretIn, "header or body")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		if slices.Contains([]string{"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "assertion", "scope"}, name) {
			bad(at+"params."+name, "a parameter with a key of its own", "another parameter")
		}
	}
	switch {
	case o.Assertion == nil:
		needs(at+"client_secret", o.ClientSecret, bad)
	case o.ClientSecret.Set():
		bad(at+"client_secret", "both client_secret and assertion", "one of them")
	}
	if o.Assertion != nil {
		o.Assertion.validate(at+"assertion.", bad)
	}
}

// Bounds of tokens. One whose lifetime is not told is used for tokenLife; each is renewed a margin before its end: a tenth of its life, at most
// marginMost.
const (
	tokenLife    = 10 * time.Minute
	tokenMost    = 24 * time.Hour
	marginMost   = time.Minute
	loginTimeout = 30 * time.Second
)

// A target that refuses a token which it has accepted before causes a login: at most loginBurst at once, and one in loginEvery.
const (
	loginBurst = 5
	loginEvery = time.Minute
)

// errToken is said when the target refuses a token that was given a moment ago: another would be refused as well.
var errToken = errors.New("the target refuses new tokens of the token server; another is not asked for 5m or until the secret changes")

// oauth2 holds one token for all requests.
type oauth2 struct {
	seen
	OAuth2
	client *Client // of the token server
	door   door    // keeps refused credentials from the token server
	flight singleflight.Group
	life   context.Context // ends with close
	end    context.CancelFunc

	mu     sync.Mutex
	token  token
	doubts int           // refusals since a token was accepted last
	logins *rate.Limiter // those that refusals cause
	quiet  time.Time     // no login before: the token server is down, or wants it so
	reason error         // why the door is shut
}

type token struct {
	text string
	end  time.Time // it is renewed by then
}

func (o OAuth2) auth(t *tls.Config) *oauth2 {
	if t != nil && t.ServerName != "" {
		t = t.Clone()
		t.ServerName = "" // of the target; the token server has its own
	}
	a := &oauth2{OAuth2: o, logins: rate.NewLimiter(rate.Every(loginEvery), loginBurst)}
	a.life, a.end = context.WithCancel(context.Background())
	a.client = New(Options{TLS: t, Timeout: loginTimeout, Idle: 1, Auth: &tokenRequest{a}, Headers: map[string]string{
		"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}})
	return a
}

func (o *oauth2) close() {
	o.end()
	o.client.Close()
}

// Apply adds the token, and gets one first when there is none. Many that wait cause one login.
func (o *oauth2) Apply(ctx context.Context, r *http.Request, _ []byte) error {
	text, err := o.current(ctx)
	if err != nil {
		return err
	}
	t := attemptOf(ctx)
	t.with, t.done = text, func(accepted bool) { o.settled(text, accepted) }
	r.Header.Set("Authorization", "Bearer "+text)
	return nil
}

func (o *oauth2) valid() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.token.text != "" && o.door.now().Before(o.token.end) {
		return o.token.text
	}
	return ""
}

func (o *oauth2) current(ctx context.Context) (string, error) {
	if text := o.valid(); text != "" {
		return text, nil
	}
	landed := o.flight.DoChan("", func() (any, error) {
		if text := o.valid(); text != "" { // of a login that has just ended
			return text, nil
		}
		return o.login()
	})
	select {
	case r := <-landed:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", &AuthError{Err: fmt.Errorf("waiting for a token: %w", ctx.Err()), Outage: true}
	}
}

func (o *oauth2) settled(text string, accepted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if accepted && text == o.token.text {
		o.doubts = 0
	}
}

// Refused drops the token that was refused, and says that there will be another. When the target refuses that one twice and nothing was
// accepted between, nothing is asked of the token server for a while.
func (o *oauth2) Refused(ctx context.Context, _ Answer) (again bool, err error) {
	with := attemptOf(ctx).with
	texts, err := readAll(o.secrets())
	if err != nil {
		return false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case with != o.token.text: // another has renewed it, or is about to
		return true, nil
	case o.doubts == 1: // the new token as well; it may be a matter of this one address
		o.doubts++
		return false, nil
	case o.doubts > 1:
		o.token, o.reason = token{}, errToken
		o.door.refuse(named(texts))
		return false, nil
	case !o.logins.AllowN(o.door.now(), 1):
		return false, nil
	}
	o.token, o.doubts = token{}, 1
	return true, nil
}

// secrets are those by which the token server knows us.
func (o *oauth2) secrets() []Secret {
	if o.Assertion != nil {
		return []Secret{o.Assertion.Key}
	}
	return []Secret{o.ClientSecret}
}

// login gets a token. One runs at a time.
func (o *oauth2) login() (string, error) {
	texts, err := readAll(o.secrets())
	if err != nil {
		return "", err
	}
	o.seen.add(texts...)
	if err := o.shut(named(texts)); err != nil {
		return "", err
	}
	form, err := o.form(texts[0])
	if err != nil {
		return "", err
	}
	a := o.client.Do(o.life, Request{Method: http.MethodPost, URL: o.TokenURL, Body: []byte(form.Encode()), Refused: func(Answer) bool { return false }})
	t, err := o.read(a)
	o.mu.Lock()
	defer o.mu.Unlock()
	var failed *AuthError
	switch {
	case err == nil:
		o.token, o.reason = t, nil
		o.seen.add(t.text)
	case errors.As(err, &failed) && failed.Outage:
		o.quiet = o.door.now().Add(max(a.Wait, time.Second))
	default:
		o.reason = failed.Err
		o.door.refuse(named(texts))
	}
	return t.text, err
}

// shut says why no login is tried now; nil when one is.
func (o *oauth2) shut(with string) error {
	err := o.door.shut(with)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil && o.reason != nil:
		return &AuthError{Err: o.reason}
	case err != nil:
		return err
	case o.door.now().Before(o.quiet):
		return &AuthError{Err: errors.New("the token server gave no token a moment ago"), Outage: true, Wait: o.quiet.Sub(o.door.now())}
	}
	return nil
}

// form is the request for a token.
func (o *oauth2) form(secret string) (url.Values, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range o.Params {
		form.Set(name, value)
	}
	if o.Scope != "" {
		form.Set("scope", o.Scope)
	}
	if o.Assertion == nil {
		if o.SecretIn == "body" {
			form.Set("client_id", o.ClientID)
			form.Set("client_secret", secret)
		}
		return form, nil
	}
	signed, err := o.Assertion.sign(o.ClientID, o.TokenURL, secret, time.Now())
	if err != nil {
		return nil, &AuthError{Err: err}
	}
	o.seen.add(signed)
	if o.Assertion.As == "grant" {
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		form.Set("assertion", signed)
		return form, nil
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", signed)
	if o.Assertion.SendID {
		form.Set("client_id", o.ClientID)
	}
	return form, nil
}

// read makes a token of an answer (RFC 6749, 5.1 and 5.2). The error is an AuthError.
func (o *oauth2) read(a Answer) (token, error) {
	if a.Err != nil {
		return token{}, &AuthError{Err: fmt.Errorf("the token server: %w", a.Err), Outage: true}
	}
	var said struct {
		Token     string          `json:"access_token"`
		Type      string          `json:"token_type"`
		ExpiresIn json.RawMessage `json:"expires_in"` // a number; Entra's older form writes a text
		Error     string          `json:"error"`
		Text      string          `json:"error_description"`
	}
	unread := json.Unmarshal(a.Body, &said)
	refused := func(text string) (token, error) {
		if said.Text != "" {
			text += ": " + said.Text
		}
		return token{}, &AuthError{Err: errors.New("the token server " + Clip(text, 250))}
	}
	switch {
	case a.Status >= 500, a.Status == http.StatusTooManyRequests, a.Status == http.StatusRequestTimeout,
		said.Error == "temporarily_unavailable", said.Error == "server_error":
		return token{}, &AuthError{Err: fmt.Errorf("the token server answered %d", a.Status), Outage: true, Wait: a.Wait}
	case said.Error != "":
		return refused(fmt.Sprintf("answered %d %s", a.Status, said.Error))
	case a.Status != http.StatusOK && a.Status != http.StatusCreated:
		return refused(fmt.Sprintf("answered %d", a.Status))
	case unread != nil || said.Token == "" || strings.ContainsAny(said.Token, "\r\n\x00"):
		return refused("gave an answer without access_token")
	case said.Type != "" && !strings.EqualFold(said.Type, "bearer"):
		return refused(fmt.Sprintf("gave a token of type %q, expected Bearer", said.Type))
	}
	life := lifetime(said.ExpiresIn)
	return token{said.Token, o.door.now().Add(life - min(life/10, marginMost))}, nil
}

// lifetime reads expires_in, in seconds; what is no sensible number is as if it were not there.
func lifetime(raw json.RawMessage) time.Duration {
	var seconds json.Number
	if err := json.Unmarshal([]byte(strings.Trim(string(raw), `"`)), &seconds); err != nil {
		return tokenLife
	}
	n, err := seconds.Float64()
	if err != nil || n < 1 {
		return tokenLife
	}
	return time.Duration(min(n, tokenMost.Seconds()) * float64(time.Second))
}

// tokenRequest is how the token server lets us in, and what its answers may not show.
type tokenRequest struct{ *oauth2 }

func (t *tokenRequest) Apply(_ context.Context, r *http.Request, _ []byte) error {
	if t.Assertion != nil || t.SecretIn == "body" {
		return nil
	}
	texts, err := readAll(t.secrets())
	if err != nil {
		return err
	}
	// RFC 6749, 2.3.1: both are encoded as in a form.
	r.SetBasicAuth(url.QueryEscape(t.ClientID), url.QueryEscape(texts[0]))
	t.seen.add(strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
	return nil
}

func (t *tokenRequest) Refused(context.Context, Answer) (bool, error) { return false, nil }
func (t *tokenRequest) close()                                        {}
