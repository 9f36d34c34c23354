package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"waybill/pipeline"
)

// Client speaks to a running daemon. It has the methods of Daemon, so a command does not know on which side it is.
type Client struct {
	base   string
	token  string
	socket string
	config string
	http   *http.Client
}

var _ Daemon = (*Client)(nil)

// Dial returns a client of the daemon behind a unix socket; config is the file that named it, for the hint. Nothing is
// opened before the first call.
func Dial(socket, config string) *Client {
	transport := &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "unix", socket)
		}}
	return &Client{base: "http://waybill", socket: socket, config: config, http: &http.Client{Transport: transport}}
}

// DialTCP returns a client of the daemon behind an address, with its token.
func DialTCP(address, token string) *Client {
	return &Client{base: "http://" + address, token: token, socket: address,
		http: &http.Client{Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second}}}
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the daemon at a glance.
func (c *Client) Status(ctx context.Context) (pipeline.Status, error) {
	return ask[pipeline.Status](ctx, c, "GET", "/api/status", nil)
}

// Events asks for a page of stored events.
func (c *Client) Events(ctx context.Context, q pipeline.EventQuery) ([]pipeline.StoredEvent, error) {
	v := url.Values{}
	set(v, "type", q.Type)
	set(v, "key", q.Key)
	setTime(v, "since", q.Since)
	setTime(v, "until", q.Until)
	setNumber(v, "after", q.After)
	setNumber(v, "limit", uint64(max(q.Limit, 0)))
	if q.Newest {
		v.Set("newest", "true")
	}
	return ask[[]pipeline.StoredEvent](ctx, c, "GET", "/api/events?"+v.Encode(), nil)
}

// Event asks for one event with its deliveries.
func (c *Client) Event(ctx context.Context, id string) (pipeline.StoredEvent, error) {
	return ask[pipeline.StoredEvent](ctx, c, "GET", "/api/events/"+url.PathEscape(id), nil)
}

// Trace asks for the story of a key.
func (c *Client) Trace(ctx context.Context, key string) ([]pipeline.TraceItem, error) {
	return ask[[]pipeline.TraceItem](ctx, c, "GET", "/api/trace/"+pathOf(key), nil)
}

// Exceptions asks for the exceptions that the query selects.
func (c *Client) Exceptions(ctx context.Context, q pipeline.ExceptionQuery) ([]pipeline.ExceptionView, error) {
	v := url.Values{}
	for name, value := range map[string]string{"state": q.State, "class": q.Class, "code": q.Code, "cause": q.Cause, "owner": q.Owner, "person": q.Person,
		"money": q.Money, "customer": q.Customer} {
		set(v, name, value)
	}
	setTime(v, "before", q.Before)
	if q.Overdue {
		v.Set("overdue", "true")
	}
	setNumber(v, "limit", uint64(max(q.Limit, 0)))
	return ask[[]pipeline.ExceptionView](ctx, c, "GET", "/api/exceptions?"+v.Encode(), nil)
}

// Exception asks for one exception.
func (c *Client) Exception(ctx context.Context, id string) (pipeline.ExceptionView, error) {
	return ask[pipeline.ExceptionView](ctx, c, "GET", "/api/exceptions/"+url.PathEscape(id), nil)
}

// Retry tries the exceptions again; it returns when the decision is applied.
func (c *Client) Retry(ctx context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return ask[[]pipeline.ExceptionView](ctx, c, "POST", "/api/exceptions/retry", Judgement{ids, by, why})
}

// Discard gives up what the exceptions hold; it returns when the decision is applied.
func (c *Client) Discard(ctx context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return ask[[]pipeline.ExceptionView](ctx, c, "POST", "/api/exceptions/discard", Judgement{ids, by, why})
}

// PreviewReplay says what Replay would do.
func (c *Client) PreviewReplay(ctx context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error) {
	return ask[pipeline.Preview](ctx, c, "POST", "/api/replay?preview=true", r)
}

// Replay delivers stored events again.
func (c *Client) Replay(ctx context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error) {
	return ask[pipeline.Preview](ctx, c, "POST", "/api/replay", r)
}

// PreviewReset says what Reset would do.
func (c *Client) PreviewReset(ctx context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	return ask[pipeline.Preview](ctx, c, "POST", "/api/checkpoint/reset?preview=true", r)
}

