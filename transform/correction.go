package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Correction is a document with everything that corrects it, by whatever chain: its correction group, as trace and cases show it.
type Correction struct {
	Root  string           // reference of the first document: invoice/A100
	Parts []CorrectionPart // the root first, then the others as they were released
}

// CorrectionPart is one document of a correction group.
type CorrectionPart struct {
	Ref      string // invoice/A100-C
	Original string // reference of what it corrects; "" of the root
	Type     string // of a release that waits to become an event: invoice.rebilled
	Waits    string // what such a release waits for, in one sentence; "" when nothing waits
}

// maxMembers bounds the corrections of one document that its group remembers.
const maxMembers = 200

// joined notes that a released document corrects the root of its group.
func (g *group) joined(rootKey, key string) {
	if key != rootKey && len(g.Members) < maxMembers && !slices.Contains(g.Members, key) {
		g.Members = append(g.Members, key)
	}
}

// CorrectionOf returns the correction group of a document; nil when nothing corrects it.
func CorrectionOf(st State, ref string) (*Correction, error) {
	name, key, ok := strings.Cut(ref, "/")
	if !ok {
		return nil, nil
	}
	for range maxChain {
		rec, err := recordIn(st, name, key)
		if err != nil {
			return nil, err
		}
		if rec == nil || rec.Original == "" || rec.Original == key {
			break
		}
		key = rec.Original
	}
	raw, err := st.Get(bucketGroup, stateKey(name, key))
	if err != nil || raw == nil {
		return nil, err
	}
	var g group
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("reading group %s/%s: %w", name, key, err)
	}
	if len(g.Members) == 0 {
		return nil, nil
	}
	c := &Correction{Root: name + "/" + key}
	for _, k := range append([]string{key}, g.Members...) {
		p := CorrectionPart{Ref: name + "/" + k}
		rec, err := recordIn(st, name, k)
		if err != nil {
			return nil, err
		}
		if rec != nil && rec.Original != "" {
			p.Original = name + "/" + rec.Original
		}
		if rec != nil && rec.Pending != nil {
			p.Type, p.Waits = rec.Pending.Type, rec.Pending.Why
		}
		c.Parts = append(c.Parts, p)
	}
	return c, nil
}

func recordIn(st State, name, key string) (*docRecord, error) {
	raw, err := st.Get((&document{name: name}).bucket(), key)
	if err != nil || raw == nil {
		return nil, err
	}
	var rec docRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return nil, fmt.Errorf("reading record of %s/%s: %w", name, key, err)
	}
	return &rec, nil
}

// uncredited is why a replacement waits although a credit of its original was made: a part of the original is still open. Of documents whose
// credits are not counted (no event has credits: original) any credit will do.
func (r *run) uncredited(d *document, rec *docRecord, after string) (*trouble, error) {
	i := slices.IndexFunc(d.emit, func(e *emitRule) bool { return e.typ == after })
	if i < 0 || !d.emit[i].credit {
		return nil, nil
	}
	up, err := r.record(d, rec.Original)
	if err != nil || up == nil {
		return nil, err
	}
	whole, err := r.released(d, up)
	if err != nil || whole == nil {
		return nil, err
	}
	left, err := rest(up, &docRecord{}, whole)
	if err != nil || !left.IsPositive() {
		return nil, err
	}
	return &trouble{class: "WAITING", code: "CORRECTION_PENDING", cause: d.root.source.name + "/" + d.name + "/" + rec.Key, owner: "billing",
		title: fmt.Sprintf("%s/%s replaces %s/%s, of which %s %s is not credited yet.", d.name, rec.Key, d.name, rec.Original, left.StringFixed(d.scope.places), whole.Currency),
		hint:  "Credit the rest of the original; the replacement follows by itself."}, nil
}

// voidedLate is the problem of a document that was voided after its release was sent. A credit of the whole document settles it.
func (d *document) voidedLate(key string) trouble {
	subject := d.name + "/" + key
	return trouble{class: "POLICY", code: "VOID_AFTER_POSTING", cause: d.root.source.name + "/" + subject,
		title: fmt.Sprintf("%s was voided after its release was sent to the ERP.", subject),
		hint:  "Release a credit memo for it in billing, then discard this; Waybill never credits on its own."}
}
