package jeton_test

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// public are the packages that other modules import.
var public = []string{".", "guard", "jetontest", "wallet"}

// TestPublicPackagesMentionNoInternalType: another module cannot name such a type.
func TestPublicPackagesMentionNoInternalType(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}",
		"./guard", "./jetontest", "./wallet")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}

	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[name] = file
	}

	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for _, dir := range public {
		pkg, err := from.Import(strings.TrimSuffix(module+strings.TrimPrefix(dir, "."), "/"))
		if err != nil {
			t.Fatal(err)
		}

		s := &surface{t: t, seen: map[types.Type]bool{}}
		for _, name := range pkg.Scope().Names() {
			object := pkg.Scope().Lookup(name)
			if object.Exported() {
				s.check(object.Type(), pkg.Name()+"."+name)
			}
		}

		if len(s.seen) < 10 {
			t.Errorf("package %s: only %d types found", dir, len(s.seen))
		}
	}
}

// surface walks the types that a package shows.
type surface struct {
	t    *testing.T
	seen map[types.Type]bool
}

func (s *surface) check(shown types.Type, where string) {
	if s.seen[shown] {
		return
	}
	s.seen[shown] = true

	switch shown := shown.(type) {
	case *types.Alias:
		s.check(types.Unalias(shown), where)
	case *types.Named:
		s.named(shown, where)
	case *types.Signature:
		s.check(shown.Params(), where)
		s.check(shown.Results(), where)
	case *types.Tuple:
		for i := range shown.Len() {
			s.check(shown.At(i).Type(), where)
		}
	case *types.Struct:
		for i := range shown.NumFields() {
			if shown.Field(i).Exported() {
				s.check(shown.Field(i).Type(), where+"."+shown.Field(i).Name())
			}
		}
	case *types.Interface:
		for i := range shown.NumMethods() {
			s.check(shown.Method(i).Type(), where+"."+shown.Method(i).Name())
		}
	case *types.Map:
		s.check(shown.Key(), where)
		s.check(shown.Elem(), where)
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		s.check(shown.Elem(), where)
	}
}

func (s *surface) named(shown *types.Named, where string) {
	pkg := shown.Obj().Pkg()
	if pkg == nil || !strings.HasPrefix(pkg.Path()+"/", module) {
		return // of the universe or of another module
	}
	if strings.HasPrefix(pkg.Path(), module+"internal/") {
		s.t.Errorf("%s mentions %s", where, shown)
		return
	}

	for i := range shown.NumMethods() {
		if shown.Method(i).Exported() {
			s.check(shown.Method(i).Type(), where+"."+shown.Method(i).Name())
		}
	}
	s.check(shown.Underlying(), where)
}

// TestAnotherModuleUsesThePublicPackages builds and runs the test of a module that has
// its own go.mod and imports the public packages as the guides show.
func TestAnotherModuleUsesThePublicPackages(t *testing.T) {
	need.Slow(t)

	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	for from, to := range map[string]string{
		"go.sum":                       "go.sum",
		"testdata/other_module.go.txt": "other_test.go",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, to), text)
	}

	// The versions of what the module requires are those of this one.
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, requires, _ := bytes.Cut(own, []byte("\ngo "))
	mod := fmt.Sprintf("module other.example/app\n\ngo %s\nrequire github.com/jeton-auth/jeton v0.0.0\n\n"+
		"replace github.com/jeton-auth/jeton => %s\n", requires, root)
	write(t, filepath.Join(dir, "go.mod"), []byte(mod))

	cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", "-count=1", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")

	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("go test in another module: %v\n%s", err, out)
	}
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()

	err := os.WriteFile(name, text, 0o600)
	if err != nil {
		t.Fatal(err)
	}
}
