package jeton_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/measure"
)

// Limits of the code. scripts/measure.sh prints the same counts for any tree.
const (
	maxFunction = 60  // lines between the braces of a product function
	maxFile     = 500 // lines of a product file
	minBlank    = 5   // percent of the lines inside the functions of a package
	minBody     = 100 // lines inside functions; a smaller package may have any share
)

// excused returns the packages that do not pass a check yet, from testdata/excused.txt.
// Each line there is a check and a package. The list may only shrink: a line that excuses nothing
// fails the check.
func excused(t *testing.T, check string) []string {
	t.Helper()

	text, err := os.ReadFile("testdata/excused.txt")
	if err != nil {
		t.Fatal(err)
	}

	var packages []string
	for line := range strings.Lines(string(text)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == check {
			packages = append(packages, dir)
		}
	}

	return packages
}

// project reads the Go files of the project once.
var project = sync.OnceValues(func() ([]*measure.File, error) { return measure.Read(".") })

func goFiles(t *testing.T) []*measure.File {
	t.Helper()

	files, err := project()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 300 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(files))
	}

	return files
}

// offences collects what a check found and reports it, except in packages that are excused.
type offences struct {
	check string
	found map[string][]string // package to offences
}

func newOffences(check string) *offences {
	return &offences{check: check, found: map[string][]string{}}
}

func (o *offences) add(f *measure.File, line int, format string, args ...any) {
	text := fmt.Sprintf("%s:%d: %s", f.Path, line, fmt.Sprintf(format, args...))
	o.found[f.Dir] = append(o.found[f.Dir], text)
}

func (o *offences) report(t *testing.T) {
	t.Helper()

	allowed := excused(t, o.check)
	for dir, list := range o.found {
		if slices.Contains(allowed, dir) {
			continue
		}
		for _, text := range list {
			t.Error(text)
		}
	}

	for _, dir := range allowed {
		if len(o.found[dir]) == 0 {
			t.Errorf("testdata/excused.txt: the line '%s %s' excuses nothing: remove it", o.check, dir)
		}
	}
}

func TestLinesFitIn120Columns(t *testing.T) {
	found := newOffences("columns")

	for _, f := range goFiles(t) {
		for _, line := range f.Wide() {
			if strings.Contains(f.Lines[line-1], ` doc:"`) {
				continue // a struct tag is one literal, which cannot be broken
			}
			found.add(f, line, "over %d columns", measure.MaxColumns)
		}
	}

	found.report(t)
}

func TestFunctionsAreShort(t *testing.T) {
	found := newOffences("functions")

	for _, f := range goFiles(t) {
		if f.Kind != measure.Product {
			continue
		}
		for _, fn := range f.Functions() {
			if fn.Lines > maxFunction {
				found.add(f, fn.Line, "%s has %d lines, want at most %d", fn.Name, fn.Lines, maxFunction)
			}
		}
	}

	found.report(t)
}

func TestFilesAreShort(t *testing.T) {
	found := newOffences("files")

	for _, f := range goFiles(t) {
		if f.Kind == measure.Product && len(f.Lines) > maxFile {
			found.add(f, 1, "%d lines, want at most %d: split it by subject", len(f.Lines), maxFile)
		}
	}

	found.report(t)
}

func TestLiteralsHaveOneFieldALine(t *testing.T) {
	found := newOffences("literals")

	for _, f := range goFiles(t) {
		for _, line := range f.Packed() {
			found.add(f, line, "more than three fields, several of them on one line")
		}
	}

	found.report(t)
}

func TestStatementsDoOneThing(t *testing.T) {
	found := newOffences("statements")

	for _, f := range goFiles(t) {
		if f.Kind != measure.Product {
			continue
		}
		for _, line := range f.Parallel() {
			found.add(f, line, "assigns three or more values at once")
		}
		for _, line := range f.OddInits() {
			found.add(f, line, "an init statement that is not for err or ok")
		}
	}

	found.report(t)
}

func TestFunctionsHaveParagraphs(t *testing.T) {
	body, blank := map[string]int{}, map[string]int{}

	for _, f := range goFiles(t) {
		if f.Kind != measure.Product {
			continue
		}
		for _, fn := range f.Functions() {
			body[f.Dir] += fn.Lines
			blank[f.Dir] += fn.Blank
		}
	}

	for dir, lines := range body {
		if lines >= minBody && 100*blank[dir] < minBlank*lines {
			t.Errorf("%s: %d of %d lines inside functions are blank, want at least %d %%",
				dir, blank[dir], lines, minBlank)
		}
	}
}

// maxSentence is the most words of a sentence in a package comment.
const maxSentence = 30

// preformatted is a line of a list or an example in a comment.
var preformatted = regexp.MustCompile(`(?m)^\t.*$`)

var sentenceEnd = regexp.MustCompile(`[.:;?!]\s|\n\n`)

