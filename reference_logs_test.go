package jeton_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/loglines"
)

// levels are the methods of a slog.Logger that take a message.
var levels = map[string]string{
	"Debug": "DEBUG",
	"Info":  "INFO",
	"Warn":  "WARN",
	"Error": "ERROR",
}

// logCalls collects the calls of slog.Logger in the code of the server.
type logCalls struct {
	t     *testing.T
	found map[string]loglines.Message
	with  map[string]bool
}

// TestReferenceOfTheLog writes the messages of all calls, with their fields, to the page of the log and to the list
// by which tests check the lines of running servers.
func TestReferenceOfTheLog(t *testing.T) {
	c := logCalls{t, map[string]loglines.Message{}, map[string]bool{}}
	for _, s := range sources(t) {
		// Package guard logs in programs of others, and bench is one.
		server := strings.HasPrefix(s.pkg, "internal/") && !strings.HasPrefix(s.pkg, "internal/test/")
		if server || s.pkg == "cmd/jeton" {
			c.file(s)
		}
	}

	if len(c.found) < 60 {
		t.Fatalf("got %d messages, want at least 60: the test does not see the calls", len(c.found))
	}

	list := loglines.List{With: slices.Sorted(maps.Keys(c.with))}
	for _, text := range slices.Sorted(maps.Keys(c.found)) {
		list.Messages = append(list.Messages, c.found[text])
	}
	c.describe(list)

	encoded, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}

	golden(t, "internal/test/loglines/messages.json", string(encoded)+"\n")
	golden(t, "docs/reference/logs.md", logPage(list))
}

// describe checks that the table of fields has those that are logged, and no others.
func (c *logCalls) describe(list loglines.List) {
	used := map[string]bool{}
	for _, name := range list.With {
		used[name] = true
	}
	for _, m := range list.Messages {
		for _, name := range m.Fields {
			used[name] = true
		}
	}

	for name := range used {
		_, ok := loglines.Find(name)
		if !ok {
			c.t.Errorf("field %q is logged and not in loglines.Fields: describe it there", name)
		}
	}
	for _, f := range loglines.Fields {
		if !used[f.Name] {
			c.t.Errorf("field %q of loglines.Fields is not logged; remove it", f.Name)
		}
	}
}

// file collects the calls of a file.
func (c *logCalls) file(s source) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isLog(method.X) {
			return true
		}

		level, one := levels[method.Sel.Name]
		switch {
		case one:
			c.add(s, level, call.Args[0], call.Args[1:])
		case method.Sel.Name == "Log", method.Sel.Name == "LogAttrs":
			c.add(s, levelOf(call.Args[1]), call.Args[2], call.Args[3:])
		case method.Sel.Name == "With":
			for _, name := range c.names(s, call.Args) {
				c.with[name] = true
			}
		}

		return true
	})
}

// isLog reports whether an expression is a logger, by its name: x.Log, c.log, l.slog.
func isLog(x ast.Expr) bool {
	name := ""
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}

	name = strings.ToLower(name)
	return name == "log" || name == "slog" || name == "to"
}

// levelOf returns the level of slog.LevelInfo and its like; "" for one that is computed.
func levelOf(x ast.Expr) string {
	constant, ok := x.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	return levels[strings.TrimPrefix(constant.Sel.Name, "Level")]
}

// add adds a call. Two calls with one message have the same fields.
func (c *logCalls) add(s source, level string, message ast.Expr, args []ast.Expr) {
	text, ok := constantText(message)
	if !ok {
		c.t.Errorf("%s: a log message is not a constant; make what varies a field", s.name)
		return
	}

	fields := c.names(s, args)
	before, again := c.found[text]
	if again && !slices.Equal(before.Fields, fields) {
		c.t.Errorf("%s: message %q has fields %q, elsewhere %q; want the same", s.name, text, fields, before.Fields)
	}

	listed := []string{level}
	if level == "" {
		listed = slices.Sorted(maps.Values(levels))
	}
	listed = slices.Compact(slices.Sorted(slices.Values(append(listed, before.Levels...))))
	c.found[text] = loglines.Message{Text: text, Levels: listed, Fields: fields}
}

// constantText returns the text of literals that are joined by +.
func constantText(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := constantText(x.X)
		right, too := constantText(x.Y)
		return left + right, ok && too && x.Op == token.ADD
	}

	return "", false
}

// names returns the names of fields: of pairs of a name and a value, and of attributes such as slog.String.
func (c *logCalls) names(s source, args []ast.Expr) []string {
	list := []string{}
	for i := 0; i < len(args); i++ {
		name := args[i]
		attr, ok := name.(*ast.CallExpr)
		if ok && len(attr.Args) == 2 {
			name = attr.Args[0]
		} else {
			i++ // over the value
		}

		text, ok := constantText(name)
		if !ok {
			c.t.Errorf("%s: the name of a field in a log line is not a constant", s.name)
			continue
		}
		list = append(list, text)
	}

	return list
}

// logPage returns the page of the log.
func logPage(list loglines.List) string {
	var b strings.Builder
	b.WriteString(markdown(logIntro))
	fmt.Fprintf(&b, "Lines about a listener or a service may also have: %s.\n\n", quoted(list.With))

	b.WriteString("## Fields\n\n| field | type | is |\n| --- | --- | --- |\n")
	for _, f := range loglines.Fields {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Type, markdown(f.Means))
	}

	b.WriteString("\n## Messages\n\n| `msg` | level | fields |\n| --- | --- | --- |\n")
	for _, m := range list.Messages {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Text, strings.Join(m.Levels, ", "), quoted(m.Fields))
	}

	return b.String()
}

// quoted joins names as code.
func quoted(names []string) string {
	var list []string
	for _, name := range names {
		list = append(list, "`"+name+"`")
	}
	return strings.Join(list, ", ")
}

const logIntro = `# Log lines

Every line that 'jeton serve' logs with 'log.format: json' is an object with 'time' (RFC 3339), 'level', 'msg' and the
fields of its message, in the order of this page. There are no others: the tests check the lines of their servers
against this list. Programs should compare 'msg' as a whole and ignore fields that they do not know: later versions
add fields at the end. [Read the log](../guide/logs.md) is about the two messages that are made for programs.
Made from the code by 'make generate'.

No field contains a password, token, cookie, code, key or their hashes. What callers send is in a line only where the
list below says so, and there without a query and cut before the first secret of Jeton or JWT in it.

`
