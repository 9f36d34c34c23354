package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cdc"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/sinks"
	"waybill/transform"
)

// askTimeout bounds the questions to one database or target.
const askTimeout = 30 * time.Second

func checkCommand(a *app) *cobra.Command {
	var probe bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check everything that run needs, without changing anything",
		Long: `Checks the configuration, the mapping against the live catalogs, the settings and grants of both databases, the ERP's
login, company and periods, and whether the ERP belongs to these sources. Nothing is changed anywhere. Each failure
comes with what to run to settle it.

With --probe the targets are looked at more closely: as whom they let us in, with which limits, and whether they do once what is sent twice
with one key. For that a record is written, but only into a target whose configuration names one (probe:), marked as a test.

Exit code 0: run can start. 2: the configuration or the mapping is wrong. 3: something outside is.`,
		Example: `  waybill check
  waybill check -c staging.yaml --json
  waybill check -c staging.yaml --probe`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r := &report{}
			if err := a.check(c.Context(), r, probe); err != nil {
				return err
			}
			return a.printReport(r, "Next: waybill plan, then waybill run.")
		},
	}
	c.Flags().BoolVar(&probe, "probe", false, "look at the targets more closely; writes the test records that the configuration names")
	return c
}

func (a *app) check(ctx context.Context, r *report, probe bool) error {
	cfg, err := a.load()
	var faults config.Faults
	if errors.As(err, &faults) {
		r.configFaults(faults)
		return nil
	}
	if err != nil {
		return err
	}
	r.ok("configuration", "file", a.configFile)
	mapping, ok := checkMappings(r, cfg.Mapping)
	if !ok {
		return nil
	}
	log := slog.New(slog.DiscardHandler) // findings say everything
	if err := checkSources(ctx, r, cfg, mapping, log); err != nil {
		return err
	}
	if err := a.checkSinks(ctx, r, cfg, mapping, log); err != nil {
		return err
	}
	if err := checkServices(ctx, r, cfg, mapping, log); err != nil || !probe {
		return err
	}
	return probeSinks(ctx, r, cfg, log)
}

// checkMappings parses the mappings and runs their inline tests.
func checkMappings(r *report, files []string) (*transform.Carriers, bool) {
	c, err := readCarriers(files)
	var faults transform.Faults
	switch {
	case errors.As(err, &faults):
		r.mappingFaults(faults)
		return nil, false
	case err != nil:
		r.fail("mapping", "file", err.Error(), "", exitUsage)
		return nil, false
	}
	for _, m := range c.Mappings() {
		checkInline(r, m)
	}
	return c, true
}

func checkInline(r *report, m *transform.Mapping) {
	r.ok("mapping", "rules", m.Version())
	failed := 0
	tests := m.Test()
	for _, t := range tests {
		if !t.OK {
			failed++
			r.fail("mapping", "test in line "+fmt.Sprint(t.Line), t.Name+": "+strings.Join(t.Fails, "; "), "waybill map test", exitUsage)
		}
	}
	if failed == 0 && len(tests) > 0 {
		r.ok("mapping", "tests", plural(len(tests), "inline test", "inline tests")+" passed")
	}
}

// checkSources asks each database, and proves the mapping against the catalogs if all of them answered.
func checkSources(ctx context.Context, r *report, cfg *config.Config, m *transform.Carriers, log *slog.Logger) error {
	catalogs, complete := map[string][]*cdc.Schema{}, true
	for _, name := range cfg.SourceNames() {
		src, err := newSource(name, cfg.Sources[name], m, "", log)
		if err != nil {
			return err
		}
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		findings, err := src.Check(ask)
		if err == nil {
			r.add(name, exitEnvironment, findings...)
			catalogs[name], err = src.Catalog(ask, tables(m.Selections(name)))
		}
		cancel()
		if err != nil {
			r.fail(name, "connection", err.Error(), "", exitEnvironment)
			complete = false
		}
	}
	for _, name := range m.Sources() {
		if _, ok := cfg.Sources[name]; !ok {
			r.fail("mapping", "source "+name, "the mapping reads it, the configuration does not have it", "add sources."+name+" to the configuration", exitUsage)
			complete = false
		}
	}
	for _, name := range cfg.SourceNames() {
		if !slices.Contains(m.Sources(), name) {
			r.fail("configuration", "sources."+name, "the mapping reads nothing of it", "remove it, or add it to the mapping", exitUsage)
		}
	}
	if !complete {
		r.add("mapping", exitOK, cdc.Finding{Check: "catalogs", Level: cdc.LevelWarn, Found: "not compared: a source did not answer"})
		return nil
	}
	if faults := m.Check(catalogs); len(faults) > 0 {
		r.mappingFaults(faults)
		return nil
	}
	r.ok("mapping", "catalogs", "every table and column fits")
	return nil
}

