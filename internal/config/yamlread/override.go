package yamlread

import (
	"reflect"

	"go.yaml.in/yaml/v4"
)

// override prepares the tree for its struct: a mapping in its short form gets its
// long one, and environment variables that are set replace values. They are then
// read and checked like what the file says. An empty variable counts as not set,
// because container tools pass one for what was left out.
func (d *Document) override(root *yaml.Node, t reflect.Type) {
	d.overrideAt(root, t, nil)
}

func (d *Document) overrideAt(root *yaml.Node, t reflect.Type, path []string) {
	for _, f := range fieldsOf(t) {
		here := append(path[:len(path):len(path)], f.key)
		short := f.tag.Get("short")
		if short != "" {
			lengthen(root, here, short)
		}

		name := f.tag.Get("env")
		value, ok := d.env(name)
		if name != "" && ok && value != "" {
			n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
			d.origin[n] = "environment " + name
			put(root, here, n)
		}

		if inner, ok := structOf(f.typ); ok {
			d.overrideAt(root, inner, here)
		}
	}
}

// lengthen replaces a value at path by a mapping that has it under key.
func lengthen(root *yaml.Node, path []string, key string) {
	parent := root
	for _, name := range path[:len(path)-1] {
		i := indexOf(parent, name)
		if i < 0 {
			return
		}
		parent = parent.Content[i]
	}

	i := indexOf(parent, path[len(path)-1])
	if i < 0 {
		return
	}

	n := parent.Content[i]
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return
	}

	long := mappingAt(n)
	put(long, []string{key}, n)
	parent.Content[i] = long
}

// put sets the value at path and adds the mappings on the way. Where the file has
// something other than a mapping it does nothing: that is a fault already.
func put(n *yaml.Node, path []string, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}

	i := indexOf(n, path[0])
	if len(path) > 1 {
		if i >= 0 {
			put(n.Content[i], path[1:], value)
			return
		}

		child := mappingAt(n)
		put(child, path[1:], value)
		value = child
	}

	if i >= 0 {
		n.Content[i] = value
		return
	}

	key := &yaml.Node{
		Kind:   yaml.ScalarNode,
		Tag:    "!!str",
		Value:  path[0],
		Line:   n.Line,
		Column: n.Column,
	}
	n.Content = append(n.Content, key, value)
}

// mappingAt returns an empty mapping at the place of a node.
func mappingAt(n *yaml.Node) *yaml.Node {
	return &yaml.Node{
		Kind:   yaml.MappingNode,
		Tag:    "!!map",
		Line:   n.Line,
		Column: n.Column,
	}
}

// indexOf returns where the value of a key is in a mapping's content, or -1.
func indexOf(n *yaml.Node, key string) int {
	if n.Kind != yaml.MappingNode {
		return -1
	}

	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i + 1
		}
	}

	return -1
}

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
