package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

const (
	readersIdle  = 4                // readers kept for the next chunk
	readerIdle   = 30 * time.Second // how long one is kept
	leftAlone    = 60               // seconds after which the server ends a session that lost us, and what it holds still
	chunkTime    = 10 * time.Second // the server ends a chunk's statement after this
	drainBytes   = 2 << 20          // more than this behind a chunk's end is not read: the connection is given up
	widthUnknown = 2 << 10          // bytes of a row of a table that was never read
)

// reader reads chunks of tables. While its guard's transaction is open no statement changes the definition of the table: what
// the columns are, which rows belong to the name, and what the snapshot sees then go together. (The snapshot alone does
// not see to it: after RENAME TABLE it reads the table that has the name by now.) One goroutine uses it.
type reader struct {
	cfg    *Config
	server *serverInfo
	guard  *conn
	data   *conn
	wire   *wire // of data
	known  map[cdc.Table]*described
	sure   place       // the last place that was believed: an idle server's stays the same
	turn   *sync.Mutex // held while a snapshot's place is asked for: see snapshotStatus
	spent  bool        // rows are left on data: not to be used again
	timer  *time.Timer
}

// described is what was found out about a table, good as long as its CREATE TABLE statement is the same.
type described struct {
	create string
	info   *tableInfo
	ask    statement
	width  int // bytes of a row, as last read
}

// readers are the open ones of a source.
type readers struct {
	turn   sync.Mutex
	mu     sync.Mutex
	closed bool
	idle   []*reader
	busy   map[*reader]bool
	scans  map[cdc.Table]*scan // whose readers are busy
}

// take returns a reader that nobody else uses.
func (p *readers) take(ctx context.Context, c *Config) (*reader, error) {
	if r := p.takeIdle(); r != nil {
		return r, nil
	}
	r, err := c.newReader(ctx, &p.turn)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		r.close()
		return nil, fmt.Errorf("%w: the source was closed", cdc.ErrDisconnected)
	}
	if p.busy == nil {
		p.busy = map[*reader]bool{}
	}
	p.busy[r] = true
	return r, nil
}

func (p *readers) takeIdle() *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	r := p.idle[n-1]
	p.idle = p.idle[:n-1]
	r.timer.Stop()
	p.busy[r] = true
	return r
}

// give takes a reader back; one that failed is closed.
func (p *readers) give(r *reader, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, r)
	if failed || r.spent || p.closed || len(p.idle) >= readersIdle {
		r.close()
		return
	}
	p.idle = append(p.idle, r)
	r.timer = time.AfterFunc(readerIdle, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.idle, r); i >= 0 {
			p.idle = slices.Delete(p.idle, i, i+1)
			r.close()
		}
	})
}

// open lets readers be taken, or ends them all: those in use fail.
func (p *readers) open(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = !yes
	if yes {
		return
	}
	for _, r := range p.idle {
		r.timer.Stop()
		r.close()
	}
	for r := range p.busy {
		r.cut()
	}
	for _, n := range p.scans {
		p.drop(n)
	}
	p.idle, p.scans = nil, nil
}

func (c *Config) newReader(ctx context.Context, turn *sync.Mutex) (*reader, error) {
	r := &reader{cfg: c, turn: turn, known: map[cdc.Table]*described{}}
	if err := r.connect(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *reader) connect(ctx context.Context) (err error) {
	if r.guard, err = r.cfg.dial(ctx); err != nil {
		return err
	}
	if err := r.guard.exec(ctx, fmt.Sprintf("SET SESSION autocommit = 0, lock_wait_timeout = 1, wait_timeout = %d", leftAlone)); err != nil {
		return err
	}
	if r.data, err = r.cfg.dial(ctx); err != nil {
		return err
	}
	// The guard has the table by then: who waits for it waits for us, so data does not wait at all where the server can do that.
	wait, bound := "lock_wait_timeout = 0", fmt.Sprintf("max_statement_time = %d", chunkTime/time.Second)
	if r.cfg.Flavor == MySQL {
		wait, bound = "lock_wait_timeout = 1", fmt.Sprintf("max_execution_time = %d", chunkTime/time.Millisecond)
	}
	for _, set := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		fmt.Sprintf("SET SESSION character_set_results = NULL, wait_timeout = %d, %s, %s", leftAlone, wait, bound)} {
		if err := r.data.exec(ctx, set); err != nil {
			return err
		}
	}
	if r.server, err = r.cfg.inspect(ctx, r.data); err != nil {
		return err
	}
	other, err := r.cfg.inspect(ctx, r.guard)
	if err == nil && other.id != r.server.id {
		err = fmt.Errorf("%w: two servers answer at %s, %s and %s", cdc.ErrDisconnected, r.cfg.Host, r.server.id, other.id)
	}
	r.wire = newWire(r.data.c.Conn.Conn, chunkTime+minSilence)
	return err
}

