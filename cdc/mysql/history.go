package mysql

import (
	"fmt"
	"slices"
	"strings"

	"waybill/cdc"
)

// history knows each table's definition at the place that the stream has come to. It begins with what information_schema says
// and follows the statements of the log, so that rows are read by the columns that the table had when they were written. A
// statement that is not understood makes the tables that it names unknown, and those alone, until they are known again.
type history struct {
	flavor    string
	lower     bool // the server compares names of tables in lower case
	selected  map[cdc.Table]*selected
	tables    map[cdc.Table]*definition // a database is one without a name, of which the default charset is known
	made      []cdc.Table               // tables that are not selected, in the order they came: one of them may become a selected one
	databases map[string]bool           // those of the selected tables
	pending   int                       // definitions with seen set
	file      string                    // the first place at which one of them may be proved
	pos       uint64
	dirty     []cdc.Table  // changed by the group being read
	kept      []Definition // as they are saved
	confirmed func() cdc.Position
}

// definition is what is known of one table.
type definition struct {
	info *tableInfo // nil when not known
	why  string     // why not
	held string     // why rows are held all the same: the log lacks changes of the table
	gone bool       // the table does not exist

	// seen is what information_schema said when the log ended at file and pos. If no statement touches the table before the
	// stream comes there, that is its definition.
	seen  *tableInfo
	file  string
	pos   uint64
	guess bool // no statement has touched it since the source began: until then rows may be read by seen, with care
	fresh bool // the source began where the log ended, so there is next to nothing in between
}

// madeMost bounds the tables that are followed though nobody selected them.
const madeMost = 500

// follows reports whether statements about the table matter.
func (h *history) follows(t cdc.Table) bool { return h.databases[t.Schema] }

// wanted reports whether the table is a selected one, or a database of one.
func (h *history) wanted(t cdc.Table) bool {
	return h.selected[t] != nil || t.Name == "" && h.follows(t)
}

// set replaces a definition. What is held stays so: changes are missing under that name.
func (h *history) set(t cdc.Table, d *definition) {
	if !h.follows(t) {
		return
	}
	old := h.tables[t]
	if old != nil {
		d.held = old.held
		h.pending -= btoi(old.seen != nil)
	}
	h.dirty = append(h.dirty, t)
	if !h.wanted(t) {
		if d.gone {
			delete(h.tables, t)
			h.made = slices.DeleteFunc(h.made, func(m cdc.Table) bool { return m == t })
			return
		}
		if old == nil {
			h.made = append(h.made, t)
		}
		if len(h.made) > madeMost {
			delete(h.tables, h.made[0])
			h.made = h.made[1:]
		}
	}
	h.tables[t] = d
}

func (h *history) unknown(t cdc.Table, why string) { h.set(t, &definition{why: why}) }

// missed makes every table unknown that a statement names which is not understood.
func (h *history) missed(statement, why string) {
	for t := range h.selected {
		if h.tables[t] == nil && mentions([]byte(statement), t.Name) {
			h.unknown(t, why)
		}
	}
	for t := range h.tables {
		if t.Name != "" && mentions([]byte(statement), t.Name) {
			h.unknown(t, why)
		}
	}
}

// apply follows one change. where says which statement it is, for people.
func (h *history) apply(c *change, where string) {
	c.named(h.lower)
	switch c.op {
	case opDatabase:
		h.database(c, where)
	case opDropDatabase:
		for t := range h.tables {
			if t.Schema == c.table.Schema && t.Name != "" {
				h.drop(t, where)
			}
		}
		h.unknown(cdc.Table{Schema: c.table.Schema}, "the database was dropped by "+where)
	case opDrop:
		h.drop(c.table, where)
	case opRename:
		h.move(c.table, c.other, where)
	case opCreate, opLike:
		h.create(c, where)
	case opAlter:
		h.alter(c, where)
	}
}

