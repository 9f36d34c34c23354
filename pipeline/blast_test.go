package pipeline

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// newBlastModel has an empty table that was read, and a mapping with these bounds.
func newBlastModel(t *testing.T, bounds string) *model {
	m := &model{rig: newRig(t), rng: rand.New(rand.NewPCG(1, 77)), must: map[int]bool{}}
	m.project.codecs["plain/1"] = modelCodec{}
	payload, err := json.Marshal(mappingEntry{"parts/1", "parts.yaml", partsMapping + bounds})
	if err != nil {
		t.Fatal(err)
	}
	m.journal(checkpoint.Mapping, payload)
	m.catchUp()
	m.whole(0)
	return m
}

// mass gives the customers from..to-1 the name in one transaction, as one entry of the journal.
func (m *model) mass(from, to int, name string) {
	m.t.Helper()
	m.log = append(m.log, modelTx{})
	m.streamed = len(m.log)
	var e cdc.Encoder
	e.Begin(m.tx(m.streamed))
	for i := from; i < to; i++ {
		e.Change(cdc.Update, partsSchema)
		e.Value([]byte(fmt.Sprintf("K%05d", i)))
		e.Value([]byte(name))
	}
	b := m.batch(&e)
	b.Position, b.CommitAt = cdc.Position(fmt.Sprint(m.streamed)), m.tx(m.streamed).CommitAt
	m.rows(b)
	m.catchUp()
}

// judge journals a decision and applies it, however long that takes.
func (m *model) judge(d decisionEntry) {
	m.t.Helper()
	payload, err := json.Marshal(d)
	if err != nil {
		m.t.Fatal(err)
	}
	m.journal(checkpoint.Decision, payload)
	m.catchUp()
}

