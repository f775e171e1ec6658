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
	"sync"
	"testing"
)

// module is the path of the module, with a slash at its end.
const module = "github.com/jeton-auth/jeton/"

// layers is the order in which a request walks: a package imports only smaller numbers.
// It is the table of docs/decisions/0001-layout.md.
var layers = map[string]int{
	".":                   0,
	"internal/policy":     1,
	"internal/jose":       1,
	"internal/secret":     1,
	"internal/secretfile": 1,
	"internal/sweep":      1,
	"internal/systemd":    1,
	"internal/balance":    1,
	"internal/palette":    1,
	"internal/http1":      1,
	"examples":            1,
	"internal/cache":      2, // by secret.Hash
	"internal/doctor":     1,
	"internal/naming":     2, // no name begins as a secret does
	"wallet":              2, // it signs assertions
	"guard":               2, // it checks signatures
	"internal/password":   2,
	"internal/limit":      2,
	"internal/outbound":   2,
	"internal/trace":      1,
	"internal/audit":      2,
	"internal/count":      2,
	"internal/web":        2,
	"internal/acme":       3, // it compares host names
	"internal/config":     3, // it checks hashes of passwords
	"internal/account":    3,
	"internal/client":     3,
	"internal/keys":       3,
	"internal/outbox":     3, // changes of a store wake it
	"internal/mail":       4,
	"internal/session":    4,
	"internal/ticket":     4,
	"internal/factor":     4,

	"internal/factor/passkey":     1,
	"internal/test/authenticator": 2,
	"internal/test/testkey":       2,
	"internal/test/loglines":      1,

	"internal/approval": 5,
	"internal/invite":   5,
	"internal/openid":   4,
	"internal/upstream": 4,
	"internal/token":    4,
	"internal/signin":   5,
	"internal/gate":     6,
	"internal/api":      7,
	"internal/forward":  7,
	"internal/gateway":  7,
	"internal/oauth":    7,
	"internal/pages":    7,
	"internal/teaching": 8, // around the endpoints
	"internal/server":   9,
	"jetontest":         10, // it starts servers
	"cmd/jeton":         10,
	"internal/test/e2e": 11,

	"internal/config/yamlread": 1,
	"internal/test/browser":    11,
	"internal/test/germanlog":  11,

	// The counts of the shape tests need nothing of the product.
	"internal/test/smtptest":      1,
	"internal/test/need":          1,
	"internal/test/measure":       1,
	"internal/test/measure/print": 2,
	// The stores stand beside the order: they know the records that they keep (0 to 4), and
	// only the server introduces them. Caches subscribe to store/change.
	"internal/store/change":     2,
	"internal/store/statements": 6,
	"internal/store/sqlite":     7,
	"internal/store/postgres":   7,
	"internal/test/storetest":   6,
	"internal/test/pgtest":      5,
	"internal/store/move":       8,
}

// only says who alone may import a package.
var only = map[string][]string{
	"internal/store/statements": {"internal/store/sqlite", "internal/store/postgres", "internal/store/move"},
	"internal/store/sqlite":     {"internal/server"},
	"internal/store/postgres":   {"internal/server"},
	"internal/store/move":       {"internal/server"},
	"internal/test/storetest":   {},
	"internal/test/pgtest":      {},
	"internal/test/testkey":     {"jetontest"}, // no server makes its keys
}

// source is a Go file of the project.
type source struct {
	pkg  string // its folder; "." is the root
	name string // path of the file
	ast  *ast.File
}

// sources returns every Go file of the project that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	list, err := parsedSources()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 40 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(list))
	}

	return list
}

// parsedSources parses the files once for all tests, which only read them.
var parsedSources = sync.OnceValues(func() ([]source, error) {
	var list []source

	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}

		if d.IsDir() && name != "." {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own
			}
		}

		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}

		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}

		list = append(list, source{filepath.ToSlash(filepath.Dir(name)), name, f})

		return nil
	})

	return list, err
})

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

			target, ours := strings.CutPrefix(target+"/", module)
			target = path.Clean(target)

			if !ours {
				if s.pkg == "." && strings.Contains(target, ".") {
					t.Errorf("%s imports %s: package jeton imports the standard library only", s.name, target)
				}
				continue
			}

			if to, ok := layers[target]; !ok || to >= from {
				t.Errorf(
					"%s imports %s: %s is layer %d and may import only smaller ones, not %d",
					s.name, target, s.pkg, from, to,
				)
			}

			may, limited := only[target]
			if limited && !slices.Contains(may, s.pkg) {
				t.Errorf("%s imports %s: only %v may", s.name, target, may)
			}
		}
	}
}

// TestOnlyPackageSecretSpellsThePrefix keeps the prefix of our secrets in one place.
func TestOnlyPackageSecretSpellsThePrefix(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg == "internal/secret" {
			continue
		}

		ast.Inspect(s.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && strings.HasPrefix(strings.Trim(lit.Value, "\"`"), "jtn_") {
				t.Errorf("%s has the literal %s: use secret.Prefix or secret.SessionPrefix", s.name, lit.Value)
			}

			return true
		})
	}
}

func TestTheTableOfLayersHasNoGhosts(t *testing.T) {
	for pkg := range layers {
		dir := filepath.FromSlash(pkg)
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

		n := strings.Count(string(b), "\n")
		if n > 700 {
			t.Errorf("%s has %d lines; split it where its halves have different readers", s.name, n)
		}
	}
}
