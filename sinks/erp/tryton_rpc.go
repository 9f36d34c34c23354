package erp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill/sinks"
)

// maxAnswer bounds what is read of an answer; a longer one is an unknown outcome, not a full memory.
const maxAnswer = 1 << 20

// rpc speaks Tryton's JSON-RPC to one database as one user. It logs in when it must, keeps the session, and never sends
// a call twice by itself, except after a 401, which says that the call was not executed.
type rpc struct {
	endpoint, root string
	user, password string
	cooldown       time.Duration
	client         *http.Client
	log            *slog.Logger
	now            func() time.Time

	mu      sync.Mutex // held during a login, so that many callers make one
	auth    string     // value of the Authorization header; empty without a session
	userID  int64
	refused *sinks.Outcome // why the last login was refused
	until   time.Time      // no login before
}

func newRPC(cfg TrytonConfig, log *slog.Logger) *rpc {
	return &rpc{
		endpoint: cfg.URL + "/" + cfg.Database + "/", root: cfg.URL + "/",
		user: cfg.User, password: cfg.Password, cooldown: cfg.LoginCooldown, log: log, now: time.Now,
		client: &http.Client{
			// No connection is used twice: Go's transport resends a request on its own when a kept connection turns out
			// to be dead, and nothing may be sent unseen here (Invariant 9). Tryton closes it anyway.
			Transport: &http.Transport{
				DisableKeepAlives:   true,
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// answer is a result, or the fault in its place, with the excerpts for trace.
type answer struct {
	result  json.RawMessage
	fault   *fault
	refused *sinks.Outcome // no session: what the login said, now or before its cool-down
	request string
	raw     string
}

// call runs one method in a session. params come without the context, which is added.
func (c *rpc) call(ctx context.Context, method string, tctx record, params ...any) answer {
	auth, out := c.session(ctx, "")
	if out != nil {
		return answer{refused: out}
	}
	a := c.post(ctx, c.endpoint, method, auth, append(params[:len(params):len(params)], tctx))
	if a.fault == nil || a.fault.Kind != kindHTTP || a.fault.Text != "401" {
		return a
	}
	// The session has ended, or is not fresh enough for post; the call was not executed.
	if auth, out = c.session(ctx, auth); out != nil {
		return answer{refused: out}
	}
	return c.post(ctx, c.endpoint, method, auth, append(params[:len(params):len(params)], tctx))
}

// session returns a session that is not stale, logging in if need be. A refused login is remembered, and no other is
// tried before the cool-down is over: repeating a bad password locks the account.
func (c *rpc) session(ctx context.Context, stale string) (string, *sinks.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.auth != "" && c.auth != stale {
		return c.auth, nil
	}
	if wait := c.until.Sub(c.now()); c.refused != nil && wait > 0 {
		o := *c.refused
		o.Wait = wait
		return "", &o
	}
	c.auth = ""
	a := c.post(ctx, c.endpoint, "common.db.login", "", []any{c.user, map[string]string{"password": c.password}})
	if a.fault == nil {
		var id int64
		var key string
		if err := json.Unmarshal(a.result, &[]any{&id, &key}); err != nil || key == "" {
			return "", c.outcomeOfLogin(fault{Kind: kindLogin, Text: "an answer that is not a session"})
		}
		c.userID, c.refused = id, nil
		c.auth = "Session " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%s:%d:%s", c.user, id, key)))
		return c.auth, nil
	}
	f := *a.fault
	if f.Kind == kindHTTP {
		f.Kind = kindLogin
	}
	return "", c.outcomeOfLogin(f)
}

func (c *rpc) outcomeOfLogin(f fault) *sinks.Outcome {
	o := classifyRead(f)
	if o.Class == sinks.Setup {
		o.Wait = c.cooldown
		c.refused, c.until = &o, c.now().Add(c.cooldown)
		c.log.Error("login refused by Tryton; none is tried again before the cool-down ends",
			"user", c.user, "code", o.Code, "cooldown", c.cooldown)
	}
	return &o
}

// me is the id of the user; 0 before the first login.
func (c *rpc) me() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userID
}

// post sends one request with exactly the keys id, method and params: only then does Tryton answer errors as JSON.
func (c *rpc) post(ctx context.Context, to, method, auth string, params []any) (a answer) {
	body, err := json.Marshal(struct {
		ID     int    `json:"id"`
		Method string `json:"method"`
		Params []any  `json:"params"`
	}{1, method, params})
	if err != nil {
		return answer{fault: &fault{Kind: kindDial, Text: err.Error()}}
	}
	if method != "common.db.login" { // Invariant 12: the login holds the password
		a.request = clip(string(body), 4096)
	}
	sent := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		a.fault = &fault{Kind: kindDial, Text: err.Error()}
		return a
	}
	req.GetBody = nil // nothing can be sent again unseen
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		a.fault = &fault{Kind: kindDial, Text: plain(err)}
		if sent {
			a.fault.Kind = kindCut
		}
		return a
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	a.raw = clip(string(raw), 4096)
	if method == "common.db.login" {
		a.raw = ""
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		a.fault = &fault{Kind: kindHTTP, Text: strconv.Itoa(resp.StatusCode), Wait: c.retryAfter(resp.Header.Get("Retry-After"))}
	case err != nil:
		a.fault = &fault{Kind: kindCut, Text: plain(err)}
	case len(raw) > maxAnswer:
		a.fault = &fault{Kind: kindCut, Text: fmt.Sprintf("an answer above %d bytes", maxAnswer)}
	default:
		a.result, a.fault = parse(raw)
	}
	return a
}

// retryAfter reads the header in both of its forms; 0 when there is none.
func (c *rpc) retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 && seconds < 1_000_000 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(c.now()), 0)
	}
	return 0
}

