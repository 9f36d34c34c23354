package s4hana

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// row is an entity. It is never changed: a change is another row in its place.
type row struct {
	values  map[string]any // texts, decimals and dates (YYYY-MM-DD) as strings, truth values; nil for null
	version int
	at      time.Time // of the commit
	before  *row      // what it replaced, for reads that are behind
}

// store holds the rows of all sets. A copy shares the rows: what is done as a whole is done on a copy, which then takes its place.
type store struct {
	rows    map[string][]row
	numbers map[string]int // number ranges
}

func newStore() *store { return &store{map[string][]row{}, map[string]int{}} }

func (s *store) copy() *store {
	c := &store{map[string][]row{}, maps.Clone(s.numbers)}
	for set, rows := range s.rows {
		c.rows[set] = slices.Clone(rows)
	}
	return c
}

// next is the next number of a range of ten digits that begins at first.
func (s *store) next(name string, first int) string {
	if s.numbers[name] == 0 {
		s.numbers[name] = first - 1
	}
	s.numbers[name]++
	return fmt.Sprintf("%010d", s.numbers[name])
}

// put adds a row, or puts it in the place of the one with its keys.
func (s *store) put(set string, r row) row {
	r.at = time.Now()
	if i := s.index(set, keysOf(set, r.values)); i >= 0 {
		was := s.rows[set][i]
		r.version, r.before = was.version+1, &was
		s.rows[set][i] = r
		return r
	}
	r.version = 1
	s.rows[set] = append(s.rows[set], r)
	return r
}

func (s *store) remove(set string, keys map[string]string) {
	if i := s.index(set, keys); i >= 0 {
		s.rows[set] = slices.Delete(s.rows[set], i, i+1)
	}
}

func (s *store) index(set string, keys map[string]string) int {
	return slices.IndexFunc(s.rows[set], func(r row) bool { return r.has(keys) })
}

func (s *store) get(set string, keys map[string]string) (row, bool) {
	i := s.index(set, keys)
	if i < 0 {
		return row{}, false
	}
	return s.rows[set][i], true
}

// has reports whether a row has these values.
func (r row) has(values map[string]string) bool {
	for name, v := range values {
		if text(r.values[name]) != v {
			return false
		}
	}
	return true
}

func (r row) etag() string {
	return fmt.Sprintf(`W/"'%s.%d'"`, r.at.UTC().Format("20060102150405"), r.version)
}

// keysOf are the values of an entity's keys.
func keysOf(set string, values map[string]any) map[string]string {
	keys := map[string]string{}
	for _, k := range sets[set].keys {
		keys[k] = text(values[k])
	}
	return keys
}

// seen is what a read sees that is so far behind; false: nothing yet.
func (r row) seen(behind time.Duration) (row, bool) {
	for time.Since(r.at) < behind {
		if r.before == nil {
			return r, false
		}
		r = *r.before
	}
	return r, true
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}
