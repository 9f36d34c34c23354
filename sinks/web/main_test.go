package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving is a target that answers as the test says.
func serving(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server
}

// client is one with these credentials.
func client(t *testing.T, c AuthConfig, o Options, target string) *Client {
	t.Helper()
	if err := c.Validate("auth."); err != nil {
		t.Fatal(err)
	}
	cl, err := c.Client(o, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// clock is a time that the test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time           { return time.Unix(0, c.at.Load()) }
func (c *clock) forward(by time.Duration) { c.at.Add(int64(by)) }

// vault is a secret that the test rotates.
type vault struct {
	mu   sync.Mutex
	text string
}

func (v *vault) set(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text = text
}

func (v *vault) secret() Secret {
	return From(func() (string, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.text == "" {
			return "", fmt.Errorf("no such file")
		}
		return v.text, nil
	})
}

// many calls f from n goroutines at once and waits for all.
func many(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func get(c *Client, url string) Answer {
	return c.Do(context.Background(), Request{Method: "GET", URL: url})
}

func post(c *Client, url string) Answer {
	return c.Do(context.Background(), Request{Method: "POST", URL: url, Body: []byte(`{"n":1}`)})
}

// listen is a server that deals with bare connections.
func listen(t *testing.T, serve func(n int, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); serve(n, c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}
