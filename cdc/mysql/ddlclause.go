package mysql

import (
	"fmt"
	"strings"

	"waybill/cdc"
)

// clause is one part of a CREATE or ALTER TABLE.
type clause struct {
	op     clauseOp
	name   string     // the column as it is called before
	column columnInfo // as it is to be, with the name of after; its charset is "" when the table's default holds
	length int        // see typeParser
	place  string     // the column that it goes behind
	first  bool
	exists bool // IF EXISTS, IF NOT EXISTS
	key    bool // PRIMARY KEY stands with the column
	unique bool
	check  bool      // the constraint that goes may be a CHECK
	names  []string  // of the primary key
	table  cdc.Table // the new name
	text   string    // a charset; "" is the database's
}

type clauseOp byte

const (
	clauseAdd clauseOp = iota
	clauseChange
	clauseDrop
	clauseRename // of a column
	clausePrimary
	clauseDropPrimary
	clauseKeys       // a unique key comes or goes: it stands in for a primary key where there is none
	clauseDefault    // charset of the table
	clauseConvert    // charset of all columns
	clauseJSON       // the column must hold JSON
	clauseConstraint // an index or a constraint of that name goes
	clauseTable      // new name of the table
)

// definition reads a column, an index or a constraint in the parentheses of CREATE TABLE or behind ADD.
func (p *ddlParser) definition() ([]clause, error) {
	switch {
	case p.peek().is("INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN"), p.peek().is("VECTOR") && p.ahead(1).is("INDEX", "KEY"):
		p.skip()
		return nil, nil
	case p.peek().is("PERIOD") && p.ahead(1).is("FOR"):
		if p.ahead(2).is("SYSTEM_TIME", "SYSTEM") {
			return nil, p.fault()
		}
		p.skip()
		return nil, nil
	}
	if p.accept("CONSTRAINT") {
		p.phrase("IF", "NOT", "EXISTS")
		if !p.peek().is("PRIMARY", "UNIQUE", "FOREIGN", "CHECK") {
			p.take()
		}
	}
	switch {
	case p.phrase("PRIMARY", "KEY"):
		return p.primary()
	case p.accept("UNIQUE"):
		p.skip()
		return []clause{{op: clauseKeys}}, nil
	case p.peek().is("FOREIGN"):
		p.skip()
		return nil, nil
	case p.peek().is("CHECK") && p.ahead(1).is("("):
		p.take()
		out := p.check()
		p.skip()
		return out, nil
	}
	return p.add(clause{op: clauseAdd})
}

// primary reads the columns of a primary key.
func (p *ddlParser) primary() ([]clause, error) {
	for !p.peek().is("(") && !p.done() { // a name, USING BTREE
		p.take()
	}
	if !p.accept("(") {
		return nil, p.fault()
	}
	c := clause{op: clausePrimary}
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		c.names = append(c.names, name)
		p.parens() // the length of a prefix
		p.accept("ASC", "DESC")
		if p.accept(")") {
			p.skip()
			return []clause{c}, nil
		}
		if !p.accept(",") {
			return nil, p.fault()
		}
	}
}

// check reads the condition of a CHECK and knows the one that makes MariaDB's JSON.
func (p *ddlParser) check() []clause {
	var out []clause
	if p.ahead(1).is("json_valid") && p.ahead(2).is("(") && p.ahead(4).is(")") && p.ahead(5).is(")") {
		out = []clause{{op: clauseJSON, name: p.ahead(3).text}}
	}
	p.parens()
	return out
}

// skip goes to the end of the clause.
func (p *ddlParser) skip() {
	for !p.done() {
		if !p.parens() {
			p.take()
		}
	}
}

