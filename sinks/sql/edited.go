package sql

import (
	"fmt"
	"slices"
	"strings"

	"waybill/sinks"
)

// judgement is what is to be done with a row that is there.
type judgement struct {
	want     []field           // what the row shall have in the end
	write    []field           // of that, what it does not have
	kept     map[string]string // values of others that stay, by column
	conflict *sinks.Outcome    // somebody else changed it, and nobody has said whose value stays
}

// judge compares what is wanted with what was written last and what is there. Where somebody else changed the same since, a person chooses.
func (w *work) judge(is row) judgement {
	j := judgement{want: w.req.Set, write: w.differences(is, w.req.Set)}
	if len(j.write) == 0 {
		return j
	}
	if w.req.Was != nil {
		var edits []string
		facts := map[string]string{}
		for _, f := range j.write {
			last, there := w.lastOf(f.Column), is[f.Column]
			if last == nil || w.table.columns[f.Column].same(there, last.Value) {
				continue // nobody else wrote it
			}
			before, left := w.req.Kept[f.Column]
			stays := left && shown(there) == before && w.table.columns[f.Column].same(f.Value, last.Value)
			switch {
			case stays, w.req.Take == sinks.TakeTheirs:
				j.leave(f.Column, shown(there))
			case w.req.Take != sinks.TakeOurs:
				edits = append(edits, fmt.Sprintf("%s is %s there, %s was written, %s is wanted", f.Column, quoted(there), quoted(last.Value), quoted(f.Value)))
				facts["there."+f.Column], facts["last."+f.Column], facts["wanted."+f.Column] = shown(there), shown(last.Value), shown(f.Value)
			}
		}
		if len(edits) > 0 {
			j.conflict = w.edited(strings.Join(edits, "; "), facts)
			return j
		}
	}
	if v := w.req.Version; v != "" && w.req.Take == "" && len(j.write) > 0 && str(is[w.entity.Version]) != v {
		j.conflict = w.edited(fmt.Sprintf("%s is %s there, and was %s when the row was written last", w.entity.Version, quoted(is[w.entity.Version]), v),
			map[string]string{"there." + w.entity.Version: str(is[w.entity.Version]), "last." + w.entity.Version: v})
	} else if v != "" && w.req.Take == sinks.TakeTheirs && w.req.Was == nil {
		for _, f := range slices.Clone(j.write) {
			j.leave(f.Column, shown(is[f.Column]))
		}
	}
	return j
}

// leave takes a column out, so that the value of somebody else stays.
func (j *judgement) leave(col, there string) {
	other := func(f field) bool { return f.Column == col }
	j.want, j.write = slices.DeleteFunc(slices.Clone(j.want), other), slices.DeleteFunc(slices.Clone(j.write), other)
	if j.kept == nil {
		j.kept = map[string]string{}
	}
	j.kept[col] = there
}

func (w *work) lastOf(col string) *field {
	if i := slices.IndexFunc(w.req.Was, func(f field) bool { return f.Column == col }); i >= 0 {
		return &w.req.Was[i]
	}
	return nil
}

// shown is a value in a fact, in which NULL must not be an empty text.
func shown(v *string) string {
	if v == nil {
		return "NULL"
	}
	return *v
}

func (w *work) edited(what string, facts map[string]string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Conflict, Code: sinks.CodeChanged, Ref: w.ref(), Facts: facts,
		Message: clip(fmt.Sprintf("Somebody changed the row %s of %s: %s.", w.ref(), w.req.Table, what), 500),
		Hint:    "Choose whose value stays: waybill master settle <exception> --take ours, or --take theirs."}
}

// keep notes in an outcome which values of others stayed.
func (w *work) keep(o *sinks.Outcome, kept map[string]string) {
	for col, v := range kept {
		o.Facts[sinks.KeptFact+col] = v
	}
}
