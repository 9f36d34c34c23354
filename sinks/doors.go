package sinks

import (
	"sync/atomic"
	"time"
)

// The codes of writes that a sink's doors kept back.
const (
	CodePaused   = "PAUSED"   // a person paused the flow
	CodeBlackout = "BLACKOUT" // at these hours nothing is written
	CodeDryRun   = "DRY_RUN"  // nothing is ever written
)

// NotMade reports whether the code of an outcome says that the governor did not let the call through: it tells nothing of the document, and counts
// for no ceiling of attempts or of age.
func NotMade(code string) bool {
	switch code {
	case CodePaused, CodeBlackout, CodeDryRun, CodeQuiet, CodeBudget, CodeNotSent, CodeBreakerOpen:
		return true
	}
	return false
}

// pausedWait is how long a write that came to a paused flow waits before it asks again; who resumes wakes the lanes.
const pausedWait = time.Minute

// Reason is who keeps a flow back, and why.
type Reason struct {
	By  string    `json:"by"`
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

func (r Reason) String() string { return "paused by " + r.By + ": " + r.Why }

// doors are what stands before the writes of a sink. Reads pass: what is unknown is verified, and lookups are asked.
type doors struct {
	paused atomic.Pointer[map[string]Reason] // by entity; "" is all
}

// Pause sets which flows are paused, by entity; "" is the whole sink. It replaces what was set before, and begun calls end.
func (d *doors) Pause(flows map[string]Reason) { d.paused.Store(&flows) }

// Paused says who paused the flow of an entity.
func (d *doors) Paused(entity string) (Reason, bool) {
	flows := d.paused.Load()
	if flows == nil {
		return Reason{}, false
	}
	if r, ok := (*flows)[""]; ok {
		return r, true
	}
	r, ok := (*flows)[entity]
	return r, ok
}

// shut says whether writes of an entity are kept back at now, for how long, and why.
func (d *doors) shut(p *Policy, entity string, now time.Time) (code string, wait time.Duration, why string) {
	if r, ok := d.Paused(entity); ok {
		return CodePaused, pausedWait, "The flow is " + r.String()
	}
	if until := blackedOut(p.Blackout, now); !until.IsZero() {
		return CodeBlackout, until.Sub(now), "Nothing is written to the target until " + until.UTC().Format(time.RFC3339) + " (blackout)."
	}
	return "", 0, ""
}
