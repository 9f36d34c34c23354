package mysql

import (
	"fmt"
	"strings"

	"waybill/cdc"
)

// A parser of our own reads the statements that change tables. It has to know only what moves, adds, drops or retypes a
// column, in both dialects; what it does not know for certain is an error, and the tables that the statement names are then
// unknown (see history). The general parsers at hand know MySQL's dialect, not MariaDB's.

// change is what a statement does to the definitions of tables.
type change struct {
	op      changeOp
	table   cdc.Table // with an empty name: the database
	other   cdc.Table // the model of a LIKE, the new name
	exists  bool      // IF EXISTS, IF NOT EXISTS
	replace bool
	charset string // of a database, when it is said
	clauses []clause
}

type changeOp byte

const (
	opCreate changeOp = iota
	opLike
	opAlter
	opRename
	opDrop
	opDropDatabase
	opDatabase
)

// ddlParser reads one statement.
type ddlParser struct {
	*tokens
	database string
	flavor   string
	mode     uint64
}

// parseDDL returns what the statement does, in order; nothing when it does not concern the columns of tables.
func parseDDL(statement, database, flavor string, mode uint64) ([]change, error) {
	t := lexed(statement, flavor, mode)
	if t == nil {
		return nil, fmt.Errorf("a quote or a comment does not end")
	}
	p := &ddlParser{tokens: t, database: database, flavor: flavor, mode: mode}
	verb := p.take()
	switch {
	case verb.is("CREATE"):
		return p.create()
	case verb.is("ALTER"):
		return p.alter()
	case verb.is("DROP"):
		return p.drop()
	case verb.is("RENAME"):
		if p.accept("TABLE", "TABLES") {
			return p.rename()
		}
		return nil, nil
	case verb.is("TRUNCATE", "OPTIMIZE", "REPAIR", "ANALYZE"):
		return nil, nil
	}
	return nil, p.fault()
}

// fault says where the statement is not understood.
func (p *ddlParser) fault() error {
	if p.peek().kind == tokenEnd {
		return fmt.Errorf("its end is not understood")
	}
	return fmt.Errorf("it is not understood from %q on", p.peek().text)
}

// harmless are the objects whose statements do not change the columns of a table.
var harmless = []string{"VIEW", "PROCEDURE", "FUNCTION", "AGGREGATE", "TRIGGER", "EVENT", "USER", "ROLE", "SERVER", "SEQUENCE", "PACKAGE", "TABLESPACE",
	"LOGFILE", "UNDO", "RESOURCE", "ALGORITHM", "DEFINER", "SQL", "INSTANCE", "LIBRARY", "CATALOG"}

func (p *ddlParser) create() ([]change, error) {
	replace := p.phrase("OR", "REPLACE")
	switch {
	case p.peek().is(harmless...), p.accept("TEMPORARY"):
		return nil, nil
	case p.accept("DATABASE", "SCHEMA"):
		c := change{op: opDatabase, exists: p.phrase("IF", "NOT", "EXISTS")}
		return p.databaseOptions(c)
	case p.accept("TABLE"):
		return p.createTable(replace)
	}
	unique := p.accept("UNIQUE")
	p.accept("FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE")
	if !p.accept("INDEX") {
		return nil, p.fault()
	}
	if !unique {
		return nil, nil
	}
	return p.index(clause{op: clauseKeys})
}

// index reads up to ON table, and makes the clause a change of that table.
func (p *ddlParser) index(c clause) ([]change, error) {
	for p.peek().kind != tokenEnd && !p.accept("ON") {
		p.take()
	}
	table, err := p.table()
	return []change{{op: opAlter, table: table, clauses: []clause{c}}}, err
}

func (p *ddlParser) createTable(replace bool) ([]change, error) {
	c := change{op: opCreate, replace: replace, exists: p.phrase("IF", "NOT", "EXISTS")}
	var err error
	if c.table, err = p.table(); err != nil {
		return nil, err
	}
	braced := p.peek().is("(") && p.ahead(1).is("LIKE")
	p.at += btoi(braced)
	if p.accept("LIKE") {
		c.op = opLike
		if c.other, err = p.table(); err != nil {
			return nil, err
		}
		p.at += btoi(braced)
		return []change{c}, p.end()
	}
	if !p.accept("(") {
		return nil, p.fault()
	}
	for {
		add, err := p.definition()
		if err != nil {
			return nil, err
		}
		c.clauses = append(c.clauses, add...)
		if p.accept(")") {
			break
		}
		if !p.accept(",") {
			return nil, p.fault()
		}
	}
	for p.accept(",") || p.peek().kind != tokenEnd {
		if p.peek().is("PARTITION") {
			break // nothing but partitions follows, or a SELECT, which the log does not have
		}
		option, err := p.option()
		if err != nil {
			return nil, err
		}
		c.clauses = append(c.clauses, option...)
	}
	return []change{c}, nil
}

