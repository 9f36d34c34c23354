package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/sinks"
)

// tuned is what of a running daemon a new reading of its configuration may change: the accounts, and the policies of sinks and services.
type tuned struct {
	config   *config.Config // whose policies hold
	accounts map[string]*sinks.Account
	targets  map[string]interface{ Set(sinks.Policy) }
	metrics  prometheus.Registerer
	log      *slog.Logger
}

func newTuned(c *config.Config, reg prometheus.Registerer, log *slog.Logger) *tuned {
	return &tuned{config: c, accounts: map[string]*sinks.Account{}, targets: map[string]interface{ Set(sinks.Policy) }{}, metrics: reg, log: log}
}

// account is that of a sink or a service: a shared one, or one of its own. What is used up of its budgets is kept in the data folder.
func (t *tuned) account(of string) (*sinks.Account, error) {
	name, limits := t.config.AccountOf(of, t.config.Policy(of))
	if a := t.accounts[name]; a != nil {
		return a, nil
	}
	a, err := sinks.NewAccount(name, limits, notes{filepath.Join(t.config.Data, "accounts")}, t.metrics, t.log.With("account", name))
	if err != nil {
		return nil, err
	}
	t.accounts[name] = a
	return a, nil
}

// registerer names a sink or a service in its metrics.
func (t *tuned) registerer(name string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"sink": name}, t.metrics)
}

// bounds are what lanes and askers take of a policy.
func (t *tuned) bounds(of string) pipeline.Tuning {
	p := t.config.Policy(of)
	name, limits := t.config.AccountOf(of, p)
	if a := t.accounts[name]; a != nil {
		limits = a.Limits()
	}
	limits = limits.WithDefaults()
	return pipeline.Tuning{Workers: max(1, limits.Concurrency-limits.Reserve), Retry: retryOf(p.WithDefaults())}
}

// reread reads the file again. Nothing holds before apply, which cannot fail.
func (t *tuned) reread() (changed pipeline.Reload, apply func() map[string]pipeline.Tuning, err error) {
	changed.File = t.config.File
	next, err := config.Load(t.config.File)
	if err != nil {
		return changed, nil, err
	}
	taken, faults := t.config.Changed(next)
	if len(faults) > 0 {
		return changed, nil, faults
	}
	for _, c := range taken {
		changed.Changes = append(changed.Changes, c.String())
	}
	return changed, func() map[string]pipeline.Tuning { return t.apply(next) }, nil
}

func (t *tuned) apply(next *config.Config) map[string]pipeline.Tuning {
	t.config = next
	bounds := map[string]pipeline.Tuning{}
	for _, name := range next.PolicyNames() {
		p := next.Policy(name)
		account, limits := next.AccountOf(name, p)
		if a := t.accounts[account]; a != nil {
			a.Set(limits)
		}
		if target := t.targets[name]; target != nil {
			target.Set(p)
		}
		bounds[name] = t.bounds(name)
	}
	return bounds
}

// close writes down what was used of the budgets.
func (t *tuned) close() error {
	var errs []error
	for _, a := range t.accounts {
		errs = append(errs, a.Close())
	}
	return errors.Join(errs...)
}

// onHangup reads the configuration again at each SIGHUP, until ctx ends.
func onHangup(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signals:
			if r, err := p.Reload(ctx, "SIGHUP", ""); err != nil {
				log.Error("nothing was taken of the configuration, read again", "error", err)
			} else if len(r.Changes) == 0 {
				log.Info("configuration read again, nothing changed")
			}
		}
	}
}
