package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
	"waybill/pipeline"
)

// fake is a daemon that remembers what it was asked. It stands for *pipeline.Pipeline, which the whole-program tests use.
type fake struct {
	asked []any
	err   error
	ready bool
	block chan struct{} // when not nil, Status says so on entered and waits for it

	entered chan struct{}
}

func (f *fake) note(v ...any) error { f.asked = append(f.asked, v...); return f.err }

func (f *fake) Status(ctx context.Context) (pipeline.Status, error) {
	if f.block != nil {
		f.entered <- struct{}{}
		select {
		case <-f.block:
		case <-ctx.Done():
			return pipeline.Status{}, ctx.Err()
		}
	}
	return pipeline.Status{Version: "1.0.0", Ready: f.ready, Problems: []string{"lane transactional has stopped"}}, f.err
}
func (f *fake) Events(_ context.Context, q pipeline.EventQuery) ([]pipeline.StoredEvent, error) {
	return []pipeline.StoredEvent{{Seq: 7}}, f.note(q)
}
func (f *fake) Event(_ context.Context, id string) (pipeline.StoredEvent, error) {
	return pipeline.StoredEvent{Seq: 7}, f.note(id)
}
func (f *fake) Trace(_ context.Context, key string) ([]pipeline.TraceItem, error) {
	return nil, f.note(key)
}
func (f *fake) Exceptions(_ context.Context, q pipeline.ExceptionQuery) ([]pipeline.ExceptionView, error) {
	return []pipeline.ExceptionView{{ID: "X-000001"}}, f.note(q)
}
func (f *fake) Exception(_ context.Context, id string) (pipeline.ExceptionView, error) {
	return pipeline.ExceptionView{ID: id}, f.note(id)
}
func (f *fake) Retry(_ context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return nil, f.note("retry", ids, by, why)
}
func (f *fake) Discard(_ context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return nil, f.note("discard", ids, by, why)
}
func (f *fake) PreviewReplay(_ context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error) {
	return pipeline.Preview{Action: "preview"}, f.note(r)
}
func (f *fake) Replay(_ context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error) {
	return pipeline.Preview{Action: "replay"}, f.note(r)
}
func (f *fake) PreviewReset(_ context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	return pipeline.Preview{Action: "preview"}, f.note(r)
}
func (f *fake) Reset(_ context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	return pipeline.Preview{Action: "reset"}, f.note(r)
}
func (f *fake) PreviewRead(_ context.Context, r pipeline.ReadRequest) (pipeline.ReadPlan, error) {
	return pipeline.ReadPlan{Rows: 7}, f.note("plan", r)
}
func (f *fake) Read(_ context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return pipeline.ReadingStatus{}, f.note("read", r)
}
func (f *fake) PauseReading(_ context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return pipeline.ReadingStatus{}, f.note("pause", r)
}
func (f *fake) ResumeReading(_ context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return pipeline.ReadingStatus{}, f.note("resume", r)
}
func (f *fake) Checkpoint(context.Context) (pipeline.CheckpointView, error) {
	return pipeline.CheckpointView{Store: "s"}, f.err
}
func (f *fake) Change(_ context.Context, c pipeline.ExceptionChange) ([]pipeline.ExceptionView, error) {
	return nil, f.note("change", c)
}
func (f *fake) PreviewEdit(_ context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	return pipeline.EditView{}, f.note("preview edit", r)
}
func (f *fake) Edit(_ context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	return pipeline.EditView{}, f.note("edit", r)
}
func (f *fake) Audit(_ context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error) {
	return []pipeline.AuditLine{{By: "ann"}}, f.note(q)
}
func (f *fake) VerifyAudit(_ context.Context, expect string) (pipeline.AuditProof, error) {
	return pipeline.AuditProof{}, f.note("verify", expect)
}
func (f *fake) Redact(_ context.Context, r pipeline.RedactRequest) (pipeline.AuditLine, error) {
	return pipeline.AuditLine{}, f.note("redact", r)
}
func (f *fake) Reconcile(_ context.Context, q pipeline.ReportQuery) (pipeline.ReconcileReport, error) {
	if q.Progress != nil {
		q.Progress(1, 2)
		q.Progress(2, 2)
		q.Progress = nil
	}
	return pipeline.ReconcileReport{More: 7}, f.note("reconcile", q)
}
func (f *fake) Backlog(_ context.Context, q pipeline.ReportQuery) (pipeline.BacklogReport, error) {
	return pipeline.BacklogReport{}, f.note("backlog", q)
}

