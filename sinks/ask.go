package sinks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
	"waybill/transform"
)

// Answerer answers questions of the rules (lookups of a mapping): a sink whose target knows, or a service that is only asked. All methods
// may be called from several goroutines; none changes anything outside.
type Answerer interface {
	// Answers refuses a question that can never be answered; the error names those that can.
	Answers(question string) error
	// Ask asks once. out is nil when there is an answer, Found or not; else RetryLater or Setup (nothing can be asked now), or
	// Rejected: this question is not taken, and others may be.
	Ask(ctx context.Context, q *transform.Question) (a Answer, out *Outcome)
}

// Answer is what a service says.
type Answer struct {
	Found   bool
	Object  json.RawMessage // a JSON object, when found
	Version string          // of the record, where the service names one
}

// Service is an Answerer of its own, which is no sink.
type Service interface {
	Answerer
	// Check looks whether the service can be asked. An error means that it could not be reached at all.
	Check(ctx context.Context) ([]cdc.Finding, error)
	Close() error
}

// laneAsk names the calls of lookups in the budget of a target that is posted to as well: they take free slots beside the lanes.
const laneAsk = "lookup"

// Answers implements Answerer; a target that answers nothing refuses every question.
func (g *Governed) Answers(question string) error {
	if a, ok := g.sink.(Answerer); ok {
		return a.Answers(question)
	}
	return fmt.Errorf("it answers no questions, and not %q", question)
}

// Ask implements Answerer, under the policy.
func (g *Governed) Ask(ctx context.Context, q *transform.Question) (Answer, *Outcome) {
	a, ok := g.sink.(Answerer)
	if !ok {
		return Answer{}, &Outcome{Class: Rejected, Code: "NO_ANSWERS", Message: "The target answers no questions."}
	}
	return g.question(ctx, a, q)
}

func (g *Governed) question(ctx context.Context, of Answerer, q *transform.Question) (a Answer, out *Outcome) {
	o := g.do(ctx, laneAsk, "ask", open, func(ctx context.Context) Outcome {
		if a, out = of.Ask(ctx, q); out != nil {
			return *out
		}
		return Outcome{Class: Applied}
	})
	if o.Class != Applied {
		return Answer{}, &o
	}
	return a, nil
}

// GovernedService is a Service under a Policy, as Governed is a Sink.
type GovernedService struct {
	governor *Governed
	service  Service
}

var (
	_ Answerer = (*Governed)(nil)
	_ Service  = (*GovernedService)(nil)
)

// GovernService puts a service under a policy, which must be valid. reg may be nil, and names the service as Govern's names the sink.
func GovernService(s Service, p Policy, reg prometheus.Registerer, log *slog.Logger) *GovernedService {
	return ownAccount(p.Limits(), log).GovernService(s, p, reg, log)
}

// GovernService puts a service under a policy and into the account, whose limits count instead of the policy's.
func (a *Account) GovernService(s Service, p Policy, reg prometheus.Registerer, log *slog.Logger) *GovernedService {
	return &GovernedService{a.Govern(nil, p, reg, log), s}
}

// Policy is the policy with its defaults filled in.
func (g *GovernedService) Policy() Policy { return g.governor.Policy() }

// Set takes a new policy, as Governed does.
func (g *GovernedService) Set(p Policy) { g.governor.Set(p) }

// Answers implements Answerer.
func (g *GovernedService) Answers(question string) error { return g.service.Answers(question) }

// Ask implements Answerer.
func (g *GovernedService) Ask(ctx context.Context, q *transform.Question) (Answer, *Outcome) {
	return g.governor.question(ctx, g.service, q)
}

// Check implements Service. It is not held back by the breaker.
func (g *GovernedService) Check(ctx context.Context) ([]cdc.Finding, error) {
	return g.service.Check(ctx)
}

// Close implements Service.
func (g *GovernedService) Close() error { return g.service.Close() }
