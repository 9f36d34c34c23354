package cdc

import "sync"

// spare are the buffers of batches that nobody reads any more: a batch is a megabyte, which the runtime would clear, and collect again,
// for each.
var spare sync.Pool // of *[]byte

// buffer returns an empty buffer of at least n bytes, which may hold anything behind its end.
func buffer(n int) []byte {
	if b, ok := spare.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	return make([]byte, 0, n)
}

// Free gives the memory of Data to batches to come, of any source. Who has journalled a batch may call it, once; Data, what Stored
// returned, and all that was read from them must not be used afterwards.
func (b *Batch) Free() {
	data := b.Data
	if b.Data = nil; cap(data) > 0 && cap(data) <= bufferMax {
		spare.Put(&data)
	}
}
