package transform

import (
	"encoding/json"
	"fmt"
	"slices"
)

// docRecord is what is remembered of a document beside its rows.
type docRecord struct {
	Key      string   `json:"key"` // with its company: see keyOf
	Company  string   `json:"company,omitempty"`
	Row      string   `json:"row"`                // key of the header's row
	Original string   `json:"original,omitempty"` // key of the document that it corrects
	Pending  *pending `json:"pending,omitempty"`  // the release that waits to become an event
	Done     []string `json:"done,omitempty"`     // released events that were made
	Waits    []string `json:"waits,omitempty"`    // fingerprints of its problems
	Sent     string   `json:"sent,omitempty"`     // hash of the data of its last released event
	Apart    string   `json:"apart,omitempty"`    // hash of that data without what was looked up; of documents that look something up
	Drifted  bool     `json:"drifted,omitempty"`  // billing says something else now, and people were told
	Gone     bool     `json:"gone,omitempty"`     // its header was deleted after the release, and people were told

	// Of a document that others may correct, and of a correction.
	Amount   *Money   `json:"amount,omitempty"`   // as it was sent
	Credited string   `json:"credited,omitempty"` // what credits took away from it
	Credits  string   `json:"credits,omitempty"`  // what it took away from its original
	Event    string   `json:"event,omitempty"`    // id of its last released event
	Posts    []string `json:"posts,omitempty"`    // target and external id of what that event asked for

	// Of a consolidated document and of what was carved out of it.
	Carved []string `json:"carved,omitempty"` // members that are documents of their own
	Of     string   `json:"of,omitempty"`     // key of the document that it was carved out of
	Member string   `json:"member,omitempty"`
}

// pending is a release that is not an event yet.
type pending struct {
	Cause cause  `json:"cause"`
	Join  string `json:"join"`            // value by which its lines find it
	Timer bool   `json:"timer,omitempty"` // a deadline is set
	Late  bool   `json:"late,omitempty"`  // the deadline has passed: people are told
	Type  string `json:"type,omitempty"`  // the event that it would make
	Why   string `json:"why,omitempty"`   // what it waits for, in one sentence
}

func (d *document) bucket() string { return "map/doc/" + d.name }

func (r *run) record(d *document, key string) (*docRecord, error) {
	raw, err := r.st.Get(d.bucket(), key)
	if err != nil || raw == nil {
		return nil, err
	}
	var rec docRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, fmt.Errorf("reading record of %s/%s: %w", d.name, key, err)
	}
	return &rec, nil
}

func (r *run) saveRecord(d *document, rec *docRecord) error {
	raw, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("writing record of %s/%s: %w", d.name, rec.Key, err)
	}
	return r.st.Put(d.bucket(), rec.Key, raw)
}

// group is a correction group: a document and what corrects it, by the key of its root.
type group struct {
	Pending []string        `json:"pending,omitempty"` // documents that wait
	Members []string        `json:"members,omitempty"` // released documents that correct the root
	Emitted map[string]bool `json:"emitted,omitempty"` // event type, original: was made
}

// emitted notes that the original has been corrected by an event of the type.
func (g *group) emitted(typ, original string) {
	if original == "" {
		return
	}
	if g.Emitted == nil {
		g.Emitted = map[string]bool{}
	}
	g.Emitted[typ+" "+original] = true
}

func (r *run) group(d *document, rootKey string) (*group, error) {
	raw, err := r.st.Get(bucketGroup, stateKey(d.name, rootKey))
	if err != nil {
		return nil, err
	}
	g := &group{}
	if raw != nil {
		if err := json.Unmarshal(raw, g); err != nil {
			return nil, fmt.Errorf("reading group %s/%s: %w", d.name, rootKey, err)
		}
	}
	return g, nil
}

func (r *run) saveGroup(d *document, rootKey string, g *group) error {
	at := stateKey(d.name, rootKey)
	if len(g.Pending) == 0 && len(g.Emitted) == 0 && len(g.Members) == 0 {
		return r.st.Delete(bucketGroup, at)
	}
	raw, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("writing group %s/%s: %w", d.name, rootKey, err)
	}
	return r.st.Put(bucketGroup, at, raw)
}

// maxChain bounds how many corrections of corrections are followed to the root.
const maxChain = 32

// rootOf follows the originals of a document to the first one: the order key of its money.
func (r *run) rootOf(d *document, rec *docRecord) (string, error) {
	key, original := rec.Key, rec.Original
	if rec.Of != "" {
		key = rec.Of
	}
	for i := 0; i < maxChain && original != "" && original != key; i++ {
		key = original
		up, err := r.record(d, key)
		if err != nil {
			return "", err
		}
		if up == nil {
			break
		}
		original = up.Original
	}
	return key, nil
}

// index lets lines find the documents that wait for them.
func (r *run) index(d *document, join, key string, wait bool) error {
	at := stateKey(d.name, join)
	raw, err := r.st.Get(bucketPending, at)
	if err != nil {
		return err
	}
	var keys []string
	if len(raw) > 0 {
		keys = stateParts(string(raw))
	}
	i, found := slices.BinarySearch(keys, key)
	switch {
	case wait == found:
		return nil
	case wait:
		keys = slices.Insert(keys, i, key)
	default:
		keys = slices.Delete(keys, i, i+1)
	}
	if len(keys) == 0 {
		return r.st.Delete(bucketPending, at)
	}
	return r.st.Put(bucketPending, at, []byte(stateKey(keys...)))
}
