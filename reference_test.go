package jeton_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

var update = flag.Bool("update", false, "rewrite golden files and reference pages")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; 'make generate' writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the code says; run 'make generate' and read the difference", path)
	}
}

// markdown puts backquotes, which a raw string cannot hold, in the place of quotes.
func markdown(text string) string { return strings.ReplaceAll(text, "'", "`") }

// outcomes returns the exported errors of package jeton in order, and their comments.
func outcomes(t *testing.T) (names []string, docs map[string]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}

	docs = map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, "Err") {
			names = append(names, v.Names[0].Name)
			docs[v.Names[0].Name] = v.Doc.Text()
		}
		return true
	})

	return names, docs
}

// TestReferenceOfErrors checks that every outcome is on the page of errors, with its code
// and its HTTP status.
func TestReferenceOfErrors(t *testing.T) {
	names, docs := outcomes(t)
	var b strings.Builder
	b.WriteString(markdown(errorsIntro))

	seen := map[string]bool{}
	for _, name := range names {
		err := valueOf(name)
		if err == nil {
			t.Errorf("%s has no code in errors.go", name)
			continue
		}

		code := jeton.Code(err)
		if code == jeton.CodeInternal || seen[code] {
			t.Errorf("%s has no code of its own: %q", name, code)
		}

		seen[code] = true
		status := web.Problem(err).Status
		if status == http.StatusInternalServerError {
			t.Errorf("%s has no status in package web", name)
		}

		meaning := strings.Join(strings.Fields(strings.TrimPrefix(docs[name], name)), " ")
		meaning = strings.TrimPrefix(strings.TrimPrefix(meaning, "means that "), "means ")
		fmt.Fprintf(&b, "| `%s` | %d | `jeton.%s` | %s |\n", code, status, name, meaning)
	}

	golden(t, filepath.Join("docs", "reference", "errors.md"), b.String())
}

const errorsIntro = `# Errors

Every refusal has its code in the header 'Jeton-Error' and in the member 'code' of a problem
document (RFC 9457). In Go, 'jeton.FromCode' returns the error for a code, and 'errors.Is' tests it. Any other
failure is a 500 with the code 'internal'; operators find its cause in the log by the id in 'X-Request-Id'.
Made from the code by 'make generate'.

| code | status | in Go | means |
| --- | --- | --- | --- |
`

// valueOf returns an outcome by the name of its variable, through its code, which is
// unique.
func valueOf(name string) error {
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		return nil
	}

	var code string
	ast.Inspect(f, func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok || len(row.Elts) != 2 {
			return true
		}

		id, isName := row.Elts[0].(*ast.Ident)
		text, isText := row.Elts[1].(*ast.BasicLit)
		if isName && isText && id.Name == name {
			code = strings.Trim(text.Value, `"`)
		}

		return true
	})

	return jeton.FromCode(code)
}

// TestReferenceOfConfiguration checks that the page of the configuration is what the
// schema, made from the code, says.
func TestReferenceOfConfiguration(t *testing.T) {
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}

	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a default of 200000 is not 2e+05

	var root node
	if err := decoder.Decode(&root); err != nil {
		t.Fatal(err)
	}

	var keys []key
	root.keys("", &keys)
	if len(keys) < 50 {
		t.Fatalf("found %d keys: the schema is not read right", len(keys))
	}

	var b strings.Builder
	b.WriteString(markdown(configurationIntro))

	variables := map[string]string{
		"JETON_CONFIG":   "the configuration file (`--config` overrides it)",
		"JETON_DATA_DIR": "`data_dir` (`--data-dir` overrides it)",
	}
	for _, k := range keys {
		if k.variable != "" {
			variables[k.variable] = "`" + k.path + "`"
		}
	}

	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, variables[name])
	}

	b.WriteString("\n## Keys\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, k := range keys {
		if k.fallback == "" && k.kind != "map" {
			t.Errorf("%s is not required and has no default: give it the tag default or absent", k.path)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.path, k.kind, k.fallback, k.meaning)
	}

	golden(t, filepath.Join("docs", "reference", "configuration.md"), b.String())

	for _, name := range config.Variables() {
		if !strings.Contains(b.String(), "`"+name+"`") {
			t.Errorf("the page does not mention %s", name)
		}
	}
}

