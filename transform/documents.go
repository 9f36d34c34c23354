package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/shopspring/decimal"
	"gopkg.in/yaml.v3"
)

// document is a header with its lines, assembled from row state, and the events that it makes.
type document struct {
	name      string
	at        string
	root      *table
	lines     *table    // nil when the document has none
	joinRoot  int       // column of the header, equal to
	joinLine  int       // the column of the lines
	orderBy   int       // column of the lines; -1: by key
	embedded  *embedded // lines that the header carries as JSON; nil when it does not
	beside    []*beside // rows that stand beside the header
	original  bool      // originalOf is declared
	origFrom  int       // column of the header that names the original's key
	origKey   *expr     // the original's key, where no column is it
	key       *expr
	company   *expr // nil: the mapping's
	released  *expr
	amount    *expr
	correlate []correlation
	emit      []*emitRule
	checks    []check
	tolerance decimal.Decimal
	wait      time.Duration
	set       []setting
	asks      bool // set holds lookups
	scope     *scope
	purge     time.Duration // a document released so long ago may be deleted without a word; 0: none may
	corrects  bool          // an event credits originals: what is sent and credited is remembered
	members   *members      // its lines belong to members, one of which may be bad; nil: they do not
	agree     []*expr       // currencies that must be the document's own
	drifts    []*drift      // entities that must be what they were when it was ordered
}

// emitRule makes an event when the header changes. The first rule that matches counts.
type emitRule struct {
	typ    string
	entity string
	at     string
	when   *expr
	after  string    // waits for an event of this type of the same correction group
	notice bool      // about the header alone: waits for nothing
	credit bool      // takes away from its original, which must be released, at most what is left of it
	take   bool      // takes back the original that was certainly never sent
	set    []setting // of a notice
	posts  []*post
	shape  *shape
	others string // what becomes of it when its source does not own the entity: ignore or exception
}

// check is an equation that a whole document satisfies.
type check struct {
	text string
	l, r *expr
}

var (
	rootForm  = regexp.MustCompile(`^(\S+) +as +(\w+)$`)
	joinForm  = regexp.MustCompile(`^(\S+) +as +(\w+) +on +(\w+)\.(\w+) *= *(\w+)\.(\w+)(?: +order +by +(\w+)\.(\w+))?$`)
	checkForm = regexp.MustCompile(`^(.+[^=!<>])==([^=].*)$`)
)

var documentKeys = []string{"root", "with", "lines", "members", "original", "key", "company", "released_at", "amount", "total", "tolerance", "rounding",
	"currencies", "correlate", "emit", "assemble", "complete", "purge", "set"}

func (c *compiler) documentRules(f field) {
	for _, df := range c.fields(f.value, "documents") {
		got := c.record(df.value, "document "+df.key, documentKeys, nil)
		if e, ok := got["emit"]; ok && e.value.Kind == yaml.MappingNode {
			for i := 0; i < len(e.value.Content); i += 2 {
				c.declared[e.value.Content[i].Value] = true
			}
		}
		if !c.need(df.at, got, "document "+df.key, "root", "key", "released_at", "emit", "set", "amount", "total") {
			continue
		}
		d := &document{name: df.key, at: c.where(df.at), orderBy: -1, wait: time.Minute}
		sc := &scope{fields: map[string]*cel.Type{}, roots: map[string]root{}, places: 2}
		d.scope = sc
		if !c.joins(d, got, sc) {
			continue
		}
		sc.asOf = c.asOfDocument(got["set"], sc)
		c.policy(d, got, sc)
		if f, ok := got["members"]; ok {
			c.members(d, f, sc)
		}
		d.key, d.released, d.amount = c.value(got["key"].value, sc), c.moment(got["released_at"], sc), c.value(got["amount"].value, sc)
		if f, ok := got["company"]; ok {
			d.company = c.value(f.value, sc)
		}
		if f, ok := got["correlate"]; ok {
			d.correlate = c.correlations(f, sc)
		}
		if f, ok := got["complete"]; ok {
			c.complete(d, f, sc)
		}
		before := *sc
		before.fields = map[string]*cel.Type{}
		asked := c.asked
		d.set = c.settings(got["set"], sc)
		d.asks = c.asked > asked
		if f, ok := got["currencies"]; ok {
			c.currencies(d, f, sc)
		}
		if _, ok := sc.fields["currency"]; !ok {
			c.fault(got["set"].at, "document "+d.name+" without the field currency", "the currency of its money",
				"currency: source.currency")
		}
		c.numbered(d, got["set"])
		c.emits(d, got["emit"], &before)
		c.m.documents = append(c.m.documents, d)
	}
}

