package jeton_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
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

// outcomes returns the exported errors of package jeton, in order, with their comments.
func outcomes(t *testing.T) (names []string, docs map[string]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}

	docs = map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
			names = append(names, v.Names[0].Name)
			docs[v.Names[0].Name] = v.Doc.Text()
		}
		return true
	})

	return names, docs
}

// TestReferenceOfErrors checks that every outcome is on the page of errors, with the
// code and status that it has on the wire.
func TestReferenceOfErrors(t *testing.T) {
	names, docs := outcomes(t)
	var b strings.Builder
	b.WriteString("# Errors\n\nEvery refusal carries its code in the header `Jeton-Error`, and in the member `code` of a\n" +
		"problem document (RFC 9457). In Go, `jeton.FromCode` gives the value back, and `errors.Is`\ntests it. Anything else is a bare 500 with the code `internal`; the request's id, in\n" +
		"`X-Request-Id`, leads an operator to the cause. Made from the code by `make generate`.\n\n| code | status | in Go | means |\n| --- | --- | --- | --- |\n")

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
		p := web.Problem(err)
		if p.Status == 500 {
			t.Errorf("%s has no row in package web", name)
		}

		meaning := strings.Join(strings.Fields(strings.TrimPrefix(docs[name], name)), " ")
		meaning = strings.TrimPrefix(strings.TrimPrefix(meaning, "means that "), "means ")
		fmt.Fprintf(&b, "| `%s` | %d | `jeton.%s` | %s |\n", code, p.Status, name, meaning)
	}

	golden(t, filepath.Join("docs", "reference", "errors.md"), b.String())
}

// valueOf finds an outcome by the name of its variable, through its text: the words of
// the outcomes differ.
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

	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}

	var b strings.Builder
	b.WriteString("# Configuration\n\nOne YAML file. Unknown keys are errors. `${NAME:-default}` in a value is replaced from the\nenvironment; `$${` is a literal `${`. " +
		"Durations are written as `30s`, `1h30m` or `7d`. `jeton config check`\nnames every fault at its line; `jeton config schema` prints the JSON Schema this page is made\nfrom (`make generate`). A list is marked `[]`.\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n")

	rows := 0
	page := page{
		b:        &b,
		root:     &root,
		defaults: defaults(t),
		rows:     &rows,
	}
	page.write(root, "")

	if rows < 50 {
		t.Errorf("only %d keys found: the schema is not read right", rows)
	}

	golden(t, filepath.Join("docs", "reference", "configuration.md"), b.String())
}

// node is what the page needs of a JSON Schema.
type node struct {
	Type        any             `json:"type"`
	Description string          `json:"description"`
	Properties  map[string]node `json:"properties"`
	Order       []string        `json:"propertyOrder"`
	Items       *node           `json:"items"`
	Enum        []any           `json:"enum"`
	Ref         string          `json:"$ref"`
	AnyOf       []node          `json:"anyOf"`
	Defs        map[string]node `json:"$defs"`
	Required    []string        `json:"required"`
}

// page is the page of the configuration while it is written.
type page struct {
	b        *strings.Builder
	root     *node
	defaults map[string]string
	rows     *int
}

func (p page) write(n node, path string) {
	keys := n.Order
	if keys == nil {
		for k := range n.Properties {
			keys = append(keys, k)
		}
		slices.Sort(keys)
	}

	for _, k := range keys {
		child := n.Properties[k].resolve(p.root)
		name := k
		if path != "" {
			name = path + "." + k
		}

		*p.rows++
		required := ""
		for _, r := range n.Required {
			if r == k {
				required = " Required."
			}
		}

		value := ""
		if d, ok := p.defaults[name]; ok && required == "" {
			value = "`" + d + "`"
		}

		fmt.Fprintf(p.b, "| `%s` | %s | %s | %s%s |\n", name, child.kind(), value, child.Description, required)
		if child.Items != nil {
			p.write(child.Items.resolve(p.root), name+"[]")
		}

		p.write(child, name)
	}
}

func (n node) resolve(root *node) node {
	if def, ok := root.Defs[strings.TrimPrefix(n.Ref, "#/$defs/")]; ok && n.Ref != "" {
		if n.Description != "" {
			def.Description = n.Description
		}
		return def
	}

	return n
}

func (n node) kind() string {
	if n.Items != nil {
		return "list"
	}
	if len(n.Properties) > 0 {
		return "map"
	}

	for _, alternative := range append([]node{n}, n.AnyOf...) {
		if len(alternative.Enum) > 0 {
			var words []string
			for _, e := range alternative.Enum {
				words = append(words, fmt.Sprintf("`%v`", e))
			}
			return strings.Join(words, ", ")
		}
	}

	switch kind := n.Type.(type) {
	case string:
		return kind
	case []any: // a number or a truth value may be an expansion, too
		return fmt.Sprint(kind[0])
	}

	return "any"
}

// defaults returns what Load fills in, by key.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	const least = "database: postgres://localhost/jeton\n" +
		"services: [{name: s, listen: 'localhost:1', login: {paths: [/login]}, routes: [{match: GET /, respond: {text: t}}, {match: GET /u, upstream: {url: 'http://u'}}]}]"
	conf, err := config.Parse("least.yaml", []byte(least), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	found := map[string]string{}
	collect(reflect.ValueOf(*conf), "", found)
	delete(found, "services[].routes[].respond.text") // what the configuration itself says

	return found
}

func collect(v reflect.Value, path string, found map[string]string) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		collect(v.Elem(), path, found)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), path+"[]", found)
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[config.Prefix]():
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("yaml")
			if key == "" || key == "-" {
				continue
			}
			collect(v.Field(i), strings.TrimPrefix(path+"."+key, "."), found)
		}
	case !v.IsZero() && v.Kind() != reflect.Pointer:
		text := fmt.Sprint(v.Interface())
		if !strings.Contains(path, "name") || strings.HasSuffix(path, "field") {
			found[path] = text
		}
	}
}
