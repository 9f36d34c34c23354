package kafka

import (
	"context"
	"sync"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
)

// feed publishes as the daemon's feed does: at least once, each order key in its order, never two calls with events of one key. Its events are made
// as they are needed.
type feed struct {
	t     *testing.T
	k     *sinktest.Kafka
	topic string
	keys  int // of each worker

	mu     sync.Mutex
	p      *Publisher
	ctx    context.Context // of the process that p stands for
	kill   context.CancelFunc
	sent   map[string]bool // ids of all that were made
	done   int
	failed map[string]int // classes and codes of what was not done
	after  int            // so many were seen after a restart
}

const workers = 2

func newFeed(t *testing.T, k *sinktest.Kafka, topic string, keys int) *feed {
	f := &feed{t: t, k: k, topic: topic, keys: keys, sent: map[string]bool{}, failed: map[string]int{}}
	f.begin()
	return f
}

// begin starts a process.
func (f *feed) begin() {
	p := New(Config{Brokers: f.k.Brokers(), Timeout: 4 * time.Second})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.p = p
	f.ctx, f.kill = context.WithCancel(context.Background())
}

// crash ends the process with whatever is under way, and starts another.
func (f *feed) crash() {
	f.mu.Lock()
	p, kill := f.p, f.kill
	f.mu.Unlock()
	kill()
	if err := p.Close(); err != nil { // the connections break
		f.t.Error(err)
	}
	f.begin()
}

func (f *feed) process() (*Publisher, context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.p, f.ctx
}

// run publishes until stop is closed and nothing is left.
func (f *feed) run(stop <-chan struct{}) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f.work(w, stop) })
	}
	wg.Wait()
	if err := f.p.Close(); err != nil {
		f.t.Error(err)
	}
	f.kill()
}

// work is one worker; its keys are its own.
func (f *feed) work(w int, stop <-chan struct{}) {
	next := make([]int, f.keys)
	var open []sinks.Publication // made and not recorded as done
	for n := 0; ; n++ {
		select {
		case <-stop:
			if len(open) == 0 {
				return
			}
		default:
			open = append(open, f.more(w, n, next, 40-len(open))...)
		}
		p, ctx := f.process()
		out := p.Publish(ctx, open)
		if ctx.Err() != nil { // the process was killed: nothing of what came out was recorded
			open = f.unseen(open)
			continue
		}
		if open = f.record(open, out); len(open) > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// more makes events of the worker's keys in turn.
func (f *feed) more(w, n int, next []int, count int) []sinks.Publication {
	var list []sinks.Publication
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range max(0, count) {
		key := (n*7 + i) % f.keys
		next[key]++
		e := some(1000*w+key, next[key])
		e.Topic = f.topic
		f.sent[e.Event.ID] = true
		list = append(list, e)
	}
	return list
}

// record takes out what is done.
func (f *feed) record(open []sinks.Publication, out []sinks.Outcome) (left []sinks.Publication) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range out {
		if o.Done() {
			f.done++
			continue
		}
		f.failed[string(o.Class)+" "+o.Code]++
		if o.Class != sinks.RetryLater {
			f.t.Errorf("event %s: %+v", open[i].Event.ID, o)
		}
		left = append(left, open[i])
	}
	return left
}

// unseen is what a process asks for when it has started: what of the events is not there yet.
func (f *feed) unseen(open []sinks.Publication) (left []sinks.Publication) {
	deadline := time.Now().Add(time.Minute)
	for {
		p, ctx := f.process()
		seen, err := p.Seen(ctx, open)
		if err != nil {
			if time.Now().After(deadline) {
				f.t.Errorf("asking for what is there: %v", err)
				return open
			}
			time.Sleep(20 * time.Millisecond)
			continue
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, there := range seen {
			if there {
				f.done++
				f.after++
				continue
			}
			left = append(left, open[i])
		}
		return left
	}
}

func (f *feed) counts() (sent, done, after int, failed map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed = map[string]int{}
	for name, n := range f.failed {
		failed[name] = n
	}
	return len(f.sent), f.done, f.after, failed
}
