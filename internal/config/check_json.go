package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// json checks a document that a route answers with, as far as that can be known
// before it is filled in. Compiling it is for the gateway.
func (d *document) json(path string, n *yaml.Node) {
	if d.bad[n] || !d.right(path) {
		return
	}

	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			d.json(at(path, i), item)
		}
	case yaml.MappingNode:
		d.jsonObject(path, n)
	default:
		tag := n.ShortTag()
		if tag == "!!float" && strings.ContainsAny(n.Value, "nN") {
			d.add(n, path, clip(n.Value)+" has no form in JSON; a finite number is right")
		}

		fault := templateFault(n.Value)
		if fault != "" {
			d.add(n, path, fault)
		}
	}
}

func (d *document) jsonObject(path string, n *yaml.Node) {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		place := under(path, key.Value)
		switch {
		case d.bad[key]:
			continue
		case !textKey(key):
			d.add(key, path, "found "+describe(key)+" as a key; text is right, in quotes: "+quote(key.Value))
		case seen[key.Value]:
			d.add(key, place, "given twice; keep one")
		}

		seen[key.Value] = true
		fault := templateFault(key.Value)
		if fault != "" {
			d.add(key, place, fault)
		}

		d.json(place, value)
	}

	if len(n.Content) != 2 || d.bad[n.Content[1]] {
		return
	}

	switch name, value := n.Content[0].Value, n.Content[1]; name {
	case "pick":
		if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
			d.add(value, path+".pick", "found "+describeList(value)+"; pick needs a list with something in it")
		}
	case "randInt":
		if !randInt(value) {
			d.add(value, path+".randInt", "randInt needs two whole numbers, the lower first; write it as in [1, 100]")
		}
	}
}

// textKey reports whether a key is text. YAML would take 1 or true as well, and
// JSON would not.
func textKey(key *yaml.Node) bool {
	if key.Kind != yaml.ScalarNode {
		return false
	}

	switch key.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		return false
	}

	return true
}

func describeList(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return "an empty list"
	}
	return describe(n)
}

// randInt reports whether n is [low, high], both in the range of an int64.
func randInt(n *yaml.Node) bool {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		return false
	}

	var ends [2]int64
	for i, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!int" || !decimal.MatchString(item.Value) {
			return false
		}

		v, err := strconv.ParseInt(item.Value, 10, 64)
		if err != nil {
			return false
		}

		ends[i] = v
	}

	return ends[0] <= ends[1]
}
