package sinktest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"waybill/sinks"
)

// Harness is what TestSink needs of a sink under test. Each function gets a number that is used once, for keys of its own.
type Harness struct {
	// Sink is the sink, on its way through the faults.
	Sink sinks.Sink
	// Operations make a valid operation for each entity; what it depends on is there already.
	Operations map[string]func(t *testing.T, n int) sinks.Operation
	// Altered changes an operation's content, not its key.
	Altered func(op sinks.Operation) sinks.Operation
	// Refused is an operation that the target, or the adapter, refuses for its content.
	Refused func(t *testing.T, n int) sinks.Operation
	// LoseAnswer loses the answer of the next call that does a step, after it was done. Heal ends all faults.
	LoseAnswer func(entity, step string)
	Heal       func()
	// Unreachable makes the target unreachable until Heal.
	Unreachable func()
	// Questions are those that the sink must be able to answer, with what is certainly there and with what is not; nil for none. A question
	// without an absent form is answered always.
	Questions []Questioned
	// Intruder is a sink with a wrong password; nil when the target has none.
	Intruder func(t *testing.T) sinks.Sink
}

// TestSink runs what every sink must do.
func TestSink(t *testing.T, h Harness) {
	s := &suite{Harness: h}
	for entity, op := range h.Operations {
		t.Run(entity, func(t *testing.T) {
			t.Run("deliver and verify", func(t *testing.T) { s.deliverAndVerify(t, op(t, s.next())) })
			t.Run("lost answer", func(t *testing.T) { s.lostAnswer(t, op(t, s.next())) })
			t.Run("other content", func(t *testing.T) { s.otherContent(t, op(t, s.next())) })
			t.Run("outage", func(t *testing.T) { s.outage(t, op(t, s.next())) })
			t.Run("many at once", func(t *testing.T) { s.manyAtOnce(t, op) })
		})
	}
	if len(h.Questions) > 0 {
		t.Run("questions", s.questions)
	}
	t.Run("unknown entity", s.unknownEntity)
	t.Run("refused", s.refused)
	t.Run("identity and binding", s.binding)
	if h.Intruder != nil {
		t.Run("wrong password", s.intruder)
	}
}

type suite struct {
	Harness
	mu sync.Mutex
	n  int
}

func (s *suite) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n
}

func (s *suite) steps(t *testing.T, entity string) []string {
	t.Helper()
	e, err := s.Sink.Entity(entity)
	if err != nil || len(e.Steps) == 0 || !e.CanVerify || e.Horizon <= 0 {
		t.Fatalf("Entity(%q) = %+v, %v; the suite needs steps, a horizon and a sink that can verify", entity, e, err)
	}
	return e.Steps
}

// prepare prepares a step, waiting while the target asks for it.
func prepare(ctx context.Context, sink sinks.Sink, op sinks.Operation, step string, prior map[string]sinks.Outcome) (sinks.Intent, error) {
	in, out := sink.Prepare(ctx, op, step, prior, time.Now())
	if out != nil {
		return in, fmt.Errorf("preparing %s of %s: %+v", step, op.ExternalID, *out)
	}
	if in.Step != step || in.ExternalID != op.ExternalID || len(in.Request) == 0 {
		return in, fmt.Errorf("preparing %s of %s: an intent of %s of %s with request %q", step, op.ExternalID, in.Step, in.ExternalID, in.Request)
	}
	return in, nil
}

func expect(t *testing.T, what string, o sinks.Outcome, classes ...sinks.Class) {
	t.Helper()
	for _, c := range classes {
		if o.Class == c {
			return
		}
	}
	t.Fatalf("%s: got %s %s, want one of %v\n%+v", what, o.Class, o.Code, classes, o)
}

func (s *suite) deliverAndVerify(t *testing.T, op sinks.Operation) {
	ctx, prior := t.Context(), map[string]sinks.Outcome{}
	for _, step := range s.steps(t, op.Entity) {
		in, err := prepare(ctx, s.Sink, op, step, prior)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "verify of "+step+" before it", s.Sink.Verify(ctx, in), sinks.Absent)
		o := s.Sink.Deliver(ctx, in)
		expect(t, step, o, sinks.Applied)
		if o.Ref == "" {
			t.Errorf("%s left no reference: %+v", step, o)
		}
		v := s.Sink.Verify(ctx, in)
		expect(t, "verify of "+step+" after it", v, sinks.AlreadyApplied)
		if v.Ref != o.Ref || v.Number != o.Number {
			t.Errorf("%s gave %s %s, verify found %s %s", step, o.Ref, o.Number, v.Ref, v.Number)
		}
		prior[step] = o
	}
}

