package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/types"
	"github.com/prometheus/client_golang/prometheus"
)

// brokenDisk is a file whose syncs fail.
type brokenDisk struct{ types.WritableFile }

var errBroken = errors.New("input/output error")

func (brokenDisk) Sync() error { return errBroken }

// After a failed sync the group is cut off again, and the journal takes nothing until the store is opened anew.
func TestFailedSync(t *testing.T) {
	s := open(t, t.TempDir())
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "segment"))
	if err != nil {
		t.Fatal(err)
	}
	file := &segmentFile{WritableFile: brokenDisk{f}, set: s.journal.set, dir: dir, name: "segment"}
	for _, off := range []int64{0, 5} {
		if _, err := file.WriteAt([]byte("group"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Sync(); !errors.Is(err, errBroken) {
		t.Errorf("sync: %v", err)
	}
	if raw, err := os.ReadFile(f.Name()); string(raw) != "group" || err != nil {
		t.Errorf("the file holds %q: %v", raw, err)
	}
	s.journal.stuck = s.journal.explain(errBroken)
	for range 2 {
		_, err := s.Append(context.Background(), Entry{Kind: Note})
		if !errors.Is(err, errBroken) || Refused(err) || !strings.Contains(err.Error(), "start again") {
			t.Errorf("append: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	dir := t.TempDir()
	for range 2 { // a store opened again uses the same registerer
		s := open(t, dir, func(o *Options) { o.Metrics = reg })
		appendN(t, s, 3, 100)
		families, err := reg.Gather()
		if err != nil || len(families) != 11 {
			t.Fatalf("%d metrics: %v", len(families), err)
		}
		for _, f := range families {
			m := f.GetMetric()[0]
			switch f.GetName() {
			case "waybill_journal_entries_total":
				if got := m.GetCounter().GetValue(); got != 3 {
					t.Errorf("entries: %v", got)
				}
			case "waybill_journal_sync_seconds":
				if got := m.GetHistogram().GetSampleCount(); got != 3 {
					t.Errorf("syncs: %v", got)
				}
			case "waybill_store_disk_free_bytes":
				if m.GetGauge().GetValue() <= 0 {
					t.Error("no free disk space")
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWait(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	waited := make(chan error)
	go func() { waited <- s.Wait(ctx, 2) }()
	appendN(t, s, 3, 1)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	cancel()
	if err := s.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
