package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"waybill/cdc"
	"waybill/sinks"
)

// Publisher writes events into files. It implements sinks.Publisher.
type Publisher struct {
	cfg Config

	mu     sync.Mutex
	topics map[string]*topic
	stop   chan struct{} // closed by Close; nil while nothing was written
	ended  chan struct{}
	broken map[string]bool // topics whose file could not be closed: they are opened again
}

var _ sinks.Publisher = (*Publisher)(nil)

const (
	batchMost = 1000
	bytesMost = 4 << 20
	lookEvery = time.Second // for files whose time has come
)

// New makes a publisher; nothing is opened. The configuration must be valid.
func New(c Config) *Publisher {
	return &Publisher{cfg: c.withDefaults(), topics: map[string]*topic{}, broken: map[string]bool{}}
}

// Terms implements sinks.Publisher.
func (p *Publisher) Terms() sinks.Terms {
	return sinks.Terms{Batch: batchMost, Bytes: bytesMost, Parallel: 1, Remembers: true}
}

// Publish implements sinks.Publisher. What is applied is on disk.
func (p *Publisher) Publish(_ context.Context, events []sinks.Publication) []sinks.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tend()
	outcomes := make([]sinks.Outcome, len(events))
	stopped := map[string]bool{} // order keys
	var order []string
	lines, places := map[string][][]byte{}, map[string][]int{}
	for i := range events {
		e := &events[i]
		if stopped[e.Event.OrderKey] {
			outcomes[i] = sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeBehind, Message: "An event before it was not written."}
			continue
		}
		line, err := p.cfg.line(e)
		if err != nil {
			stopped[e.Event.OrderKey] = true
			outcomes[i] = sinks.Outcome{Class: sinks.Rejected, Code: "NOT_WRITTEN", Message: err.Error(), Hint: "Correct the columns of the sink, then retry."}
			continue
		}
		if lines[e.Topic] == nil {
			order = append(order, e.Topic)
		}
		lines[e.Topic], places[e.Topic] = append(lines[e.Topic], line), append(places[e.Topic], i)
	}
	for _, name := range order {
		ids := make([]string, len(places[name]))
		for n, i := range places[name] {
			ids[n] = events[i].Event.ID
		}
		o := p.write(name, lines[name], ids)
		for _, i := range places[name] {
			outcomes[i] = o
		}
	}
	return outcomes
}

func (p *Publisher) write(name string, lines [][]byte, ids []string) sinks.Outcome {
	t, err := p.topic(name)
	if err == nil {
		err = t.write(lines, ids, time.Now())
	}
	if err == nil {
		return sinks.Outcome{Class: sinks.Applied}
	}
	if t != nil {
		p.giveUp(name, t)
	}
	return failed(err)
}

// giveUp leaves a topic as a kill would.
func (p *Publisher) giveUp(name string, t *topic) {
	_ = t.abandon() // whatever it says: opening the files again shows how they stand
	p.broken[name] = true
	delete(p.topics, name)
}

// failed is the outcome of a folder that cannot be written.
func failed(err error) sinks.Outcome {
	o := sinks.Outcome{Class: sinks.RetryLater, Code: "OUTAGE", Outage: true, Message: err.Error()}
	if errors.Is(err, fs.ErrPermission) {
		o.Class, o.Code, o.Outage, o.Hint = sinks.Setup, "AUTH", false, "Give Waybill's user the right to write the folder."
	}
	return o
}

func (p *Publisher) topic(name string) (*topic, error) {
	if t := p.topics[name]; t != nil {
		return t, nil
	}
	t, err := openTopic(&p.cfg, name)
	if err != nil {
		return nil, err
	}
	p.topics[name] = t
	delete(p.broken, name)
	return t, nil
}

// tend begins to look for files whose time has come, once. The caller holds the lock.
func (p *Publisher) tend() {
	if p.stop != nil {
		return
	}
	p.stop, p.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.ended)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case now := <-tick.C:
				p.turn(now)
			}
		}
	}()
}

// turn closes the files whose time has come. What fails is tried again by the next turn.
func (p *Publisher) turn(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.broken {
		_, _ = p.topic(name) // it stays broken
	}
	for name, t := range p.topics {
		if t.due(now, 0) && t.close() != nil {
			p.giveUp(name, t)
		}
	}
}

// Seen implements sinks.Publisher: the lists name the events of the records that count.
func (p *Publisher) Seen(_ context.Context, events []sinks.Publication) ([]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := map[string]map[string]bool{}
	seen := make([]bool, len(events))
	for i, e := range events {
		if known[e.Topic] == nil {
			ids, err := p.ids(e.Topic)
			if err != nil {
				return nil, fmt.Errorf("reading the lists of %s: %w", e.Topic, err)
			}
			known[e.Topic] = ids
		}
		seen[i] = known[e.Topic][e.Event.ID]
	}
	return seen, nil
}

// ids are the events that the lists of a topic name.
func (p *Publisher) ids(name string) (map[string]bool, error) {
	t, err := p.topic(name)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	note := func(l *list) {
		if l == nil {
			return
		}
		for _, r := range l.records {
			ids[r.id] = true
		}
	}
	note(t.list)
	paths, err := closedLists(p.cfg.Folder, name)
	for _, path := range paths {
		if err != nil {
			break
		}
		var l *list
		if l, err = readList(path); err == nil {
			note(l)
		}
	}
	return ids, err
}

// Check implements sinks.Publisher.
func (p *Publisher) Check(context.Context) ([]cdc.Finding, error) {
	f := cdc.Finding{Check: "folder", Level: cdc.LevelOK, Found: p.cfg.Folder}
	folder := p.cfg.Folder
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		f.Found += ", which the first event makes"
		folder = filepath.Dir(folder)
		info, err = os.Stat(folder)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking at the folder: %w", err)
	case !info.IsDir():
		f.Level, f.Found, f.Want = cdc.LevelFail, folder+" is no folder", "a folder"
	case syscall.Access(folder, accessWrite) != nil:
		f.Level, f.Want, f.Fix = cdc.LevelFail, "the right to write "+folder, "chown waybill "+folder
	}
	return []cdc.Finding{f}, nil
}

// accessWrite is W_OK of access(2).
const accessWrite = 2

// Identity implements sinks.Publisher: the folder.
func (p *Publisher) Identity(context.Context) (string, error) {
	path, err := filepath.Abs(p.cfg.Folder)
	if err != nil {
		return "", fmt.Errorf("the path of the folder: %w", err)
	}
	return "file/" + path, nil
}

// Close implements sinks.Publisher: files that have something get their name.
func (p *Publisher) Close() error {
	p.mu.Lock()
	stop, ended := p.stop, p.ended
	p.mu.Unlock()
	if stop != nil {
		close(stop)
		<-ended
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for name, t := range p.topics {
		if err := t.close(); err != nil {
			errs = append(errs, fmt.Errorf("closing the file of %s: %w", name, err))
		}
	}
	p.topics, p.stop = map[string]*topic{}, nil
	return errors.Join(errs...)
}
