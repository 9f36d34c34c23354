package sinktest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what happens to a request.
type Fault string

// The faults that a FaultProxy has.
const (
	Pass       Fault = "pass"
	DropAnswer Fault = "drop_answer" // the server gets the request and does it; the answer is lost
	BlackHole  Fault = "black_hole"  // the request goes nowhere and nobody answers
	Delay      Fault = "delay"       // the request reaches the server late, whether or not the client still waits
	Refuse     Fault = "refuse"      // the request goes nowhere and the connection is reset
	TooMany    Fault = "too_many"    // the request goes nowhere and is answered with 429, to come again in a second
)

// FaultProxy stands before an HTTP server and lets each connection have one request, as Tryton does. Faults are switched while
// it runs, and hold for requests from then on.
type FaultProxy struct {
	listener net.Listener
	target   string
	requests atomic.Int64
	hurt     atomic.Int64
	done     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex
	order ProxyFault
	rnd   *rand.Rand
	conns map[net.Conn]struct{}
}

// StartFaultProxy starts a proxy before target (host:port) that passes everything on, until the test ends.
func StartFaultProxy(tb testing.TB, target string, seed uint64) *FaultProxy {
	tb.Helper()
	p, err := NewFaultProxy(target, seed)
	if err != nil {
		tb.Fatalf("starting the fault proxy: %v", err)
	}
	tb.Cleanup(p.Close)
	return p
}

// NewFaultProxy starts a proxy; Close ends it.
func NewFaultProxy(target string, seed uint64) (*FaultProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the fault proxy: %w", err)
	}
	p := &FaultProxy{listener: l, target: target, done: make(chan struct{}), rnd: rand.New(rand.NewPCG(seed, 1)),
		order: ProxyFault{Fault: Pass}, conns: map[net.Conn]struct{}{}}
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// URL is the proxy's address as a client uses it.
func (p *FaultProxy) URL() string { return "http://" + p.listener.Addr().String() }

// ProxyFault says which requests suffer what.
type ProxyFault struct {
	Fault Fault
	Match string        // only requests that contain this text: a method's name, a reference
	Share float64       // of those; 0 means all
	Count int           // at most so many; 0 without bound
	Delay time.Duration // for Delay
}

// Set switches a fault; Pass ends it.
func (p *FaultProxy) Set(f ProxyFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order = f
}

// Requests is how many came, and how many of them suffered.
func (p *FaultProxy) Requests() (all, hurt int64) { return p.requests.Load(), p.hurt.Load() }

// Close ends the proxy and every connection.
func (p *FaultProxy) Close() {
	select {
	case <-p.done:
		return
	default:
	}
	close(p.done)
	p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *FaultProxy) accept() {
	defer p.wg.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Add(1)
		go p.serve(c)
	}
}

// draw decides the fate of one request.
func (p *FaultProxy) draw(request []byte) ProxyFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.order
	if f.Fault == Pass || f.Count < 0 || !bytes.Contains(request, []byte(f.Match)) || (f.Share > 0 && p.rnd.Float64() >= f.Share) {
		return ProxyFault{Fault: Pass}
	}
	if f.Count > 0 {
		if p.order.Count--; p.order.Count == 0 {
			p.order.Count = -1 // used up
		}
	}
	p.hurt.Add(1)
	return f
}

func (p *FaultProxy) serve(c net.Conn) {
	defer p.wg.Done()
	defer p.hold(c)()
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	req.Header.Set("Connection", "close") // the server ends the connection behind its answer, and says so
	raw, err := httputil.DumpRequest(req, true)
	if err != nil {
		return
	}
	p.requests.Add(1)
	f := p.draw(raw)
	switch f.Fault {
	case Refuse:
		reset(c)
		return
	case TooMany:
		_, _ = io.WriteString(c, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	case BlackHole:
		_, _ = io.Copy(io.Discard, c) // until the client gives up
		return
	case Delay:
		select {
		case <-time.After(f.Delay):
		case <-p.done:
			return
		}
	}
	s, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		reset(c)
		return
	}
	defer p.hold(s)()
	if _, err := s.Write(raw); err != nil {
		reset(c)
		return
	}
	if f.Fault == DropAnswer {
		_, _ = io.Copy(io.Discard, s) // whole, so the server has certainly committed
		reset(c)
		return
	}
	_, _ = io.Copy(c, s)
}

// reset makes the close of a connection an error for the other side, not an end of file.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

// hold remembers a connection until it is released, so that Close can end it.
func (p *FaultProxy) hold(c net.Conn) (release func()) {
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	return func() {
		c.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}
}