// events counts the stored events.
func (m *model) events() (n int) {
	m.t.Helper()
	err := m.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).eachEvent(0, func(uint64, []byte) (bool, error) { n++; return true, nil })
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// kept counts the keys of a bucket.
func (m *model) kept(bucket string) (n int) {
	m.t.Helper()
	err := m.store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan(bucket, "", "", func(string, []byte) (bool, error) {
			n++
			return true, nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// standardBound is what a mapping has that declares none.
const standardBound = 10_000

const tooMuch = "POLICY/BLAST_RADIUS/parts/customer.changed"

// A mass update is held whole as one exception. What comes later for its customers waits behind it, in order; other customers flow. A
// release sends everything; a discard gives up what was too much and sends what waited behind.
func TestAMassUpdateIsHeld(t *testing.T) {
	const many = standardBound + 2000 // the program as it is shipped does 50,000, in e2e
	for _, end := range []string{"release", "discard"} {
		t.Run(end, func(t *testing.T) {
			m := newBlastModel(t, "")
			m.mass(0, 10, "before")
			m.mass(0, many, "wrong")
			x := m.open(tooMuch)
			if x == nil || x.Blast == nil {
				t.Fatal("nothing is held")
			}
			want := "Held in the transaction c2: customer.changed made 12000 events, 12000 postings; its bound is 10000 events in one transaction. Nothing of it was sent."
			if x.Problem.Title != want || x.Problem.Class != "POLICY" || x.Problem.Code != "BLAST_RADIUS" || x.Origin != originBlast || x.Waiting != 1 {
				t.Errorf("%+v", x.Problem)
			}
			if c := x.Blast.Rules["customer.changed"]; c.Events != many || c.Posts != many || len(c.Samples) != blastSamples || c.Samples[0].Ref != "customer/K00000" ||
				string(c.Samples[0].Data) != `{"code":"K00000","name":"wrong"}` || x.Blast.Held != 2*many || x.Blast.Behind != 0 {
				t.Errorf("%+v of %d", c, x.Blast.Held)
			}
			m.mass(3, 4, "later")
			m.mass(many, many+1, "other")
			if n, d := m.events(), m.kept(bucketDelivery); n != 11 || d != 11 {
				t.Errorf("%d events and %d deliveries went out", n, d)
			}
			if x = m.open(tooMuch); x.Blast.Behind != 2 || x.Blast.Held != 2*many+2 {
				t.Errorf("behind it: %d of %d", x.Blast.Behind, x.Blast.Held)
			}
			m.decide(decisionEntry{Action: "retry", IDs: []string{x.ID}, By: "ann"})
			if m.events() != 11 {
				t.Error("a retry let it out")
			}
			m.judge(decisionEntry{Action: end, IDs: []string{x.ID}, By: "ann", Why: "looked at"})
			names := map[string][]string{"release": {"before", "wrong", "later"}, "discard": {"before", "later"}}[end]
			if got := m.names("K00003"); !slices.Equal(got, names) {
				t.Errorf("K00003 is told %v, want %v", got, names)
			}
			events := map[string]int{"release": many + 12, "discard": 12}[end]
			if n, d := m.events(), m.kept(bucketDelivery); n != events || d != events {
				t.Errorf("%d events and %d deliveries, want %d", n, d, events)
			}
			for _, bucket := range []string{bucketSpill, bucketBlast, bucketBehind, bucketWork} {
				if n := m.kept(bucket); n != 0 {
					t.Errorf("%d keys left in %s", n, bucket)
				}
			}
			if m.open(tooMuch) != nil {
				t.Error("the exception is still open")
			}
			m.mass(3, 4, "last")
			if got := m.names("K00003"); got[len(got)-1] != "last" {
				t.Errorf("afterwards: %v", got)
			}
		})
	}
}

// What is held, and in which order it goes out, does not depend on where the program was killed.
func TestAMassUpdateSurvivesACrash(t *testing.T) {
	const bounds = "bounds: { events: 1000 }\n"
	story := func(t *testing.T, crash bool) (told []string) {
		m := newBlastModel(t, bounds)
		step := func(what func()) {
			what()
			if crash { // what the process knew is gone; the state is what the last commit left
				p := newProjector(m.store, m.project.codecs, m.project.log, func() {})
				if _, err := p.load(); err != nil {
					t.Fatal(err)
				}
				m.project = p
				m.catchUp()
			}
		}
		limited := func(what func()) func() {
			return func() {
				if !crash {
					what()
					return
				}
				m.interrupted(what)
			}
		}
		step(limited(func() { m.mass(0, 900, "small") }))
		step(limited(func() { m.mass(0, 2500, "mass") }))
		step(limited(func() { m.mass(7, 8, "behind") }))
		x := m.open(tooMuch)
		if x == nil || x.Blast.Held != 2*2500+2 {
			t.Fatalf("%+v", x)
		}
		step(limited(func() { m.judge(decisionEntry{Action: "release", IDs: []string{x.ID}, By: "ann", Why: "right"}) }))
		for _, k := range []string{"K00007", "K00899", "K02499"} {
			told = append(told, k+" "+strings.Join(m.names(k), ","))
		}
		return append(told, fmt.Sprint(m.events(), m.kept(bucketDelivery), m.kept(bucketSpill), m.kept(bucketBlast), m.kept(bucketBehind)))
	}
	quiet, killed := story(t, false), story(t, true)
	if !slices.Equal(quiet, killed) {
		t.Errorf("\nquiet  %v\nkilled %v", quiet, killed)
	}
	if want := "K00007 small,mass,behind"; quiet[0] != want || quiet[3] != "3401 3401 0 0 0" {
		t.Errorf("%v", quiet)
	}
}

// interrupted journals what the function says and applies it one commit at a time, each by a projector that knows nothing.
func (m *model) interrupted(what func()) {
	m.t.Helper()
	live := m.project
	quietly := newProjector(m.store, live.codecs, live.log, func() {})
	quietly.applied = checkpoint.Applied{Index: ^uint64(0) >> 1} // it applies nothing: the entries are only journalled
	quietly.quiet = true
	quietly.published = live.published
	m.project = quietly
	what()
	for {
		p := newProjector(m.store, live.codecs, live.log, func() {})
		if _, err := p.load(); err != nil {
			m.t.Fatal(err)
		}
		m.project = p
		idle, err := p.step()
		if err != nil {
			m.t.Fatal(err)
		}
		if idle {
			return
		}
	}
}

// Postings and money have bounds of their own, and a rule may have another one than the rest.
func TestBoundsOfPostsAndOfARule(t *testing.T) {
	m := newBlastModel(t, "bounds: { posts: 3, rules: { customer.changed: { posts: 5 } } }\n")
	m.mass(0, 5, "five")
	if m.open(tooMuch) != nil || m.events() != 5 {
		t.Error("within the bound of its rule")
	}
	m.mass(0, 6, "six")
	x := m.open(tooMuch)
	if x == nil || m.events() != 5 || !strings.Contains(x.Problem.Title, "its bound is 5 postings in one transaction") {
		t.Fatalf("%+v", x)
	}
	m.mass(10, 16, "again")
	if y := m.open(tooMuch); y.ID != x.ID || y.Blast.Txs != 2 || !strings.Contains(y.Problem.Title, "Held in 2 transactions from c2 on: customer.changed made 12 events, 12 postings") {
		t.Errorf("%+v", y.Problem)
	}
	m.decide(decisionEntry{Action: "release", IDs: []string{x.ID}, By: "ann", Why: "right"})
	if m.events() != 17 || m.open(tooMuch) != nil {
		t.Errorf("%d events", m.events())
	}
}

// A job that writes row by row is found in a window of the watermark.
func TestBoundsOfAWindow(t *testing.T) {
	m := newBlastModel(t, "bounds: { events: 20, per: 10m }\n")
	for i := range 30 { // a transaction each second of the watermark
		m.mass(i, i+1, "job")
	}
	x := m.open(tooMuch)
	if x == nil || m.events() != 20 || x.Blast.Txs != 10 || !strings.Contains(x.Problem.Title, "its bound is 20 events in 10m0s") {
		t.Fatalf("%d events, %+v", m.events(), x)
	}
	m.decide(decisionEntry{Action: "discard", IDs: []string{x.ID}, By: "ann", Why: "the job was wrong"})
	if m.events() != 20 || m.kept(bucketBehind) != 0 {
		t.Errorf("%d events", m.events())
	}
}

// The money of held postings is shown as money in exceptions, and goes back with them. What was on its way before does not wait.
func TestHeldMoneyIsCounted(t *testing.T) {
	r := newRig(t)
	r.post(invoice("i0", "invoice/i1"))
	post := invoice("i1", "invoice/i1")
	r.do(func(s *state, out *output) error {
		x := exception{ID: "X-000001", State: ExceptionOpen, Origin: originBlast, Blast: &blast{Rules: map[string]*ruleCount{}}, Problem: transform.Problem{Fingerprint: "f", Subject: "rule/x"}}
		if err := s.save(bucketException, x.ID, x); err != nil {
			return err
		}
		if err := s.Put(bucketOpen, "f", []byte(x.ID)); err != nil {
			return err
		}
		h := &holder{s: s}
		if err := h.hold(x.ID, blastItem{Post: &post, Rule: "invoice.released"}); err != nil {
			return err
		}
		return h.flush()
	})
	held := func() string {
		var m moneySum
		err := r.store.View(func(tx *checkpoint.Txn) error {
			_, err := newState(tx).load(bucketMoney, key("USD", "held"), &m)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return m.String()
	}
	if held() != "1, 10.00" {
		t.Errorf("held %s", held())
	}
	r.start()
	r.state("i0", StateDone)
	if x := r.exception("X-000001"); x.Blast.Held != 1 || x.Blast.Behind != 0 {
		t.Errorf("the outcome of an earlier posting waits: %+v", x.Blast)
	}
	r.decide(decisionEntry{Action: "release", IDs: []string{"X-000001"}, By: "ann", Why: "right"})
	r.state("i1", StateDone)
	if held() != "0, 0.00" {
		t.Errorf("held %s", held())
	}
}
