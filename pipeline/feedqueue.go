package pipeline

import (
	"container/heap"
	"slices"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// feedEvent is an entry of the index in memory.
type feedEvent struct {
	n     uint64
	item  feedItem
	event *transform.Event
	size  int  // bytes of its data
	aside bool // it stands among those that are set aside
	key   *feedKeyed
}

// feedKeyed is an order key of which something is in memory.
type feedKeyed struct {
	name  string
	items []*feedEvent // that may be sent, in order
	busy  bool         // a call has events of it

	held   bool   // something of it is set aside: what comes new is set aside, too
	goes   bool   // what is set aside is sent
	loaded uint64 // number of the last one that was read of what is set aside
	moving int    // events to be set aside that are not journalled yet

	until    time.Time // its first event waits so long before it is sent again
	since    time.Time // of the first attempt
	attempts int
	place    int // in the heap, from 1; 0 is none
}

// feedQueue are the events of a feed in memory, by order key. Who uses it holds the feed's lock.
type feedQueue struct {
	keys  map[string]*feedKeyed
	ready feedHeap            // keys of which an event may be sent, the one with the lowest number first
	late  map[*feedKeyed]bool // keys that wait
	going map[*feedKeyed]bool // held keys that go
	count int                 // events of ready keys
	first time.Time           // since when something is ready; zero when nothing is
	bytes int                 // of data of all events in memory
}

func newFeedQueue() *feedQueue {
	return &feedQueue{keys: map[string]*feedKeyed{}, late: map[*feedKeyed]bool{}, going: map[*feedKeyed]bool{}}
}

func (q *feedQueue) key(name string) *feedKeyed {
	k := q.keys[name]
	if k == nil {
		k = &feedKeyed{name: name}
		q.keys[name] = k
	}
	return k
}

// add puts an event at the end of its order key.
func (q *feedQueue) add(k *feedKeyed, e *feedEvent, now time.Time) {
	e.key = k
	k.items = append(k.items, e)
	q.bytes += e.size
	if k.place > 0 {
		q.count++
		return
	}
	q.settle(k, now)
}

// settle puts a key where it belongs after a change, and forgets it when nothing of it is left to know.
func (q *feedQueue) settle(k *feedKeyed, now time.Time) {
	sends := len(k.items) > 0 && !k.busy && (!k.held || k.goes)
	waits := sends && now.Before(k.until)
	delete(q.late, k)
	if waits {
		q.late[k] = true
	}
	switch in := sends && !waits; {
	case in && k.place == 0:
		if q.count == 0 {
			q.first = now
		}
		q.count += len(k.items)
		heap.Push(&q.ready, k)
	case !in && k.place > 0:
		q.count -= len(k.items)
		heap.Remove(&q.ready, k.place-1)
	}
	if k.held && k.goes {
		q.going[k] = true
	} else {
		delete(q.going, k)
	}
	if len(k.items) == 0 && !k.busy && !k.held && k.moving == 0 {
		delete(q.keys, k.name)
	}
}

// out takes a key from those that may be sent, so that its events can be taken away.
func (q *feedQueue) out(k *feedKeyed, now time.Time) {
	busy := k.busy
	k.busy = true
	q.settle(k, now)
	k.busy = busy
}

// wake makes ready what has waited long enough, and returns when to look again; zero when nothing waits.
func (q *feedQueue) wake(now time.Time) (next time.Time) {
	for k := range q.late {
		if !now.Before(k.until) {
			q.settle(k, now)
		} else if next.IsZero() || k.until.Before(next) {
			next = k.until
		}
	}
	return next
}

// take takes events for one call, in their order: of each key a run from its first on. Its keys are busy until done.
func (q *feedQueue) take(terms sinks.Terms, now time.Time) (batch []*feedEvent) {
	var taken []*feedKeyed
	bytes := 0
	for len(q.ready) > 0 && len(batch) < terms.Batch {
		k := q.ready[0]
		e := k.items[0]
		if len(batch) > 0 && (e.item.Undecided != "" || terms.Bytes > 0 && bytes+e.size > terms.Bytes) {
			break
		}
		if !k.busy {
			k.busy = true
			taken = append(taken, k)
		}
		k.items[0], k.items = nil, k.items[1:]
		q.count--
		if batch, bytes = append(batch, e), bytes+e.size; len(k.items) > 0 {
			heap.Fix(&q.ready, 0)
		} else {
			heap.Pop(&q.ready)
		}
		if e.item.Undecided != "" {
			break
		}
	}
	for _, k := range taken {
		if k.place > 0 {
			q.count -= len(k.items)
			heap.Remove(&q.ready, k.place-1)
		}
	}
	if q.first = now; q.count == 0 {
		q.first = time.Time{}
	}
	return batch
}

// back puts events that were not taken before the others of their order key.
func (q *feedQueue) back(k *feedKeyed, list []*feedEvent) {
	k.items = append(slices.Clip(list), k.items...)
}

// drop forgets the events of a key that are in memory.
func (q *feedQueue) drop(k *feedKeyed) (list []*feedEvent) {
	list, k.items = k.items, nil
	for _, e := range list {
		q.bytes -= e.size
	}
	return list
}

// feedHeap orders keys by the number of their first event.
type feedHeap []*feedKeyed

func (h feedHeap) Len() int           { return len(h) }
func (h feedHeap) Less(i, j int) bool { return h[i].items[0].n < h[j].items[0].n }
func (h feedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (h *feedHeap) Push(x any) {
	k := x.(*feedKeyed)
	*h = append(*h, k)
	k.place = len(*h)
}

// Pop implements heap.Interface.
func (h *feedHeap) Pop() any {
	old := *h
	k := old[len(old)-1]
	old[len(old)-1], *h = nil, old[:len(old)-1]
	k.place = 0
	return k
}
