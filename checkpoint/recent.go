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
	empty  map[string]bool   // of the buckets that single keys were read of: nothing was ever written to it
}

func newRecent() recent { return recent{values: map[string][]byte{}, empty: map[string]bool{}} }

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
		r.empty[bucket] = none
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
		if _, read := r.empty[bucket]; !read {
			continue
		}
		r.empty[bucket] = false
		for key, w := range keys {
			r.put(string(joinKey(bucket, key)), w.value)
		}
	}
}
