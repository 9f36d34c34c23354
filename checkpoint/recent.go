package checkpoint

import "github.com/dgraph-io/badger/v4"

const (
	recentMost  = 8192 // values
	recentValue = 1 << 10
)

// recent remembers, between the transactions of the one who writes, what was read and written of late, and which buckets are
// empty: the same few keys are asked for with each change, and most changes ask for something that is not there.
type recent struct {
	values map[string][]byte // by joined key; nil: there is none
	read   map[string]bool   // buckets that single keys are read of
	empty  map[string]bool   // buckets; not in it: unknown
}

func newRecent() recent {
	return recent{values: map[string][]byte{}, read: map[string]bool{}, empty: map[string]bool{}}
}

// get returns the value of a joined key; known is false when the state must be asked.
func (r *recent) get(txn *badger.Txn, bucket string, k []byte) (value []byte, known bool) {
	if value, known = r.values[string(k)]; known {
		return value, true
	}
	none, asked := r.empty[bucket]
	if !asked {
		prefix := joinKey(bucket, "")
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		it.Rewind()
		none = !it.ValidForPrefix(prefix)
		it.Close()
		r.empty[bucket], r.read[bucket] = none, true
	}
	return nil, none
}

// put remembers a value of the state, nil when there is none.
func (r *recent) put(k string, value []byte) {
	if len(value) > recentValue {
		delete(r.values, k)
		return
	}
	if _, known := r.values[k]; !known && len(r.values) >= recentMost {
		clear(r.values)
	}
	r.values[k] = value
}

// committed takes over what a transaction wrote.
func (r *recent) committed(writes map[string]map[string]write) {
	for bucket, keys := range writes {
		if !r.read[bucket] {
			continue
		}
		for key, w := range keys {
			if w.deleted {
				delete(r.empty, bucket) // it may be the last one
				r.put(string(joinKey(bucket, key)), nil)
				continue
			}
			if r.empty[bucket] {
				r.empty[bucket] = false
			}
			r.put(string(joinKey(bucket, key)), w.value)
		}
	}
}
