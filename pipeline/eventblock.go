package pipeline

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"waybill/transform"
)

// Events are written once, read seldom, and are most of what the projector writes; but each is much like the one before it. So they lie
// in blocks: those of one transaction of the state, up to blockBytes of them together, compressed. A block's key is the number of
// its last event; its events are numbered without a gap. Its value is the byte blockForm and, compressed by S2, the length (uvarint) and
// the JSON of each. How events are spread over blocks follows the transactions and means nothing.
const (
	blockBytes = 64 << 10
	blockPlain = 64 << 20 // of JSON in a block that is read
	blockForm  = 1
)

// telling are the events of a transaction that are not in a block yet.
type telling struct {
	last   uint64
	events [][]byte // JSON, in order
	bytes  int
}

// eventBlock is a block that was read.
type eventBlock struct {
	last   uint64
	events [][]byte
}

func (b *eventBlock) first() uint64 { return b.last + 1 - uint64(len(b.events)) }

var errEventBlock = errors.New("a block of events does not follow its form")

// tell keeps an event under its number, the next of the sequence.
func (s *state) tell(seq uint64, e *transform.Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("writing event %d: %w", seq, err)
	}
	s.telling.last, s.telling.events = seq, append(s.telling.events, raw)
	if s.telling.bytes += len(raw); s.telling.bytes >= blockBytes {
		return s.told()
	}
	return nil
}

// told writes the block at hand. It is called before events are read, and before the commit.
func (s *state) told() error {
	t := s.telling
	if len(t.events) == 0 {
		return nil
	}
	s.telling = telling{}
	plain := make([]byte, 0, t.bytes+3*len(t.events))
	for _, raw := range t.events {
		plain = append(binary.AppendUvarint(plain, uint64(len(raw))), raw...)
	}
	block := make([]byte, 1+s2.MaxEncodedLen(len(plain)))
	block[0] = blockForm
	return s.Put(bucketEvent, hexKey(t.last), block[:1+len(s2.Encode(block[1:], plain))])
}

func readBlock(k string, v []byte) (*eventBlock, error) {
	fail := func(why error) (*eventBlock, error) {
		return nil, fmt.Errorf("events up to %d: %w: %v", unhex(k), errEventBlock, why)
	}
	if len(v) == 0 || v[0] != blockForm {
		return fail(errors.New("another form"))
	}
	if n, err := s2.DecodedLen(v[1:]); err != nil || n > blockPlain {
		return fail(fmt.Errorf("%d bytes: %w", n, err))
	}
	plain, err := s2.Decode(nil, v[1:])
	if err != nil {
		return fail(err)
	}
	b := &eventBlock{last: unhex(k)}
	for len(plain) > 0 {
		n, k := binary.Uvarint(plain)
		if k <= 0 || n > uint64(len(plain)-k) {
			return fail(errors.New("cut short"))
		}
		b.events, plain = append(b.events, plain[k:k+int(n)]), plain[k+int(n):]
	}
	return b, nil
}

// rawEvent returns the JSON of an event, nil when there is none. The bytes must not be changed.
func (s *state) rawEvent(seq uint64) ([]byte, error) {
	if err := s.told(); err != nil {
		return nil, err
	}
	if b := s.block; b != nil && b.first() <= seq && seq <= b.last {
		return b.events[seq-b.first()], nil
	}
	var raw []byte
	err := s.Scan(bucketEvent, "", hexKey(seq), func(k string, v []byte) (bool, error) {
		b, err := readBlock(k, v)
		if err != nil || b.first() > seq {
			return false, err
		}
		s.block, raw = b, b.events[seq-b.first()]
		return false, nil
	})
	return raw, err
}

// eachEvent calls fn for the events from a number on, in order, until it returns false. fn must not write.
func (s *state) eachEvent(from uint64, fn func(seq uint64, raw []byte) (more bool, err error)) error {
	if err := s.told(); err != nil {
		return err
	}
	return s.Scan(bucketEvent, "", hexKey(from), func(k string, v []byte) (bool, error) {
		b, err := readBlock(k, v)
		if err != nil {
			return false, err
		}
		for seq := max(from, b.first()); seq <= b.last; seq++ {
			if more, err := fn(seq, b.events[seq-b.first()]); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	})
}

// eachEventBack is eachEvent from the last event on, backwards.
func (s *state) eachEventBack(fn func(seq uint64, raw []byte) (more bool, err error)) error {
	if err := s.told(); err != nil {
		return err
	}
	return s.ScanBack(bucketEvent, "", "", func(k string, v []byte) (bool, error) {
		b, err := readBlock(k, v)
		if err != nil {
			return false, err
		}
		for seq := b.last; seq >= b.first() && seq > 0; seq-- {
			if more, err := fn(seq, b.events[seq-b.first()]); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	})
}
