package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/pipeline"
)

// script makes a program that stands in for waybill where only its process matters.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "waybill")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A kill and a stop leave nothing behind, children of the child included.
func TestDaemonLeavesNothingRunning(t *testing.T) {
	for name, end := range map[string]func(*daemon){"kill": (*daemon).kill, "stop": (*daemon).stop} {
		t.Run(name, func(t *testing.T) {
			d := &daemon{binary: script(t, "sleep 300 &\necho $! > child\nwait"), dir: t.TempDir()}
			if err := d.start(); err != nil {
				t.Fatal(err)
			}
			group := d.cmd.Process.Pid
			waitFor(t, "the grandchild", func() bool { _, err := os.Stat(filepath.Join(d.dir, "child")); return err == nil })
			end(d)
			waitFor(t, "the end of the group", func() bool { return errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) })
			end(d) // twice is harmless
		})
	}
}

func TestDaemonThatEndsByItself(t *testing.T) {
	d := &daemon{binary: script(t, "echo out of luck >&2; exit 1"), dir: t.TempDir()}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its end", d.ended)
	s := &show{daemon: d, console: &console{out: new(bytes.Buffer), began: time.Now()}}
	if err := s.poll(t.Context(), "waiting", nil); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("poll: got %v", err)
	}
	if d.logTail() != "out of luck" {
		t.Errorf("log: got %q", d.logTail())
	}
	d.stop()
}

func TestCommand(t *testing.T) {
	d := &daemon{binary: script(t, `test "$1" = status && echo '{"version":"1.2"}' || { echo "unknown $1" >&2; exit 2; }`), dir: t.TempDir()}
	status, err := ask[pipeline.Status](t.Context(), d, "status")
	if err != nil || status.Version != "1.2" {
		t.Errorf("got %+v, %v", status, err)
	}
	if _, err := d.command(t.Context(), "nonsense"); err == nil || !strings.Contains(err.Error(), "unknown nonsense") {
		t.Errorf("a command that fails: got %v", err)
	}
}

// The demo works in a folder of its own, never in one that has something in it.
func TestRunRefusesAFullFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Dir, o.Out, o.Carriers = dir, new(bytes.Buffer), carriersFolder
	if err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a folder that is in use: got %v", err)
	}
}

func TestQuiet(t *testing.T) {
	now := time.Now()
	var streaming []pipeline.SourceStatus
	for range sources {
		streaming = append(streaming, pipeline.SourceStatus{State: "streaming", Watermark: now.Add(time.Second)})
	}
	if !captured(pipeline.Status{Sources: streaming}, now) {
		t.Error("streams past the moment are not captured")
	}
	late, away := slices.Clone(streaming), slices.Clone(streaming)
	late[1].Watermark, away[0].State = now.Add(-time.Second), "backing off"
	for _, sources := range [][]pipeline.SourceStatus{nil, streaming[:1], late, away} {
		if captured(pipeline.Status{Sources: sources}, now) {
			t.Errorf("captured with %+v", sources)
		}
	}
	for _, lane := range []pipeline.LaneStatus{{Waiting: 1}, {Ready: 1}, {InFlight: 1}, {Unknown: 1}} {
		if idle(pipeline.Status{Lanes: []pipeline.LaneStatus{{Parked: 3}, lane}}, 0) {
			t.Errorf("idle with %+v", lane)
		}
	}
	if !idle(pipeline.Status{Lanes: []pipeline.LaneStatus{{Parked: 3}}}, 0) {
		t.Error("a parked delivery keeps the lane from being idle")
	}
	if gated := (pipeline.Status{Lanes: []pipeline.LaneStatus{{Waiting: 1}, {}}}); !idle(gated, 1) || idle(gated, 2) {
		t.Error("one document at a gate is not one")
	}
}
