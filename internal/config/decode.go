package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"

	"go.yaml.in/yaml/v4"
)

// document is one file while it is read: its values by path, and its faults.
// Own decoding, rather than the YAML package's, is what gives every fault a
// position and reports all of them at once.
type document struct {
	name     string
	env      func(string) (string, bool)
	nodes    map[string]*yaml.Node // values by path, right or wrong
	wrong    map[string]bool       // paths whose value could not be read
	bad      map[*yaml.Node]bool   // values reported before decoding
	expanded map[*yaml.Node]bool   // values that held ${NAME}
	origin   map[*yaml.Node]string // values that are not from the file
	faults   Faults
}

func newDocument(name string, env func(string) (string, bool)) *document {
	return &document{
		name:     name,
		env:      env,
		nodes:    make(map[string]*yaml.Node),
		wrong:    make(map[string]bool),
		bad:      make(map[*yaml.Node]bool),
		expanded: make(map[*yaml.Node]bool),
		origin:   make(map[*yaml.Node]string),
	}
}

// maxFaults bounds a report that nobody would read to its end.
const maxFaults = 1000

// add reports a fault at a node.
func (d *document) add(n *yaml.Node, path, text string) {
	switch {
	case len(d.faults) > maxFaults:
		return
	case len(d.faults) == maxFaults:
		path, text = "", fmt.Sprintf("more than %d faults; mend these first", maxFaults)
	}

	f := Fault{
		File:   d.name,
		Line:   n.Line,
		Column: n.Column,
		Path:   path,
		Text:   text,
	}
	from := d.origin[n]
	if from != "" {
		f.File = from
		f.Line = 0
		f.Column = 0
	}

	d.faults = append(d.faults, f)
}

// reject reports a value that cannot be read.
func (d *document) reject(n *yaml.Node, path, text string) {
	d.wrong[path] = true
	d.add(n, path, text)
}

// prepare refuses what YAML can do and a configuration need not, and expands the
// values. It works on the tree, so that no variable can change the structure.
func (d *document) prepare(path string, n *yaml.Node, depth int) {
	if !d.plain(path, n) {
		return
	}

	if depth > maxDepth {
		d.bad[n] = true
		d.reject(n, path, fmt.Sprintf("nested more than %d deep; fewer levels are right", maxDepth))
		return
	}

	switch n.Kind {
	case yaml.ScalarNode:
		d.expand(path, n)
		asText(n)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			d.prepare(at(path, i), item, depth+1)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			d.plain(under(path, key.Value), key)
			asText(key)
			d.prepare(under(path, key.Value), n.Content[i+1], depth+1)
		}
	}
}

// plain refuses aliases, anchors and tags. A value then says itself what it is,
// and no file can grow by repeating itself.
func (d *document) plain(path string, n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.reject(n, path, "anchors and aliases are not read; write the value out, or use ${NAME}")
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!":
		d.reject(n, path, "tag "+quote(n.Tag)+" is not read; leave it out, and put text in quotes")
	default:
		return true
	}

	d.bad[n] = true

	return false
}

// asText makes text of what only YAML takes for more: a date stays as written.
func asText(n *yaml.Node) {
	if n.Tag == "!!timestamp" || n.Tag == "!!merge" {
		n.Tag = "!!str"
	}
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// expand replaces variables in a value. Without quotes the result is looked at
// again: ${PORT} may become a number.
func (d *document) expand(path string, n *yaml.Node) {
	if d.origin[n] != "" || !strings.Contains(n.Value, "${") {
		return
	}

	text, err := expand(n.Value, d.env)
	if err != nil {
		d.bad[n] = true
		d.reject(n, path, err.Error())
		return
	}

	n.Value = text
	d.expanded[n] = true

	if n.Style&quoted == 0 {
		n.Tag = resolve(text)
	}
}

// resolve returns the tag that text without quotes has.
func resolve(text string) string {
	var v any
	if err := (&yaml.Node{Kind: yaml.ScalarNode, Value: text}).Decode(&v); err != nil {
		return "!!str"
	}

	switch v.(type) {
	case nil:
		if text != "<<" {
			return "!!null"
		}
	case bool:
		return "!!bool"
	case int, int64, uint64:
		return "!!int"
	case float64:
		return "!!float"
	}

	return "!!str"
}

// decode reads the whole file into c.
func (d *document) decode(c *Config, root *yaml.Node) {
	d.value("", root, reflect.ValueOf(c).Elem(), "")
}

// value reads one node into out.
func (d *document) value(path string, n *yaml.Node, out reflect.Value, tag reflect.StructTag) {
	d.nodes[path] = n
	if d.bad[n] {
		return
	}

	switch v := out.Addr().Interface().(type) {
	case *yaml.Node:
		d.node(path, n, v)
		return
	case *Duration:
		d.duration(path, n, v)
		return
	case *Prefix:
		d.prefix(path, n, v)
		return
	case *Time:
		d.time(path, n, v)
		return
	case *jeton.Secret:
		d.secret(path, n, v, tag)
		return
	}

	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		d.value(path, n, out.Elem(), tag)
	case reflect.Struct:
		d.mapping(path, n, out)
	case reflect.Slice:
		d.list(path, n, out)
	case reflect.String:
		d.text(path, n, out, tag)
	case reflect.Bool:
		if n.ShortTag() != "!!bool" {
			d.mismatch(path, n, "true or false")
			return
		}
		out.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		d.integer(path, n, out)
	default:
		panic("config: no way to read a " + out.Type().String())
	}
}

