package transform

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The buckets of the cross-reference registry. All carriers share them: they do not begin with map/.
const (
	bucketRegistry    = "xref/row"       // kind, company, system, role, key, id → RegistryRow
	bucketRegistryID  = "xref/id"        // id → key of its row
	bucketRegistryHas = "xref/canonical" // kind, canonical id, id of a row
	bucketRegistryBy  = "xref/by"        // kind, what it is found by, its value, id of a row
)

// registryKinds are what the registry knows, with the code of the exception of a key that it does not know.
var registryKinds = map[string]string{"customer": "UNKNOWN_CUSTOMER", "location": "UNKNOWN_LOCATION", "item": "UNKNOWN_ITEM",
	"tax_code": "TAX_CODE_MISSING", "account": "UNKNOWN_ACCOUNT"}

// RegistryKinds returns the kinds of the registry, sorted.
func RegistryKinds() []string { return slices.Sorted(maps.Keys(registryKinds)) }

// RegistryKey names a key of a source system: all rows that may say what it means.
type RegistryKey struct {
	Kind    string `json:"kind"`              // customer, location, item, tax_code or account
	Company string `json:"company,omitempty"` // legal entity; empty for all
	System  string `json:"system"`            // whose key it is: "acme.billing"
	Role    string `json:"role,omitempty"`    // in which it is used: "bill_to"; empty for any
	Key     string `json:"key"`
}

// String names the key for people: "customer ACM01 of acme.billing (bill_to)".
func (k RegistryKey) String() string {
	text := k.Kind + " " + k.Key + " of " + k.System
	if k.Role != "" {
		text += " (" + k.Role + ")"
	}
	if k.Company != "" {
		text += " in " + k.Company
	}
	return text
}

func (k RegistryKey) at() string { return stateKey(k.Kind, k.Company, k.System, k.Role, k.Key) }

// registryCause begins the cause of a problem that is about a key of the registry.
const registryCause = "registry"

// cause names the key in a fingerprint.
func (k RegistryKey) cause() string {
	return registryCause + "/" + k.Company + "/" + k.System + "/" + k.Role + "/" + k.Key
}

// Fingerprint is that of the one exception on which everything waits that needs the key.
func (k RegistryKey) Fingerprint() string {
	return (&trouble{class: "MASTER", code: registryKinds[k.Kind], cause: k.cause()}).fingerprint()
}

// RegistryState says whether a row answers.
type RegistryState string

// The states of a row. A proposed row answers nothing until a person approves it. A closed row still answers for the days on which it
// was valid: a late document of those days means what it meant then. A rejected row never answers.
const (
	RowProposed RegistryState = "proposed"
	RowActive   RegistryState = "active"
	RowClosed   RegistryState = "closed"
	RowRejected RegistryState = "rejected"
)

// RegistryRow says what a key of a source system means, for a time. Who or what it means never changes: another meaning is another row.
type RegistryRow struct {
	ID string `json:"id"` // R-000012
	RegistryKey
	Canonical  string            `json:"canonical"`            // what it means for all systems: "C-00018"
	Attributes map[string]string `json:"attributes,omitempty"` // erp_account, and what candidates are found by: name, tax_id, street, postal_code
	From       string            `json:"valid_from,omitempty"` // first and last day, 2026-01-31; empty is open
	To         string            `json:"valid_to,omitempty"`
	State      RegistryState     `json:"state"`
	By         string            `json:"by"` // who brought it in, and when
	At         time.Time         `json:"at"`
	JudgedBy   string            `json:"judged_by,omitempty"` // who approved, rejected or closed it last
	JudgedAt   *time.Time        `json:"judged_at,omitempty"`
	Why        string            `json:"why,omitempty"`     // of the last decision
	Follows    string            `json:"follows,omitempty"` // the row whose place it took by a merge, a split or a succession
}

// Answers reports whether the row says what the key means on some day.
func (r *RegistryRow) Answers() bool {
	return (r.State == RowActive || r.State == RowClosed) && (r.To == "" || r.From <= r.To)
}

// AnswersOn reports whether it does so on the day, in the form of clipDate.
func (r *RegistryRow) AnswersOn(day string) bool {
	return r.Answers() && r.From <= day && (r.To == "" || day <= r.To)
}

