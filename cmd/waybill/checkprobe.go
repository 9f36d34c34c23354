package main

import (
	"context"
	"fmt"
	"log/slog"

	"waybill/cmd/internal/config"
	"waybill/sinks"
)

// probeSinks lets each target that can be looked at more closely say what it found.
func probeSinks(ctx context.Context, r *report, cfg *config.Config, log *slog.Logger) error {
	for _, name := range cfg.SinkNames() {
		var target interface{ Close() error }
		if publishes(cfg.Sinks[name]) {
			publisher, err := newPublisher(name, cfg.Sinks[name])
			if err != nil {
				return err
			}
			target = publisher
		} else {
			sink, err := newSink(name, cfg.Sinks[name], log)
			if err != nil {
				return err
			}
			target = sink
		}
		probe(ctx, r, name, target)
		if err := target.Close(); err != nil {
			return fmt.Errorf("closing sink %s: %w", name, err)
		}
	}
	return nil
}

func probe(ctx context.Context, r *report, name string, target any) {
	p, ok := target.(sinks.Prober)
	if !ok {
		r.ok(name, "probe", "nothing more is asked of a target of this type")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	findings, err := p.Probe(ctx)
	if err != nil {
		r.fail(name, "probe", err.Error(), "", exitEnvironment)
		return
	}
	for _, f := range findings {
		f.Check = "probe: " + f.Check
		r.add(name, exitEnvironment, f)
	}
}
