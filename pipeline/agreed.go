package pipeline

import (
	"context"
	"errors"
	"fmt"

	"waybill/cdc"
)

// agreed returns the loss that the owner has agreed to beforehand, or nil.
func agreed(err error) *cdc.LostError {
	var lost *cdc.LostError
	if errors.As(err, &lost) && lost.Agreed {
		return lost
	}
	return nil
}

// ourselves is who decides what an owner has agreed to beforehand.
const ourselves = "waybill"

// beginAgain is the reset of a source whose loss its owner has agreed to (max_retained): the same decision in the journal, taken
// by Waybill, with the reason. The capture's goroutine calls it between two sessions. An error is one that passes: the next
// session finds the same loss and comes back here.
func (p *Pipeline) beginAgain(ctx context.Context, c *capture, lost *cdc.LostError) error {
	passes := func(err error) error {
		return fmt.Errorf("%w: %s. Beginning again with a compared snapshot: %w", cdc.ErrDisconnected, lost.Reason, err)
	}
	c.resetting.Lock()
	defer c.resetting.Unlock()
	c.mu.Lock()
	pos := c.position
	c.mu.Unlock()
	if pos == "" {
		return nil // a person has reset it meanwhile
	}
	backup, err := p.store.Backup("reset")
	if err != nil {
		return passes(err)
	}
	if err := c.release(ctx); err != nil {
		return passes(err)
	}
	r := ResetRequest{Source: c.name, To: "snapshot", By: ourselves, Why: lost.Reason}
	if err := p.decide(ctx, decisionEntry{Action: "reset", Reset: &r, By: r.By, Why: r.Why}); err != nil {
		return passes(err)
	}
	c.mu.Lock()
	c.position = ""
	c.mu.Unlock()
	c.log.Warn("beginning again with a compared snapshot", "reason", lost.Reason, "position", string(pos), "backup", backup)
	return nil
}
