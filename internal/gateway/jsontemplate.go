package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"
)

// value is a JSON value that may depend on the request.
type value interface {
	write(b *bytes.Buffer, s subject) error
	varies() bool
}

// compileJSON makes a value of a node of the configuration, keeping the order of keys.
// A text that is a whole JSON document is taken as it stands.
func compileJSON(n *yaml.Node) (value, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && json.Valid([]byte(n.Value)) && !strings.Contains(
		n.Value,
		"{{",
	) {
		return fixed(n.Value), nil
	}
	return compileNode(n)
}

func compileNode(n *yaml.Node) (value, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return compileNode(n.Content[0])
	case yaml.SequenceNode:
		var l list
		for _, c := range n.Content {
			v, err := compileNode(c)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}

		return l, nil
	case yaml.MappingNode:
		return compileObject(n)
	case yaml.ScalarNode:
		return compileScalar(n)
	}

	return nil, fmt.Errorf("line %d: cannot be made JSON", n.Line)
}

func compileObject(n *yaml.Node) (value, error) {
	if len(n.Content) == 2 {
		switch n.Content[0].Value {
		case "pick":
			v, err := compileNode(n.Content[1])
			if err != nil {
				return nil, err
			}

			choices, ok := v.(list)
			if !ok || len(choices) == 0 {
				return nil, fmt.Errorf("line %d: pick wants a list", n.Line)
			}

			return pick(choices), nil
		case "randInt":
			var r randInt
			if err := n.Content[1].Decode(&r); err != nil || r[0] > r[1] || r[1]-r[0]+1 <= 0 {
				return nil, fmt.Errorf("line %d: randInt wants [least, greatest]", n.Line)
			}
			return r, nil
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

func compileScalar(n *yaml.Node) (value, error) {
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

func compileText(s string) (value, error) {
	if !strings.Contains(s, "{{") {
		return quoted(s)
	}

	t, err := template.New("json").Funcs(functions).Parse(s)
	if err != nil {
		return nil, err
	}

	return text{t}, nil
}

type fixed string

func (f fixed) varies() bool { return false }
func (f fixed) write(b *bytes.Buffer, _ subject) error {
	_, err := io.WriteString(b, string(f))
	return err
}
func quoted(s string) (fixed, error) { b, err := json.Marshal(s); return fixed(b), err }

type text struct{ t *template.Template }

func (t text) varies() bool { return true }
func (t text) write(b *bytes.Buffer, s subject) error {
	var out strings.Builder
	if err := t.t.Execute(&out, s); err != nil {
		return err
	}

	q, err := quoted(out.String())
	if err != nil {
		return err
	}

	return q.write(b, s)
}

type list []value

func (l list) varies() bool { return anyVaries(l) }
func (l list) write(b *bytes.Buffer, s subject) error {
	b.WriteByte('[')

	for i, v := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := v.write(b, s); err != nil {
			return err
		}
	}

	return b.WriteByte(']')
}

func anyVaries(values []value) bool {
	for _, v := range values {
		if v.varies() {
			return true
		}
	}

	return false
}

type member struct{ key, value value }

type object []member

func (o object) varies() bool {
	for _, m := range o {
		if m.key.varies() || m.value.varies() {
			return true
		}
	}

	return false
}

// write separates as Python's json module does: the teaching servers of old did.
func (o object) write(b *bytes.Buffer, s subject) error {
	b.WriteByte('{')

	for i, m := range o {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := m.key.write(b, s); err != nil {
			return err
		}

		b.WriteString(": ")
		if err := m.value.write(b, s); err != nil {
			return err
		}
	}

	return b.WriteByte('}')
}

type pick []value

func (p pick) varies() bool                           { return true }
func (p pick) write(b *bytes.Buffer, s subject) error { return p[rand.IntN(len(p))].write(b, s) }

type randInt [2]int64

func (r randInt) varies() bool { return true }
func (r randInt) write(b *bytes.Buffer, _ subject) error {
	_, err := io.WriteString(b, strconv.FormatInt(r[0]+rand.Int64N(r[1]-r[0]+1), 10))
	return err
}
