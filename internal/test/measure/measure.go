// Package measure counts what makes Go code easy or hard to read: the length of
// functions, blank lines, wide lines, crowded statements.
//
// The repository tests hold the project to limits with these counts, and
// scripts/measure.sh prints them for any tree, so that both mean the same.
// Lines are judged by regular expressions, as in the review of other projects
// that set the limits; functions and statements are judged by go/ast.
package measure

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxColumns is the widest line that is not counted as wide. A tab is four columns.
const MaxColumns = 120

// Kind says what a file is part of.
type Kind int

// The kinds of files. Only Product is shipped.
const (
	Product Kind = iota
	Helper       // code that only tests use
	Bench        // the benchmark program, and what makes releases
	Test         // a _test.go file
)

// File is a parsed Go file.
type File struct {
	Path  string // slash-separated, below the tree
	Dir   string // its folder; "." is the root
	Kind  Kind
	Lines []string
	AST   *ast.File

	set *token.FileSet
}

// Function is a function with a body.
type Function struct {
	Name     string
	Line     int // of the word func
	Lines    int // between the braces
	Blank    int
	Comments int
}

// Read parses every Go file below dir, except hidden folders, vendor, testdata and generated files.
func Read(dir string) ([]*File, error) {
	var files []*File

	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != dir && skipped(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}

		f, err := read(dir, name)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(f.AST) {
			files = append(files, f)
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read Go files below %s: %w", dir, err)
	}

	return files, nil
}

// skipped reports folders that the go command skips as well.
func skipped(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "vendor" || folder == "testdata"
}

// read parses one file below dir.
func read(dir, name string) (*File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}

	below, err := filepath.Rel(dir, name)
	if err != nil {
		return nil, err
	}

	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}

	below = filepath.ToSlash(below)

	return &File{
		Path:  below,
		Dir:   path.Dir(below),
		Kind:  kindOf(below),
		Lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"),
		AST:   tree,
		set:   set,
	}, nil
}

// kindOf judges a file by its path.
func kindOf(name string) Kind {
	if strings.HasSuffix(name, "_test.go") {
		return Test
	}
	for _, place := range []string{"bench/", "packaging/", "cmd/jeton/bench"} {
		if strings.HasPrefix(name, place) {
			return Bench
		}
	}

	for _, folder := range strings.Split(path.Dir(name), "/") {
		if folder == "e2e" || strings.HasSuffix(folder, "test") || strings.HasSuffix(folder, "tests") {
			return Helper
		}
	}

	return Product
}

// Line returns the line of a position.
func (f *File) Line(pos token.Pos) int { return f.set.Position(pos).Line }

// Functions returns the functions of the file whose body has lines of its own.
func (f *File) Functions() []Function {
	var list []Function

	for _, decl := range f.AST.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}

		first, last := f.Line(fn.Body.Lbrace), f.Line(fn.Body.Rbrace)
		if first == last {
			continue
		}

		one := Function{Name: fn.Name.Name, Line: f.Line(fn.Pos()), Lines: last - first - 1}

		for n := first; n < last-1; n++ {
			line := strings.TrimSpace(f.Lines[n])
			switch {
			case line == "":
				one.Blank++
			case strings.HasPrefix(line, "//"):
				one.Comments++
			}
		}

		list = append(list, one)
	}

	return list
}

// Wide returns the numbers of the lines over MaxColumns.
func (f *File) Wide() []int {
	return f.matching(func(line string) bool {
		return utf8.RuneCountInString(line)+3*strings.Count(line, "\t") > MaxColumns
	})
}

// The patterns of the review that set the limits. They match lines, right or wrong, so that trees can
// be compared with its numbers.
var (
	crowded  = regexp.MustCompile(`(\w+:\s*[^,:]+,.*?){5}`)
	withInit = regexp.MustCompile(`^\s*(if|switch) [^{]*; .*\{`)
	usual    = regexp.MustCompile(`if (err|\w+, err|\w+, ok) :?= `)
)

// Crowded returns the numbers of the lines with five or more "Key: value,".
func (f *File) Crowded() []int { return f.matching(crowded.MatchString) }

// Parallel returns the numbers of the lines that assign three or more values at once.
func (f *File) Parallel() []int {
	var list []int

	ast.Inspect(f.AST, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if ok && len(assign.Rhs) >= 3 {
			list = append(list, f.Line(assign.Pos()))
		}

		return true
	})

	return list
}

// Inits returns the numbers of the lines with an if or a switch whose init statement
// is not one of "err :=", "x, err :=" and "x, ok :=".
func (f *File) Inits() []int {
	return f.matching(func(line string) bool {
		return withInit.MatchString(line) && !usual.MatchString(line)
	})
}

// OddInits returns the lines of each if and switch whose init statement sets neither err nor ok last.
func (f *File) OddInits() []int {
	var list []int

	ast.Inspect(f.AST, func(n ast.Node) bool {
		var init ast.Stmt
		switch s := n.(type) {
		case *ast.IfStmt:
			init = s.Init
		case *ast.SwitchStmt:
			init = s.Init
		}

		if init != nil && !setsErrOrOK(init) {
			list = append(list, f.Line(init.Pos()))
		}

		return true
	})

	return list
}

// setsErrOrOK reports an init statement that every Go programmer expects.
func setsErrOrOK(init ast.Stmt) bool {
	assign, ok := init.(*ast.AssignStmt)
	if !ok {
		return false
	}

	last, ok := assign.Lhs[len(assign.Lhs)-1].(*ast.Ident)

	return ok && (last.Name == "err" || last.Name == "ok")
}

// matching returns the numbers of the lines for which match is true.
func (f *File) matching(match func(line string) bool) []int {
	var list []int

	for i, line := range f.Lines {
		if match(line) {
			list = append(list, i+1)
		}
	}

	return list
}

// Packed returns the lines of the literals of more than three fields that have
// several fields on one line.
func (f *File) Packed() []int {
	var list []int

	ast.Inspect(f.AST, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if ok && len(literal.Elts) > 3 && f.packed(literal) {
			list = append(list, f.Line(literal.Pos()))
		}
		return true
	})

	return list
}

// packed reports a literal that has two fields on one line.
func (f *File) packed(literal *ast.CompositeLit) bool {
	taken := map[int]bool{}

	for _, element := range literal.Elts {
		if _, keyed := element.(*ast.KeyValueExpr); !keyed {
			return false
		}

		line := f.Line(element.Pos())
		if taken[line] {
			return true
		}
		taken[line] = true
	}

	return false
}

// Statements counts the statements of the file. A parallel assignment counts as its
// single ones, so that breaking it up changes nothing.
func (f *File) Statements() int {
	count := 0

	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.BlockStmt, *ast.EmptyStmt, *ast.LabeledStmt:
		case *ast.AssignStmt:
			count += len(s.Rhs)
		case ast.Stmt:
			count++
		}
		return true
	})

	return count
}
