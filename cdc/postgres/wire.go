package postgres

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
)

const (
	bufferSize = 256 << 10 // the reader's buffer; it grows for a message that needs more, and shrinks again
	frameMax   = 1<<30 + 1<<20
	cadence    = time.Millisecond // between two reads while behind
	longest    = 4 * cadence      // the same, when the server is too slow to fill the window meanwhile
	bigRead    = 8 << 10          // a paused read that returns less than this hints that we have caught up
	smallReads = 4                // so many of them in a row say so; a single one may be a server that got no processor
	burst      = 16               // reads in quick succession, after which we are taken to be behind
	quick      = 200 * time.Microsecond
)

// wire reads and writes the frames of a replication connection after START_REPLICATION. One goroutine reads; writing is
// open to all.
type wire struct {
	conn   net.Conn
	below  *gather // under TLS; nil without
	buf    []byte
	r, w   int // unread bytes are buf[r:w]
	last   time.Time
	behind bool          // pause between reads, so that the kernel merges the server's small sends
	hasty  int           // reads in quick succession
	rest   time.Duration // from one read to the next, while behind
	small  int           // small reads in a row, while behind

	writing sync.Mutex // a status update must not be torn apart by another
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn, buf: make([]byte, bufferSize)}
	switch c := conn.(type) {
	case *gather: // without TLS it has nothing to do
		if !c.holds() {
			w.conn = c.Conn
		}
	case *tls.Conn:
		w.below, _ = c.NetConn().(*gather)
	}
	return w
}

// frame returns the next whole frame in the buffer, valid until the next fill, or ok false when one must fill first.
func (w *wire) frame() (kind byte, body []byte, ok bool, err error) {
	have := w.buf[w.r:w.w]
	if len(have) < 5 {
		return 0, nil, false, nil
	}
	n := int(binary.BigEndian.Uint32(have[1:]))
	if n < 4 || n > frameMax {
		return 0, nil, false, fmt.Errorf("frame %q of %d bytes does not follow the protocol", have[0], n)
	}
	if len(have) < n+1 {
		return 0, nil, false, nil
	}
	w.r += n + 1
	return have[0], have[5 : n+1], true, nil
}

// fill makes room and reads once. While behind it first waits for the cadence.
func (w *wire) fill() error {
	w.makeRoom()
	if w.behind {
		if wait := w.rest - time.Since(w.last); wait > 0 {
			time.Sleep(wait)
		}
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	for more := 1; err == nil && more > 0 && w.w < len(w.buf) && w.below != nil && w.below.holds(); n += more {
		more, err = w.conn.Read(w.buf[w.w:])
		w.w += more
	}
	w.pace(n, time.Now())
	if n > 0 {
		return nil
	}
	return err
}

// pace decides whether we are behind. When the socket always has more, each read wakes for one message, and the server's
// sends go out one by one; a pause lets them merge.
func (w *wire) pace(n int, now time.Time) {
	switch {
	case w.behind:
		w.small++
		if n >= bigRead {
			w.small = 0
		}
		w.behind = w.small < smallReads
		w.rest = min(2*w.rest, longest)
		if n >= 3*bigRead { // the window was nearly closed: soon enough
			w.rest = cadence
		}
		w.hasty = 0
	case n >= 2*bigRead:
		w.behind, w.small, w.rest = true, 0, cadence
	case now.Sub(w.last) < quick:
		w.hasty++
		w.behind, w.small, w.rest = w.hasty >= burst, 0, cadence
	default:
		w.hasty = 0
	}
	w.last = now
}

func (w *wire) makeRoom() {
	if w.r == w.w {
		w.r, w.w = 0, 0
		if len(w.buf) > bufferSize {
			w.buf = make([]byte, bufferSize)
		}
		return
	}
	need := 5
	if w.w-w.r >= 5 {
		need = int(binary.BigEndian.Uint32(w.buf[w.r+1:])) + 1 // frame has checked it
	}
	switch {
	case need > len(w.buf):
		grown := make([]byte, max(need, min(2*len(w.buf), frameMax)))
		w.w = copy(grown, w.buf[w.r:w.w])
		w.buf, w.r = grown, 0
	case w.r+need > len(w.buf) || len(w.buf)-w.w < bufferSize/4:
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
}

// statusSize is the size of a standby status update with its CopyData header.
const statusSize = 5 + 34

// status tells the server how far it may forget.
func (w *wire) status(lsn pglogrepl.LSN, reply bool) error {
	var msg [statusSize]byte
	msg[0] = 'd'
	binary.BigEndian.PutUint32(msg[1:], statusSize-1)
	msg[5] = 'r'
	for _, at := range []int{6, 14, 22} { // written, flushed, applied
		binary.BigEndian.PutUint64(msg[at:], uint64(lsn))
	}
	binary.BigEndian.PutUint64(msg[30:], uint64(time.Now().UnixMicro()-epoch))
	if reply {
		msg[38] = 1
	}
	return w.write(msg[:])
}

// query sends a simple query.
func (w *wire) query(sql string) error {
	msg := make([]byte, 5, len(sql)+6)
	msg[0] = 'Q'
	binary.BigEndian.PutUint32(msg[1:], uint32(len(sql)+5))
	return w.write(append(append(msg, sql...), 0))
}

// copyDone asks the server to end the stream.
func (w *wire) copyDone() error { return w.write([]byte{'c', 0, 0, 0, 4}) }

func (w *wire) write(msg []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := w.conn.Write(msg)
	return err
}

// epoch is 2000-01-01 in microseconds since 1970: PostgreSQL counts from there.
const epoch = 946684800000000

func serverTime(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch).UTC()
}
