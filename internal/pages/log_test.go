package pages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// verb matches a verb of a format.
var verb = regexp.MustCompile(`%[.\d]*([a-z])`)

// filled returns a format with a value for each verb.
func filled(format string) string {
	return verb.ReplaceAllStringFunc(format, func(v string) string {
		switch v[len(v)-1] {
		case 'q':
			return `"x"`
		case 'd':
			return "7"
		case 'v':
			return "malformed token"
		}
		return "2026-03-01T12:00:00Z"
	})
}

// TestEveryReasonOfTheLogHasAMessage reads the source of the packages that write events, and takes from it the actions,
// the reasons, the names of checks, and the details of errors.
func TestEveryReasonOfTheLogHasAMessage(t *testing.T) {
	seen := map[string]int{}

	for _, dir := range []string{
		"account", "audit", "client", "keys", "oauth", "openid", "session", "signin", "ticket", "token", "upstream",
	} {
		eachNode(t, filepath.Join("..", dir), func(n ast.Node) {
			for _, s := range textsOf(dir, n) {
				seen[s.kind]++
				if !s.known() {
					t.Errorf("package %s: no message, want one for the %s %q", dir, s.kind, s.text)
				}
			}
		})
	}

	least := map[string]int{
		"action": 40,
		"reason": 60,
		"check":  25,
		"detail": 8,
		"event":  6,
	}
	for kind, n := range least {
		if seen[kind] < n {
			t.Errorf("found %d texts of the kind %s, want at least %d: the test misses some", seen[kind], kind, n)
		}
	}
}

// logText is a text of the audit log.
type logText struct{ kind, text string }

// known reports whether the catalogues have the text.
func (s logText) known() bool {
	switch s.kind {
	case "action":
		return slices.Contains(auditActions, s.text)
	case "check":
		// Keys of the configuration and parameters of OAuth are shown as they are.
		return checkNames[s.text].Key != "" || strings.ContainsAny(s.text, "_.")
	}

	return detailText(s.text).Key != ""
}

// textsOf returns what a node says in the log.
func textsOf(dir string, n ast.Node) []logText {
	switch n := n.(type) {
	case *ast.ValueSpec:
		return constantsOf(dir, n)
	case *ast.CallExpr:
		return textsOfCall(dir, n)
	}

	return nil
}

// constantsOf returns the actions and the reasons that are declared.
func constantsOf(dir string, n *ast.ValueSpec) []logText {
	kind := ""
	declared, _ := n.Type.(*ast.Ident)
	switch {
	case declared != nil && declared.Name == "Reason":
		kind = "reason"
	case dir == "audit" && n.Type == nil && len(n.Names) == 1 && n.Names[0].IsExported() && n.Names[0].Name != "OK":
		kind = "action"
	}

	var list []logText
	for _, v := range n.Values {
		text := literal(v)
		if kind != "" && text != "" {
			list = append(list, logText{kind, text})
		}
	}

	return list
}

// textsOfCall returns what a call adds to the log.
func textsOfCall(dir string, n *ast.CallExpr) []logText {
	name := fmt.Sprint(n.Fun)
	selector, ok := n.Fun.(*ast.SelectorExpr)
	if ok {
		name = selector.Sel.Name
	}
	if len(n.Args) < 2 && name != "refuse" {
		return nil
	}

	last := literal(n.Args[len(n.Args)-1])
	switch {
	case dir == "upstream" && name == "refuse":
		return []logText{{"reason", filled(literal(n.Args[0]))}}
	case dir == "signin" && slices.Contains([]string{"check", "pass", "fail", "deny"}, name):
		first := literal(n.Args[0])
		if first != "" {
			return []logText{{"check", first}}
		}
	case dir == "signin" && name == "WithDetail" && last != "":
		return []logText{{"detail", last}}
	case slices.Contains([]string{"event", "step", "note"}, name) && last != "":
		return []logText{{"event", strings.TrimSpace(last)}}
	}

	return nil
}

// literal returns the text of a literal, or "".
func literal(n ast.Expr) string {
	l, ok := n.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}

	return text
}

// eachNode calls a function for every node of the source of a package.
func eachNode(t *testing.T, dir string, see func(ast.Node)) {
	t.Helper()

	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has %d files, %v; want some", dir, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			see(n)
			return true
		})
	}
}
