package main

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"waybill/cdc"
	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/transform"
)

// The instant at which the golden outputs are made, and where.
var (
	testNow  = time.Date(2026, 3, 9, 15, 4, 5, 0, time.UTC)
	testZone = time.FixedZone("CDT", -5*3600)
)

// fakeDaemon answers with a carrier's afternoon. It stands for *pipeline.Pipeline behind the real server and client.
type fakeDaemon struct {
	mu     sync.Mutex
	events []pipeline.StoredEvent
	open   map[string]bool // exceptions that are open
	asked  []string        // decisions, as JSON
	empty  bool
	asks   int // of Exception, to close one only after a while
}

var _ admin.Daemon = (*fakeDaemon)(nil)

func newFake() *fakeDaemon {
	return &fakeDaemon{open: map[string]bool{"X-000001": true, "X-000002": true}, events: fakeEvents()}
}

func ago(d time.Duration) time.Time { return testNow.Add(-d) }

func usd(amount string) *transform.Money { return &transform.Money{Amount: amount, Currency: "USD"} }

func fakeEvents() []pipeline.StoredEvent {
	return []pipeline.StoredEvent{
		{Seq: 41, Event: transform.Event{ID: "1b2c3d4e5f607182", Type: "customer.changed", Key: "ACM9", Lane: transform.LaneMaster, Recorded: ago(3 * time.Hour), Historic: true}},
		{Seq: 42, Event: transform.Event{ID: "5f0c6f1c2a9b4d10", Type: "invoice.released", Rule: "invoice.released", Source: "/northstar/billing/nstar_billing.inv_hdr",
			Entity: "invoice", Key: "A10023", Company: "NSTR", Lane: transform.LaneTransactional, OrderKey: "invoice/A10023", Occurred: ago(26 * time.Hour),
			Recorded: ago(2 * time.Hour), Observed: ago(2*time.Hour - 40*time.Millisecond), Correlation: "shipment/88121", Causation: []string{"0a0b0c0d0e0f1011"},
			MapVersion: "northstar/7", Position: "0-1-4711", Index: 118, Data: json.RawMessage(`{"lines":2,"number":"A10023","total":"1150.00"}`),
			Amount: usd("1150.00"), Refs: []string{"invoice/A10023", "shipment/88121"}}},
		{Seq: 43, Event: transform.Event{ID: "9e8d7c6b5a493827", Type: "credit_memo.issued", Key: "C20001", Lane: transform.LaneTransactional, Recorded: ago(90 * time.Minute), Amount: usd("-1234567.5")}},
	}
}

func fakeDelivery() pipeline.DeliveryView {
	return pipeline.DeliveryView{ID: "d1", Event: "5f0c6f1c2a9b4d10", Sink: "erp", Entity: "sales_invoice", ExternalID: "nstar:A10023:0", OrderKey: "invoice/A10023",
		Lane: "transactional", State: "parked", Why: "customer ACM9 is not in the ERP", Step: "create", Attempts: 2, Amount: usd("1150.00"), Exception: "X-000001"}
}