// lostAnswer is the case for which all this exists.
func (s *suite) lostAnswer(t *testing.T, op sinks.Operation) {
	ctx, prior := t.Context(), map[string]sinks.Outcome{}
	for _, step := range s.steps(t, op.Entity) {
		in, err := prepare(ctx, s.Sink, op, step, prior)
		if err != nil {
			t.Fatal(err)
		}
		s.LoseAnswer(op.Entity, step)
		o := s.Sink.Deliver(ctx, in)
		s.Heal()
		expect(t, step+" with its answer lost", o, sinks.Unknown)
		v := s.Sink.Verify(ctx, in)
		expect(t, "verify of "+step, v, sinks.AlreadyApplied)
		prior[step] = v
	}
}

func (s *suite) otherContent(t *testing.T, op sinks.Operation) {
	ctx := t.Context()
	steps := s.steps(t, op.Entity)
	in, err := prepare(ctx, s.Sink, op, steps[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, steps[0], s.Sink.Deliver(ctx, in), sinks.Applied)
	in, err = prepare(ctx, s.Sink, s.Altered(op), steps[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if steps[0] == "upsert" {
		expect(t, "verify of other values", s.Sink.Verify(ctx, in), sinks.Absent)
		return
	}
	expect(t, "verify of other content under the same key", s.Sink.Verify(ctx, in), sinks.Conflict)
}

func (s *suite) outage(t *testing.T, op sinks.Operation) {
	ctx := t.Context()
	step := s.steps(t, op.Entity)[0]
	in, err := prepare(ctx, s.Sink, op, step, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Unreachable()
	o, v := s.Sink.Deliver(ctx, in), s.Sink.Verify(ctx, in)
	s.Heal()
	expect(t, "deliver in an outage", o, sinks.RetryLater, sinks.Unknown)
	expect(t, "verify in an outage", v, sinks.RetryLater)
	if !o.Outage || !v.Outage {
		t.Errorf("an outage is not called one: deliver %+v, verify %+v", o, v)
	}
}

func (s *suite) manyAtOnce(t *testing.T, make func(*testing.T, int) sinks.Operation) {
	const many = 4
	ops := [many]sinks.Operation{}
	for i := range ops {
		ops[i] = make(t, s.next())
	}
	step := s.steps(t, ops[0].Entity)[0]
	var wg sync.WaitGroup
	for _, op := range ops {
		wg.Go(func() {
			in, err := prepare(t.Context(), s.Sink, op, step, nil)
			if err != nil {
				t.Error(err)
				return
			}
			o := s.Sink.Deliver(t.Context(), in)
			for try := 0; o.Class == sinks.RetryLater && try < 20; try++ { // a lock
				o = s.Sink.Deliver(t.Context(), in)
			}
			if v := s.Sink.Verify(t.Context(), in); !o.Done() || v.Class != sinks.AlreadyApplied {
				t.Errorf("%s of %s: %+v, then verified as %+v", step, op.ExternalID, o, v)
			}
		})
	}
	wg.Wait()
}

func (s *suite) unknownEntity(t *testing.T) {
	if _, err := s.Sink.Entity("no_such_entity"); err == nil {
		t.Error("Entity accepts no_such_entity")
	}
}

func (s *suite) refused(t *testing.T) {
	op := s.Refused(t, s.next())
	in, out := s.Sink.Prepare(t.Context(), op, s.steps(t, op.Entity)[0], nil, time.Now())
	if out == nil {
		o := s.Sink.Deliver(t.Context(), in)
		out = &o
	}
	s.Heal()
	expect(t, "a document that cannot be taken", *out, sinks.Rejected)
	if out.Code == "" || out.Message == "" {
		t.Errorf("a refusal says what and why: %+v", *out)
	}
}

func (s *suite) binding(t *testing.T) {
	a, err := s.Sink.Identity(t.Context())
	if err != nil || a == "" {
		t.Fatalf("Identity() = %q, %v", a, err)
	}
	if b, err := s.Sink.Identity(t.Context()); err != nil || a != b {
		t.Errorf("Identity() = %q, then %q (%v)", a, b, err)
	}
	binder, ok := s.Sink.(sinks.Binder)
	if !ok {
		return
	}
	for i := range 2 {
		want := sinks.Binding{Store: fmt.Sprint("store-", i), Sources: map[string]string{"billing": fmt.Sprint("server-", i)}, At: time.Now().UTC()}
		if err := binder.Bind(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := binder.Bound(t.Context())
		if err != nil || got == nil || got.Store != want.Store || got.Sources["billing"] != want.Sources["billing"] || !got.At.Equal(want.At) {
			t.Fatalf("Bound() = %+v, %v, want %+v", got, err, want)
		}
	}
}

func (s *suite) intruder(t *testing.T) {
	sink := s.Intruder(t)
	for entity, make := range s.Operations {
		op := make(t, s.next())
		_, out := sink.Prepare(t.Context(), op, s.steps(t, entity)[0], nil, time.Now())
		if out == nil {
			t.Fatal("Prepare needs no login; the suite cannot see a wrong password")
		}
		expect(t, "prepare with a wrong password", *out, sinks.Setup)
		if out.Hint == "" {
			t.Errorf("no hint: %+v", *out)
		}
	}
}
