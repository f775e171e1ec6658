package yamlread

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The fields of a struct are decoded here rather than by the YAML package: this is
// what gives every fault a position and reports all of them at once.

// field reads one field of a struct: its default first, then what the file has.
func (d *Document) field(p *place, out reflect.Value, tag reflect.StructTag) {
	fallback := defaultOf(tag)
	if fallback != nil {
		d.value(&place{path: p.path, node: fallback}, out, tag)
	}

	// The keys of an absent mapping have their defaults, too.
	if p.node != nil || out.Kind() == reflect.Struct && !isValue(out.Type()) {
		d.value(p, out, tag)
	}

	d.places[out.Addr().Interface()] = p
}

// value reads the node of a place into out.
func (d *Document) value(p *place, out reflect.Value, tag reflect.StructTag) {
	d.places[out.Addr().Interface()] = p
	p.wrong = d.bad[p.node]
	if p.wrong && out.Kind() != reflect.Struct {
		return
	}

	switch v := out.Addr().Interface().(type) {
	case *yaml.Node:
		d.node(p, v)
	case *Duration:
		d.duration(p, v, tag)
	case *Prefix:
		d.prefix(p, v)
	case *Time:
		d.time(p, v)
	case encoding.TextUnmarshaler:
		d.secret(p, v, tag)
	default:
		d.kind(p, out, tag)
	}
}

// kind reads a value of a type that is not one of this package.
func (d *Document) kind(p *place, out reflect.Value, tag reflect.StructTag) {
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		d.value(p, out.Elem(), tag)
	case reflect.Struct:
		d.mapping(p, out, tag.Get("short"))
	case reflect.Slice:
		d.list(p, out, itemTag(tag))
	case reflect.String:
		d.text(p, out, tag)
	case reflect.Bool:
		d.boolean(p, out)
	case reflect.Int, reflect.Int64:
		d.integer(p, out, tag)
	default:
		panic("yamlread: cannot read a " + out.Type().String())
	}
}

// mapping reads the keys of a mapping into the fields of a struct. If short is a key, a
// scalar is the value of that key.
func (d *Document) mapping(p *place, out reflect.Value, short string) {
	fields := fieldsOf(out.Type())
	known := keysOf(fields)

	values := make(map[string]*yaml.Node)
	switch {
	case p.node == nil || p.wrong:
	case p.node.Kind == yaml.MappingNode:
		values = d.keys(p, known)
	case short != "" && p.node.Kind == yaml.ScalarNode && p.node.ShortTag() != "!!null":
		values[short] = p.node
	default:
		d.mismatch(p, "a mapping of "+strings.Join(known, ", "))
	}

	// A key that is absent is read as well: a variable of the environment or a default may
	// set it.
	for _, f := range fields {
		child := &place{
			path:   Key(p.path, f.key),
			node:   d.override(f, p.node, values[f.key]),
			parent: p,
		}

		d.field(child, out.Field(f.index), f.tag)

		if child.node == nil && p.node != nil && !p.wrong && f.required() {
			d.FaultAt(p.node, child.path, "missing; it is required: "+summary(f.tag))
			child.wrong = true
		}
	}
}

// keys returns the values of a mapping by key and reports every other key.
func (d *Document) keys(p *place, known []string) map[string]*yaml.Node {
	values := make(map[string]*yaml.Node)
	lines := make(map[string]int)

	for i := 0; i+1 < len(p.node.Content); i += 2 {
		key := p.node.Content[i]
		path := Key(p.path, key.Value)
		first, again := lines[key.Value]
		switch {
		case d.bad[key]:
		case key.Kind != yaml.ScalarNode:
			d.FaultAt(key, p.path, "invalid key "+Describe(key)+": want text")
		case !slices.Contains(known, key.Value):
			d.FaultAt(key, path, "unknown key; "+Suggest(key.Value, known))
		case again:
			d.FaultAt(key, path, fmt.Sprintf("duplicate key, first on line %d; keep one", first))
		default:
			lines[key.Value] = key.Line
			values[key.Value] = p.node.Content[i+1]
		}
	}

	return values
}

