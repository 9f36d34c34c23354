package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

const (
	batchSize   = 1 << 20               // a batch of whole transactions ends at the first commit behind this
	partSize    = 2 << 20               // a transaction larger than this comes in parts of this size
	linger      = 20 * time.Millisecond // while behind, a batch collects for so long
	statusEvery = time.Second           // a status update at least this often, also while idle
	statusGap   = 5 * time.Millisecond  // and at most this often
	silenceMin  = 10 * time.Second      // a silent server is not given up before
	silenceMax  = 90 * time.Second      // and is given up after, although it answers beside the stream
	closeWait   = 3 * time.Second       // for the server's last word at Close
)

// session is one run of the replication stream. Its reading side belongs to the goroutine that calls Next; one goroutine
// of its own sends status updates and asks the server how far its log reaches.
type session struct {
	source  *Source
	start   place
	wire    *wire
	stream  stream
	log     *slog.Logger
	catalog *side // for relations that the stream announces

	// Of the reading side.
	whole     cdc.Mark      // in the encoder, behind the last whole transaction
	wholeEnd  pglogrepl.LSN // that transaction's end
	wholeAt   time.Time     // and its commit time
	part      int           // parts of the transaction at hand that were handed on
	received  pglogrepl.LSN // all that is committed up to here has been received (Invariant 2: a transaction's end)
	returned  pglogrepl.LSN // position of the last batch that had one
	announced map[uint64]*cdc.Schema
	fresh     []*cdc.Schema // schemas that no batch has brought yet
	heard     time.Time     // when the server last sent anything, moved on by the time in which nobody listened
	left      time.Time     // when next returned last
	began     time.Time     // when the batch at hand began
	handed    time.Time     // when the last batch was handed on
	nudged    bool          // the server asked for a reply although we may be able to move on
	captured  time.Time     // everything committed up to then has been received
	untold    bool          // the caller does not know the place where the stream begins

	cancel  context.CancelFunc
	done    chan struct{} // the reporting goroutine has ended
	heeding chan struct{} // so has the one that answers nudges

	mu       sync.Mutex
	answered atomic.Int64 // when the server last answered a question beside the stream, ns since 1970
	probe    *probe       // what the server was last asked; nil once it is met
	goals    goals        // of nudges
}

// probe is an answer of the server: whatever was committed before at lies before lsn in the log.
type probe struct {
	lsn pglogrepl.LSN
	at  time.Time
}

// startSession begins to stream behind start. The slot must exist and be inactive.
func (s *Source) startSession(ctx context.Context, start place) (*session, error) {
	cfg, err := s.cfg.connection(true)
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, s.connectError(err)
	}
	if err := conn.SyncConn(ctx); err != nil {
		return nil, s.disconnected(err)
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, s.disconnected(err)
	}
	now := time.Now()
	n := &session{source: s, start: start, wire: newWire(hijacked.Conn), log: s.log, catalog: &side{source: s},
		received: start.lsn, returned: start.lsn, announced: map[uint64]*cdc.Schema{}, heard: now, handed: now,
		done: make(chan struct{}), heeding: make(chan struct{})}
	n.stream = stream{relations: map[uint32]*wireRelation{}, resolve: n.resolve, loose: n.warnLoose}
	if err := n.begin(ctx); err != nil {
		hijacked.Conn.Close()
		return nil, err
	}
	reporting, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go n.report(reporting)
	go n.heed(reporting)
	return n, nil
}

