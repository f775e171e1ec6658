package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// object is a JSON object of the document.
type object = map[string]any

// controlServer is where the operations of operators are.
var controlServer = []object{{
	"url":         "http://localhost/api/v1",
	"description": "The control socket control.sock in the data directory, over HTTP",
}}

// openAPI returns the document (OpenAPI 3.1).
func (t Table) openAPI() ([]byte, error) {
	schemas := schemas{defined: object{}}
	paths := object{}

	for _, op := range t.Operations {
		method, path, _ := strings.Cut(op.Pattern, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(method)] = t.describe(&schemas, op)
	}

	document, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title":       t.Title,
			"version":     "1",
			"description": "Users, sessions, tokens, clients, signing keys and the audit log.",
		},
		"servers":    []object{{"url": t.Prefix}},
		"paths":      paths,
		"components": object{"schemas": schemas.defined, "securitySchemes": t.Schemes},
	}, "", " ")
	if schemas.err != nil {
		return nil, schemas.err
	}

	return append(document, '\n'), err
}

var (
	placeholder = regexp.MustCompile(`\{(\w+)\}`)
	toID        = strings.NewReplacer(" ", "", "/", "_", "{", "", "}", "", ".", "_")
)

// describe returns the operation object of an operation.
func (t Table) describe(schemas *schemas, op Operation) object {
	method, path, _ := strings.Cut(op.Pattern, " ")
	o := object{
		"summary":     op.Summary,
		"description": "For " + op.For + ".",
		"operationId": strings.ToLower(method) + toID.Replace(path),
		"responses":   t.responses(schemas, op),
		"security":    t.security(op),
	}
	if op.elsewhere != nil {
		o["servers"] = op.elsewhere
	}

	params := op.params()
	if params != nil {
		o["parameters"] = params
	}

	if op.In != nil {
		content := object{"application/json": object{"schema": schemas.ref(op.In)}}
		if op.exposure == signIn {
			content["application/x-www-form-urlencoded"] = object{"schema": schemas.ref(op.In)}
		}
		o["requestBody"] = object{"required": !op.InOptional, "content": content}
	}

	return o
}

// params lists the parameters: those of the path from the pattern, so that the two cannot
// differ, and those of the query from the documentation.
func (op Operation) params() []object {
	var params []object
	for _, m := range placeholder.FindAllStringSubmatch(op.Pattern, -1) {
		params = append(params, object{
			"name":     m[1],
			"in":       "path",
			"required": true,
			"schema":   object{"type": "string"},
		})
	}

	for _, q := range op.Query {
		params = append(params, object{
			"name":        q.Name,
			"in":          "query",
			"description": q.About,
			"schema":      object{"type": "string"},
		})
	}

	return params
}

// responses lists the statuses of an operation.
func (t Table) responses(schemas *schemas, op Operation) object {
	out := object{}
	refusal := object{t.RefusalType: object{"schema": schemas.ref(t.Refusal)}}
	for _, status := range op.refusals() {
		out[strconv.Itoa(status)] = object{"description": http.StatusText(status), "content": refusal}
	}

	out["default"] = object{
		"description": "Too many attempts (429), or temporarily unavailable (503)",
		"content":     refusal,
	}
	if op.Status == 0 {
		return out
	}

	success := object{"description": http.StatusText(op.Status)}
	switch {
	case op.Media != "":
		success["content"] = object{op.Media: object{"schema": object{"type": "string"}}}
	case op.Out != nil:
		success["content"] = object{"application/json": object{"schema": schemas.ref(op.Out)}}
	}

	out[strconv.Itoa(op.Status)] = success

	return out
}

// proved reports whether callers over HTTPS must be authenticated.
func (e exposure) proved() bool { return e >= subject }

// refusals are the statuses of an operation's refusals.
func (op Operation) refusals() []int {
	list := slices.Clone(op.Fails)
	if op.exposure.proved() {
		list = append(list, http.StatusUnauthorized, http.StatusForbidden)
	}

	// Operators' requests come over the socket, which no browser can send to.
	if op.exposure != operator && op.changes() {
		list = append(list, http.StatusForbidden) // from another origin
	}

	if op.In != nil {
		list = append(list, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}

	slices.Sort(list)

	return slices.Compact(list)
}

// security lists the credentials that a caller may choose from. An empty list is an
// operation for everybody.
func (t Table) security(op Operation) []object {
	list := []object{}
	if !op.exposure.proved() {
		return list
	}

	for _, name := range slices.Sorted(maps.Keys(t.Schemes)) {
		list = append(list, object{name: []string{}})
	}

	return list
}

// schemas collects the schemas of types.
type schemas struct {
	defined object
	err     error
}

// ref returns a reference to the schema of a value's type.
func (s *schemas) ref(value any) object {
	t := reflect.TypeOf(value)
	switch {
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": s.ref(reflect.Zero(t.Elem()).Interface())}
	case t.Kind() == reflect.Map || t.NumField() == 0:
		return object{"type": "object"}
	}

	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if s.defined[name] == nil {
		schema, err := jsonschema.ForType(t, nil)
		if err != nil && s.err == nil {
			s.err = err
		}
		s.defined[name] = schema
	}

	return object{"$ref": "#/components/schemas/" + name}
}
