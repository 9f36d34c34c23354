package sql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Entity is the table of one entity of the mapping: a posting is one row. Members are those of the body that the mapping builds, dotted
// where they lie inside others; $external_id and $company are the posting's own. What the body does not have is not written, and a null is NULL.
type Entity struct {
	// The table, or schema.table.
	Table string `yaml:"table"`
	// Columns that find the row, and the member of each: { cust_no: code }. A unique index must make it one.
	Key map[string]string `yaml:"key"`
	// Columns that are written, and the member of each: { hold_fl: credit_hold }.
	Columns map[string]string `yaml:"columns"`
	// Columns that always get the same text: { upd_by: WAYBILL }.
	Constants map[string]string `yaml:"constants"`
	// Columns, of those above, that are written only when the row is made.
	InsertOnly []string `yaml:"insert_only"`
	// What true and false are in columns that are no booleans: { hold_fl: { true: "Y", false: "N" } }.
	Booleans map[string]Words `yaml:"booleans"`
	// When there is no row: insert (default), reject, or ignore.
	Missing string `yaml:"missing"`
	// When there is one: update (default), reject, or keep, which leaves it as it is.
	Existing string `yaml:"existing"`
	// A member that is true or false; false deletes the row. A flag in place of that is one of columns, with booleans.
	DeleteUnless string `yaml:"delete_unless"`
	// Refuse to write over what somebody else wrote into these columns since we did; master data only. waybill master settle decides.
	UnlessChanged bool `yaml:"unless_changed"`
	// A number that every writer of the table raises by one with each change, and we do too. A row that somebody else raised is refused, as by
	// unless_changed.
	Version string `yaml:"version"`
}

// Words are what stands for true and false.
type Words struct {
	True  string `yaml:"true"`
	False string `yaml:"false"`
}

// What happens to a row that is not there, or is.
const (
	missingInsert  = "insert"
	missingIgnore  = "ignore"
	existingUpdate = "update"
	existingKeep   = "keep"
	either         = "reject"
)

// The members that are not of the body.
const (
	memberExternalID = "$external_id"
	memberCompany    = "$company"
)

func (e Entity) withDefaults() Entity {
	if e.Missing == "" {
		e.Missing = missingInsert
	}
	if e.Existing == "" {
		e.Existing = existingUpdate
	}
	return e
}

func (e Entity) validate(at string, bad func(field, found, want string)) {
	if parts := strings.Split(e.Table, "."); len(parts) > 2 || slices.Contains(parts, "") {
		bad(at+"table", e.Table, "table or schema.table")
	}
	if len(e.Key) == 0 {
		bad(at+"key", "", "the columns that find the row, each with its member")
	}
	if !slices.Contains([]string{missingInsert, either, missingIgnore}, e.Missing) {
		bad(at+"missing", e.Missing, "insert, reject or ignore")
	}
	if !slices.Contains([]string{existingUpdate, either, existingKeep}, e.Existing) {
		bad(at+"existing", e.Existing, "update, reject or keep")
	}
	if e.Missing != missingInsert && e.Existing != existingUpdate {
		bad(at+"existing", e.Existing, "update, as rows that are not there are not made: nothing would ever be written")
	}
	if e.DeleteUnless != "" && e.Existing != existingUpdate {
		bad(at+"delete_unless", e.DeleteUnless, "nothing, as rows that are there are left alone")
	}
	used := map[string]string{}
	for _, part := range []struct {
		name string
		of   map[string]string
	}{{"key", e.Key}, {"columns", e.Columns}, {"constants", e.Constants}} {
		for _, col := range slices.Sorted(maps.Keys(part.of)) {
			if used[col] != "" {
				bad(at+part.name+"."+col, col, fmt.Sprintf("a column once; it is in %s as well", used[col]))
			}
			used[col] = part.name
			if part.name != "constants" && (part.of[col] == "" || slices.Contains(strings.Split(part.of[col], "."), "")) {
				bad(at+part.name+"."+col, part.of[col], "a member of the body, such as credit.hold")
			}
		}
	}
	e.validateNamed(at, used, bad)
}

// validateNamed looks at the parts that name columns of the others.
func (e Entity) validateNamed(at string, used map[string]string, bad func(field, found, want string)) {
	for _, col := range e.InsertOnly {
		if used[col] != "columns" && used[col] != "constants" {
			bad(at+"insert_only", col, "one of columns or constants")
		}
	}
	for _, col := range slices.Sorted(maps.Keys(e.Booleans)) {
		w := e.Booleans[col]
		switch {
		case used[col] != "columns" && used[col] != "key":
			bad(at+"booleans."+col, col, "one of columns")
		case w.True == w.False:
			bad(at+"booleans."+col, w.True, "two different words, for true and for false")
		}
	}
	if used[e.Version] != "" {
		bad(at+"version", e.Version, fmt.Sprintf("a column of its own, which we raise; it is in %s", used[e.Version]))
	}
	if e.Existing != existingUpdate && (e.Version != "" || e.UnlessChanged) {
		bad(at+"existing", e.Existing, "update, where version or unless_changed guards it")
	}
}

// table splits the table's name.
func (e *Entity) table(schema string) (string, string) {
	if before, after, ok := strings.Cut(e.Table, "."); ok {
		return before, after
	}
	return schema, e.Table
}

// memberOf is the member that a column is written from; the column's own name for a constant.
func (e *Entity) memberOf(col string) string {
	if m := e.Columns[col]; m != "" {
		return m
	}
	if m := e.Key[col]; m != "" {
		return m
	}
	return col
}