// begin sends START_REPLICATION and waits until the server streams.
func (n *session) begin(ctx context.Context) error {
	cfg := &n.source.cfg
	stop := context.AfterFunc(ctx, func() { n.wire.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := n.wire.query(fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (%s)", cfg.Slot, n.start.lsn, n.source.options()))
	if err != nil {
		return n.source.disconnected(err)
	}
	for {
		kind, body, ok, err := n.wire.frame()
		switch {
		case err != nil:
			return err
		case !ok:
			if err := n.wire.fill(); err != nil {
				return n.source.disconnected(err)
			}
		case kind == 'W':
			return nil
		case kind == 'E':
			return fmt.Errorf("starting replication from slot %q at %s: %w", cfg.Slot, n.start.lsn,
				n.source.disconnected(serverError(body)))
		}
	}
}

// next is Source.Next while streaming.
func (n *session) next(ctx context.Context) (cdc.Batch, error) {
	stop := context.AfterFunc(ctx, func() { n.wire.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	began := time.Now()
	if !n.left.IsZero() {
		n.heard = n.heard.Add(began.Sub(n.left))
	}
	defer func() { n.left = time.Now() }()
	if n.untold {
		n.untold = false
		return n.watermark(began), nil
	}
	for {
		batch, ok, err := n.drain()
		if ok || err != nil {
			return batch, err
		}
		now := time.Now()
		if n.whole.Len() > 0 && (!n.wire.behind && now.Sub(n.handed) >= cdc.Pace || now.Sub(n.began) > linger) {
			return n.cut(), nil
		}
		if n.whole.Len() == 0 && !n.wire.behind && n.watermarkDue(now) {
			return n.watermark(now), nil
		}
		if err := n.wait(ctx); err != nil {
			return cdc.Batch{}, err
		}
	}
}

// wait reads once from the server, until the next moment at which something is due.
func (n *session) wait(ctx context.Context) error {
	now := time.Now()
	due := n.deadline(now)
	collected := false
	switch {
	case n.whole.Len() == 0:
	case n.wire.behind: // we may have caught up with what is to be handed on
		due = now.Add(2 * longest)
	default:
		cdc.Collect(ctx, n.wire.conn, n.handed.Add(cdc.Pace).Sub(now))
		due, collected = time.Now().Add(cdc.Arrived), true
	}
	if err := n.wire.conn.SetReadDeadline(due); err != nil {
		return n.source.disconnected(err)
	}
	if err := ctx.Err(); err != nil { // its end, too, moves the deadline: look behind ours
		return err
	}
	err := n.wire.fill()
	if collected && n.wire.w-n.wire.r < bufferSize/2 { // what has come meanwhile is no sign that we are behind
		n.wire.behind = false
	}
	if err == nil {
		n.heard = n.wire.last
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n.source.disconnected(err)
	}
	n.wire.behind = false
	if silent := time.Since(n.heard); silent > n.patience(now) {
		return n.source.disconnected(fmt.Errorf("the server has been silent for %s", silent.Round(time.Second)))
	}
	return nil
}

// deadline is when a blocked read must return: for a watermark, or to notice that the server is silent.
func (n *session) deadline(now time.Time) time.Time {
	due := n.handed.Add(n.source.cfg.Heartbeat)
	if due.Sub(now) < 10*time.Millisecond {
		due = now.Add(n.source.cfg.Heartbeat)
	}
	return due
}

// patience is how long the server may be silent. Up to PostgreSQL 15 a walsender says nothing while it decodes a large
// transaction of which nothing is published; a server that still answers beside the stream is given time for that.
func (n *session) patience(now time.Time) time.Duration {
	limit := max(silenceMin, 3*n.source.cfg.Heartbeat)
	if now.Sub(time.Unix(0, n.answered.Load())) < limit {
		return max(limit, silenceMax)
	}
	return limit
}

// drain handles the frames in the buffer until a batch is complete or no whole frame is left.
func (n *session) drain() (cdc.Batch, bool, error) {
	for {
		kind, body, ok, err := n.wire.frame()
		if err != nil || !ok {
			return cdc.Batch{}, false, err
		}
		switch kind {
		case 'd':
			batch, ok, err := n.copyData(body)
			if ok || err != nil {
				return batch, ok, err
			}
		case 'c', 'C', 'Z':
			return cdc.Batch{}, false, n.source.disconnected(errors.New("the server ended the stream"))
		case 'E':
			return cdc.Batch{}, false, n.source.disconnected(serverError(body))
		}
	}
}

func (n *session) copyData(b []byte) (cdc.Batch, bool, error) {
	switch {
	case len(b) >= 25 && b[0] == 'w':
		did, err := n.stream.message(b[25:])
		if err != nil {
			return cdc.Batch{}, false, fmt.Errorf("reading the stream of source %s near %s: %w", n.source.cfg.Name,
				pglogrepl.LSN(binary.BigEndian.Uint64(b[1:])), err)
		}
		return n.framed(did)
	case len(b) >= 18 && b[0] == 'k':
		n.keepalive(b)
	}
	return cdc.Batch{}, false, nil
}

// framed looks at the bounds after a message and hands on what is complete.
func (n *session) framed(did step) (cdc.Batch, bool, error) {
	enc := &n.stream.enc
	switch did {
	case stepCommit:
		n.received = n.stream.end
		n.source.streamed.add(n.stream.xid)
		if !n.stream.framed {
			return cdc.Batch{}, false, nil
		}
		n.whole, n.wholeEnd, n.wholeAt = enc.Mark(), n.stream.end, n.stream.at
		if n.part > 0 || enc.Len() >= batchSize {
			return n.cut(), true, nil
		}
	case stepChange:
		if enc.Changes() == 1 {
			n.began = time.Now()
		}
		if enc.Len() < partSize {
			break
		}
		if n.whole.Len() > 0 {
			return n.cut(), true, nil
		}
		return n.cutPart(), true, nil
	}
	return cdc.Batch{}, false, nil
}

// cut hands on the whole transactions, or the last part of a large one. Invariant 2: the position lies on the end of the
// last transaction in the batch, and what has arrived of the next one stays behind.
func (n *session) cut() cdc.Batch {
	b := n.batch(n.whole)
	b.Position = n.at(n.wholeEnd).position()
	b.CommitAt = n.wholeAt
	if n.part > 0 {
		b.Tx, b.Part = n.stream.commit.String(), n.part
		n.part = 0
	}
	n.whole = cdc.Mark{}
	n.returned = n.wholeEnd
	if b.CommitAt.After(n.captured) {
		n.captured = b.CommitAt
	}
	n.began = n.handed
	n.mu.Lock()
	n.goals.reach(n.returned)
	n.mu.Unlock()
	n.publish(b.Position)
	return b
}

// cutPart hands on a part of the transaction at hand.
func (n *session) cutPart() cdc.Batch {
	b := n.batch(n.stream.enc.Mark())
	b.Tx, b.Part, b.More = n.stream.commit.String(), n.part, true
	b.CommitAt = n.stream.at
	n.part++
	n.stream.framed = false // the next part begins with its own 'B'
	return b
}

func (n *session) batch(m cdc.Mark) cdc.Batch {
	b := cdc.Batch{Source: n.source.cfg.Name, Identity: n.start.identity(), Schemas: n.fresh}
	b.Data, b.Changes = n.stream.enc.Cut(m)
	n.fresh = nil
	n.handed = time.Now()
	return b
}

// keepalive takes the server's word that it has sent all that was committed up to a place. Inside a transaction it means
// nothing to us.
func (n *session) keepalive(b []byte) {
	end := pglogrepl.LSN(binary.BigEndian.Uint64(b[1:]))
	if !n.stream.open && end > n.received {
		n.received = end
	}
	if b[17] == 0 {
		return
	}
	n.nudged = n.received > n.returned
	n.source.wakeReport()
}

// watermarkDue reports whether an idle source has to say that it is alive. A server that is shutting down asks for a reply
// until everything is confirmed: then the watermark does not wait for the heartbeat.
func (n *session) watermarkDue(now time.Time) bool {
	if n.stream.open || n.part > 0 {
		return false
	}
	return n.nudged || n.nudgedTo() || now.Sub(n.handed) >= n.source.cfg.Heartbeat-10*time.Millisecond
}

func (n *session) watermark(now time.Time) cdc.Batch {
	n.mu.Lock()
	if n.probe != nil && n.received >= n.probe.lsn {
		if n.probe.at.After(n.captured) {
			n.captured = n.probe.at
		}
		n.probe = nil
	}
	n.goals.reach(n.received)
	n.mu.Unlock()
	n.nudged, n.handed, n.returned = false, now, n.received
	b := cdc.Batch{Source: n.source.cfg.Name, Identity: n.start.identity(), Position: n.at(n.received).position(), CommitAt: n.captured}
	n.publish(b.Position)
	return b
}

func (n *session) at(lsn pglogrepl.LSN) place {
	return place{n.start.system, n.start.timeline, lsn}
}

// publish makes the session's state visible to Lag and Confirm.
func (n *session) publish(pos cdc.Position) {
	n.source.returned.Store(uint64(n.returned))
	n.source.lagState(func(l *cdc.Lag) { l.Position, l.HeardAt = pos, n.heard })
}

// close sends the last confirmed position, ends the stream and waits for the server's last word, so that the slot is free
// when it returns.
func (n *session) close() error {
	n.cancel()
	<-n.done
	<-n.heeding
	n.catalog.close()
	defer n.wire.conn.Close()
	if err := n.wire.status(n.source.confirmedLSN(), false); err != nil {
		return nil // the session was broken: what it could not say, the next one says
	}
	if err := n.wire.copyDone(); err != nil {
		return nil
	}
	if err := n.wire.conn.SetReadDeadline(time.Now().Add(closeWait)); err != nil {
		return nil
	}
	for {
		kind, _, ok, err := n.wire.frame()
		if err != nil || kind == 'Z' || kind == 'E' {
			break
		}
		if ok {
			continue
		}
		n.wire.behind = false
		if n.wire.fill() != nil {
			return nil
		}
	}
	n.wire.write([]byte{'X', 0, 0, 0, 4})
	return nil
}

// serverError reads an ErrorResponse.
func serverError(body []byte) error {
	e := &pgconn.PgError{}
	for len(body) > 1 {
		field := body[0]
		text, rest, ok := cstring(body[1:])
		if !ok {
			break
		}
		switch field {
		case 'S':
			e.Severity = text
		case 'C':
			e.Code = text
		case 'M':
			e.Message = text
		case 'D':
			e.Detail = text
		case 'H':
			e.Hint = text
		}
		body = rest
	}
	return e
}
