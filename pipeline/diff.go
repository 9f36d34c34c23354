package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// MappingText is a mapping file as it stands on somebody's disk.
type MappingText struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// DiffRequest asks what would be otherwise under another version of one carrier's mapping, while those of the others stay what
// they are.
type DiffRequest struct {
	Old   *MappingText `json:"old,omitempty"` // nil: the active one of the same name
	New   MappingText  `json:"new"`
	Since time.Time    `json:"since,omitzero"`  // zero: as far back as the journal reaches
	Limit int          `json:"limit,omitempty"` // events and documents to list, of each part; 0 means 100
}

// MappingDiff is what two versions of a mapping make of the same history, and what activating the new one would do now.
type MappingDiff struct {
	Old     string     `json:"old"`
	New     string     `json:"new"`
	From    string     `json:"from"`    // where both runs began, in words
	Entries uint64     `json:"entries"` // journal entries that both ran over
	Notes   []string   `json:"notes,omitempty"`
	History Difference `json:"history"` // the old version over the history against the new one
	// Activation is what the activation of the new version makes of the state that the old one left: what it releases and holds.
	// What was made before stays as it was made: it is in History alone.
	Activation Difference `json:"activation"`
}

// Difference is what is not the same on two sides. Counts and sums are of everything, lists are bounded.
type Difference struct {
	Added      int             `json:"added"` // events
	Gone       int             `json:"gone"`
	Changed    int             `json:"changed"`
	Events     []EventDiff     `json:"events"`
	Documents  []DocumentDiff  `json:"documents"`
	Posts      PostDiffs       `json:"posts"` // of documents: all of them, not only those listed
	Money      []MoneyDiff     `json:"money"`
	Exceptions []ExceptionDiff `json:"exceptions"`
	More       int             `json:"more,omitempty"` // events and documents that are not listed
}

// PostDiffs counts documents.
type PostDiffs struct {
	Added   int `json:"added"`
	Gone    int `json:"gone"`
	Changed int `json:"changed"`
}

// The kinds of a difference.
const (
	diffAdded   = "added"
	diffGone    = "gone"
	diffChanged = "changed"
)

// EventDiff is an event that one side lacks, or has otherwise.
type EventDiff struct {
	Kind   string           `json:"kind"` // added, gone, changed
	ID     string           `json:"id"`
	Type   string           `json:"type"`
	Entity string           `json:"entity"`
	Key    string           `json:"key"`
	Index  uint64           `json:"index"` // journal entry of its cause
	At     time.Time        `json:"occurred_at"`
	Old    *transform.Money `json:"old_amount,omitempty"`
	New    *transform.Money `json:"new_amount,omitempty"`
	Fields []FieldDiff      `json:"fields,omitempty"`
}

// DocumentDiff is a posting that one side lacks, or has otherwise.
type DocumentDiff struct {
	Kind       string           `json:"kind"`
	Target     string           `json:"target"` // erp.sales_invoice
	ExternalID string           `json:"external_id"`
	Subject    string           `json:"subject"`
	Event      string           `json:"event"`
	Posted     bool             `json:"posted"` // the target holds it as the old version made it: it stays
	Old        *transform.Money `json:"old_amount,omitempty"`
	New        *transform.Money `json:"new_amount,omitempty"`
	Fields     []FieldDiff      `json:"fields,omitempty"`
}

// FieldDiff is one field of an event or of a body; "" stands for none.
type FieldDiff struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// MoneyDiff sums one type of event, or one target's documents, in one currency.
type MoneyDiff struct {
	Of       string `json:"of"` // invoice.released, or erp.sales_invoice
	Currency string `json:"currency"`
	OldCount int64  `json:"old_count"`
	OldSum   string `json:"old_sum"`
	NewCount int64  `json:"new_count"`
	NewSum   string `json:"new_sum"`
}

// ExceptionDiff is an open cause that one side lacks, or on which another number waits.
type ExceptionDiff struct {
	Kind       string            `json:"kind"` // added: opened by the new one; gone: closed by it; changed: others wait
	Code       string            `json:"code"`
	Title      string            `json:"title"`
	OldWaiting int               `json:"old_waiting"`
	NewWaiting int               `json:"new_waiting"`
	OldMoney   map[string]string `json:"old_money,omitempty"`
	NewMoney   map[string]string `json:"new_money,omitempty"`
}

// DiffMappings runs both versions over the journal in side states and tells what differs; the live state does not notice.
func (p *Pipeline) DiffMappings(ctx context.Context, q DiffRequest, progress func(Progress)) (MappingDiff, error) {
	h, end, err := p.history(progress)
	if err != nil {
		return MappingDiff{}, err
	}
	defer end()
	return h.DiffMappings(ctx, q)
}

