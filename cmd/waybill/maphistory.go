package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

// pastOf answers a question about the history: the running daemon does, or this process where none runs.
func pastOf[V any](ctx context.Context, a *app, ask func(*admin.Client) (V, error), offline func(*pipeline.History) (V, error)) (v V, err error) {
	cfg, err := a.load()
	if err != nil {
		return v, err
	}
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	if v, err = ask(d); !is[*admin.NotRunningError](err) {
		return v, err
	}
	store, err := a.openStore(cfg)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	h, err := pipeline.HistoryOf(ctx, store, codecs(), newLog(config.Log{Level: "warn"}, a.err), a.entries())
	if err != nil {
		return v, err
	}
	return offline(h)
}

// entries shows on a terminal how far a projection has come.
func (a *app) entries() func(pipeline.Progress) {
	if !a.terminal || a.json {
		return func(pipeline.Progress) {}
	}
	var last time.Time
	return func(p pipeline.Progress) {
		if a.now().Sub(last) < 500*time.Millisecond {
			return
		}
		last = a.now()
		fmt.Fprintf(a.err, "\r\033[K%s: journal entry %s of %s\r", p.Step, count(p.Entry), count(p.Last))
	}
}

// clearLine removes the progress from the terminal.
func (a *app) clearLine() {
	if a.terminal && !a.json {
		fmt.Fprint(a.err, "\r\033[K")
	}
}