func (f *fakeDaemon) Status(context.Context) (pipeline.Status, error) {
	s := pipeline.Status{Version: "1.0.0", Store: "0b5a3c1e-7d6f-4a39-9a52-3f1f3c1e2b4d", Epoch: 1, Mapping: "northstar/7", StartedAt: ago(3*time.Hour + 12*time.Minute), Ready: true,
		Journal: pipeline.JournalStatus{First: 1, Last: 1_204_331, Applied: 1_204_330, Bytes: 3 << 29, DiskFree: 80 << 30, DiskFloor: 512 << 20}}
	if f.empty {
		return s, nil
	}
	oldest := ago(2 * time.Hour)
	s.Ready, s.Problems = false, []string{"source billing has stopped: the binlog was purged"}
	s.Sources = []pipeline.SourceStatus{
		{Name: "billing", State: "stopped", Error: "the binlog was purged. Run: waybill checkpoint reset billing --to snapshot", LagBytes: -1, LagSeconds: 5400, Watermark: ago(90 * time.Minute), Changes: 902_117,
			SQL: []string{"SET GLOBAL binlog_expire_logs_seconds = 604800;"}, Runway: &pipeline.RunwayStatus{Retained: -1, Safe: -1, Left: -1, Oldest: -1, Error: "connection refused"}},
		{Name: "dispatch", State: "streaming", LagBytes: 12 << 10, LagSeconds: 0.42, Watermark: ago(time.Second), Changes: 302_214, Held: []string{"public.stops"}, Readings: fakeReadings(), Runway: fakeRunway()},
	}
	s.Lanes = []pipeline.LaneStatus{
		{Lane: "master", Sink: "erp", State: "running", Ready: 3, Done: 1812},
		{Lane: "transactional", Sink: "erp", State: "backing off", Waiting: 14, Ready: 2, InFlight: 1, Unknown: 1, Parked: 2, Done: 10_441, Oldest: &oldest, LastError: "erp answered 502"},
	}
	s.Feeds = []pipeline.FeedStatus{{Sink: "partner", State: "backing off", Error: "The receiver answered 503", Published: 118_204, Behind: 41, Aside: 12, Oldest: &oldest, InFlight: 1},
		{Sink: "stream", State: "running", Published: 302_214}}
	s.Services = []pipeline.ServiceStatus{{Name: "finance", Questions: 2, Unanswered: 2, Oldest: &oldest},
		{Name: "pricing", Questions: 140, Oldest: &oldest, Silent: true, Since: &oldest, Error: "OUTAGE: connection refused"}}
	s.Exceptions = []pipeline.ExceptionStat{{Code: "TOTAL_MISMATCH", Open: 1, Waiting: 1, Money: map[string]string{"CAD": "80.10"}},
		{Code: "UNKNOWN_CUSTOMER", Open: 1, Waiting: 3, Money: map[string]string{"USD": "3450.00", "CAD": "12.00"}}}
	s.Money = []pipeline.MoneyStatus{
		{Currency: "CAD", Released: 12, ReleasedSum: "18450.25", Posted: 11, PostedSum: "18358.15", Exception: 1, ExceptionSum: "92.10", InFlightSum: "0"},
		{Currency: "USD", Released: 10_460, ReleasedSum: "12034567.80", Posted: 10_441, PostedSum: "12001117.80", Exception: 3, ExceptionSum: "3450.00", InFlight: 16, InFlightSum: "30000.00"},
	}
	return s, nil
}

func fakeRunway() *pipeline.RunwayStatus {
	return &pipeline.RunwayStatus{At: ago(20 * time.Second), Retained: 900 << 20, Safe: 124 << 20, State: "extended", Written: 3000, Left: 12.4 * 3600, Bound: "max_slot_wal_keep_size",
		Oldest: 4020, OldestPID: "4711", Warnings: []cdc.Finding{{Check: "log runway", Level: cdc.LevelWarn, Found: "900MiB kept for us", Want: "at least 24h0m0s",
			Why: "When it is reached, log is lost.", Fix: "ALTER SYSTEM SET max_slot_wal_keep_size = '2048MB';"}}}
}

func (f *fakeDaemon) Events(_ context.Context, q pipeline.EventQuery) ([]pipeline.StoredEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []pipeline.StoredEvent
	for _, e := range f.events {
		if e.Seq > q.After && (q.Type == "" || q.Type == e.Type) && (q.Since.IsZero() || !e.Recorded.Before(q.Since)) {
			found = append(found, e)
		}
	}
	if q.Newest {
		return found[max(0, len(found)-q.Limit):], nil
	}
	return found[:min(len(found), q.Limit)], nil
}