// mapping reads keys into the fields of a struct.
func (d *document) mapping(path string, n *yaml.Node, out reflect.Value) {
	fields, known := fieldsOf(out.Type()), keys(out.Type())
	if n.Kind != yaml.MappingNode {
		d.mismatch(path, n, "a mapping of: "+strings.Join(known, ", "))
		return
	}

	seen := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, ok := fields[key.Value]
		first := seen[key.Value]
		switch {
		case d.bad[key]:
		case key.Kind != yaml.ScalarNode:
			d.add(key, path, "found "+describe(key)+" as a key; keys are text")
		case !ok:
			d.add(key, under(path, key.Value), "unknown key; "+suggest(key.Value, known))
		case first != nil:
			d.add(key, under(path, key.Value), fmt.Sprintf("given twice, first on line %d; keep one", first.Line))
		default:
			seen[key.Value] = key
			d.value(under(path, key.Value), n.Content[i+1], out.FieldByIndex(field.Index), field.Tag)
		}
	}

	for _, name := range known {
		tag := fields[name].Tag
		if tag.Get("required") == "true" && seen[name] == nil {
			d.reject(n, under(path, name), "missing; it is required: "+tag.Get("doc"))
		}
	}
}

// fieldsOf returns the fields of a struct by key.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	for _, field := range reflect.VisibleFields(t) {
		name := field.Tag.Get("yaml")
		if name != "" && name != "-" {
			fields[name] = field
		}
	}

	return fields
}

// keys returns the keys of a struct in the order of its fields.
func keys(t reflect.Type) []string {
	var names []string
	for _, field := range reflect.VisibleFields(t) {
		name := field.Tag.Get("yaml")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}

	return names
}

func (d *document) list(path string, n *yaml.Node, out reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.mismatch(path, n, "a list such as [a, b]")
		return
	}

	out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))

	for i, item := range n.Content {
		d.value(at(path, i), item, out.Index(i), "")
	}
}

// text reads a string. A variable in a place for text is text, even when its
// value looks like a number.
func (d *document) text(path string, n *yaml.Node, out reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.mismatch(path, n, "text")
		return
	}

	kind := n.ShortTag()
	switch {
	case d.expanded[n]:
	case kind == "!!null":
		d.mismatch(path, n, "text")
		return
	case kind == "!!bool" || kind == "!!int" || kind == "!!float":
		d.mismatch(path, n, "text in quotes: "+quote(n.Value))
		return
	}

	if tag.Get("required") == "true" && n.Value == "" {
		d.reject(n, path, "empty; it is required: "+tag.Get("doc"))
		return
	}

	enum := enumOf(tag)
	if enum != nil && !slices.Contains(enum, n.Value) {
		d.reject(n, path, quote(n.Value)+" is not one of "+strings.Join(enum, ", ")+didYouMean(n.Value, enum))
		return
	}

	out.SetString(n.Value)
}

