package cdc

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// Pace is the least time between two batches while transactions follow one another closely: see Collect.
const Pace = 20 * time.Millisecond

// Arrived is how long the read behind Collect may wait for what has come by then.
const Arrived = 200 * time.Microsecond

// stillMost bounds the time in which nobody reads: what is not read is not acknowledged at once, and a server that has only small
// messages on their way sends few of them ahead.
const stillMost = 5 * time.Millisecond

// stillBytes may arrive while nobody is woken; with more the server would soon have to wait.
const stillBytes = 128 << 10

// Collect lets transactions come in that follow closely on those that were handed on last. Each batch is synced, projected and
// confirmed: one for each of a thousand transactions a second would take the disk and the processors from the database beside us,
// and so would it to be woken for each message (Invariant 13). The caller reads what has come and calls it again until d, the time that is left, is over.
func Collect(ctx context.Context, conn net.Conn, d time.Duration) {
	quiet := wakeAt(conn, stillBytes)
	t := time.NewTimer(min(d, stillMost))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	if quiet {
		wakeAt(conn, 1)
	}
}

// wakeAt sets how many bytes must have arrived before who waits for the connection is woken (SO_RCVLOWAT of socket(7)), and reports
// whether it could.
func wakeAt(conn net.Conn, bytes int) bool {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case syscall.Conn:
			raw, err := c.SyscallConn()
			if err != nil {
				return false
			}
			set := error(nil)
			err = raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes) })
			return err == nil && set == nil
		default:
			return false
		}
	}
}
