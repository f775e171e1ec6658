package yamlread

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxDepth bounds how deep values nest, so that no walk over them is deep.
const maxDepth = 64

// parse returns the one document of the file, or nil after a fault.
func (d *Document) parse(data []byte) *yaml.Node {
	if !utf8.Valid(data) {
		d.notUTF8(data)
		return nil
	}

	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(err)
		return nil
	}

	var first, second yaml.Node

	err = loader.Load(&first)
	if errors.Is(err, io.EOF) {
		d.empty()
		return nil
	}
	if err != nil {
		d.syntax(err)
		return nil
	}

	// A second document would be ignored without a word, with all that it configures.
	err = loader.Load(&second)
	if err == nil {
		d.FaultAt(&second, "", "second document: want one document a file, without ---")
		return nil
	}
	if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}

	root := first.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		d.empty()
		return nil
	}

	return root
}

// empty reports a file without a document. An empty file is most likely an accident, such as
// a full disk, and must not open a server with defaults.
func (d *Document) empty() {
	d.FaultAt(start(), "", "the file is empty; write {} for a file with every default")
}

// start is the place of a fault that is about the whole file.
func start() *yaml.Node { return &yaml.Node{Line: 1, Column: 1} }

// syntax reports an error of the YAML parser at the place that it names.
func (d *Document) syntax(err error) {
	n, text := start(), err.Error()
	var e *yaml.LoadError
	if errors.As(err, &e) {
		text = e.Message
		if e.ContextMsg != "" {
			text = e.ContextMsg + ": " + text
		}
		n.Line = max(e.Mark.Line, 1)
		n.Column = max(e.Mark.Column, 1)
	}

	d.FaultAt(n, "", "invalid YAML: "+text)
}

// notUTF8 reports the first byte that is not UTF-8.
func (d *Document) notUTF8(data []byte) {
	n := start()
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}

		n.Column++
		if r == '\n' {
			n.Line++
			n.Column = 1
		}

		data = data[size:]
	}

	d.FaultAt(n, "", "not UTF-8; save the file as UTF-8")
}

// prepare rejects the features of YAML that a configuration does not need, and
// expands the values.
func (d *Document) prepare(path string, n *yaml.Node, depth int) {
	if !d.plain(path, n) {
		return
	}

	if depth > maxDepth {
		d.spoil(n, path, fmt.Sprintf("nested too deep: want at most %d levels", maxDepth))
		return
	}

	switch n.Kind {
	case yaml.ScalarNode:
		d.expand(path, n)
		asText(n)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			d.prepare(Index(path, i), item, depth+1)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			d.plain(Key(path, key.Value), key)
			asText(key)
			d.prepare(Key(path, key.Value), n.Content[i+1], depth+1)
		}
	}
}

// spoil reports a fault of a node that is then not decoded.
func (d *Document) spoil(n *yaml.Node, path, text string) {
	d.bad[n] = true
	d.FaultAt(n, path, text)
}

// plain rejects aliases, anchors and tags. A value then says itself what it is, and
// no file can grow by repeating itself.
func (d *Document) plain(path string, n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.spoil(n, path, "anchors and aliases are not supported; repeat the value, or use ${NAME}")
		return false
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!":
		d.spoil(n, path, "tag "+Quote(n.Tag)+" is not supported; remove it, and put text in quotes")
		return false
	}

	return true
}

// asText turns dates and << into text, which is what they are in the file.
func asText(n *yaml.Node) {
	if n.Tag == "!!timestamp" || n.Tag == "!!merge" {
		n.Tag = "!!str"
	}
}

// quoted are the styles of text that YAML never reads as a number, true or null.
const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// expand replaces variables in a value. The result of a value without quotes gets
// its type again: ${PORT} may become a number.
func (d *Document) expand(path string, n *yaml.Node) {
	if !strings.Contains(n.Value, "${") {
		return
	}

	text, err := expand(n.Value, d.env)
	if err != nil {
		d.spoil(n, path, err.Error())
		return
	}

	n.Value = text
	d.vars[n] = true

	if n.Style&quoted == 0 {
		n.Tag = resolve(text)
	}
}

// resolve returns the YAML tag of text without quotes.
func resolve(text string) string {
	var v any
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	err := n.Decode(&v)
	if err == nil {
		err = n.Encode(v)
	}
	if err != nil || text == "<<" {
		return "!!str"
	}

	return n.Tag
}