func (f *fakeDaemon) Event(_ context.Context, id string) (pipeline.StoredEvent, error) {
	for _, e := range f.events {
		if e.ID == id {
			if e.Seq == 42 {
				e.Deliveries = []pipeline.DeliveryView{fakeDelivery()}
			}
			return e, nil
		}
	}
	return pipeline.StoredEvent{}, pipeline.ErrNotFound
}

func (f *fakeDaemon) Trace(_ context.Context, key string) ([]pipeline.TraceItem, error) {
	if key != "invoice/A10023" {
		return nil, nil
	}
	return []pipeline.TraceItem{
		{At: ago(2 * time.Hour), Kind: "row", Where: "billing.inv_hdr", Text: "update: stat D → R", Index: 118},
		{At: ago(2*time.Hour - time.Second), Kind: "event", Where: "northstar/7", Text: "invoice.released A10023, 1150.00 USD", ID: "5f0c6f1c2a9b4d10", Index: 118},
		{At: ago(2*time.Hour - 2*time.Second), Kind: "outcome", Where: "erp", Text: "UNKNOWN_CUSTOMER: there is no party\nwith code ACM9\x1b[31m", Index: 1121},
		{At: ago(time.Hour), Kind: "decision", Where: "ann@desk", Text: "retry X-000001: customer created", Index: 1_204_001},
	}, nil
}

func (f *fakeDaemon) view(id string) pipeline.ExceptionView {
	x := pipeline.ExceptionView{ID: id, State: "open", Origin: "delivery", Class: "MASTER", Code: "UNKNOWN_CUSTOMER", Title: "customer ACM9 is not in the ERP",
		Hint: "create the customer, or release it in dispatch, then retry", Owner: "master data", OpenedAt: ago(2 * time.Hour),
		Subjects: []string{"invoice/A10023", "invoice/A10031"}, Waiting: 3, Behind: 2, Money: map[string]string{"USD": "3450.00"}, Rule: "northstar.yml:88", Retries: 1, Cause: "MASTER/UNKNOWN_CUSTOMER/billing/ACM9",
		Evidence: json.RawMessage(`{"cust_cd":"ACM9"}`)}
	if id == "X-000001" {
		d := fakeDelivery()
		x.Delivery = &d
	} else {
		x.Origin, x.Class, x.Code, x.Title, x.Owner = "mapping", "DATA", "TOTAL_MISMATCH", "invoice A10040: lines 80.00, header 80.10", "billing"
		x.Delivery, x.Waiting, x.Behind, x.Subjects, x.Money, x.Evidence = nil, 1, 0, []string{"invoice/A10040"}, map[string]string{"CAD": "80.10"}, nil
		x.Cause = "DATA/TOTAL_MISMATCH/billing/invoice/A10040"
	}
	if !f.open[id] {
		closed := ago(0)
		x.State, x.ClosedAt, x.ClosedBy, x.Reason = "resolved", &closed, "ann@desk", "customer created"
	}
	return x
}

// worked is an exception that people have worked on.
func (f *fakeDaemon) worked() pipeline.ExceptionView {
	x := f.view("X-000001")
	due, until := ago(time.Hour), testNow.Add(2*time.Hour)
	x.ID, x.State, x.Person, x.Version, x.Due, x.Overdue, x.Until, x.Held = "X-000003", pipeline.ExceptionWaiting, "bob@desk", "northstar/7", &due, true, &until, 0
	x.Allowed = []string{"retry", "edit", "discard"}
	x.Body, x.Original, x.EditedBy = json.RawMessage(`{"party":"110045"}`), json.RawMessage(`{"party":"ACM9"}`), "ann@desk"
	x.Attempts = []pipeline.Attempt{{At: ago(2 * time.Hour), Kind: "intent", Step: "create", Number: 1},
		{At: ago(2*time.Hour - time.Second), Kind: "outcome", Step: "create", Number: 1, Class: "rejected", Code: "UNKNOWN_CUSTOMER", Message: "there is no party\nwith code ACM9"}}
	x.History = []pipeline.ExceptionNote{{At: ago(2 * time.Hour), What: "opened", State: pipeline.ExceptionOpen, By: "waybill"},
		{At: ago(90 * time.Minute), What: "assigned", State: pipeline.ExceptionAssigned, By: "ann@desk", Text: "to bob@desk: his customer", Line: 2},
		{At: ago(time.Hour), What: "overdue", State: pipeline.ExceptionAssigned, By: "waybill", Text: "its due time has passed"}}
	return x
}

