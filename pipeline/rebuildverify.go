package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
)

// StateProof is what a comparison of the live state with a rebuilt one found.
type StateProof struct {
	From    string      `json:"from"`  // where the rebuilt state began, in words
	Begin   uint64      `json:"begin"` // journal entry after which it began
	Entry   uint64      `json:"entry"` // journal entry at which the two were compared
	Keys    int         `json:"keys"`  // values compared
	Kinds   []KindCount `json:"kinds"` // what they are, in plain words
	Equal   bool        `json:"equal"`
	Differ  int         `json:"differ"`            // values that differ, at most 10,000 counted
	Buckets []string    `json:"buckets,omitempty"` // of these buckets of the state
	First   *StateDiffs `json:"first,omitempty"`   // the first that differs, in the order of the state
}

// KindCount is how many values of a kind were compared.
type KindCount struct {
	What  string `json:"what"` // events, documents, …
	Count int    `json:"count"`
}

// StateDiffs is one value of the state as it is and as the journal makes it; "" stands for none.
type StateDiffs struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Live    string `json:"live"`
	Rebuilt string `json:"rebuilt"`
}

// Bounds of a verification.
const (
	differMost  = 10_000
	cleanWithin = time.Minute // how long to wait for a moment at which the live state is between two entries
	cleanEvery  = 5 * time.Millisecond
	nearby      = 5000 // entries that the side state may be behind when the live state is held for the comparison
)

// VerifyState proves that the live state is what the journal makes: a side state is projected from the earliest place there
// is, or from the state snapshot before the given time, and compared at one journal entry, byte for byte: events, deliveries,
// ledger, cases, exceptions, audit, row state, and all else. An error says that it could not be compared; a difference is in the
// proof.
func (p *Pipeline) VerifyState(ctx context.Context, since time.Time, progress func(Progress)) (StateProof, error) {
	h, end, err := p.history(progress)
	if err != nil {
		return StateProof{}, err
	}
	defer end()
	return h.VerifyState(ctx, since)
}

// VerifyState is Pipeline.VerifyState for a store that no daemon has open.
func (h *History) VerifyState(ctx context.Context, since time.Time) (proof StateProof, err error) {
	from, _, err := h.base(since)
	if err != nil {
		return proof, err
	}
	r, err := h.run(from, "rebuilding")
	if err != nil {
		return proof, err
	}
	defer func() { err = errors.Join(err, r.side.Close()) }()
	proof.From, proof.Begin = baseText(from), r.place().Index
	return proof, h.meet(ctx, r, &proof)
}

// meet brings the side state to an entry at which the live state stands between two entries with no work left, and compares
// the two there. The live state goes on meanwhile: only a view of it is held, and not before the side state is near.
func (h *History) meet(ctx context.Context, r *sideRun, proof *StateProof) error {
	if err := r.to(ctx, h.store.Applied().Index); err != nil {
		return err
	}
	for deadline := time.Now().Add(cleanWithin); ; {
		met := false
		err := h.store.View(func(tx *checkpoint.Txn) error {
			at, err := tx.Place()
			if err != nil || at.Ordinal != 0 || at.Index < r.place().Index || at.Index > r.place().Index+nearby {
				return err
			}
			if left, _, err := newState(tx).first(bucketWork, ""); left != "" || err != nil {
				return err
			}
			met = true
			if err := r.to(ctx, at.Index); err != nil {
				return err
			}
			proof.Entry = at.Index
			h.progress(Progress{"comparing", at.Index, at.Index})
			return r.side.View(func(side *checkpoint.Txn) error { return proof.compare(ctx, tx, side) })
		})
		if met || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the live state was in the midst of an entry for %s; ask again when it has caught up", cleanWithin)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cleanEvery):
		}
		if err := r.to(ctx, h.store.Applied().Index); err != nil {
			return err
		}
	}
}

// grouped are the buckets whose form hangs on how entries were grouped into commits: events lie in blocks, mentions are written
// as keys or as blocks. What they say is compared, not how.
var grouped = []string{bucketEvent, bucketEventRef, bucketRow, bucketBlock}

const blockSequence = "seq/block"

// kinds are what the buckets hold, for people, in the order in which they are told.
var kinds = []struct {
	what    string
	buckets []string
}{
	{"documents", []string{bucketDelivery}},
	{"ledger rows", []string{bucketLedger}},
	{"cases", []string{"map/case"}},
	{"exceptions", []string{bucketException}},
	{"audit lines", []string{bucketChain}},
	{"registry rows", []string{"xref/row"}},
}

func (p *StateProof) compare(ctx context.Context, live, side *checkpoint.Txn) error {
	if err := p.compareEvents(ctx, newState(live), newState(side)); err != nil {
		return err
	}
	take := func(bucket string) bool { return !slices.Contains(grouped, bucket) }
	counts, err := checkpoint.Compare(ctx, live, side, take, func(d checkpoint.Difference) bool {
		if d.Bucket != bucketSystem || d.Key != blockSequence {
			p.differs(d)
		}
		return p.Differ < differMost
	})
	if err != nil {
		return err
	}
	a, err := newState(live).mentionsDigest()
	if err != nil {
		return err
	}
	b, err := newState(side).mentionsDigest()
	if err != nil {
		return err
	}
	p.Keys += a.n
	if a != b {
		p.differs(checkpoint.Difference{Bucket: "mentions", A: []byte(a.text()), B: []byte(b.text())})
	}
	p.tell(counts, a.n)
	p.Equal = p.Differ == 0
	return nil
}

