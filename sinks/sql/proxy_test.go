package sql

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// tcpProxy stands before a database and loses, on demand, what it answers to the next COMMIT, or every connection.
type tcpProxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	lose  bool // the answer to the next COMMIT
	down  bool
	lost  int // answers
	conns map[net.Conn]bool
}

func startProxy(t *testing.T, target string) *tcpProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tcpProxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.unreachable()
		p.wg.Wait()
	})
	return p
}

func (p *tcpProxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *tcpProxy) loseCommit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = true
}

func (p *tcpProxy) unreachable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		reset(c)
	}
}

func (p *tcpProxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.down = false, false
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // so that the other side sees an error, and no end
	}
	c.Close()
}

func (p *tcpProxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *tcpProxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		reset(c)
		return false
	}
	p.conns[c] = true
	return true
}

func (p *tcpProxy) serve(client net.Conn) {
	if !p.hold(client) {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.hold(server) {
		reset(client)
		return
	}
	var losing atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		pass(client, server, func(b []byte) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.lose && bytes.Contains(b, []byte("COMMIT")) {
				p.lose = false
				losing.Store(true)
			}
			return true
		})
	})
	wg.Go(func() {
		pass(server, client, func([]byte) bool {
			if !losing.Load() {
				return true
			}
			p.mu.Lock()
			p.lost++ // the server has answered, so it has committed
			p.mu.Unlock()
			return false
		})
	})
	wg.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// pass copies until one side ends or look says no, and ends both.
func pass(from, to net.Conn, look func([]byte) bool) {
	defer reset(to)
	defer reset(from)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !look(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
