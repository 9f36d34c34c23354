package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// Options are what a pipeline works with. The caller opens and closes the store; the pipeline closes sources, sinks, publishers and services.
type Options struct {
	Store    *checkpoint.Store
	Carriers *transform.Carriers // the mappings to run; activated when they are not the active ones
	Sources  map[string]cdc.Source
	Places   map[string]string // source name → its database on the server: part of the binding
	Codecs   cdc.Codecs
	Readings map[string]ReadingOptions // per source
	Sinks    map[string]sinks.Sink
	Services map[string]Service // whom the mappings' lookups may ask, sinks that answer among them
	Workers  map[string]int     // deliveries in flight per lane and sink; default 4
	Retry    map[string]Retry   // per sink
	Version  string             // of the program, for Status
	Grace    time.Duration      // how long sends may take to end at shutdown; default 30 s
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil for none
	Idle     func()                // called when the projector has had no changes for some seconds, once each time; may be nil
	// Reread reads the configuration again: what of it changed that a running daemon can take, and what takes it, with the bounds that follow, by the
	// names of sinks and services. The error says what is wrong with it, or needs a restart. nil when there is nothing to read.
	Reread func() (changed Reload, apply func() map[string]Tuning, err error)
	Ready  func() // called once, when every source streams; may be nil

	// Publishers take events as they are. Their names are not those of Sinks; their calls at the same time are bounded by Workers.
	Publishers map[string]sinks.Publisher
}

// Pipeline captures every source into the journal, projects it and runs the lanes.
type Pipeline struct {
	o        Options
	store    *checkpoint.Store
	project  *projector
	captures []*capture
	targets  []*target
	lanes    []*lane
	askers   []*asker
	feeds    []*feed
	log      *slog.Logger
	metrics  *metrics
	started  time.Time
	changed  string // mapping active before this start
	trim     chan struct{}
	xrefs    sync.Mutex // held while a decision about the registry is previewed and journalled
	flows    sync.Mutex // held while a flow is paused or resumed, or the configuration is read again
	sides    sync.Mutex // held while a question is answered in a side state
	// activated is the version that a person activated since the start; nil for none.
	activated atomic.Pointer[string]
}

// Bounds and defaults.
const (
	defaultWorkers = 4
	defaultGrace   = 30 * time.Second
	trimEvery      = time.Minute
	idleAfter      = 5 * time.Second
)

