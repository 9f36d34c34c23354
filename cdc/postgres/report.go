package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// report sends status updates until ctx ends: soon after a position was confirmed, and at least once each second, whether
// or not anybody calls Next, so that a caller that pauses capture keeps its session. Once per heartbeat it asks the
// server how far its log reaches.
func (n *session) report(ctx context.Context) {
	defer close(n.done)
	side := &side{source: n.source}
	defer side.close()
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var asked time.Time
	for {
		reply := false
		if now := time.Now(); now.Sub(asked) >= n.source.cfg.Heartbeat-statusEvery/2 {
			asked, reply = now, true
			n.ask(ctx, side)
			if err := n.protect(ctx, side); err != nil && ctx.Err() == nil {
				n.log.Warn("looking after the slot and the publication", "source", n.source.cfg.Name, "error", err)
			}
		}
		// Invariant 1: the server is told of nothing but what the caller has confirmed.
		if err := n.wire.status(n.source.confirmedLSN(), reply); err != nil {
			n.wire.conn.SetReadDeadline(time.Unix(1, 0)) // the reading side finds the same fault
			return
		}
		n.source.lagState(func(l *cdc.Lag) { l.Confirmed = n.at(n.source.confirmedLSN()).position() })
		select {
		case <-ctx.Done():
			return
		case <-n.source.wake:
			pause(ctx, statusGap)
		case <-tick.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (s *Source) wakeReport() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// The clock is read before the log's end: a commit record that is written later lies behind that end, and its time is
// later, too, but for the microseconds between the two.
const probeSQL = `SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text, pg_current_wal_flush_lsn()::text,
       current_setting('wal_block_size')::int`

// pageHeader is the size of the longest header of a log page. Behind a page's end the insert position has skipped the next
// page's header, which no record's end ever does.
const pageHeader = 40

// ask learns how far the server's log reaches. A probe that is not met yet stays until it is.
func (n *session) ask(ctx context.Context, side *side) {
	ctx, cancel := context.WithTimeout(ctx, n.source.cfg.ConnectTimeout)
	defer cancel()
	p, flushed, err := side.probe(ctx)
	if err != nil {
		if ctx.Err() != context.Canceled {
			n.log.Debug("asking the server for the end of its log", "source", n.source.cfg.Name, "error", err)
		}
		return
	}
	n.answered.Store(time.Now().UnixNano())
	n.mu.Lock()
	if n.probe == nil {
		n.probe = &p
	}
	n.mu.Unlock()
	n.source.lagState(func(l *cdc.Lag) {
		l.Server = flushed.String()
		n.source.serverEnd = flushed
	})
}

func (s *side) probe(ctx context.Context) (p probe, flushed pglogrepl.LSN, err error) {
	conn, err := s.open(ctx)
	if err != nil {
		return p, 0, err
	}
	var (
		insert, flush string
		page          int64
	)
	if err := conn.QueryRow(ctx, probeSQL).Scan(&p.at, &insert, &flush, &page); err != nil {
		s.close()
		return p, 0, fmt.Errorf("reading the end of the log: %w", err)
	}
	if p.lsn, err = pglogrepl.ParseLSN(insert); err != nil {
		return p, 0, fmt.Errorf("reading the end of the log: %w", err)
	}
	if into := p.lsn % pglogrepl.LSN(page); into <= pageHeader {
		p.lsn -= into
	}
	if flushed, err = pglogrepl.ParseLSN(flush); err != nil {
		return p, 0, fmt.Errorf("reading the end of the log: %w", err)
	}
	p.at = p.at.UTC()
	return p, flushed, nil
}
