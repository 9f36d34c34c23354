package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/pipeline"
	"waybill/sinks"
)

func planCommand(a *app) *cobra.Command {
	lookups, registry := 0, ""
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be sent before the first run, without sending anything",
		Long: `Reads a snapshot of every source, runs the mapping over it in a store of its own, and looks up in the ERP what is
there already: events, documents, money, and what would be adopted instead of created. It writes nothing to the databases
and nothing to the ERP, and leaves no slot and no position behind. The snapshot needs room on the disk of $TMPDIR.`,
		Example: `  waybill plan
  waybill plan --lookups 100
  waybill plan --registry customers.csv
  waybill plan --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if lookups == 0 {
				lookups = -1
			}
			v, err := a.plan(c.Context(), lookups, registry)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printPlan(v)
			return nil
		},
	}
	c.Flags().IntVar(&lookups, "lookups", 2000, "postings to look up in the ERP; 0 for none")
	c.Flags().StringVar(&registry, "registry", "", "rows of the registry, as waybill xref import reads them")
	return c
}

func (a *app) plan(ctx context.Context, lookups int, registry string) (v pipeline.PlanView, err error) {
	cfg, err := a.load()
	if err != nil {
		return v, err
	}
	carriers, err := readCarriers(cfg.Mapping)
	if err != nil {
		return v, err
	}
	log := slog.New(slog.DiscardHandler)
	o := pipeline.PlanOptions{Carriers: carriers, Codecs: codecs(), Lookups: lookups, Log: log,
		Sources: map[string]cdc.Inspector{}, Sinks: map[string]sinks.Sink{}, Services: map[string]sinks.Answerer{}, Progress: a.progress()}
	for _, name := range cfg.SourceNames() {
		if o.Sources[name], err = newSource(name, cfg.Sources[name], carriers, "", log); err != nil {
			return v, err
		}
	}
	for _, name := range cfg.SinkNames() {
		if publishes(cfg.Sinks[name]) {
			continue // nothing is posted to it
		}
		sink, failed := newSink(name, cfg.Sinks[name], log)
		if failed != nil {
			return v, failed
		}
		defer func() { err = errors.Join(err, sink.Close()) }()
		o.Sinks[name] = sink
		if a, ok := sink.(sinks.Answerer); ok {
			o.Services[name] = a
		}
	}
	for _, name := range cfg.ServiceNames() {
		service, failed := newService(name, cfg.Services[name])
		if failed != nil {
			return v, failed
		}
		defer func() { err = errors.Join(err, service.Close()) }()
		o.Services[name] = service
	}
	dir, err := os.MkdirTemp("", "waybill-plan-")
	if err != nil {
		return v, fmt.Errorf("making a folder for the plan: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.Store, err = checkpoint.Open(dir, storeOptions(cfg, log, nil)); err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, o.Store.Close()) }()
	if registry != "" {
		if err := a.planRegistry(ctx, o.Store, registry); err != nil {
			return v, err
		}
	}
	return pipeline.Plan(ctx, o)
}

// planRegistry enters the rows of a file into the plan's own store.
func (a *app) planRegistry(ctx context.Context, store *checkpoint.Store, name string) error {
	text, err := readBounded(name, pipeline.XrefMaxBytes)
	if err != nil {
		return err
	}
	_, err = pipeline.OfflineXref(ctx, store, pipeline.XrefRequest{Action: pipeline.XrefImport, File: name, Text: text, By: a.by, Why: "plan"})
	return err
}

// progress shows on a terminal how far the plan is, on one line, twice a second.
func (a *app) progress() func(step string, done, total int) {
	if !a.terminal || a.json {
		return nil
	}
	var last time.Time
	return func(step string, done, total int) {
		if a.now().Sub(last) < 500*time.Millisecond {
			return
		}
		last = a.now()
		of := ""
		if total > 0 {
			of = " of " + count(total)
		}
		fmt.Fprintf(a.err, "\r\033[K%s: %s%s\r", step, count(done), of)
	}
}

func (a *app) printPlan(v pipeline.PlanView) {
	a.printf("Plan for %s, from %s. Nothing was sent.\n", v.Mapping, plural(v.Rows, "row", "rows"))
	a.printf("\nEvents\n")
	t := newTable("EVENT", ">NEWS", ">HISTORIC, NOT SENT")
	t.indent = "  "
	var types []string
	for name := range v.Events {
		types = append(types, name)
	}
	for name := range v.Historic {
		if _, both := v.Events[name]; !both {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	for _, name := range types {
		t.row(name, count(v.Events[name]), count(v.Historic[name]))
	}
	if len(types) == 0 {
		a.printf("  No row makes an event.\n")
	} else {
		t.print(a.out)
	}
	a.printPlanPosts(v)
	a.printExceptionCounts(v.Exceptions)
	if v.Waiting > 0 {
		a.printf("\n%s for something else first.\n", plural(v.Waiting, "posting waits", "postings wait"))
	}
	for _, n := range v.Notes {
		a.printf("%s\n", n)
	}
	a.printf("\nNext: waybill run -c %s\n", a.configFile)
}

func (a *app) printPlanPosts(v pipeline.PlanView) {
	a.printf("\nPostings\n")
	if len(v.Posts) == 0 {
		a.printf("  Nothing would be sent.\n")
		return
	}
	t := newTable("TARGET", ">POSTINGS", ">WOULD CREATE", ">ADOPTED", ">CONFLICT", ">NOT LOOKED UP", ">MONEY")
	t.indent = "  "
	conflicts := []string{}
	for _, p := range v.Posts {
		t.row(p.Target, count(p.Count), count(p.Create), count(p.Adopted), count(p.Conflict), count(p.NotAsked), sums(p.Money))
		if p.Conflict > 0 {
			conflicts = append(conflicts, p.Target)
		}
	}
	t.print(a.out)
	if len(conflicts) > 0 {
		a.printf("  The ERP holds something different under keys of %s; each will be an exception.\n", strings.Join(conflicts, ", "))
	}
}
