package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// askingMapping is a second carrier, whose customers need a credit limit that a service knows by their name.
const askingMapping = `mapping: south
version: 1
company: SOUTH
cutover: "2020-01-01T00:00:00Z"
sources:
  south: { schema: public, zone: America/Chicago }
lookups:
  credit:
    ask: finance.credit
    key: name
    answer: { limit: decimal }
    again: 50ms
    FALLBACK
events:
  customer.changed:
    from: south.customers
    lane: master
    key: cust_cd
    set:
      code: cust_cd
      name: name
      limit: lookup.credit(name).limit?
posts:
  customer.changed -> erp.customer:
    external_id: "s:{code}"
    body:
      code: code
      limit: limit?
`

// oracle is a service that says what the test says.
type oracle struct {
	mu    sync.Mutex
	says  map[string]string // key → limit; "" is none
	down  *sinks.Outcome
	asked []string
}

func (o *oracle) Answers(question string) error {
	if question != "credit" {
		return errors.New("it answers credit only")
	}
	return nil
}

func (o *oracle) Ask(_ context.Context, q *transform.Question) (sinks.Answer, *sinks.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, q.Key[0].Value)
	if o.down != nil {
		down := *o.down
		return sinks.Answer{}, &down
	}
	limit := o.says[q.Key[0].Value]
	if limit == "" {
		return sinks.Answer{}, nil
	}
	return sinks.Answer{Found: true, Version: "v1", Object: json.RawMessage(`{"limit":` + limit + `}`)}, nil
}

func (o *oracle) set(down *sinks.Outcome, says map[string]string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down, o.says = down, says
}

func (o *oracle) times(key string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.asked {
		if k == key {
			n++
		}
	}
	return n
}

// asking is a rig with two carriers, of which the second asks the oracle. The asker runs until the rig is closed.
func asking(t *testing.T, fallback string, patience time.Duration) (*rig, *Pipeline, *oracle, *asker) {
	t.Helper()
	r, o := newRig(t), &oracle{says: map[string]string{}}
	r.project.codecs["plain/1"] = plainCodec{}
	p := fleet(r, partsMapping, strings.Replace(askingMapping, "FALLBACK", fallback, 1))
	if err := p.configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	r.rows(cdc.Batch{Source: "south", Identity: "pg/2/1", Snapshot: true, Tx: "snapshot", Position: "pg/2/1/0", CommitAt: time.Unix(1, 0)})
	a := newAsker("finance", Service{Answerer: o, Patience: patience, Retry: Retry{Base: 5 * time.Millisecond, Cap: 20 * time.Millisecond}}, r.store, r.project,
		newMetrics(nil), p.log)
	p.askers = []*asker{a}
	was := r.project.notify
	r.project.notify = func() { was(); a.notify() }
	r.start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, p, o, a
}

