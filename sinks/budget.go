package sinks

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// budget counts the calls of an account in any minute and in a day. What is used up stays so over a restart: before calls are made, what they
// may use is written down, some calls ahead; after a clean end what was left of that is given back, after a kill it counts as used.
type budget struct {
	mu     sync.Mutex
	limits Limits
	memory Memory // nil: nothing is kept
	name   string // of the file

	day    string // of the zone, such as 2026-11-23
	used   int    // calls of the day
	recent []second
	lent   int // calls that may be made before the next writing
	ahead  int // calls that the next writing lends
	wrote  time.Time
	closed bool
}

// second is a second of the clock and the calls that it saw.
type second struct {
	At    int64 `json:"at"` // Unix
	Calls int   `json:"calls"`
}

// remembered is the text of a budget in Memory.
type remembered struct {
	Day    string   `json:"day"`
	Used   int      `json:"used"`
	Lent   int      `json:"lent"` // may have been used beyond Used, and beyond Recent
	Recent []second `json:"recent"`
}

// The writing of a budget.
const (
	writeEvery = time.Second
	leastAhead = 16
	mostAhead  = 100_000
	minute     = 60 // seconds
)

// newBudget recalls what is used up. now is the present time.
func newBudget(name string, l Limits, memory Memory, now time.Time) (*budget, error) {
	b := &budget{limits: l, memory: memory, name: name, day: dayOf(now, l.DayZone)}
	b.ahead = max(leastAhead, l.PerMinute/minute, l.PerDay/2000)
	if memory == nil {
		return b, nil
	}
	text, err := memory.Recall(name)
	if err != nil || text == "" {
		return b, err
	}
	var was remembered
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return nil, fmt.Errorf("reading the budget %s: %w; remove the file only if the target's own count says what is left", name, err)
	}
	if was.Day >= b.day { // a clock that went back does not give calls back
		b.day, b.used = was.Day, was.Used+was.Lent
	}
	b.recent = was.Recent
	if was.Lent > 0 {
		b.recent = append(b.recent, second{now.Unix(), was.Lent})
	}
	return b, nil
}

func dayOf(now time.Time, zone string) string { return now.In(zoneOf(zone)).Format(time.DateOnly) }

// set takes new bounds and keeps the counts. now is the present time.
func (b *budget) set(l Limits, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	if l.DayZone != b.limits.DayZone {
		b.day = dayOf(now, l.DayZone) // what was used of the old zone's day counts in the new one's
	}
	b.limits, b.lent = l, 0
	b.ahead = max(leastAhead, l.PerMinute/minute, l.PerDay/2000)
}

func (b *budget) bounded() bool { return b.limits.PerMinute > 0 || b.limits.PerDay > 0 }

// roll forgets what no longer counts.
func (b *budget) roll(now time.Time) {
	if day := dayOf(now, b.limits.DayZone); day > b.day {
		b.day, b.used, b.lent = day, 0, 0
	}
	old := 0
	for old < len(b.recent) && (b.recent[old].At < now.Unix()-minute || b.recent[old].At > now.Unix()+minute) {
		old++
	}
	b.recent = b.recent[old:]
}

func (b *budget) minuteUsed() (n int) {
	for _, s := range b.recent {
		n += s.Calls
	}
	return n
}

// take takes one call. Otherwise wait says how long until there may be one, at the earliest, and why says why.
func (b *budget) take(now time.Time) (wait time.Duration, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.bounded() {
		return 0, ""
	}
	b.roll(now)
	if wait, why = b.spent(now); wait > 0 {
		return wait, why
	}
	if b.memory != nil && b.lent == 0 {
		if wait := b.wrote.Add(writeEvery).Sub(now); wait > 0 {
			b.ahead = min(2*b.ahead, mostAhead)
			return wait, "The account's budget is written down at most once a second."
		}
		if err := b.write(now, b.ahead); err != nil {
			return writeEvery, "The account's budget cannot be written down: " + err.Error()
		}
	}
	b.used++
	b.lent = max(b.lent-1, 0)
	if n := len(b.recent); n > 0 && b.recent[n-1].At >= now.Unix() {
		b.recent[n-1].Calls++
	} else {
		b.recent = append(b.recent, second{now.Unix(), 1})
	}
	return 0, ""
}

// spent is how long until the budget has a call again; 0 when it has one. The lock is held, and what is old was forgotten.
func (b *budget) spent(now time.Time) (wait time.Duration, why string) {
	if b.limits.PerDay > 0 && b.used >= b.limits.PerDay {
		zone := zoneOf(b.limits.DayZone)
		day, err := time.ParseInLocation(time.DateOnly, b.day, zone)
		if err != nil {
			day = now
		}
		next := time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, zone)
		return max(next.Sub(now), time.Second), fmt.Sprintf("The account's %d calls of %s are used up.", b.limits.PerDay, b.day)
	}
	over := b.minuteUsed() - b.limits.PerMinute
	if b.limits.PerMinute == 0 || over < 0 {
		return 0, ""
	}
	for _, s := range b.recent {
		wait = time.Unix(s.At+minute+1, 0).Sub(now)
		if over -= s.Calls; over < 0 {
			break
		}
	}
	return max(wait, time.Millisecond), fmt.Sprintf("The account's %d calls of this minute are used up.", b.limits.PerMinute)
}

// back gives back a call that was taken and not made.
func (b *budget) back() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.recent); b.bounded() && b.used > 0 && n > 0 && b.recent[n-1].Calls > 0 {
		b.used--
		b.recent[n-1].Calls--
		b.lent++
	}
}

// shut is how long until there is a call again, and why; 0 when there is one.
func (b *budget) shut(now time.Time) (time.Duration, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.bounded() {
		return 0, ""
	}
	b.roll(now)
	return b.spent(now)
}

// left is what is left of a minute and of the day; -1 without a bound.
func (b *budget) left(now time.Time) (ofMinute, ofDay int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	ofMinute, ofDay = -1, -1
	if b.limits.PerMinute > 0 {
		ofMinute = max(0, b.limits.PerMinute-b.minuteUsed())
	}
	if b.limits.PerDay > 0 {
		ofDay = max(0, b.limits.PerDay-b.used)
	}
	return ofMinute, ofDay
}

// write writes the counts down, and that so many more calls may be made. The lock is held.
func (b *budget) write(now time.Time, lent int) error {
	text, err := json.Marshal(remembered{b.day, b.used, lent, b.recent})
	if err != nil {
		return fmt.Errorf("encoding the budget %s: %w", b.name, err)
	}
	if err := b.memory.Remember(b.name, string(text)); err != nil {
		return err
	}
	b.lent, b.wrote, b.closed = lent, now, lent == 0
	return nil
}

// close writes down exactly what was used. It may be called again.
func (b *budget) close(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.memory == nil || !b.bounded() {
		return nil
	}
	b.roll(now)
	return b.write(now, 0)
}
