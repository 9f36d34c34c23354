package postgres

import "net"

// gather takes what the socket has in one read and hands it on in pieces. It lies below TLS, whose reader returns one record
// at a time: the server makes a record of each message, and without it every record would be a read of its own, which
// the wire's pauses would then space out (measured: 20 000 small rows in 12 s instead of 0.4 s).
type gather struct {
	net.Conn
	buf  []byte
	r, w int // unread bytes are buf[r:w]
}

// NetConn returns the connection below.
func (g *gather) NetConn() net.Conn { return g.Conn }

const gatherSize = 64 << 10

func (g *gather) Read(p []byte) (int, error) {
	if g.r == g.w {
		n, err := g.Conn.Read(g.buf)
		g.r, g.w = 0, n
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, g.buf[g.r:g.w])
	g.r += n
	return n, nil
}

// holds reports whether a read would find bytes without asking the socket.
func (g *gather) holds() bool { return g.r < g.w }
