package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// traceMost bounds the lines of a story.
const traceMost = 5000

// Trace tells everything about one shipment, invoice or customer in the order of time: row changes, events, requests,
// answers, exceptions. The key is what people know: a load, PRO or invoice number, an external id, or the target's number.
func (p *Pipeline) Trace(_ context.Context, typed string) ([]TraceItem, error) {
	var items []TraceItem
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		refs, err := s.refs(typed)
		if err != nil {
			return err
		}
		if len(refs) == 0 {
			return fmt.Errorf("nothing is known about %q: %w", typed, ErrNotFound)
		}
		known, err := s.mentionsOf(refs, 0, traceMost)
		if err != nil {
			return err
		}
		t := &tracer{s: s, seen: map[string]bool{}, commits: map[string]uint64{}, known: known}
		for _, ref := range refs {
			if err := t.follow(ref); err != nil {
				return err
			}
		}
		items, err = t.correcting(t.story())
		return err
	})
	return items, err
}

// story puts the lines in order. Journal order is the order of cause and effect; within one entry it is that of the
// transactions, and then rows before their events. No clock decides: those of different machines differ.
func (t *tracer) story() []TraceItem {
	place := func(l traceLine) uint64 {
		if at, ok := t.commits[hexKey(l.Index)+l.commit]; ok {
			return at
		}
		return math.MaxUint64
	}
	sort.SliceStable(t.lines, func(i, j int) bool {
		a, b := t.lines[i], t.lines[j]
		if a.Index != b.Index {
			return a.Index < b.Index
		}
		if pa, pb := place(a), place(b); pa != pb {
			return pa < pb
		}
		return a.rank() < b.rank()
	})
	items := make([]TraceItem, len(t.lines))
	for i, l := range t.lines {
		items[i] = l.TraceItem
	}
	return items
}

// correcting ends a story with the corrections that its documents belong to, each in one line: how they stand now.
func (t *tracer) correcting(items []TraceItem) ([]TraceItem, error) {
	all, err := t.s.corrections(t.groups)
	if err != nil || len(items) == 0 {
		return items, err
	}
	last := items[len(items)-1]
	for _, c := range all {
		items = append(items, TraceItem{At: last.At, Kind: "correction", Where: c.Of, Text: c.Text, Index: last.Index})
	}
	return items, nil
}

// rank orders what one journal entry brought: causes before effects.
func (i TraceItem) rank() int {
	if i.Kind == "event" && i.Where == deliveryRule {
		return 6 // made of an outcome
	}
	return map[string]int{"row": 0, "note": 1, "event": 1, "intent": 2, "outcome": 3, "verify": 3, "exception": 4, "decision": 5}[i.Kind]
}

// tracer collects the lines of one story.
type tracer struct {
	s       *state
	known   mentioned
	lines   []traceLine
	seen    map[string]bool
	commits map[string]uint64 // journal entry and commit → first row change of it there
	groups  []string          // order keys of events about money
}

// traceLine is an item with the commit that it belongs to.
type traceLine struct {
	TraceItem
	commit string
}

func (t *tracer) add(id, commit string, item TraceItem) bool {
	if t.seen[id] || len(t.lines) >= traceMost {
		return false
	}
	t.seen[id] = true
	t.lines = append(t.lines, traceLine{item, commit})
	return true
}

