package postgres

import (
	"go/ast"
	"regexp"
	"slices"
	"testing"

	"waybill/cdc/cdctest"
)

func TestChecksPage(t *testing.T) {
	cdctest.ChecksPage(t, func(n *ast.CallExpr) *ast.BasicLit {
		if id, ok := n.Fun.(*ast.Ident); !ok || !slices.Contains([]string{"good", "warn", "fail", "topic"}, id.Name) {
			return nil
		}
		lit, _ := n.Args[0].(*ast.BasicLit)
		return lit
	}, "testdata/check_*", regexp.MustCompile(`(?m)^(?:ok  |warn|fail) ([^:]+):`))
}
