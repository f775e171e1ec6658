package yamlread

import (
	"encoding"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Prefix is a range of addresses: a CIDR, or one address.
type Prefix struct{ netip.Prefix }

// Time is a point in time, RFC 3339.
type Time struct{ time.Time }

// field is one key of a struct.
type field struct {
	key   string
	index int
	typ   reflect.Type
	tag   reflect.StructTag
}

func (f field) required() bool { return f.tag.Get("required") == "true" }

// fieldsOf returns the keys of a struct in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key != "" && key != "-" {
			list = append(list, field{key, i, f.Type, f.Tag})
		}
	}

	return list
}

// keysOf returns the names of keys, in the order of the fields.
func keysOf(fields []field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.key
	}
	return list
}

// structOf returns the struct that a mapping of type t is read into.
func structOf(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && !isValue(t)
}

// isValue reports whether a struct is one value of the file, not a mapping.
func isValue(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[yaml.Node](), reflect.TypeFor[Prefix](), reflect.TypeFor[Time]():
		return true
	}
	return isSecret(t)
}

// isSecret reports whether a type reads itself from text. Its text is taken to be
// secret: no fault shows it.
func isSecret(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// enumOf returns the permitted words of a field, or nil for any.
func enumOf(tag reflect.StructTag) []string {
	list, ok := tag.Lookup("enum")
	if !ok {
		return nil
	}
	return strings.Split(list, ",")
}

// itemTag returns the tag that holds for the items of a list.
func itemTag(tag reflect.StructTag) reflect.StructTag {
	enum, ok := tag.Lookup("enum")
	if !ok {
		return ""
	}
	return reflect.StructTag("enum:" + strconv.Quote(enum))
}

// defaultOf returns the default of a field, which is YAML, or nil for none.
func defaultOf(tag reflect.StructTag) *yaml.Node {
	text, ok := tag.Lookup("default")
	if !ok {
		return nil
	}

	var n yaml.Node
	must(0, yaml.Unmarshal([]byte(text), &n))

	return n.Content[0]
}

// limits is the range of a number or a duration. A limit that is "" is none.
type limits struct{ min, max string }

// limitsOf returns the limits in a tag: min and max, both inclusive.
func limitsOf(tag reflect.StructTag) limits { return limits{tag.Get("min"), tag.Get("max")} }

// include reports whether v is in the range; read reads a limit.
func (l limits) include(v int64, read func(string) int64) bool {
	return (l.min == "" || v >= read(l.min)) && (l.max == "" || v <= read(l.max))
}

// String describes the range, as in "1 to 64".
func (l limits) String() string {
	low := l.min + " or more"
	if l.min == "1ns" {
		low = "more than 0s"
	}

	switch {
	case l.max == "":
		return low
	case l.min == "1ns":
		return low + ", at most " + l.max
	case l.min == "":
		return "at most " + l.max
	}

	return l.min + " to " + l.max
}

// must returns v. Limits and defaults are part of the program, so that a wrong one panics
// in the first test.
func must[T any](v T, err error) T {
	if err != nil {
		panic("yamlread: " + err.Error())
	}
	return v
}

func mustInt(text string) int64 { return must(strconv.ParseInt(text, 10, 64)) }

func mustDuration(text string) int64 { return int64(must(ParseDuration(text))) }
