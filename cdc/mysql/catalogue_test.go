package mysql

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"waybill/cdc"
)

// TestCatalogue tries every word that the server knows, keywords and functions and plugins, as the type of a column. What it takes
// must be in TYPES.md, with the kind that the catalog gives such a column.
func TestCatalogue(t *testing.T) {
	db := database(t, server)
	words := texts(t, `SELECT UPPER(WORD) FROM information_schema.KEYWORDS UNION SELECT UPPER(FUNCTION) FROM information_schema.SQL_FUNCTIONS
		UNION SELECT UPPER(PLUGIN_NAME) FROM information_schema.PLUGINS WHERE PLUGIN_TYPE='DATA TYPE'
		UNION SELECT UPPER(DATA_TYPE) FROM information_schema.COLUMNS`)
	// The OGC's types, which the server lists nowhere.
	words = append(words, "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION")
	page, seen, accepted := typesPage(t), map[string]bool{}, 0
	for _, word := range words {
		for _, suffix := range []string{"", "(1)", "('a')"} {
			if strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
				continue
			}
			if _, err := server.DB.Exec("CREATE OR REPLACE TABLE " + db + ".t (v " + word + suffix + ")"); err == nil {
				seen[catalogued(t, db, page, word)] = true
				accepted++
				break
			}
		}
	}
	if accepted < 50 {
		t.Errorf("the server takes %d words as types only", accepted)
	}
	for name := range typeCodes {
		if !seen[name] && name != "vector" && name != "json" { // of MariaDB 11.7, of MySQL
			t.Errorf("type %s is not among the server's", name)
		}
	}
}

// catalogued looks the column's type up in TYPES.md and returns it.
func catalogued(t *testing.T, db string, page map[string]string, word string) string {
	t.Helper()
	shape, err := New(config(server, db), nil, quiet()).Catalog(t.Context(), []cdc.Table{{Name: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	data := texts(t, "SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='"+db+"'")[0]
	listed := strings.ToUpper(data)
	if word == "JSON" {
		listed = word
	}
	if kind, ok := page[listed]; !ok || kind != shape[0].Columns[0].Kind.String() {
		t.Errorf("%s makes a column of type %s and kind %s; TYPES.md says %q", word, data, shape[0].Columns[0].Kind, kind)
	}
	return data
}

// typesPage returns the kind of each type that TYPES.md names.
func typesPage(t *testing.T) map[string]string {
	raw, err := os.ReadFile("TYPES.md")
	if err != nil {
		t.Fatal(err)
	}
	page := map[string]string{}
	for line := range strings.SplitSeq(string(raw), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			continue
		}
		for _, m := range regexp.MustCompile("`([A-Z0-9]+)").FindAllStringSubmatch(cells[1], -1) {
			if _, ok := page[m[1]]; !ok {
				page[m[1]] = strings.TrimSpace(cells[2])
			}
		}
	}
	return page
}

// texts returns the first column of a query.
func texts(t *testing.T, query string) []string {
	t.Helper()
	list, err := server.DB.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	var out []string
	for list.Next() {
		var s string
		if err := list.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}
