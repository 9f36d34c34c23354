package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Bounds of the network tests, with a heartbeat of 1 s.
const (
	feltWithin  = 30 * time.Second // a link that carries nothing is reported
	againWithin = 60 * time.Second // and the stream goes on after it carries again: the longest back-off is 30 s
)

// TestNetwork puts a proxy between the daemon and each database: it is cut, in the first reading too, falls silent with
// all connections open, and is slow. The daemon says so, comes back, and has lost nothing.
func TestNetwork(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := newLink(t, kind)
			l.slow(300)
			l.launch()
			l.until(againWithin, "the tables are being read", func() bool {
				src, _ := l.source()
				return len(src.Readings) > 0
			})
			l.cut("while the tables are read")
			l.clear("slow")
			l.streams("while the tables are read", againWithin)

			l.cut("while streaming")
			l.send(20)
			l.streams("while streaming", againWithin)

			l.silent()
			l.send(20)
			l.felt("silent")
			l.clear("upstream")
			l.streams("silent", againWithin)

			l.slow(20)
			l.crawls(200)
			l.clear("slow")
			l.streams("slow", againWithin)
			l.settled(time.Minute)
			l.compare()
			l.stop()
		})
	}
}

// link is an engine behind a proxy.
type link struct {
	*engine
	proxy *toxiproxy.Proxy
	rows  int
}

func newLink(t *testing.T, kind string) *link {
	l := &link{engine: newEngine(t, kind)}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l.proxy = toxiproxy.NewProxy(server, kind, "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	if _, err := fmt.Sscanf(l.proxy.Listen, "127.0.0.1:%d", &l.port); err != nil {
		t.Fatal(err)
	}
	l.sql(l.db, "CREATE TABLE sent (k bigint PRIMARY KEY, note varchar(200) NOT NULL)")
	l.sql(l.db, fmt.Sprintf("INSERT INTO sent SELECT 1000000 + n, md5(concat(n, 'ballast')) FROM %s", l.series(20_000)))
	l.configure(customersOf("sent", "k < 100000", "k", "note"), "")
	l.send(10)
	return l
}

// send commits rows.
func (l *link) send(rows int) {
	l.t.Helper()
	for range rows {
		l.rows++
		l.sql(l.db, l.text("INSERT INTO sent VALUES ($1, 'sent')"), l.rows)
	}
}

func (l *link) toxic(json string) {
	l.t.Helper()
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		l.t.Fatal(err)
	}
}

// slow lets kilobytes a second through, late.
func (l *link) slow(kilobytes int) {
	l.toxic(fmt.Sprintf(`{"name": "slow", "type": "bandwidth", "stream": "downstream", "attributes": {"rate": %d}}`, kilobytes))
	l.toxic(`{"name": "late", "type": "latency", "stream": "downstream", "attributes": {"latency": 100, "jitter": 50}}`)
}

// silent lets nothing through any more, in either direction; no connection ends.
func (l *link) silent() {
	l.toxic(`{"name": "upstream", "type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`)
	l.toxic(`{"name": "late", "type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`)
}

// clear ends what slow or silent began.
func (l *link) clear(name string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, n := range []string{name, "late"} {
		if err := l.proxy.Toxics.RemoveToxic(ctx, n); err != nil {
			l.t.Fatal(err)
		}
	}
}

// cut ends every connection, refuses new ones until the daemon has said so, and connects again.
func (l *link) cut(when string) {
	l.t.Helper()
	l.proxy.Stop()
	l.felt("cut " + when)
	if err := l.proxy.Start(); err != nil {
		l.t.Fatal(err)
	}
}

// felt waits until the status names the source and its trouble.
func (l *link) felt(what string) {
	l.t.Helper()
	begun := time.Now()
	l.until(feltWithin, "the status says so: "+what, func() bool {
		src, problems := l.source()
		return src.State != "" && src.State != "streaming" && strings.Contains(problems, "source db is")
	})
	src, problems := l.source()
	l.t.Logf("%s, %s: felt after %s: %s", l.kind, what, time.Since(begun).Round(10*time.Millisecond), problems)
	if src.State == "stopped" {
		l.t.Fatalf("the source does not come back by itself: %s", src.Error)
	}
}

// streams waits until everything that is committed by now is captured.
func (l *link) streams(what string, within time.Duration) {
	l.t.Helper()
	begun := time.Now()
	l.until(within, "the stream goes on after it was "+what, func() bool {
		src, _ := l.source()
		return src.State == "streaming" && src.Watermark.After(begun)
	})
	l.t.Logf("%s, %s: captured to the present after %s", l.kind, what, time.Since(begun).Round(10*time.Millisecond))
}

// crawls sends rows over the slow link: they arrive, and the source streams all the while.
func (l *link) crawls(rows int) {
	l.t.Helper()
	begun := time.Now()
	before, _ := l.source()
	l.send(rows)
	l.until(againWithin, "the rows come over the slow link", func() bool {
		src, problems := l.source()
		if src.State != "" && src.State != "streaming" {
			l.t.Fatalf("on a slow link the source is %s: %s", src.State, problems)
		}
		return src.Changes >= before.Changes+uint64(rows)
	})
	l.t.Logf("%s: %d rows over the slow link in %s", l.kind, rows, time.Since(begun).Round(10*time.Millisecond))
}

// compare proves that each row was delivered once.
func (l *link) compare() {
	l.t.Helper()
	got := l.effects()
	for k := 1; k <= l.rows; k++ {
		if n := got[fmt.Sprint(k)]; n != 1 {
			l.t.Errorf("row %d was delivered %d times", k, n)
		}
	}
	if len(got) != l.rows {
		l.t.Errorf("%d rows were delivered, %d sent", len(got), l.rows)
	}
}
