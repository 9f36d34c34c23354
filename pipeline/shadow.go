package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// A mapping, or one of its posts, that is marked "shadow: true" makes its events as any other, but its documents are kept and
// not sent. Switching it on is a person's decision with a cut-over: what happened before it stays unsent for ever, because
// the program that Waybill replaces has sent it; what happened since is queued in the order in which it came, and looked for
// in the target before it is sent. Master data is queued whatever its time.

// shadowSwitch says that documents are sent although their mapping marks them.
type shadowSwitch struct {
	CutOver time.Time `json:"cut_over"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// ShadowRequest switches a mapping's shadow, or that of one target of it, on or off.
type ShadowRequest struct {
	Mapping string    `json:"mapping"`           // "northstar"
	Target  string    `json:"target,omitempty"`  // "erp.sales_invoice"; empty: all
	Send    bool      `json:"send"`              // false: keep again what comes from now on
	CutOver time.Time `json:"cut_over,omitzero"` // documents that happened before it are never sent
	By      string    `json:"by"`
	Why     string    `json:"why"`
}

func (q *ShadowRequest) text() string {
	to := "keep"
	if q.Send {
		to = "send since " + q.CutOver.UTC().Format(time.RFC3339)
	}
	return strings.TrimSpace(q.Mapping+" "+q.Target) + ": " + to
}

func (q *ShadowRequest) key() string { return key(q.Mapping, q.Target) }

// ShadowView is what is kept in shadow.
type ShadowView struct {
	Targets   []ShadowTarget   `json:"targets"`
	Documents []ShadowDocument `json:"documents"` // oldest first
	More      int              `json:"more,omitempty"`
}

// ShadowTarget sums what is kept of one mapping for one target.
type ShadowTarget struct {
	Mapping string            `json:"mapping"`
	Target  string            `json:"target"`
	Count   int               `json:"count"`
	Money   map[string]string `json:"money,omitempty"`
	Sends   bool              `json:"sends"`             // what comes now is sent
	CutOver time.Time         `json:"cut_over,omitzero"` // what is kept happened before it
}

// ShadowDocument is one document as it would have been sent.
type ShadowDocument struct {
	ID         string           `json:"id"`
	Target     string           `json:"target"`
	ExternalID string           `json:"external_id"`
	Subject    string           `json:"subject"`
	Event      string           `json:"event"`
	Recorded   time.Time        `json:"recorded_at"`
	Amount     *transform.Money `json:"amount,omitempty"`
	Body       json.RawMessage  `json:"body"`
}

// shadow keeps a delivery whose mapping is in shadow, and reports whether it did.
func (s *state) shadow(d *delivery) (kept bool, err error) {
	if d.Post.Shadow == "" {
		return false, nil
	}
	on, err := s.switched(d.Post.Shadow, targetOf(d))
	if err != nil {
		return false, err
	}
	if on != nil {
		past, err := s.past(d, on.CutOver)
		if err != nil || !past {
			return false, err
		}
	}
	d.State = StateShadow
	if err := s.Put(bucketShadow, key(d.Post.Shadow, targetOf(d), hexKey(d.Seq)), []byte(d.Post.ID)); err != nil {
		return false, err
	}
	return true, s.putDelivery(d)
}

// switched is the decision that a target of a mapping is sent: its own, or that of the whole mapping; nil for none.
func (s *state) switched(mapping, target string) (*shadowSwitch, error) {
	for _, k := range []string{key(mapping, target), key(mapping, "")} {
		var on shadowSwitch
		if ok, err := s.load(bucketShadowOn, k, &on); err != nil || ok {
			return &on, err
		}
	}
	return nil, nil
}

// past reports whether a document happened before a cut-over. Master data has no past: the target needs it as it is.
func (s *state) past(d *delivery, cutover time.Time) (bool, error) {
	if d.Post.Lane == transform.LaneMaster {
		return false, nil
	}
	e, err := s.eventByID(d.Post.Event)
	if err != nil || e == nil {
		return false, err
	}
	return e.Occurred.Before(cutover), nil
}

// switchShadow applies the decision to send what is in shadow, or to keep it again.
func (s *state) switchShadow(d decisionEntry) error {
	q := d.Shadow
	if !q.Send {
		return s.Delete(bucketShadowOn, q.key())
	}
	if err := s.save(bucketShadowOn, q.key(), shadowSwitch{q.CutOver, d.By, s.at.At}); err != nil {
		return err
	}
	prefix := q.Mapping + sep
	if q.Target != "" {
		prefix = q.key() + sep
	}
	return s.addWork(work{Kind: workShadow, Key: prefix})
}

// unshadow queues what was kept, some at a time, in the order in which it came.
func (s *state) unshadow(w *work, at time.Time) (done bool, err error) {
	return s.each(bucketShadow, w.Key, &w.Cursor, func(k string, id []byte) (bool, error) {
		d, err := s.delivery(string(id))
		if err != nil || d == nil || d.State != StateShadow {
			return err == nil, err
		}
		on, err := s.switched(d.Post.Shadow, targetOf(d))
		if err != nil || on == nil {
			return err == nil, err // switched off again meanwhile
		}
		if past, err := s.past(d, on.CutOver); err != nil || past {
			return err == nil, err
		}
		if err := s.Delete(bucketShadow, k); err != nil {
			return false, err
		}
		if d.Seq, err = s.next("delivery"); err != nil {
			return false, err
		}
		for i, g := range d.Post.Gates { // what it needs has as long to come as if it had happened now
			if !g.Deadline.IsZero() {
				d.Post.Gates[i].Deadline = at.Add(g.Deadline.Sub(d.Recorded))
			}
		}
		d.Verify = true
		by, clash, err := s.claimed(d.Post)
		if err != nil {
			return false, err
		}
		if err := s.enqueue(d); err != nil || !clash {
			return err == nil, err
		}
		out := &output{s: s, entry: transform.Entry{Observed: at}}
		return true, out.parkClaimed(d, by)
	})
}

// Shadows lists what is kept in shadow; limit bounds the documents, 0 means 100.
func (p *Pipeline) Shadows(_ context.Context, limit int) (v ShadowView, err error) {
	return shadowsOf(p.store, limit)
}

// ShadowsOf is Pipeline.Shadows for a store that no daemon has open.
func ShadowsOf(store *checkpoint.Store, limit int) (ShadowView, error) {
	return shadowsOf(store, limit)
}

func shadowsOf(store *checkpoint.Store, limit int) (v ShadowView, err error) {
	v.Targets, v.Documents = []ShadowTarget{}, []ShadowDocument{}
	by, money := map[string]*ShadowTarget{}, map[string]sums{}
	err = store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		if err := s.shadowTargets(by, money); err != nil {
			return err
		}
		return s.Scan(bucketShadow, "", "", func(_ string, id []byte) (bool, error) {
			d, err := s.delivery(string(id))
			if err != nil || d == nil {
				return err == nil, err
			}
			k := key(d.Post.Shadow, targetOf(d))
			if by[k] == nil {
				by[k], money[k] = &ShadowTarget{Mapping: d.Post.Shadow, Target: targetOf(d)}, sums{}
			}
			by[k].Count++
			if d.Post.Amount != nil {
				money[k].add(d.Post.Amount.Amount, d.Post.Amount.Currency)
			}
			if len(v.Documents) == bounded(limit) {
				v.More++
				return true, nil
			}
			v.Documents = append(v.Documents, ShadowDocument{d.Post.ID, targetOf(d), d.Post.ExternalID, subjectOf(d.Post), d.Post.Event, d.Recorded, d.Post.Amount, d.Post.Body})
			return true, nil
		})
	})
	for _, k := range names(by) {
		by[k].Money = money[k].texts()
		v.Targets = append(v.Targets, *by[k])
	}
	slices.SortStableFunc(v.Documents, func(a, b ShadowDocument) int { return a.Recorded.Compare(b.Recorded) })
	return v, err
}

// shadowTargets begins the list with what the active mappings mark, although nothing of it may have come.
func (s *state) shadowTargets(by map[string]*ShadowTarget, money map[string]sums) error {
	known, err := s.activations()
	if err != nil {
		return err
	}
	carriers, err := compiled(known)
	if err != nil {
		return err
	}
	for _, m := range carriers.Mappings() {
		for _, target := range m.Shadowed() {
			on, err := s.switched(m.Name(), target)
			if err != nil {
				return err
			}
			t := &ShadowTarget{Mapping: m.Name(), Target: target}
			if on != nil {
				t.Sends, t.CutOver = true, on.CutOver
			}
			by[key(m.Name(), target)], money[key(m.Name(), target)] = t, sums{}
		}
	}
	return nil
}

// SwitchShadow journals the decision to send what is in shadow, or to keep it again, and returns when what follows is queued.
func (p *Pipeline) SwitchShadow(ctx context.Context, q ShadowRequest) (ShadowView, error) {
	v, err := p.Shadows(ctx, 1)
	if err != nil {
		return v, err
	}
	if q.By == "" || q.Why == "" {
		return v, errors.New("switching a shadow needs the name of the person who decides, and a reason")
	}
	if q.Send && q.CutOver.IsZero() {
		return v, errors.New("sending what is in shadow needs the time of the cut-over: what happened before it is never sent")
	}
	known := slices.ContainsFunc(v.Targets, func(t ShadowTarget) bool { return t.Mapping == q.Mapping && (q.Target == "" || t.Target == q.Target) })
	if !known {
		return v, fmt.Errorf("nothing of %s is in shadow: mark the mapping or a post with shadow: true first: %w", strings.TrimSpace(q.Mapping+" "+q.Target), ErrNotFound)
	}
	if err := p.decide(ctx, decisionEntry{Action: "shadow", Shadow: &q, By: q.By, Why: q.Why}); err != nil {
		return v, err
	}
	return p.Shadows(ctx, 1)
}
