package alert

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill/pipeline"
)

// Options say where alerts go and how often.
type Options struct {
	URL          string
	Key          []byte        // signing key, decoded
	Interval     time.Duration // one cause is sent at most once in it
	UnknownAfter time.Duration
	Every        time.Duration // how often the status is looked at; 0 means 5 s
	Host         string        // where the daemon runs, for people with several
	Log          *slog.Logger
}

// Watcher turns the daemon's status into alerts.
type Watcher struct {
	options Options
	status  func(context.Context) (pipeline.Status, error)
	sender  *sender

	open         map[string]*alert
	unknownSince map[string]time.Time
}

// alert is one cause's memory. It outlives the cause until the interval has passed, so that a cause that comes and goes
// does not send each time.
type alert struct {
	cause    Cause
	since    time.Time
	sent     time.Time // when it was last sent
	firing   bool
	resolved bool // the all-clear is still owed
}

// New returns a watcher of the status function.
func New(o Options, status func(context.Context) (pipeline.Status, error)) *Watcher {
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	return &Watcher{options: o, status: status, sender: newSender(o),
		open: map[string]*alert{}, unknownSince: map[string]time.Time{}}
}

// Run watches until ctx ends. What could not be sent is logged and given up; alerts never stop the daemon.
func (w *Watcher) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { w.sender.run(ctx); return nil })
	tick := time.NewTicker(w.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-tick.C:
			status, err := w.status(ctx)
			if err != nil {
				w.options.Log.Debug("status not known to alerts", "error", err)
				continue
			}
			for _, m := range w.look(status, time.Now()) {
				w.sender.queue(m)
			}
		}
	}
}

// look compares a status with what was alerted, and returns the messages to send.
func (w *Watcher) look(s pipeline.Status, now time.Time) []message {
	var send []message
	active := func(key string) bool { a := w.open[key]; return a != nil && a.firing }
	found := causes(s, now, w.options.UnknownAfter, w.unknownSince, active)
	for _, c := range found {
		a := w.open[c.Key]
		if a == nil {
			a = &alert{}
			w.open[c.Key] = a
		}
		if !a.firing {
			a.firing, a.since = true, now
		}
		a.cause = c
		if a.sent.IsZero() || now.Sub(a.sent) >= w.options.Interval {
			a.sent, a.resolved = now, true
			send = append(send, w.message("firing", a, s, now))
		}
	}
	for key, a := range w.open {
		if slices.ContainsFunc(found, func(c Cause) bool { return c.Key == key }) {
			continue
		}
		a.firing = false
		if a.resolved {
			a.resolved = false
			send = append(send, w.message("resolved", a, s, now))
		}
		if now.Sub(a.sent) >= w.options.Interval {
			delete(w.open, key)
		}
	}
	slices.SortStableFunc(send, func(a, b message) int { return strings.Compare(a.Data.Cause, b.Data.Cause) })
	return send
}

func (w *Watcher) message(state string, a *alert, s pipeline.Status, now time.Time) message {
	return message{Type: "waybill.alert." + state, Timestamp: now.UTC(), Data: data{State: state, Cause: a.cause.Key, Title: a.cause.Title,
		Detail: clip(a.cause.Detail, maxDetail), Since: a.since.UTC(), Store: s.Store, Host: w.options.Host}}
}

// maxDetail bounds what an alert quotes of an error, in bytes.
const maxDetail = 1000

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}
