package sinks

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
)

// GovernedPublisher is a Publisher under a Policy, as Governed is a Sink: the same account, breaker, pause, blackout and dry run. A Publish is one
// call of the budget, however many events it has.
type GovernedPublisher struct {
	governor  *Governed
	publisher Publisher
}

var _ Publisher = (*GovernedPublisher)(nil)

// GovernPublisher puts a publisher under a policy, which must be valid, with an account of its own. reg may be nil, and names the sink as
// Govern's does.
func GovernPublisher(p Publisher, policy Policy, reg prometheus.Registerer, log *slog.Logger) *GovernedPublisher {
	return ownAccount(policy.Limits(), log).GovernPublisher(p, policy, reg, log)
}

// GovernPublisher puts a publisher under a policy and into the account, whose limits count instead of the policy's.
func (a *Account) GovernPublisher(p Publisher, policy Policy, reg prometheus.Registerer, log *slog.Logger) *GovernedPublisher {
	return &GovernedPublisher{a.Govern(nil, policy, reg, log), p}
}

// Policy is the policy with its defaults filled in.
func (g *GovernedPublisher) Policy() Policy { return g.governor.Policy() }

// Set takes a new policy, as Governed does.
func (g *GovernedPublisher) Set(p Policy) { g.governor.Set(p) }

// Account is the account that its calls are counted in.
func (g *GovernedPublisher) Account() *Account { return g.governor.Account() }

// Pause sets whether the flow is paused, as Governed does; a publisher has one flow, whose entity is "".
func (g *GovernedPublisher) Pause(flows map[string]Reason) { g.governor.Pause(flows) }

// Paused says who paused the flow.
func (g *GovernedPublisher) Paused(entity string) (Reason, bool) { return g.governor.Paused(entity) }

// Shut says until when nothing is published, and why, as Governed does.
func (g *GovernedPublisher) Shut(entity string) (until time.Time, why string) {
	return g.governor.Shut(entity)
}

// DryRun says that nothing is published.
func (g *GovernedPublisher) DryRun() bool { return g.governor.DryRun() }

// Terms implements Publisher.
func (g *GovernedPublisher) Terms() Terms { return g.publisher.Terms() }

// Publish implements Publisher. Events that are not sent for the policy's sake are RetryLater, all with the same outcome.
func (g *GovernedPublisher) Publish(ctx context.Context, events []Publication) []Outcome {
	if len(events) == 0 {
		return nil
	}
	var list []Outcome
	o := g.governor.write(ctx, "", "publish", "", func(ctx context.Context) Outcome {
		list = g.publisher.Publish(ctx, events)
		return worst(list)
	})
	switch {
	case len(list) == len(events):
		return list
	case list != nil:
		o = Outcome{Class: RetryLater, Code: codeNoOutcome, Message: fmt.Sprintf("The adapter gave %d outcomes of %d events.", len(list), len(events))}
	}
	list = make([]Outcome, len(events))
	for i := range list {
		list[i] = o
	}
	return list
}

// codeNoOutcome is the code of events of which an adapter said nothing; they are published again.
const codeNoOutcome = "NO_OUTCOME"

// worst is what a call with several outcomes tells of the target: that it throttles or is down, else that one was taken, else the last of them.
func worst(list []Outcome) (o Outcome) {
	o = Outcome{Class: Unknown, Code: codeNoOutcome}
	for _, each := range list {
		switch {
		case each.Code == CodeRate && each.Class == RetryLater:
			return each
		case o.Outage:
		case each.Outage || !o.Done():
			o = each
		}
	}
	return o
}

// Seen implements Publisher.
func (g *GovernedPublisher) Seen(ctx context.Context, events []Publication) (seen []bool, err error) {
	err = g.governor.ask(ctx, "seen", open, func(ctx context.Context) error {
		seen, err = g.publisher.Seen(ctx, events)
		return err
	})
	return seen, err
}

// Check implements Publisher. It is not held back by the breaker.
func (g *GovernedPublisher) Check(ctx context.Context) ([]cdc.Finding, error) {
	return g.publisher.Check(ctx)
}

// Identity implements Publisher.
func (g *GovernedPublisher) Identity(ctx context.Context) (id string, err error) {
	err = g.governor.ask(ctx, "identity", open, func(ctx context.Context) error {
		id, err = g.publisher.Identity(ctx)
		return err
	})
	return id, err
}

// Close implements Publisher.
func (g *GovernedPublisher) Close() error { return g.publisher.Close() }
