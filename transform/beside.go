package transform

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// beside is a table of which one row stands beside a document's header: the queue item that releases it, an adjustment. Its columns are
// read, and its changes release, like those of the header itself. Of several rows the last one counts, in the order of the columns
// that the rule names, else of their keys.
type beside struct {
	name    string // the alias by which expressions know it
	table   *table
	root    int // column of the header, equal to
	join    int // the column of the table
	orderBy int // column of the table; -1: by key
}

// besideOf is a table's part in a document.
type besideOf struct {
	*beside
	d *document
	n int
}

// besideRows is a row beside a header, as the change left it and as it was.
type besideRows struct{ now, before *row }

// maxBeside bounds the rows beside one header, and the headers beside which one row stands.
const maxBeside = 1000

// rowsBucket holds, for each join value, the keys of the rows that have it; rootsBucket those of the headers.
func (d *document) rowsBucket(b *beside) string  { return "map/beside/" + d.name + "/" + b.name }
func (d *document) rootsBucket(b *beside) string { return "map/roots/" + d.name + "/" + b.name }

// joined keeps an index of rows by a column in step with a change, and returns the values before and now.
func (r *run) joined(bucket string, c *rowChange, col int) (was, is string, err error) {
	was, is = joinText(c.known, col), joinText(c.now, col)
	if c.known != nil && (was != is || c.now == nil) {
		if err := r.st.Delete(bucket, stateKey(was, c.key)); err != nil {
			return "", "", err
		}
	}
	if c.now != nil && (c.known == nil || was != is) {
		err = r.st.Put(bucket, stateKey(is, c.key), []byte{})
	}
	return was, is, err
}

// keysOf lists what an index holds of a join value.
func (r *run) keysOf(bucket, join string) (keys []string, err error) {
	if join == "" {
		return nil, nil
	}
	err = r.st.Scan(bucket, stateKey(join)+separator, "", func(k string, _ []byte) (bool, error) {
		keys = append(keys, stateParts(k)[1])
		return len(keys) <= maxBeside, nil
	})
	return keys, err
}

// besides reads the rows beside a header. fresh says that the header is new: what stands beside it then came with it.
func (r *run) besides(d *document, header *row, fresh bool) ([]besideRows, error) {
	if len(d.beside) == 0 {
		return nil, nil
	}
	all := make([]besideRows, len(d.beside))
	for i, b := range d.beside {
		keys, err := r.keysOf(d.rowsBucket(b), joinText(header, b.root))
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			one, err := r.stored(b.table, k)
			if err != nil {
				return nil, err
			}
			last := all[i].now
			if one != nil && (last == nil || b.orderBy < 0 || compareValues(one.vals[b.orderBy], last.vals[b.orderBy]) >= 0) {
				all[i].now = one
			}
		}
		if !fresh {
			all[i].before = all[i].now
		}
	}
	return all, nil
}

// beside runs a document's rules over a change of a row that stands beside its headers.
func (r *run) beside(b besideOf, c *rowChange) error {
	was, is, err := r.joined(b.d.rowsBucket(b.beside), c, b.join)
	if err != nil || c.first {
		return err
	}
	joins := []string{is}
	if was != is {
		joins = []string{was, is}
	}
	for _, join := range joins {
		roots, err := r.keysOf(b.d.rootsBucket(b.beside), join)
		if err != nil {
			return err
		}
		if len(roots) > maxBeside {
			t := trouble{class: "MAPPING", code: "JOIN_TOO_WIDE", cause: b.d.name + "/" + b.name + "/" + join,
				title: fmt.Sprintf("More than %d documents %s stand beside one row of %s (%s).", maxBeside, b.d.name, b.table.key(), join),
				hint:  "Join by a column that names one document; what many share belongs into an xref."}
			if err := r.out.Problem(t.problem(b.table.key()+" "+c.key, "", b.d.name+" ("+b.d.at+")", nil)); err != nil {
				return err
			}
			continue
		}
		for _, k := range roots {
			if err := r.headerBeside(b, c, join, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// headerBeside runs a document's rules for one header because a row beside it changed.
func (r *run) headerBeside(b besideOf, c *rowChange, join, root string) error {
	header, err := r.stored(b.d.root, root)
	if err != nil || header == nil {
		return err
	}
	f := &frame{m: r.m, st: r.st, op: cdc.Update}
	f.rows[newRow], f.rows[oldRow] = header, header
	if f.beside, err = r.besides(b.d, header, false); err != nil {
		return err
	}
	if now := f.beside[b.n].now; now == nil || now.key == c.key {
		f.beside[b.n].before = nil
		if joinText(c.before, b.join) == join {
			f.beside[b.n].before = c.before
		}
	}
	key, _ := r.keyOf(b.d, f)
	rec, err := r.record(b.d, key)
	if err != nil || rec == nil {
		return err
	}
	return r.headed(b.d, rec, f, false, c)
}

// rooted keeps the headers of a document findable by what stands beside them.
func (r *run) rooted(d *document, c *rowChange) error {
	for _, b := range d.beside {
		if _, _, err := r.joined(d.rootsBucket(b), c, b.root); err != nil {
			return err
		}
	}
	return nil
}

// indexAgain indexes a row that a reading found as it was known: a rule of a newer mapping may join it, which the older one did not.
func (r *run) indexAgain(c *rowChange) error {
	again := *c
	again.known = nil
	for _, d := range c.table.root {
		if err := r.rooted(d, &again); err != nil {
			return err
		}
	}
	for _, b := range c.table.beside {
		if _, _, err := r.joined(b.d.rowsBucket(b.beside), &again, b.join); err != nil {
			return err
		}
	}
	for _, d := range c.table.lines {
		if _, _, err := r.joined(d.linesBucket(), &again, d.joinLine); err != nil {
			return err
		}
	}
	return nil
}

// standing reads with: the tables beside the header.
func (c *compiler) standing(d *document, f field, header string, sc *scope) bool {
	form := "<source>.<table> as q on q.<column> = " + header + ".<column> order by q.<column>"
	for _, n := range c.list(f.value, "tables beside the header") {
		m := joinForm.FindStringSubmatch(c.text(n, "a joined table"))
		if m == nil || m[3] != m[2] || m[5] != header || m[7] != "" && m[7] != m[2] {
			c.fault(n, describe(n), form, "")
			return false
		}
		if _, taken := sc.roots[m[2]]; taken {
			c.fault(n, fmt.Sprintf("the name %s a second time", m[2]), "a name of its own for each table", "")
			return false
		}
		b := &beside{name: m[2], orderBy: -1}
		if b.table = c.rowsOf(n, m[1]); b.table == nil {
			return false
		}
		if b.table.source != d.root.source {
			c.fault(n, "a table of another source than the header", "one of "+d.root.source.name, "")
		}
		sc.roots[b.name] = root{b.table, besideRow + len(d.beside)}
		b.join, b.root = c.plainColumn(n, b.table, m[4]), c.plainColumn(n, d.root, m[6])
		if m[8] != "" {
			b.orderBy = c.plainColumn(n, b.table, m[8])
		}
		b.table.beside = append(b.table.beside, besideOf{b, d, len(d.beside)})
		d.beside = append(d.beside, b)
	}
	return true
}

// withoutBefore takes what was beside the header away: as if all of it were new.
func (f *frame) withoutBefore() {
	f.beside = slices.Clone(f.beside)
	for i := range f.beside {
		f.beside[i].before = nil
	}
}

// list returns the entries of a YAML list.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, describe(n), "a list: "+what, "")
		return nil
	}
	return n.Content
}
