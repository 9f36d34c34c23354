package main

import (
	"context"
	"log/slog"
	"strings"

	"waybill/cmd/internal/config"
	"waybill/sinks"
	"waybill/transform"
)

// checkServices looks whether those whom the mapping asks are configured, can be reached, and know its questions.
func checkServices(ctx context.Context, r *report, cfg *config.Config, m *transform.Carriers, log *slog.Logger) error {
	answers := map[string]sinks.Answerer{}
	var open []interface{ Close() error }
	defer func() {
		for _, o := range open {
			_ = o.Close() // only asked
		}
	}()
	for _, name := range cfg.ServiceNames() {
		s, err := newService(name, cfg.Services[name])
		if err != nil {
			return err
		}
		answers[name], open = s, append(open, s)
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		found, err := s.Check(ask)
		cancel()
		if err != nil {
			r.fail(name, "connection", err.Error(), "", exitEnvironment)
		}
		r.add(name, exitEnvironment, found...)
	}
	for _, ask := range m.Asks() {
		name, question, _ := strings.Cut(ask, ".")
		a, configured := answers[name]
		if sink, known := cfg.Sinks[name]; known && !configured && publishes(sink) {
			configured = true
		} else if known && !configured {
			s, err := newSink(name, cfg.Sinks[name], log)
			if err != nil {
				return err
			}
			open, configured = append(open, s), true
			answers[name], _ = s.(sinks.Answerer)
			a = answers[name]
		}
		switch {
		case !configured:
			r.fail("mapping", "asks "+ask, "the configuration has "+name+" neither under services nor under sinks", "add services."+name+" to the configuration", exitUsage)
		case a == nil:
			r.fail("mapping", "asks "+ask, "this type of sink answers no questions", "ask somebody else in the mapping's lookups", exitUsage)
		default:
			if err := a.Answers(question); err != nil {
				r.fail("mapping", "asks "+ask, err.Error(), "correct ask in the mapping's lookups", exitUsage)
			}
		}
	}
	return nil
}
