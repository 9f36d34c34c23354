package sinktest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what a FaultProxy does to a connection.
type Fault string

// The faults.
const (
	Pass       Fault = "pass"
	DropAnswer Fault = "drop_answer" // the server gets the request and does it; the answer is lost
	BlackHole  Fault = "black_hole"  // accepts, passes nothing on, never answers
	Delay      Fault = "delay"       // passes the answer on late
	Refuse     Fault = "refuse"      // closes the connection at once
)

// FaultProxy is a TCP proxy in front of a server that speaks one request a connection, as Tryton does. Faults are switched
// while it runs, and hold for connections made from then on.
type FaultProxy struct {
	listener net.Listener
	target   string
	accepted atomic.Int64
	faulty   atomic.Int64
	done     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex
	fault Fault
	rate  float64
	delay time.Duration
	left  int // connections still to hurt; negative: all
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
	p := &FaultProxy{listener: l, target: target, fault: Pass, rate: 1, left: -1, done: make(chan struct{}),
		rnd: rand.New(rand.NewPCG(seed, 1)), conns: map[net.Conn]struct{}{}}
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// URL is the proxy's address as a client uses it.
func (p *FaultProxy) URL() string { return "http://" + p.listener.Addr().String() }

// Set makes all further connections suffer a fault.
func (p *FaultProxy) Set(f Fault) { p.SetFault(f, 1, -1, time.Second) }

// SetFault makes a share of the further connections suffer a fault, at most count of them (negative: without bound).
// delay is for Delay alone.
func (p *FaultProxy) SetFault(f Fault, share float64, count int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.rate, p.left, p.delay = f, share, count, delay
}

// Connections is how many were accepted, and how many of them suffered.
func (p *FaultProxy) Connections() (all, hurt int64) { return p.accepted.Load(), p.faulty.Load() }

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
		p.accepted.Add(1)
		f, delay := p.draw()
		if f != Pass {
			p.faulty.Add(1)
		}
		p.wg.Add(1)
		go p.serve(c, f, delay)
	}
}

// draw decides the fate of one connection.
func (p *FaultProxy) draw() (Fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == Pass || p.left == 0 || p.rnd.Float64() >= p.rate {
		return Pass, 0
	}
	if p.left > 0 {
		p.left--
	}
	return p.fault, p.delay
}

func (p *FaultProxy) serve(c net.Conn, f Fault, delay time.Duration) {
	defer p.wg.Done()
	defer p.hold(c)()
	switch f {
	case Refuse:
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, not an end of file
		}
		return
	case BlackHole:
		_, _ = io.Copy(io.Discard, c) // until the client gives up
		return
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	s, err := d.DialContext(ctx, "tcp", p.target)
	cancel()
	if err != nil {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		return
	}
	defer p.hold(s)()
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		_, _ = io.Copy(s, c)
		if f != DropAnswer { // a client that gave up is of no concern to the server
			if t, ok := s.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
		}
	}()
	switch f {
	case DropAnswer:
		// The answer is read whole before the client is cut off: the server has certainly committed.
		_, _ = io.Copy(io.Discard, s)
	case Delay:
		select {
		case <-time.After(delay):
		case <-p.done:
		}
		_, _ = io.Copy(c, s)
	default:
		_, _ = io.Copy(c, s)
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