// joins reads root, lines and original.
func (c *compiler) joins(d *document, got map[string]field, sc *scope) bool {
	n := got["root"].value
	m := rootForm.FindStringSubmatch(c.text(n, "a table"))
	if m == nil {
		c.fault(n, describe(n), "<source>.<table> as <name>", "billing.inv_hdr as h")
		return false
	}
	if d.root = c.rowsOf(n, m[1]); d.root == nil {
		return false
	}
	sc.src = d.root.source
	header := m[2]
	sc.roots[header], sc.roots["old"] = root{d.root, newRow}, root{d.root, oldRow}
	d.root.root = append(d.root.root, d)
	if f, ok := got["with"]; ok && !c.standing(d, f, header, sc) {
		return false
	}
	if f, ok := got["lines"]; ok && !c.lines(d, f.value, header, sc) {
		return false
	}
	if f, ok := got["purge"]; ok {
		d.purge = c.duration(f.value)
	}
	if f, ok := got["original"]; ok {
		return c.originals(d, f.value, header, sc)
	}
	return true
}

func (c *compiler) lines(d *document, n *yaml.Node, header string, sc *scope) bool {
	if is, ok := c.embed(d, n, header, sc); is {
		return ok
	}
	m := joinForm.FindStringSubmatch(c.text(n, "a joined table"))
	if m == nil || m[3] != m[2] || m[5] != header || m[7] != "" && m[7] != m[2] {
		c.fault(n, describe(n), "<source>.<table> as l on l.<column> = "+header+".<column> order by l.<column>",
			"billing.inv_line as l on l.inv_no = "+header+".inv_no order by l.line_no")
		return false
	}
	if d.lines = c.rowsOf(n, m[1]); d.lines == nil {
		return false
	}
	if d.lines.source != d.root.source {
		c.fault(n, "lines in another source than their header", "both in "+d.root.source.name, "")
	}
	d.lines.lines = append(d.lines.lines, d)
	sc.lines, sc.lineAlias = d.lines, m[2]
	sc.roots[m[2]] = root{d.lines, lineRow}
	d.joinLine, d.joinRoot = c.plainColumn(n, d.lines, m[4]), c.plainColumn(n, d.root, m[6])
	if m[8] != "" {
		d.orderBy = c.plainColumn(n, d.lines, m[8])
	}
	return true
}

func (c *compiler) originals(d *document, n *yaml.Node, header string, sc *scope) bool {
	if n.Kind == yaml.MappingNode {
		return c.originalKey(d, n, sc)
	}
	m := joinForm.FindStringSubmatch(c.text(n, "a joined table"))
	if m == nil || m[3] != m[2] || m[5] != header || m[7] != "" {
		c.fault(n, describe(n), "<source>.<table> as o on o.<key column> = "+header+".<column>", "")
		return false
	}
	if t := c.tableOf(n, m[1]); t != d.root {
		c.fault(n, "an original in another table than the document", "the root table", d.root.source.name+"."+d.root.name.Name)
		return false
	}
	sc.roots[m[2]] = root{d.root, originalRow}
	c.plainColumn(n, d.root, m[4])
	d.original, d.origFrom = true, c.plainColumn(n, d.root, m[6])
	return true
}

