package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill/cdc"
)

// How often a source is asked for its runway, how soon for the first time (a start is not made slower by it), and how long an
// answer may take.
const (
	runwayEvery   = time.Minute
	runwayFirst   = 2 * time.Second
	runwayTimeout = 30 * time.Second
)

// RunwayStatus is how far a source's server is from harm: see cdc.Runway.
type RunwayStatus struct {
	At        time.Time     `json:"at,omitzero"`                // of the last reading that succeeded, by the server's clock
	Retained  int64         `json:"retained_bytes"`             // of log that is not confirmed; -1 unknown
	Safe      int64         `json:"safe_bytes"`                 // may still be written before log that we need is removed; -1: no such bound
	State     string        `json:"state,omitempty"`            // the slot's wal_status; or current, kept, purged
	Written   float64       `json:"written_bytes_per_second"`   // between the last two readings
	Left      float64       `json:"left_seconds"`               // until log that we need is removed, at the present rate; -1: never
	Bound     string        `json:"bound,omitempty"`            // the setting that Left comes from
	Oldest    float64       `json:"oldest_transaction_seconds"` // -1 when it is not visible
	OldestPID string        `json:"oldest_transaction,omitempty"`
	Warnings  []cdc.Finding `json:"warnings,omitempty"`
	Error     string        `json:"error,omitempty"` // why the last reading failed; what else is said is of the one before
}

// watchRunway asks the server for its gauges from time to time until ctx ends. It is beside the stream: nobody waits for it.
func (c *capture) watchRunway(ctx context.Context, g cdc.Gauged) error {
	for wait := runwayFirst; ; wait = runwayEvery {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		ask, cancel := context.WithTimeout(ctx, runwayTimeout)
		r, err := g.Runway(ask)
		cancel()
		if ctx.Err() == nil {
			c.noteRunway(r, err)
		}
	}
}

// noteRunway keeps what the server answered. What is new of it is logged once.
func (c *capture) noteRunway(r cdc.Runway, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := RunwayStatus{Retained: -1, Safe: -1, Left: -1, Oldest: -1}
	if c.runway != nil {
		before = *c.runway
	}
	if err != nil {
		if before.Error == "" {
			c.log.Warn("reading the log's runway", "error", err)
		}
		before.Error = err.Error()
		c.runway = &before
		return
	}
	for _, w := range r.Warnings {
		if !before.warned(w.Check) {
			c.log.Warn(w.Check, "found", w.Found, "want", w.Want, "why", w.Why, "fix", w.Fix)
		}
	}
	c.runway = &RunwayStatus{At: r.At, Retained: r.Retained, Safe: r.Safe, State: r.Status, Written: r.Written, Left: seconds(r.Left),
		Bound: r.Bound, Oldest: seconds(r.Oldest), OldestPID: r.OldestPID, Warnings: r.Warnings}
}

// seconds keeps the -1 that says that there is none.
func seconds(d time.Duration) float64 {
	if d < 0 {
		return -1
	}
	return d.Seconds()
}

func (r *RunwayStatus) warned(check string) bool {
	for _, w := range r.Warnings {
		if w.Check == check {
			return true
		}
	}
	return false
}

// problems are the warnings as sentences.
func (r *RunwayStatus) problems(source string) (list []string) {
	if r == nil {
		return nil
	}
	for _, w := range r.Warnings {
		why := strings.TrimSuffix(w.Why, ".")
		list = append(list, clip(fmt.Sprintf("source %s, %s: found %s, needs %s; %s; run: %s", source, w.Check, w.Found, w.Want, why, w.Fix), 600))
	}
	return list
}
