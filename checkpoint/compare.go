package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Place returns the place up to which the state is applied that the transaction reads. Unlike Store.Applied it is of the
// same moment as every value.
func (t *Txn) Place() (Applied, error) {
	raw, err := getCopy(t.read, keyApplied)
	if err != nil || raw == nil {
		return Applied{}, err
	}
	if len(raw) != 24 {
		return Applied{}, fmt.Errorf("%w: the state's place has %d bytes", errStateDamaged, len(raw))
	}
	return Applied{binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:])}, nil
}

// Difference is a key whose value is not the same in two states; nil stands for none.
type Difference struct {
	Bucket, Key string
	A, B        []byte
}

// asked is how many keys Compare walks between looks at its context.
const asked = 4096

// Compare walks two states side by side, in byte order, and hands fn each key that differs, of the buckets that take says, until
// fn returns false. It returns how many keys of each bucket it compared. The store's own keys (places, ring) are left out.
func Compare(ctx context.Context, a, b *Txn, take func(bucket string) bool, fn func(Difference) bool) (counts map[string]int, err error) {
	counts = map[string]int{}
	left, right := newWalk(a, take), newWalk(b, take)
	defer left.it.Close()
	defer right.it.Close()
	for n := 0; left.key != nil || right.key != nil; n++ {
		if n%asked == 0 && ctx.Err() != nil {
			return counts, ctx.Err()
		}
		order := 0
		switch {
		case left.key == nil:
			order = 1
		case right.key == nil:
			order = -1
		default:
			order = bytes.Compare(left.key, right.key)
		}
		at := left.key
		if order > 0 {
			at = right.key
		}
		bucket, key, _ := bytes.Cut(at, []byte{0})
		counts[string(bucket)]++
		d := Difference{}
		if order <= 0 {
			if d.A, err = left.it.Item().ValueCopy([]byte{}); err != nil {
				return counts, fmt.Errorf("comparing states at %q: %w", at, err)
			}
		}
		if order >= 0 {
			if d.B, err = right.it.Item().ValueCopy([]byte{}); err != nil {
				return counts, fmt.Errorf("comparing states at %q: %w", at, err)
			}
		}
		if order != 0 || !bytes.Equal(d.A, d.B) {
			d.Bucket, d.Key = string(bucket), string(key)
			if !fn(d) {
				return counts, nil
			}
		}
		if order <= 0 {
			left.next()
		}
		if order >= 0 {
			right.next()
		}
	}
	return counts, nil
}

// walk stands on one key after the other, in order; key is nil behind the last.
type walk struct {
	it     *badger.Iterator
	take   func(string) bool
	bucket []byte // of the present key
	key    []byte
}

func newWalk(t *Txn, take func(string) bool) *walk {
	w := &walk{it: t.read.NewIterator(badger.DefaultIteratorOptions), take: take}
	w.it.Seek([]byte{1})
	w.settle()
	return w
}

func (w *walk) next() {
	w.it.Next()
	w.settle()
}

// settle goes on to the next key of a bucket that is wanted.
func (w *walk) settle() {
	for w.it.Valid() {
		key := w.it.Item().KeyCopy(nil)
		bucket, _, _ := bytes.Cut(key, []byte{0})
		if bytes.Equal(bucket, w.bucket) || w.take(string(bucket)) {
			w.key, w.bucket = key, bytes.Clone(bucket)
			return
		}
		w.it.Seek(append(bytes.Clone(bucket), 1)) // behind all keys of the bucket
	}
	w.key = nil
}
