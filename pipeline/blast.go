package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/transform"
)

// Blast radius. What the rules make of a transaction that may be over a bound is kept back until the transaction ends (guard.go), and is
// counted by rule. Within the bounds it goes out as it came. A rule that is over its bound has all that it made of the transaction held
// as one exception, with whatever else has the same order keys, in its order; what comes later for these keys waits behind it
// (Invariant 4). A named person releases or discards it; both are work lists.

// codeBlast is the code of such an exception.
const codeBlast = "BLAST_RADIUS"

// blastPrefix begins the fingerprints of such exceptions; the mapping's name and the event type follow.
const blastPrefix = "POLICY/" + codeBlast + "/"

func blastCarrier(fingerprint string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(fingerprint, blastPrefix), "/")
	return name
}

// blast is what an exception holds of the rules that were over their bounds.
type blast struct {
	Rules  map[string]*ruleCount `json:"rules"` // by event type
	Next   uint64                `json:"next"`  // number of the next item
	Held   int                   `json:"held"`  // events and postings present
	Behind int                   `json:"behind"`
	Txs    int                   `json:"txs"` // transactions that were over a bound
	First  string                `json:"first"`
}

// blastItem is one event, or one posting of it, that is kept back or held.
type blastItem struct {
	Event    *transform.Event `json:"event,omitempty"`
	Post     *transform.Post  `json:"post,omitempty"`
	Rule     string           `json:"rule"` // event type
	Recorded time.Time        `json:"recorded"`
	Behind   bool             `json:"behind,omitempty"` // within its bound: it waits for the order alone
}

// orderKey is what keeps its order with others.
func (i *blastItem) orderKey() string {
	if i.Event != nil {
		return key(string(i.Event.Lane), i.Event.OrderKey)
	}
	return key(string(i.Post.Lane), i.Post.OrderKey)
}

// behindBlast says which exception holds something of an order key, and how much.
type behindBlast struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// heldBy returns the exception that holds an order key; empty for none.
func (s *state) heldBy(orderKey string) (behindBlast, error) {
	var b behindBlast
	if s.floors != nil {
		if s.floors.blasts == nil {
			k, _, err := s.first(bucketBehind, "")
			if err != nil {
				return b, err
			}
			some := k != ""
			s.floors.blasts = &some
		}
		if !*s.floors.blasts {
			return b, nil
		}
	}
	_, err := s.load(bucketBehind, orderKey, &b)
	return b, err
}

// setBehind notes how much of an order key an exception holds.
func (s *state) setBehind(orderKey string, b behindBlast) error {
	if b.Count <= 0 {
		return s.Delete(bucketBehind, orderKey)
	}
	s.someHeld()
	return s.save(bucketBehind, orderKey, b)
}

// someHeld remembers that something is held; whether all is gone is looked up again when an exception has let go the last.
func (s *state) someHeld() {
	if s.floors != nil {
		some := true
		s.floors.blasts = &some
	}
}

// openBlast opens the exception of rules that are over their bounds, or joins the one that is open for the first of them.
func (s *state) openBlast(over map[string]*ruleCount, g *guard, at time.Time) (string, error) {
	first := names(over)[0]
	fingerprint := blastPrefix + s.carriers.Reader(g.Source).Name() + "/" + first
	b := &blast{Rules: map[string]*ruleCount{}, First: g.Tx}
	if id, err := s.Get(bucketOpen, fingerprint); err != nil {
		return "", err
	} else if id != nil {
		x, err := s.exception(string(id))
		if err != nil {
			return "", err
		}
		b = x.Blast
	}
	b.Txs++
	for _, event := range names(over) {
		if b.Rules[event] == nil {
			b.Rules[event] = &ruleCount{}
		}
		b.Rules[event].add(over[event])
	}
	p, err := b.problem(fingerprint, first)
	if err != nil {
		return "", err
	}
	id, err := s.openException(originBlast, p, "", at)
	if err != nil {
		return "", err
	}
	x, err := s.exception(id)
	if err != nil {
		return "", err
	}
	x.Blast = b
	return id, s.save(bucketException, id, x)
}

func (b *blast) problem(fingerprint, first string) (transform.Problem, error) {
	var texts []string
	for _, event := range names(b.Rules) {
		texts = append(texts, b.Rules[event].text(event))
	}
	where := "in the transaction " + b.First
	if b.Txs > 1 {
		where = fmt.Sprintf("in %d transactions from %s on", b.Txs, b.First)
	}
	evidence, err := json.Marshal(map[string]any{"transaction": b.First, "transactions": b.Txs, "rules": b.Rules})
	if err != nil {
		return transform.Problem{}, err
	}
	return transform.Problem{Fingerprint: fingerprint, Class: "POLICY", Code: codeBlast, Owner: "integration", Subject: "rule/" + first,
		Title:    clip(fmt.Sprintf("Held %s: %s. Nothing of it was sent.", where, strings.Join(texts, "; ")), 500),
		Hint:     "Look at the samples. If it is right, waybill exceptions release sends it; if not, waybill exceptions discard gives it up. A bound is raised in bounds of the mapping.",
		Rule:     b.Rules[first].Rule,
		Evidence: evidence}, nil
}

