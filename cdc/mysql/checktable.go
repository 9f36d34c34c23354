package mysql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"waybill/cdc"
)

// table checks one selected table.
func (c *checker) table(ctx context.Context, sel *selected) error {
	name := sel.table.String()
	if _, message := sel.table.Prefix(); message {
		c.bad(cdc.LevelFail, aboutTable.of(name), "messages, which "+c.cfg.Flavor+" has not", "a table", "its log carries rows alone",
			"write what the event needs into a table of its own (an outbox), and read that in the mapping")
		return nil
	}
	info, err := c.conn.describe(ctx, sel.table, c.cfg.Flavor == MariaDB)
	if err != nil {
		return err
	}
	if info == nil {
		c.bad(cdc.LevelFail, aboutTable.of(name), "missing, or without SELECT for us", "a table that we may read", "the mapping reads it",
			"GRANT SELECT ON "+tableIdent(sel.table)+" TO "+c.user+";")
		return nil
	}
	if _, err := c.conn.query(ctx, "SELECT 1 FROM "+tableIdent(sel.table)+" LIMIT 0"); err != nil {
		c.bad(cdc.LevelFail, aboutTable.of(name), err.Error(), "a table that we may read", "the snapshot reads it", "GRANT SELECT ON "+tableIdent(sel.table)+" TO "+c.user+";")
		return nil
	}
	switch {
	case info.form == "SYSTEM VERSIONED":
		c.bad(cdc.LevelFail, aboutTable.of(name), info.form, "BASE TABLE", "the log of a versioned table has its history rows among the changes", "read a table without system versioning")
	case info.form != "BASE TABLE":
		c.bad(cdc.LevelFail, aboutTable.of(name), info.form, "BASE TABLE", "the log has no rows of it", "name the tables below it")
	default:
		c.ok(aboutTable.of(name), strconv.Itoa(len(info.columns))+" columns")
	}
	if info.form == "BASE TABLE" {
		c.engine(sel, info)
	}
	c.keys(sel, info)
	if err := c.cascades(ctx, sel.table); err != nil {
		return err
	}
	c.oldValues(sel, info)
	c.columns(sel, info)
	return nil
}

// engine tells what it means that a table has no transactions (see ReadChunk).
func (c *checker) engine(sel *selected, info *tableInfo) {
	if transactional(info.engine) {
		return
	}
	why := fmt.Sprintf("it has no transactions: while a chunk of it is read, which takes %v at most, its writers wait (LOCK TABLES … READ); "+
		"and a crash, or a statement that fails half way, may leave rows that differ from the log", chunkTime)
	keyed := slices.ContainsFunc(info.columns, func(col columnInfo) bool { return col.key })
	switch {
	case !lockable(info.engine):
		why = "nothing tells which transactions its rows include, so they cannot be read beside the stream; changes in the log are captured"
	case !keyed:
		why += ". Without a primary key its rows cannot be read beside the stream at all"
	}
	c.warn(aboutEngine.of(sel.table.String()), info.engine, "InnoDB", why, "ALTER TABLE "+tableIdent(sel.table)+" ENGINE=InnoDB;")
}

// cascade is a foreign key whose parent changes our rows. The storage engine does that below the binary log.
var cascade = regexp.MustCompile("CONSTRAINT `((?:[^`]|``)+)` FOREIGN KEY .* ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL)")

func (c *checker) cascades(ctx context.Context, table cdc.Table) error {
	made, seen, err := c.conn.asked(ctx, "SHOW CREATE TABLE "+tableIdent(table))
	if err != nil || !seen || len(made) == 0 || len(made[0]) < 2 {
		return err
	}
	var names []string
	for _, m := range cascade.FindAllStringSubmatch(made[0][1], -1) {
		names = append(names, m[1])
	}
	check := aboutForeign.of(table.String())
	if len(names) == 0 {
		c.ok(check, "none that changes rows by itself")
		return nil
	}
	c.warn(check, strings.Join(names, ", ")+" with CASCADE or SET NULL", "foreign keys that only refuse", "rows that the server changes because their parent changed are not in the log",
		"change those rows in the application, and ALTER TABLE "+tableIdent(table)+" DROP FOREIGN KEY "+ident(names[0])+"; -- and add it without CASCADE")
	return nil
}

// oldValues warns of old values that a rule reads and the log does not carry.
func (c *checker) oldValues(sel *selected, info *tableInfo) {
	if len(sel.old) == 0 || strings.EqualFold(c.server.variables["binlog_row_image"], "FULL") {
		return
	}
	var without []string
	for _, name := range sel.old {
		if col := info.column(name); col != nil && !col.key {
			without = append(without, name)
		}
	}
	if len(without) > 0 {
		c.warn(aboutOld.of(sel.table.String()), "the log does not carry "+strings.Join(without, ", "), "binlog_row_image FULL",
			"Waybill remembers the last row instead, which costs it disk; a row that it has not seen since the snapshot has no old value", setGlobal("binlog_row_image", "FULL"))
	}
}

func (c *checker) keys(sel *selected, info *tableInfo) {
	name := sel.table.String()
	var keys, masked []string
	for _, col := range info.columns {
		if col.key {
			keys = append(keys, col.name)
			if slices.Contains(sel.masked, col.name) {
				masked = append(masked, col.name)
			}
		}
	}
	switch {
	case len(keys) == 0:
		c.warn(aboutKey.of(name), "none", "a primary key", "rows cannot be told apart by a key", "")
	case len(masked) > 0:
		c.bad(cdc.LevelFail, aboutKey.of(name), strings.Join(masked, ", ")+" is masked", "a key that may be read", "a row without its key belongs to nothing", "take it out of masked")
	default:
		c.ok(aboutKey.of(name), strings.Join(keys, ", "))
	}
}

func (c *checker) columns(sel *selected, info *tableInfo) {
	for _, name := range slices.Concat(sel.columns, sel.old) {
		check := aboutColumn.of(sel.table.String() + "." + name)
		switch {
		case slices.Contains(sel.masked, name):
			c.bad(cdc.LevelFail, check, "masked, and read by the mapping", "one of the two", "a masked column is never captured", "take it out of masked, or out of the mapping")
		case info.column(name) == nil:
			c.bad(cdc.LevelFail, check, "missing", "a column of the table", "the mapping reads it", "")
		}
	}
	for i := range info.columns {
		col := &info.columns[i]
		captured := col.captured()
		if !sel.keeps(&captured) {
			continue
		}
		check := aboutColumn.of(sel.table.String() + "." + col.name)
		switch {
		case captured.Kind == cdc.KindUnsupported:
			c.bad(cdc.LevelFail, check, col.text, "a type that can be carried exactly", "see cdc/mysql/TYPES.md", "leave the column out of the mapping, or give it another type")
		case col.charset != "" && !charsetKnown(col.charset):
			c.bad(cdc.LevelFail, check, "charset "+col.charset, "utf8mb4, utf8mb3, ascii, latin1 or another in TYPES.md", "its text cannot be carried exactly",
				"ALTER TABLE "+tableIdent(sel.table)+" CONVERT TO CHARACTER SET utf8mb4;")
		}
	}
}
