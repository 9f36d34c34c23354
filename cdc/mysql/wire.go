package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

const (
	wireBuffer = 1 << 20 // what one read of the socket may bring
	maxPacket  = 1 << 30 // the server's own bound (max_allowed_packet)
	maxFrame   = 1<<24 - 1
)

// wire reads the packets that a server sends after a COM_BINLOG_DUMP or COM_QUERY, in place: the client library copies
// each packet three times and allocates for it, which is most of its cost. It is used by one goroutine.
type wire struct {
	conn       net.Conn
	buf        []byte
	start, end int       // unread bytes
	heardAt    time.Time // last time that bytes came
	// quiet is how long the server may be silent before the link is taken for dead.
	quiet time.Duration

	poked atomic.Bool
}

func newWire(conn net.Conn, quiet time.Duration) *wire {
	return &wire{conn: conn, buf: make([]byte, wireBuffer), heardAt: time.Now(), quiet: quiet}
}

// errDue is returned by packet when until has passed without a whole packet. Nothing is lost.
var errDue = errors.New("due")

// errNudged is returned by packet after a nudge. Nothing is lost.
var errNudged = errors.New("nudged")

// nudge makes packet return, now if it waits, else when it would wait next. Any goroutine may call it.
func (w *wire) nudge() {
	w.poked.Store(true)
	_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the read; it fails only on a closed connection
}

// buffered reports whether a whole packet can be had without waiting.
func (w *wire) buffered() bool {
	_, ok := w.frame()
	return ok
}

// frame returns the length of the frames that make up the packet at start, headers included.
func (w *wire) frame() (total int, ok bool) {
	have := w.end - w.start
	for {
		if have < total+4 {
			return total + 4, false
		}
		n := frameLength(w.buf[w.start+total:])
		total += 4 + n
		if n < maxFrame {
			return total, have >= total
		}
	}
}

func frameLength(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// packet returns the next packet's payload, which is valid until the next call. It waits until the time given, or until
// ctx ends, or until the server has been silent for too long, which is cdc.ErrDisconnected.
func (w *wire) packet(ctx context.Context, until time.Time) ([]byte, error) {
	total, ok := w.frame()
	for !ok {
		if err := w.fill(ctx, until, total); err != nil {
			return nil, err
		}
		total, ok = w.frame()
	}
	raw := w.buf[w.start : w.start+total]
	w.start += total
	if n := frameLength(raw); n < maxFrame {
		return raw[4:], nil
	}
	return joinFrames(raw), nil
}

// joinFrames moves the payloads of a packet of 16 MiB or more together, over the headers between them.
func joinFrames(raw []byte) []byte {
	out := 0
	for in := 0; in < len(raw); {
		n := frameLength(raw[in:])
		out += copy(raw[out:], raw[in+4:in+4+n])
		in += 4 + n
	}
	return raw[:out]
}

// fill reads once, after making room for a packet of the given size.
func (w *wire) fill(ctx context.Context, until time.Time, need int) error {
	if need > maxPacket {
		return fmt.Errorf("reading a packet: longer than %d bytes", maxPacket)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.room(need)
	deadline := w.heardAt.Add(w.quiet)
	if !until.IsZero() && until.Before(deadline) {
		deadline = until
	}
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	if w.poked.Swap(false) { // after the deadline was set: a later nudge puts it back again
		return errNudged
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetReadDeadline(time.Unix(1, 0)) }) // wakes the read; it fails only on a closed connection
	n, err := w.conn.Read(w.buf[w.end:])
	stop()
	w.end += n
	if n > 0 {
		w.heardAt = time.Now()
		return nil
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded) && w.poked.Swap(false):
		return errNudged
	case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(w.heardAt) < w.quiet:
		return errDue
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: the server has been silent for %v", cdc.ErrDisconnected, w.quiet)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the server closed the connection", cdc.ErrDisconnected)
	}
	return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
}

// room moves the unread bytes to the front when the end is near, and grows the buffer when one packet does not fit. A
// buffer that grew is given back once it is read.
func (w *wire) room(need int) {
	if w.start == w.end {
		w.start, w.end = 0, 0
		if len(w.buf) > wireBuffer && need <= wireBuffer {
			w.buf = make([]byte, wireBuffer)
		}
	}
	if len(w.buf)-w.start >= need && w.end < len(w.buf) {
		return
	}
	w.end = copy(w.buf, w.buf[w.start:w.end])
	w.start = 0
	if need > len(w.buf) {
		// Twice as much at a time: a length that a server claims is believed only as its bytes arrive.
		bigger := make([]byte, min(need, max(2*len(w.buf), 2*w.end))+4)
		copy(bigger, w.buf[:w.end])
		w.buf = bigger
	}
}

// serverError reads an ERR packet.
func serverError(packet []byte) *driver.MyError {
	e := &driver.MyError{Code: driver.ER_UNKNOWN_ERROR, State: "HY000"}
	if len(packet) >= 3 {
		e.Code = binary.LittleEndian.Uint16(packet[1:])
		packet = packet[3:]
		if len(packet) >= 6 && packet[0] == '#' {
			e.State, packet = string(packet[1:6]), packet[6:]
		}
		e.Message = string(packet)
	}
	return e
}
