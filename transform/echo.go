package transform

import (
	"errors"
	"slices"
	"strings"

	"waybill/cdc"
)

// Written is a row as a posting of ours makes it, in a table that a source captures: by it the change that comes back is known for an echo. Its
// values are texts as the adapter writes them; nil is NULL.
type Written struct {
	Source  string             `json:"source"`
	Table   cdc.Table          `json:"table"`
	Key     map[string]string  `json:"key"`
	Columns map[string]*string `json:"columns,omitempty"`
	Delete  bool               `json:"delete,omitempty"`
}

// KeyColumns are the names of the key's columns, sorted.
func (w *Written) KeyColumns() []string {
	var all []string
	for name := range w.Key {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// RowKey is the text by which a change and what was written are brought together: the values of columns, or false when the change does not
// carry one of them. KeyText is that of what was written.
func RowKey(ch *cdc.Change, columns []string) (string, bool) {
	get := ch.New
	if !ch.HasNew() {
		get = ch.Old
	}
	var parts []string
	for _, name := range columns {
		v, ok := valueNamed(ch, name, get)
		if !ok || v.State != cdc.Present {
			return "", false
		}
		parts = append(parts, echoText(v))
	}
	return stateKey(parts...), true
}

// KeyText implements what RowKey says.
func (w *Written) KeyText() string {
	var parts []string
	for _, name := range w.KeyColumns() {
		parts = append(parts, strings.TrimRight(w.Key[name], " "))
	}
	return stateKey(parts...)
}

// Echoes reports whether a change of the row is what was written: every written column that the change carries has its value, and, where
// the row was there before, one of them had another. So a change that leaves alone what we write is never taken for ours.
func (c *Carriers) Echoes(st State, ch *cdc.Change, w *Written) (bool, error) {
	o := c.of(ch.Source)
	if o == nil || ch.Op == cdc.Truncate {
		return false, nil
	}
	b := o.p.bind(ch.Schema)
	if b == nil || b.table.messages {
		return false, nil
	}
	if w.Delete || !ch.HasNew() {
		return w.Delete && ch.Op == cdc.Delete, nil
	}
	before, err := b.before(o.state(st), ch)
	if err != nil {
		var hold *HoldTable
		if errors.As(err, &hold) {
			return false, nil // mapping it says so
		}
		return false, err
	}
	carried, moved := false, false
	for name, want := range w.Columns {
		now, ok := valueNamed(ch, name, ch.New)
		if !ok || now.State == cdc.Absent {
			continue
		}
		if !sameAsWritten(now, want) {
			return false, nil
		}
		carried = true
		was, known := valueNamed(ch, name, ch.Old)
		if i := slices.Index(b.table.cols, name); (!known || was.State == cdc.Absent) && before != nil && i >= 0 {
			was = before.vals[i]
		}
		moved = moved || was.State != cdc.Absent && was.State != broken && (was.State != now.State || was.Text != now.Text)
	}
	return carried && moved || ch.Op == cdc.Insert, nil
}

// echoed makes no event, and keeps what a master's would have told: who sets it back afterwards tells something new.
func (r *run) echoed(e *eventRule, c *rowChange) error {
	if e.lane != LaneMaster || e.others != "" || c.now == nil && (e.gone == nil || c.before == nil) {
		return nil
	}
	f := r.frame(c)
	if c.now == nil {
		f.rows[newRow] = c.before
	}
	if e.when != nil {
		if yes, err := e.when.holds(f); err != nil || !yes {
			return bug(err)
		}
	}
	ev, troubles, err := r.makeEvent(e, f, &c.cause)
	if err != nil || len(troubles) > 0 {
		return bug(err)
	}
	_, err = r.sameVersion(&ev)
	return err
}

// before is the row as row state has it; nil when it is not known.
func (b *binding) before(st State, ch *cdc.Change) (*row, error) {
	_, k, _, _, err := b.rows(ch)
	if err != nil {
		return nil, err
	}
	raw, err := st.Get(b.table.bucket(), k)
	if err != nil || raw == nil {
		return nil, err
	}
	_, known, err := decodeRow(b.table, raw)
	return known, err
}

// valueNamed is a column's value by its name; false when the change does not have it, or it cannot be read.
func valueNamed(ch *cdc.Change, name string, get func(int) (cdc.Value, error)) (cdc.Value, bool) {
	i := slices.IndexFunc(ch.Schema.Columns, func(c cdc.Column) bool { return c.Name == name })
	if i < 0 {
		return cdc.Value{}, false
	}
	v, err := get(i)
	return v, err == nil
}

// sameAsWritten compares a captured value with a text of an adapter. What has no one text, JSON and arrays, is never the same.
func sameAsWritten(v cdc.Value, want *string) bool {
	if v.State != cdc.Present || want == nil {
		return v.State == cdc.Null && want == nil
	}
	switch v.Kind {
	case cdc.KindJSON, cdc.KindBytes, cdc.KindInterval, cdc.KindArray, cdc.KindRange, cdc.KindUnsupported:
		return false
	case cdc.KindBool, cdc.KindInt, cdc.KindBits: // a legacy column may be the one for the adapter and the other for the source
		if *want == "true" || *want == "false" {
			return v.Text == *want || v.Text == map[string]string{"true": "1", "false": "0"}[*want]
		}
	}
	return echoText(v) == strings.TrimRight(*want, " ")
}

// echoText is a captured value in the form in which adapters write it.
func echoText(v cdc.Value) string {
	switch v.Kind {
	case cdc.KindDecimal, cdc.KindFloat:
		if strings.Contains(v.Text, ".") {
			text := strings.TrimRight(strings.TrimRight(v.Text, "0"), ".")
			if text == "-0" {
				return "0"
			}
			return text
		}
	case cdc.KindInstant:
		return strings.TrimSuffix(strings.Replace(v.Text, "T", " ", 1), "Z")
	case cdc.KindText, cdc.KindEnum:
		return strings.TrimRight(v.Text, " ")
	}
	return v.Text
}