func TestPackageCommentsHaveShortSentences(t *testing.T) {
	found := newOffences("sentences")

	for _, f := range goFiles(t) {
		if f.AST.Doc == nil {
			continue
		}
		prose := preformatted.ReplaceAllString(f.AST.Doc.Text(), "\n")
		for _, sentence := range sentenceEnd.Split(prose, -1) {
			if n := len(strings.Fields(sentence)); n > maxSentence {
				found.add(f, f.Line(f.AST.Doc.Pos()), "a sentence of %d words, want at most %d: %q",
					n, maxSentence, sentence)
			}
		}
	}

	found.report(t)
}

// goFile is the name of a file in a package comment; "*" stands for any part of it.
var goFile = regexp.MustCompile(`[a-z][a-z0-9_/*]*\.go\b`)

// TestPackageCommentsNameExistingFiles keeps the maps of files true when a file is renamed.
func TestPackageCommentsNameExistingFiles(t *testing.T) {
	found := newOffences("files named")

	for _, f := range goFiles(t) {
		if f.AST.Doc == nil {
			continue
		}

		for _, name := range goFile.FindAllString(f.AST.Doc.Text(), -1) {
			// A name with a folder begins in internal/, as the packages do in prose.
			dir := f.Dir
			if strings.Contains(name, "/") {
				dir = "internal"
			}

			matches, err := filepath.Glob(filepath.Join(dir, name))
			if err != nil || len(matches) == 0 {
				found.add(f, f.Line(f.AST.Doc.Pos()), "no file %s, want one that exists", name)
			}
		}
	}

	found.report(t)
}

// listsFiles are the packages whose comment lists all their files.
var listsFiles = []string{
	"internal/account",
	"internal/api",
	"internal/audit",
	"internal/config",
	"internal/forward",
	"internal/gate",
	"internal/gateway",
	"internal/pages",
	"internal/policy",
	"internal/server",
	"internal/signin",
	"internal/store/move",
	"internal/store/postgres",
	"internal/store/sqlite",
	"internal/store/statements",
	"internal/web",
	"wallet",
}

func TestPackageCommentsListAllFiles(t *testing.T) {
	found := newOffences("files not listed")
	named := map[string][]string{}
	for _, f := range goFiles(t) {
		if f.AST.Doc != nil {
			named[f.Dir] = append(named[f.Dir], goFile.FindAllString(f.AST.Doc.Text(), -1)...)
		}
	}

	for _, f := range goFiles(t) {
		base := filepath.Base(f.Path)
		if !slices.Contains(listsFiles, f.Dir) || f.AST.Doc != nil || strings.HasSuffix(base, "_test.go") {
			continue
		}

		listed := slices.ContainsFunc(named[f.Dir], func(pattern string) bool {
			ok, err := filepath.Match(pattern, base)
			return err == nil && ok
		})
		if !listed {
			found.add(f, 1, "not in the list of files of its package comment, want a line there")
		}
	}

	found.report(t)
}

// TestTheRootPackageNamesEveryPackage keeps the map in 'go doc' of the root complete.
func TestTheRootPackageNamesEveryPackage(t *testing.T) {
	found := newOffences("map")
	reported := map[string]bool{}

	var text string
	for _, f := range goFiles(t) {
		if f.Path == "doc.go" {
			text = f.AST.Doc.Text()
		}
	}

	for _, f := range goFiles(t) {
		if f.Kind != measure.Product || f.Dir == "." || reported[f.Dir] {
			continue
		}

		reported[f.Dir] = true
		named := regexp.MustCompile(`\b` + regexp.QuoteMeta(f.Dir) + `\b([^/]|$)`)
		if !named.MatchString(text) {
			found.add(f, 1, "package %s is not named in doc.go", f.Dir)
		}
	}

	found.report(t)
}

// banned reads the words that are not the field's, with what to write instead.
func banned(t *testing.T) (*regexp.Regexp, map[string]string) {
	t.Helper()

	text, err := os.ReadFile("testdata/words.txt")
	if err != nil {
		t.Fatal(err)
	}

	var words []string
	instead := map[string]string{}
	for line := range strings.Lines(string(text)) {
		word, better, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("testdata/words.txt: %q: want WORD: INSTEAD", line)
		}
		words = append(words, word)
		instead[word] = better
	}

	return regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`), instead
}

// stored lists banned words that a package cannot avoid: names of columns and notifications.
var stored = map[string][]string{
	"internal/store/postgres": {"heard"},
	".":                       {"heard"}, // the line above
}

func TestCommentsAndTextsUseTheWordsOfTheField(t *testing.T) {
	words, instead := banned(t)
	found := newOffences("words")

	check := func(f *measure.File, pos token.Pos, text string) {
		for i, line := range strings.Split(text, "\n") {
			for _, word := range words.FindAllString(line, -1) {
				if slices.Contains(stored[f.Dir], strings.ToLower(word)) {
					continue
				}
				found.add(f, f.Line(pos)+i, "%q: write %s", word, instead[strings.ToLower(word)])
			}
		}
	}

	for _, f := range goFiles(t) {
		for _, group := range f.AST.Comments {
			for _, comment := range group.List {
				check(f, comment.Pos(), comment.Text)
			}
		}

		ast.Inspect(f.AST, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if ok && literal.Kind == token.STRING {
				check(f, literal.Pos(), literal.Value)
			}

			_, imports := n.(*ast.ImportSpec)

			return !imports
		})
	}

	found.report(t)
}
