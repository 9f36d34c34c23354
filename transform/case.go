package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The buckets of cases.
const (
	bucketCase     = "map/case"        // case → caseRecord
	bucketCaseView = "map/case/view"   // case → Case without its reports: what people see, apart so that an event need not read it
	bucketCaseKey  = "map/case/key"    // strong key → case
	bucketCaseOf   = "map/case/of"     // other key, case: the case has the key
	bucketLink     = "map/case/link"   // event → link
	bucketLinkOf   = "map/case/linkof" // reference, event: the event waits for a case, or found it, under the reference
	bucketByHand   = "map/case/hand"   // reference → strong key of the case that a person linked it to
)

// Bounds of a case (Invariant 7).
const (
	maxCaseKeys = 200 // strong keys, and other keys
	maxReports  = 40  // of one type of event; the earliest are kept
)

// caseRecord is what is remembered of a case. Everything that people see of it is a function of its reports, so that the order
// in which they came does not matter.
type caseRecord struct {
	ID      string         `json:"id"` // its first strong key, a reference
	Company string         `json:"company,omitempty"`
	Keys    []string       `json:"keys"`            // strong, the first one first
	Others  []string       `json:"other,omitempty"` // shared, medium and weak, sorted
	Reports []report       `json:"reports"`
	More    map[string]int `json:"more,omitempty"` // type of event → reports not kept
	Wide    bool           `json:"wide,omitempty"` // keys were left out
	Ready   *Readiness     `json:"ready,omitempty"`
	Waived  []string       `json:"waived,omitempty"` // problems that a person gave up: code and detail
	Waits   []string       `json:"waits,omitempty"`  // fingerprints of its problems
	Timer   time.Time      `json:"timer,omitzero"`
	Past    time.Time      `json:"past,omitzero"` // every source was captured past it when a timer last came

	touched []string // keys under which waiting events have to be looked at again
}

// report is what one event told the case.
type report struct {
	Event    string            `json:"event"`
	Type     string            `json:"type"`
	Entity   string            `json:"entity"`
	Key      string            `json:"key"`
	At       time.Time         `json:"at"`
	Recorded time.Time         `json:"recorded"`
	Source   string            `json:"source,omitempty"` // name of the source; none when it derives from an outcome
	Table    string            `json:"table"`            // source and table, for people
	Place    uint64            `json:"place"`            // journal entry
	Number   int               `json:"number"`           // as it came into the case, from 1
	Historic bool              `json:"historic,omitempty"`
	Linked   bool              `json:"linked,omitempty"` // found by what is no strong key
	Fields   map[string]string `json:"fields,omitempty"`
	Amount   *Money            `json:"amount,omitempty"`
}

// keptFields are the fields of events that the rules of cases read.
var keptFields = []string{"stop", "stop_type", "charge", "amount", "driver", "previous_driver", "original", "number", "original_withdrawn", "reason", "invoice", "pieces",
	"external_id", "erp_number"}

// report is what an event tells a case.
func (s *cases) report(ev *Event) report {
	p := report{Event: ev.ID, Type: ev.Type, Entity: ev.Entity, Key: ev.Key, At: ev.Occurred, Recorded: ev.Recorded, Table: strings.TrimPrefix(ev.Source, "/"),
		Place: ev.Index, Historic: ev.Historic, Amount: ev.Amount}
	if parts := strings.SplitN(p.Table, "/", 3); len(parts) == 3 {
		p.Source, p.Table = parts[1], parts[1]+"."+parts[2]
	} else {
		p.Table = parts[len(parts)-1] // derived from an outcome: the sink
	}
	var data map[string]any
	if err := json.Unmarshal(ev.Data, &data); err != nil {
		return p // made by us: an object
	}
	for _, name := range slices.Concat(keptFields, s.fields) {
		if v, ok := plainField(data, name); ok {
			if p.Fields == nil {
				p.Fields = map[string]string{}
			}
			p.Fields[name] = clip(v, 200)
		}
	}
	return p
}

// plainField finds a value by its dotted name.
func plainField(data map[string]any, name string) (string, bool) {
	var v any = data
	for _, part := range strings.Split(name, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return "", false
		}
		v = m[part]
	}
	switch v := v.(type) {
	case string:
		return v, v != ""
	case bool:
		return fmt.Sprint(v), true
	case float64:
		return fmt.Sprintf("%.0f", v), v == float64(int64(v)) // whole numbers only; decimals are texts
	}
	return "", false
}

func (r *run) caseRecord(id string) (*caseRecord, error) {
	raw, err := r.st.Get(bucketCase, id)
	if err != nil || raw == nil {
		return nil, err
	}
	var rec caseRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, fmt.Errorf("reading case %s: %w", id, err)
	}
	return &rec, nil
}

func (r *run) saveCase(rec *caseRecord) error {
	raw, err := canonical(rec)
	if err != nil {
		return err
	}
	return r.st.Put(bucketCase, rec.ID, raw)
}

func (r *run) saveView(c *Case) error {
	raw, err := canonical(c)
	if err != nil {
		return err
	}
	return r.st.Put(bucketCaseView, c.Ref, raw)
}

// add keeps a report, once. Of one type the earliest are kept: which they are does not depend on the order in which they came.
func (rec *caseRecord) add(p report) {
	same := 0
	p.Number = 1
	for i := range rec.Reports {
		q := &rec.Reports[i]
		if q.Event == p.Event {
			return
		}
		if q.Type == p.Type {
			same++
		}
		p.Number = max(p.Number, q.Number+1)
	}
	if same < maxReports {
		rec.Reports = append(rec.Reports, p)
		return
	}
	if rec.More == nil {
		rec.More = map[string]int{}
	}
	rec.More[p.Type]++
	if last := rec.latest(p.Type); p.earlier(&rec.Reports[last]) < 0 {
		rec.Reports[last] = p
	}
}

// latest is the index of the latest report of a type; there is one.
func (rec *caseRecord) latest(typ string) int {
	last := -1
	for i := range rec.Reports {
		if rec.Reports[i].Type == typ && (last < 0 || rec.Reports[last].earlier(&rec.Reports[i]) < 0) {
			last = i
		}
	}
	return last
}

// earlier orders reports by business time, then by commit. Only reports of one row can be left, and rows keep their order.
func (p *report) earlier(q *report) int {
	if d := p.At.Compare(q.At); d != 0 {
		return d
	}
	if d := p.Recorded.Compare(q.Recorded); d != 0 {
		return d
	}
	if d := p.Number - q.Number; d != 0 {
		return d
	}
	return strings.Compare(p.Event, q.Event)
}

func (rec *caseRecord) drop(event string) {
	rec.Reports = slices.DeleteFunc(rec.Reports, func(p report) bool { return p.Event == event })
}

// splitRef takes a reference apart: "invoice/NSTAR:A1" of company NSTAR is invoice and A1.
func splitRef(ref, company string) (entity, key string) {
	entity, key, _ = strings.Cut(ref, "/")
	if company != "" {
		key = strings.TrimPrefix(key, company+":")
	}
	return entity, key
}
