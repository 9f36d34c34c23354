package sinks

import (
	"slices"
	"time"
)

// verdict is what a call tells of the target's room.
type verdict int

const (
	tellsNothing verdict = iota // it was refused before any work, or not made
	tellsRoom                   // it was answered
	tellsFull                   // throttled: one too many
	tellsDown                   // an outage
)

// aimd finds how many calls a target takes at the same time (additive increase, multiplicative decrease). It halves when the target says that it
// is full, and remembers how many ran then; after the cool-down it grows fast to just below that and stays there, so that few calls are ever
// refused. After the probe's time it tries one more for each round of answers, and so finds room that has come. It is not safe for several
// goroutines, and reads no clock.
type aimd struct {
	settings Adapt
	ceiling  int

	limit int       // calls at the same time
	goal  int       // it grows fast up to here
	found bool      // goal is what the target was seen to take
	since time.Time // it was found
	calls int       // answered since then
	rests time.Time // nothing grows or shrinks before

	rounds  int             // answers of the present round
	ranks   int             // of them, summed
	took    []time.Duration // by them; only where latency counts
	best    time.Duration   // median of the rounds that were not slow, the fast ones above all
	learned time.Time       // a round was not slow
}

// The bounds of a round, and when more is tried.
const (
	probeCalls   = 500 // answered before a limit that was found is tried again: a refused one among them is a fifth of a percent
	leastRound   = 25  // answers whose median counts
	mostRound    = 1000
	bestForgiven = time.Hour // a target that became slower for good is taken as it is after so long
)

func newAIMD(l Limits) *aimd {
	a := &aimd{}
	a.set(l)
	a.limit = min(l.Adapt.Start, a.ceiling)
	a.goal = a.limit
	return a
}

// set takes new settings and keeps what was learned.
func (a *aimd) set(l Limits) {
	a.settings, a.ceiling = l.Adapt, l.ceiling()
	a.limit = min(max(a.limit, a.settings.Floor), a.ceiling)
	a.goal = min(max(a.goal, a.settings.Floor), a.ceiling)
}

// done takes in a call that ended at now. rank is how many ran when it began, with it; scarce says whether more calls were wanted than could run,
// and is asked at most once a round.
func (a *aimd) done(now time.Time, rank int, took time.Duration, v verdict, scarce func() bool) {
	switch v {
	case tellsFull:
		if rank-1 < a.goal || !a.found {
			a.goal = max(rank-1, a.settings.Floor)
		}
		a.halve(now, true)
	case tellsDown:
		a.goal = max(a.goal, a.limit)
		a.halve(now, a.found)
	case tellsRoom:
		if !now.Before(a.rests) {
			a.answered(now, rank, took, scarce)
		}
	}
}

func (a *aimd) halve(now time.Time, found bool) {
	a.found, a.since, a.calls = found, now, 0
	if now.Before(a.rests) {
		return // others that were under way tell the same
	}
	a.limit = max(a.limit/2, a.settings.Floor)
	a.rests = now.Add(a.settings.Cooldown)
	a.newRound()
}

func (a *aimd) newRound() { a.rounds, a.ranks, a.took = 0, 0, a.took[:0] }

func (a *aimd) answered(now time.Time, rank int, took time.Duration, scarce func() bool) {
	a.calls++
	a.rounds++
	a.ranks += rank
	least := min(a.limit, mostRound)
	if a.settings.Latency > 0 {
		a.took = append(a.took, took)
		least = max(least, leastRound)
	}
	if a.rounds < least {
		return
	}
	slow := a.settings.Latency > 0 && a.slow(now)
	a.newRound()
	if slow || !scarce() {
		return
	}
	switch {
	case a.limit < a.goal:
		a.limit = min(2*a.limit, a.goal)
	case a.found && (a.calls < probeCalls || now.Sub(a.since) < a.settings.Probe):
		return
	default:
		a.found = false
		a.limit++
		a.goal = a.limit
	}
	a.limit = min(a.limit, a.ceiling)
	a.goal = min(a.goal, a.ceiling)
}

// slow looks at the median of a round. By Little's law a target that takes n at the same time and lets the others wait answers slower by as much
// as there are more than n.
func (a *aimd) slow(now time.Time) bool {
	slices.Sort(a.took)
	median := a.took[len(a.took)/2]
	if a.best == 0 || now.Sub(a.learned) > bestForgiven {
		a.best = median
	}
	if median <= a.best+a.settings.Latency {
		toward := time.Duration(64) // the fastest of many rounds was luck: best must not follow luck
		if median < a.best {
			toward = 4
		}
		a.best += (median - a.best) / toward
		a.learned = now
		return false
	}
	ran := float64(a.ranks) / float64(a.rounds)
	a.goal = max(int(ran*float64(a.best)/float64(median)+0.5), a.settings.Floor)
	a.halve(now, true)
	return true
}