// Meets reports whether both rows answer on some day.
func (r *RegistryRow) Meets(o *RegistryRow) bool {
	return r.Answers() && o.Answers() && (r.To == "" || o.From <= r.To) && (o.To == "" || r.From <= o.To)
}

// SameMeaning reports whether both say the same of the same key from the same day on; how long, and in which state, may differ.
func (r *RegistryRow) SameMeaning(o *RegistryRow) bool {
	return r.RegistryKey == o.RegistryKey && r.From == o.From && r.Canonical == o.Canonical && maps.Equal(r.Attributes, o.Attributes)
}

// Registry reads and writes the cross-reference registry of a State. The mapper only reads; the projector writes what people decided.
type Registry struct{ State State }

// Row returns a row by its id, or nil.
func (g Registry) Row(id string) (*RegistryRow, error) {
	at, err := g.State.Get(bucketRegistryID, id)
	if err != nil || at == nil {
		return nil, err
	}
	raw, err := g.State.Get(bucketRegistry, string(at))
	if err != nil || raw == nil {
		return nil, err
	}
	r, err := decodeRegistryRow(raw)
	return &r, err
}

func decodeRegistryRow(raw []byte) (r RegistryRow, err error) {
	if err = json.Unmarshal(raw, &r); err != nil {
		err = fmt.Errorf("reading a row of the registry: %w", err)
	}
	return r, err
}

// Rows returns every row of a key, in the order of their ids.
func (g Registry) Rows(k RegistryKey) (rows []RegistryRow, err error) {
	err = g.State.Scan(bucketRegistry, k.at()+separator, "", func(_ string, raw []byte) (bool, error) {
		r, err := decodeRegistryRow(raw)
		rows = append(rows, r)
		return true, err
	})
	return rows, err
}

// Find returns the row that answers on the day, or nil. There is at most one.
func (g Registry) Find(k RegistryKey, day string) (*RegistryRow, error) {
	rows, err := g.Rows(k)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].AnswersOn(day) {
			return &rows[i], nil
		}
	}
	return nil, nil
}

// Of returns at most limit rows that mean the canonical id, in the order of their ids.
func (g Registry) Of(kind, canonical string, limit int) ([]RegistryRow, error) {
	return g.listed(bucketRegistryHas, stateKey(kind, canonical)+separator, limit)
}

// listed returns the rows whose ids end the keys with the prefix.
func (g Registry) listed(bucket, prefix string, limit int) (rows []RegistryRow, err error) {
	var ids []string
	err = g.State.Scan(bucket, prefix, "", func(k string, _ []byte) (bool, error) {
		parts := stateParts(k)
		ids = append(ids, parts[len(parts)-1])
		return len(ids) < limit, nil
	})
	for _, id := range ids {
		if err != nil {
			return nil, err
		}
		var r *RegistryRow
		if r, err = g.Row(id); r != nil {
			rows = append(rows, *r)
		}
	}
	return rows, err
}

// Each hands the rows to fn in the order of their ids, from an id on, until it returns false. fn must not write.
func (g Registry) Each(from string, fn func(RegistryRow) (bool, error)) error {
	return g.State.Scan(bucketRegistryID, "", from, func(_ string, at []byte) (bool, error) {
		raw, err := g.State.Get(bucketRegistry, string(at))
		if err != nil {
			return false, err
		}
		r, err := decodeRegistryRow(raw)
		if err != nil {
			return false, err
		}
		return fn(r)
	})
}

// Put writes a row. Of one that is there already, only what people decided about it may have changed.
func (g Registry) Put(r RegistryRow) error {
	at := r.RegistryKey.at() + separator + stateKey(r.ID)
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing row %s of the registry: %w", r.ID, err)
	}
	known, err := g.State.Get(bucketRegistryID, r.ID)
	if err != nil {
		return err
	}
	if err := g.State.Put(bucketRegistry, at, raw); err != nil || known != nil {
		return err
	}
	if err := g.State.Put(bucketRegistryID, r.ID, []byte(at)); err != nil {
		return err
	}
	if err := g.State.Put(bucketRegistryHas, stateKey(r.Kind, r.Canonical, r.ID), []byte{}); err != nil {
		return err
	}
	for way, value := range findable(r.Key, r.Attributes) {
		if err := g.State.Put(bucketRegistryBy, stateKey(r.Kind, way, value, r.ID), []byte{}); err != nil {
			return err
		}
	}
	return nil
}
