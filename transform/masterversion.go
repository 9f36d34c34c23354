package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The buckets of governed entities.
const (
	bucketMasterHead    = "map/mst/head" // event type, key in its company → masterHead
	bucketMasterVersion = "map/mst/ver"  // event type, key in its company, number → MasterVersion
	bucketMasterAsks    = "map/mst/asks" // target, external id in its company → reference of the entity, of which no version was ever in force
)

// MasterState is where a version stands.
type MasterState string

// The states. One version of an entity is active; for each row that tells of it one may wait.
const (
	MasterProposed   MasterState = "proposed"   // persons must approve it
	MasterHeld       MasterState = "held"       // a target could not take it
	MasterApproved   MasterState = "approved"   // its day has not come
	MasterActive     MasterState = "active"     // what targets are told, and documents see
	MasterSuperseded MasterState = "superseded" // another version took its place, or its source took it back
	MasterRejected   MasterState = "rejected"   // a person refused it, or gave it up
)

// MasterVersion is one version of an entity: what is so of it, from when, and who said so.
type MasterVersion struct {
	Ref       string           `json:"ref"` // customer/104377
	Number    int              `json:"version"`
	State     MasterState      `json:"state"`
	Row       string           `json:"row"`     // the held change that tells it
	Content   string           `json:"content"` // hash of data and dates: what a person approves
	Data      json.RawMessage  `json:"data"`
	Changes   []MasterChange   `json:"changes"` // against the version that was active
	From      string           `json:"effective_from,omitempty"`
	To        string           `json:"effective_to,omitempty"`
	Due       time.Time        `json:"due,omitzero"`  // From as an instant
	Day       string           `json:"day,omitempty"` // from which it holds for documents; empty: from ever
	Adopted   bool             `json:"adopted,omitempty"`
	Proposer  string           `json:"proposed_by,omitempty"` // as the source names who made the change
	Proposed  time.Time        `json:"proposed_at"`           // commit time of the change
	Needs     int              `json:"needs,omitempty"`       // persons who must approve
	Approvals []MasterApproval `json:"approvals,omitempty"`
	Faults    []MasterFault    `json:"faults,omitempty"`
	ActiveAt  time.Time        `json:"active_at,omitzero"`
	EndedAt   time.Time        `json:"ended_at,omitzero"`
	EndedBy   string           `json:"ended_by,omitempty"`
	Edited    uint64           `json:"edited,omitempty"` // line of the audit that says who wrote fields of it by hand
	Why       string           `json:"why,omitempty"`    // it ended; what a person says is in the audit alone
	Event     string           `json:"event,omitempty"`  // that told of it
	Posts     []MasterPost     `json:"posts,omitempty"`  // what its event asked for
}

// MasterChange is one field that differs from the version before. Values are JSON; null for none.
type MasterChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

func (c MasterChange) String() string {
	return fmt.Sprintf("%s %s → %s", c.Field, shortJSON(c.Before), shortJSON(c.After))
}

// shortJSON shows a value to people: texts without quotes, no value as "none".
func shortJSON(raw json.RawMessage) string {
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "none"
	case json.Unmarshal(raw, &text) == nil:
		return clip(text, 60)
	}
	return clip(string(raw), 60)
}

// MasterApproval is a person's word for a version.
type MasterApproval struct {
	By string    `json:"by"`
	At time.Time `json:"at"` // the reason is in the audit
}

// MasterPost names what a version asked of a target.
type MasterPost struct {
	Target     string `json:"target"` // <sink>.<entity>
	ExternalID string `json:"external_id"`
	Company    string `json:"company,omitempty"`
}

// masterHead is what is known of an entity's versions together.
type masterHead struct {
	Active   int    `json:"active,omitempty"`
	Last     int    `json:"last"`
	Waiting  []int  `json:"waiting,omitempty"`
	Rejected string `json:"rejected,omitempty"` // content that was refused last: it is not asked again
}

// masterMost bounds the versions that are kept of one entity, and masterWaiting those that may wait.
const (
	masterMost    = 100
	masterWaiting = 20
)

// masterKey is where an entity is kept.
func masterKey(typ, key string) string { return stateKey(typ, key) }

func versionKey(at string, n int) string { return at + separator + fmt.Sprintf("%08d", n) }

// masterKeyOf is masterKey by a reference.
func masterKeyOf(ref string) (string, bool) {
	entity, key, ok := strings.Cut(ref, "/")
	return masterKey(entity+".changed", key), ok
}

func loadMaster(st State, bucket, key string, into any) (bool, error) {
	raw, err := st.Get(bucket, key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("reading %s %q: %w", bucket, key, err)
	}
	return true, nil
}

func saveMaster(st State, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s %q: %w", bucket, key, err)
	}
	return st.Put(bucket, key, raw)
}

func (r *run) masterHead(at string) (h masterHead, err error) {
	_, err = loadMaster(r.st, bucketMasterHead, at, &h)
	return h, err
}

// masterVersion returns a version, nil for none.
func masterVersion(st State, at string, n int) (*MasterVersion, error) {
	if n == 0 {
		return nil, nil
	}
	var v MasterVersion
	ok, err := loadMaster(st, bucketMasterVersion, versionKey(at, n), &v)
	if err != nil || !ok {
		return nil, err
	}
	return &v, nil
}

// keepMaster writes a version and the head.
func (r *run) keepMaster(at string, h *masterHead, v *MasterVersion) error {
	if err := saveMaster(r.st, bucketMasterVersion, versionKey(at, v.Number), v); err != nil {
		return err
	}
	if old := v.Number - masterMost; v.Number == h.Last && old > 0 && old != h.Active && !slices.Contains(h.Waiting, old) {
		if err := r.st.Delete(bucketMasterVersion, versionKey(at, old)); err != nil {
			return err
		}
	}
	return saveMaster(r.st, bucketMasterHead, at, h)
}

// waitingOf returns the version that waits for the row, nil for none.
func (r *run) waitingOf(at string, h *masterHead, row string) (*MasterVersion, error) {
	for _, n := range h.Waiting {
		if v, err := masterVersion(r.st, at, n); err != nil || v != nil && v.Row == row {
			return v, err
		}
	}
	return nil, nil
}

// waits says whether the version is among those that wait.
func (h *masterHead) waits(n int, yes bool) {
	i := slices.Index(h.Waiting, n)
	switch {
	case yes && i < 0:
		h.Waiting = append(h.Waiting, n)
	case !yes && i >= 0:
		h.Waiting = slices.Delete(h.Waiting, i, i+1)
	}
}

// masterChanges are the fields in which data differs from what was, nil for nothing; both are canonical JSON.
func masterChanges(was, is []byte) ([]MasterChange, error) {
	var before, after map[string]json.RawMessage
	if was != nil {
		if err := json.Unmarshal(was, &before); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(is, &after); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	all := []MasterChange{}
	for name := range names {
		if !bytes.Equal(before[name], after[name]) {
			all = append(all, MasterChange{name, orNull(before[name]), orNull(after[name])})
		}
	}
	slices.SortFunc(all, func(a, b MasterChange) int { return strings.Compare(a.Field, b.Field) })
	return all, nil
}

// changesText shows changes on one line.
func changesText(all []MasterChange) string {
	var words []string
	for i, c := range all {
		if i == 4 {
			words = append(words, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		words = append(words, c.String())
	}
	return strings.Join(words, ", ")
}
