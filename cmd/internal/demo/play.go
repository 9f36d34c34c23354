package demo

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// stores is the databases that a script is played into, as the carriers' own programs see them.
type stores map[Database]*sql.DB

// apply runs transactions one after the other, at once.
func (s stores) apply(ctx context.Context, transactions []Transaction) error {
	for _, t := range transactions {
		if err := s.commit(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// play runs the days at their pace: a transaction is committed at start + At, or as soon after as the databases allow. tell hears of each when it
// is committed.
func (s stores) play(ctx context.Context, transactions []Transaction, start time.Time, tell func(Transaction)) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for _, t := range transactions {
		wait.Reset(time.Until(start.Add(t.At)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
		if err := s.commit(ctx, t); err != nil {
			return err
		}
		tell(t)
	}
	return nil
}

func (s stores) commit(ctx context.Context, t Transaction) error {
	tx, err := s[t.Database].BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("playing %q in %s: %w", t.What, t.Database, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, before it the error is already on its way
	for _, statement := range t.Statements {
		args, err := statement.read(time.Now())
		if err != nil {
			return fmt.Errorf("playing %q in %s: %w", t.What, t.Database, err)
		}
		if _, err := tx.ExecContext(ctx, statement.SQL, args...); err != nil {
			return fmt.Errorf("playing %q in %s: %w", t.What, t.Database, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("playing %q in %s: %w", t.What, t.Database, err)
	}
	return nil
}

// read replaces clocks by what they show.
func (s Statement) read(now time.Time) ([]any, error) {
	args := append([]any(nil), s.Args...)
	for i, a := range args {
		if c, ok := a.(clock); ok {
			var err error
			if args[i], err = c.at(now); err != nil {
				return nil, err
			}
		}
	}
	return args, nil
}
