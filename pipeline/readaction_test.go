package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
	"waybill/checkpoint"
)

// quietTables is a source that nobody opens.
type quietTables struct{ cdc.Source }

func (quietTables) Lag() cdc.Lag { return cdc.Lag{Bytes: -1} }

func (quietTables) Estimate(context.Context, cdc.Table) (int64, error) { return 1200, nil }

// operated is a pipeline without sessions and lanes over a rig.
func operated(t *testing.T) (*rig, *Pipeline) {
	t.Helper()
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	payload, err := json.Marshal(mappingEntry{"parts/1", "parts.yaml", partsMapping})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Mapping, payload)
	r.start()
	p := &Pipeline{o: Options{Carriers: carriers(t, partsMapping), Sources: map[string]cdc.Source{"billing": nil, "dispatch": quietTables{}}}, store: r.store, project: r.project, started: time.Now()}
	for _, name := range []string{"billing", "dispatch"} {
		c := newCapture(name, quietTables{}, r.store, newMetrics(nil), slog.New(slog.DiscardHandler))
		c.tables = newReader(c, ReadingOptions{RowsPerSecond: 500}, func() []reading { return r.project.current(name) })
		p.captures = append(p.captures, c)
	}
	return r, p
}

var customersTable = cdc.Table{Schema: "public", Name: "customers"}

// refused expects a ReadingError with these words.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	var e *ReadingError
	if !errors.As(err, &e) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReadingsAreOperated(t *testing.T) {
	r, p := operated(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	q := ReadRequest{Source: "dispatch", Table: cdc.Table{Name: "customers"}, By: "ann"}
	_, err := p.Read(ctx, q) // the first one began with the mapping
	refused(t, err, "table public.customers of dispatch is being read already (pending). waybill snapshot list shows how far it is; ask again when it has ended")
	if st, err := p.PauseReading(ctx, q); err != nil || st.State != ReadingPaused || !st.First || st.Table != "public.customers" {
		t.Errorf("paused: %+v, %v", st, err)
	}
	_, err = p.PauseReading(ctx, q)
	refused(t, err, "the reading of table public.customers of dispatch is paused already. To let it go on: waybill snapshot resume dispatch public.customers")
	if st, err := p.ResumeReading(ctx, q); err != nil || st.State != ReadingPending {
		t.Errorf("resumed: %+v, %v", st, err)
	}
	_, err = p.ResumeReading(ctx, q)
	refused(t, err, "the reading of table public.customers of dispatch is not paused. waybill snapshot list shows how far it is")

	payload, err := json.Marshal(noteEntry{Action: noteReadingFailed, Identity: strconv.FormatUint(r.project.current("dispatch")[0].ID, 10), Why: "permission denied"})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Note, payload)
	_, err = p.ResumeReading(ctx, q)
	refused(t, err, "the reading of table public.customers of dispatch has failed: permission denied. Remove the cause, then: waybill exceptions retry X-000001")
	if st, err := p.Status(ctx); err != nil || !slices.Contains(st.Problems, "table public.customers of dispatch cannot be read: permission denied") {
		t.Errorf("problems %v, %v", st.Problems, err)
	}
	part := q
	part.Where = "cust_cd > 'K'"
	_, err = p.Read(ctx, part)
	refused(t, err, "table public.customers of dispatch was never read in full, so a filter would leave rows unknown. Read it without the filter first")

	r.seeded("dispatch")
	_, err = p.PauseReading(ctx, q)
	refused(t, err, "table public.customers of dispatch is not being read. To read it again: waybill snapshot dispatch public.customers")
	plan, err := p.PreviewRead(ctx, part)
	if err != nil || plan.Table != "public.customers" || plan.Rows != 1200 || plan.RowsPerSecond != 500 || plan.Workers != 2 || len(plan.Notes) != 4 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	part.Table, part.Why = customersTable, "audit"
	if st, err := p.Read(ctx, part); err != nil || st.State != ReadingPending || st.First || st.Where != part.Where || st.By != "ann" {
		t.Errorf("read: %+v, %v", st, err)
	}
	lines, err := p.Audit(ctx, AuditQuery{Limit: 1})
	if err != nil || len(lines) != 1 || lines[0].Action != "read" || lines[0].Target != "dispatch/public.customers" || lines[0].By != "ann" || lines[0].Why != "audit" {
		t.Errorf("audit %+v, %v", lines, err)
	}
	gauges(t, p, "waybill_reading_rows", "waybill_reading_rows_estimate")
}

// gauges expects these with the labels of the table that is read.
func gauges(t *testing.T, p *Pipeline, want ...string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(newCollector(p))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if i := slices.Index(want, f.GetName()); i >= 0 && len(f.Metric) == 1 && strings.Contains(f.Metric[0].String(), `"public.customers"`) {
			want = slices.Delete(want, i, i+1)
		}
	}
	if len(want) > 0 {
		t.Errorf("no gauge of the reading: %v", want)
	}
}

func TestReadingsAreRefused(t *testing.T) {
	r, p := operated(t)
	r.seeded("dispatch")
	before := r.store.Last()
	for name, x := range map[string]struct {
		q    ReadRequest
		want string
	}{
		"source": {ReadRequest{Source: "dispach"}, `there is no source "dispach". There are dispatch, billing`},
		"table":  {ReadRequest{Source: "dispatch", Table: cdc.Table{Name: "custommers"}}, `the mapping reads no table "custommers" of source dispatch. It reads public.customers`},
		"schema": {ReadRequest{Source: "dispatch", Table: cdc.Table{Schema: "old", Name: "customers"}}, `the mapping reads no table "old.customers" of source dispatch. It reads public.customers`},
		"two": {ReadRequest{Source: "dispatch", Table: customersTable, Where: "true; DROP TABLE customers"},
			"the filter holds a semicolon or a zero byte. Give one condition, as it would stand after WHERE"},
		"long": {ReadRequest{Source: "dispatch", Table: customersTable, Where: strings.Repeat("x", 4097)},
			"the filter has 4097 bytes, at most 4096 are taken. Select by a range or a subquery instead of a long list"},
	} {
		t.Run(name, func(t *testing.T) {
			x.q.By = "ann"
			_, err := p.Read(context.Background(), x.q)
			refused(t, err, x.want)
			if absent := name == "source" || name == "table" || name == "schema"; errors.Is(err, ErrNotFound) != absent {
				t.Errorf("not found: %v", !absent)
			}
			_, err = p.PreviewRead(context.Background(), x.q)
			refused(t, err, x.want)
		})
	}
	if _, err := p.Read(context.Background(), ReadRequest{Source: "dispatch", Table: customersTable}); err == nil {
		t.Error("nobody asked and it was read")
	}
	if last := r.store.Last(); last != before {
		t.Errorf("%d entries were journalled", last-before)
	}
}

func TestNearestComesFirst(t *testing.T) {
	list := []string{"public.carriers", "public.loads", "public.stops"}
	if nearest(list, "public.lodes"); list[0] != "public.loads" {
		t.Error(list)
	}
	for _, x := range []struct {
		a, b string
		n    int
	}{{"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if n := edits(x.a, x.b); n != x.n {
			t.Errorf("%s to %s: %d, want %d", x.a, x.b, n, x.n)
		}
	}
}