// DiffMappings is Pipeline.DiffMappings for a store that no daemon has open.
func (h *History) DiffMappings(ctx context.Context, q DiffRequest) (v MappingDiff, err error) {
	known, err := h.activations()
	if err != nil {
		return v, err
	}
	olds, news, err := compared(q, known)
	if err != nil {
		return v, err
	}
	v.Old, v.New = olds.Version, news.Version
	from, reached, err := h.base(q.Since)
	if err != nil {
		return v, err
	}
	v.From = baseText(from)
	if !reached && !q.Since.IsZero() {
		v.Notes = append(v.Notes, fmt.Sprintf("The journal does not reach back to %s: both begin at %s.", q.Since.UTC().Format(time.RFC3339), v.From))
	}
	last := h.store.Applied().Index
	old, err := h.supposed(ctx, from, last, olds)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, old.side.Close()) }()
	fresh, err := h.supposed(ctx, from, last, news)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, fresh.side.Close()) }()
	v.Entries = last - min(last, old.began.entry)
	if v.History, err = compareRuns(ctx, old, fresh, bounded(q.Limit)); err != nil {
		return v, err
	}
	v.Notes = append(v.Notes, outsiders(&v.History)...)
	v.Activation, err = h.activation(ctx, old, news, bounded(q.Limit))
	return v, err
}

// activations are the mappings that the live state projects by, by scope, retired ones too.
func (h *History) activations() (known map[string]activation, err error) {
	err = h.store.View(func(tx *checkpoint.Txn) (err error) {
		known, err = newState(tx).activations()
		return err
	})
	if err == nil && versions(known) == "" {
		err = errors.New("no mapping is active in this store: run the daemon first, or ask waybill plan")
	}
	return known, err
}

// compared compiles what is asked for, and refuses what cannot be compared.
func compared(q DiffRequest, known map[string]activation) (olds, news mappingEntry, err error) {
	fresh, err := transform.Parse(q.New.File, []byte(q.New.Text))
	if err != nil {
		return olds, news, err
	}
	news = mappingEntry{Version: fresh.Version(), File: q.New.File, Text: q.New.Text}
	active, _, ok := renewed(known, news)
	if !ok {
		return olds, news, fmt.Errorf("mapping %s is of another carrier than those that are active (%s): there is no history of it here", fresh.Version(), versions(known))
	}
	live, err := transform.Parse(active.File, []byte(active.Text))
	if err != nil {
		return olds, news, err
	}
	if q.Old == nil {
		q.Old = &MappingText{active.File, active.Text}
	}
	old, err := transform.Parse(q.Old.File, []byte(q.Old.Text))
	if err != nil {
		return olds, news, err
	}
	for _, m := range []*transform.Mapping{old, fresh} {
		if m.Name() != live.Name() {
			return olds, news, fmt.Errorf("mapping %s is of another carrier than %s: two versions of one can be compared", m.Version(), fresh.Version())
		}
		if m.Company() != live.Company() {
			return olds, news, fmt.Errorf("mapping %s is of the company %q, the history of %s is of %q: none of its documents would be the same",
				m.Version(), m.Company(), live.Version(), live.Company())
		}
		if missing := uncaptured(live, m); len(missing) > 0 {
			return olds, news, fmt.Errorf("mapping %s reads what %s did not capture, so the journal does not hold its history: %s",
				m.Version(), live.Version(), strings.Join(missing[:min(len(missing), 10)], ", "))
		}
	}
	return mappingEntry{Version: old.Version(), File: q.Old.File, Text: q.Old.Text}, news, nil
}

// supposed projects the journal by a mapping, from the base to an entry.
func (h *History) supposed(ctx context.Context, from checkpoint.Base, last uint64, m mappingEntry) (*sideRun, error) {
	r, err := h.run(from, "projecting "+m.Version)
	if err != nil {
		return nil, err
	}
	err = r.mark()
	if err == nil {
		err = r.suppose(m, h.fingerprint)
	}
	if err == nil {
		err = r.to(ctx, last)
	}
	if err != nil {
		return nil, errors.Join(err, r.side.Close())
	}
	return r, nil
}

// fingerprint is the cause of an exception of the live state.
func (h *History) fingerprint(id string) (fp string, err error) {
	err = h.store.View(func(tx *checkpoint.Txn) error {
		x, err := newState(tx).exception(id)
		if x != nil {
			fp = x.Problem.Fingerprint
		}
		return err
	})
	return fp, err
}

// outsiders says what the money of the history does not tell.
func outsiders(d *Difference) []string {
	posted := slices.ContainsFunc(d.Documents, func(x DocumentDiff) bool { return x.Posted })
	if !posted {
		return nil
	}
	return []string{"Documents marked as posted are in the target as the old version made them. An activation leaves them so."}
}
