package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/alert"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/sinks"
)

func runCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: capture, transform, deliver",
		Long: `Captures the databases into the journal, turns row changes into events and delivers them, until it is told to stop.
SIGTERM or Ctrl-C lets deliveries under way end; a second one ends at once, and what was under way is verified at the
next start. Logs go to standard error.`,
		Example: `  waybill run
  waybill run -c /etc/waybill/northstar.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			err = a.run(c.Context(), cfg)
			if c.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // told to stop while it was starting
			}
			return err
		},
	}
}

// run is the whole daemon. It returns when everything that it started has ended.
func (a *app) run(ctx context.Context, cfg *config.Config) (err error) {
	began := a.now()
	if err := limit(cfg.Limits); err != nil {
		return err
	}
	log := newLog(cfg.Log, a.err)
	carriers, err := readCarriers(cfg.Mapping)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	store, err := checkpoint.Open(cfg.Data, storeOptions(cfg, log, reg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	options := pipeline.Options{Store: store, Carriers: carriers, Codecs: codecs(),
		Version: version().Version, Grace: cfg.Grace, Log: log, Metrics: reg}
	held := newTuned(cfg, reg, log)
	defer func() { err = errors.Join(err, held.close()) }()
	if err := connect(&options, cfg, held, log); err != nil {
		return err
	}
	options.Reread = held.reread
	var p *pipeline.Pipeline
	options.Ready = func() {
		msg, away := "streaming", away(ctx, p)
		if len(away) > 0 {
			msg = "running while sources are away"
		}
		log.Info(msg, "mapping", carriers.Version(), "sources", cfg.SourceNames(), "away", away, "sinks", cfg.SinkNames(),
			"socket", cfg.Admin.Socket, "after", a.now().Sub(began).Round(time.Millisecond))
		debug.FreeOSMemory() // compiling the mapping and opening the store left much behind
	}
	options.Idle = debug.FreeOSMemory // after a burst: what it needed is for the neighbours now
	if p, err = pipeline.New(options); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	return a.serve(ctx, cfg, p, reg, log)
}

// away names the sources that could not be reached at the first attempt; they are tried again. A source says what came
// of its attempt a moment after it has made it, so a state that is still "connecting" is asked for again.
func away(ctx context.Context, p *pipeline.Pipeline) []string {
	for deadline := time.Now().Add(time.Second); ; {
		names, settled := []string{}, true
		s, err := p.Status(ctx)
		if err != nil {
			return names // status itself says so to whoever asks
		}
		for _, src := range s.Sources {
			settled = settled && src.State != "connecting"
			if src.State == "backing off" {
				names = append(names, src.Name)
			}
		}
		if settled || time.Now().After(deadline) {
			return names
		}
		select {
		case <-ctx.Done():
			return names
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// connect makes the adapters.
func connect(o *pipeline.Options, cfg *config.Config, held *tuned, log *slog.Logger) error {
	o.Sources, o.Sinks = map[string]cdc.Source{}, map[string]sinks.Sink{}
	o.Places, o.Readings = map[string]string{}, map[string]pipeline.ReadingOptions{}
	o.Publishers = map[string]sinks.Publisher{}
	o.Workers, o.Retry, o.Services = map[string]int{}, map[string]pipeline.Retry{}, map[string]pipeline.Service{}
	for _, name := range cfg.SourceNames() {
		src, err := newSource(name, cfg.Sources[name], o.Carriers, cfg.Data, log)
		if err != nil {
			return err
		}
		o.Sources[name] = src
		o.Places[name] = databaseOf(cfg.Sources[name])
		o.Readings[name] = pipeline.ReadingOptions(cfg.Sources[name].Snapshot)
	}
	for _, name := range cfg.SinkNames() {
		account, err := held.account(name)
		if err != nil {
			return err
		}
		bounds := held.bounds(name)
		o.Workers[name], o.Retry[name] = bounds.Workers, bounds.Retry
		if publishes(cfg.Sinks[name]) {
			publisher, err := newPublisher(name, cfg.Sinks[name])
			if err != nil {
				return err
			}
			governed := account.GovernPublisher(publisher, cfg.Sinks[name].Policy, held.registerer(name), log.With("sink", name))
			o.Publishers[name], held.targets[name] = governed, governed
			continue
		}
		keepIn(cfg.Data, name, cfg.Sinks[name])
		sink, err := newSink(name, cfg.Sinks[name], log)
		if err != nil {
			return err
		}
		governed := account.Govern(sink, cfg.Sinks[name].Policy, held.registerer(name), log.With("sink", name))
		o.Sinks[name], held.targets[name] = governed, governed
		o.Services[name] = pipeline.Service{Answerer: governed, Workers: bounds.Workers, Retry: bounds.Retry}
	}
	for _, name := range cfg.ServiceNames() {
		service, err := newService(name, cfg.Services[name])
		if err != nil {
			return err
		}
		account, err := held.account(name)
		if err != nil {
			return err
		}
		terms := cfg.Services[name].Terms
		governed := account.GovernService(service, terms.Policy, held.registerer(name), log.With("service", name))
		bounds := held.bounds(name)
		held.targets[name] = governed
		o.Services[name] = pipeline.Service{Answerer: governed, Workers: bounds.Workers, Patience: terms.Patience, Retry: bounds.Retry}
	}
	return nil
}

func retryOf(p sinks.Policy) pipeline.Retry {
	return pipeline.Retry{Base: p.BackoffBase, Cap: p.BackoffCap, MaxAttempts: p.MaxAttempts, MaxAge: p.MaxAge}
}

// serve runs the pipeline, the admin API and the alerts until the first of them ends. The API outlives the pipeline's
// shutdown, so that status can be asked while deliveries end.
func (a *app) serve(ctx context.Context, cfg *config.Config, p *pipeline.Pipeline, reg *prometheus.Registry, log *slog.Logger) error {
	server, err := admin.New(p, admin.Options{Socket: cfg.Admin.Socket, TCP: cfg.Admin.Listen, Token: cfg.Admin.Token.Reveal(),
		Metrics: cfg.Admin.Metrics, Gather: reg, Log: log})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return &environmentError{err}
	}
	defer context.AfterFunc(ctx, func() { log.Info("stopping; deliveries under way may end", "grace", cfg.Grace) })()
	side, endSide := context.WithCancel(context.WithoutCancel(ctx))
	defer endSide()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer endSide()
		return p.Run(gctx)
	})
	group.Go(func() error { return server.Run(side) })
	group.Go(func() error { return onHangup(side, p, log) })
	if cfg.Alerts.URL != "" {
		key, err := config.SigningKey(cfg.Alerts.Secret)
		if err != nil {
			return fmt.Errorf("reading alerts.secret: %w", err)
		}
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("asking for the host's name: %w", err)
		}
		watcher := alert.New(alert.Options{URL: cfg.Alerts.URL, Key: key, Interval: cfg.Alerts.Interval,
			UnknownAfter: cfg.Alerts.UnknownAfter, Host: host, Log: log}, p.Status)
		group.Go(func() error { return watcher.Run(side) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}