// add reads a column's name and definition into a clause.
func (p *ddlParser) add(c clause) ([]clause, error) {
	var err error
	if c.column.name, err = p.name(); err != nil {
		return nil, err
	}
	if p.mode&modeOracle != 0 && p.flavor == MariaDB {
		return nil, fmt.Errorf("it was run with sql_mode=ORACLE, in which types have other meanings")
	}
	if p.mode&modeRealAsFloat != 0 && p.peek().is("REAL") {
		return nil, fmt.Errorf("it was run with sql_mode=REAL_AS_FLOAT")
	}
	t := &typeParser{tokens: p.tokens, flavor: p.flavor, column: &c.column}
	if err := t.columnType(); err != nil {
		return nil, err
	}
	c.length, c.unique, c.column.nullable = t.length, t.serial, !t.serial
	return p.attributes(c)
}

// attributes reads what follows the type.
func (p *ddlParser) attributes(c clause) ([]clause, error) {
	var more []clause
	col := &c.column
	for !p.done() {
		if charset, ok := p.charset(); ok {
			if charset != "" {
				col.charset = charset
			}
			continue
		}
		switch next := p.take(); {
		case next.is("("):
			p.at--
			p.parens()
		case next.is("NOT") && p.accept("NULL"):
			col.nullable = false
		case next.is("ASCII"):
			col.charset = "latin1"
		case next.is("UNICODE"):
			col.charset = "ucs2"
		case next.is("BYTE"):
			col.charset = "binary"
		case next.is("UNIQUE"):
			p.accept("KEY")
			c.unique = true
		case next.is("PRIMARY"), next.is("KEY"):
			p.accept("KEY")
			c.key = true
		case next.is("COMPRESSED") && p.flavor == MariaDB:
			col.zipped = true
		case next.is("DEFAULT"):
			if !p.parens() {
				p.take()
			}
		case next.is("CONSTRAINT") && !p.peek().is("CHECK"), next.is("COMMENT"):
			p.take()
		case next.is("CHECK"):
			more = append(more, p.check()...)
		case next.is("AS") && p.accept("ROW"):
			return nil, fmt.Errorf("system versioning is not understood")
		case next.is("FIRST"):
			c.first = true
		case next.is("AFTER"):
			c.place = p.take().text
		}
	}
	if col.json = col.json || len(more) == 1 && strings.EqualFold(more[0].name, col.name) && col.data == "longtext"; col.json {
		more = nil
	}
	return append([]clause{c}, more...), nil
}

// options are the words that begin an option of a table that does not concern its columns.
var options = []string{"ENGINE", "TYPE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "TABLE_CHECKSUM", "COMMENT", "CONNECTION", "DATA", "INDEX", "DELAY_KEY_WRITE", "DIRECTORY",
	"ENCRYPTED", "ENCRYPTION", "ENCRYPTION_KEY_ID", "IETF_QUOTES", "INSERT_METHOD", "ITEF_QUOTES", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS",
	"PAGE_CHECKSUM", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "PASSWORD", "ROW_FORMAT", "SEQUENCE", "STATS_AUTO_RECALC", "STATS_PERSISTENT",
	"STATS_SAMPLE_PAGES", "STORAGE", "TABLESPACE", "TRANSACTIONAL", "UNION", "COMPRESSION", "AUTOEXTEND_SIZE", "SECONDARY_ENGINE", "ENGINE_ATTRIBUTE",
	"SECONDARY_ENGINE_ATTRIBUTE", "ALGORITHM", "LOCK", "FORCE", "START"}

// option reads one option of a table: the words above with a value, or a charset.
func (p *ddlParser) option() ([]clause, error) {
	if charset, ok := p.charset(); ok {
		if charset == "default" {
			charset = ""
		} else if charset == "" {
			return nil, nil
		}
		return []clause{{op: clauseDefault, text: charset}}, nil
	}
	word := p.peek()
	if !word.is(options...) && word.kind != tokenName { // an engine's own options are often quoted
		return nil, p.fault()
	}
	p.take()
	p.accept("DIRECTORY")
	p.accept("=")
	if !word.is("FORCE") && !p.parens() {
		p.take()
	}
	return nil, nil
}