// policy reads what is declared about money: whose total wins, the rounding place and the tolerance.
func (c *compiler) policy(d *document, got map[string]field, sc *scope) {
	if f := got["total"]; c.text(f.value, "whose total wins") != "source" {
		c.refuse(f.value, fmt.Sprintf("total: %s", f.value.Value), "total: source, the total of the header wins and the lines are proved against it")
	}
	if f, ok := got["assemble"]; ok && f.value.Value != "state" {
		c.refuse(f.value, fmt.Sprintf("assemble: %s", f.value.Value), "assemble: state")
	}
	if f, ok := got["tolerance"]; ok {
		n, err := parseNumber(c.text(f.value, "an amount"))
		if err != nil || n.IsNegative() {
			c.fault(f.value, describe(f.value), "an amount that sums may differ by", `"0.00"`)
		}
		d.tolerance = n.Decimal
	}
	f, ok := got["rounding"]
	if !ok {
		return
	}
	r := c.record(f.value, "rounding", roundingKeys, nil)
	if p, ok := r["places"]; ok {
		n, err := strconv.Atoi(p.value.Value)
		if err != nil || n < 0 || n > 6 {
			c.fault(p.value, describe(p.value), "0 to 6 places", "2")
		}
		sc.places = int32(n)
	}
	if m, ok := r["mode"]; ok {
		sc.mode = c.choice(m.value, "how to round", roundings...)
	}
}

func (c *compiler) complete(d *document, f field, sc *scope) {
	got := c.record(f.value, "complete", completeKeys, nil)
	if w, ok := got["wait"]; ok {
		d.wait = c.duration(w.value)
	}
	ch, ok := got["checks"]
	if !ok {
		return
	}
	if ch.value.Kind != yaml.SequenceNode {
		c.fault(ch.value, describe(ch.value), "a list of equations", "- count(l) == h.line_cnt")
		return
	}
	for _, n := range ch.value.Content {
		m := checkForm.FindStringSubmatch(c.text(n, "an equation"))
		if m == nil {
			c.fault(n, describe(n), "an equation of two sides", "count(l) == h.line_cnt")
			continue
		}
		k := check{n.Value, c.compile(n, strings.TrimSpace(m[1]), sc), c.compile(n, strings.TrimSpace(m[2]), sc)}
		for _, side := range []*expr{k.l, k.r} {
			if !isDyn(side.typ) && bare(side.typ) != "int" && bare(side.typ) != "decimal" {
				c.fault(n, fmt.Sprintf("`%s`, which is %s", side.text, article(side.typ)), "a number on both sides", "")
			}
		}
		d.checks = append(d.checks, k)
	}
}

func (c *compiler) duration(n *yaml.Node) time.Duration {
	v, err := time.ParseDuration(c.text(n, "a duration"))
	if err != nil || v <= 0 {
		c.fault(n, describe(n), "a duration: 60s, 15m, 24h", "60s")
	}
	return v
}

// emits reads the events of a document. sc has the header's columns but no canonical fields, for notices.
func (c *compiler) emits(d *document, f field, sc *scope) {
	for _, ef := range c.fields(f.value, "emit") {
		if !c.inCatalogue(ef) {
			continue
		}
		entity, _, _ := strings.Cut(ef.key, ".")
		e := &emitRule{typ: ef.key, entity: entity, at: c.where(ef.at)}
		set := d.set
		if ef.value.Kind != yaml.MappingNode {
			e.when = c.condition(ef.value, sc)
		} else {
			got := c.record(ef.value, "emit "+ef.key, emitKeys, nil)
			if !c.need(ef.at, got, "emit "+ef.key, "when") {
				continue
			}
			e.when = c.condition(got["when"].value, sc)
			if a, ok := got["after"]; ok {
				e.after = c.text(a.value, "an event of the document")
			}
			c.corrections(d, e, got)
			if s, ok := got["set"]; ok {
				own := *sc
				own.fields, own.lines, own.lineAlias, own.notice = map[string]*cel.Type{}, nil, "", true
				e.notice, e.set = true, c.settings(s, &own)
				set = e.set
			}
		}
		e.shape = c.shaped(ef, set)
		e.others = c.documentOwnership(ef.at, e.typ, d.root.source)
		d.emit = append(d.emit, e)
	}
	for _, e := range d.emit {
		if e.after != "" && !slices.ContainsFunc(d.emit, func(o *emitRule) bool { return o.typ == e.after && !o.notice }) {
			c.fault(f.at, fmt.Sprintf("after: %s", e.after), "a released event of the document "+d.name, "")
		}
	}
}