// cut ends what another goroutine is doing with the reader.
func (r *reader) cut() {
	for _, c := range []*conn{r.guard, r.data} {
		_ = c.c.Conn.Conn.Close() // it may be closed; the one who uses it closes the rest
	}
}

func (r *reader) close() {
	r.guard.close()
	r.data.close()
}

var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=[0-9]+`)

// hold keeps the table's definition as it is until release, and returns it.
func (r *reader) hold(ctx context.Context, sel *selected) (*described, error) {
	if err := r.guard.exec(ctx, "SELECT 1 FROM "+tableIdent(sel.table)+" LIMIT 0"); err != nil {
		return nil, err
	}
	text, err := r.guard.query(ctx, "SHOW CREATE TABLE "+tableIdent(sel.table))
	if err != nil {
		return nil, err
	}
	create := autoIncrement.ReplaceAllString(strings.Join(text[0], "\n"), "")
	if d := r.known[sel.table]; d != nil && d.create == create {
		return d, nil
	}
	info, err := r.guard.describe(ctx, sel.table, r.cfg.Flavor == MariaDB)
	if err == nil && info == nil {
		err = errors.New("its definition cannot be seen")
	}
	if err != nil {
		return nil, err
	}
	d := &described{create: create, info: info, width: widthUnknown,
		ask: statement{table: sel.table, schema: sel.schema(r.cfg.Name, CodecText, info)}}
	if d.ask.key, err = r.guard.keyOf(ctx, info, sel); err != nil {
		return nil, err
	}
	r.known[sel.table] = d
	return d, nil
}

func (r *reader) release(ctx context.Context) error { return r.guard.exec(ctx, "COMMIT") }

// query sends a statement and hands its rows to row until that says that it has enough. What is left then is read and thrown
// away; when that is much the reader is spent.
func (r *reader) query(ctx context.Context, statement string, row func(*cursor) (more bool, err error)) error {
	if err := r.ask(ctx, statement); err != nil {
		return err
	}
	more, left := true, drainBytes
	for {
		packet, end, err := r.row(ctx)
		if err != nil || end {
			return err
		}
		if !more {
			if left -= len(packet); left < 0 {
				r.spent = true
				return nil
			}
			continue
		}
		if more, err = row(&cursor{b: packet}); err != nil {
			return err
		}
	}
}

// ask sends a statement and reads the head of its result: the number of columns, their definitions, an EOF.
func (r *reader) ask(ctx context.Context, statement string) error {
	r.wire.heardAt = time.Now()
	if err := r.data.c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	r.data.c.ResetSequence()
	if err := r.data.c.WritePacket(append([]byte{0, 0, 0, 0, driver.COM_QUERY}, statement...)); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	for i := 0; ; i++ {
		_, end, err := r.row(ctx)
		if err != nil || i > 0 && end {
			return err
		}
	}
}

// row returns the next row, or that there is none.
func (r *reader) row(ctx context.Context) (packet []byte, end bool, err error) {
	packet, err = r.wire.packet(ctx, time.Time{})
	switch {
	case err != nil:
		return nil, false, err
	case len(packet) == 0:
		return nil, false, errShort
	case packet[0] == driver.EOF_HEADER && len(packet) < 9:
		return nil, true, nil
	case packet[0] == driver.ERR_HEADER:
		return nil, false, classifyError(serverError(packet))
	}
	return packet, false, nil
}

// encodeRow writes a row of a result.
func encodeRow(enc *cdc.Encoder, schema *cdc.Schema, r *cursor) error {
	enc.Change(cdc.Snapshot, schema)
	for range schema.Columns {
		if len(r.b) > 0 && r.b[0] == 0xfb {
			r.u8()
			enc.Null()
			continue
		}
		enc.Value(r.take(int(r.lenenc())))
	}
	if r.short {
		return errShort
	}
	return nil
}
