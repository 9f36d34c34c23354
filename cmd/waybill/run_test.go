package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"waybill/cmd/internal/alert"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

// The daemon starts while both databases and the target are away, says so, refuses a second one, and stops when told.
func TestRunWhileEverythingIsAway(t *testing.T) {
	d := newDesk(t)
	d.edit("type: postgres", "type: mariadb") // PostgreSQL's very first start asks the server before it starts
	alerts := d.alerts()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log lines
	done := make(chan int, 1)
	go func() { done <- d.app("", &log, &log).execute(ctx, []string{"-c", d.config, "run"}) }()

	var s pipeline.Status
	for deadline := time.Now().Add(20 * time.Second); ; {
		out, _, code := d.run(context.Background(), "", "status", "--json")
		if code == 0 {
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Fatal(err)
			}
			if len(s.Sources) == 2 && s.Sources[0].Error != "" && s.Sources[1].Error != "" {
				break
			}
		}
		select {
		case code := <-done:
			t.Fatalf("run ended with %d: %s", code, log.buf.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("never said that the sources are away: %s", out)
		}
		<-time.After(20 * time.Millisecond)
	}
	if s.Ready {
		t.Error("ready without a source")
	}
	_, stderr, code := d.run(context.Background(), "", "run")
	if code != 3 || !strings.Contains(stderr, "is in use by process") {
		t.Errorf("a second daemon: %d %s", code, stderr)
	}
	select {
	case cause := <-alerts:
		if cause != "disk/floor" {
			t.Errorf("alert of %s", cause)
		}
	case <-time.After(20 * time.Second):
		t.Error("no alert")
	}
	cancel()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("told to stop, run ended with %d: %s", code, log.buf.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("run does not stop: %s", log.buf.String())
	}
	if text := log.buf.String(); !strings.Contains(text, "msg=stopped") || strings.Contains(text, "msg=streaming") ||
		!strings.Contains(text, `away="[billing dispatch]"`) {
		t.Errorf("log: %s", text)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data", "waybill.sock")); err == nil {
		t.Error("the socket was left behind")
	}
}

// alerts gives the desk a webhook, and a disk that is near its floor, and returns the causes that come.
func (d *desk) alerts() <-chan string {
	d.t.Helper()
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	key, err := config.SigningKey(secret)
	if err != nil {
		d.t.Fatal(err)
	}
	causes := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct{ Data struct{ Cause string } }
		seconds, serr := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
		if err := errors.Join(err, serr, json.Unmarshal(body, &m)); err != nil {
			d.t.Error(err)
		}
		if alert.Sign(key, r.Header.Get("webhook-id"), time.Unix(seconds, 0), body) != r.Header.Get("webhook-signature") {
			d.t.Error("an alert has a wrong signature")
		}
		causes <- m.Data.Cause
	}))
	d.t.Cleanup(hook.Close)
	var disk unix.Statfs_t
	if err := unix.Statfs(d.dir, &disk); err != nil {
		d.t.Fatal(err)
	}
	floor := disk.Bavail * uint64(disk.Bsize) * 6 / 10
	f, err := os.OpenFile(d.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "disk: { free_floor: %d }\nalerts: { url: %s, secret: %s }\n", floor, hook.URL, secret); err != nil {
		d.t.Fatal(err)
	}
	return causes
}

func TestCheckWhileEverythingIsAway(t *testing.T) {
	d := newDesk(t)
	out, stderr, code := d.run(context.Background(), "", "check", "--json")
	if code != 3 {
		t.Fatalf("%d %s%s", code, out, stderr)
	}
	var r struct {
		Findings []struct{ Where, Check, Level, Found string }
		Failed   int
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, f := range r.Findings {
		levels[f.Where+" "+f.Check] = f.Level
	}
	for where, want := range map[string]string{"configuration file": "ok", "mapping rules": "ok", "billing connection": "fail", "dispatch connection": "fail",
		"mapping catalogs": "warn", "erp connection": "fail"} {
		if levels[where] != want {
			t.Errorf("%s: %q, want %q in %s", where, levels[where], want, out)
		}
	}
	if out, _, code = d.run(context.Background(), "", "check"); code != 3 || !strings.Contains(out, "Run would refuse to start") {
		t.Errorf("for people: %d %s", code, out)
	}
}

func TestMapCheckAndTest(t *testing.T) {
	d := newDesk(t)
	out, _, code := d.run(context.Background(), "", "map", "check", "--offline")
	if code != 0 || !strings.Contains(out, "northstar/") {
		t.Errorf("map check --offline: %d %s", code, out)
	}
	if out, _, code = d.run(context.Background(), "", "map", "check"); code != 3 || !strings.Contains(out, "--offline checks the file alone") {
		t.Errorf("map check without databases: %d %s", code, out)
	}
	if out, _, code = d.run(context.Background(), "", "map", "test"); code != 0 {
		t.Errorf("map test: %d %s", code, out)
	}
	bad := filepath.Join(d.dir, "bad.yml")
	if err := os.WriteFile(bad, []byte("mapping: northstar\nversion: 7\nsources:\n  dispatch: { zone: Nowhere/Land }\nevnts: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"map check --offline", "map check", "map test"} {
		out, stderr, code := d.run(context.Background(), "", append(strings.Fields(args), bad)...)
		if text := out + stderr; code != 2 || !strings.Contains(text, "DIR/bad.yml:4: found") || !strings.Contains(text, "DIR/bad.yml:5: found") {
			t.Errorf("%s: %d %s", args, code, text)
		}
	}
}

func TestPlanWhileEverythingIsAway(t *testing.T) {
	d := newDesk(t)
	t.Setenv("TMPDIR", d.dir)
	_, stderr, code := d.run(context.Background(), "", "plan")
	if code != 3 || !strings.Contains(stderr, "reading a snapshot of") {
		t.Errorf("plan: %d %s", code, stderr)
	}
	if left, err := filepath.Glob(filepath.Join(d.dir, "waybill-plan-*")); err != nil || len(left) > 0 {
		t.Errorf("plan left %v, %v", left, err)
	}
}