const token = "0123456789abcdef"

// start runs a server of the daemon on a socket and a free port, and returns the socket and the address.
func start(t *testing.T, d Daemon, o Options) (socket, address string) {
	t.Helper()
	o.Socket = filepath.Join(t.TempDir(), "waybill.sock")
	o.TCP, o.Token, o.Log = "127.0.0.1:0", token, slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "waybill_test_total", Help: "Test."})
	registry.MustRegister(counter)
	o.Gather = registry
	s, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if _, err := os.Stat(o.Socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
	return o.Socket, s.Addr()
}

func get(t *testing.T, url, bearer string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestClientReachesEveryMethod(t *testing.T) {
	f := &fake{ready: true}
	socket, address := start(t, f, Options{})
	at := time.Date(2026, 3, 8, 14, 5, 0, 123000, time.UTC)
	for name, c := range map[string]*Client{"unix": Dial(socket, ""), "tcp": DialTCP(address, token)} {
		t.Run(name, func(t *testing.T) {
			defer c.Close()
			f.asked = nil
			ctx := context.Background()
			events := pipeline.EventQuery{Type: "invoice.released", Key: "shipment/88121", Since: at, Until: at.Add(time.Hour), After: 9, Limit: 3, Newest: true}
			exceptions := pipeline.ExceptionQuery{State: "all", Class: "MASTER", Code: "UNKNOWN_CUSTOMER", Cause: "MASTER/UNKNOWN_CUSTOMER/billing/A 1", Owner: "master data",
				Person: "-", Before: at, Overdue: true, Money: "5000.00", Customer: "ACM9", Limit: 5}
			change := pipeline.ExceptionChange{Action: "wait", IDs: []string{"X-000001"}, Until: at, By: "ann", Why: "closed"}
			edit := pipeline.EditRequest{ID: "X-000001", Patch: []byte(`{"a":"b"}`), Resubmit: true, By: "ann", Why: "merged"}
			audit := pipeline.AuditQuery{After: 7, Oldest: true, By: "ann", Action: "waive", Target: "X-000001", Limit: 12}
			redact := pipeline.RedactRequest{Line: 12, Fields: []string{"by"}, By: "ann", Why: "erased"}
			replay := pipeline.ReplayRequest{Key: "invoice/A1", By: "ann", Why: "test"}
			reset := pipeline.ResetRequest{Source: "dispatch", To: "snapshot", By: "ann"}
			table := pipeline.ReadRequest{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: "loads"}, Where: "id > 7", By: "ann", Why: "test"}
			calls := []func() error{
				func() error { _, err := c.Status(ctx); return err },
				func() error { _, err := c.Events(ctx, events); return err },
				func() error { _, err := c.Event(ctx, "a b/c?"); return err },
				func() error { _, err := c.Trace(ctx, "invoice/A 1#ü"); return err },
				func() error { _, err := c.Exceptions(ctx, exceptions); return err },
				func() error { _, err := c.Exception(ctx, "X-000001"); return err },
				func() error { _, err := c.Retry(ctx, []string{"X-1", "X-2"}, "ann", "fixed"); return err },
				func() error { _, err := c.Discard(ctx, []string{"all"}, "ann", "by hand"); return err },
				func() error { _, err := c.PreviewReplay(ctx, replay); return err },
				func() error { _, err := c.Replay(ctx, replay); return err },
				func() error { _, err := c.PreviewReset(ctx, reset); return err },
				func() error { _, err := c.Reset(ctx, reset); return err },
				func() error { _, err := c.PreviewRead(ctx, table); return err },
				func() error { _, err := c.Read(ctx, table); return err },
				func() error { _, err := c.PauseReading(ctx, table); return err },
				func() error { _, err := c.ResumeReading(ctx, table); return err },
				func() error { _, err := c.Checkpoint(ctx); return err },
				func() error { _, err := c.Change(ctx, change); return err },
				func() error { _, err := c.PreviewEdit(ctx, edit); return err },
				func() error { _, err := c.Edit(ctx, edit); return err },
				func() error { _, err := c.Audit(ctx, audit); return err },
				func() error { _, err := c.VerifyAudit(ctx, "1:ab"); return err },
				func() error { _, err := c.Redact(ctx, redact); return err },
				func() error { _, err := c.Reconcile(ctx, pipeline.ReportQuery{Since: at}); return err },
				func() error {
					_, err := c.Backlog(ctx, pipeline.ReportQuery{Since: at, Until: at.Add(time.Hour)})
					return err
				},
			}
			for i, call := range calls {
				if err := call(); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
			want := []any{events, "a b/c?", "invoice/A 1#ü", exceptions, "X-000001", "retry", []string{"X-1", "X-2"}, "ann", "fixed",
				"discard", []string{"all"}, "ann", "by hand", replay, replay, reset, reset,
				"plan", table, "read", table, "pause", table, "resume", table,
				"change", change, "preview edit", edit, "edit", edit, audit, "verify", "1:ab", "redact", redact,
				"reconcile", pipeline.ReportQuery{Since: at}, "backlog", pipeline.ReportQuery{Since: at, Until: at.Add(time.Hour)}}
			if !reflect.DeepEqual(f.asked, want) {
				t.Errorf("asked %v\nwant  %v", f.asked, want)
			}
		})
	}
}

// TestReportTellsItsProgress asks for a report that takes long, and for one that fails on its way.
func TestReportTellsItsProgress(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	var told []int64
	q := pipeline.ReportQuery{Progress: func(done, total int64) { told = append(told, done, total) }}
	if r, err := c.Reconcile(context.Background(), q); err != nil || r.More != 7 || !reflect.DeepEqual(told, []int64{1, 2, 2, 2}) {
		t.Errorf("%+v, %v, told %v", r, err, told)
	}
	f.err = errors.New("the store is gone")
	var failed *Error
	if _, err := c.Reconcile(context.Background(), q); !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
}

func TestPreviewIsHarmless(t *testing.T) {
	socket, _ := start(t, &fake{}, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	q := pipeline.ReplayRequest{All: true, By: "ann"}
	if p, err := c.PreviewReplay(ctx, q); err != nil || p.Action != "preview" {
		t.Errorf("preview did %q, %v", p.Action, err)
	}
	if p, err := c.Replay(ctx, q); err != nil || p.Action != "replay" {
		t.Errorf("replay did %q, %v", p.Action, err)
	}
}

func TestTokenOverTCP(t *testing.T) {
	_, address := start(t, &fake{ready: true}, Options{})
	for _, bearer := range []string{"", "Bearer ", "Bearer wrong", "Basic " + token, token, "Bearer " + token + "0", "bearer " + token} {
		for _, path := range []string{"/api/status", "/api/audit", "/metrics", "/nowhere"} {
			if code, body := get(t, "http://"+address+path, bearer); code != http.StatusUnauthorized || strings.Contains(body, token) {
				t.Errorf("%q %s: %d %s", bearer, path, code, body)
			}
		}
	}
	if code, body := get(t, "http://"+address+"/api/status", "Bearer "+token); code != 200 || !strings.Contains(body, `"version":"1.0.0"`) {
		t.Errorf("with the token: %d %s", code, body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, "http://"+address+path, ""); code != 200 || body != "{\"status\":\"ok\"}\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestMetricsOpen(t *testing.T) {
	_, address := start(t, &fake{}, Options{Metrics: true})
	if code, body := get(t, "http://"+address+"/metrics", ""); code != 200 || !strings.Contains(body, "waybill_test_total 0") {
		t.Errorf("%d %s", code, body)
	}
}

func TestReadiness(t *testing.T) {
	f := &fake{}
	_, address := start(t, f, Options{})
	if code, body := get(t, "http://"+address+"/readyz", ""); code != 503 || body != "{\"status\":\"not ready\",\"problems\":1}\n" {
		t.Errorf("not ready: %d %s", code, body)
	}
	if code, _ := get(t, "http://"+address+"/healthz", ""); code != 200 {
		t.Errorf("healthy but not ready: %d", code)
	}
	f.err = errors.New("broken")
	if code, body := get(t, "http://"+address+"/healthz", ""); code != 503 || strings.Contains(body, "broken") {
		t.Errorf("broken: %d %s", code, body)
	}
}

func TestTCPNeedsToken(t *testing.T) {
	for _, token := range []string{"", "short"} {
		_, err := New(&fake{}, Options{TCP: "127.0.0.1:0", Token: token})
		if err == nil || !strings.Contains(err.Error(), "refusing to listen on 127.0.0.1:0 without a token") {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestSocketModeAndSecondDaemon(t *testing.T) {
	socket, _ := start(t, &fake{}, Options{})
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode of the socket: %o", mode)
	}
	second, err := New(&fake{}, Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), "another daemon answers at "+socket) {
		t.Errorf("a second daemon: %v", err)
	}
	if _, err := Dial(socket, "").Status(context.Background()); err != nil {
		t.Errorf("the first daemon was disturbed: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "waybill.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as kill -9 leaves it
	l.Close()
	s, err := New(&fake{}, Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestSocketPathTooLong(t *testing.T) {
	s, err := New(&fake{}, Options{Socket: "/tmp/" + strings.Repeat("x", 120)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "set admin.socket to a shorter path") {
		t.Error(err)
	}
}

func TestNoDaemon(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "waybill.sock")
	stale := filepath.Join(t.TempDir(), "waybill.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, socket := range []string{missing, stale} {
		_, err := Dial(socket, "northstar.yaml").Status(context.Background())
		var none *NotRunningError
		if !errors.As(err, &none) || err.Error() != "no daemon answers at "+socket+"; start it with waybill run -c northstar.yaml" {
			t.Errorf("%s: %v", socket, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	long := make([]string, maxIDs+1)
	cases := []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"GET", "/api/events?limit=10001", "", 400, `limit is "10001". Give a number up to 10000.`},
		{"GET", "/api/events?since=yesterday", "", 400, `since is "yesterday". Give a time such as 2026-03-08T14:05:00Z.`},
		{"GET", "/api/events?colour=red", "", 400, `unknown parameter "colour". Known here: type, key, since, until, after, limit, newest.`},
		{"GET", "/api/exceptions?state=closed", "", 400, `unknown state "closed". Use all, open, assigned, waiting, fixed, resubmitted, resolved, waived, superseded, discarded.`},
		{"POST", "/api/exceptions/change", `{"action":"close","ids":["X-1"],"by":"ann"}`, 400, `action: found "close", expected one of assign, comment, wait, fix, retry, waive, release`},
		{"POST", "/api/exceptions/change", `{"action":"waive","ids":["X-1"],"by":"ann"}`, 400, `a waive needs a reason; it is kept in the audit`},
		{"POST", "/api/exceptions/change", `{"action":"assign","ids":["X-1"],"cause":"c","by":"ann"}`, 400, `name exceptions by their ids, or all of a cause, and not both`},
		{"POST", "/api/exceptions/edit", `{"id":"X-1","patch":{}}`, 400, `the edit is not complete. Give "id" of the exception and "by", the person who decides.`},
		{"POST", "/api/audit/redact", `{"line":3,"fields":["who"],"by":"ann","why":"x"}`, 400, `the redaction is not complete. Give "line", "fields" (by, why, note), "by" and "why".`},
		{"GET", "/api/audit?newest=1", "", 400, `unknown parameter "newest". Known here: after, oldest, by, action, target, limit.`},
		{"GET", "/api/trace/", "", 400, "no key. Ask for a key such as invoice/A10023."},
		{"POST", "/api/exceptions/retry", `{"ids":["X-1"]}`, 400, `nobody decides. Give "by": the person who decides; it is written to the audit.`},
		{"POST", "/api/exceptions/retry", `{"by":"ann"}`, 400, `0 ids; from 1 to 10000 may be given. Give "ids": ["X-000012"], or ["all"].`},
		{"POST", "/api/exceptions/retry", `{"by":"ann","ids":["` + strings.Join(long, `","`) + `"]}`, 400, ""},
		{"POST", "/api/exceptions/X-1/retry", `{"by":"ann","ids":["X-2"]}`, 400, ""},
		{"POST", "/api/exceptions/X-1/retry", `{"bye":"ann"}`, 400, ""},
		{"POST", "/api/replay", `{"by":"ann"}`, 400, "nothing is selected. Select by event, key, since and until, from and to, or all."},
		{"POST", "/api/replay", `{"by":"ann","all":true,"key":"x"}`, 400, ""},
		{"POST", "/api/replay?preview=maybe", `{"by":"ann","all":true}`, 400, `preview is "maybe". Give true or false.`},
		{"POST", "/api/checkpoint/reset", `{"source":"dispatch"}`, 400, ""},
		{"POST", "/api/replay", `{"by":"` + strings.Repeat("x", maxBody) + `"}`, 413, "the request is larger than 1048576 bytes"},
		{"DELETE", "/api/replay", "", 404, ""},
		{"GET", "/", "", 404, "no page GET /. The API begins at /api/status."},
	}
	for _, x := range cases {
		t.Run(x.method+x.path, func(t *testing.T) {
			var body any
			if x.body != "" {
				body = json.RawMessage(x.body)
			}
			_, err := ask[json.RawMessage](context.Background(), c, x.method, x.path, body)
			var e *Error
			if !errors.As(err, &e) || e.Status != x.status || x.message != "" && e.Error() != x.message {
				t.Errorf("%v", err)
			}
		})
	}
	if len(f.asked) > 0 {
		t.Errorf("the daemon was asked: %v", f.asked)
	}
}

func TestErrorsOfTheDaemon(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	f.err = fmt.Errorf("event e1: %w", pipeline.ErrNotFound)
	if _, err := c.Event(context.Background(), "e1"); !errors.Is(err, pipeline.ErrNotFound) || !strings.HasPrefix(err.Error(), "no event e1.") {
		t.Errorf("not found: %v", err)
	}
	f.err = errors.New("reading the outbox: broken")
	_, err := c.Event(context.Background(), "e1")
	var e *Error
	if !errors.As(err, &e) || e.Status != 500 || e.Message != "reading the outbox: broken" {
		t.Errorf("broken: %v", err)
	}
}

func TestTooManyRequests(t *testing.T) {
	f := &fake{block: make(chan struct{}), entered: make(chan struct{})}
	_, address := start(t, f, Options{})
	ended := make(chan error, maxRequests)
	for range maxRequests {
		go func() {
			c := DialTCP(address, token)
			defer c.Close()
			_, err := c.Status(context.Background())
			ended <- err
		}()
	}
	for range maxRequests {
		<-f.entered
	}
	c := DialTCP(address, token)
	defer c.Close()
	_, err := c.Status(context.Background())
	var e *Error
	if !errors.As(err, &e) || e.Status != 503 || e.Message != "too many requests at once" {
		t.Errorf("one more: %v", err)
	}
	close(f.block)
	for range maxRequests {
		if err := <-ended; err != nil {
			t.Errorf("one of the first: %v", err)
		}
	}
}

func TestReadingsRefused(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	q := pipeline.ReadRequest{Source: "dispatch", Table: cdc.Table{Name: "loads"}, By: "ann"}
	for _, x := range []struct {
		q      pipeline.ReadRequest
		err    error
		status int
	}{
		{q, &pipeline.ReadingError{Reason: "being read already", Hint: "Wait"}, http.StatusConflict},
		{q, &pipeline.ReadingError{Reason: "no such table", Hint: "Look", Absent: true}, http.StatusNotFound},
		{pipeline.ReadRequest{Source: "dispatch", By: "ann"}, nil, http.StatusBadRequest},
	} {
		f.err = x.err
		_, err := c.Read(context.Background(), x.q)
		var e *Error
		if !errors.As(err, &e) || e.Status != x.status || e.Hint == "" {
			t.Errorf("%v: %v", x.err, err)
		}
	}
}