func (p *ddlParser) end() error {
	if p.peek().kind != tokenEnd {
		return p.fault()
	}
	return nil
}

func (p *ddlParser) alter() ([]change, error) {
	for p.accept("ONLINE", "OFFLINE", "IGNORE") {
	}
	switch {
	case p.accept("DATABASE", "SCHEMA"):
		return p.databaseOptions(change{op: opDatabase})
	case p.peek().is(harmless...):
		return nil, nil
	case !p.accept("TABLE"):
		return nil, p.fault()
	}
	c := change{op: opAlter, exists: p.phrase("IF", "EXISTS")}
	var err error
	if c.table, err = p.table(); err != nil {
		return nil, err
	}
	p.waits()
	for p.peek().kind != tokenEnd {
		clauses, err := p.clause()
		if err != nil {
			return nil, err
		}
		c.clauses = append(c.clauses, clauses...)
		if !p.accept(",") {
			break
		}
	}
	return []change{c}, p.end()
}

// waits passes over WAIT n and NOWAIT.
func (p *ddlParser) waits() {
	if p.accept("WAIT") {
		p.take()
	}
	p.accept("NOWAIT")
}

func (p *ddlParser) drop() ([]change, error) {
	switch {
	case p.peek().is(harmless...), p.accept("TEMPORARY"), p.phrase("PREPARE"):
		return nil, nil
	case p.accept("DATABASE", "SCHEMA"):
		c := change{op: opDropDatabase, exists: p.phrase("IF", "EXISTS")}
		c.table.Schema = p.take().text
		return []change{c}, p.end()
	case p.accept("INDEX"):
		p.phrase("IF", "EXISTS")
		return p.index(droppedIndex(p.take().text))
	case !p.accept("TABLE", "TABLES"):
		return nil, p.fault()
	}
	p.phrase("IF", "EXISTS")
	var out []change
	for {
		table, err := p.table()
		if err != nil {
			return nil, err
		}
		out = append(out, change{op: opDrop, table: table, exists: true})
		if p.accept(",") {
			continue
		}
		p.waits()
		p.accept("RESTRICT", "CASCADE")
		p.waits()
		return out, p.end()
	}
}

func (p *ddlParser) rename() ([]change, error) {
	exists := p.phrase("IF", "EXISTS")
	var out []change
	for {
		c := change{op: opRename, exists: exists}
		var err error
		if c.table, err = p.table(); err != nil {
			return nil, err
		}
		p.waits()
		if !p.accept("TO") {
			return nil, p.fault()
		}
		if c.other, err = p.table(); err != nil {
			return nil, err
		}
		if out = append(out, c); !p.accept(",") {
			return out, p.end()
		}
	}
}

// databaseOptions reads the name, which ALTER may leave out, and the charset.
func (p *ddlParser) databaseOptions(c change) ([]change, error) {
	c.table.Schema = p.database
	if t := p.peek(); t.kind == tokenName || t.kind == tokenWord && !t.is("DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "UPGRADE", "ENCRYPTION", "READ") {
		c.table.Schema = p.take().text
	}
	for p.peek().kind != tokenEnd {
		charset, ok := p.charset()
		if !ok {
			p.take()
		} else if charset != "" {
			c.charset = charset
		}
	}
	return []change{c}, nil
}

// table reads a table's name, with or without its database.
func (p *ddlParser) table() (cdc.Table, error) {
	name, err := p.name()
	if err != nil || !p.accept(".") {
		return cdc.Table{Schema: p.database, Name: name}, err
	}
	table := cdc.Table{Schema: name}
	table.Name, err = p.name()
	return table, err
}

func (p *ddlParser) name() (string, error) {
	if t := p.peek(); t.kind != tokenName && t.kind != tokenWord {
		return "", p.fault()
	}
	return p.take().text, nil
}

// charset reads [DEFAULT] CHARACTER SET, CHARSET or COLLATE with its value. It is "" when that names no charset.
func (p *ddlParser) charset() (name string, ok bool) {
	start := p.at
	p.accept("DEFAULT")
	collate := false
	switch {
	case p.phrase("CHARACTER", "SET"), p.phrase("CHAR", "SET"), p.accept("CHARSET"):
	case p.accept("COLLATE"):
		collate = true
	default:
		p.at = start
		return "", false
	}
	p.accept("=")
	name = strings.ToLower(p.take().text)
	if collate {
		name, _, _ = strings.Cut(name, "_")
		if name == "uca1400" || name == "uca1400_as" { // MariaDB's names without a charset keep the one there is
			name = ""
		}
	}
	if name == "utf8" {
		name = "utf8mb3"
	}
	return name, true
}
