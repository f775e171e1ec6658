package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// override is an environment variable that wins over one value of the file.
type override struct {
	name string
	path []string
}

// overrides is the closed set of what operators override. JETON_CONFIG and
// JETON_DATA_DIR are flags of the command and are read there.
func overrides() []override {
	return []override{
		{"JETON_DATABASE", []string{"database", "url"}},
		{"JETON_LOG_LEVEL", []string{"log", "level"}},
		{"JETON_LOG_FORMAT", []string{"log", "format"}},
		{"JETON_ADMIN_LISTEN", []string{"admin", "listen"}},
	}
}

// UnknownEnv returns the names in environ ("NAME=value") that look like ours and
// that nobody reads, sorted: most likely a slip of the pen. Kubernetes sets
// JETON_PORT… and JETON_SERVICE_… for a service named jeton; those are not ours.
func UnknownEnv(environ []string) []string {
	known := []string{"JETON_CONFIG", "JETON_DATA_DIR", "JETON_IDENTITY", "JETON_HOME", "JETON_VECTORS"}
	for _, o := range overrides() {
		known = append(known, o.name)
	}

	families := []string{"JETON_WALLET_", "JETON_PORT", "JETON_SERVICE_"}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "JETON_") || slices.Contains(known, name) {
			continue
		}
		if !slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(name, f) }) {
			unknown = append(unknown, name)
		}
	}

	slices.Sort(unknown)

	return slices.Compact(unknown)
}

// override puts the variables that are set into the tree, where they are read
// and checked like what the file says. An empty variable counts as not set, as
// container tools hand one over for what was left out.
func (d *document) override(root *yaml.Node) {
	for _, o := range overrides() {
		if value, ok := d.env(o.name); ok && value != "" {
			n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
			d.origin[n] = "environment " + o.name
			put(root, o.path, n)
		}
	}
}

// put sets the value at path, making mappings on the way. Where the file has
// something else than a mapping it does nothing: that is a fault already.
func put(n *yaml.Node, path []string, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}

	last := len(path) == 1
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != path[0] {
			continue
		}

		if last {
			n.Content[i+1] = value
		} else {
			put(n.Content[i+1], path[1:], value)
		}

		return
	}

	child := value
	if !last {
		child = &yaml.Node{
			Kind:   yaml.MappingNode,
			Tag:    "!!map",
			Line:   n.Line,
			Column: n.Column,
		}
		put(child, path[1:], value)
	}

	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: path[0]}, child)
}
