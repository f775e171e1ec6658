package config

import (
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"

	"go.yaml.in/yaml/v4"
)

// json checks a JSON response as far as that is possible before templates in it are
// executed. Compiling it is for package gateway.
func (c checker) json(path string, n *yaml.Node) {
	if c.Bad(n) {
		return
	}

	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.json(yamlread.Index(path, i), item)
		}
	case yaml.MappingNode:
		c.jsonObject(path, n)
	default:
		// .nan and .inf: YAML has them, JSON has not.
		if n.ShortTag() == "!!float" && strings.ContainsAny(n.Value, "nN") {
			c.FaultAt(n, path, "invalid number "+yamlread.Quote(n.Value)+": want a finite number, as in JSON")
		}
		c.jsonText(path, n)
	}
}

// jsonText checks a string or a key as a template.
func (c checker) jsonText(path string, n *yaml.Node) {
	fault := templateFault(n.Value)
	if fault != "" {
		c.FaultAt(n, path, fault)
	}
}

// jsonObject checks the members of an object, and one of a single member also as {pick: …} or
// {randInt: …}.
func (c checker) jsonObject(path string, n *yaml.Node) {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		place := yamlread.Key(path, key.Value)
		switch {
		case c.Bad(key):
			continue
		case !isText(key):
			c.FaultAt(key, path, "invalid key "+yamlread.Describe(key)+": want text, in quotes")
		// Two readers of the response could take different values (RFC 8259, section 4).
		case seen[key.Value]:
			c.FaultAt(key, place, "duplicate key; keep one")
		}

		seen[key.Value] = true
		c.jsonText(place, key)
		c.json(place, value)
	}

	if len(n.Content) == 2 && !c.Bad(n.Content[1]) {
		c.jsonRandom(path, n.Content[0].Value, n.Content[1])
	}
}

// jsonRandom checks a mapping of one key that may stand for a random value.
func (c checker) jsonRandom(path, name string, value *yaml.Node) {
	place := yamlread.Key(path, name)
	switch name {
	case "pick":
		if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
			c.FaultAt(value, place, "invalid value: want a list that is not empty")
		}
	case "randInt":
		if !isRange(value) {
			c.FaultAt(value, place, "invalid value: want two whole numbers, the lower first, such as [1, 100]")
		}
	}
}

// isText reports whether a key is text. YAML permits 1 and true, too; JSON does not.
func isText(key *yaml.Node) bool {
	if key.Kind != yaml.ScalarNode {
		return false
	}

	switch key.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		return false
	}

	return true
}

// isRange reports whether n is [low, high], both in the range of an int64.
func isRange(n *yaml.Node) bool {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		return false
	}

	low, lowOK := yamlread.Integer(n.Content[0])
	high, highOK := yamlread.Integer(n.Content[1])

	return lowOK && highOK && low <= high
}
