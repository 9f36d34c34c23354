package sinks

import (
	"context"
	"sync"
)

// slots are the calls that may run at the same time, shared by lanes. A lane has at most its weighted share, at least one;
// a call outside of any lane (a command, a check) may take any free slot. Where lanes wait for the same slot, each gets
// its turns by weight (stride scheduling).
type slots struct {
	mu    sync.Mutex
	free  int
	clock float64 // pass of the last slot given
	lanes map[string]*laneSlots
}

type laneSlots struct {
	weight, most, used int
	pass               float64         // slots had so far, divided by weight; the lowest is next
	waiting            []chan struct{} // closed when the slot is given
}

func newSlots(total int, weights map[string]int) *slots {
	s := &slots{free: total, lanes: map[string]*laneSlots{"": {weight: 1, most: total}}}
	sum := 0
	for _, w := range weights {
		sum += w
	}
	for name, w := range weights {
		s.lanes[name] = &laneSlots{weight: w, most: max(1, total*w/sum)}
	}
	return s
}

// lane gives the slots of a lane; one that has no weight shares those outside of lanes.
func (s *slots) lane(name string) *laneSlots {
	if l := s.lanes[name]; l != nil {
		return l
	}
	return s.lanes[""]
}

// acquire waits for a slot and returns its release.
func (s *slots) acquire(ctx context.Context, lane string) (release func(), err error) {
	s.mu.Lock()
	l := s.lane(lane)
	turn := make(chan struct{})
	if len(l.waiting) == 0 && l.used == 0 {
		l.pass = max(l.pass, s.clock) // having been idle earns nothing
	}
	l.waiting = append(l.waiting, turn)
	s.hand()
	s.mu.Unlock()
	select {
	case <-turn:
		return func() { s.release(l) }, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return nil, ctx.Err()
		}
	}
	// The slot was given in the same moment.
	l.used--
	s.free++
	s.hand()
	return nil, ctx.Err()
}

func (s *slots) release(l *laneSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.used--
	s.free++
	s.hand()
}

// hand gives free slots to waiters.
func (s *slots) hand() {
	for s.free > 0 {
		var next *laneSlots
		for _, l := range s.lanes {
			if len(l.waiting) == 0 || l.used >= l.most {
				continue
			}
			if next == nil || l.pass < next.pass {
				next = l
			}
		}
		if next == nil {
			return
		}
		close(next.waiting[0])
		next.waiting = next.waiting[1:]
		s.clock = next.pass
		next.pass += 1 / float64(next.weight)
		next.used++
		s.free--
	}
}
