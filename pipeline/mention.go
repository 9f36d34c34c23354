package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"
)

// What happened to one thing is found by its references: shipment/K-4711. A key of the state for each mention of one would be half
// of all that the projector writes while it catches up. So a transaction with many mentions writes them as blocks: the
// references' hashes in order, and behind them the row changes that they point to. One with few, as long as nothing is
// behind, writes a key for each; so a million mentions are 16,000 blocks at most, which can be looked through at once.
const (
	blockLeast = 64     // mentions; fewer are keys of their own
	blockMost  = 20_000 // mentions; more are several blocks
)

// mention says that a row change or an event names a reference.
type mention struct {
	ref   string
	row   int    // number of the row change in mentions.rows, or -1
	event uint64 // sequence of the event, when there is no row
}

// notedRow is a row change with its place in the journal.
type notedRow struct {
	rowNote
	index, unit uint64
}

// mentions are what one transaction of the projector adds.
type mentions struct {
	rows []notedRow
	list []mention
}

// hashRef is the first 8 bytes of the SHA-256. That one reference among 100 million is taken for another has a chance of 5 in 10^12.
func hashRef(ref string) uint64 {
	h := sha256.Sum256([]byte(ref))
	return binary.BigEndian.Uint64(h[:])
}

func (m *mentions) row(at notedRow, refs []string) {
	m.rows = append(m.rows, at)
	for _, ref := range refs {
		m.list = append(m.list, mention{ref: ref, row: len(m.rows) - 1})
	}
}

func (m *mentions) event(seq uint64, refs []string) {
	for _, ref := range refs {
		m.list = append(m.list, mention{ref: ref, row: -1, event: seq})
	}
}

// write stores what was collected.
func (m *mentions) write(s *state) error {
	if len(m.list) < blockLeast {
		return m.keys(s)
	}
	for part := range slices.Chunk(m.list, blockMost) {
		n, err := s.next("block")
		if err != nil {
			return err
		}
		if err := s.Put(bucketBlock, hexKey(n), m.block(part)); err != nil {
			return err
		}
	}
	return nil
}

func (m *mentions) keys(s *state) error {
	for _, x := range m.list {
		var err error
		if x.row < 0 {
			err = s.mark(bucketEventRef, key(x.ref, hexKey(x.event)))
		} else {
			at := &m.rows[x.row]
			err = s.Put(bucketRow, key(x.ref, hexKey(at.index), hexKey(at.unit)), at.append(nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A block, version 1: the byte 1; how many mentions, and the first event's sequence, 8 bytes each; for each mention, in the order of
// the hashes, its hash, 8 bytes, and 4 bytes: eventBit and how far its sequence is from the first, or where its row's note
// begins behind the mentions; the notes, each with journal index, unit and length as uvarint and the form of a rowNote.
// Numbers of a fixed size are big endian.
const (
	blockHead   = 1 + 8 + 8
	mentionSize = 8 + 4
	eventBit    = 1 << 31
)

func (m *mentions) block(part []mention) []byte {
	type hashed struct {
		ref   uint64
		place uint32
	}
	list := make([]hashed, 0, len(part))
	var first uint64
	var notes, note []byte
	row, place := -1, 0
	for _, x := range part {
		switch {
		case x.row < 0:
			if first == 0 { // sequences rise
				first = x.event
			}
			list = append(list, hashed{hashRef(x.ref), eventBit | uint32(x.event-first)})
			continue
		case x.row != row:
			row, place = x.row, len(notes)
			at := &m.rows[row]
			note = at.append(note[:0])
			notes = binary.AppendUvarint(notes, at.index)
			notes = binary.AppendUvarint(notes, at.unit)
			notes = binary.AppendUvarint(notes, uint64(len(note)))
			notes = append(notes, note...)
		}
		list = append(list, hashed{hashRef(x.ref), uint32(place)})
	}
	slices.SortFunc(list, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.ref, b.ref), cmp.Compare(a.place, b.place)) })
	b := make([]byte, 0, blockHead+mentionSize*len(list)+len(notes))
	b = append(b, 1)
	b = binary.BigEndian.AppendUint64(b, uint64(len(list)))
	b = binary.BigEndian.AppendUint64(b, first)
	for _, x := range list {
		b = binary.BigEndian.AppendUint64(b, x.ref)
		b = binary.BigEndian.AppendUint32(b, x.place)
	}
	return append(b, notes...)
}

var errBlock = errors.New("a block of mentions does not follow its form")

// lookUp calls row and event for what the block says of one reference.
func lookUp(block []byte, hash uint64, row func(notedRow), event func(seq uint64)) error {
	if len(block) < blockHead || block[0] != 1 {
		return errBlock
	}
	n, first := binary.BigEndian.Uint64(block[1:]), binary.BigEndian.Uint64(block[9:])
	if n > uint64(len(block)-blockHead)/mentionSize {
		return errBlock
	}
	list, notes := block[blockHead:blockHead+n*mentionSize], block[blockHead+n*mentionSize:]
	at := func(i int) []byte { return list[i*mentionSize:] }
	for i := sort.Search(int(n), func(i int) bool { return binary.BigEndian.Uint64(at(i)) >= hash }); i < int(n); i++ {
		if binary.BigEndian.Uint64(at(i)) != hash {
			break
		}
		place := binary.BigEndian.Uint32(at(i)[8:])
		if place&eventBit != 0 {
			event(first + uint64(place&^eventBit))
			continue
		}
		r, err := noteAt(notes, place)
		if err != nil {
			return err
		}
		row(r)
	}
	return nil
}

func noteAt(notes []byte, place uint32) (r notedRow, err error) {
	if uint64(place) > uint64(len(notes)) {
		return r, errBlock
	}
	b := notes[place:]
	for _, v := range []*uint64{&r.index, &r.unit} {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return r, errBlock
		}
		*v, b = n, b[k:]
	}
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return r, errBlock
	}
	r.rowNote, err = decodeRowNote(b[k : k+int(size)])
	return r, err
}

