package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"waybill/transform"
)

var _ transform.State = (*Txn)(nil)

// Txn reads the state as of one moment and, inside Update, collects changes that it already sees. It must not be used
// after the function it was given to returned, nor by two goroutines.
//
// A key lies in a bucket. Bucket names are not empty and hold no zero byte; keys may hold any bytes, up to 4 KiB with the bucket's name.
// Values are bounded by 512 KiB.
type Txn struct {
	read   *badger.Txn
	state  *state
	writes map[string]map[string]write // by bucket and key; nil in a View
	bytes  int64
	count  int64
	done   bool
}

type write struct {
	value   []byte
	deleted bool
}

const (
	writeCost = 32 // counted for each write beside key and value
	ownWrites = 8  // kept free for the store's own keys
)

var errReadOnly = errors.New("a view of the state can't be written to")

// Get returns a copy of the value, or nil when there is none.
func (t *Txn) Get(bucket, key string) ([]byte, error) {
	if err := checkKey(bucket, key); err != nil {
		return nil, err
	}
	if w, ok := t.writes[bucket][key]; ok {
		if w.deleted {
			return nil, nil
		}
		return append(make([]byte, 0, len(w.value)), w.value...), nil
	}
	k := joinKey(bucket, key)
	if t.writes == nil {
		return t.stored(k)
	}
	value, known := t.state.recent.get(t.read, bucket, k)
	if !known {
		var err error
		if value, err = t.stored(k); err != nil {
			return nil, err
		}
		t.state.recent.put(string(k), value)
	}
	return bytes.Clone(value), nil // nil stays nil, and what is present but empty is not
}

// stored reads the state by a joined key.
func (t *Txn) stored(k []byte) ([]byte, error) {
	item, err := t.read.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q of the state: %w", k, err)
	}
	return item.ValueCopy([]byte{}) // present but empty is not nil
}

// Put sets a value. The bytes are copied.
func (t *Txn) Put(bucket, key string, value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w: the value of %s %q has %d bytes, the bound is %d", ErrTooBig, bucket, key, len(value), maxValue)
	}
	return t.write(bucket, key, write{value: append(make([]byte, 0, len(value)), value...)})
}

// Delete removes a key, if it is there.
func (t *Txn) Delete(bucket, key string) error {
	return t.write(bucket, key, write{deleted: true})
}

func (t *Txn) write(bucket, key string, w write) error {
	if t.writes == nil || t.done {
		return errReadOnly
	}
	if err := checkKey(bucket, key); err != nil {
		return err
	}
	size := int64(len(bucket)+len(key)+len(w.value)) + writeCost
	if t.count+1+ownWrites >= t.state.maxCount || t.bytes+size+ownWrites*writeCost >= t.state.maxBytes {
		return fmt.Errorf("%w: an update of more than %d keys or %d bytes; commit when Full reports so", ErrTooBig, t.count, t.bytes)
	}
	keys := t.writes[bucket]
	if keys == nil {
		keys = map[string]write{}
		t.writes[strings.Clone(bucket)] = keys
	}
	if old, ok := keys[key]; ok {
		t.bytes += int64(len(w.value) - len(old.value))
	} else {
		t.bytes += size
		t.count++
	}
	keys[key] = w
	return nil
}

// Full reports that the update has used half of what one commit can hold: the caller stops at the end of the unit it is
// at and commits. A single unit that needs more than the other half is refused with ErrTooBig.
func (t *Txn) Full() bool {
	return t.count >= t.state.maxCount/2 || t.bytes >= t.state.maxBytes/2
}

func checkKey(bucket, key string) error {
	if bucket == "" || strings.IndexByte(bucket, 0) >= 0 {
		return fmt.Errorf("bucket name %q: empty or with a zero byte", bucket)
	}
	if len(bucket)+len(key) > maxKey {
		return fmt.Errorf("%w: a key of %d bytes in %s, the bound is %d", ErrTooBig, len(key), bucket, maxKey)
	}
	return nil
}

// joinKey is the key in Badger: the bucket, a zero byte, the key. No bucket's keys begin with another's prefix.
func joinKey(bucket, key string) []byte {
	k := make([]byte, 0, len(bucket)+1+len(key))
	k = append(k, bucket...)
	k = append(k, 0)
	return append(k, key...)
}
