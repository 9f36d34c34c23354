package arrows

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// falls lists what each room may import of ours. An adapter may import its parents and what they may, and a sink's adapter the HTTP client
// that they share (sinks/web).
var falls = map[string][]string{
	"cdc":        {},
	"transform":  {"cdc"},
	"sinks":      {"transform", "cdc"},
	"checkpoint": {"transform", "cdc"},
	"pipeline":   {"sinks", "checkpoint", "transform", "cdc"},
}

// doors says which packages alone may import a module.
var doors = map[string][]string{
	"github.com/jackc/":             {"cdc/postgres", "sinks/sql"},
	"github.com/go-mysql-org/":      {"cdc/mysql", "sinks/sql"},
	"github.com/dgraph-io/":         {"checkpoint"},
	"github.com/hashicorp/raft":     {"checkpoint"},
	"github.com/segmentio/kafka-go": {"sinks/kafka"},
	"cel.dev/":                      {"transform"},
	"github.com/spf13/cobra":        {"cmd/waybill"},
	"github.com/go-sql-driver/":     {"sinks/sql"}, // beside it tests and the demo write through it; nothing that captures does
}

// exempt packages, and those below them, start servers, play ERPs or measure: they may import anything, but the rooms may not import them.
var exempt = []string{"cdc/cdctest", "sinks/sinktest", "cmd/internal/demo", "cmd/internal/books", "cmd/internal/bench",
	"cmd/internal/e2e", "cmd/internal/mutants"}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violation says what is wrong with an import, or "".
func violation(from, to string) string {
	for _, free := range exempt {
		if from == free || strings.HasPrefix(from, free+"/") {
			return ""
		}
	}
	if ours, ok := strings.CutPrefix(to, "waybill/"); ok {
		return wrongArrow(from, ours)
	}
	for module, owners := range doors {
		if strings.HasPrefix(to, module) && !slices.Contains(owners, from) {
			return fmt.Sprintf("%s imports %s, whose door is %v", from, to, owners)
		}
	}
	if from == "cdc" && strings.Contains(to, ".") {
		return fmt.Sprintf("cdc imports %s: it is written with the standard library alone", to)
	}
	return ""
}

func wrongArrow(from, to string) string {
	room, _, adapter := strings.Cut(from, "/")
	allowed, known := falls[room]
	switch {
	case room == "cmd":
		return ""
	case !known:
		return fmt.Sprintf("package %s is not in the house", from)
	case slices.Contains(allowed, to), adapter && (to == room || strings.HasPrefix(from, to+"/")):
		return ""
	case room == "sinks" && adapter && to == "sinks/web" && from != to:
		return ""
	}
	return fmt.Sprintf("%s imports %s; it may import %v", from, to, allowed)
}

func TestImports(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		from := strings.TrimPrefix(p.ImportPath, "waybill/")
		for _, to := range p.Imports {
			if v := violation(from, to); v != "" {
				t.Error(v)
			}
		}
	}
}

func TestViolations(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"pipeline", "waybill/checkpoint", true},
		{"checkpoint", "waybill/pipeline", false},
		{"transform", "waybill/sinks", false},
		{"cdc/postgres", "waybill/cdc", true},
		{"cdc/postgres", "waybill/cdc/mysql", false},
		{"sinks/erp", "waybill/sinks/sinktest", false},
		{"sinks/erp", "waybill/transform", true},
		{"sinks/erp/netsuite", "waybill/sinks/erp", true},
		{"sinks/erp/netsuite", "waybill/sinks/erp/s4hana", false},
		{"sinks/erp/netsuite", "waybill/sinks/web", true},
		{"sinks/erp/netsuite", "waybill/sinks/sinktest/netsuite", false},
		{"sinks", "waybill/sinks/web", false},
		{"pipeline", "waybill/sinks/erp", false},
		{"pipeline", "github.com/dgraph-io/badger/v4", false},
		{"cdc/mysql", "github.com/jackc/pgx/v5", false},
		{"cdc", "github.com/google/uuid", false},
		{"stray", "waybill/cdc", false},
	} {
		if v := violation(c.from, c.to); (v == "") != c.ok {
			t.Errorf("%s → %s: %q", c.from, c.to, v)
		}
	}
}

// clocked are the files of the pipeline that deal with the world outside; every other file of it, and all of transform,
// must do the same again when the journal is read again.
var clocked = []string{"pipeline.go", "capture.go", "lane.go", "queue.go", "worker.go", "bind.go", "plan.go", "status.go",
	"metrics.go", "query.go", "action.go", "heldrelease.go", "readaction.go", "reader.go", "strain.go", "runway.go",
	"rebuildverify.go", "asker.go", "governor.go", "feed.go", "feedread.go", "feedsettle.go"}

func TestProjectionReadsNoClock(t *testing.T) {
	for _, room := range []string{"transform", "pipeline"} {
		files, err := filepath.Glob(filepath.Join(root, room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("files of %s: %v (%d)", room, err, len(files))
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || room == "pipeline" && slices.Contains(clocked, filepath.Base(name)) {
				continue
			}
			for _, fault := range impure(t, name, nil) {
				t.Error(fault)
			}
		}
	}
}

func TestImpureIsSeen(t *testing.T) {
	src := "package p\nimport (\n\"time\"\n\"math/rand/v2\"\n)\nvar t = time.Now()\nvar d = time.Since(t)\nvar n = rand.Int()\nvar u = t.UTC()\n"
	if got := impure(t, "p.go", src); len(got) != 3 {
		t.Errorf("found %v, expected the random number and two looks at the clock", got)
	}
}

// impure lists what in a file depends on more than its input.
func impure(t *testing.T, name string, src any) (faults []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, imp := range file.Imports {
		switch path := strings.Trim(imp.Path.Value, `"`); path {
		case "math/rand", "math/rand/v2", "crypto/rand", "net", "net/http", "os", "os/exec", "syscall", "runtime":
			faults = append(faults, fmt.Sprintf("%s imports %s", set.Position(imp.Pos()), path))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After",
			"AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep", "Local"}, sel.Sel.Name) {
			faults = append(faults, fmt.Sprintf("%s reads the clock with time.%s", set.Position(n.Pos()), sel.Sel.Name))
		}
		return true
	})
	return faults
}