// open lists the open exceptions by code, with who waits.
func openCodes(t *testing.T, p *Pipeline) string {
	t.Helper()
	list, err := p.Exceptions(context.Background(), ExceptionQuery{Limit: listMost})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, x := range list {
		all = append(all, fmt.Sprintf("%s %s %d", x.Class, x.Code, x.Waiting))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func TestManyWaitForOneAnswer(t *testing.T) {
	r, p, o, _ := asking(t, "", time.Minute)
	o.set(&sinks.Outcome{Class: sinks.RetryLater, Code: "RATE"}, map[string]string{"Acme": "5000.00"})
	for i := range 250 { // more than one batch of those who wait
		r.rows(southern(i+1, fmt.Sprintf("C%03d", i), "Acme"))
	}
	r.rows(part("2", 0, false, "A2"))
	r.until("the other carrier goes on", func() bool { return slices.Contains(r.sink.sent(), "A2 upsert") })
	if text := openCodes(t, p); text != "" || slices.ContainsFunc(r.sink.sent(), func(s string) bool { return strings.HasPrefix(s, "s:") }) {
		t.Fatalf("while nothing is answered: %s, sent %v", text, r.sink.sent())
	}
	before := o.times("Acme")
	o.set(nil, map[string]string{"Acme": "5000.00"})
	r.until("all customers are delivered, though nothing more is captured", func() bool { return len(r.sink.sent()) == 251 })
	if n := o.times("Acme") - before; n > 2 {
		t.Errorf("asked %d times for one answer", n)
	}
	if body := r.sink.held["s:C007 upsert"]; body != `{"code":"C007","limit":"5000.00"}` {
		t.Errorf("body %s", body)
	}
}

func TestNoAnswerIsOneExceptionThatEndsByItself(t *testing.T) {
	r, p, o, a := asking(t, "", time.Minute)
	for i := range 3 {
		r.rows(southern(i+1, fmt.Sprintf("C%d", i), "Acme"))
	}
	r.until("one exception", func() bool { return openCodes(t, p) == "MASTER NO_CREDIT 3" })
	r.until("what has been asked is journalled", func() bool { return o.times("Acme") > 2 })
	last, asked := r.store.Last(), o.times("Acme")
	r.until("it is asked again", func() bool { return o.times("Acme") > asked+3 })
	if n := r.store.Last() - last; n > 0 {
		t.Errorf("%d answers that say the same were journalled", n)
	}
	a.kick()
	o.set(nil, map[string]string{"Acme": "1"})
	r.until("all are delivered", func() bool { return len(r.sink.sent()) == 3 })
	if text := openCodes(t, p); text != "" {
		t.Errorf("open: %s", text)
	}
}

func TestAQuestionThatNobodyWaitsForIsDropped(t *testing.T) {
	r, p, o, _ := asking(t, "", time.Minute)
	r.rows(southern(1, "C1", "Acme"))
	r.until("an exception", func() bool { return openCodes(t, p) == "MASTER NO_CREDIT 1" })
	list, err := p.Exceptions(context.Background(), ExceptionQuery{Limit: listMost})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Discard(context.Background(), []string{list[0].ID}, "ann", "never mind"); err != nil {
		t.Fatal(err)
	}
	queue := func() (n int) {
		if err := r.store.View(func(tx *checkpoint.Txn) error {
			return transform.Questions(tx, "finance", "", func(string, *transform.Question) (bool, error) { n++; return true, nil })
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	r.until("the question is gone", func() bool { return queue() == 0 })
	if o.times("Acme") < 2 {
		t.Error("dropped without having been asked again")
	}
}

func TestASilentServiceIsOneExceptionAndFallsBack(t *testing.T) {
	r, p, o, _ := asking(t, "fallback: null", 30*time.Millisecond)
	o.set(&sinks.Outcome{Class: sinks.RetryLater, Code: "OUTAGE", Outage: true, Message: "no connection", Hint: "Start it."}, nil)
	for i := range 3 {
		r.rows(southern(i+1, fmt.Sprintf("C%d", i), fmt.Sprintf("Name %d", i)))
	}
	r.until("what can do without is delivered", func() bool { return len(r.sink.sent()) == 3 })
	if body := r.sink.held["s:C1 upsert"]; body != `{"code":"C1"}` {
		t.Errorf("body %s", body)
	}
	r.until("one exception", func() bool { return openCodes(t, p) == "TRANSIENT LOOKUP_FAILED 1" })
	list, err := p.Exceptions(context.Background(), ExceptionQuery{Limit: listMost})
	if err != nil || !strings.HasPrefix(list[0].Title, "finance has not answered since 2") || !strings.HasSuffix(list[0].Title, ": OUTAGE no connection") {
		t.Errorf("%v, %q", err, list[0].Title)
	}
	if _, err := p.Discard(context.Background(), []string{list[0].ID}, "ann", "go away"); err == nil {
		t.Error("a silent service was discarded")
	}
	if _, err := p.Retry(context.Background(), []string{list[0].ID}, "ann", "it was restarted"); err != nil {
		t.Error(err)
	}
	o.set(nil, map[string]string{"Name 0": "7", "Name 1": "7", "Name 2": "7"})
	r.until("the exception ends by itself", func() bool { return openCodes(t, p) == "" })
	r.rows(southern(9, "C9", "Name 1"))
	r.until("answers are used again", func() bool { return r.sink.heldAs("s:C9 upsert") == `{"code":"C9","limit":"7"}` })
}

func (s *scripted) heldAs(k string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[k]
}

func TestAWrongAnswerIsForAPerson(t *testing.T) {
	r, p, o, _ := asking(t, "", time.Minute)
	o.set(nil, map[string]string{"Acme": `"lots"`})
	r.rows(southern(1, "C1", "Acme"))
	r.until("an exception", func() bool { return openCodes(t, p) == "MAPPING LOOKUP_REFUSED 1" })
	o.set(&sinks.Outcome{Class: sinks.Rejected, Code: "REFUSED", Message: "no such thing"}, nil)
	r.until("the service refuses it", func() bool {
		list, err := p.Exceptions(context.Background(), ExceptionQuery{Limit: listMost})
		return err == nil && len(list) == 1 && strings.Contains(list[0].Title, "REFUSED: no such thing")
	})
	o.set(nil, map[string]string{"Acme": "3"})
	r.until("it ends by itself", func() bool { return len(r.sink.sent()) == 1 && openCodes(t, p) == "" })
}

// The journal holds the answers, so that a state made again of it is the same, and nobody is asked.
func TestAnswersAreReplayedAndNotAskedAgain(t *testing.T) {
	r, p, o, _ := asking(t, "fallback: stale 1h", 20*time.Millisecond)
	o.set(nil, map[string]string{"Acme": "1"})
	r.rows(southern(1, "C1", "Acme"))
	r.rows(southern(2, "C2", "Nobody"))
	r.until("one is delivered, the other has no answer", func() bool { return len(r.sink.sent()) == 1 && openCodes(t, p) == "MASTER NO_CREDIT 1" })
	o.set(&sinks.Outcome{Class: sinks.Setup, Code: "AUTH", Message: "who are you"}, nil)
	r.rows(southern(3, "C3", "Third"))
	r.until("the service is silent", func() bool { return openCodes(t, p) == "MASTER NO_CREDIT 1; TRANSIENT LOOKUP_FAILED 1" })
	o.set(nil, map[string]string{"Nobody": "2", "Third": "3"})
	r.until("all are delivered", func() bool { return len(r.sink.sent()) == 3 && openCodes(t, p) == "" })
	r.stop()
	asked := len(o.asked)

	other, err := checkpoint.Open(t.TempDir(), checkpoint.Options{Floor: 1 << 20, Segment: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := uint64(1); i <= r.store.Last(); i++ {
		e, err := r.store.Read(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Append(context.Background(), checkpoint.Entry{Kind: e.Kind, At: e.At, Payload: e.Payload}); err != nil {
			t.Fatal(err)
		}
	}
	again := newProjector(other, r.project.codecs, p.log, func() {})
	if err := again.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{"ask/q", "ask/silent", "maps/south/ans", "maps/south/waits", "maps/south/held", bucketEventID, bucketDelivery, bucketException, bucketAudit} {
		if one, two := contents(t, r.store, bucket), contents(t, other, bucket); one != two {
			t.Errorf("%s:\n--- first\n%s--- again\n%s", bucket, one, two)
		}
	}
	if contents(t, other, "maps/south/ans") == "" || len(o.asked) != asked {
		t.Errorf("answers %q, asked %d times more", contents(t, other, "maps/south/ans"), len(o.asked)-asked)
	}
}

func contents(t *testing.T, store *checkpoint.Store, bucket string) string {
	t.Helper()
	var b strings.Builder
	if err := store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan(bucket, "", "", func(k string, v []byte) (bool, error) {
			fmt.Fprintf(&b, "%q %q\n", k, v)
			return true, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestALookupMustBeConfigured(t *testing.T) {
	r := newRig(t)
	p := fleet(r, askingMapping[:strings.Index(askingMapping, "    FALLBACK")]+askingMapping[strings.Index(askingMapping, "events:"):])
	if err := p.answerable(p.o.Carriers.Asks()); err == nil || !strings.Contains(err.Error(), `the mapping asks "finance", which the configuration has neither under services nor under sinks`) {
		t.Error(err)
	}
	p.o.Services = map[string]Service{"finance": {Answerer: refuser{}}}
	if err := p.answerable(p.o.Carriers.Asks()); err == nil || err.Error() != "the mapping asks finance.credit: it knows nothing" {
		t.Error(err)
	}
}

type refuser struct{}

func (refuser) Answers(string) error { return errors.New("it knows nothing") }
func (refuser) Ask(context.Context, *transform.Question) (sinks.Answer, *sinks.Outcome) {
	return sinks.Answer{}, nil
}
