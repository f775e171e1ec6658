package config

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/jeton-auth/jeton"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"
)

// expansionPattern finds a variable in a value. Wherever a value may stand, so
// may ${NAME}, and no editor should underline it.
const expansionPattern = `\$\{`

// Schema returns the JSON Schema (2020-12) of a configuration file, for editors.
// It is made from the structs, so it cannot fall behind them. It knows shapes;
// what values say about each other only Load checks.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Config](), "")
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Configuration of a Jeton server"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}

	return append(out, '\n'), nil
}

func schemaOf(t reflect.Type, tag reflect.StructTag) *jsonschema.Schema {
	s := shapeOf(t, tag)
	s.Description = tag.Get("doc")
	return s
}

// shapeOf returns what a value of type t may look like in the file.
func shapeOf(t reflect.Type, tag reflect.StructTag) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[yaml.Node]():
		return &jsonschema.Schema{}
	case reflect.TypeFor[Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^` + durationPattern + `$|` + expansionPattern}
	case reflect.TypeFor[jeton.Secret]():
		return textSchema(tag)
	case reflect.TypeFor[Database]():
		s := structSchema(t)
		s.Type, s.Types = "", []string{"object", "string"} // the URL alone is the short form
		s.MinLength = jsonschema.Ptr(1)
		return s
	case reflect.TypeFor[Prefix](), reflect.TypeFor[Time]():
		return &jsonschema.Schema{Type: "string"}
	}

	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(t.Elem(), tag)
	case reflect.Slice:
		return &jsonschema.Schema{Type: "array", Items: schemaOf(t.Elem(), "")}
	case reflect.Struct:
		return structSchema(t)
	case reflect.Bool:
		return &jsonschema.Schema{Types: []string{"boolean", "string"}, Pattern: expansionPattern}
	case reflect.Int, reflect.Int64:
		return &jsonschema.Schema{Types: []string{"integer", "string"}, Pattern: expansionPattern}
	case reflect.String:
		return textSchema(tag)
	}

	panic("config: no schema for a " + t.String())
}

func textSchema(tag reflect.StructTag) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	list := enumOf(tag)
	if list != nil {
		words := make([]any, len(list))
		for i, word := range list {
			words[i] = word
		}
		s.AnyOf = []*jsonschema.Schema{{Enum: words}, {Pattern: expansionPattern}}
	}

	if tag.Get("required") == "true" {
		s.MinLength = jsonschema.Ptr(1)
	}

	return s
}

func structSchema(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           make(map[string]*jsonschema.Schema),
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		PropertyOrder:        keys(t),
	}

	fields := fieldsOf(t)
	for _, name := range s.PropertyOrder {
		field := fields[name]
		s.Properties[name] = schemaOf(field.Type, field.Tag)
		if field.Tag.Get("required") == "true" {
			s.Required = append(s.Required, name)
		}
	}

	return s
}
