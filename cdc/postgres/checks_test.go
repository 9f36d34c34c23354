package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestChecksPage compares the topics of the code with those of CHECKS.md, both ways and in their order, and sees to it that
// no finding is made under a name that is not a topic.
func TestChecksPage(t *testing.T) {
	var code, page []string
	files := token.NewFileSet()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") || strings.HasSuffix(name.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "topic" {
					text, _ := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					code = append(code, text)
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"good", "warn", "fail", "topic"}, id.Name) {
					if lit, ok := n.Args[0].(*ast.BasicLit); ok {
						t.Errorf("%s: a finding named %s, which is no topic", files.Position(n.Pos()), lit.Value)
					}
				}
			}
			return true
		})
	}
	raw, err := os.ReadFile("CHECKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\| .+ \\|$").FindAllStringSubmatch(string(raw), -1) {
		page = append(page, row[1])
	}
	if !slices.Equal(code, page) {
		t.Errorf("the code's checks are\n%s\nthe page's\n%s", strings.Join(code, "\n"), strings.Join(page, "\n"))
	}
	goldens, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		if !strings.HasPrefix(g.Name(), "check_") {
			continue
		}
		raw, err := os.ReadFile("testdata/" + g.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:ok  |warn|fail) ([^:]+):`).FindAllStringSubmatch(string(raw), -1) {
			if !slices.ContainsFunc(code, func(topic string) bool {
				head, tail, _ := strings.Cut(topic, "…")
				return m[1] == topic || strings.Contains(topic, "…") && strings.HasPrefix(m[1], head) && strings.HasSuffix(m[1], tail)
			}) {
				t.Errorf("%s has a finding %q, which is no topic", g.Name(), m[1])
			}
		}
	}
}
