package mysql

import (
	"go/ast"
	"regexp"
	"slices"
	"testing"

	"waybill/cdc/cdctest"
)

func TestChecksPage(t *testing.T) {
	first, second := []string{"ok", "warn", "unless"}, []string{"bad", "setting", "grant"} // which argument may be the name
	cdctest.ChecksPage(t, func(n *ast.CallExpr) *ast.BasicLit {
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		for i, arg := range n.Args[:min(2, len(n.Args))] {
			lit, ok := arg.(*ast.BasicLit)
			if ok && (slices.Contains(second, f.Sel.Name) || i == 0 && slices.Contains(first, f.Sel.Name)) {
				return lit
			}
		}
		return nil
	}, "testdata/refused.golden", regexp.MustCompile(`(?m)^(?:ok|warn|fail)\t([^\t]+)\t`))
}