// money is the sum of what the rules made, by currency.
func (b *blast) money(into sums) {
	for _, c := range b.Rules {
		for currency, n := range c.Money {
			into.add(n.String(), currency)
		}
	}
}

// holder puts items into exceptions, and writes each exception once for a piece of work.
type holder struct {
	s    *state
	open map[string]*exception
}

func (h *holder) exception(id string) (*exception, error) {
	if x := h.open[id]; x != nil {
		return x, nil
	}
	x, err := h.s.exception(id)
	if err != nil || x == nil || x.Blast == nil {
		return nil, fmt.Errorf("exception %s, which holds events, is not in the state: %w", id, err)
	}
	if h.open == nil {
		h.open = map[string]*exception{}
	}
	h.open[id] = x
	return x, nil
}

// hold adds an item behind what an exception holds.
func (h *holder) hold(id string, item blastItem) error {
	x, err := h.exception(id)
	if err != nil {
		return err
	}
	b, err := h.s.heldBy(item.orderKey())
	if err != nil {
		return err
	}
	x.Blast.Next++
	x.Blast.Held++
	if item.Behind {
		x.Blast.Behind++
	}
	if item.Post != nil {
		h.s.held(item.Post.Amount, 1)
	}
	if err := h.s.setBehind(item.orderKey(), behindBlast{id, b.Count + 1}); err != nil {
		return err
	}
	return h.s.save(bucketBlast, key(id, hexKey(x.Blast.Next)), item)
}

func (h *holder) flush() error {
	for _, id := range names(h.open) {
		if err := h.s.save(bucketException, id, h.open[id]); err != nil {
			return err
		}
	}
	return nil
}

// blastWork is the detail of a workBlast.
type blastWork struct {
	Discard bool   `json:"discard,omitempty"`
	By      string `json:"by"`
	Why     string `json:"why"`
}

// releaseBlast lets out what an exception holds, in its order, some at a time.
func (s *state) releaseBlast(x *exception, d decisionEntry, at time.Time) error {
	return s.settleBlast(x, blastWork{By: d.By, Why: d.Why}, at)
}

// discardBlast gives up what the rules made too much of, and lets out what only waited behind it.
func (s *state) discardBlast(x *exception, d decisionEntry, at time.Time) error {
	return s.settleBlast(x, blastWork{Discard: true, By: d.By, Why: d.Why}, at)
}

func (s *state) settleBlast(x *exception, w blastWork, at time.Time) error {
	if x.Origin != originBlast {
		return nil // refused before it was journalled
	}
	detail, err := json.Marshal(w)
	if err != nil {
		return err
	}
	x.State = ExceptionResubmitted
	if err := s.note(x, exceptionNote{At: at, What: "resubmitted", State: x.State}); err != nil {
		return err
	}
	if err := s.save(bucketException, x.ID, x); err != nil {
		return err
	}
	return s.addWork(work{Kind: workBlast, Key: x.ID, Detail: detail})
}

// moveBlast goes on with a release or a discard, and closes the exception behind the last item.
func (s *state) moveBlast(w *work, at transform.Entry) (done bool, err error) {
	var b blastWork
	if err := json.Unmarshal(w.Detail, &b); err != nil {
		return false, err
	}
	h := &holder{s: s}
	x, err := h.exception(w.Key)
	if err != nil {
		return false, err
	}
	out := &output{s: s, entry: at}
	done, err = s.each(bucketBlast, x.ID+sep, &w.Cursor, func(k string, raw []byte) (bool, error) {
		var item blastItem
		if err := json.Unmarshal(raw, &item); err != nil {
			return false, err
		}
		if err := s.Delete(bucketBlast, k); err != nil {
			return false, err
		}
		if err := s.letGo(x, &item); err != nil {
			return false, err
		}
		if b.Discard && !item.Behind {
			return true, nil
		}
		return true, out.emit(item)
	})
	if err != nil {
		return false, err
	}
	if !done {
		return false, h.flush()
	}
	end := ExceptionResolved
	if b.Discard {
		end = ExceptionDiscarded
	}
	if s.floors != nil {
		s.floors.blasts = nil
	}
	x.Waiting = 0
	if err := s.Delete(bucketSubject, key(x.ID, x.Problem.Subject)); err != nil {
		return false, err
	}
	return true, s.closeException(x, end, b.By, b.Why, at.Observed)
}

// letGo takes an item from the exception's count and from its order key.
func (s *state) letGo(x *exception, item *blastItem) error {
	x.Blast.Held--
	if item.Behind {
		x.Blast.Behind--
	}
	if item.Post != nil {
		s.held(item.Post.Amount, -1)
	}
	b, err := s.heldBy(item.orderKey())
	if err != nil {
		return err
	}
	b.Count--
	return s.setBehind(item.orderKey(), b)
}

// blastsOf returns the exceptions that hold something under an order key, for trace.
func (s *state) blastsOf(ref string) (ids []string, err error) {
	for _, lane := range []transform.Lane{transform.LaneMaster, transform.LaneTransactional} {
		b, err := s.heldBy(key(string(lane), ref))
		if err != nil {
			return nil, err
		}
		if b.ID != "" && !slices.Contains(ids, b.ID) {
			ids = append(ids, b.ID)
		}
	}
	return ids, nil
}