func tables(selections []cdc.Selection) []cdc.Table {
	list := make([]cdc.Table, len(selections))
	for i, s := range selections {
		list[i] = s.Table
	}
	return list
}

func (a *app) checkSinks(ctx context.Context, r *report, cfg *config.Config, m *transform.Carriers, log *slog.Logger) error {
	for _, name := range cfg.SinkNames() {
		if publishes(cfg.Sinks[name]) {
			continue // by checkPublishers
		}
		sink, err := newSink(name, cfg.Sinks[name], log)
		if err != nil {
			return err
		}
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		a.checkSink(ask, r, cfg, name, sink, m)
		cancel()
		if err := sink.Close(); err != nil {
			return fmt.Errorf("closing sink %s: %w", name, err)
		}
	}
	for _, target := range m.Targets() {
		sink, _, _ := strings.Cut(target, ".")
		if _, ok := cfg.Sinks[sink]; !ok {
			r.fail("mapping", "posts to "+target, "the configuration does not have the sink "+sink, "add sinks."+sink+" to the configuration", exitUsage)
		}
	}
	return checkPublishers(ctx, r, cfg, m)
}

func (a *app) checkSink(ctx context.Context, r *report, cfg *config.Config, name string, sink sinks.Sink, m *transform.Carriers) {
	findings, err := sink.Check(ctx)
	if err != nil {
		r.fail(name, "connection", err.Error(), "", exitEnvironment)
		return
	}
	r.add(name, exitEnvironment, findings...)
	for _, target := range m.Targets() {
		to, entity, _ := strings.Cut(target, ".")
		if to != name {
			continue
		}
		e, err := sink.Entity(entity)
		switch {
		case err != nil:
			r.fail("mapping", "posts to "+target, err.Error(), "", exitUsage)
		case !e.CanVerify:
			r.add(name, exitEnvironment, cdc.Finding{Check: "entity " + entity, Level: cdc.LevelWarn, Found: "the target cannot be asked what it holds",
				Why: "it is delivered at least once, with the same id each time; the receiver must recognise repeats"})
		}
	}
	a.checkBinding(ctx, r, cfg, name, sink)
}

// checkBinding shows whom the target belongs to. Run compares it with the servers and refuses what does not fit.
func (a *app) checkBinding(ctx context.Context, r *report, cfg *config.Config, name string, sink sinks.Sink) {
	identity, err := sink.Identity(ctx)
	if err != nil {
		r.fail(name, "identity", err.Error(), "", exitEnvironment)
		return
	}
	r.ok(name, "identity", identity)
	binder, ok := sink.(sinks.Binder)
	if !ok {
		return
	}
	mark, err := binder.Bound(ctx)
	if err != nil {
		r.fail(name, "binding", err.Error(), "", exitEnvironment)
		return
	}
	if mark == nil {
		r.ok(name, "binding", "none yet: the first run binds it to these sources")
		return
	}
	sources := make([]string, 0, len(mark.Sources))
	for source, server := range mark.Sources {
		sources = append(sources, source+" = "+server)
	}
	slices.Sort(sources)
	found := "store " + mark.Store + ", " + strings.Join(sources, ", ")
	switch own, err := a.storeID(ctx, cfg); {
	case err != nil:
		r.add(name, exitOK, cdc.Finding{Check: "binding", Level: cdc.LevelWarn, Found: found, Why: "our own store could not be asked: " + err.Error()})
	case own == mark.Store:
		r.ok(name, "binding", found+" (this store)")
	default:
		r.add(name, exitOK, cdc.Finding{Check: "binding", Level: cdc.LevelWarn, Found: found, Want: "the mark of this store, or none",
			Why: "another store has fed this target. If the sources are the same servers, run goes on and verifies before it creates; if they are not, it refuses",
			Fix: "make sure that the other daemon never runs again"})
	}
}

// storeID asks the running daemon for the identity of the store; without one, and without a store, it is empty.
func (a *app) storeID(ctx context.Context, cfg *config.Config) (string, error) {
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	v, err := d.Checkpoint(ctx)
	if is[*admin.NotRunningError](err) {
		if !hasStore(cfg.Data) {
			return "", nil
		}
		v, err = a.checkpointOffline(ctx, cfg)
	}
	return v.Store, err
}
