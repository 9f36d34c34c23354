package transform

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"waybill/cdc"
)

// carrierFiles are the mappings of the sample carriers, by folder.
func carrierFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../testdata/carriers/*/mapping.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	all := map[string]string{}
	for _, f := range files {
		all[filepath.Base(filepath.Dir(f))] = f
	}
	return all
}

// carrierMapping parses a carrier's mapping, once for all tests: it is immutable.
func carrierMapping(t *testing.T, folder string) *Mapping {
	t.Helper()
	if m, ok := parsedCarriers.Load(folder); ok {
		return m.(*Mapping)
	}
	src, err := os.ReadFile(carrierFiles(t)[folder])
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse("mapping.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	parsedCarriers.Store(folder, m)
	return m
}

var parsedCarriers sync.Map // folder → *Mapping

func TestEveryCarrierPassesItsOwnTests(t *testing.T) {
	for folder := range carrierFiles(t) {
		t.Run(folder, func(t *testing.T) {
			results := carrierMapping(t, folder).Test()
			if len(results) < 10 {
				t.Fatalf("%d inline tests", len(results))
			}
			for _, r := range results {
				for _, f := range r.Fails {
					t.Errorf("line %d, %s: %s", r.Line, r.Name, f)
				}
			}
		})
	}
}

var (
	createTable = regexp.MustCompile(`(?s)CREATE TABLE (\S+) \((.*?)\n\)`)
	columnLine  = regexp.MustCompile(`(?m)^ +([a-z_0-9]+) +([a-z]+)`)
	keyLine     = regexp.MustCompile(`PRIMARY KEY \(([^)]*)\)`)
)

// sqlKinds are the kinds of the types that the sample carriers use.
var sqlKinds = map[string]cdc.Kind{"varchar": cdc.KindText, "char": cdc.KindText, "text": cdc.KindText, "jsonb": cdc.KindJSON, "integer": cdc.KindInt,
	"bigint": cdc.KindInt, "bigserial": cdc.KindInt, "smallint": cdc.KindInt, "numeric": cdc.KindDecimal, "boolean": cdc.KindBool, "date": cdc.KindDate,
	"time": cdc.KindTime, "timestamp": cdc.KindTimestamp}

// sqlCatalog reads the tables of a carrier's schema file.
func sqlCatalog(t *testing.T, source, file string) map[string][]*cdc.Schema {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*cdc.Schema{}
	for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
		schema, name, two := strings.Cut(m[1], ".")
		if !two {
			schema, name = "public", m[1]
		}
		s := &cdc.Schema{Source: source, Table: cdc.Table{Schema: schema, Name: name}, Codec: "test/1"}
		keys := ""
		if k := keyLine.FindStringSubmatch(m[2]); k != nil {
			keys = k[1]
		}
		for _, line := range strings.Split(m[2], "\n") {
			c := columnLine.FindStringSubmatch(line)
			if c == nil {
				continue
			}
			kind, known := sqlKinds[c[2]]
			if !known {
				t.Fatalf("%s: the type %s", file, c[2])
			}
			s.Columns = append(s.Columns, cdc.Column{Name: c[1], Type: c[2], Kind: kind,
				Key: strings.Contains(line, " PRIMARY KEY") || strings.Contains(" "+strings.ReplaceAll(keys, ",", "")+" ", " "+c[1]+" ")})
		}
		all[source] = append(all[source], s)
	}
	return all
}

func TestCarriersFitTheirDatabases(t *testing.T) {
	for _, c := range []struct{ folder, source, file string }{{"pinevalley", "pvly", "carrier.sql"}, {"gulfcoast", "gcbk", "broker.sql"}} {
		catalog := sqlCatalog(t, c.source, filepath.Join("../testdata/carriers", c.folder, c.file))
		if len(catalog[c.source]) < 3 {
			t.Fatalf("%s: %d tables", c.file, len(catalog[c.source]))
		}
		for _, f := range carrierMapping(t, c.folder).Check(catalog) {
			t.Errorf("%s: %s", c.folder, f)
		}
	}
}

// namesCarrier finds what names a sample carrier: its folder, and the names of its systems.
var namesCarrier = regexp.MustCompile(`(?i)north ?star|nstar|pine ?valley|gulf ?coast|pvly|gcbk`)

// mayNameCarriers are the folders of tests, of the demo and of what both use.
var mayNameCarriers = []string{"demo", "sinktest", "e2e", "bench", "books", "mutants"}

// examples are the files whose help for people names a mapping file, and which do nothing with it.
var examples = []string{"cmd/waybill/run.go", "cmd/waybill/map.go", "cmd/waybill/demo.go", "cmd/internal/config/validate.go"}

// What the program knows of a carrier is in its mapping. Comments may have examples.
func TestNoProgramKnowsACarrier(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(mayNameCarriers, d.Name()) || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || slices.Contains(examples, filepath.ToSlash(path[3:])) {
			return nil
		}
		seen++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if found := namesCarrier.FindString(code); found != "" {
				t.Errorf("%s:%d names a carrier: %s", path, i+1, found)
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Fatalf("%d files, %v", seen, err)
	}
}