const configurationIntro = `# Configuration

The configuration is one YAML file. Unknown keys are errors. '${NAME:-default}' in a value is replaced
from the environment; '$${' is a literal '${'. Durations are written as '30s', '1h30m' or '7d'.
A list is marked '[]'. "This file" is the configuration file. The default column has the value of an absent
key, or says what its absence means.

'jeton config check' reports every fault with its line. 'jeton config schema' prints the JSON Schema
that this page is made from ('make generate').

## Environment variables

These variables override keys. An empty variable counts as not set. 'JETON_HOME', 'JETON_IDENTITY' and
'JETON_WALLET_*' belong to the [wallet](../guide/wallet.md).

| variable | overrides |
| --- | --- |
`

// node is what the page needs of a JSON Schema.
type node struct {
	Type        any             `json:"type"`
	Pattern     string          `json:"pattern"`
	Description string          `json:"description"`
	Default     any             `json:"default"`
	Minimum     *int            `json:"minimum"`
	Maximum     *int            `json:"maximum"`
	Properties  map[string]node `json:"properties"`
	Items       *node           `json:"items"`
	Enum        []any           `json:"enum"`
	AnyOf       []node          `json:"anyOf"`
	Required    []string        `json:"required"`
}

// key is a row of the page.
type key struct {
	path, kind, fallback, meaning string

	variable string // the environment variable that overrides it
}

// keys adds the keys below a node, in order of their names.
func (n node) keys(path string, list *[]key) {
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		child := n.Properties[name]
		k := child.key(strings.TrimPrefix(path+"."+name, "."))
		if slices.Contains(n.Required, name) {
			k.fallback = "required"
		}

		*list = append(*list, k)
		if child.Items != nil {
			child.Items.keys(k.path+"[]", list)
		}

		child.keys(k.path, list)
	}
}

// key makes the row of a node. Its description ends in the variable, then in what
// an absent key means.
func (n node) key(path string) key {
	rest, absent, _ := strings.Cut(n.Description, " Absent: ")
	meaning, variable, _ := strings.Cut(rest, " Environment: ")
	k := key{
		path:     path,
		kind:     n.kind(),
		fallback: strings.TrimSuffix(absent, "."),
		meaning:  meaning,
		variable: strings.TrimSuffix(variable, "."),
	}
	if n.Default != nil {
		k.fallback = "`" + strings.Trim(fmt.Sprint(n.Default), "[]") + "`" // a list of one word is that word
	}

	return k
}

func (n node) kind() string {
	switch {
	case n.Items != nil:
		return "list"
	case len(n.Properties) > 0:
		return "map"
	case strings.Contains(n.Pattern, "[0-9]+d"):
		return "duration"
	case len(n.AnyOf) > 0 && len(n.AnyOf[0].Enum) > 0:
		var words []string
		for _, word := range n.AnyOf[0].Enum {
			words = append(words, fmt.Sprintf("`%v`", word))
		}
		return strings.Replace(strings.Join(words, ", "), "``", "`\"\"`", 1)
	}

	kind := "any"
	switch types := n.Type.(type) {
	case string:
		kind = types
	case []any: // a number or a boolean may be a variable, too
		kind = fmt.Sprint(types[0])
	}

	switch {
	case n.Maximum != nil:
		kind += fmt.Sprintf(", %d to %d", *n.Minimum, *n.Maximum)
	case n.Minimum != nil:
		kind += fmt.Sprintf(", %d or more", *n.Minimum)
	}

	return kind
}
