package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"waybill/checkpoint"
)

// store makes an empty store in the desk's data folder.
func (d *desk) store() *checkpoint.Store {
	d.t.Helper()
	s, err := checkpoint.Open(filepath.Join(d.dir, "data"), checkpoint.Options{Floor: 1 << 20})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func TestOfflineStore(t *testing.T) {
	d := newDesk(t)
	s := d.store()

	out, stderr, code := d.run(context.Background(), "", "checkpoint", "show")
	if code != 3 || !strings.Contains(stderr, "is in use by process") {
		t.Errorf("a store that is in use: %d %s%s", code, out, stderr)
	}
	_, stderr, code = d.run(context.Background(), "", "run")
	if code != 3 && code != 2 { // the mapping is read first
		t.Errorf("a second daemon: %d %s", code, stderr)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	out, stderr, code = d.run(context.Background(), "", "checkpoint", "show")
	if code != 0 {
		t.Fatalf("show: %d %s", code, stderr)
	}
	golden(t, "offline_show", uuid.ReplaceAllString(out, "UUID"))
	out, stderr, code = d.run(context.Background(), "", "checkpoint", "adopt", "--yes")
	if code != 0 {
		t.Fatalf("adopt: %d %s", code, stderr)
	}
	golden(t, "offline_adopt_own", uuid.ReplaceAllString(out, "UUID"))
}

func TestAdoptCopy(t *testing.T) {
	d := newDesk(t)
	if err := d.store().Close(); err != nil {
		t.Fatal(err)
	}
	original, copied := filepath.Join(d.dir, "data"), filepath.Join(d.dir, "copied")
	if err := os.CopyFS(copied, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	d.edit("data: data", "data: copied")
	_, stderr, code := d.run(context.Background(), "", "checkpoint", "show")
	if code != 3 || !strings.Contains(stderr, "waybill checkpoint adopt") {
		t.Errorf("show of a copy: %d %s", code, stderr)
	}
	_, stderr, code = d.run(context.Background(), "", "checkpoint", "adopt")
	if code != 2 || !strings.Contains(stderr, "refusing without --yes") {
		t.Errorf("adopt by a script: %d %s", code, stderr)
	}
	out, stderr, code := d.run(context.Background(), "yes\n", "checkpoint", "adopt")
	if code != 0 || !strings.Contains(out, "Adopted: DIR/copied is the store") || !strings.Contains(out, "epoch 2") {
		t.Errorf("adopt: %d %s%s", code, out, stderr)
	}
	if _, stderr, code = d.run(context.Background(), "", "checkpoint", "show"); code != 0 {
		t.Errorf("show after: %d %s", code, stderr)
	}
}