// secret reads text that no fault shows.
func (d *document) secret(path string, n *yaml.Node, out *jeton.Secret, tag reflect.StructTag) {
	kind := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		d.mismatch(path, n, "text")
	case kind != "!!str" && !d.expanded[n]:
		d.reject(n, path, "not text; put it in quotes if it is meant as it stands")
	case tag.Get("required") == "true" && n.Value == "":
		d.reject(n, path, "empty; it is required: "+tag.Get("doc"))
	default:
		*out = jeton.NewSecret(n.Value)
	}
}

// didYouMean names the nearest of known, if one is near. The caller has named all.
func didYouMean(word string, known []string) string {
	near := nearest(word, known)
	if near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func enumOf(tag reflect.StructTag) []string {
	list := tag.Get("enum")
	if list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// integer reads a whole number in decimal: 010 is eight to some and ten to others.
func (d *document) integer(path string, n *yaml.Node, out reflect.Value) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" ||
		!decimal.MatchString(n.Value) {
		d.mismatch(path, n, "a whole number such as 10")
		return
	}

	v, err := strconv.ParseInt(n.Value, 10, out.Type().Bits())
	if err != nil {
		d.reject(n, path, clip(n.Value)+" is too large; a smaller number is right")
		return
	}

	out.SetInt(v)
}

func (d *document) duration(path string, n *yaml.Node, out *Duration) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.ShortTag() == "!!bool" {
		d.mismatch(path, n, "a duration such as 30s, 1h30m or 7d")
		return
	}

	v, err := parseDuration(n.Value)
	if err != nil {
		d.reject(n, path, err.Error())
		return
	}

	*out = v
}

// time reads a point in time.
func (d *document) time(path string, n *yaml.Node, out *Time) {
	if n.Kind != yaml.ScalarNode {
		d.mismatch(path, n, "a time such as 2026-12-01T00:00:00Z")
		return
	}

	v, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		d.reject(n, path, quote(n.Value)+" is no time; write it as in 2026-12-01T00:00:00Z (RFC 3339)")
		return
	}

	out.Time = v
}

// prefix reads a CIDR or an address. An IPv4 address in IPv6 clothes is stored
// as what it is, since that is how addresses of peers are compared.
func (d *document) prefix(path string, n *yaml.Node, out *Prefix) {
	if n.Kind != yaml.ScalarNode {
		d.mismatch(path, n, "an address or a CIDR")
		return
	}

	p, err := netip.ParsePrefix(n.Value)
	a, addrErr := netip.ParseAddr(n.Value)
	if addrErr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}

	if err != nil {
		d.reject(n, path, quote(n.Value)+" is no address and no CIDR; write it as in 10.0.0.7, 10.0.0.0/8 or fd00::/8")
		return
	}

	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}

	out.Prefix = p.Masked()
}

// node keeps a value as it stands. Nothing written is no value; null is one.
func (d *document) node(path string, n *yaml.Node, out *yaml.Node) {
	if n.ShortTag() == "!!null" && n.Value == "" && !d.expanded[n] {
		d.mismatch(path, n, "a document, or null")
		return
	}
	*out = *n
}

// mismatch reports a value of the wrong type.
func (d *document) mismatch(path string, n *yaml.Node, want string) {
	d.reject(n, path, "found "+describe(n)+"; want "+want)
}

// describe says what a node is, as a person would.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	}

	switch n.ShortTag() {
	case "!!null":
		return "no value"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return n.Value
	}

	return "text " + quote(n.Value)
}

// has reports whether the file says anything at path.
func (d *document) has(path string) bool { return d.nodes[path] != nil }

// right reports whether the value at path could be read, or is not there at all.
func (d *document) right(path string) bool {
	for ; path != ""; path = above(path) {
		if d.wrong[path] {
			return false
		}
	}

	return !d.wrong[""]
}

// fault reports a value that was read and is wrong, at its place or, when it is
// not there, at the mapping it belongs in. What could not be read is left alone:
// it has its fault, and what is said of it now would mislead.
func (d *document) fault(path, text string) {
	if !d.right(path) {
		return
	}

	place := path
	for place != "" && d.nodes[place] == nil {
		place = above(place)
	}

	n := d.nodes[place]
	if n == nil {
		n = &yaml.Node{Line: 1, Column: 1}
	}

	d.add(n, path, text)
}

var ordinaryKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// under returns the path of a key, at that of an item.
func under(path, key string) string {
	if !ordinaryKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return clip(key)
	}

	return path + "." + clip(key)
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// above returns the path that holds path.
func above(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
