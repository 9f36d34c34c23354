package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// decide journals a person's decision and waits until it is applied with all that follows from it.
func (p *Pipeline) decide(ctx context.Context, d decisionEntry) error {
	if d.By == "" {
		return errors.New("a decision needs the name of the person who takes it")
	}
	d.Salt = newSalt()
	payload, err := json.Marshal(d)
	if err != nil {
		return err
	}
	index, err := p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Decision, Payload: payload})
	if err != nil {
		return fmt.Errorf("journalling the decision: %w", err)
	}
	return p.project.settled(ctx, index)
}

// Retry looks again at what exceptions hold. The ids may be the single word "all", which means those that a retry may help. It
// refuses the id of a table that must be read again: looking again at what its source could not tell would tell nothing.
func (p *Pipeline) Retry(ctx context.Context, ids []string, by, why string) ([]ExceptionView, error) {
	if !slices.Equal(ids, []string{"all"}) {
		for _, id := range ids {
			if err := p.allows("retry", id); err != nil {
				return nil, err
			}
		}
	}
	views, err := p.act(ctx, "retry", ids, by, why)
	p.kick()
	return views, err
}

// kick ends the pauses of lanes and starts sources that have stopped: a person has set something right.
func (p *Pipeline) kick() {
	for _, l := range p.lanes {
		l.kick()
	}
	for _, f := range p.feeds {
		f.kick()
	}
	for _, a := range p.askers {
		a.kick()
	}
	for _, c := range p.captures {
		if st := c.status(p.started); st.State == "stopped" {
			c.mu.Lock()
			pos := c.position
			c.mu.Unlock()
			c.start(pos)
		}
	}
}

// Discard gives up what exceptions hold. It refuses those of a whole target or a
// gate: they end with their cause. What a table's held changes would have told is found again by a reset to a snapshot.
func (p *Pipeline) Discard(ctx context.Context, ids []string, by, why string) ([]ExceptionView, error) {
	if why == "" {
		return nil, errors.New("a discard needs a reason: what was captured will never be delivered")
	}
	for _, id := range ids {
		x, err := p.Exception(ctx, id)
		if err != nil {
			return nil, err
		}
		if x.Origin == originTarget || x.Origin == originGate || x.Origin == originReading || x.Origin == originService {
			return nil, fmt.Errorf("exception %s (%s) cannot be discarded: it ends when its cause is removed", id, x.Code)
		}
	}
	return p.act(ctx, "discard", ids, by, why)
}

func (p *Pipeline) act(ctx context.Context, action string, ids []string, by, why string) ([]ExceptionView, error) {
	if len(ids) == 1 && ids[0] == "all" {
		open, err := p.Exceptions(ctx, ExceptionQuery{Limit: listMost})
		if err != nil {
			return nil, err
		}
		ids = nil
		for _, x := range open {
			if action == "retry" && x.Origin == originBlast {
				continue // a retry would send what was held
			}
			ids = append(ids, x.ID)
		}
	}
	for _, id := range ids {
		x, err := p.Exception(ctx, id)
		if err != nil {
			return nil, err
		}
		if x.ClosedAt != nil {
			return nil, fmt.Errorf("exception %s is %s already", id, x.State)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := p.decide(ctx, decisionEntry{Action: action, IDs: ids, By: by, Why: why}); err != nil {
		return nil, err
	}
	return p.views(ctx, ids)
}

// PreviewReplay says what a replay would do, without doing it.
func (p *Pipeline) PreviewReplay(_ context.Context, r ReplayRequest) (Preview, error) {
	v := Preview{Action: "replay"}
	if err := r.valid(); err != nil {
		return v, err
	}
	money, refs := sums{}, map[string]bool{}
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		return s.eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
			var e transform.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return false, err
			}
			if !r.selects(&e) {
				return true, nil
			}
			v.Events++
			if r.Event != "" {
				again, err := p.publishedAgain(s, &e)
				if err != nil {
					return false, err
				}
				if again != "" {
					v.Notes = append(v.Notes, "It is published again, with the same id, to "+again+".")
				}
			}
			refs[transform.Ref(e.Company, e.Entity, e.Key)] = true
			return true, s.previewEvent(&v, e.ID, money)
		})
	})
	v.Money = money.texts()
	for _, ref := range names(refs) {
		if len(v.Keys) < 20 {
			v.Keys = append(v.Keys, ref)
		} else {
			v.More++
		}
	}
	v.Notes = append(v.Notes, "What the target already holds is looked up and compared, not posted again.")
	return v, err
}

func (s *state) previewEvent(v *Preview, event string, money sums) error {
	ids, err := s.deliveriesOf(event)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, err := s.delivery(id)
		if err != nil || d == nil {
			return err
		}
		v.Posts++
		if d.State == StateDone {
			v.Done++
		}
		if d.Post.Amount != nil {
			money.add(d.Post.Amount.Amount, d.Post.Amount.Currency)
		}
	}
	return nil
}

// Replay delivers stored events again through the same protocol.
func (p *Pipeline) Replay(ctx context.Context, r ReplayRequest) (Preview, error) {
	v, err := p.PreviewReplay(ctx, r)
	if err != nil {
		return v, err
	}
	if v.Backup, err = p.store.Backup("replay"); err != nil {
		return v, fmt.Errorf("backing up before the replay: %w", err)
	}
	return v, p.decide(ctx, decisionEntry{Action: "replay", Replay: &r, By: r.By, Why: r.Why})
}