// list reads a list. A single value is no list of one: the fault says so, and the file stays
// in one form. Every item gets its place even if it cannot be read, so that the indexes in
// faults are those of the file.
func (d *Document) list(p *place, out reflect.Value, tag reflect.StructTag) {
	if p.node.Kind != yaml.SequenceNode {
		d.mismatch(p, "a list such as [a, b]")
		return
	}

	// At once, as places are found by pointers to the items: a slice that grows would move
	// them.
	out.Set(reflect.MakeSlice(out.Type(), len(p.node.Content), len(p.node.Content)))

	for i, item := range p.node.Content {
		child := &place{
			path:   Index(p.path, i),
			node:   item,
			parent: p,
		}
		d.value(child, out.Index(i), tag)
	}
}

// text reads a string. A variable where text is wanted is text, even when its value
// looks like a number.
func (d *Document) text(p *place, out reflect.Value, tag reflect.StructTag) {
	n := p.node
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" && !d.vars[n] {
		d.mismatch(p, "text")
		return
	}
	if n.ShortTag() != "!!str" && !d.vars[n] {
		d.mismatch(p, "text; write "+Quote(n.Value)+", with quotes")
		return
	}

	enum := enumOf(tag)
	switch {
	case enum != nil && !slices.Contains(enum, n.Value):
		d.reject(p, invalid("value", n.Value, OneOf(n.Value, enum)))
	case n.Value == "" && enum == nil && tag.Get("required") == "true":
		d.reject(p, "empty; it is required: "+summary(tag))
	default:
		out.SetString(n.Value)
	}
}

// secret reads text that no fault shows.
func (d *Document) secret(p *place, out encoding.TextUnmarshaler, tag reflect.StructTag) {
	n := p.node
	switch {
	case n.Kind != yaml.ScalarNode:
		d.mismatch(p, "text")
	case n.ShortTag() != "!!str" && !d.vars[n]:
		d.reject(p, "invalid value: want text; put it in quotes")
	case n.Value == "" && tag.Get("required") == "true":
		d.reject(p, "empty; it is required: "+summary(tag))
	default:
		if err := out.UnmarshalText([]byte(n.Value)); err != nil {
			d.reject(p, err.Error())
		}
	}
}

// boolean reads true or false, in the spellings of the YAML 1.2 core schema: yes, no, on and
// off are text.
func (d *Document) boolean(p *place, out reflect.Value) {
	if p.node.ShortTag() != "!!bool" {
		d.mismatch(p, "true or false")
		return
	}
	out.SetBool(strings.EqualFold(p.node.Value, "true"))
}

// decimal has no leading zeros, no + and no underscores, which YAML 1.1 and 1.2 read
// differently.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// isDecimal reports whether n is a whole number in decimal: YAML's 010 is eight to
// some readers and ten to others.
func isDecimal(n *yaml.Node) bool {
	tag := n.ShortTag()
	return n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!float") && decimal.MatchString(n.Value)
}

