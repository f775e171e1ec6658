package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"
)

// value is a JSON value of the configuration that may depend on the caller.
type value interface {
	write(b *bytes.Buffer, who caller) error
	varies() bool
}

// compileJSON returns the value of a node, with its members in the same order. A string that is
// a JSON document is taken as that document.
func compileJSON(n *yaml.Node) (value, error) {
	// A template decides only when it is executed whether it is JSON, so it stays a string.
	isText := n.Kind == yaml.ScalarNode && n.Tag == "!!str"
	if isText && json.Valid([]byte(n.Value)) && !isTemplate(n.Value) {
		return fixed(n.Value), nil
	}
	return compileNode(n)
}

// compileNode compiles a node of the YAML file, once when the configuration is applied.
func compileNode(n *yaml.Node) (value, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return compileNode(n.Content[0])
	case yaml.SequenceNode:
		return compileList(n)
	case yaml.MappingNode:
		return compileMapping(n)
	case yaml.ScalarNode:
		return compileScalar(n)
	}

	return nil, fmt.Errorf("line %d: not a JSON value", n.Line)
}

func compileList(n *yaml.Node) (list, error) {
	var l list
	for _, c := range n.Content {
		v, err := compileNode(c)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}

	return l, nil
}

// compileMapping compiles an object, or one of the forms that stand for a random value.
func compileMapping(n *yaml.Node) (value, error) {
	// Content has keys and values in turn: two nodes are one member.
	if len(n.Content) == 2 {
		switch n.Content[0].Value {
		case "pick":
			return compilePick(n.Content[1])
		case "randInt":
			return compileRandInt(n.Content[1])
		}
	}

	var o object
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := compileText(n.Content[i].Value)
		if err != nil {
			return nil, err
		}

		v, err := compileNode(n.Content[i+1])
		if err != nil {
			return nil, err
		}

		o = append(o, member{key, v})
	}

	return o, nil
}

// compilePick compiles {pick: [a, b]}.
func compilePick(n *yaml.Node) (value, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("line %d: invalid pick: want a list", n.Line)
	}

	choices, err := compileList(n)
	return pick(choices), err
}

// compileRandInt compiles {randInt: [least, greatest]}, both inclusive.
func compileRandInt(n *yaml.Node) (value, error) {
	var r randInt
	// choices overflows for a range wider than an int64, which rand.Int64N cannot serve.
	if err := n.Decode(&r); err != nil || r[0] > r[1] || r.choices() <= 0 {
		return nil, fmt.Errorf("line %d: invalid randInt: want [least, greatest]", n.Line)
	}
	return r, nil
}

func compileScalar(n *yaml.Node) (value, error) {
	// JSON has no times: what YAML reads as one stays the text that the file has.
	if n.Tag == "!!str" || n.Tag == "!!timestamp" {
		return compileText(n.Value)
	}

	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}

	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}

	return fixed(b), nil
}

// compileText compiles a string, which is a template if it has {{ in it.
func compileText(s string) (value, error) {
	if !isTemplate(s) {
		return quote(s)
	}

	t, err := ParseTemplate(s)
	if err != nil {
		return nil, err
	}

	return text{t}, nil
}

func isTemplate(s string) bool { return strings.Contains(s, "{{") }

// fixed is JSON that does not vary.
type fixed string

// varies reports whether two responses may differ. A document that does not vary is written
// once, as fixed bytes.
func (f fixed) varies() bool { return false }

func (f fixed) write(b *bytes.Buffer, _ caller) error {
	_, err := b.WriteString(string(f))
	return err
}

// quote returns a string as JSON.
func quote(s string) (fixed, error) {
	b, err := json.Marshal(s)
	return fixed(b), err
}

// text is a string made by a template.
type text struct{ t *template.Template }

func (t text) varies() bool { return true }

func (t text) write(b *bytes.Buffer, who caller) error {
	var out strings.Builder
	if err := t.t.Execute(&out, who); err != nil {
		return err
	}

	quoted, err := quote(out.String())
	if err != nil {
		return err
	}

	return quoted.write(b, who)
}

type list []value

func (l list) varies() bool { return slices.ContainsFunc(l, value.varies) }

func (l list) write(b *bytes.Buffer, who caller) error {
	b.WriteByte('[')

	for i, v := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := v.write(b, who); err != nil {
			return err
		}
	}

	return b.WriteByte(']')
}

// member is a member of an object. A key may be a template, too.
type member struct{ key, value value }

type object []member

func (o object) varies() bool {
	return slices.ContainsFunc(o, func(m member) bool { return m.key.varies() || m.value.varies() })
}

// write separates members as Python's json module does, which teaching clients compare with.
func (o object) write(b *bytes.Buffer, who caller) error {
	b.WriteByte('{')

	for i, m := range o {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := m.key.write(b, who); err != nil {
			return err
		}

		b.WriteString(": ")
		if err := m.value.write(b, who); err != nil {
			return err
		}
	}

	return b.WriteByte('}')
}

// pick is one of its values, chosen for each request.
type pick []value

func (p pick) varies() bool { return true }

func (p pick) write(b *bytes.Buffer, who caller) error {
	return p[rand.IntN(len(p))].write(b, who)
}

// randInt is an integer between two, chosen for each request.
type randInt [2]int64

func (r randInt) varies() bool { return true }

// choices returns how many integers there are, at most 0 if they overflow.
func (r randInt) choices() int64 { return r[1] - r[0] + 1 }

func (r randInt) write(b *bytes.Buffer, _ caller) error {
	_, err := b.WriteString(strconv.FormatInt(r[0]+rand.Int64N(r.choices()), 10))
	return err
}
