package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/pipeline"
)

// A running daemon takes other limits without losing what is counted, by the command and by SIGHUP, and refuses what needs a restart. A pause
// holds, and what was used of a budget is written down when it ends.
func TestReloadOfTheRunningDaemon(t *testing.T) {
	d := newDesk(t)
	d.edit("type: postgres", "type: mariadb") // PostgreSQL's very first start asks the server before it starts
	d.edit("timeout: 1s }", "timeout: 1s, policy: { concurrency: 4, per_day: 1000 } }")
	used := filepath.Join(d.dir, "data", "accounts", "erp")
	store, err := checkpoint.Open(filepath.Join(d.dir, "data"), checkpoint.Options{Floor: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// It was killed on a day that is not over: the three calls that it may have made count as made.
	if err := errors.Join(os.MkdirAll(filepath.Dir(used), 0o700), os.WriteFile(used, []byte(`{"day":"2999-01-01","used":37,"lent":3}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log lines
	done := make(chan int, 1)
	go func() { done <- d.app("", &log, &log).execute(ctx, []string{"-c", d.config, "run"}) }()
	sink := func() (v pipeline.SinkView, ok bool) {
		out, _, code := d.run(ctx, "", "sink", "list", "--json")
		var list []pipeline.SinkView
		if code != 0 || json.Unmarshal([]byte(out), &list) != nil || len(list) != 1 {
			return v, false
		}
		return list[0], true
	}
	poll := func(what string, cond func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !cond(); <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited 20 s for: %s\n%s", what, log.buf.String())
			}
		}
	}
	poll("the daemon knows what was used", func() bool { v, ok := sink(); return ok && v.Account.LeftDay == 960 })

	d.edit("concurrency: 4", "concurrency: 6, reserve: 1")
	out, stderr, code := d.run(ctx, "", "reload", "--why", "licence")
	if want := "sinks.erp.policy.concurrency: 4 → 6\nsinks.erp.policy.reserve: (not set) → 1\n\n2 changes taken from DIR/waybill.yaml.\n"; code != 0 || out != want {
		t.Fatalf("%d %s%s", code, out, stderr)
	}
	if v, ok := sink(); !ok || v.Account.Ceiling != 5 || v.Account.LeftDay != 960 {
		t.Errorf("%+v", v.Account)
	}
	d.edit("data: data", "data: elsewhere")
	if d.edit("reserve: 1", "reserve: 2"); syscall.Kill(os.Getpid(), syscall.SIGHUP) != nil {
		t.Fatal("no signal")
	}
	log.wait(t, "nothing was taken of the configuration")
	if v, ok := sink(); ok && v.Account.Ceiling != 5 {
		t.Errorf("a file that needs a restart was taken: %+v", v.Account)
	}
	d.edit("data: elsewhere", "data: data")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	poll("the reserve is two", func() bool { v, ok := sink(); return ok && v.Account.Ceiling == 4 })
	if out, stderr, code = d.run(ctx, "", "sink", "pause", "erp.sales_invoice", "--why", "close"); code != 0 || !strings.Contains(out, "by ann@desk: close") {
		t.Errorf("%d %s%s", code, out, stderr)
	}
	if out, _, _ = d.run(ctx, "", "audit", "list", "--json"); !strings.Contains(out, "sinks.erp.policy.reserve: 1 → 2") || !strings.Contains(out, `"pause sink"`) {
		t.Errorf("audit: %s", out)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Fatalf("run ended with %d: %s", code, log.buf.String())
	}
	if text, err := os.ReadFile(used); err != nil || !strings.Contains(string(text), `"used":40,"lent":0`) {
		t.Errorf("%s %v", text, err)
	}
}
