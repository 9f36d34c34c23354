package pipeline

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"waybill/sinks"
)

// governor is what a sink under a policy (sinks.Governed) tells its lanes, beside what it does with their calls.
type governor interface {
	Shut(entity string) (until time.Time, why string)
	DryRun() bool
	Pause(flows map[string]sinks.Reason)
	Account() *sinks.Account
}

// governed are the sinks by name, and those that take events; nil for one without a policy.
func (p *Pipeline) governed() map[string]governor {
	all := map[string]governor{}
	for name, sink := range p.o.Sinks {
		all[name], _ = sink.(governor)
	}
	for name, publisher := range p.o.Publishers {
		all[name], _ = publisher.(governor)
	}
	return all
}

// Tuning is what lanes and askers take of a policy.
type Tuning struct {
	Workers int // deliveries, or questions, in flight
	Retry   Retry
}

// tune gives the lanes of a sink, or who asks a service, other bounds.
func (p *Pipeline) tune(name string, to Tuning) {
	for _, t := range p.targets {
		if t.name == name {
			t.mu.Lock()
			t.workers, t.retry = to.Workers, to.Retry.withDefaults()
			t.mu.Unlock()
		}
	}
	for _, f := range p.feeds {
		if f.name == name {
			f.mu.Lock()
			f.terms.Parallel, f.retry = max(min(f.sink.Terms().Parallel, to.Workers), 1), to.Retry.withDefaults()
			f.mu.Unlock()
		}
	}
	for _, a := range p.askers {
		if a.name == name {
			a.mu.Lock()
			a.service.Workers, a.service.Retry = to.Workers, to.Retry.withDefaults()
			a.mu.Unlock()
			a.notify()
		}
	}
	p.kickLanes(name)
}

// bounds are what holds now.
func (t *target) bounds() (workers int, r Retry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.workers, t.retry
}

// shut says until when nothing of an entity is taken up, and why; zero when nothing keeps it back.
func (l *lane) shut(entity string) (until time.Time, why string) {
	g, ok := l.target.sink.(governor)
	if !ok {
		return time.Time{}, ""
	}
	return g.Shut(entity)
}

// shut says until when nothing is published; zero when nothing keeps it back.
func (f *feed) shut(now time.Time) time.Time {
	g, ok := f.sink.(governor)
	if !ok {
		return time.Time{}
	}
	if g.DryRun() {
		return now.Add(feedIdle)
	}
	until, _ := g.Shut("")
	return until
}

// hinder says on a feed's status that a person, or a dry run, keeps it from publishing.
func (f *feed) hinder(fs *FeedStatus, paused map[string]sinks.Reason) {
	if r, ok := paused[""]; ok {
		fs.State, fs.Error = "paused", r.String()
	} else if g, ok := f.sink.(governor); ok && g.DryRun() {
		fs.State, fs.Error = "dry run", "nothing is written"
	}
}

// overRetries delays a delivery that would be a retry too many, and reports whether it did. Retries after an outage, and those that a person
// asked for, are not counted.
func (l *lane) overRetries(d *delivery) bool {
	g, ok := l.target.sink.(interface{ Again() time.Duration })
	if !ok || d.State != StateRetry || d.Attempts == 0 || d.Last == nil || d.Last.Outage || d.Last.Class != sinks.RetryLater {
		return false
	}
	l.mu.Lock()
	asked := l.kicked.After(d.RetryFrom)
	l.mu.Unlock()
	if asked {
		return false
	}
	wait := g.Again()
	if wait > 0 {
		_ = l.delay(d.Post.ID, time.Now().Add(wait)) // never fails
	}
	return wait > 0
}

// Rehearsal is an operation that was prepared and, in a dry run, not sent.
type Rehearsal struct {
	At         time.Time       `json:"at"`
	Delivery   string          `json:"delivery"`
	Entity     string          `json:"entity"`
	ExternalID string          `json:"external_id"`
	Step       string          `json:"step"`
	Request    json.RawMessage `json:"request,omitempty"` // of at most 4 KiB, else nothing
	Refused    string          `json:"refused,omitempty"` // why it could not be prepared
}

const (
	rehearsals     = 20 // that a lane remembers, the newest
	rehearseAgain  = 10 * time.Minute
	rehearsedBytes = 4096
)

// dry reports whether nothing is written.
func (l *lane) dry() bool {
	g, ok := l.target.sink.(governor)
	return ok && g.DryRun()
}

// rehearse prepares a step, writes nothing, and remembers what would have been sent.
func (l *lane) rehearse(ctx, hard context.Context, d *delivery, op sinks.Operation, name string) (goOn bool, err error) {
	intent, end, oc := l.prepare(ctx, hard, op, name, d.Done)
	if end != nil {
		end()
	}
	if ctx.Err() != nil {
		return false, nil
	}
	r := Rehearsal{At: time.Now().UTC(), Delivery: d.Post.ID, Entity: op.Entity, ExternalID: op.ExternalID, Step: name}
	if oc != nil {
		r.Refused = clip(oc.Code+": "+oc.Message, 500)
	} else if len(intent.Request) <= rehearsedBytes {
		r.Request = intent.Request
	}
	l.mu.Lock()
	l.rehearsed = slices.DeleteFunc(l.rehearsed, func(was Rehearsal) bool { return was.Delivery == r.Delivery })
	l.rehearsed = append(l.rehearsed, r)
	l.rehearsed = l.rehearsed[max(0, len(l.rehearsed)-rehearsals):]
	l.mu.Unlock()
	return false, l.delay(d.Post.ID, time.Now().Add(rehearseAgain))
}

// hinder says on a lane's status what keeps it from sending.
func (l *lane) hinder(ls *LaneStatus, paused map[string]sinks.Reason, posted []string) {
	say := func(text string) { ls.Hindered = append(ls.Hindered, text) }
	if r, ok := paused[""]; ok {
		ls.State, ls.Error = "paused", r.String()
	} else if until, why := l.shut(""); !until.IsZero() {
		say(why)
	}
	for _, entity := range names(paused) {
		if entity != "" && (slices.Contains(posted, entity) || ls.ByEntity[entity] > 0) {
			say(entity + " is " + paused[entity].String())
		}
	}
	if ls.DryRun = l.dry(); ls.DryRun {
		l.mu.Lock()
		ls.Rehearsed = slices.Clone(l.rehearsed)
		l.mu.Unlock()
	}
}
