package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
)

// mute is a source whose server takes the question for its runway and never answers.
type mute struct {
	*shelf
	asked chan struct{}
}

var _ cdc.Gauged = mute{}

func (m mute) Runway(ctx context.Context) (cdc.Runway, error) {
	m.asked <- struct{}{}
	<-ctx.Done()
	return cdc.Runway{}, ctx.Err()
}

// TestStatusDoesNotWaitForTheRunway has a server that does not answer: status does, and the daemon ends when it is told to.
func TestStatusDoesNotWaitForTheRunway(t *testing.T) {
	m := mute{newShelf(10, 10), make(chan struct{}, 1)}
	runShelf(t, m, t.TempDir(), ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
		select {
		case <-m.asked:
		case <-time.After(20 * time.Second):
			t.Fatal("the source was not asked for its runway")
		}
		st, err := p.Status(context.Background())
		if err != nil || st.Sources[0].Runway != nil || len(st.Problems) != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestRunwayIsTold follows a reading, a failed one and the next into status, problems and metrics.
func TestRunwayIsTold(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t)
	p := &Pipeline{store: r.store, project: r.project, log: slog.New(slog.DiscardHandler)}
	p.o.Carriers = parsed(t)
	c := newCapture("dispatch", newShelf(0, 0), r.store, newMetrics(nil), p.log)
	c.tables = newReader(c, ReadingOptions{}, func() []reading { return nil })
	c.set("streaming", nil)
	p.captures = []*capture{c}
	reg.MustRegister(newCollector(p))
	runway := func() (*RunwayStatus, []string) {
		t.Helper()
		st, err := p.Status(t.Context())
		if err != nil || !st.Ready {
			t.Fatalf("%+v, %v", st, err)
		}
		return st.Sources[0].Runway, st.Problems
	}
	if got, problems := runway(); got != nil || len(problems) != 0 {
		t.Errorf("before the server was asked: %+v, %q", got, problems)
	}
	good := cdc.Runway{At: time.Unix(1, 0), Retained: 12 << 20, Safe: -1, Left: -1, Oldest: -1, Status: "reserved"}
	c.noteRunway(good, nil)
	if got, problems := runway(); got.Retained != 12<<20 || got.Left != -1 || len(problems) != 0 {
		t.Errorf("at rest: %+v, %q", got, problems)
	}
	expectGauges(t, reg, "waybill_source_log_retained_bytes 1.2582912e+07", "waybill_source_log_written_bytes_per_second 0")
	short := good
	short.Safe, short.Left, short.Bound, short.Written, short.Oldest, short.OldestPID = 1<<20, 90*time.Minute, "max_slot_wal_keep_size", 200, time.Hour, "4711"
	short.Warnings = []cdc.Finding{{Check: "log runway", Level: cdc.LevelWarn, Found: "12MiB kept for us", Want: "at least 24h0m0s", Why: "When it ends, log is lost.", Fix: "ALTER SYSTEM ..."}}
	c.noteRunway(short, nil)
	got, problems := runway()
	if got.Left != 5400 || got.Bound != "max_slot_wal_keep_size" || got.Oldest != 3600 || got.OldestPID != "4711" {
		t.Errorf("short: %+v", got)
	}
	if want := "source dispatch, log runway: found 12MiB kept for us, needs at least 24h0m0s; When it ends, log is lost; run: ALTER SYSTEM ..."; !slices.Equal(problems, []string{want}) {
		t.Errorf("problems %q, want %q", problems, want)
	}
	expectGauges(t, reg, "waybill_source_log_left_seconds 5400", "waybill_source_log_retained_bytes 1.2582912e+07", "waybill_source_log_safe_bytes 1.048576e+06",
		"waybill_source_log_written_bytes_per_second 200", "waybill_source_oldest_transaction_seconds 3600")
	c.noteRunway(cdc.Runway{}, errors.New("no route to host"))
	if got, problems := runway(); got.Error != "no route to host" || got.Left != 5400 || len(problems) != 1 {
		t.Errorf("not answered: %+v, %q", got, problems)
	}
	expectGauges(t, reg) // what is not known now is absent
	c.noteRunway(good, nil)
	if got, problems := runway(); got.Error != "" || len(problems) != 0 {
		t.Errorf("answered again: %+v, %q", got, problems)
	}
}

// expectGauges compares the gauges of the runway that are there.
func expectGauges(t *testing.T, reg *prometheus.Registry, want ...string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "waybill_source_log") || strings.HasPrefix(name, "waybill_source_oldest") {
			got = append(got, fmt.Sprint(name, " ", f.GetMetric()[0].GetGauge().GetValue()))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("gauges %q, want %q", got, want)
	}
}