// Reset moves a source's checkpoint.
func (c *Client) Reset(ctx context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	return ask[pipeline.Preview](ctx, c, "POST", "/api/checkpoint/reset", r)
}

// PreviewRead says what Read would do and cost.
func (c *Client) PreviewRead(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadPlan, error) {
	return ask[pipeline.ReadPlan](ctx, c, "POST", "/api/readings?preview=true", r)
}

// Read begins a reading of a table's rows; it returns when the decision is applied.
func (c *Client) Read(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return ask[pipeline.ReadingStatus](ctx, c, "POST", "/api/readings", r)
}

// PauseReading lets a reading wait.
func (c *Client) PauseReading(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return ask[pipeline.ReadingStatus](ctx, c, "POST", "/api/readings/pause", r)
}

// ResumeReading lets a paused reading go on.
func (c *Client) ResumeReading(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return ask[pipeline.ReadingStatus](ctx, c, "POST", "/api/readings/resume", r)
}

// Checkpoint asks for the positions and cursors.
func (c *Client) Checkpoint(ctx context.Context) (pipeline.CheckpointView, error) {
	return ask[pipeline.CheckpointView](ctx, c, "GET", "/api/checkpoint", nil)
}

// Change applies a decision about exceptions; it returns when it is applied.
func (c *Client) Change(ctx context.Context, q pipeline.ExceptionChange) ([]pipeline.ExceptionView, error) {
	return ask[[]pipeline.ExceptionView](ctx, c, "POST", "/api/exceptions/change", q)
}

// PreviewEdit says what Edit would change.
func (c *Client) PreviewEdit(ctx context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	return ask[pipeline.EditView](ctx, c, "POST", "/api/exceptions/edit?preview=true", r)
}

// Edit changes the body of a posting that its target refused.
func (c *Client) Edit(ctx context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	return ask[pipeline.EditView](ctx, c, "POST", "/api/exceptions/edit", r)
}

// Audit asks for lines of the audit.
func (c *Client) Audit(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error) {
	v := url.Values{}
	set(v, "by", q.By)
	set(v, "action", q.Action)
	set(v, "target", q.Target)
	if q.Oldest {
		v.Set("oldest", "true")
	}
	setNumber(v, "after", q.After)
	setNumber(v, "limit", uint64(max(q.Limit, 0)))
	return ask[[]pipeline.AuditLine](ctx, c, "GET", "/api/audit?"+v.Encode(), nil)
}

// VerifyAudit has the daemon prove the chain of the audit.
func (c *Client) VerifyAudit(ctx context.Context, expect string) (pipeline.AuditProof, error) {
	v := url.Values{}
	set(v, "expect", expect)
	return ask[pipeline.AuditProof](ctx, c, "GET", "/api/audit/verify?"+v.Encode(), nil)
}

// Redact drops fields of a line of the audit.
func (c *Client) Redact(ctx context.Context, r pipeline.RedactRequest) (pipeline.AuditLine, error) {
	return ask[pipeline.AuditLine](ctx, c, "POST", "/api/audit/redact", r)
}

func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var answer T
	err := c.send(ctx, method, path, body, func(read *json.Decoder) error { return read.Decode(&answer) })
	return answer, err
}

// send makes one request and hands the answer to take, unless it is an error.
func (c *Client) send(ctx context.Context, method, path string, body any, take func(*json.Decoder) error) error {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.failed(err)
	}
	defer res.Body.Close()
	read := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK {
		e := &Error{Status: res.StatusCode}
		if err := read.Decode(e); err != nil || e.Message == "" {
			e.Message = fmt.Sprintf("the daemon at %s answered %s", c.socket, res.Status)
		}
		return e
	}
	if err := take(read); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}

// failed tells "nobody is there" from "somebody is there and it failed".
func (c *Client) failed(err error) error {
	var op *net.OpError
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return &NotRunningError{Socket: c.socket, Config: c.config, Err: err}
	}
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("reaching the daemon at %s: %w; the socket belongs to the user that runs it", c.socket, op.Err)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.socket, err)
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setTime(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.Format(time.RFC3339Nano))
	}
}

func setNumber(v url.Values, name string, n uint64) {
	if n > 0 {
		v.Set(name, strconv.FormatUint(n, 10))
	}
}

// pathOf is a key as part of a path: what stands between its slashes is escaped.
func pathOf(key string) string {
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