// mass is what a rule made too much of.
func (f *fakeDaemon) mass() pipeline.ExceptionView {
	return pipeline.ExceptionView{ID: "X-000004", State: pipeline.ExceptionOpen, Origin: "blast", Class: "POLICY", Code: "BLAST_RADIUS", Cause: "POLICY/BLAST_RADIUS/northstar/customer.changed",
		Title: "Held in the transaction 0/4F2A10: customer.changed made 50000 events, 50000 postings; its bound is 10000 events in one transaction. Nothing of it was sent.",
		Hint:  "Look at the samples.", Owner: "integration", OpenedAt: ago(5 * time.Minute), Subjects: []string{"rule/customer.changed"}, Waiting: 1, Held: 100_000,
		Rule: "customer.changed (northstar.yml:31)", Version: "northstar/7", Allowed: []string{"release", "discard"}}
}

func (f *fakeDaemon) Exceptions(_ context.Context, q pipeline.ExceptionQuery) ([]pipeline.ExceptionView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty || q.Code == "NOTHING" {
		return nil, nil
	}
	return []pipeline.ExceptionView{f.view("X-000001"), f.view("X-000002")}, nil
}

func (f *fakeDaemon) Exception(_ context.Context, id string) (pipeline.ExceptionView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch id {
	case "X-000003":
		return f.worked(), nil
	case "X-000004":
		return f.mass(), nil
	}
	if _, known := f.open[id]; !known {
		return pipeline.ExceptionView{}, pipeline.ErrNotFound
	}
	if f.asks++; f.asks > 2 && len(f.asked) > 0 {
		f.open["X-000001"] = false // its delivery has come through
	}
	return f.view(id), nil
}

func (f *fakeDaemon) decide(v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, string(raw))
}

