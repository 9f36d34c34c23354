package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// extensions that bring types, of those that PostgreSQL itself comes with.
var extensions = []string{"btree_gist", "citext", "cube", "earthdistance", "hstore", "intarray", "isn", "lo", "ltree", "pg_trgm", "seg"}

// Types that belong to no schema of ours: arrays (they are as their elements), and the rows of tables.
const allTypesSQL = `SELECT t.oid, replace(format_type(t.oid, NULL), 'public.', '') FROM pg_type t
WHERE t.typtype IN ('b', 'r', 'm', 'd') AND t.typnamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace)
AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid) ORDER BY t.oid`

// TestCatalogue asks each server for all its types and expects TYPES.md to support or refuse each, as the code does.
func TestCatalogue(t *testing.T) {
	page := typesPage(t)
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		for _, e := range extensions {
			p.Exec(t, "CREATE EXTENSION "+e)
		}
		cfg := Config{Name: "catalogue", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password}.withDefaults()
		conn, err := cfg.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(conn)
		rows, err := conn.Query(t.Context(), allTypesSQL)
		if err != nil {
			t.Fatal(err)
		}
		var refs []typeRef
		var names []string
		var oid uint32
		var name string
		if _, err := pgx.ForEachRow(rows, []any{&oid, &name}, func() error {
			refs, names = append(refs, typeRef{oid, -1}), append(names, name)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		infos, err := describe(t.Context(), conn, refs)
		if err != nil {
			t.Fatal(err)
		}
		for i, info := range infos {
			kind := info.kind.String()
			if names[i] == "lo" { // a domain, as its base type
				continue
			}
			if said, ok := page[names[i]]; !ok || said != kind {
				t.Errorf("type %s is %s, and TYPES.md says %q", names[i], kind, said)
			}
		}
		for name := range page {
			if p.Version(t) < 15 {
				break // btree_gist had fewer types
			}
			var known bool
			if err := conn.QueryRow(t.Context(), "SELECT to_regtype($1) IS NOT NULL", name).Scan(&known); err != nil || !known {
				t.Errorf("TYPES.md lists %s, which this server does not know: %v", name, err)
			}
		}
		t.Logf("%d types", len(names))
	})
}

// TestRefusedTypes looks at types that are made of refused ones.
func TestRefusedTypes(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TYPE address AS (city text, zip text); CREATE DOMAIN home AS address; CREATE DOMAIN relation AS regclass;
		CREATE TYPE address_range AS RANGE (subtype = address);
		CREATE TABLE refused (a address, b address[], c home, d home[], e tsvector[], f relation, g relation[], h address_range, i address_multirange[])`)
	cfg := Config{Name: "refused", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password}
	list, err := New(cfg, nil, nil).Catalog(t.Context(), []cdc.Table{{Name: "refused"}})
	if err != nil || len(list) != 1 || len(list[0].Columns) != 9 {
		t.Fatalf("%v, %v", list, err)
	}
	var names []string
	for _, c := range list[0].Columns {
		names = append(names, c.Type)
		if v, err := Codec().Decode(&c, []byte("(Joliet,60432)")); c.Kind != cdc.KindUnsupported || err == nil {
			t.Errorf("%s of type %s is %s and reads as %+v", c.Name, c.Type, c.Kind, v)
		}
	}
	want := "address, address[], address, home[], tsvector[], regclass, relation[], address_range, address_multirange[]"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMoney reads money where the server counts in yen: 1234 is stored as 1234, and under the pinned lc_monetary the server
// would write it as $12.34.
func TestMoney(t *testing.T) {
	dir, err := os.MkdirTemp("", "waybill-locale-") // not t.TempDir: the server runs as another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, l := range []string{"ja_JP", "de_DE"} {
		if out, err := exec.Command("localedef", "-i", l, "-f", "UTF-8", filepath.Join(dir, l+".UTF-8")).CombinedOutput(); err != nil {
			t.Fatalf("no locale %s can be made (make deps installs what it needs): %v\n%s", l, err, out)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOCPATH", dir)
	p := cdctest.StartPostgres(t)
	cfg := Config{Name: "money", Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password}
	p.Exec(t, `CREATE TABLE fares (id int, fare money, fares money[]); INSERT INTO fares VALUES (1, -1234.5, array[0.01, 1234567]::money[])`)
	for _, c := range []struct{ locale, want string }{{"C", "decimal, array"}, {"de_DE.UTF-8", "decimal, array"}, {"ja_JP.UTF-8", "unsupported, unsupported"}} {
		p.Exec(t, "ALTER DATABASE postgres SET lc_monetary = '"+c.locale+"'")
		list, err := New(cfg, nil, nil).Catalog(t.Context(), []cdc.Table{{Name: "fares"}})
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if got := list[0].Columns[1].Kind.String() + ", " + list[0].Columns[2].Kind.String(); got != c.want {
			t.Errorf("under %s money is %s, want %s", c.locale, got, c.want)
		}
		if c.locale != "de_DE.UTF-8" { // where the server writes -1.234,50 €
			continue
		}
		source := New(cfg, []cdc.Selection{{Table: cdc.Table{Name: "fares"}, Columns: []string{"fare", "fares"}}}, nil)
		if err := source.Peek(t.Context(), func(b cdc.Batch) error {
			if got, want := showBatch(t, b), `public.fares 0 fare="-1234.50" fares="[\"0.01\",\"1234567.00\"]"`+"\n"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	typeCell = regexp.MustCompile("`([^`]+)`")
	length   = regexp.MustCompile(`\(.*\)`)
)

// typesPage reads TYPES.md: the kind that it gives each type, or unsupported.
func typesPage(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("TYPES.md")
	if err != nil {
		t.Fatal(err)
	}
	page := map[string]string{}
	refused := false
	types, _, _ := strings.Cut(string(raw), "\n## ")
	for line := range strings.Lines(types) {
		cells := strings.Split(line, "|")
		refused = refused || strings.HasPrefix(line, "| refused |")
		if len(cells) < 4 {
			continue
		}
		kind := cdc.KindUnsupported.String()
		if !refused {
			kind = strings.TrimSpace(cells[2])
		}
		for _, m := range typeCell.FindAllStringSubmatch(cells[1], -1) {
			page[length.ReplaceAllString(m[1], "")] = kind
		}
	}
	return page
}
