// Package yamlread reads one YAML file strictly into a struct and reports every
// fault in it at once, each with its line, column, key and the nearest valid name.
//
// The tags of a field say what its value may be, and nothing else does:
//
//	yaml:"key"        name of the key.
//	doc:"text"        what the value is for.
//	default:"value"   value of an absent key.
//	absent:"text"     what an absent key means, where no default can say it.
//	required:"true"   the key must be present, and not be empty unless enum lists "".
//	enum:"a,b"        permitted words, or those of the items of a list.
//	min:"1" max:"9"   limits of a number or a duration.
//	env:"NAME"        environment variable that overrides the file.
//	short:"key"       the mapping may be written as the value of this key.
//
// Variables in values (${NAME}) are expanded after parsing, so no variable can
// change the structure of the file. Rules about several values are for the caller,
// such as package config: it reports a fault with a pointer to the field.
//
// # Example
//
//	var conf struct {
//		Listen string `yaml:"listen" required:"true" doc:"Address and port."`
//		Admin  string `yaml:"admin" default:"off" doc:"Address and port, or off."`
//	}
//	doc, err := yamlread.Read("jeton.yaml", data, os.LookupEnv, &conf)
//	if err != nil {
//		return err // no YAML document at all
//	}
//	if conf.Listen == conf.Admin {
//		doc.Fault(&conf.Listen, "is the address of the admin listener, too; choose another port")
//	}
//	return doc.Err() // every fault, in the order of the file
package yamlread

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// Env looks up an environment variable, as os.LookupEnv does.
type Env func(name string) (string, bool)

// Document is one file that has been read. Its methods take pointers to fields of
// the struct that the file was read into, and panic on any other pointer.
type Document struct {
	name   string
	env    Env
	places map[any]*place        // by pointer to the field
	bad    map[*yaml.Node]bool   // nodes with a fault, found before decoding
	vars   map[*yaml.Node]bool   // nodes that held ${NAME}
	origin map[*yaml.Node]string // where nodes came from that are not in the file
	faults Faults
}

// place is where a field's value stands in the file.
type place struct {
	path   string
	node   *yaml.Node // nil: the file does not have the key
	parent *place     // nil: the whole file
	wrong  bool       // the value has a fault, so that no rule looks at it
}

// Read reads data into the struct that out points to. Faults show name as the file.
// The error is for text that is not one YAML document; every other fault is in the
// document, so that the caller can add its own.
func Read(name string, data []byte, env Env, out any) (*Document, error) {
	d := &Document{
		name:   name,
		env:    env,
		places: make(map[any]*place),
		bad:    make(map[*yaml.Node]bool),
		vars:   make(map[*yaml.Node]bool),
		origin: make(map[*yaml.Node]string),
	}

	root := d.parse(data)
	if root == nil {
		return nil, d.faults
	}

	d.prepare("", root, 0)
	d.value(&place{node: root}, reflect.ValueOf(out).Elem(), "")

	return d, nil
}

// Err returns every fault as Faults, in the order of the file, or nil.
func (d *Document) Err() error {
	if len(d.faults) == 0 {
		return nil
	}
	return d.faults.sorted()
}

// place returns the place of a field.
func (d *Document) place(field any) *place {
	p := d.places[field]
	if p == nil {
		panic(fmt.Sprintf("yamlread: %T does not point into the struct that was read", field))
	}
	return p
}

// Path returns the key of a field, as in services[0].listen.
func (d *Document) Path(field any) string { return d.place(field).path }

// Has reports whether the file has the field's key, with a valid value or not.
func (d *Document) Has(field any) bool { return d.place(field).node != nil }

// Valid reports whether the field's value is absent or could be read.
func (d *Document) Valid(field any) bool { return d.place(field).valid() }

// valid reports whether neither the value nor a mapping around it has a fault. A nil place is
// valid: the key is absent.
func (p *place) valid() bool {
	for ; p != nil; p = p.parent {
		if p.wrong {
			return false
		}
	}
	return true
}

// Invalidate makes Valid report false, so that no later rule reports the value.
func (d *Document) Invalidate(field any) { d.place(field).wrong = true }

// Fault reports a fault of a value, or of an absent key, at the mapping around it. A
// value that could not be read has a fault already, and a second one would mislead, so
// nothing is reported.
func (d *Document) Fault(field any, format string, args ...any) {
	p := d.place(field)
	if !p.valid() {
		return
	}

	d.FaultAt(p.line(), p.path, fmt.Sprintf(format, args...))
}

// At returns a fault of a field without reporting it.
func (d *Document) At(field any, text string) Fault {
	p := d.place(field)
	return d.fault(p.line(), p.path, text)
}

// line returns the node of a field, or of what it would be in.
func (p *place) line() *yaml.Node {
	at := p
	for at.node == nil && at.parent != nil {
		at = at.parent
	}

	return at.node
}

// Invalid reports a value of a field: kind says what the value is for, and want what it
// has to be.
func (d *Document) Invalid(field any, kind, value, want string) {
	d.Fault(field, "%s", invalid(kind, value, want))
}

// invalid is the text of a fault about a value, in the one form that all of them have.
func invalid(kind, value, want string) string {
	return "invalid " + kind + " " + Quote(value) + ": want " + want
}

// Bad reports whether a node inside a value that was kept as one has a fault already.
func (d *Document) Bad(n *yaml.Node) bool { return d.bad[n] }

// maxFaults bounds the report.
const maxFaults = 1000

// FaultAt reports a fault at a node, such as one inside a value that was kept as a node.
func (d *Document) FaultAt(n *yaml.Node, path, text string) {
	switch {
	case len(d.faults) > maxFaults:
		return
	case len(d.faults) == maxFaults:
		path, text = "", fmt.Sprintf("more than %d faults; correct these first", maxFaults)
	}

	d.faults = append(d.faults, d.fault(n, path, text))
}

// fault returns a fault at the position of a node.
func (d *Document) fault(n *yaml.Node, path, text string) Fault {
	f := Fault{
		File:   d.name,
		Line:   n.Line,
		Column: n.Column,
		Path:   path,
		Text:   text,
	}

	origin := d.origin[n]
	if origin != "" {
		f.File = origin
		f.Line = 0
		f.Column = 0
	}

	return f
}
