package mysql

// harmlessClauses begin a clause of ALTER TABLE that does not concern the columns.
var harmlessClauses = []string{"ALTER", "ENABLE", "DISABLE", "DISCARD", "COALESCE", "REORGANIZE", "EXCHANGE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD",
	"REPAIR", "REMOVE", "TRUNCATE"}

// clause reads one clause of ALTER TABLE.
func (p *ddlParser) clause() ([]clause, error) {
	switch {
	case p.accept("ADD"):
		return p.added()
	case p.accept("CHANGE"), p.peek().is("MODIFY"):
		modify := p.accept("MODIFY")
		p.accept("COLUMN")
		c := clause{op: clauseChange, exists: p.phrase("IF", "EXISTS")}
		c.name = p.peek().text
		if !modify {
			p.take()
		}
		return p.add(c)
	case p.accept("DROP"):
		return p.dropped()
	case p.accept("RENAME"):
		return p.renamed()
	case p.peek().is("CONVERT"):
		if !p.phrase("CONVERT", "TO") {
			return nil, p.fault()
		}
		charset, ok := p.charset()
		if p.peek().is("COLLATE") {
			p.charset()
		}
		if !ok || charset == "binary" {
			return nil, p.fault()
		}
		if charset == "default" {
			charset = ""
		}
		return []clause{{op: clauseConvert, text: charset}}, nil
	case p.peek().is("PARTITION") && p.ahead(1).is("BY"), p.ahead(1).is("PARTITION") && p.peek().is(harmlessClauses...):
		p.at = len(p.list) // the last clause, or the only one
		return nil, nil
	case p.peek().is("IMPORT") && p.ahead(1).is("TABLESPACE"), p.peek().is(harmlessClauses...), p.peek().is("WITH", "WITHOUT") && p.ahead(1).is("VALIDATION"):
		p.skip()
		return nil, nil
	}
	var out []clause
	for !p.done() {
		option, err := p.option()
		if err != nil {
			return nil, err
		}
		out = append(out, option...)
	}
	return out, nil
}

// added reads what follows ADD.
func (p *ddlParser) added() ([]clause, error) {
	switch {
	case p.peek().is("PARTITION"):
		p.at = len(p.list)
		return nil, nil
	case p.peek().is("SYSTEM") && p.ahead(1).is("VERSIONING"):
		return nil, p.fault()
	}
	column := p.accept("COLUMN")
	exists := p.phrase("IF", "NOT", "EXISTS")
	if !p.accept("(") {
		if column || exists {
			return p.add(clause{op: clauseAdd, exists: exists})
		}
		return p.definition()
	}
	var out []clause
	for {
		clauses, err := p.definition()
		if err != nil {
			return nil, err
		}
		for i := range clauses {
			clauses[i].exists = exists
		}
		out = append(out, clauses...)
		if p.accept(")") {
			return out, nil
		}
		if !p.accept(",") {
			return nil, p.fault()
		}
	}
}

// dropped reads what follows DROP.
func (p *ddlParser) dropped() ([]clause, error) {
	switch {
	case p.phrase("PRIMARY", "KEY"):
		return []clause{{op: clauseDropPrimary}}, nil
	case p.peek().is("SYSTEM") && p.ahead(1).is("VERSIONING"):
		return nil, p.fault()
	case p.peek().is("PARTITION"):
		p.at = len(p.list) // the names of partitions, and nothing else
		return nil, nil
	case p.peek().is("PERIOD") && p.ahead(1).is("FOR"), p.peek().is("FOREIGN") && p.ahead(1).is("KEY"):
		p.skip()
		return nil, nil
	case p.peek().is("INDEX", "KEY", "CONSTRAINT", "CHECK"):
		check := p.take().is("CONSTRAINT", "CHECK")
		p.phrase("IF", "EXISTS")
		c := droppedIndex(p.take().text)
		c.check = check
		return []clause{c}, nil
	}
	p.accept("COLUMN")
	c := clause{op: clauseDrop, exists: p.phrase("IF", "EXISTS")}
	var err error
	c.name, err = p.name()
	p.accept("RESTRICT", "CASCADE")
	return []clause{c}, err
}

// droppedIndex is the clause of an index or a constraint that goes.
func droppedIndex(name string) clause {
	if name == "PRIMARY" {
		return clause{op: clauseDropPrimary}
	}
	return clause{op: clauseConstraint, name: name}
}

// renamed reads what follows RENAME.
func (p *ddlParser) renamed() ([]clause, error) {
	if p.accept("INDEX", "KEY") {
		p.skip()
		return nil, nil
	}
	var err error
	if p.accept("COLUMN") {
		c := clause{op: clauseRename, exists: p.phrase("IF", "EXISTS")}
		if c.name, err = p.name(); err != nil {
			return nil, err
		}
		if !p.accept("TO") {
			return nil, p.fault()
		}
		c.column.name, err = p.name()
		return []clause{c}, err
	}
	p.accept("TO", "AS", "=")
	c := clause{op: clauseTable}
	c.table, err = p.table()
	return []clause{c}, err
}