// compareEvents compares the events by their numbers, byte for byte.
func (p *StateProof) compareEvents(ctx context.Context, live, side *state) error {
	seq := uint64(1) // events are numbered from 1 without a gap
	err := live.eachEvent(seq, func(at uint64, a []byte) (bool, error) {
		if at%1000 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		b, err := side.rawEvent(at)
		if err != nil {
			return false, err
		}
		if seq = at + 1; !bytes.Equal(a, b) {
			p.differs(checkpoint.Difference{Bucket: bucketEvent, Key: hexKey(at), A: a, B: b})
		}
		return p.Differ < differMost, nil
	})
	if err != nil {
		return err
	}
	p.Kinds = append(p.Kinds, KindCount{"events", int(seq - 1)})
	p.Keys += int(seq - 1)
	more, err := side.rawEvent(seq)
	if more != nil && p.Differ < differMost {
		p.differs(checkpoint.Difference{Bucket: bucketEvent, Key: hexKey(seq), B: more})
	}
	return err
}

// tell says in words how many values of which kind were compared.
func (p *StateProof) tell(counts map[string]int, mentions int) {
	known := 0
	for _, k := range kinds {
		n := 0
		for bucket, of := range counts {
			if slices.Contains(k.buckets, unscoped(bucket)) {
				n += of
			}
		}
		p.Kinds, known = append(p.Kinds, KindCount{k.what, n}), known+n
	}
	rows, rest := 0, 0
	for bucket, n := range counts {
		rest += n
		if strings.HasPrefix(bucket, "row/") {
			rows += n
		}
	}
	p.Keys += rest
	p.Kinds = append(p.Kinds, KindCount{"rows of the sources", rows}, KindCount{"mentions", mentions}, KindCount{"queues, gates, timers and all else", rest - known - rows})
}

// unscoped is a mapping's own name of a bucket (transform/scope.go).
func unscoped(bucket string) string {
	if rest, ok := strings.CutPrefix(bucket, "maps/"); ok {
		_, own, _ := strings.Cut(rest, "/")
		return "map/" + own
	}
	return bucket
}

func (p *StateProof) differs(d checkpoint.Difference) {
	p.Differ++
	if p.First == nil {
		p.First = &StateDiffs{Bucket: d.Bucket, Key: readable(d.Key), Live: readable(clip(string(d.A), 2000)), Rebuilt: readable(clip(string(d.B), 2000))}
	}
	if !slices.Contains(p.Buckets, d.Bucket) {
		p.Buckets = append(p.Buckets, d.Bucket)
	}
}

// readable shows the parts of a key, and bytes that are no text, for people.
func readable(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, sep, " | "), "?")
}

// mentionSum is the number and the sum of the hashes of a set: equal for equal sets, whatever their order and form.
type mentionSum struct {
	n   int
	sum uint64
}

func (d *mentionSum) text() string { return fmt.Sprintf("%d mentions, digest %016x", d.n, d.sum) }

func (d *mentionSum) add(ref uint64, rest []byte) {
	h := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, ref), rest...))
	d.n++
	d.sum += binary.BigEndian.Uint64(h[:])
}

func (d *mentionSum) event(ref, seq uint64) {
	d.add(ref, binary.BigEndian.AppendUint64([]byte{'e'}, seq))
}

func (d *mentionSum) row(ref uint64, r notedRow) {
	rest := binary.BigEndian.AppendUint64([]byte{'r'}, r.index)
	d.add(ref, r.append(binary.BigEndian.AppendUint64(rest, r.unit)))
}

// mentionsDigest sums up what all mentions of references say, those in blocks and those that are keys.
func (s *state) mentionsDigest() (d mentionSum, err error) {
	const number = 1 + 16 // sep and the hex digits of hexKey
	err = s.Scan(bucketBlock, "", "", func(_ string, block []byte) (bool, error) { return true, eachMention(block, d.row, d.event) })
	if err != nil {
		return d, err
	}
	err = s.Scan(bucketEventRef, "", "", func(k string, _ []byte) (bool, error) {
		ref, seq := k[:len(k)-number], k[len(k)-number+1:]
		d.event(hashRef(ref), unhex(seq))
		return true, nil
	})
	if err != nil {
		return d, err
	}
	err = s.Scan(bucketRow, "", "", func(k string, v []byte) (bool, error) {
		n, err := decodeRowNote(v)
		ref, index, unit := k[:len(k)-2*number], k[len(k)-2*number+1:len(k)-number], k[len(k)-number+1:]
		d.row(hashRef(ref), notedRow{n, unhex(index), unhex(unit)})
		return true, err
	})
	return d, err
}

// eachMention calls row and event for everything that a block says.
func eachMention(block []byte, row func(ref uint64, r notedRow), event func(ref, seq uint64)) error {
	if len(block) < blockHead || block[0] != 1 {
		return errBlock
	}
	n, first := binary.BigEndian.Uint64(block[1:]), binary.BigEndian.Uint64(block[9:])
	if n > uint64(len(block)-blockHead)/mentionSize {
		return errBlock
	}
	list, notes := block[blockHead:blockHead+n*mentionSize], block[blockHead+n*mentionSize:]
	for ; len(list) > 0; list = list[mentionSize:] {
		ref, place := binary.BigEndian.Uint64(list), binary.BigEndian.Uint32(list[8:])
		if place&eventBit != 0 {
			event(ref, first+uint64(place&^eventBit))
			continue
		}
		r, err := noteAt(notes, place)
		if err != nil {
			return err
		}
		row(ref, r)
	}
	return nil
}
