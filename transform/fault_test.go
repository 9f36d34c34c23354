package transform

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waybill/cdc"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/mapping/<name>, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("../testdata/mapping", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// strange adds columns of every difficult kind to the sample catalog.
func strange() map[string][]*cdc.Schema {
	all := catalog()
	loads := all["dispatch"][1]
	loads.Columns = append(loads.Columns, columns("kind enum(LH DET XYZ), miles float, geo unsupported")...)
	all["billing"] = append(all["billing"], &cdc.Schema{Source: "billing", Table: cdc.Table{Schema: "billing", Name: "no_key"},
		Columns: columns("cust_cd text, erp_acct text, eff_dt date, end_dt date")})
	return all
}

func TestEveryMistakeHasItsMessage(t *testing.T) {
	files, err := filepath.Glob("../testdata/mapping/*.bad.yml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d bad mappings, %v", len(files), err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(name, src)
			var faults Faults
			if strings.HasPrefix(name, "check-") {
				if err != nil {
					t.Fatalf("parsing: %v", err)
				}
				faults = m.Check(strange())
			} else if !errors.As(err, &faults) {
				t.Fatalf("accepted, or %v", err)
			}
			if len(faults) == 0 {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(name, ".bad.yml")+".golden", faults.Error()+"\n")
		})
	}
}

func TestGoodMapping(t *testing.T) {
	src, err := os.ReadFile("../testdata/mapping/good.yml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse("good.yml", src)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Check(strange()) {
		t.Error(f)
	}
}

func TestAMissingDatabaseIsSaid(t *testing.T) {
	faults := northstar(t).Check(nil)
	if len(faults) < 7 || !strings.Contains(faults[0].Error(), "billing.bill_cust") {
		t.Fatalf("%v", faults)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("../testdata/mapping/*.yml")
	for _, name := range append(files, northstarFile) {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		m, err := Parse("fuzz.yml", []byte(src))
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("an error that is no fault: %v", err)
			}
			return
		}
		if _, err := NewMapper(m); err != nil {
			t.Fatal(err)
		}
		m.Selections("dispatch")
	})
}
