package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill/checkpoint"
)

// actionHurry is the decision that deliveries go before their batch.
const actionHurry = "release now"

// HeldRelease lets what a reference asks of the targets go before its batch, or before its window opens.
type HeldRelease struct {
	Ref string   `json:"ref"`           // as people know it: invoice/A1, or the number alone
	IDs []string `json:"ids,omitempty"` // its deliveries that wait; found by ReleaseHeld
	By  string   `json:"by"`
	Why string   `json:"why"`
}

// HeldError says why nothing was released.
type HeldError struct {
	Reason string
	Hint   string
}

func (e *HeldError) Error() string { return e.Reason }

// Held lists the deliveries that wait for a batch or a window, at most limit (default 100); of a reference only, unless it is empty.
func (p *Pipeline) Held(_ context.Context, ref string, limit int) (views []DeliveryView, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		if ref != "" {
			found, err := s.timedBy(ref)
			for _, d := range found {
				views = append(views, d.view())
			}
			views = views[:min(len(views), bounded(limit))]
			return err
		}
		return s.Scan(bucketBatch, "lane"+sep, "", func(k string, _ []byte) (bool, error) {
			d, err := s.delivery(k[strings.LastIndex(k, sep)+1:])
			if err != nil || d == nil {
				return err == nil, err
			}
			views = append(views, d.view())
			return len(views) < bounded(limit), nil
		})
	})
	return views, err
}

// timedBy finds what waits of the thing that people know by a key.
func (s *state) timedBy(typed string) ([]*delivery, error) {
	refs, err := s.refs(typed)
	if err != nil {
		return nil, err
	}
	found, err := s.heldOf(refs)
	if err != nil {
		return nil, err
	}
	// By the external id also what a lane keeps back alone, because its window shut before it was sent.
	err = s.Scan(bucketAlias, key(typed, "post/"), "", func(k string, _ []byte) (bool, error) {
		d, err := s.delivery(strings.TrimPrefix(k, key(typed, "post/")))
		if err == nil && d != nil && (d.State == StateReady || d.State == StateRetry) && !d.opening(time.Now()).IsZero() {
			found = append(found, d)
		}
		return len(found) < listMost, err
	})
	return found, err
}

// ReleaseHeld journals that what waits of a reference goes now, and returns how it stands then. The error is a *HeldError when nothing
// of it waits for a time.
func (p *Pipeline) ReleaseHeld(ctx context.Context, r HeldRelease) ([]DeliveryView, error) {
	if strings.TrimSpace(r.Why) == "" {
		return nil, &HeldError{"a release before its time needs a reason", "Give why; it is kept in the audit."}
	}
	r.IDs = nil
	err := p.store.View(func(tx *checkpoint.Txn) error {
		found, err := newState(tx).timedBy(r.Ref)
		for _, d := range found {
			r.IDs = append(r.IDs, d.Post.ID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(r.IDs) == 0 {
		return nil, &HeldError{fmt.Sprintf("nothing of %s waits for a batch or a window", r.Ref), "waybill lane held lists what does."}
	}
	if err := p.decide(ctx, decisionEntry{Action: actionHurry, Hurry: &r, By: r.By, Why: r.Why}); err != nil {
		return nil, err
	}
	var views []DeliveryView
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		for _, id := range r.IDs {
			d, err := s.delivery(id)
			if err != nil || d == nil {
				return err
			}
			views = append(views, d.view())
		}
		return nil
	})
	return views, err
}
