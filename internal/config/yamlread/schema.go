package yamlread

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"
)

// expansionPattern finds a variable in a value. ${NAME} may stand for any value, and
// no editor should underline it.
const expansionPattern = `\$\{`

// Schema returns the JSON Schema (2020-12) of files that are read into a struct of
// type t, for editors. It knows single values; rules about several are the caller's.
func Schema(t reflect.Type, title string) ([]byte, error) {
	s := structSchema(t)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = title
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}

	return append(out, '\n'), nil
}

// structSchema returns the schema of a mapping. Unknown keys are refused ("not": {}), as they
// are when the file is read.
func structSchema(t reflect.Type) *jsonschema.Schema {
	fields := fieldsOf(t)
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           make(map[string]*jsonschema.Schema),
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		PropertyOrder:        keysOf(fields),
	}

	for _, f := range fields {
		s.Properties[f.key] = fieldSchema(f)
		if f.required() {
			s.Required = append(s.Required, f.key)
		}
	}

	return s
}

// fieldSchema returns the schema of one key, with all that its tag says.
func fieldSchema(f field) *jsonschema.Schema {
	s := typeSchema(f.typ, f.tag)

	s.Description = description(f)

	s.Default = defaultSchema(f)

	return s
}

// description returns all that the tag says in words.
func description(f field) string {
	parts := []string{f.tag.Get("doc")}
	limits := limitsOf(f.tag)
	if f.typ == reflect.TypeFor[Duration]() && limits.max != "" {
		parts = append(parts, "Range: "+limits.String()+".")
	}

	env := f.tag.Get("env")
	if env != "" {
		parts = append(parts, "Environment: "+env+".")
	}

	absent := f.tag.Get("absent")
	if absent != "" {
		parts = append(parts, "Absent: "+absent+".")
	}

	return strings.Join(parts, " ")
}

// defaultSchema returns the default of a key as JSON, or nil for none.
func defaultSchema(f field) json.RawMessage {
	n := defaultOf(f.tag)
	switch {
	case n == nil && f.typ.Kind() == reflect.Bool:
		return json.RawMessage("false")
	case n == nil:
		return nil
	}

	var v any
	must(0, n.Decode(&v))

	return must(json.Marshal(v))
}

// typeSchema returns what a value of type t may look like in the file.
func typeSchema(t reflect.Type, tag reflect.StructTag) *jsonschema.Schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeSchema(t.Elem(), tag)
	case t == reflect.TypeFor[yaml.Node]():
		return &jsonschema.Schema{}
	case t == reflect.TypeFor[Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^` + durationPattern + `$|` + expansionPattern}
	case t.Kind() == reflect.String, isValue(t):
		return textSchema(tag)
	}

	switch t.Kind() {
	case reflect.Slice:
		return &jsonschema.Schema{Type: "array", Items: typeSchema(t.Elem(), itemTag(tag))}
	case reflect.Struct:
		s := structSchema(t)
		if tag.Get("short") != "" {
			s.Type, s.Types = "", []string{"object", "string"}
			s.MinLength = jsonschema.Ptr(1)
		}
		return s
	case reflect.Bool:
		return &jsonschema.Schema{Types: []string{"boolean", "string"}, Pattern: expansionPattern}
	case reflect.Int, reflect.Int64:
		return numberSchema(tag)
	}

	panic("yamlread: no schema for a " + t.String())
}

// numberSchema returns the schema of a whole number, which may also be a variable. Limits do
// not apply to the text of one.
func numberSchema(tag reflect.StructTag) *jsonschema.Schema {
	s := &jsonschema.Schema{Types: []string{"integer", "string"}, Pattern: expansionPattern}
	limits := limitsOf(tag)
	if limits.min != "" {
		s.Minimum = jsonschema.Ptr(float64(mustInt(limits.min)))
	}
	if limits.max != "" {
		s.Maximum = jsonschema.Ptr(float64(mustInt(limits.max)))
	}

	return s
}

// textSchema returns the schema of text: one of the permitted words, or a variable.
func textSchema(tag reflect.StructTag) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	enum := enumOf(tag)
	if enum == nil {
		if tag.Get("required") == "true" {
			s.MinLength = jsonschema.Ptr(1)
		}
		return s
	}

	words := make([]any, len(enum))
	for i, word := range enum {
		words[i] = word
	}
	s.AnyOf = []*jsonschema.Schema{{Enum: words}, {Pattern: expansionPattern}}

	return s
}
