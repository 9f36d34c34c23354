package sinks

import (
	"context"

	"waybill/cdc"
	"waybill/transform"
)

// Publisher is a sink that takes events as they are: a Kafka cluster, a webhook, a file. Where a Sink is asked for one effect at a time, with an
// intent and a verification, a Publisher is fed from a cursor over the events: at least once, each with the same id for ever. All methods may
// be called from several goroutines. None retries a write by itself, and none waits longer than ctx.
type Publisher interface {
	// Terms say how it is fed.
	Terms() Terms
	// Publish sends events, which stand in their order, and returns an outcome for each, in the same order. The feed never has two calls at
	// the same time with events of one order key. Of one order key nothing is sent behind an event that is not Done: those are RetryLater with
	// CodeBehind. Classes: Applied; RetryLater (not there, or it does not matter whether it is: the same id comes again); Rejected (this event
	// is never taken: an exception, and its order key waits); Setup (nothing is taken now).
	Publish(ctx context.Context, events []Publication) []Outcome
	// Seen says which of events the target holds, in their order. It is asked after a start, before anything is sent, of those whose outcome
	// was not recorded when the daemon ended. A target that cannot be asked (Terms.Remembers is false) says nil. An error means that it could not be asked now.
	Seen(ctx context.Context, events []Publication) ([]bool, error)
	// Check looks at credentials, limits and configured names, without writing; as of a Sink.
	Check(ctx context.Context) ([]cdc.Finding, error)
	// Identity names what is behind the address, so that a test copy that points at the production target is noticed.
	Identity(ctx context.Context) (string, error)
	Close() error
}

// CodeBehind is the code of events that were not sent because one before them on their order key was not.
const CodeBehind = "BEHIND"

// Terms are how a Publisher is fed.
type Terms struct {
	Batch     int  // events of one call, at most; from 1
	Bytes     int  // of their data, at most; 0 without bound. A single event above it goes alone
	Parallel  int  // calls at the same time, at most; from 1. Each has order keys of its own
	Remembers bool // Seen can be asked: what is there is not sent again
}

// Publication is an event on its way out.
type Publication struct {
	Event *transform.Event
	Topic string // what the mapping's publish names behind the sink; never empty
	// Sequence counts the events of an order key in this sink, from 1, without a gap but for what a person gave up: by it a receiver notices what came
	// twice or out of order.
	Sequence uint64
}
