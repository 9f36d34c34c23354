package businesscentral

import (
	"context"
	"errors"
	"fmt"

	"waybill/sinks/web"
)

// pool gives the requests to the principals in turns. Each principal is in the channel once for each request that it may have in flight, so
// none has more, and a request waits while all are taken.
type pool struct {
	turns chan *web.Client
	all   []*web.Client
}

// errBusy is that no principal was free in time: nothing was sent.
var errBusy = errors.New("no service principal was free")

func newPool(cfg Config) (*pool, error) {
	p := &pool{turns: make(chan *web.Client, len(cfg.Principals)*runningMost)}
	for _, principal := range cfg.Principals {
		// The language governs messages, and the form of dates and numbers [B4].
		client, err := principal.Auth.Client(web.Options{Timeout: cfg.Timeout, Headers: map[string]string{"Accept": "application/json", "Accept-Language": "en-US"}}, cfg.URL)
		if err != nil {
			return nil, fmt.Errorf("service principal %s: %w", principal.Name, err)
		}
		p.all = append(p.all, client)
	}
	for round := range runningMost {
		for i, principal := range cfg.Principals {
			if round < principal.InFlight {
				p.turns <- p.all[i]
			}
		}
	}
	return p, nil
}

// do sends a request by the principal whose turn it is.
func (p *pool) do(ctx context.Context, r web.Request) web.Answer {
	select {
	case client := <-p.turns:
		defer func() { p.turns <- client }()
		return client.Do(ctx, r)
	case <-ctx.Done():
		return web.Answer{Err: fmt.Errorf("%w: %w", errBusy, ctx.Err())}
	}
}

func (p *pool) close() {
	for _, client := range p.all {
		client.Close()
	}
}