// parse splits an envelope into its result or its fault.
func parse(raw []byte) (json.RawMessage, *fault) {
	var env struct {
		Result json.RawMessage `json:"result"`
		Error  []any           `json:"error"`
	}
	if err := decodeAnswer(raw, &env); err != nil || (env.Error == nil && env.Result == nil) {
		return nil, &fault{Kind: kindCut, Text: "an answer that is not Tryton's: " + clip(string(raw), 200)}
	}
	if env.Error == nil {
		return env.Result, nil
	}
	first := func(v any) string {
		s, _ := v.(string)
		return clip(s, 1000)
	}
	var kind string
	if len(env.Error) > 0 {
		kind = first(env.Error[0])
	}
	var args []any
	if len(env.Error) > 1 {
		args, _ = env.Error[1].([]any)
	}
	switch {
	case kind == "UserError" && len(args) > 0:
		return nil, &fault{Kind: kind, Text: strings.TrimSpace(first(args[0]))}
	case kind == "UserWarning" && len(args) > 1:
		return nil, &fault{Kind: kind, Name: first(args[0]), Text: strings.TrimSpace(first(args[1]))}
	case kind == "ConcurrencyException" && len(env.Error) > 1:
		return nil, &fault{Kind: kind, Text: first(env.Error[1])}
	case kind == "LoginException" && len(args) > 1:
		return nil, &fault{Kind: kind, Text: first(args[1])}
	}
	return nil, &fault{Kind: kindError, Text: strings.TrimSpace(kind)}
}

// version asks the server for its version; it needs no login and no database.
func (c *rpc) version(ctx context.Context) (string, *fault) {
	a := c.post(ctx, c.root, "common.server.version", "", []any{})
	if a.fault != nil {
		return "", a.fault
	}
	var v string
	if err := json.Unmarshal(a.result, &v); err != nil {
		return "", &fault{Kind: kindCut, Text: "an answer that is not a version"}
	}
	return v, nil
}

// plain is a transport error without the address, which the reader knows, in a bounded length.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return clip(err.Error(), 300)
}

func (c *rpc) close() { c.client.CloseIdleConnections() }
