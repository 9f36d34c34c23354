package mysql

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"waybill/cdc"
)

// scanIdle is how long a scan waits for its next chunk.
const scanIdle = 5 * time.Minute

// scan reads a table without a key, whose rows have no order to go on by: one statement in one transaction, whose result the
// server sends as chunks are asked for. So its snapshot, and the lock that keeps the table's definition, last for the
// whole table; both end when nobody asks for scanIdle. Its cursor counts rows. When the connection is lost, or for a cursor of
// another scan, the table is read from its beginning.
type scan struct {
	*chunk // the one being read; the view is that of all of them
	rd     *reader
	id     string
	rows   int64
	idle   *time.Timer
}

// scan begins one. When it succeeds the reader is the scan's and is not used again.
func (r *reader) scan(ctx context.Context, d *described, c *chunk, base position, calm *calm) (*scan, error) {
	if !transactional(d.info.engine) {
		return nil, &cdc.TableError{Source: r.cfg.Name, Table: d.info.table, Err: fmt.Errorf("it has engine %s and no primary key", d.info.engine),
			Hint: "Give it a primary key, or run: ALTER TABLE " + tableIdent(d.info.table) + " ENGINE=InnoDB;"}
	}
	err := r.unbound(ctx)
	if err == nil {
		c.view, err = r.see(ctx, &base, calm)
	}
	if err == nil {
		err = r.ask(ctx, c.ask.rows(0, filter(c.req.Where)))
	}
	if err == nil {
		err = r.release(ctx) // the statement itself holds the definition from here on
	}
	if err != nil {
		return nil, err
	}
	return &scan{chunk: c, rd: r, id: strconv.FormatInt(time.Now().UnixNano(), 36)}, nil
}

// unbound lets statements take their time. The server waits for us to read on longer than we keep a scan, and not for ever
// when it has lost us.
func (r *reader) unbound(ctx context.Context) error {
	bound := "max_statement_time"
	if r.cfg.Flavor == MySQL {
		bound = "max_execution_time"
	}
	return r.data.exec(ctx, fmt.Sprintf("SET SESSION %s = 0, net_write_timeout = %d", bound, 2*scanIdle/time.Second))
}

// goOn reads the next chunk of a scan.
func (s *Source) goOn(ctx context.Context, n *scan, r *cdc.ChunkRequest) (cdc.ChunkRead, error) {
	n.req = r
	n.rd.wire.heardAt = time.Now() // nobody has read
	limit := n.limit(1)
	for !n.end && n.enc.Changes() < limit && n.enc.Len() < chunkBytes {
		packet, end, err := n.rd.row(ctx)
		n.end = end
		if err == nil && !end {
			err = n.row(&cursor{b: packet})
		}
		if err != nil {
			s.readers.give(n.rd, true)
			return cdc.ChunkRead{}, s.chunkError(ctx, r, err)
		}
	}
	n.rows += int64(n.enc.Changes())
	n.after = chunkCursor{Scan: n.id, Rows: n.rows}.text()
	out := n.result()
	if n.end {
		s.readers.give(n.rd, true)
	} else {
		s.readers.keep(r.Table, n)
	}
	return out, nil
}

// keep holds a scan for its next chunk.
func (p *readers) keep(t cdc.Table, n *scan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.scans[t]) // somebody else reads the same table: the later one stays
	if p.closed {
		p.drop(n)
		return
	}
	if p.scans == nil {
		p.scans = map[cdc.Table]*scan{}
	}
	p.scans[t] = n
	n.idle = time.AfterFunc(scanIdle, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.scans[t] == n {
			delete(p.scans, t)
			p.drop(n)
		}
	})
}

// resume takes the scan that a cursor belongs to; nil when there is none.
func (p *readers) resume(t cdc.Table, after string) *scan {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.scans[t]
	if n == nil {
		return nil
	}
	delete(p.scans, t)
	n.idle.Stop()
	if c := parseChunkCursor(after); c.Scan != n.id || c.Rows != n.rows {
		p.drop(n)
		return nil
	}
	return n
}

// drop ends a scan. p is locked.
func (p *readers) drop(n *scan) {
	if n == nil {
		return
	}
	if n.idle != nil {
		n.idle.Stop()
	}
	delete(p.busy, n.rd)
	n.rd.close()
}
