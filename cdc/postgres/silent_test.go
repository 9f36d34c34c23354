package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// relay passes on connections to an address until it is frozen: from then on it keeps them open and moves nothing, as a network
// that lost one side does.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	frozen   chan struct{}
	open     []net.Conn
	group    sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, frozen: make(chan struct{})}
	r.group.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.open = append(r.open, near, far)
			r.mu.Unlock()
			r.group.Go(func() { r.pass(near, far) })
			r.group.Go(func() { r.pass(far, near) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		for _, c := range r.open {
			c.Close()
		}
		r.mu.Unlock()
		r.group.Wait()
	})
	return r
}

func (r *relay) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-r.frozen:
			_, _ = io.Copy(io.Discard, from) // the sender's kernel takes it all
			return
		default:
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// A link that carries nothing any more and says nothing of it ends the session within a bound, although an idle source hands on
// watermarks all the time.
func TestSilentLink(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE quiet (id int PRIMARY KEY)`)
	cfg := config(p, "quiet")
	r := newRelay(t, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	cfg.Host, cfg.Port = "127.0.0.1", r.listener.Addr().(*net.TCPAddr).Port
	cfg.Heartbeat = 200 * time.Millisecond
	s := postgres.New(cfg, []cdc.Selection{selection("quiet", "id")}, logger(t))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.Open(ctx, ""); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 2*time.Second; { // watermarks of a link that is well
		if _, err := s.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(r.frozen)
	frozen := time.Now()
	for {
		_, err := s.Next(ctx)
		if errors.Is(err, cdc.ErrDisconnected) {
			break
		}
		if err != nil {
			t.Fatalf("after %s: %v", time.Since(frozen), err)
		}
	}
	if took := time.Since(frozen); took > 25*time.Second {
		t.Errorf("the link was given up after %s", took)
	}
}
