package jeton_test

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/measure"
)

// TestOnlyPackageNeedLeavesTestsOut holds that no test is left out silently: 'make test' lists
// what package need leaves out, and fails where JETON_CI is set.
func TestOnlyPackageNeedLeavesTestsOut(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.Dir == "internal/test/need" {
			continue
		}

		ast.Inspect(f.AST, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				t.Errorf("%s:%d: calls %s: use package need", f.Path, f.Line(sel.Pos()), sel.Sel.Name)
			}

			return true
		})
	}
}

// TestTheWorkflowRunsTheTestsThatNeedRoot holds that a package with such tests is in the workflow's
// list, because the other steps run as an ordinary user.
func TestTheWorkflowRunsTheTestsThatNeedRoot(t *testing.T) {
	text, err := os.ReadFile(".github/workflows/test.yml")
	if err != nil {
		t.Fatal(err)
	}

	listed := strings.Fields(string(text))
	found := 0

	for _, f := range goFiles(t) {
		if f.Kind != measure.Test || !hasTestAsRoot(f) {
			continue
		}

		found++
		if !slices.Contains(listed, "./"+f.Dir) {
			t.Errorf("%s has tests that need root: add ./%s to .github/workflows/test.yml", f.Path, f.Dir)
		}
	}

	if found == 0 {
		t.Error("no test that needs root was found: the test looks for the wrong name")
	}
}

// hasTestAsRoot reports whether a file has a test that need.Root accepts.
func hasTestAsRoot(f *measure.File) bool {
	return slices.ContainsFunc(f.AST.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && strings.HasPrefix(fn.Name.Name, "Test") && strings.Contains(fn.Name.Name, "AsRoot")
	})
}
