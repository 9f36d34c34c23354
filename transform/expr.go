package transform

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// expr is a compiled right-hand side: alternatives, of which the first that is not null counts.
type expr struct {
	text     string
	at       string // file:line
	alts     []node
	typ      *cel.Type
	optional bool // no value is no mistake
}

// node is a part of an expression that can be evaluated. Plain columns, fields, constants, verbs, lookups and the logic between
// them are nodes of their own; only what is left of an expression runs in CEL's interpreter.
type node interface {
	eval(f *frame) ref.Val
}

// The rows that an expression can speak of.
const (
	newRow = iota
	oldRow
	lineRow
	originalRow
	anyRow // the new row, or the old one where there is none after the change
)

// besideRow is the first of the rows that stand beside a document's header, in the order of its with.
const besideRow = 8

// frame is what one evaluation knows.
type frame struct {
	m          *Mapping
	st         State
	op         cdc.Op
	rows       [4]*row
	beside     []besideRows
	lines      []*row
	fields     map[string]ref.Val
	lineFields map[string]ref.Val
	made       []map[string]ref.Val // fields of each line, once set
	at         time.Time            // when the document was released
	now        time.Time            // journal time, by which answers have an age; zero: of any age
	aging      *[]*Question         // answers that should be fresher soon; nil: nobody asks
	unasked    bool                 // lookups have no value: what the rows alone say
	amend      *amendment           // fields that a person wrote; nil for none
}

func (f *frame) row(which int) *row {
	switch {
	case which == anyRow && f.rows[newRow] != nil:
		return f.rows[newRow]
	case which == anyRow:
		return f.rows[oldRow]
	case which >= besideRow:
		return f.besides(which).now
	}
	return f.rows[which]
}

// change is a row after and before the change: the header's or the event's own, or one that stands beside it.
func (f *frame) change(which int) (now, before *row) {
	if which >= besideRow {
		b := f.besides(which)
		return b.now, b.before
	}
	return f.rows[newRow], f.rows[oldRow]
}

func (f *frame) besides(which int) besideRows {
	if i := which - besideRow; i < len(f.beside) {
		return f.beside[i]
	}
	return besideRows{}
}

// eval returns the value, null when there is none, or why it cannot be had.
func (e *expr) eval(f *frame) (ref.Val, error) {
	for _, a := range e.alts {
		v := a.eval(f)
		if err, bad := v.(*types.Err); bad {
			return types.NullValue, e.wrong(err)
		}
		if v != types.NullValue {
			return v, nil
		}
	}
	return types.NullValue, nil
}

// wrong tells trouble about the data from a broken State.
func (e *expr) wrong(err error) error {
	var t *trouble
	var bug *stateError
	if errors.As(err, &t) {
		return t
	}
	if errors.As(err, &bug) {
		return bug
	}
	return brokenRule(e.text, e.at, err)
}

// holds reports whether a condition is true; null is not.
func (e *expr) holds(f *frame) (bool, error) {
	v, err := e.eval(f)
	return v == types.True, err
}

// stateError is a failure of the State below an expression; the pipeline stops on it.
type stateError struct{ err error }

func (e *stateError) Error() string { return e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

// scope is what the names of an expression mean where it stands.
type scope struct {
	src       *source
	bare      *table // whose columns stand without a prefix; nil in documents and posts
	bareRow   int
	roots     map[string]root
	fields    map[string]*cel.Type // canonical fields set so far
	lines     *table               // of the document
	lineAlias string
	line      map[string]*cel.Type // fields of the line set so far; nil outside lines[]
	made      map[string]*cel.Type // fields of the lines, for the bodies of postings
	places    int32                // of money
	mode      string
	asks      bool  // lookups may be asked here
	notice    bool  // of the header alone: waits for nothing, so asks nothing
	asOf      *asOf // by which codes are read when no date is named; nil where the date itself is told
}

// root is a row that a prefix names.
type root struct {
	table *table
	row   int
}

// compiler compiles the expressions of one file, with the live catalogs or without.
type compiler struct {
	reader
	m        *Mapping
	env      *cel.Env
	catalog  map[string][]*cdc.Schema // nil: kinds of columns are not known
	declared map[string]bool          // events that the file declares, faulty ones too
	asked    int                      // lookups in expressions so far
	governed map[string]bool          // entities that masters names
}

// value compiles a right-hand side: quoted text stands for itself, with {expressions} in it; anything else is an
// expression.
func (c *compiler) value(n *yaml.Node, sc *scope) *expr {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && quoted(n) {
		return c.template(n, sc)
	}
	return c.expression(n, sc)
}

// expression compiles a right-hand side that is an expression whether quoted or not.
func (c *compiler) expression(n *yaml.Node, sc *scope) *expr {
	text := c.text(n, "an expression")
	if text == "" {
		return c.constant(n, types.NullValue)
	}
	return c.compile(n, text, sc)
}

func (c *compiler) constant(n *yaml.Node, v ref.Val) *expr {
	return &expr{text: n.Value, at: c.where(n), alts: []node{constNode{v}}, typ: cel.DynType}
}

func (c *compiler) where(n *yaml.Node) string { return fmt.Sprintf("%s:%d", c.file, n.Line) }

func (c *compiler) compile(n *yaml.Node, text string, sc *scope) *expr {
	alts, optional := desugar(text)
	e := &expr{text: text, at: c.where(n), optional: optional, typ: cel.DynType}
	for i, alt := range alts {
		b := builder{compiler: c, at: n, sc: sc, text: alt, shown: text}
		nd, typ := b.build()
		if nd == nil {
			nd, typ = constNode{types.NullValue}, cel.DynType
		}
		if i > 0 && !isDyn(e.typ) && !isDyn(typ) && bare(e.typ) != bare(typ) {
			c.fault(n, fmt.Sprintf("`%s`: %s else %s", text, typeName(e.typ), typeName(typ)), "alternatives of one type", "")
		}
		e.alts = append(e.alts, nd)
		if isDyn(e.typ) {
			e.typ = typ
		}
	}
	return e
}

// condition compiles an expression that must be true or false.
func (c *compiler) condition(n *yaml.Node, sc *scope) *expr {
	e := c.expression(n, sc)
	if !isDyn(e.typ) && bare(e.typ) != "bool" {
		c.fault(n, fmt.Sprintf("`%s`, which is %s", e.text, article(e.typ)), "a condition that is true or false", "")
	}
	return e
}

// template compiles a text with {expressions} in it.
func (c *compiler) template(n *yaml.Node, sc *scope) *expr {
	e := &expr{text: n.Value, at: c.where(n), typ: cel.StringType}
	var t templateNode
	rest := n.Value
	for {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			break
		}
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			c.fault(n, fmt.Sprintf("%q with a { that is not closed", n.Value), "{expression}", "")
			break
		}
		if open > 0 {
			t.parts = append(t.parts, constNode{types.String(rest[:open])})
		}
		part := c.compile(n, rest[open+1:open+end], sc)
		t.parts = append(t.parts, altNode{part})
		rest = rest[open+end+1:]
	}
	if len(t.parts) == 0 {
		e.alts = []node{constNode{types.String(n.Value)}}
		return e
	}
	if rest != "" {
		t.parts = append(t.parts, constNode{types.String(rest)})
	}
	e.alts = []node{t}
	return e
}
