package yamlread

import (
	"reflect"

	"go.yaml.in/yaml/v4"
)

// Variables returns the environment variables that override keys of a struct.
func Variables(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		name := f.tag.Get("env")
		if name != "" {
			names = append(names, name)
		}
		if inner, ok := structOf(f.typ); ok {
			names = append(names, Variables(inner)...)
		}
	}

	return names
}

// variable returns the value of an environment variable as a node, or nil. It is read and
// checked like a value of the file. An empty variable counts as not set, because container
// tools pass one for what was left out.
func (d *Document) variable(name string) *yaml.Node {
	value, ok := d.env(name)
	if name == "" || !ok || value == "" {
		return nil
	}

	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	d.origin[n] = "environment " + name

	return n
}

// override returns the node for a field: what its variable has, or what the file has. A
// mapping that is absent is an empty one where a variable sets a key in it.
func (d *Document) override(f field, parent, node *yaml.Node) *yaml.Node {
	own := d.variable(f.tag.Get("env"))
	if own != nil {
		return own
	}

	inner, ok := structOf(f.typ)
	if node != nil || parent == nil || !ok {
		return node
	}

	for _, name := range Variables(inner) {
		if d.variable(name) != nil {
			return &yaml.Node{Kind: yaml.MappingNode, Line: parent.Line, Column: parent.Column}
		}
	}

	return nil
}
