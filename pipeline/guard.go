package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"waybill/cdc"
	"waybill/transform"
)

// guard keeps back what the rules make of the open transaction until its end: in memory while it is little, else in the state. It
// lies in the state as well when a commit of ours falls into the transaction, so that a crash loses none of it.
type guard struct {
	Source  string                `json:"source"`
	Tx      string                `json:"tx"`
	Spilled uint64                `json:"spilled"`
	Rules   map[string]*ruleCount `json:"rules"` // by event type
	Last    string                `json:"last"`  // event type of the last event

	items  []blastItem
	parked bool // it lies in the state
}

// guardItems bounds what a guard keeps in memory.
const guardItems = 100

const guardKey = "guard"

// guards says which transactions of an entry are kept back: those that may be over a bound. A transaction of fewer changes than the
// bound of events cannot be over that one, so nearly all go straight through.
func (p *projector) guards(b *cdc.Batch, parts []span) (func(commit string) bool, error) {
	none := func(string) bool { return false }
	m := p.mapper.Reader(b.Source)
	if b.Snapshot || b.Chunk != nil || m == nil {
		return none, nil // a reading is no mass update
	}
	least := m.LeastEvents()
	if m.BoundedBeyondEvents() || len(parts) > 1 || parts[0].From != parts[0].To {
		return func(string) bool { return true }, nil
	}
	if b.Changes <= least {
		return none, nil
	}
	changes := map[string]int{}
	r := cdc.NewReader(p.codecs, p.schema)
	for r.Reset(b); r.Next(); {
		changes[r.Change().Tx.Commit]++
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return func(commit string) bool { return changes[commit] > least }, nil
}

// resumeGuard finds the guard of a transaction in which a commit of ours fell.
func (p *projector) resumeGuard(tx string) error {
	var g guard
	ok, err := p.tx.load(bucketSystem, guardKey, &g)
	if err != nil || !ok {
		return err
	}
	if g.Tx != tx {
		return fmt.Errorf("the state holds back what was made of transaction %s, but %s is open", g.Tx, tx)
	}
	g.parked = true
	p.guard = &g
	return nil
}

// keep counts an item and keeps it back.
func (g *guard) keep(s *state, item blastItem) error {
	if item.Event != nil {
		g.Last = item.Event.Type
	}
	item.Rule = g.Last
	c := g.Rules[item.Rule]
	if c == nil {
		c = &ruleCount{}
		g.Rules[item.Rule] = c
	}
	if item.Event != nil {
		c.event(item.Event)
	} else {
		c.Posts++
	}
	if g.items = append(g.items, item); len(g.items) < guardItems {
		return nil
	}
	return g.spill(s)
}

func (g *guard) spill(s *state) error {
	for _, item := range g.items {
		g.Spilled++
		if err := s.save(bucketSpill, hexKey(g.Spilled), item); err != nil {
			return err
		}
	}
	g.items = g.items[:0]
	return nil
}

// keepBack writes a guard whose transaction goes on in another commit of ours.
func (s *state) keepBack() error {
	g := s.guard
	if g == nil {
		return nil
	}
	if err := g.spill(s); err != nil {
		return err
	}
	g.parked = true
	return s.save(bucketSystem, guardKey, g)
}

// letOut lets go what little was kept back, at once. Whether it lay in the state meanwhile hangs on where our commits fell, and
// must make no difference.
func (g *guard) letOut(s *state, out *output) error {
	for n := uint64(1); n <= g.Spilled; n++ {
		var item blastItem
		if _, err := s.load(bucketSpill, hexKey(n), &item); err != nil {
			return err
		}
		if err := s.Delete(bucketSpill, hexKey(n)); err != nil {
			return err
		}
		if err := out.put(item); err != nil {
			return err
		}
	}
	for _, item := range g.items {
		if err := out.put(item); err != nil {
			return err
		}
	}
	return nil
}

// sortWork is the detail of a workSort.
type sortWork struct {
	Over      map[string]bool `json:"over,omitempty"` // event types over their bounds
	Exception string          `json:"exception,omitempty"`
	Marked    bool            `json:"marked,omitempty"` // their order keys are noted
}

// endGuard ends the open transaction: what was made of it goes out, or is sorted by a work item, which comes before the next
// transaction; it reports which.
func (p *projector) endGuard(s *state, at transform.Entry, ended time.Time) (sorting bool, err error) {
	g := s.guard
	if g == nil {
		return false, nil
	}
	s.guard = nil
	over, err := s.overBounds(g, ended)
	if err != nil {
		return false, err
	}
	if g.parked {
		if err := s.Delete(bucketSystem, guardKey); err != nil {
			return false, err
		}
	}
	if len(over) == 0 && g.Spilled+uint64(len(g.items)) < guardItems {
		return false, g.letOut(s, &output{s: s, entry: at})
	}
	if err := g.spill(s); err != nil {
		return false, err
	}
	w := sortWork{Over: map[string]bool{}}
	for event := range over {
		w.Over[event] = true
	}
	if len(over) > 0 {
		if w.Exception, err = s.openBlast(over, g, at.Observed); err != nil {
			return false, err
		}
	}
	detail, err := json.Marshal(w)
	if err != nil {
		return false, err
	}
	return true, s.addWork(work{Kind: workSort, Key: g.Tx, Detail: detail})
}

// window is what a rule has made since a time of the watermark.
type window struct {
	Since time.Time `json:"since"`
	ruleCount
}

// overBounds returns the counts that are over the bounds of their rules: of the transaction, or with what the window has seen before.
func (s *state) overBounds(g *guard, ended time.Time) (map[string]*ruleCount, error) {
	over := map[string]*ruleCount{}
	m := s.carriers.Reader(g.Source)
	if m == nil {
		return nil, fmt.Errorf("no mapping reads source %s, of which transaction %s is kept back", g.Source, g.Tx)
	}
	for _, event := range names(g.Rules) {
		c, b := g.Rules[event], m.Bound(event)
		counted := c
		if b.Window > 0 {
			var w window
			k := "window/" + m.Name() + "/" + event
			if _, err := s.load(bucketSystem, k, &w); err != nil {
				return nil, err
			}
			if since := ended.Truncate(b.Window); !w.Since.Equal(since) {
				w = window{Since: since}
			}
			w.add(c)
			w.Samples = nil
			if err := s.save(bucketSystem, k, w); err != nil {
				return nil, err
			}
			counted = &w.ruleCount
		}
		if c.Bound = counted.over(b); c.Bound != "" {
			over[event] = c
		}
	}
	return over, nil
}

// sortSpill sorts what was kept back of a transaction: first the order keys of the rules over their bounds are noted, then each item
// goes out or is held, in its order.
func (p *projector) sortSpill(s *state, w *work, at transform.Entry) (done bool, err error) {
	var d sortWork
	if err := json.Unmarshal(w.Detail, &d); err != nil {
		return false, err
	}
	if len(d.Over) > 0 && !d.Marked {
		done, err := s.each(bucketSpill, "", &w.Cursor, func(_ string, raw []byte) (bool, error) {
			var item blastItem
			if err := json.Unmarshal(raw, &item); err != nil || !d.Over[item.Rule] {
				return true, err
			}
			return true, s.markBehind(item.orderKey(), d.Exception)
		})
		if err != nil || !done {
			return false, err
		}
		d.Marked, w.Cursor = true, ""
		w.Detail, err = json.Marshal(d)
		return false, err
	}
	h, out := &holder{s: s}, &output{s: s, entry: at}
	done, err = s.each(bucketSpill, "", &w.Cursor, func(k string, raw []byte) (bool, error) {
		var item blastItem
		if err := json.Unmarshal(raw, &item); err != nil {
			return false, err
		}
		if err := s.Delete(bucketSpill, k); err != nil {
			return false, err
		}
		b, err := s.heldBy(item.orderKey())
		if err != nil {
			return false, err
		}
		if b.ID == "" {
			return true, out.emit(item)
		}
		item.Behind = !d.Over[item.Rule]
		return true, h.hold(b.ID, item)
	})
	return done, errors.Join(err, h.flush())
}

// markBehind notes that an exception will hold something of an order key, unless another one does already.
func (s *state) markBehind(orderKey, id string) error {
	b, err := s.heldBy(orderKey)
	if err != nil || b.ID != "" {
		return err
	}
	s.someHeld()
	return s.save(bucketBehind, orderKey, behindBlast{ID: id})
}