// mentioned is what is known of some references.
type mentioned struct {
	after  uint64                // events up to this sequence do not count
	most   int                   // row changes, and events, of each reference
	rows   map[string][]notedRow // by reference
	events map[string][]uint64   // by reference, oldest first
}

func (m *mentioned) row(ref string, r notedRow) {
	if len(m.rows[ref]) < m.most {
		m.rows[ref] = append(m.rows[ref], r)
	}
}

func (m *mentioned) event(ref string, seq uint64) {
	if seq > m.after && len(m.events[ref]) < m.most {
		m.events[ref] = append(m.events[ref], seq)
	}
}

// mentionsOf gathers what names the references, at most so many row changes and so many events behind after of each: in
// one walk over the blocks, and the keys of each.
func (s *state) mentionsOf(refs []string, after uint64, most int) (mentioned, error) {
	m := mentioned{after, most, map[string][]notedRow{}, map[string][]uint64{}}
	hashes := make([]uint64, len(refs))
	for i, ref := range refs {
		hashes[i] = hashRef(ref)
	}
	err := s.Scan(bucketBlock, "", "", func(_ string, block []byte) (bool, error) {
		for i, ref := range refs {
			err := lookUp(block, hashes[i], func(r notedRow) { m.row(ref, r) }, func(seq uint64) { m.event(ref, seq) })
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
	for _, ref := range refs {
		if err == nil {
			err = s.keysOf(ref, &m)
		}
		slices.Sort(m.events[ref])
	}
	return m, err
}

func (s *state) keysOf(ref string, m *mentioned) error {
	err := s.Scan(bucketEventRef, ref+sep, key(ref, hexKey(m.after+1)), func(k string, _ []byte) (bool, error) {
		m.event(ref, unhex(strings.TrimPrefix(k, ref+sep)))
		return len(m.events[ref]) < m.most, nil
	})
	if err != nil {
		return err
	}
	return s.Scan(bucketRow, ref+sep, "", func(k string, v []byte) (bool, error) {
		n, err := decodeRowNote(v)
		index, unit, _ := strings.Cut(strings.TrimPrefix(k, ref+sep), sep)
		m.row(ref, notedRow{n, unhex(index), unhex(unit)})
		return len(m.rows[ref]) < m.most, err
	})
}
