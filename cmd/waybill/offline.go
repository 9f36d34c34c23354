package main

import (
	"context"
	"errors"
	"fmt"

	"waybill/checkpoint"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

// openStore opens the store of a daemon that does not run. A store is never made by looking at it.
func (a *app) openStore(cfg *config.Config) (*checkpoint.Store, error) {
	if !hasStore(cfg.Data) {
		return nil, &environmentError{fmt.Errorf("there is no store in %s yet; the first waybill run -c %s makes one", cfg.Data, a.configFile)}
	}
	return checkpoint.Open(cfg.Data, storeOptions(cfg, newLog(config.Log{Level: "warn"}, a.err), nil))
}

func (a *app) checkpointOffline(_ context.Context, cfg *config.Config) (v pipeline.CheckpointView, err error) {
	store, err := a.openStore(cfg)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return pipeline.CheckpointOf(store)
}

// resetOffline turns a decision of the daemon into one that this process takes; the caller closes the store after it.
func (a *app) resetOffline(_ context.Context, cfg *config.Config, q pipeline.ResetRequest, x decision) (decision, func() error, error) {
	carriers, err := readCarriers(cfg.Mapping)
	if err != nil {
		return x, nil, err
	}
	src, err := newSource(q.Source, cfg.Sources[q.Source], carriers, cfg.Data, newLog(config.Log{Level: "warn"}, a.err))
	if err != nil {
		return x, nil, err
	}
	store, err := a.openStore(cfg)
	if err != nil {
		return x, nil, err
	}
	x.preview = func(context.Context) (pipeline.Preview, error) { return pipeline.PreviewOfflineReset(store, q) }
	x.do = func(ctx context.Context) (pipeline.Preview, error) { return pipeline.OfflineReset(ctx, store, src, q) }
	x.next = "waybill run -c " + a.configFile + " begins with the snapshot."
	return x, store.Close, nil
}
