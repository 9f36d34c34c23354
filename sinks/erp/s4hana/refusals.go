package s4hana

import (
	"strconv"
	"sync"

	"waybill/sinks"
)

// refusals counts how often the target has certainly refused a document, so that the next message of it has another UUID: with the same one
// S/4HANA would only repeat its refusal. The counts are lost with the process; then one attempt brings back an old refusal, and the next is new.
type refusals struct {
	mu    sync.Mutex
	count map[string]int
}

// mostRefusals bounds the memory; beyond it all is forgotten.
const mostRefusals = 10_000

func (r *refusals) key(op sinks.Operation, step string) string {
	return op.Entity + "\x00" + op.ExternalID + "\x00" + step
}

// of is the count as a part of a key.
func (r *refusals) of(op sinks.Operation, step string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.count[r.key(op, step)]; n > 0 {
		return strconv.Itoa(n)
	}
	return ""
}

// note remembers a refusal; an applied document is forgotten.
func (r *refusals) note(in sinks.Intent, o sinks.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case o.Class == sinks.Rejected, o.Code == codeLocked, o.Code == codePeriod:
		if r.count == nil || len(r.count) >= mostRefusals {
			r.count = map[string]int{}
		}
		r.count[r.key(in.Operation, in.Step)]++
	case o.Done():
		delete(r.count, r.key(in.Operation, in.Step))
	}
}
