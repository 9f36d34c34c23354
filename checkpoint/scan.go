package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Scan calls fn for each key of the bucket that has the prefix, from the key from on (inclusive; "" starts at the first),
// in byte order, until fn returns false. It sees what the transaction wrote before. fn must not write; the value is its
// own.
func (t *Txn) Scan(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	return t.scan(bucket, prefix, from, false, fn)
}

// ScanBack is Scan in the other direction: from the key from (inclusive; "" starts at the last) down to the first.
func (t *Txn) ScanBack(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	return t.scan(bucket, prefix, from, true, fn)
}

// scan merges the stored keys with those that the transaction wrote, which win.
func (t *Txn) scan(bucket, prefix, from string, back bool, fn func(key string, value []byte) (bool, error)) error {
	if err := checkKey(bucket, prefix); err != nil {
		return err
	}
	if err := checkKey(bucket, from); err != nil {
		return err
	}
	full := joinKey(bucket, prefix)
	it := t.read.NewIterator(badger.IteratorOptions{Prefix: full, Reverse: back})
	defer it.Close()
	it.Seek(seekKey(bucket, prefix, from, back))
	skip := len(bucket) + 1
	pending := t.pending(bucket, prefix, from, back)
	for {
		stored := ""
		ok := it.ValidForPrefix(full)
		if ok {
			stored = string(it.Item().Key()[skip:])
		} else if len(pending) == 0 {
			return nil
		}
		if len(pending) > 0 && (!ok || pending[0] == stored || (pending[0] < stored) != back) {
			key := pending[0]
			pending = pending[1:]
			if ok && key == stored {
				it.Next()
			}
			w := t.writes[bucket][key]
			if w.deleted {
				continue
			}
			if more, err := fn(key, slices.Clone(w.value)); err != nil || !more {
				return err
			}
			continue
		}
		value, err := it.Item().ValueCopy([]byte{})
		if err != nil {
			return fmt.Errorf("scanning %s at %q: %w", bucket, stored, err)
		}
		if more, err := fn(stored, value); err != nil || !more {
			return err
		}
		it.Next()
	}
}

// seekKey is where Badger's iterator starts. Backwards it stands on the last key that is not above the one sought.
func seekKey(bucket, prefix, from string, back bool) []byte {
	switch {
	case !back:
		return joinKey(bucket, max(prefix, from))
	case from != "" && (from < prefix || strings.HasPrefix(from, prefix)):
		return joinKey(bucket, from)
	}
	// No key is longer than maxKey, so none with the prefix is above this.
	return append(joinKey(bucket, prefix), slices.Repeat([]byte{0xff}, maxKey-len(prefix)-len(bucket))...)
}

// pending lists the keys that the transaction wrote and the scan covers, in the scan's order.
func (t *Txn) pending(bucket, prefix, from string, back bool) []string {
	var keys []string
	for key := range t.writes[bucket] {
		if !strings.HasPrefix(key, prefix) || from != "" && (key != from && (key < from) != back) {
			continue
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if back {
		slices.Reverse(keys)
	}
	return keys
}
