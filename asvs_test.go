package jeton_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirement is a row of docs/reference/asvs.md: its number, its state and its tests.
var requirement = regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| [12] \|[^|]+\| ([a-z ]+) \|[^|]+\|([^|]*)\|$`)

// testName is a test that a row names.
var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

func TestEveryTestOfTheTableOfASVSExists(t *testing.T) {
	text, err := os.ReadFile("docs/reference/asvs.md")
	if err != nil {
		t.Fatal(err)
	}

	rows := requirement.FindAllStringSubmatch(string(text), -1)
	if want := strings.Count(string(text), "\n| 6.") + strings.Count(string(text), "\n| 7."); len(rows) != want {
		t.Errorf("read %d rows, want %d: number, level, requirement, state, Jeton, tests", len(rows), want)
	}

	exists := testsOfTheProject(t)
	for _, row := range rows {
		number, state := row[1], row[2]
		if !slices.Contains([]string{"met", "partly", "not met", "none"}, state) {
			t.Errorf("%s is %q, want met, partly, not met or none", number, state)
		}

		names := testName.FindAllStringSubmatch(row[3], -1)
		if len(names) == 0 && state != "none" && strings.TrimSpace(row[3]) != "no test" {
			t.Errorf("%s is %s and names no test, want one, or \"no test\"", number, state)
		}
		for _, name := range names {
			if !exists[name[1]] {
				t.Errorf("%s names %s, want a test that exists", number, name[1])
			}
		}
	}
}

// predictable are the files of the product that may import math/rand, and what they choose by it: nothing secret.
var predictable = map[string]string{
	"cmd/jeton/run.go":                 "when a busy service is asked again",
	"internal/gateway/jsontemplate.go": "random numbers of built-in answers",
	"internal/gateway/respond.go":      "random numbers of built-in answers",
	"internal/mail/sender.go":          "when a mail is tried again",
	"internal/signin/verify.go":        "how long a refusal waits beside its work",
	"internal/trace/trace.go":          "which requests are traced",
	"internal/web/requestid.go":        "ids of requests",
	"jetontest/port.go":                "ports of tests",
}

func TestNoSecretComesFromAPredictableGenerator(t *testing.T) {
	found := map[string]bool{}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file.Path, "_test.go") || strings.HasPrefix(file.Path, "internal/test/") ||
			strings.HasPrefix(file.Path, "bench/") {
			continue
		}

		for _, imported := range file.AST.Imports {
			if strings.HasPrefix(imported.Path.Value, `"math/rand`) {
				found[file.Path] = true
			}
		}
	}

	for path := range found {
		if predictable[path] == "" {
			t.Errorf("%s imports math/rand; use crypto/rand, or add to this test what it chooses", path)
		}
	}
	for path := range predictable {
		if !found[path] {
			t.Errorf("%s does not import math/rand; remove it from this test", path)
		}
	}
}

// testsOfTheProject returns the names of all tests.
func testsOfTheProject(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file.Path, "_test.go") {
			continue
		}

		for _, d := range file.AST.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}

	return names
}