func (f *fakeDaemon) judge(verb string, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	f.decide([]any{verb, ids, by, why})
	if slices.Contains(ids, "all") {
		ids = []string{"X-000001", "X-000002"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []pipeline.ExceptionView
	for _, id := range ids {
		if _, known := f.open[id]; !known {
			return nil, pipeline.ErrNotFound
		}
		x := f.view(id)
		if verb == "discard" {
			x.State = "discarded"
		}
		list = append(list, x)
	}
	return list, nil
}

func (f *fakeDaemon) Retry(_ context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return f.judge("retry", ids, by, why)
}

func (f *fakeDaemon) Discard(_ context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error) {
	return f.judge("discard", ids, by, why)
}

func fakePreview(action string) pipeline.Preview {
	return pipeline.Preview{Action: action, Events: 1204, Keys: []string{"invoice/A10023", "invoice/A10031"}, More: 1100, Posts: 1204, Done: 1190,
		Money: map[string]string{"USD": "1234567.50", "CAD": "-80.10"}, Notes: []string{"Nothing is posted twice."}}
}

func (f *fakeDaemon) PreviewReplay(context.Context, pipeline.ReplayRequest) (pipeline.Preview, error) {
	return fakePreview("replay of invoice/A10023"), nil
}

func (f *fakeDaemon) Replay(_ context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error) {
	f.decide(r)
	p := fakePreview("replay of invoice/A10023")
	p.Backup = "/var/lib/waybill/backups/replay-1"
	return p, nil
}

func (f *fakeDaemon) PreviewReset(_ context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	return fakePreview("reset " + r.Source + " to a fresh snapshot"), nil
}

func (f *fakeDaemon) Reset(_ context.Context, r pipeline.ResetRequest) (pipeline.Preview, error) {
	f.decide(r)
	p := fakePreview("reset " + r.Source + " to a fresh snapshot")
	p.Backup = "/var/lib/waybill/backups/reset-1"
	return p, nil
}

func fakeReadings() []pipeline.ReadingStatus {
	return []pipeline.ReadingStatus{
		{Table: "public.carriers", State: pipeline.ReadingDone, Rows: 812, Estimate: 800, Percent: 100, Began: ago(time.Hour), By: "bob@desk"},
		{Table: "public.loads", State: pipeline.ReadingPending, Rows: 1_204_000, Estimate: 4_816_000, Percent: 25, Rate: 20_066.7, Seconds: 180, Began: ago(time.Minute),
			By: "ann@desk", Where: "id > 4000000", Error: "connection reset\nby peer", Waits: "the stream is 2m6s behind, and max_lag is 1m0s"},
		{Table: "public.stops", State: pipeline.ReadingFailed, First: true, Rows: 40, Estimate: -1, Percent: -1, Began: ago(3 * time.Hour), Error: "permission denied for table stops"},
		{Table: "public.trailers", State: pipeline.ReadingPaused, Rows: 0, Estimate: 120, Percent: 0, Began: ago(26 * time.Hour), By: "ann@desk"},
	}
}

func (f *fakeDaemon) reading(q pipeline.ReadRequest, state pipeline.ReadingState) (pipeline.ReadingStatus, error) {
	if q.Table.Name == "lodes" {
		return pipeline.ReadingStatus{}, &pipeline.ReadingError{Reason: `the mapping reads no table "lodes" of source dispatch`, Hint: "It reads public.loads, public.stops", Absent: true}
	}
	f.decide([]any{state, q})
	return pipeline.ReadingStatus{Table: "public.loads", State: state, Rows: 1_204_000, Estimate: 4_816_000, Percent: 25, Began: ago(time.Minute), By: q.By}, nil
}

func (f *fakeDaemon) PreviewRead(_ context.Context, q pipeline.ReadRequest) (pipeline.ReadPlan, error) {
	if q.Table.Name == "lodes" {
		_, err := f.reading(q, "")
		return pipeline.ReadPlan{}, err
	}
	v := pipeline.ReadPlan{Source: q.Source, Table: "public.loads", Where: q.Where, Rows: 4_816_000, Workers: 2, ChunkRows: 20_000,
		Notes: []string{"The rows are compared with what is known; only differences go through the rules."}}
	if q.Where != "" {
		v.RowsPerSecond = 5000
	}
	return v, nil
}

func (f *fakeDaemon) Read(_ context.Context, q pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return f.reading(q, pipeline.ReadingPending)
}

func (f *fakeDaemon) PauseReading(_ context.Context, q pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return f.reading(q, pipeline.ReadingPaused)
}

func (f *fakeDaemon) ResumeReading(_ context.Context, q pipeline.ReadRequest) (pipeline.ReadingStatus, error) {
	return f.reading(q, pipeline.ReadingPending)
}

func (f *fakeDaemon) Checkpoint(context.Context) (pipeline.CheckpointView, error) {
	return pipeline.CheckpointView{Store: "0b5a3c1e", Epoch: 2, Applied: 1_204_330, Last: 1_204_331, Mapping: "northstar/7",
		Sources:  []pipeline.SourcePosition{{Name: "billing", Identity: "mariadb/8c1d", Position: "0-1-4711", CommitAt: ago(time.Minute)}, {Name: "dispatch"}},
		Bindings: map[string]string{"erp": "tryton/northstar/Northstar Freight"}, Backups: []string{"reset-20260308T101500Z"}}, nil
}

func (f *fakeDaemon) Change(_ context.Context, c pipeline.ExceptionChange) ([]pipeline.ExceptionView, error) {
	f.decide(c)
	ids := c.IDs
	if c.Cause != "" {
		ids = []string{"X-000001", "X-000002"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []pipeline.ExceptionView
	for _, id := range ids {
		x := f.mass()
		if _, known := f.open[id]; known {
			x = f.view(id)
		} else if id != x.ID {
			return nil, pipeline.ErrNotFound
		}
		switch c.Action {
		case "assign":
			x.State, x.Person = pipeline.ExceptionAssigned, c.To
		case "wait":
			x.State, x.Until = pipeline.ExceptionWaiting, &c.Until
		case "fix":
			x.State = pipeline.ExceptionFixed
		case "waive":
			closed := ago(0)
			x.State, x.ClosedAt = pipeline.ExceptionWaived, &closed
		case "retry", "release":
			x.State = pipeline.ExceptionResubmitted
		}
		list = append(list, x)
	}
	return list, nil
}

func (f *fakeDaemon) PreviewEdit(_ context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	if r.ID != "X-000001" {
		return pipeline.EditView{}, pipeline.ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return pipeline.EditView{Exception: f.view(r.ID), Body: json.RawMessage(`{"party":"110045"}`), Original: json.RawMessage(`{"party":"ACM9"}`),
		Changes: []pipeline.BodyChange{{Path: "memo", Is: json.RawMessage(`"merged"`)}, {Path: "party", Was: json.RawMessage(`"ACM9"`), Is: json.RawMessage(`"110045"`)}},
		Notes:   []string{"erp could not be asked now whether it would take this: erp answered 502"}}, nil
}

func (f *fakeDaemon) Edit(ctx context.Context, r pipeline.EditRequest) (pipeline.EditView, error) {
	f.decide(r)
	v, err := f.PreviewEdit(ctx, r)
	v.Exception.State = pipeline.ExceptionFixed
	return v, err
}

func fakeAudit() []pipeline.AuditLine {
	return []pipeline.AuditLine{
		{Seq: 1, At: ago(3 * time.Hour), By: "waybill", Action: "activate mapping", Target: "northstar/7", Index: 1, Entry: "5e88", Hash: "9f86d081", Seals: map[string]pipeline.AuditSeal{"by": {Salt: "00", Hash: "11"}}},
		{Seq: 2, At: ago(time.Hour), By: "ann@desk", Action: "assign", Target: "X-000001", Note: "to bob@desk, team billing", Why: "their customer", Index: 1_204_001, Entry: "6ca1", Prev: "9f86d081", Hash: "60303ae2"},
		{Seq: 3, At: ago(30 * time.Minute), Action: "comment", Target: "X-000001", Note: "called back", Index: 1_204_107, Entry: "a441", Prev: "60303ae2", Hash: "fd61a03a",
			Seals: map[string]pipeline.AuditSeal{"by": {Hash: "22", Redacted: 4}}},
	}
}

func (f *fakeDaemon) Audit(_ context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error) {
	var list []pipeline.AuditLine
	for _, l := range fakeAudit() {
		if !f.empty && l.Seq > q.After && len(list) < q.Limit {
			list = append(list, l)
		}
	}
	return list, nil
}

func (f *fakeDaemon) VerifyAudit(_ context.Context, expect string) (pipeline.AuditProof, error) {
	if expect != "" {
		return pipeline.AuditProof{Lines: 1, Head: "1:9f86d081", Bad: 2, Reason: "it is not the line that the earlier proof saw"}, nil
	}
	return pipeline.AuditProof{Lines: 3, Head: "3:fd61a03a", Redacted: 1, Checked: 2}, nil
}

func (f *fakeDaemon) Redact(_ context.Context, r pipeline.RedactRequest) (pipeline.AuditLine, error) {
	f.decide(r)
	return fakeAudit()[2], nil
}