// database follows CREATE and ALTER DATABASE.
func (h *history) database(c *change, where string) {
	switch old := h.charset(c.table.Schema); {
	case c.charset != "" && c.charset != "default" && !(c.exists && old != ""):
		h.set(cdc.Table{Schema: c.table.Schema}, &definition{info: &tableInfo{charset: c.charset}})
	case c.charset == "default", old == "":
		h.unknown(cdc.Table{Schema: c.table.Schema}, where+" takes the server's default character set")
	}
}

// charset returns the default of a database, "" when it is not known.
func (h *history) charset(database string) string {
	if d := h.tables[cdc.Table{Schema: database}]; d != nil && d.info != nil {
		return d.info.charset
	}
	return ""
}

func (h *history) drop(t cdc.Table, where string) {
	if h.tables[t] != nil || h.selected[t] != nil {
		h.set(t, &definition{gone: true, why: "the table was dropped by " + where})
	}
}

func (h *history) create(c *change, where string) {
	old := h.tables[c.table]
	if c.exists && old != nil && !old.gone {
		return // it was there already
	}
	if c.op == opLike {
		model := h.tables[c.other]
		if model == nil || model.info == nil {
			h.unknown(c.table, "the table was made by "+where+" like "+c.other.String()+", which is not known")
			return
		}
		info := *model.info
		info.table = c.table
		h.set(c.table, &definition{info: &info})
		return
	}
	charset := h.charset(c.table.Schema)
	info, err := (&tableInfo{table: c.table, charset: charset}).alter(c.clauses, charset, h.flavor)
	h.become(c.table, info, err, where)
}

// become sets the outcome of a statement.
func (h *history) become(t cdc.Table, info *tableInfo, err error, where string) {
	if err != nil {
		h.unknown(t, where+" does not fit what is known of the table: "+err.Error())
		return
	}
	h.set(t, &definition{info: info})
}

func (h *history) alter(c *change, where string) {
	d := h.tables[c.table]
	switch {
	case d == nil && h.selected[c.table] == nil: // nobody's, and not known
	case d == nil, d.info == nil:
		if d == nil || !d.gone {
			h.unknown(c.table, "the table was changed by "+where+" and was not known before")
		}
	default:
		info, err := d.info.alter(c.clauses, h.charset(c.table.Schema), h.flavor)
		h.become(c.table, info, err, where)
	}
	for _, clause := range c.clauses {
		if clause.op == clauseTable {
			h.move(c.table, clause.table, where)
		}
	}
}

// move renames a table.
func (h *history) move(from, to cdc.Table, where string) {
	d := h.tables[from]
	switch {
	case d == nil && (h.selected[to] != nil || h.tables[to] != nil):
		h.unknown(to, "the table was "+from.String()+" before "+where+", which was not known")
	case d != nil:
		moved := &definition{info: d.info, why: d.why}
		if moved.info != nil {
			info := *moved.info
			info.table = to
			moved.info = &info
		}
		h.set(to, moved)
		h.drop(from, where)
	}
}

// saw notes what information_schema said of a table when the log ended at a place.
func (h *history) saw(d *definition, info *tableInfo, file string, pos uint64) {
	d.seen, d.file, d.pos = info, file, pos
	if h.pending++; h.pending == 1 || before(file, pos, h.file, h.pos) {
		h.file, h.pos = file, pos
	}
}

// proved takes over what information_schema said of the tables that no statement has touched up to the place where it was
// asked. It reports whether there were any.
func (h *history) proved(file string, pos uint64) bool {
	if h.pending == 0 || before(file, pos, h.file, h.pos) {
		return false
	}
	any, first := false, true
	for t, d := range h.tables {
		switch {
		case d.seen == nil:
		case !before(file, pos, d.file, d.pos):
			h.set(t, &definition{info: d.seen})
			any = true
		case first || before(d.file, d.pos, h.file, h.pos):
			h.file, h.pos, first = d.file, d.pos, false
		}
	}
	return any
}

// excerpt is the beginning of a statement, for people.
func excerpt(statement string) string {
	s := strings.Join(strings.Fields(statement), " ")
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return fmt.Sprintf("%q", s)
}
