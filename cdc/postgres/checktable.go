package postgres

import (
	"fmt"
	"slices"
	"strings"

	"waybill/cdc"
)

// checkTable looks at one selected table: whether it is there, can be published and read, and has columns that we carry.
func (s *Source) checkTable(t cdc.Table, r *relation) []cdc.Finding {
	check := aboutTable.of(t.String())
	if r == nil {
		return []cdc.Finding{fail(check, "does not exist", "a table", "The mapping reads it.",
			"Correct the name in the mapping, or create the table.")}
	}
	kind := map[string]string{"r": "table", "p": "partitioned table", "v": "view", "m": "materialised view", "f": "foreign table"}[r.kind]
	if r.kind != "r" && r.kind != "p" {
		return []cdc.Finding{fail(check, "is a "+kind, "a table", "Its rows are not in the log.", "Select the tables behind it.")}
	}
	if r.unlogged {
		return []cdc.Finding{fail(check, "is unlogged or temporary", "a logged table", "Its rows are not in the log.",
			fmt.Sprintf("ALTER TABLE %s SET LOGGED;", tableName(t)))}
	}
	list := s.checkColumns(r)
	if !r.mayUse {
		list = append(list, fail(aboutUsage.of(t.Schema), "no privilege", "USAGE", "The snapshot reads the table.",
			fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", identifier(t.Schema), identifier(s.cfg.User))))
	}
	if len(list) == 0 {
		list = append(list, good(check, fmt.Sprintf("a %s of %d columns", kind, len(r.columns))))
	}
	return list
}

func (s *Source) checkColumns(r *relation) []cdc.Finding {
	c := s.choices[r.table]
	var list []cdc.Finding
	var denied []string
	for _, a := range r.columns {
		if !c.keep(a.Name, a.Key) {
			continue
		}
		if a.Kind == cdc.KindUnsupported {
			list = append(list, fail(aboutColumn.of(r.table.String()+"."+a.Name), "type "+a.Type, "a type listed in TYPES.md",
				"A value of this type cannot be carried exactly.", "Leave the column out of the mapping."))
		}
		if !a.mayRead {
			denied = append(denied, identifier(a.Name))
		}
	}
	if len(denied) > 0 {
		list = append(list, fail(aboutSelect.of(r.table.String()), "no privilege on "+strings.Join(denied, ", "), "SELECT",
			"The snapshot reads the table.", fmt.Sprintf("GRANT SELECT ON %s TO %s;", tableName(r.table), identifier(s.cfg.User))))
	}
	for _, name := range sorted(c.columns) {
		check := aboutColumn.of(r.table.String() + "." + name)
		switch {
		case c.masked[name]:
			list = append(list, fail(check, "masked", "a column that is not masked", "The mapping reads it, but it is never captured.",
				"Take it out of the source's masked list or out of the mapping."))
		case slices.Contains(r.generated, name):
			list = append(list, fail(check, "a generated column", "a stored column", "Generated columns are not in the log.",
				"Compute the value in the mapping."))
		case r.column(name) == nil:
			list = append(list, fail(check, "does not exist", "a column of the table", "The mapping reads it.",
				"The table has: "+strings.Join(r.names(), ", ")+"."))
		}
	}
	return list
}

func (r *relation) names() []string {
	list := make([]string, len(r.columns))
	for i, a := range r.columns {
		list[i] = a.Name
	}
	return list
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// checkIdentity refuses a table that would not accept an UPDATE once it is published.
func checkIdentity(r *relation) cdc.Finding {
	check := aboutReplica.of(r.table.String())
	word := map[string]string{"d": "DEFAULT", "n": "NOTHING", "f": "FULL", "i": "USING INDEX"}[r.identity]
	if r.usable {
		return good(check, word)
	}
	found := word + " without a usable index"
	switch r.identity {
	case "d":
		found = "DEFAULT without a primary key"
	case "n":
		found = "NOTHING"
	}
	if r.kind == "p" {
		found += " (in a partition)"
	}
	table := tableName(r.table)
	return fail(check, found, "a primary key, or an identity of its own",
		"Once it is published, PostgreSQL would refuse every UPDATE and DELETE of the table, so it is not published.",
		fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL; -- or USING INDEX <a unique index of NOT NULL columns>", table))
}

// unlikeMost is how many partitions a finding names; the statement to run is made for all of them.
const unlikeMost = 10

// checkPartitions looks at a partitioned table: the replica identity of a partition is its own, and the server of some
// versions decides only once whose partition a table is.
func (s *Source) checkPartitions(r *relation, version int) []cdc.Finding {
	if r.kind != "p" {
		return nil
	}
	name := r.table.String()
	list := []cdc.Finding{good(aboutPartitions.of(name), "as the table's own")}
	if len(r.unlike) > 0 {
		identity := "FULL"
		if r.identity == "d" && r.keyed() {
			identity = "DEFAULT"
		}
		var alter []string
		for _, t := range r.unlike {
			alter = append(alter, fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s;", tableName(t), identity))
		}
		found := names(r.unlike[:min(len(r.unlike), unlikeMost)])
		if more := len(r.unlike) - unlikeMost; more > 0 {
			found += fmt.Sprintf(" and %d more", more)
		}
		list[0] = warn(aboutPartitions.of(name), "another in "+found, "the same replica identity in every partition",
			"A partition's rows are logged by its own identity, and the server sends them as if they had the table's: old values that are not in the log "+
				"are absent for all partitions, and a change of a key in such a partition may not be recognised.", strings.Join(alter, " "))
	}
	if version >= 150000 {
		return append(list, good(aboutAttached.of(name), "known to a session at once"))
	}
	return append(list, warn(aboutAttached.of(name), "PostgreSQL before 15", "PostgreSQL 15 or newer",
		"A session that has met a table decides once whose partition it is: what is attached or detached later comes, or does not come, as if nothing had happened, until "+
			"the session ends.", fmt.Sprintf("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s; "+
			"-- after each ATTACH or DETACH PARTITION: Waybill connects again by itself; then: waybill snapshot %s %s", literal(s.cfg.Slot), s.cfg.Name, name)))
}

// keyed reports whether the table has a key among its captured columns.
func (r *relation) keyed() bool {
	return slices.ContainsFunc(r.columns, func(a attribute) bool { return a.Key })
}

// checkOld warns of old values that a rule reads and the log does not carry.
func (s *Source) checkOld(r *relation) []cdc.Finding {
	var without []string
	for _, name := range s.choices[r.table].old {
		if a := r.column(name); a != nil && !a.identity {
			without = append(without, name)
		}
	}
	check := aboutOld.of(r.table.String())
	if len(without) == 0 {
		return nil
	}
	return []cdc.Finding{warn(check, "the log does not carry "+strings.Join(without, ", "), "REPLICA IDENTITY FULL",
		"Waybill remembers the last row instead, which costs it disk; a row that it has not seen since the snapshot has no old value.",
		fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL; -- makes the table's UPDATEs and DELETEs larger in the log", tableName(r.table)))}
}