// PreviewReset says what a reset would do.
func (p *Pipeline) PreviewReset(_ context.Context, r ResetRequest) (Preview, error) {
	return previewReset(p.store, r)
}

func previewReset(store *checkpoint.Store, r ResetRequest) (Preview, error) {
	v := Preview{Action: "reset " + r.Source + " to a fresh snapshot"}
	if r.To != "snapshot" {
		return v, fmt.Errorf("a reset goes to \"snapshot\", not to %q: PostgreSQL cannot rewind a slot, and what is in the journal is replayed with `waybill replay`", r.To)
	}
	money := sums{}
	err := store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		src, err := s.source(r.Source)
		if err != nil {
			return err
		}
		if src.Identity == "" {
			v.Notes = append(v.Notes, "The store knows no position of this source.")
		} else {
			v.Notes = append(v.Notes, "Position "+src.Position+" is forgotten.")
		}
		return s.Scan(bucketDelivery, "", "", func(_ string, raw []byte) (bool, error) {
			var d delivery
			if err := json.Unmarshal(raw, &d); err != nil {
				return false, err
			}
			v.Posts++
			if d.State == StateDone {
				v.Done++
			}
			if d.Post.Amount != nil {
				money.add(d.Post.Amount.Amount, d.Post.Amount.Currency)
			}
			return true, nil
		})
	})
	v.Money = money.texts()
	v.Notes = append(v.Notes,
		"The selected tables are read again and compared with the row state; only differences go through the rules.",
		"What the source keeps for us on its server (the replication slot) is dropped and made anew.",
		"Nothing is posted twice: what the ledger or the target holds is verified.",
		"Not restored by a snapshot: states that a row passed through while nobody listened.")
	return v, err
}

// Reset forgets a source's position while the daemon runs: the source stops, is released on its server, and begins again
// with a snapshot that is compared with the row state.
func (p *Pipeline) Reset(ctx context.Context, r ResetRequest) (Preview, error) {
	v, err := p.PreviewReset(ctx, r)
	if err != nil {
		return v, err
	}
	var c *capture
	for _, known := range p.captures {
		if known.name == r.Source {
			c = known
		}
	}
	if c == nil {
		return v, fmt.Errorf("source %q: %w", r.Source, ErrNotFound)
	}
	c.resetting.Lock()
	defer c.resetting.Unlock()
	if v.Backup, err = p.store.Backup("reset"); err != nil {
		return v, fmt.Errorf("backing up before the reset: %w", err)
	}
	if err := c.stop(ctx); err != nil {
		return v, fmt.Errorf("stopping source %s: %w", r.Source, err)
	}
	c.mu.Lock()
	pos := c.position
	c.mu.Unlock()
	if err := c.release(ctx); err != nil {
		c.start(pos)
		return v, err
	}
	if err := p.decide(ctx, decisionEntry{Action: "reset", Reset: &r, By: r.By, Why: r.Why}); err != nil {
		return v, err
	}
	c.start("")
	return v, nil
}

// release drops what the server keeps for the source.
func (c *capture) release(ctx context.Context) error {
	if inspector, ok := c.src.(cdc.Inspector); ok {
		if err := inspector.Release(ctx); err != nil {
			return fmt.Errorf("releasing source %s: %w", c.name, err)
		}
	}
	return nil
}

// OfflineReset does what Reset does on a store that no daemon has open. The release of the source comes first: when it
// fails nothing has changed.
func OfflineReset(ctx context.Context, store *checkpoint.Store, source cdc.Inspector, r ResetRequest) (Preview, error) {
	v, err := previewReset(store, r)
	if err != nil {
		return v, err
	}
	if v.Backup, err = store.Backup("reset"); err != nil {
		return v, fmt.Errorf("backing up before the reset: %w", err)
	}
	if err := source.Release(ctx); err != nil {
		return v, fmt.Errorf("releasing source %s: %w", r.Source, err)
	}
	payload, err := json.Marshal(decisionEntry{Action: "reset", Reset: &r, By: r.By, Why: r.Why, Salt: newSalt()})
	if err != nil {
		return v, err
	}
	// The decision is applied when the daemon starts: it projects the journal before it opens any source.
	_, err = store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Decision, Payload: payload})
	return v, err
}

// PreviewOfflineReset is PreviewReset on a store that no daemon has open.
func PreviewOfflineReset(store *checkpoint.Store, r ResetRequest) (Preview, error) {
	return previewReset(store, r)
}

// newSalt is what makes the seals of a decision's words impossible to find by trying.
func newSalt() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}

// wouldTake asks the adapter whether it could freeze the edited body; nothing is sent.
func (p *Pipeline) wouldTake(ctx context.Context, d *delivery, e *bodyEdit) (note string, err error) {
	for _, t := range p.targets {
		if t.name != d.Post.Sink {
			continue
		}
		ent, err := t.sink.Entity(d.Post.Entity)
		if err != nil {
			return "", err
		}
		name, _ := step(ent, d)
		op := sinks.OperationOf(d.Post)
		op.Body = e.Body
		_, oc := t.sink.Prepare(ctx, op, name, d.Done, time.Now())
		switch {
		case oc == nil:
			return "", nil
		case oc.Class == sinks.Rejected:
			field := oc.Field
			if field == "" {
				field = "the body"
			}
			return "", &EditError{field, oc.Message, strings.TrimSpace("what " + t.name + " takes. " + oc.Hint)}
		}
		return fmt.Sprintf("%s could not be asked now whether it would take this: %s", t.name, oc.Message), nil
	}
	return "", nil
}
