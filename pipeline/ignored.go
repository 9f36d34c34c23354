package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/transform"
)

// ignored is what trace keeps of the changes of one thing that a policy of a rule ignored: how many, and the newest.
type ignored struct {
	Count uint64    `json:"count"`
	First time.Time `json:"first"` // journal times
	Last  time.Time `json:"last"`
	Index uint64    `json:"index"` // journal entry of the newest
	Why   string    `json:"why"`
}

// Note counts what a policy ignored, by what it was about and the rule.
func (o *output) Note(n transform.Note) error {
	if err := o.s.mentionable(n.Refs); err != nil {
		return err
	}
	for _, ref := range n.Refs {
		k := key(ref, n.Rule)
		kept := ignored{First: o.entry.Observed}
		if _, err := o.s.load(bucketIgnored, k, &kept); err != nil {
			return err
		}
		kept.Count++
		kept.Last, kept.Index, kept.Why = o.entry.Observed, o.entry.Index, n.Why
		if err := o.s.save(bucketIgnored, k, kept); err != nil {
			return err
		}
	}
	return nil
}

// ignored adds what was ignored about the reference.
func (t *tracer) ignored(ref string) error {
	return t.s.Scan(bucketIgnored, ref+sep, "", func(k string, raw []byte) (bool, error) {
		var n ignored
		if err := json.Unmarshal(raw, &n); err != nil {
			return false, err
		}
		text := n.Why
		if n.Count > 1 {
			text = fmt.Sprintf("%s; %d times since %s", n.Why, n.Count, n.First.Format(time.RFC3339))
		}
		t.add("ignored/"+k, "", TraceItem{At: n.Last, Kind: "note", Where: strings.TrimPrefix(k, ref+sep), Index: n.Index, Text: text})
		return true, nil
	})
}
