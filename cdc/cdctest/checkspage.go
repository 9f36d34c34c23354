package cdctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ChecksPage compares the topics of an adapter's checks, the constants of its type topic, with those of its CHECKS.md, both ways
// and in their order, and sees to it that no finding has a name that is not a topic: neither in the code of the folder at hand, where
// literal returns the text by which a call names a finding (nil for none), nor in the golden files that match the pattern, where name's
// first group is the name.
func ChecksPage(t *testing.T, literal func(*ast.CallExpr) *ast.BasicLit, goldens string, name *regexp.Regexp) {
	t.Helper()
	code := topicsOf(t, literal)
	raw, err := os.ReadFile("CHECKS.md")
	if err != nil {
		t.Fatal(err)
	}
	var page []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\| .+ \\|$").FindAllStringSubmatch(string(raw), -1) {
		page = append(page, row[1])
	}
	if len(code) == 0 || !slices.Equal(code, page) {
		t.Errorf("the code's checks are\n%s\nthe page's\n%s", strings.Join(code, "\n"), strings.Join(page, "\n"))
	}
	files, err := filepath.Glob(goldens)
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files %s: %d, %v", goldens, len(files), err)
	}
	for _, file := range files {
		if raw, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(raw), -1) {
			if !slices.ContainsFunc(code, func(topic string) bool { return about(m[1], topic) }) {
				t.Errorf("%s has a finding %q, which is no topic", file, m[1])
			}
		}
	}
}

// about reports whether a finding's name is of the topic, in which "…" stands for a thing.
func about(name, topic string) bool {
	head, tail, thing := strings.Cut(topic, "…")
	return name == topic || thing && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail)
}

// topicsOf reads the topics in the code of the folder at hand, in its order.
func topicsOf(t *testing.T, literal func(*ast.CallExpr) *ast.BasicLit) (topics []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "topic" {
					text, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					topics = append(topics, text)
				}
			case *ast.CallExpr:
				if lit := literal(n); lit != nil {
					t.Errorf("%s: a finding named %s, which is no topic", files.Position(n.Pos()), lit.Value)
				}
			}
			return true
		})
	}
	return topics
}