// Integer returns the whole number that a node is.
func Integer(n *yaml.Node) (int64, bool) {
	if !isDecimal(n) {
		return 0, false
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	return v, err == nil
}

// integer reads a whole number within the limits of its tag.
func (d *Document) integer(p *place, out reflect.Value, tag reflect.StructTag) {
	// Everything in the environment is text.
	fromEnvironment := d.origin[p.node] != "" && decimal.MatchString(p.node.Value)
	if !isDecimal(p.node) && !fromEnvironment {
		d.mismatch(p, "a whole number such as 10")
		return
	}

	v, err := strconv.ParseInt(p.node.Value, 10, out.Type().Bits())
	limits := limitsOf(tag)
	switch {
	case err != nil:
		d.reject(p, "invalid number "+clip(p.node.Value)+": want a smaller number")
	case !limits.include(v, mustInt):
		d.outside(p, "number "+clip(p.node.Value), limits, tag)
	default:
		out.SetInt(v)
	}
}

// duration reads a length of time. A plain number is refused by ParseDuration, since its unit
// would be a guess.
func (d *Document) duration(p *place, out *Duration, tag reflect.StructTag) {
	n := p.node
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.ShortTag() == "!!bool" {
		d.mismatch(p, "a duration such as 30s, 1h30m or 7d")
		return
	}

	v, err := ParseDuration(n.Value)
	limits := limitsOf(tag)
	switch {
	case err != nil:
		d.reject(p, err.Error())
	case !limits.include(int64(v), mustDuration):
		d.outside(p, "duration "+Quote(n.Value), limits, tag)
	default:
		*out = v
	}
}

// outside reports a value that is not within its limits.
func (d *Document) outside(p *place, value string, l limits, tag reflect.StructTag) {
	text := "invalid " + value + ": want " + l.String()
	absent := tag.Get("absent")
	if absent != "" {
		text += ", or remove the key for: " + absent
	}

	d.reject(p, text)
}

// time reads a point in time.
func (d *Document) time(p *place, out *Time) {
	v, err := time.Parse(time.RFC3339, p.node.Value)
	if err != nil {
		d.mismatch(p, "a time such as 2026-12-01T00:00:00Z (RFC 3339)")
		return
	}

	out.Time = v
}

// prefix reads a CIDR or an address. An IPv4-mapped IPv6 address is stored as the
// IPv4 address, since that is how addresses of peers are compared.
func (d *Document) prefix(p *place, out *Prefix) {
	prefix, err := netip.ParsePrefix(p.node.Value)
	address, addressErr := netip.ParseAddr(p.node.Value)
	if addressErr == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}

	if err != nil {
		d.mismatch(p, "an address or a CIDR such as 10.0.0.7, 10.0.0.0/8 or fd00::/8")
		return
	}

	const mapped = 96 // bits before the IPv4 address
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}

	out.Prefix = prefix.Masked()
}

// node keeps a value as it stands. An empty value is a mistake; null is a value.
func (d *Document) node(p *place, out *yaml.Node) {
	if p.node.ShortTag() == "!!null" && p.node.Value == "" && !d.vars[p.node] {
		d.mismatch(p, "a document, or null")
		return
	}
	*out = *p.node
}

// reject reports a value that cannot be read, unless it has a fault already.
func (d *Document) reject(p *place, text string) {
	if !p.wrong {
		d.FaultAt(p.node, p.path, text)
	}
	p.wrong = true
}

// summary returns the first sentence of a field's documentation.
func summary(tag reflect.StructTag) string {
	first, _, _ := strings.Cut(tag.Get("doc"), ". ")
	return strings.TrimSuffix(first, ".")
}

// mismatch reports a value of the wrong type.
func (d *Document) mismatch(p *place, want string) {
	d.reject(p, "invalid value "+Describe(p.node)+": want "+want)
}

// Describe shows a node in a fault, on one line.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "(a mapping)"
	case yaml.SequenceNode:
		return "(a list)"
	case yaml.AliasNode:
		return "(an alias)"
	}

	switch n.ShortTag() {
	case "!!null":
		return "(nothing)"
	case "!!int", "!!float", "!!bool":
		return clip(n.Value)
	}

	return Quote(n.Value)
}

// ordinaryKey is a key that a path shows without quotes.
var ordinaryKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Key returns the path of a key of the mapping at path.
func Key(path, key string) string {
	if !ordinaryKey.MatchString(key) {
		key = Quote(key)
	}
	if path == "" {
		return clip(key)
	}

	return path + "." + clip(key)
}

// Index returns the path of an item of the list at path.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
