package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
)

// work is one request on its way: the row by its key, the table, and the connection.
type work struct {
	*session
	entity Entity
	table  *table
	req    request
	stmt   string // the last statement that changes something, for trace
}

// row is a row as it was read: canonical texts by column.
type row map[string]*string

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.timed(ctx, in, func(ctx context.Context, w *work) (*sinks.Outcome, error) {
		if err := w.begin(ctx); err != nil {
			return nil, err
		}
		o, write, err := w.apply(ctx)
		if err != nil || !write {
			return o, err
		}
		if err := w.commit(ctx); err != nil {
			return s.outcome(err, committing, w), nil
		}
		return o, nil
	})
}

// timed runs one call on a connection. What goes wrong before COMMIT is certainly not done.
func (s *Sink) timed(ctx context.Context, in sinks.Intent, do func(context.Context, *work) (*sinks.Outcome, error)) sinks.Outcome {
	e, ok := s.cfg.Entities[in.Entity]
	r, err := unfreeze(in.Request)
	if err != nil || !ok || in.Step != stepUpsert {
		return *rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q, or an intent of another form", in.Step, in.Entity), "Correct the sink's entities, then retry.")
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	begun := time.Now()
	w := &work{entity: e, req: r}
	o, err := func() (*sinks.Outcome, error) {
		if w.session, err = s.session(ctx); err != nil {
			return nil, err
		}
		defer w.close()
		if w.table, err = s.table(ctx, w.session, in.Entity); err != nil {
			return nil, err
		}
		if w.table == nil || w.table.schema+"."+w.table.name != r.Table {
			return setup(codeTable, "", fmt.Sprintf("the posting was frozen for the table %s, which is not there, or not the configured one", r.Table),
				"Set the entity's table right again, or discard the delivery."), nil
		}
		for _, f := range slices.Concat(r.Key, r.Set, r.Once) {
			if w.table.columns[f.Column] == nil {
				return noColumn(w.table, f.Column), nil
			}
		}
		return do(ctx, w)
	}()
	if err != nil {
		o = s.outcome(err, writing, w)
	}
	o.Took = time.Since(begun)
	if o.Request == "" {
		o.Request = clip(w.stmt, 4096)
	}
	return *o
}

// apply brings the row to what is wanted, inside the transaction. write says whether there is anything to commit.
func (w *work) apply(ctx context.Context) (o *sinks.Outcome, write bool, err error) {
	is, out, err := w.find(ctx, w.entity.Existing == existingUpdate)
	if err != nil || out != nil {
		return out, false, err
	}
	if w.req.Delete {
		if is == nil {
			return w.done(sinks.AlreadyApplied, nil, "The row is not there."), false, nil
		}
		return w.done(sinks.Applied, nil, ""), true, w.delete(ctx)
	}
	if is == nil {
		switch w.entity.Missing {
		case missingIgnore:
			return w.done(sinks.AlreadyApplied, nil, "There is no such row, and none is made."), false, nil
		case either:
			return rejected("NO_ROW", "", "there is no row with "+w.ref()+" in "+w.req.Table, "Make the row in the target, or set missing to insert."), false, nil
		}
		if err := w.insert(ctx); err != nil {
			return nil, false, err
		}
		o, err = w.asWanted(ctx, w.req.Set)
		return o, o != nil && o.Done(), err
	}
	switch w.entity.Existing {
	case existingKeep:
		return w.done(sinks.AlreadyApplied, is, "The row is there and stays as it is."), false, nil
	case either:
		if len(w.differences(is, w.req.Set)) > 0 {
			return w.exists(is), false, nil
		}
	}
	j := w.judge(is)
	if j.conflict != nil || len(j.write) == 0 {
		if j.conflict == nil {
			j.conflict = w.done(sinks.AlreadyApplied, is, "The row has these values.")
			w.keep(j.conflict, j.kept)
		}
		return j.conflict, false, nil
	}
	if err := w.update(ctx, j.write); err != nil {
		return nil, false, err
	}
	if o, err = w.asWanted(ctx, j.want); o != nil {
		w.keep(o, j.kept)
	}
	return o, o != nil && o.Done(), err
}

// find reads the row by its key; nil when there is none. A row that the target's collation takes for ours, and whose key is another, is a conflict.
func (w *work) find(ctx context.Context, lock bool) (row, *sinks.Outcome, error) {
	var columns []*column
	var shown []string
	for _, f := range slices.Concat(w.req.Key, w.req.Set, w.req.Once) {
		c := w.table.columns[f.Column]
		columns, shown = append(columns, c), append(shown, w.read(c))
	}
	if v := w.table.columns[w.entity.Version]; v != nil {
		columns, shown = append(columns, v), append(shown, w.read(v))
	}
	where, args := w.where(1)
	text := fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT 2", strings.Join(shown, ", "), w.full(), where)
	if lock {
		text += " FOR UPDATE"
	}
	found, err := w.rows(ctx, text, args...)
	if err != nil || len(found) == 0 {
		return nil, nil, err
	}
	if len(found) > 1 {
		return nil, &sinks.Outcome{Class: sinks.Conflict, Code: "DUPLICATE_IN_TARGET", Message: "several rows have " + w.ref(),
			Hint: "Make the key's columns unique in the target."}, nil
	}
	out := row{}
	for i, c := range columns {
		if v := found[0][i]; v != nil {
			text := c.normal(*v)
			out[c.name] = &text
		} else {
			out[c.name] = nil
		}
	}
	if other := w.differences(out, w.req.Key); len(other) > 0 {
		return nil, &sinks.Outcome{Class: sinks.Conflict, Code: "OTHER_KEY", Field: w.entity.memberOf(other[0].Column),
			Message: fmt.Sprintf("the target takes %s for the row whose %s is %s", w.ref(), other[0].Column, quoted(out[other[0].Column])),
			Hint:    "Write the key in both as one of them has it."}, nil
	}
	return out, nil, nil
}

// differences are the fields in which a row is not as it should be.
func (w *work) differences(is row, want []field) []field {
	var out []field
	for _, f := range want {
		if !w.table.columns[f.Column].same(is[f.Column], f.Value) {
			out = append(out, f)
		}
	}
	return out
}

// asWanted reads the row again and compares: what a trigger or the column made of it is seen before it is committed.
func (w *work) asWanted(ctx context.Context, want []field) (*sinks.Outcome, error) {
	is, out, err := w.find(ctx, false)
	if err != nil || out != nil {
		return out, err
	}
	if is == nil {
		return rejected(codeChangedBy, "", "the row that was written is not there", "Look at the table's triggers, rules and policies."), nil
	}
	if other := w.differences(is, want); len(other) > 0 {
		f := other[0]
		return rejected(codeChangedBy, w.entity.memberOf(f.Column), fmt.Sprintf("the column %s was written as %s and is %s: a trigger or the column's own rule changes it",
			f.Column, quoted(f.Value), quoted(is[f.Column])), "Give the value as the target keeps it, or leave the column out of the sink's entity."), nil
	}
	return w.done(sinks.Applied, is, ""), nil
}

func (w *work) insert(ctx context.Context) error {
	var names, values []string
	var args []any
	for _, f := range slices.Concat(w.req.Key, w.req.Set, w.req.Once) {
		text, more := w.place1(f, len(args)+1)
		names, values, args = append(names, w.quote(f.Column)), append(values, text), append(args, more...)
	}
	n, err := w.write(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", w.full(), strings.Join(names, ", "), strings.Join(values, ", ")), args)
	return metOne(n, err, "INSERT")
}

func (w *work) update(ctx context.Context, what []field) error {
	var sets []string
	var args []any
	for _, f := range what {
		text, more := w.place1(f, len(args)+1)
		sets, args = append(sets, w.quote(f.Column)+" = "+text), append(args, more...)
	}
	if w.entity.Version != "" {
		v := w.quote(w.entity.Version)
		sets = append(sets, v+" = COALESCE("+v+", 0) + 1")
	}
	where, more := w.where(len(args) + 1)
	n, err := w.write(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s", w.full(), strings.Join(sets, ", "), where), append(args, more...))
	return metOne(n, err, "UPDATE")
}

func (w *work) delete(ctx context.Context) error {
	where, args := w.where(1)
	n, err := w.write(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", w.full(), where), args)
	return metOne(n, err, "DELETE")
}

// write runs a statement that changes something.
func (w *work) write(ctx context.Context, text string, args []any) (int64, error) {
	w.stmt = text
	for i, a := range args {
		w.stmt += fmt.Sprintf(" ·%d %q", i+1, clip(fmt.Sprint(a), 200))
	}
	return w.change(ctx, text, args...)
}

// metError is a statement that did not meet one row: a trigger or rule took it away, or made it several.
type metError struct {
	what string
	rows int64
}

func (e *metError) Error() string {
	return fmt.Sprintf("%s met %d rows in place of one", e.what, e.rows)
}

func metOne(n int64, err error, what string) error {
	if err == nil && n != 1 {
		return &metError{what, n}
	}
	return err
}

func (w *work) full() string { return w.quote(w.table.schema) + "." + w.quote(w.table.name) }

func (w *work) place1(f field, n int) (string, []any) {
	if f.Value == nil {
		return "NULL", nil
	}
	return w.place(w.table.columns[f.Column], *f.Value, n)
}

// where finds the row by its key; n is the number of its first parameter.
func (w *work) where(n int) (string, []any) {
	var parts []string
	var args []any
	for _, f := range w.req.Key {
		text, more := w.place1(f, n+len(args))
		parts, args = append(parts, w.quote(f.Column)+" = "+text), append(args, more...)
	}
	return strings.Join(parts, " AND "), args
}

// ref is the row's key, for people and as its id.
func (w *work) ref() string {
	var parts []string
	for _, f := range w.req.Key {
		parts = append(parts, f.Column+"="+str(f.Value))
	}
	return strings.Join(parts, ",")
}

func (w *work) done(class sinks.Class, is row, message string) *sinks.Outcome {
	o := &sinks.Outcome{Class: class, Ref: w.ref(), Message: message, Facts: map[string]string{"table": w.req.Table}}
	if v := is[w.entity.Version]; v != nil {
		o.Facts[factVersion] = *v
	}
	return o
}

func (w *work) exists(is row) *sinks.Outcome {
	f := w.differences(is, w.req.Set)[0]
	return &sinks.Outcome{Class: sinks.Conflict, Code: "ROW_EXISTS", Ref: w.ref(), Field: w.entity.memberOf(f.Column),
		Message: fmt.Sprintf("the row %s of %s is there and its %s is %s, not %s", w.ref(), w.req.Table, f.Column, quoted(is[f.Column]), quoted(f.Value)),
		Hint:    "The sink only makes rows here; correct the one that is there, or its key."}
}

func quoted(v *string) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprintf("%q", clip(*v, 80))
}
