package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// drift says what of an entity must not have changed between the order and the document that bills it (domain.md §4, MASTER_DRIFT).
type drift struct {
	entity string
	key    *expr             // of the entity, in the words of the document
	since  *expr             // day of the order; no value: nothing is compared
	fields map[string]string // by field: as of order, or as of invoice
	zone   *time.Location
}

// As of when a field of an entity holds for a document.
const (
	asOfOrder   = "order"   // a difference is for a person to confirm
	asOfInvoice = "invoice" // a difference is right
)

// creditMemo is the event that takes back what was billed: it is of what was billed, whatever its customer is now.
const creditMemo = "credit_memo.issued"

// bucketMasterAgreed holds what people confirmed of one document: reference of the entity, subject of the document → number of the version
// that was in force. What was confirmed for all is waived.
const bucketMasterAgreed = "map/mst/agreed"

var driftKeys = []string{"key", "since", "fields"}

// drifts reads drift, by document.
func (c *compiler) drifts(f field, g *governance, names []string) {
	for _, df := range c.fields(f.value, "drift") {
		i := slices.IndexFunc(c.m.documents, func(d *document) bool { return d.name == df.key })
		if i < 0 {
			var known []string
			for _, d := range c.m.documents {
				known = append(known, d.name)
			}
			c.fault(df.at, fmt.Sprintf("the document %q", df.key), "a document of this mapping: "+strings.Join(known, ", "), suggest(df.key, known))
			continue
		}
		d := c.m.documents[i]
		got := c.record(df.value, "drift of "+df.key, driftKeys, nil)
		if !c.need(df.at, got, "drift of "+df.key, "key", "since", "fields") {
			continue
		}
		one := &drift{entity: g.entity, key: c.value(got["key"].value, d.scope), since: c.moment(got["since"], d.scope), fields: map[string]string{}, zone: zoneOf(d.root.source)}
		for _, x := range c.fields(got["fields"].value, "drift by field") {
			if c.hasField(x, g, names) {
				one.fields[x.key] = c.choice(x.value, "as of when the field holds", asOfOrder, asOfInvoice)
			}
		}
		d.drifts = append(d.drifts, one)
	}
}

func zoneOf(s *source) *time.Location {
	if loc, err := time.LoadLocation(s.zone); err == nil {
		return loc
	}
	return time.UTC
}

// drifted says which entities of a document are not what they were when it was ordered, and nobody has confirmed it.
func (r *run) drifted(d *document, rec *docRecord, f *frame, subject string) ([]*trouble, error) {
	var all []*trouble
	for _, one := range d.drifts {
		key := quietText(one.key, f)
		since, err := one.since.eval(f)
		var t *trouble
		if err != nil && !errors.As(err, &t) {
			return nil, err
		}
		if err != nil || since == nil || since == types.NullValue || types.IsError(since) || key == "" {
			continue // what is missing is told as such
		}
		on := textOf(dayNode{constNode{since}, one.zone}.eval(f))
		if t, err = r.driftOf(one, CompanyKey(rec.Company, key), on, subject); err != nil {
			return nil, err
		}
		all = append(all, compact(t)...)
	}
	return all, nil
}

// MasterDrift is the fingerprint of the problem that an entity, of which a version is in force, was another when documents were ordered.
func MasterDrift(ref string, version int) string { return driftTrouble(ref, version).fingerprint() }

func driftTrouble(ref string, version int) *trouble {
	return &trouble{class: "POLICY", code: "MASTER_DRIFT", cause: fmt.Sprintf("%s@%d", ref, version), owner: "AR"}
}

func (r *run) driftOf(one *drift, key, on, subject string) (*trouble, error) {
	at := masterKey(one.entity+".changed", key)
	then, now, err := masterOn(r.st, at, on)
	if err != nil || now == nil || then.Number == now.Number {
		return nil, err
	}
	changes, err := masterChanges(then.Data, now.Data)
	if err != nil {
		return nil, err
	}
	asked := slices.DeleteFunc(slices.Clone(changes), func(c MasterChange) bool { return one.fields[c.Field] != asOfOrder })
	if len(asked) == 0 {
		return nil, nil
	}
	agreed, err := r.st.Get(bucketMasterAgreed, stateKey(now.Ref, subject))
	if err != nil || string(agreed) == fmt.Sprint(now.Number) {
		return nil, err
	}
	t := driftTrouble(now.Ref, now.Number)
	t.title = fmt.Sprintf("%s: %s is not what it was on %s, when it was ordered (version %d, now %d): %s.", subject, now.Ref, on, then.Number, now.Number, changesText(asked))
	t.hint = fmt.Sprintf("Correct the document in billing, or confirm it: waybill master confirm %s --document %s --why …; without --document all that wait.", now.Ref, subject)
	t.evidence = map[string]any{"ordered": on, "version_then": then.Number, "version_now": now.Number, "changes": changes, "as_of": one.fields}
	return t, nil
}

