package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// lines are the open connections. kafka-go closes idle ones only; an end of the sink shall end all.
type lines struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

var errClosed = errors.New("the sink is closed")

// dial opens a connection that Close ends.
func (l *lines) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, errClosed
	}
	kept := &line{c, l}
	l.open[kept] = struct{}{}
	return kept, nil
}

func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	var open []net.Conn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

type line struct {
	net.Conn
	of *lines
}

// Close ends the connection; its list forgets it.
func (c *line) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
