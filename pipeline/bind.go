package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// BindingError says that the sources and the target do not belong together: a test copy points at the production
// target, or the other way round.
type BindingError struct {
	Sink   string
	Reason string
	Hint   string
}

func (e *BindingError) Error() string {
	return fmt.Sprintf("refusing to deliver to %s: %s. %s", e.Sink, e.Reason, e.Hint)
}

// bind ties the sources to the target at the first start and checks the tie at every later one. While the target cannot
// be asked it waits: capture goes on, nothing is sent.
func (p *Pipeline) bind(ctx context.Context, t *target) error {
	return p.bindTo(ctx, t.name, t.sink, func(err error) {
		for _, l := range p.lanes {
			if l.target == t {
				l.fault(err)
			}
		}
	})
}

// identified is what stands behind an address: a sink or a publisher.
type identified interface {
	Identity(ctx context.Context) (string, error)
}

// bindTo binds a sink or a publisher; fault shows why that cannot be done yet, and nil that nothing is in the way any more.
func (p *Pipeline) bindTo(ctx context.Context, name string, to identified, fault func(error)) error {
	wait := backoffLeast
	for {
		identity, err := p.tie(ctx, name, to)
		if err == nil {
			p.log.Info("target bound", "sink", name, "target", identity)
			fault(nil)
			return nil
		}
		var refused *BindingError
		if asBinding(err, &refused) {
			return refused
		}
		fault(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, backoffMost)
	}
}

func asBinding(err error, target **BindingError) bool {
	b, ok := err.(*BindingError)
	*target = b
	return ok
}

// tie compares and, where there is none yet, writes the binding. It returns the target's identity.
func (p *Pipeline) tie(ctx context.Context, name string, to identified) (string, error) {
	sources, err := p.identities()
	if err != nil {
		return "", err
	}
	identity, err := to.Identity(ctx)
	if err != nil {
		return "", fmt.Errorf("asking %s who it is: %w", name, err)
	}
	known, err := p.bound(name)
	if err != nil {
		return "", err
	}
	if known != "" && known != identity {
		return "", &BindingError{name, fmt.Sprintf("this store delivers to %s, but the address answers as %s", known, identity),
			"Point the configuration back, or give the other target a store of its own"}
	}
	if binder, ok := to.(sinks.Binder); ok {
		if err := p.tieTarget(ctx, name, binder, sources); err != nil {
			return "", err
		}
	}
	if known != "" {
		return identity, nil
	}
	payload, err := json.Marshal(noteEntry{Action: "bind", Target: name, Identity: identity,
		Why: "first start: sources " + sourcesText(sources)})
	if err != nil {
		return "", err
	}
	_, err = p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Note, Payload: payload})
	return identity, err
}

// tieTarget compares the mark in the target with our sources, and leaves ours where there is none.
func (p *Pipeline) tieTarget(ctx context.Context, name string, b sinks.Binder, sources map[string]string) error {
	mark, err := b.Bound(ctx)
	if err != nil {
		return fmt.Errorf("reading the binding of %s: %w", name, err)
	}
	if mark == nil {
		own := sinks.Binding{Store: p.store.Identity().ID, Sources: sources, At: time.Now().UTC()}
		if err := b.Bind(ctx, own); err != nil {
			return fmt.Errorf("writing the binding of %s: %w", name, err)
		}
		return nil
	}
	for _, source := range names(sources) {
		server := sources[source]
		if other, ok := mark.Sources[source]; ok && other != server {
			return &BindingError{name, fmt.Sprintf("it is bound to source %s = %s, but our source %s is %s", source, other, source, server),
				"This looks like a test copy that points at the production target. If the source was really replaced, remove the mark in the target (see the README, Binding) and start again"}
		}
	}
	return p.widen(ctx, name, b, mark, sources)
}

// widen adds to our own mark the sources of a carrier that joined since it was written.
func (p *Pipeline) widen(ctx context.Context, name string, b sinks.Binder, mark *sinks.Binding, sources map[string]string) error {
	all := map[string]string{}
	maps.Copy(all, mark.Sources)
	maps.Copy(all, sources)
	if mark.Store != p.store.Identity().ID || len(all) == len(mark.Sources) {
		return nil
	}
	if err := b.Bind(ctx, sinks.Binding{Store: mark.Store, Sources: all, At: time.Now().UTC()}); err != nil {
		return fmt.Errorf("writing the binding of %s: %w", name, err)
	}
	return nil
}

// identities returns the servers behind the sources, without their timelines. Before a source has been heard the first
// time there is nothing to bind.
func (p *Pipeline) identities() (map[string]string, error) {
	out := map[string]string{}
	for _, c := range p.captures {
		c.mu.Lock()
		id := c.identity
		c.mu.Unlock()
		if id == "" {
			return nil, fmt.Errorf("source %s has not been heard yet", c.name)
		}
		out[c.name] = server(id)
		if place := p.o.Places[c.name]; place != "" {
			out[c.name] += "/" + place // a staging copy may live on the same server
		}
	}
	return out, nil
}

// server is the part of an identity that stays when a server is promoted: technology and server, without the timeline.
func server(identity string) string {
	parts := strings.SplitN(identity, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func (p *Pipeline) bound(sink string) (identity string, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		v, err := tx.Get(bucketBind, sink)
		identity = string(v)
		return err
	})
	return identity, err
}

func sourcesText(m map[string]string) string {
	var parts []string
	for _, n := range names(m) {
		parts = append(parts, n+" = "+m[n])
	}
	return strings.Join(parts, ", ")
}

// fault shows on a lane that has not begun why nothing is sent; nil that nothing is in the way any more.
func (l *lane) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.lastErr, l.pause = "", 0
		return
	}
	l.lastErr, l.pause = err.Error(), max(l.pause, blockedLeast)
}

func splitTarget(t string) (sink, entity string) {
	sink, entity, _ = strings.Cut(t, ".")
	return sink, entity
}
