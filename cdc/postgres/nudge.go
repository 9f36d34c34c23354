package postgres

import (
	"context"

	"github.com/jackc/pglogrepl"
)

// Nudge implements cdc.TableReader. It returns at once; nudges that come while one is looked into are one.
func (s *Source) Nudge() {
	select {
	case s.nudges <- struct{}{}:
	default:
	}
}

// goals are the ends of the log at which watermarks are wanted: the nearest, and the furthest. Those between the two are met
// with the furthest, so that a nudge every moment cannot put the watermark off for ever.
type goals struct{ near, far pglogrepl.LSN }

func (g *goals) add(lsn pglogrepl.LSN) {
	if g.near == 0 {
		g.near = lsn
	}
	g.far = max(g.far, lsn)
}

// met reports whether a watermark at lsn is wanted.
func (g *goals) met(lsn pglogrepl.LSN) bool { return g.near != 0 && lsn >= g.near }

// reach takes note of a batch with position lsn.
func (g *goals) reach(lsn pglogrepl.LSN) {
	switch {
	case lsn >= g.far:
		*g = goals{}
	case lsn >= g.near:
		g.near = g.far
	}
}

// heed answers nudges until ctx ends: it learns how far the server's log reaches, and asks the walsender for a word, so that
// the reading side hears soon that it has received as much.
func (n *session) heed(ctx context.Context) {
	defer close(n.heeding)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.source.nudges:
		}
		p, err := n.logEnd(ctx)
		if err != nil {
			if ctx.Err() == nil { // the watermark comes with the next heartbeat
				n.log.Debug("asking the server for the end of its log", "source", n.source.cfg.Name, "error", err)
			}
			continue
		}
		n.mu.Lock()
		n.goals.add(p.lsn)
		if n.probe == nil {
			n.probe = &p
		}
		n.mu.Unlock()
		if n.wire.status(n.source.confirmedLSN(), true) != nil {
			return // the reporting goroutine finds the same fault, and lets the reading side know
		}
	}
}

func (n *session) logEnd(ctx context.Context) (probe, error) {
	ctx, cancel := context.WithTimeout(ctx, n.source.cfg.ConnectTimeout)
	defer cancel()
	r, err := n.source.readers.take(ctx)
	if err != nil {
		return probe{}, err
	}
	defer n.source.readers.give(r)
	p, _, err := (&side{source: n.source, conn: r.conn}).probe(ctx)
	return p, err
}

// nudgedTo reports whether a nudge wants a watermark at what has been received.
func (n *session) nudgedTo() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.goals.met(n.received)
}