func (t *tracer) follow(ref string) error {
	for _, r := range t.known.rows[ref] {
		t.row(r)
	}
	if err := t.exceptions(ref); err != nil {
		return err
	}
	if err := t.ignored(ref); err != nil {
		return err
	}
	for _, seq := range t.known.events[ref] {
		if err := t.event(hexKey(seq)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracer) row(r notedRow) {
	commit := hexKey(r.index) + r.Commit
	if first, ok := t.commits[commit]; !ok || r.unit < first {
		t.commits[commit] = r.unit
	}
	t.add(fmt.Sprintf("row/%d/%d", r.index, r.unit), r.Commit, TraceItem{At: r.At, Kind: "row", Where: r.Table, Index: r.index,
		Text: fmt.Sprintf("%s committed %s at %s", r.Op, r.CommitAt.Format(time.RFC3339), r.Commit)})
}

func (t *tracer) event(seq string) error {
	e, err := t.s.event(seq)
	if err != nil || e == nil {
		return err
	}
	text := fmt.Sprintf("%s %s, occurred %s", e.Type, transform.Ref(e.Company, e.Entity, e.Key), e.Occurred.Format(time.RFC3339))
	if e.Amount != nil {
		if !slices.Contains(t.groups, e.OrderKey) {
			t.groups = append(t.groups, e.OrderKey)
		}
		text += fmt.Sprintf(", %s %s", e.Amount.Amount, e.Amount.Currency)
	}
	if e.Edited > 0 {
		line, err := t.s.auditLine(e.Edited)
		if err != nil {
			return err
		}
		if line != nil {
			text += ", with fields written by " + line.shown("by", line.By)
		}
	}
	if e.Historic {
		text += " (from before the cut-over)"
	}
	detail, err := json.Marshal(e)
	if err != nil {
		return err
	}
	where := e.MapVersion
	if e.Rule == deliveryRule {
		where = deliveryRule
	}
	if !t.add("event/"+e.ID, e.Position, TraceItem{At: e.Observed, Kind: "event", Where: where, Text: text, ID: e.ID, Index: e.Index, Detail: detail}) {
		return nil
	}
	ids, err := t.s.deliveriesOf(e.ID)
	for _, id := range ids {
		if err == nil {
			err = t.delivery(id, e.Index)
		}
	}
	return err
}

func (t *tracer) delivery(id string, event uint64) error {
	d, err := t.s.delivery(id)
	if err != nil || d == nil {
		return err
	}
	t.waits(d, event)
	return t.s.Scan(bucketLog, id+sep, "", func(k string, v []byte) (bool, error) {
		var n traceNote
		if err := json.Unmarshal(v, &n); err != nil {
			return false, err
		}
		index := strings.TrimPrefix(k, id+sep)
		text := n.text(d.Post.ExternalID)
		if n.Edited > 0 {
			line, err := t.s.auditLine(n.Edited)
			if err != nil {
				return false, err
			}
			if line != nil {
				text += ", edited by " + line.shown("by", line.By)
			}
		}
		t.add("log/"+id+index, "", TraceItem{At: n.At, Kind: n.Kind, Where: d.Post.Sink + "." + d.Post.Entity, ID: id, Index: unhex(index),
			Text: text, Detail: append([]byte(nil), v...)})
		return true, nil
	})
}

// text is one line for people.
func (n *traceNote) text(external string) string {
	switch n.Kind {
	case "intent":
		return fmt.Sprintf("%s %s: attempt %d journalled, then sent", n.Step, external, n.Attempt)
	case "verify":
		return fmt.Sprintf("%s %s: looked up: %s", n.Step, external, n.answer())
	}
	return fmt.Sprintf("%s %s: %s", n.Step, external, n.answer())
}

func (n *traceNote) answer() string {
	text := map[sinks.Class]string{sinks.Applied: "applied", sinks.AlreadyApplied: "is there and equal", sinks.RetryLater: "not done, again later",
		sinks.Rejected: "refused", sinks.Conflict: "is there but different", sinks.Setup: "target cannot be used",
		sinks.Unknown: "outcome unknown", sinks.Absent: "is not there"}[n.Class]
	if n.Number != "" {
		text += " as " + n.Number
	}
	if n.Message != "" {
		text += " (" + n.Message + ")"
	}
	return text
}

func (t *tracer) exceptions(ref string) error {
	ids, err := t.s.blastsOf(ref)
	if err != nil {
		return err
	}
	err = t.s.Scan(bucketSubjectEx, ref+sep, "", func(k string, _ []byte) (bool, error) {
		ids = append(ids, strings.TrimPrefix(k, ref+sep))
		return len(ids) < traceMost, nil
	})
	for _, id := range ids {
		if err == nil {
			err = t.exception(id)
		}
	}
	return err
}

func (t *tracer) exception(id string) error {
	x, err := t.s.exception(id)
	if err != nil || x == nil {
		return err
	}
	detail, err := json.Marshal(x.Problem)
	if err != nil {
		return err
	}
	t.add("exception/"+x.ID, "", TraceItem{At: x.OpenedAt, Kind: "exception", Where: x.Problem.Owner, ID: x.ID, Index: x.Index,
		Text: fmt.Sprintf("%s %s opened: %s", x.ID, x.Problem.Code, x.Problem.Title), Detail: detail})
	if x.ClosedAt == nil {
		return nil
	}
	by, why, err := t.s.closed(x)
	if err != nil {
		return err
	}
	t.add("closed/"+x.ID, "", TraceItem{At: *x.ClosedAt, Kind: "decision", Where: by, ID: x.ID, Index: x.ClosedIndex,
		Text: fmt.Sprintf("%s %s: %s", x.ID, x.State, why)})
	return nil
}
