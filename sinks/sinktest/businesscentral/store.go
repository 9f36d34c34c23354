package businesscentral

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

// values are the properties of a record. Decimals are decimal.Decimal, all else as JSON has it.
type values map[string]any

func (v values) text(name string) string { s, _ := v[name].(string); return s }

func (v values) amount(name string) decimal.Decimal { d, _ := v[name].(decimal.Decimal); return d }

// row is a record with its history, for a replica that is behind.
type row struct {
	id       string
	versions []version
}

type version struct {
	at   time.Time
	tag  string
	data values // nil: deleted
}

func (r *row) now() values { return r.versions[len(r.versions)-1].data }

// asOf is the version that a reader sees who is behind by lag; nil when there was none.
func (r *row) asOf(lag time.Duration) *version {
	for i := len(r.versions) - 1; i >= 0; i-- {
		if v := &r.versions[i]; lag == 0 || time.Since(v.at) >= lag {
			if v.data == nil {
				return nil
			}
			return v
		}
	}
	return nil
}

// company is one company's data.
type company struct {
	id, name string
	tables   map[string][]*row
	numbers  map[string]int
}

func newCompany(id, name string) *company {
	return &company{id: id, name: name, tables: map[string][]*row{}, numbers: map[string]int{}}
}

// transaction is what one request, or a batch in isolation, does; it is undone when it fails.
type transaction struct {
	s     *Simulator
	co    *company
	undo  []func()
	lines []sinktest.Committed
}

// commit makes everything so far last, and writes the ledger.
func (t *transaction) commit() {
	for _, line := range t.lines {
		t.s.Sim.Commit(line)
	}
	t.undo, t.lines = nil, nil
}

func (t *transaction) rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	t.undo, t.lines = nil, nil
}

// note adds a line of the ledger.
func (t *transaction) note(r *resource, step, key string, v values, number, total string) {
	raw := render(r, v, "")
	t.lines = append(t.lines, sinktest.Committed{Entity: r.entity, Step: step, Key: key, ID: v.text("id"), Number: number, Company: t.co.name, Total: total, Body: raw})
}

// number gives the next number of a series.
func (t *transaction) number(series, form string, from int) string {
	old := t.co.numbers[series]
	t.undo = append(t.undo, func() { t.co.numbers[series] = old })
	t.co.numbers[series] = old + 1
	return fmt.Sprintf(form, from+old)
}

// insert adds a record.
func (t *transaction) insert(set string, v values) *row {
	r := &row{id: v.text("id")}
	t.co.tables[set] = append(t.co.tables[set], r)
	t.undo = append(t.undo, func() {
		t.co.tables[set] = slices.DeleteFunc(t.co.tables[set], func(o *row) bool { return o == r })
	})
	t.set(r, v)
	return r
}

// set gives a record a new version.
func (t *transaction) set(r *row, v values) {
	if v != nil {
		v = maps.Clone(v)
		v["lastModifiedDateTime"] = time.Now().UTC().Format("2006-01-02T15:04:05.999Z")
	}
	t.s.tags++
	n := len(r.versions)
	r.versions = append(r.versions[:n:n], version{at: time.Now(), tag: fmt.Sprintf(`W/"JzE5OzQ%08d"`, t.s.tags), data: v})
	t.undo = append(t.undo, func() { r.versions = r.versions[:n] })
}

// find is a record that is there now, by its id.
func (t *transaction) find(set, id string) *row {
	for _, r := range t.co.tables[set] {
		if r.id == id && r.now() != nil {
			return r
		}
	}
	return nil
}

// by finds the first record with a property of this value.
func (t *transaction) by(set, name, value string) *row {
	for _, r := range t.co.tables[set] {
		if v := r.now(); v != nil && v.text(name) == value {
			return r
		}
	}
	return nil
}

// children are the lines of a document that are there now.
func (t *transaction) children(set, parent, id string) []*row {
	var all []*row
	for _, r := range t.co.tables[set] {
		if v := r.now(); v != nil && v.text(parent) == id {
			all = append(all, r)
		}
	}
	return all
}

func newID() string { return uuid.NewString() }
