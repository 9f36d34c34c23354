package main

import (
	"context"
	"fmt"
	"strings"

	"waybill/cdc"
	"waybill/cmd/internal/config"
	"waybill/sinks"
	"waybill/transform"
)

// checkPublishers looks whether the sinks that take events can be used, and whether the mapping names them for what they are.
func checkPublishers(ctx context.Context, r *report, cfg *config.Config, m *transform.Carriers) error {
	for _, name := range cfg.SinkNames() {
		if !publishes(cfg.Sinks[name]) {
			continue
		}
		publisher, err := newPublisher(name, cfg.Sinks[name])
		if err != nil {
			r.fail(name, "connection", err.Error(), "", exitEnvironment)
			continue
		}
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		checkPublisher(ask, r, name, publisher, m)
		cancel()
		if err := publisher.Close(); err != nil {
			return fmt.Errorf("closing sink %s: %w", name, err)
		}
	}
	for _, target := range m.Targets() {
		if name, _, _ := strings.Cut(target, "."); publishes(cfg.Sinks[name]) {
			r.fail("mapping", "posts to "+target, "a sink of type "+cfg.Sinks[name].Type+" takes events as they are", "write it under publish", exitUsage)
		}
	}
	for _, destination := range m.Publishers() {
		name, _, _ := strings.Cut(destination, ".")
		switch sink, known := cfg.Sinks[name]; {
		case !known:
			r.fail("mapping", "publishes to "+destination, "the configuration does not have the sink "+name, "add sinks."+name+" to the configuration", exitUsage)
		case !publishes(sink):
			r.fail("mapping", "publishes to "+destination, "a sink of type "+sink.Type+" takes postings, not events", "name a sink of type kafka, webhook or file", exitUsage)
		}
	}
	return nil
}

func checkPublisher(ctx context.Context, r *report, name string, p sinks.Publisher, m *transform.Carriers) {
	findings, err := p.Check(ctx)
	if err != nil {
		r.fail(name, "connection", err.Error(), "", exitEnvironment)
		return
	}
	r.add(name, exitEnvironment, findings...)
	identity, err := p.Identity(ctx)
	if err != nil {
		r.fail(name, "identity", err.Error(), "", exitEnvironment)
		return
	}
	r.ok(name, "identity", identity)
	used := false
	for _, destination := range m.Publishers() {
		used = used || strings.HasPrefix(destination, name+".")
	}
	if !used {
		r.add(name, exitEnvironment, cdc.Finding{Check: "publish", Level: cdc.LevelWarn, Found: "the mapping publishes nothing to it", Fix: "name it under publish, or remove it"})
	}
}
