package jeton_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is the order in which a request walks: a package imports only smaller numbers.
// It is the table of docs/decisions/0001-layout.md.
var layers = map[string]int{
	"jeton":                   0,
	"jeton/internal/policy":   1,
	"jeton/internal/cache":    1,
	"jeton/internal/jose":     1,
	"jeton/internal/secret":   1,
	"jeton/internal/sweep":    1,
	"jeton/examples":          1,
	"jeton/wallet":            2, // it signs assertions
	"jeton/guard":             2, // it checks signatures
	"jeton/internal/password": 2,
	"jeton/internal/limit":    2,
	"jeton/internal/audit":    2,
	"jeton/internal/count":    2,
	"jeton/internal/web":      2,
	"jeton/internal/config":   2,
	"jeton/internal/account":  3,
	"jeton/internal/client":   3,
	"jeton/internal/keys":     3,
	"jeton/internal/session":  4,
	"jeton/internal/token":    4,
	"jeton/internal/login":    5,
	"jeton/internal/gate":     6,
	"jeton/internal/api":      7,
	"jeton/internal/gateway":  7,
	"jeton/internal/oauth":    7,
	"jeton/internal/people":   7,
	"jeton/internal/server":   8,
	"jeton/jetontest":         9, // it starts servers
	"jeton/cmd/jeton":         9,
	"jeton/bench":             10,
	"jeton/internal/e2e":      10,
	// The stores stand beside the order: they know the records that they keep (0 to 4), and
	// only the server introduces them.
	"jeton/internal/store/statements": 5,
	"jeton/internal/store/sqlite":     6,
	"jeton/internal/store/postgres":   6,
	"jeton/internal/store/storetest":  6,
	"jeton/internal/store/pgtest":     5,
	"jeton/internal/store/move":       7,
}

// only says who alone may import a package.
var only = map[string][]string{
	"jeton/internal/store/statements": {"jeton/internal/store/sqlite", "jeton/internal/store/postgres", "jeton/internal/store/move"},
	"jeton/internal/store/sqlite":     {"jeton/internal/server", "jeton/bench"},
	"jeton/internal/store/postgres":   {"jeton/internal/server", "jeton/bench"},
	"jeton/internal/store/move":       {"jeton/internal/server"},
	"jeton/internal/store/storetest":  {},
	"jeton/internal/store/pgtest":     {"jeton/bench"},
}

// source is a Go file of the project.
type source struct {
	pkg  string // import path
	name string // path of the file
	ast  *ast.File
}

// sources parses every Go file of the project that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, source{path.Join("jeton", filepath.ToSlash(filepath.Dir(name))), name, f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 40 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(list))
	}
	return list
}

func TestPackagesImportOnlySmallerNumbers(t *testing.T) {
	for _, s := range sources(t) {
		from, ok := layers[s.pkg]
		if !ok {
			t.Errorf("package %s is not in the table of layers: give it a number, and a line in docs/decisions", s.pkg)
			continue
		}
		for _, i := range s.ast.Imports {
			target, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if target != "jeton" && !strings.HasPrefix(target, "jeton/") {
				if s.pkg == "jeton" && strings.Contains(target, ".") {
					t.Errorf("%s imports %s: package jeton imports the standard library only", s.name, target)
				}
				continue
			}
			if to, ok := layers[target]; !ok || to >= from {
				t.Errorf("%s imports %s: %s is layer %d and may import only smaller ones, not %d", s.name, target, s.pkg, from, to)
			}
			if may, limited := only[target]; limited && !slices.Contains(may, s.pkg) {
				t.Errorf("%s imports %s: only %v may", s.name, target, may)
			}
		}
	}
}

func TestTheTableOfLayersHasNoGhosts(t *testing.T) {
	for pkg := range layers {
		dir := filepath.FromSlash(strings.TrimPrefix(strings.TrimPrefix(pkg, "jeton"), "/"))
		if files, err := filepath.Glob(filepath.Join(".", dir, "*.go")); err != nil || len(files) == 0 {
			t.Errorf("package %s is in the table and not in the tree", pkg)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	docs := map[string][]string{}
	for _, s := range sources(t) {
		if docs[s.pkg] == nil {
			docs[s.pkg] = []string{}
		}
		if s.ast.Doc != nil {
			docs[s.pkg] = append(docs[s.pkg], s.ast.Doc.Text())
		}
	}
	for pkg, texts := range docs {
		if len(texts) != 1 {
			t.Errorf("package %s has %d package comments, want one", pkg, len(texts))
			continue
		}
		if len(texts[0]) < 100 {
			t.Errorf("package %s says too little of what it is for: %q", pkg, texts[0])
		}
	}
}

func TestEveryExportedThingIsDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.ast.Name.Name == "main" {
			continue
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no comment", s.name, d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(t, s, d)
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	id, ok := kind.(*ast.Ident)
	return ok && id.IsExported()
}

func undocumented(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				t.Errorf("%s: type %s has no comment", s.name, spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				t.Errorf("%s: %s has no comment", s.name, spec.Names[0].Name)
			}
		}
	}
}

func TestNoFileIsTooLongToRead(t *testing.T) {
	for _, s := range sources(t) {
		b, err := os.ReadFile(s.name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n > 700 {
			t.Errorf("%s has %d lines; split it where its halves have different readers", s.name, n)
		}
	}
}