// New makes a pipeline; Run starts it.
func New(o Options) (*Pipeline, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	p := &Pipeline{o: o, store: o.Store, log: o.Log, started: time.Now(), metrics: newMetrics(o.Metrics),
		trim: make(chan struct{}, 1)}
	p.project = newProjector(o.Store, o.Codecs, o.Log, p.wake)
	for _, name := range names(o.Sources) {
		c := newCapture(name, o.Sources[name], o.Store, p.metrics, o.Log)
		c.full, c.again = p.trimNow, p.beginAgain
		c.tables = newReader(c, o.Readings[name], func() []reading { return p.project.current(name) })
		p.captures = append(p.captures, c)
	}
	for _, name := range names(o.Sinks) {
		workers := o.Workers[name]
		if workers == 0 {
			workers = defaultWorkers
		}
		t := &target{name: name, sink: o.Sinks[name], workers: workers, retry: o.Retry[name].withDefaults(),
			sequences: map[string]chan struct{}{}, guesses: map[string]string{}}
		p.targets = append(p.targets, t)
		for _, ln := range []transform.Lane{transform.LaneMaster, transform.LaneTransactional} {
			p.lanes = append(p.lanes, newLane(ln, t, o.Store, p.project, p.metrics, o.Log))
		}
	}
	for _, name := range names(o.Publishers) {
		workers := o.Workers[name]
		if workers == 0 {
			workers = defaultWorkers
		}
		p.feeds = append(p.feeds, newFeed(name, o.Publishers[name], workers, o.Retry[name], o.Store, p.project, p.metrics, o.Log))
	}
	for _, name := range names(o.Services) {
		p.askers = append(p.askers, newAsker(name, o.Services[name], o.Store, p.project, p.metrics, o.Log))
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(newCollector(p)); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return p, errors.Join(p.covered(), p.uncovered(o.Carriers.Publishers()), p.answerable(o.Carriers.Asks()))
}

// covered refuses a mapping that names sources or sinks which are not configured.
func (p *Pipeline) covered() error {
	var errs []error
	for _, name := range p.o.Carriers.Sources() {
		if p.o.Sources[name] == nil {
			errs = append(errs, fmt.Errorf("the mapping reads source %q, which the configuration does not have", name))
		}
	}
	for _, t := range p.o.Carriers.Targets() {
		sink, entity := splitTarget(t)
		s := p.o.Sinks[sink]
		if p.o.Publishers[sink] != nil {
			errs = append(errs, fmt.Errorf("the mapping posts to %s, but the sink %q takes events as they are: write it under publish", t, sink))
			continue
		}
		if s == nil {
			errs = append(errs, fmt.Errorf("the mapping posts to sink %q, which the configuration does not have", sink))
			continue
		}
		if _, err := s.Entity(entity); err != nil {
			errs = append(errs, fmt.Errorf("the mapping posts to %s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

func names[T any](m map[string]T) []string {
	list := make([]string, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	sort.Strings(list)
	return list
}

func (p *Pipeline) wake() {
	for _, l := range p.lanes {
		l.notify()
	}
	for _, f := range p.feeds {
		f.notify()
	}
	if p.project.asks.Load() {
		for _, a := range p.askers {
			a.notify()
		}
	}
	for _, c := range p.captures {
		c.tables.notify()
	}
}

// Run works until ctx ends or something makes going on wrong. It returns when everything that it started has ended.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.shutDoors(); err != nil {
		return err
	}
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.o.Grace, stop) })()
	// The projector outlives the lanes, which wait for their outcomes to be applied.
	projecting, endProjection := context.WithCancel(context.WithoutCancel(ctx))
	defer endProjection()
	outer, octx := errgroup.WithContext(ctx)
	inner, ictx := errgroup.WithContext(octx)
	started := make([]chan error, len(p.captures))
	for i, c := range p.captures {
		started[i] = make(chan error, 1)
		inner.Go(func() error { return c.run(ictx, started[i]) })
		if gauged, ok := c.src.(cdc.Gauged); ok {
			inner.Go(func() error { return c.watchRunway(ictx, gauged) })
		}
	}
	inner.Go(func() error { return p.ready(ictx, started) })
	inner.Go(func() error { return p.deliverAll(ictx, hard) })
	inner.Go(func() error { return p.tend(ictx) })
	for _, a := range p.askers {
		inner.Go(func() error { return a.run(ictx) })
	}
	outer.Go(func() error { return p.project.run(projecting) })
	outer.Go(func() error {
		defer endProjection()
		return inner.Wait()
	})
	err := outer.Wait()
	return errors.Join(err, p.close())
}

// ready waits until every source has opened once. A source that cannot start exactly where it must fails the start.
func (p *Pipeline) ready(ctx context.Context, started []chan error) error {
	for i, ch := range started {
		select {
		case err := <-ch:
			if err != nil && final(err) {
				return &StartError{p.captures[i].name, err}
			}
			if err != nil {
				p.log.Warn("source is not reachable yet", "source", p.captures[i].name, "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
	if p.o.Ready != nil {
		p.o.Ready()
	}
	return nil
}

// StartError says that a source cannot start: something outside of Waybill must be set right first.
type StartError struct {
	Source string
	Err    error
}

func (e *StartError) Error() string { return fmt.Sprintf("starting source %s: %v", e.Source, e.Err) }

func (e *StartError) Unwrap() error { return e.Err }

// deliverAll binds each target and runs its lanes, or its feed.
func (p *Pipeline) deliverAll(ctx, hard context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	for _, t := range p.targets {
		group.Go(func() error {
			if err := p.bind(gctx, t); err != nil {
				return err
			}
			lanes, lctx := errgroup.WithContext(gctx)
			for _, l := range p.lanes {
				if l.target == t {
					lanes.Go(func() error { return l.run(lctx, hard) })
				}
			}
			return lanes.Wait()
		})
	}
	for _, f := range p.feeds {
		group.Go(func() error { return p.publishAll(gctx, hard, f) })
	}
	return group.Wait()
}

// trimNow asks tend to trim before its time: the journal is full.
func (p *Pipeline) trimNow() {
	select {
	case p.trim <- struct{}{}:
	default:
	}
}

// tend trims the journal and ends verify-first when its reason is gone.
func (p *Pipeline) tend(ctx context.Context) error {
	tick, rest := time.NewTicker(trimEvery), time.NewTicker(idleAfter)
	defer tick.Stop()
	defer rest.Stop()
	var seen, idle uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
			if n := p.project.mapped(); n != seen {
				seen = n
			} else if n != idle && p.o.Idle != nil {
				idle = n
				p.o.Idle()
			}
			continue
		case <-tick.C:
		case <-p.trim:
		}
		keep, settled, err := p.needed()
		if err != nil {
			return err
		}
		if _, err := p.store.Trim(keep); err != nil {
			p.log.Warn("trimming the journal", "error", err)
		}
		if settled && p.store.Identity().VerifyFirst {
			err := p.doubt(ctx, noteSure)
			if err == nil {
				err = p.store.ClearVerifyFirst()
			}
			if err != nil {
				p.log.Warn("ending verify-first", "error", err)
			}
		}
	}
}

// needed returns the oldest entry that must stay, and whether every source has been read and everything is delivered.
func (p *Pipeline) needed() (keep uint64, settled bool, err error) {
	applied := p.store.Applied().Index // before the view, which may know of more but never of less
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		keep, settled = applied+1, true
		for _, c := range p.captures {
			src, err := s.source(c.name)
			if err != nil {
				return err
			}
			settled = settled && src.Seeded && !p.project.reads(c.name)
			if n := len(src.Parts); n > 0 && !c.leftover(src.Parts[n-1].To, applied) {
				keep = min(keep, src.Parts[0].From)
			}
		}
		if head, _, err := s.first(bucketItem, ""); err != nil {
			return err
		} else if head != "" {
			settled = false
		}
		held, err := s.oldestHeld()
		keep = min(keep, held)
		return err
	})
	return keep, settled, err
}

func (p *Pipeline) close() error {
	var errs []error
	for _, t := range p.targets {
		errs = append(errs, t.sink.Close())
	}
	for _, f := range p.feeds {
		errs = append(errs, f.sink.Close())
	}
	for _, name := range names(p.o.Services) {
		if s, ok := p.o.Services[name].Answerer.(sinks.Service); ok && p.o.Sinks[name] == nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
