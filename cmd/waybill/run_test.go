package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
)

// The daemon starts while both databases and the target are away, says so, refuses a second one, and stops when told.
func TestRunWhileEverythingIsAway(t *testing.T) {
	d := newDesk(t)
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
	cancel()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("told to stop, run ended with %d: %s", code, log.buf.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("run does not stop: %s", log.buf.String())
	}
	if text := log.buf.String(); !strings.Contains(text, "msg=stopped") || strings.Contains(text, "msg=streaming") {
		t.Errorf("log: %s", text)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data", "waybill.sock")); err == nil {
		t.Error("the socket was left behind")
	}
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
