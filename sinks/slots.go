package sinks

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
)

// slots are the calls of an account that may run at the same time, shared by its members and their lanes. A lane has at most its weighted share
// of them, at least one; a call outside of any lane (a command, a lookup) may take any free slot. Each member leaves one slot to each other
// one, so that a target that hangs stops nobody but itself. Where several wait for the same slot, each gets its turns by weight (stride scheduling).
type slots struct {
	mu      sync.Mutex
	limit   int // at the same time; those above it that run already may end
	used    int
	waited  bool    // somebody found no slot free since it was asked last
	clock   float64 // pass of the last slot given
	members []*seats
}

// seats are the slots as one member of an account may use them.
type seats struct {
	slots *slots
	used  int
	lanes []*laneSlots // the first is of what belongs to none
}

type laneSlots struct {
	name       string
	share      float64 // of the member's slots, 0 to 1
	turns      float64 // weight among all who wait
	used       int
	pass       float64         // slots had so far, divided by turns; the lowest is next
	waiting    []chan struct{} // closed when the slot is given
	everything bool            // it may take any free slot
}

func newSlots(limit int) *slots { return &slots{limit: limit} }

// join adds a member with the weights of its lanes.
func (s *slots) join(weight int, lanes map[string]int) *seats {
	m := &seats{slots: s}
	m.weigh(weight, lanes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = append(s.members, m)
	return m
}

// weigh sets the weights of a member and its lanes; who waits goes on waiting.
func (m *seats) weigh(weight int, lanes map[string]int) {
	m.slots.mu.Lock()
	defer m.slots.mu.Unlock()
	sum := 0
	for _, w := range lanes {
		sum += w
	}
	for _, l := range m.lanes {
		l.everything = true // those who wait on a lane that loses its weight take what is free
	}
	set := func(name string, w int, everything bool) {
		l := m.named(name)
		if l == nil {
			l = &laneSlots{name: name, pass: m.slots.clock}
			m.lanes = append(m.lanes, l)
		}
		l.share, l.turns, l.everything = float64(w)/float64(max(1, sum)), float64(weight*w)/float64(max(1, sum)), everything
	}
	set("", 1, true)
	for _, name := range slices.Sorted(maps.Keys(lanes)) {
		set(name, lanes[name], false)
	}
}

func (m *seats) named(name string) *laneSlots {
	for _, l := range m.lanes {
		if l.name == name {
			return l
		}
	}
	return nil
}

// lane gives the slots of a lane; one that has no weight shares those outside of lanes.
func (m *seats) lane(name string) *laneSlots {
	if l := m.named(name); l != nil {
		return l
	}
	return m.lanes[0]
}

// most is how many slots a lane may have now: its share, rounded up, but never all of several.
func (m *seats) most(l *laneSlots) int {
	limit := m.slots.limit
	if l.everything || l.share >= 1 {
		return limit
	}
	return max(1, min(int(math.Ceil(float64(limit)*l.share-1e-9)), limit-1))
}

// acquire waits for a slot and returns its release.
func (m *seats) acquire(ctx context.Context, lane string) (release func(), err error) {
	s := m.slots
	s.mu.Lock()
	l := m.lane(lane)
	turn := make(chan struct{})
	if len(l.waiting) == 0 && l.used == 0 {
		l.pass = max(l.pass, s.clock) // having been idle earns nothing
	}
	l.waiting = append(l.waiting, turn)
	s.hand()
	if slices.Contains(l.waiting, turn) {
		s.waited = true
	}
	s.mu.Unlock()
	select {
	case <-turn:
		return func() { m.release(l) }, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(l.waiting, turn); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return nil, ctx.Err()
	}
	m.back(l) // the slot was given in the same moment
	return nil, ctx.Err()
}

func (m *seats) release(l *laneSlots) {
	m.slots.mu.Lock()
	defer m.slots.mu.Unlock()
	m.back(l)
}

// back gives a slot back; the lock is held.
func (m *seats) back(l *laneSlots) {
	l.used--
	m.used--
	m.slots.used--
	m.slots.hand()
}

// resize sets how many calls may run at the same time.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit != limit {
		s.limit = limit
		s.hand()
	}
}

// scarce reports whether somebody found no slot free since it was asked last.
func (s *slots) scarce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := s.waited
	s.waited = false
	for _, m := range s.members {
		for _, l := range m.lanes {
			s.waited = s.waited || len(l.waiting) > 0 // it waits still
		}
	}
	return waited
}

// hand gives free slots to waiters; the lock is held.
func (s *slots) hand() {
	for s.used < s.limit {
		var next *laneSlots
		var of *seats
		for _, m := range s.members {
			if m.used >= max(1, s.limit-len(s.members)+1) {
				continue
			}
			for _, l := range m.lanes {
				if len(l.waiting) > 0 && l.used < m.most(l) && (next == nil || l.pass < next.pass) {
					next, of = l, m
				}
			}
		}
		if next == nil {
			return
		}
		close(next.waiting[0])
		next.waiting = next.waiting[1:]
		s.clock = next.pass
		next.pass += 1 / next.turns
		next.used++
		of.used++
		s.used++
	}
}