// masterOn finds the version that held on a day, and the one that is in force; both nil when none is. Before the first there was none:
// then the first counts.
func masterOn(st State, at, on string) (then, now *MasterVersion, err error) {
	var head masterHead
	if ok, err := loadMaster(st, bucketMasterHead, at, &head); err != nil || !ok || head.Active == 0 {
		return nil, nil, err
	}
	if now, err = masterVersion(st, at, head.Active); err != nil || now == nil {
		return nil, nil, err
	}
	then = now
	for n := head.Active; n > 0 && n > head.Last-masterMost; n-- {
		v, err := masterVersion(st, at, n)
		if err != nil {
			return nil, nil, err
		}
		if v == nil || v.ActiveAt.IsZero() {
			continue // never in force
		}
		then = v
		if v.Day <= on {
			break
		}
	}
	return then, now, nil
}

// ConfirmMaster notes that a person lets documents pass for which an entity was another when they were ordered: one document, or all that
// wait when subject is empty. It reports whether the entity is of this mapping. A word for another version than the one in force does nothing.
func (p *Mapper) ConfirmMaster(st State, out Output, at Entry, ref, subject string, version int) (mine bool, err error) {
	r := p.run(st, out, at)
	key, ok := masterKeyOf(ref)
	if !ok {
		return false, nil
	}
	head, err := r.masterHead(key)
	if err != nil || head.Last == 0 {
		return false, err
	}
	if head.Active != version {
		return true, nil
	}
	fp := driftTrouble(ref, version).fingerprint()
	if subject == "" {
		return true, p.Waive(st, out, at, fp)
	}
	if err := st.Put(bucketMasterAgreed, stateKey(ref, subject), []byte(fmt.Sprint(version))); err != nil {
		return true, err
	}
	return true, r.wake(fp)
}

// masterNode is master.<entity>(key, as_of=date): the fields of the version that held on the day.
type masterNode struct {
	entity string
	key    node
	asOf   dayNode
}

func (n masterNode) eval(f *frame) ref.Val {
	key, on := n.key.eval(f), n.asOf.eval(f)
	for _, v := range []ref.Val{key, on} {
		if v == types.NullValue || types.IsError(v) {
			return v
		}
	}
	at := CompanyKey(f.m.company, textOf(key))
	then, _, err := masterOn(f.st, masterKey(n.entity+".changed", at), textOf(on))
	if err != nil {
		return types.WrapErr(&stateError{err})
	}
	if then == nil {
		return types.WrapErr(noVersion(n.entity + "/" + at))
	}
	data := map[string]json.RawMessage{}
	if err := json.Unmarshal(then.Data, &data); err != nil {
		return types.WrapErr(&stateError{fmt.Errorf("reading version %d of %s: %w", then.Number, then.Ref, err)})
	}
	found := record{}
	for name, raw := range data {
		found[name] = masterValue(raw)
	}
	return found
}

// masterValue is a field of a version: texts (decimals and days too), whole numbers, yes and no. What has parts is no value.
func masterValue(raw json.RawMessage) ref.Val {
	var text string
	var n int64
	var yes bool
	switch {
	case json.Unmarshal(raw, &text) == nil && raw[0] == '"':
		return types.String(text)
	case json.Unmarshal(raw, &n) == nil && string(raw) != "null":
		return types.Int(n)
	case json.Unmarshal(raw, &yes) == nil && string(raw) != "null":
		return types.Bool(yes)
	}
	return types.NullValue
}

// noVersion is the trouble of whoever reads an entity of which no version was ever in force.
func noVersion(ref string) *trouble {
	return &trouble{class: "MASTER", code: "NO_VERSION", cause: ref, title: fmt.Sprintf("No version of %s is in force.", ref),
		hint: "waybill master show " + ref + " says what it waits for; it goes on by itself when one is."}
}

// masterLookup builds master.<entity>(key, as_of=date).
func (b *builder) masterLookup(entity string, args []ast.Expr) (node, *cel.Type) {
	known := slices.Sorted(maps.Keys(b.governed))
	if !b.governed[entity] {
		return b.bad(fmt.Sprintf("the governed entity %q", entity), "one declared under masters", suggest(entity, known))
	}
	if len(args) != 2 {
		return b.bad(fmt.Sprintf("master.%s with %d arguments", entity, len(args)), "master."+entity+"(key, as_of=<date>)", "")
	}
	key, _ := b.node(args[0])
	on, t := b.node(args[1])
	if !b.failed && !isDyn(t) && !slices.Contains([]string{"date", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(t)) {
		return b.bad("as_of "+article(t), "a date", "")
	}
	zone := time.UTC
	if b.sc.src != nil {
		zone = zoneOf(b.sc.src)
	}
	return masterNode{entity, key, dayNode{on, zone}}, cel.DynType
}
