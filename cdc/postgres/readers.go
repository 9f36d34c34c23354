package postgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"waybill/cdc"
)

const (
	readerIdle  = 30 * time.Second // a connection that nobody uses for so long is closed
	readTimeout = 2 * time.Minute  // bounds one statement of a chunk, and so what it keeps VACUUM from
	lockTimeout = 2 * time.Second  // a table that is being altered is left alone, and tried again by the caller
)

// readers are the ordinary connections that read beside the stream: as many as are in use at once, and none that has
// been idle for long. It may be used from any goroutine.
type readers struct {
	source *Source

	mu     sync.Mutex
	idle   []*reader
	closed int // so many times; a connection from before is not kept
}

// reader is a connection whose server is known: another may answer at the same address after a failover.
type reader struct {
	conn    *pgx.Conn
	version int
	place   place       // system and timeline
	block   int         // size of a block of a table, in bytes
	page    int64       // size of a page of the log, in bytes
	round   int         // readers.closed when it was opened
	expire  *time.Timer // while it is idle
	broken  bool        // set by the user: not to be used again
	enc     cdc.Encoder // keeps its memory from chunk to chunk
}

// take returns a connection to a primary server. The caller gives it back.
func (p *readers) take(ctx context.Context) (*reader, error) {
	for {
		r, round := p.pop()
		if r == nil {
			return p.connect(ctx, round)
		}
		if !r.conn.IsClosed() {
			return r, nil
		}
		closeConn(r.conn)
	}
}

// pop returns an idle connection, or nil.
func (p *readers) pop() (r *reader, round int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		r, p.idle = p.idle[n-1], p.idle[:n-1]
		r.expire.Stop()
	}
	return r, p.closed
}

// give returns a connection. One that is in the middle of something is closed.
func (p *readers) give(r *reader) {
	if r.broken || r.conn.IsClosed() || r.conn.PgConn().TxStatus() != 'I' || !p.push(r) {
		closeConn(r.conn)
	}
}

func (p *readers) push(r *reader) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.round != p.closed {
		return false
	}
	r.expire = time.AfterFunc(readerIdle, func() { p.drop(r) })
	p.idle = append(p.idle, r)
	return true
}

// drop closes a connection that has been idle for long, unless somebody has taken it meanwhile.
func (p *readers) drop(r *reader) {
	p.mu.Lock()
	i := slices.Index(p.idle, r)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		closeConn(r.conn)
	}
}

// close closes the idle connections; those in use are closed when they are given back.
func (p *readers) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.closed++
	p.mu.Unlock()
	for _, r := range idle {
		r.expire.Stop()
		closeConn(r.conn)
	}
}

// The timeline is that of the log's end; a server in recovery has none of its own and refuses.
const readerSQL = `SELECT current_setting('server_version_num')::int, system_identifier::text,
       left(pg_walfile_name(pg_current_wal_lsn()), 8), current_setting('block_size')::int, current_setting('wal_block_size')::bigint
FROM pg_control_system()`

func (p *readers) connect(ctx context.Context, round int) (*reader, error) {
	s := p.source
	cfg, err := s.cfg.connection(false)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"statement_timeout":                   milliseconds(readTimeout),
		"idle_in_transaction_session_timeout": milliseconds(readTimeout),
		"lock_timeout":                        milliseconds(lockTimeout),
		"max_parallel_workers_per_gather":     "0", // they are the neighbours'
		"jit":                                 "off",
	} {
		cfg.RuntimeParams[name] = value
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { // fewer reads of the socket
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, 64<<10), w)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, s.connectError(err)
	}
	r := &reader{conn: conn, round: round}
	var timeline string
	if err := conn.QueryRow(ctx, readerSQL).Scan(&r.version, &r.place.system, &timeline, &r.block, &r.page); err != nil {
		closeConn(conn)
		return nil, s.disconnected(fmt.Errorf("asking the server who it is: %w", err))
	}
	id, err := strconv.ParseUint(timeline, 16, 32)
	if err != nil {
		closeConn(conn)
		return nil, s.disconnected(fmt.Errorf("asking the server for its timeline: got %q", timeline))
	}
	r.place.timeline = int32(id)
	return r, nil
}

// currentSnapshot is the server's function that names what is visible.
func (r *reader) currentSnapshot() string {
	if r.version < 130000 {
		return "txid_current_snapshot()"
	}
	return "pg_current_snapshot()"
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
