package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Case is what people see of a case: from the order to the money.
type Case struct {
	Ref         string         `json:"ref"` // shipment/88121
	Company     string         `json:"company,omitempty"`
	Keys        []string       `json:"keys,omitempty"` // every reference that leads to it, strong ones first
	Stage       string         `json:"stage"`          // the furthest that was reached; back only by a correction
	Flags       []string       `json:"flags,omitempty"`
	Waits       string         `json:"waits"` // one sentence: what it waits for
	Facts       []Fact         `json:"facts"` // in the order of the stages
	Stops       []CaseStop     `json:"stops,omitempty"`
	Assignments []Assignment   `json:"assignments,omitempty"`
	Charges     []CaseCharge   `json:"charges,omitempty"`
	Documents   []CaseDocument `json:"documents,omitempty"`
	Checklist   []CheckItem    `json:"checklist,omitempty"` // what billing.ready asks
	Ready       *Readiness     `json:"ready,omitempty"`
	Problems    []CaseProblem  `json:"problems,omitempty"`
	Notes       []string       `json:"notes,omitempty"` // worth knowing, nothing to do
	Updated     time.Time      `json:"updated,omitzero"`
}

// Fact is a milestone that was reached.
type Fact struct {
	Name    string       `json:"name"`
	At      time.Time    `json:"at,omitzero"` // accepted; none when implied
	Source  string       `json:"source,omitempty"`
	Event   string       `json:"event,omitempty"`
	Implied bool         `json:"implied,omitempty"` // nobody reported it, but a later one was
	Reports []CaseReport `json:"reports,omitempty"`
	More    int          `json:"more,omitempty"` // reports not kept
}

// CaseReport is one event about a fact.
type CaseReport struct {
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Key      string    `json:"key"`
	At       time.Time `json:"at"`
	Recorded time.Time `json:"recorded_at"`
	Source   string    `json:"source"`
	Historic bool      `json:"historic,omitempty"`
	Linked   bool      `json:"linked,omitempty"` // found by what is no strong key, or by hand
}

// CaseStop is one stop with the time that was spent there.
type CaseStop struct {
	Stop     string    `json:"stop"`
	Type     string    `json:"type,omitempty"`
	Arrived  time.Time `json:"arrived,omitzero"`
	Departed time.Time `json:"departed,omitzero"`
	Minutes  int       `json:"minutes,omitempty"` // from arrival to departure
}

// Assignment is who drove, in the order of time.
type Assignment struct {
	Seq    int       `json:"seq"`
	Driver string    `json:"driver,omitempty"` // none: taken back
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
}

// CaseCharge is an accessorial and how it was decided last.
type CaseCharge struct {
	Key    string `json:"key"`
	Charge string `json:"charge,omitempty"`
	Amount string `json:"amount,omitempty"`
	State  string `json:"state"`             // requested, approved, rejected, waived, disputed
	Reason string `json:"without,omitempty"` // why it stays out of the invoice for now
}

// CaseDocument is an invoice or credit memo.
type CaseDocument struct {
	Number   string `json:"number"`
	Kind     string `json:"kind"`  // invoice, rebill, credit
	State    string `json:"state"` // drafted, held, released, posted, voided, withdrawn
	Original string `json:"original,omitempty"`
	Amount   *Money `json:"amount,omitempty"`
}

// CheckItem is one thing that billing.ready asks.
type CheckItem struct {
	Item string `json:"item"`
	Met  bool   `json:"met"`
	Why  string `json:"why"`
}

// Readiness is that billing.ready was derived, once.
type Readiness struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
}

// CaseProblem is an open exception of the case.
type CaseProblem struct {
	Class string `json:"class"`
	Code  string `json:"code"`
	Title string `json:"title"`
}

// attach adds the reports to the facts of a case as it is stored.
func (rec *caseRecord) attach(c *Case) {
	reports := slices.Clone(rec.Reports)
	slices.SortFunc(reports, func(a, b report) int { return a.earlier(&b) })
	for i := range c.Facts {
		f := &c.Facts[i]
		for j := range reports {
			if p := &reports[j]; factOf(p) == f.Name {
				f.Reports = append(f.Reports, CaseReport{p.Event, p.Type, p.Key, p.At, p.Recorded, p.Table, p.Historic, p.Linked})
			}
		}
	}
}

// FindCase returns the case to which a reference leads, by a strong key or by any other that only one case has; nil when there is
// none. more are the cases among which the reference does not choose.
func FindCase(st State, ref string) (found *Case, more []string, err error) {
	r := &run{st: st}
	id, err := st.Get(bucketCaseKey, ref)
	if err != nil {
		return nil, nil, err
	}
	if id == nil {
		ids, err := r.casesWith(ref)
		if err != nil || len(ids) != 1 {
			return nil, ids, err
		}
		id = []byte(ids[0])
	}
	rec, err := r.caseRecord(string(id))
	if err != nil || rec == nil {
		return nil, nil, err
	}
	raw, err := st.Get(bucketCaseView, rec.ID)
	if err != nil {
		return nil, nil, err
	}
	var c Case
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, nil, fmt.Errorf("reading case %s: %w", rec.ID, err)
	}
	rec.attach(&c)
	return &c, nil, nil
}

// Cases calls fn for each case from the reference on, in order, without the reports, until it returns false.
func Cases(st State, from string, fn func(Case) (bool, error)) error {
	return st.Scan(bucketCaseView, "", from, func(k string, raw []byte) (bool, error) {
		var c Case
		if err := json.Unmarshal(raw, &c); err != nil {
			return false, fmt.Errorf("reading case %s: %w", k, err)
		}
		return fn(c)
	})
}

// WaitingEvents counts the events that are filed under the reference without a case, up to most.
func WaitingEvents(st State, ref string, most int) (n int, err error) {
	r := &run{st: st}
	var events []string
	err = st.Scan(bucketLinkOf, stateKey(ref)+separator, "", func(k string, _ []byte) (bool, error) {
		events = append(events, stateParts(k)[1])
		return len(events) < most, nil
	})
	for _, event := range events {
		if err != nil {
			break
		}
		var l *link
		if l, err = r.link(event); err == nil && l != nil && len(l.Cases) == 0 {
			n++
		}
	}
	return n, err
}

// sentence joins a list for people: a, b and c.
func sentence(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// CaseStages lists the stages of a case, first to last.
func CaseStages() []string { return append(slices.Clone(stages), cancelled) }

// CaseFlags lists the flags that may stand beside a stage.
func CaseFlags() []string { return []string{"exception", "hold", "dispute", "partial", "late"} }
