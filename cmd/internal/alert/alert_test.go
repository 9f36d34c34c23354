package alert

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The vector of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

var start = time.Date(2026, 3, 8, 14, 0, 0, 0, time.UTC)

func watcher() *Watcher {
	return New(Options{Interval: time.Hour, UnknownAfter: 10 * time.Minute, Host: "sync-1", Log: slog.New(slog.DiscardHandler)}, nil)
}

func states(messages []message) string {
	var list []string
	for _, m := range messages {
		list = append(list, m.Data.State+" "+m.Data.Cause)
	}
	return strings.Join(list, ", ")
}

func TestLook(t *testing.T) {
	good := pipeline.Status{Journal: pipeline.JournalStatus{DiskFree: 100, DiskFloor: 10}}
	stopped := good
	stopped.Sources = []pipeline.SourceStatus{{Name: "dispatch", State: "stopped", Error: "slot is gone"}}
	unknown := good
	unknown.Lanes = []pipeline.LaneStatus{{Lane: "transactional", Sink: "erp", State: "running", Unknown: 2}}
	lane := good
	lane.Lanes = []pipeline.LaneStatus{{Lane: "transactional", Sink: "erp", State: "stopped", Error: "two documents applied"}}
	near := good
	near.Journal.DiskFree = 19
	barely := good
	barely.Journal.DiskFree = 22
	short := good
	short.Sources = []pipeline.SourceStatus{{Name: "dispatch", State: "streaming", Runway: &pipeline.RunwayStatus{Warnings: []cdc.Finding{{Check: "log runway",
		Level: cdc.LevelWarn, Found: "900MiB kept for us", Want: "at least 24h0m0s", Why: "Log is lost.", Fix: "ALTER SYSTEM ..."}}}}}
	late := good
	late.Exceptions = []pipeline.ExceptionStat{{Code: "PERIOD_CLOSED", Open: 3, Overdue: 2}, {Code: "MISSING_FIELD", Open: 1}}
	blast := good
	blast.Exceptions = []pipeline.ExceptionStat{{Code: "BLAST_RADIUS", Open: 1}}
	const m = time.Minute
	steps := []struct {
		name   string
		after  time.Duration
		status pipeline.Status
		want   string
	}{
		{"nothing", 0, good, ""},
		{"a source stops", m, stopped, "firing source/dispatch/stopped"},
		{"it stays", 2 * m, stopped, ""},
		{"an hour later", 62 * m, stopped, "firing source/dispatch/stopped"},
		{"it clears", 63 * m, good, "resolved source/dispatch/stopped"},
		{"and stops again within the hour", 64 * m, stopped, ""},
		{"and clears unseen", 65 * m, good, ""},
		{"and again after the hour", 123 * m, stopped, "firing source/dispatch/stopped"},
		{"clears, while a lane stops", 124 * m, lane, "firing lane/transactional/erp/stopped, resolved source/dispatch/stopped"},
		{"unknown for a moment", 130 * m, unknown, "resolved lane/transactional/erp/stopped"},
		{"unknown, within its time", 139 * m, unknown, ""},
		{"settled in time", 139 * m, good, ""},
		{"unknown again", 140 * m, unknown, ""},
		{"past its time", 150 * m, unknown, "firing lane/transactional/erp/unknown"},
		{"the disk fills", 151 * m, near, "firing disk/floor, resolved lane/transactional/erp/unknown"},
		{"barely above", 152 * m, barely, ""},
		{"freed", 153 * m, good, "resolved disk/floor"},
		{"the log's runway is short", 154 * m, short, "firing source/dispatch/log_runway"},
		{"and long enough again", 155 * m, good, "resolved source/dispatch/log_runway"},
		{"exceptions are overdue", 156 * m, late, "firing exceptions/overdue/PERIOD_CLOSED"},
		{"they are settled, and a rule is held", 157 * m, blast, "firing exceptions/blast, resolved exceptions/overdue/PERIOD_CLOSED"},
		{"and it is released", 158 * m, good, "resolved exceptions/blast"},
	}
	w := watcher()
	for _, x := range steps {
		if got := states(w.look(x.status, start.Add(x.after))); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

func TestForgets(t *testing.T) {
	w := watcher()
	w.look(pipeline.Status{Sources: []pipeline.SourceStatus{{Name: "a", State: "stopped"}}}, start)
	w.look(pipeline.Status{}, start.Add(time.Minute))
	w.look(pipeline.Status{}, start.Add(2*time.Hour))
	if len(w.open) != 0 {
		t.Errorf("still remembers %d causes", len(w.open))
	}
}

// hook is a receiver that answers with the codes in turn, then 204, and keeps what it was sent.
type hook struct {
	mu     sync.Mutex
	codes  []int
	bodies []string
	heads  []http.Header
	got    chan struct{}
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies, h.heads = append(h.bodies, string(body)), append(h.heads, r.Header.Clone())
	code := http.StatusNoContent
	if len(h.codes) > 0 {
		code, h.codes = h.codes[0], h.codes[1:]
	}
	w.WriteHeader(code)
	h.got <- struct{}{}
}

func TestDelivery(t *testing.T) {
	h := &hook{codes: []int{500, 429}, got: make(chan struct{}, 10)}
	server := httptest.NewServer(h)
	defer server.Close()
	key := bytes.Repeat([]byte("k"), 32)
	status := pipeline.Status{Store: "3f1c", Sources: []pipeline.SourceStatus{{Name: "dispatch", State: "stopped", Error: strings.Repeat("ü", 2000)}}}
	w := New(Options{URL: server.URL, Key: key, Interval: time.Hour, UnknownAfter: time.Minute, Every: time.Millisecond, Host: "sync-1",
		Log: slog.New(slog.DiscardHandler)}, func(context.Context) (pipeline.Status, error) { return status, nil })
	w.sender.backoff = func(int) time.Duration { return time.Millisecond }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for range 3 {
		select {
		case <-h.got:
		case <-time.After(10 * time.Second):
			t.Fatal("the webhook was not called three times")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bodies) != 3 || h.bodies[0] != h.bodies[2] {
		t.Fatalf("%d calls", len(h.bodies))
	}
	for i, head := range h.heads {
		seconds, err := strconv.ParseInt(head.Get("webhook-timestamp"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if want := Sign(key, head.Get("webhook-id"), time.Unix(seconds, 0), []byte(h.bodies[i])); head.Get("webhook-signature") != want {
			t.Errorf("call %d: signature %s, want %s", i, head.Get("webhook-signature"), want)
		}
		if head.Get("webhook-id") != h.heads[0].Get("webhook-id") {
			t.Error("a repeat has another id")
		}
	}
	var m message
	if err := json.Unmarshal([]byte(h.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "waybill.alert.firing" || m.Data.Cause != "source/dispatch/stopped" || m.Data.Store != "3f1c" || m.Data.Host != "sync-1" || len(m.Data.Detail) > maxDetail+10 {
		t.Errorf("message %+v", m)
	}
}

func TestDeliveryGivesUp(t *testing.T) {
	for _, x := range []struct {
		code, calls int
	}{{400, 1}, {302, 1}, {503, maxAttempts}} {
		h := &hook{got: make(chan struct{}, 10)}
		for range 20 {
			h.codes = append(h.codes, x.code)
		}
		server := httptest.NewServer(h)
		s := newSender(Options{URL: server.URL + "/secret-token", Log: slog.New(slog.DiscardHandler)})
		s.backoff = func(int) time.Duration { return time.Microsecond }
		err := s.deliver(context.Background(), message{})
		if err == nil || len(h.bodies) != x.calls {
			t.Errorf("%d: %d calls, %v", x.code, len(h.bodies), err)
		}
		server.Close()
		s.client.CloseIdleConnections()
	}
	s := newSender(Options{URL: "http://127.0.0.1:1/secret-token", Log: slog.New(slog.DiscardHandler)})
	s.backoff = func(int) time.Duration { return time.Microsecond }
	if err := s.deliver(context.Background(), message{}); err == nil || strings.Contains(err.Error(), "secret-token") {
		t.Errorf("an unreachable webhook: %v", err)
	}
}
