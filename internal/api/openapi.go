package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"

	"github.com/google/jsonschema-go/jsonschema"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI writes the document (OpenAPI 3.1) from the rows.
func (a *Users) openAPI() ([]byte, error) {
	d := describer{schemas: object{}}
	paths := object{}
	for _, op := range a.rows {
		of, _ := paths[op.path].(object)
		if of == nil {
			of = object{}
			paths[op.path] = of
		}

		of[strings.ToLower(op.method)] = a.describeRow(&d, op)
	}

	if d.err != nil {
		return nil, fmt.Errorf("describe the users API: %w", d.err)
	}

	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title":       a.title(),
			"version":     "1",
			"description": "Users, their sessions and their tokens. Made from the rows that answer.",
		},
		"servers":    []object{{"url": a.conf.UsersAPI.Prefix}},
		"paths":      paths,
		"components": object{"schemas": d.schemas, "securitySchemes": a.schemes()},
	}, "", " ")
}

func (a *Users) title() string { return "Users API of " + a.conf.Name }

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func (a *Users) describeRow(d *describer, op operation) object {
	o := object{
		"summary": op.summary,
		"operationId": strings.ToLower(op.method) + strings.NewReplacer(
			"/",
			"_",
			"{",
			"",
			"}",
			"",
			".",
			"_",
		).Replace(op.path),
	}
	var params []object
	for _, m := range placeholder.FindAllStringSubmatch(op.path, -1) {
		params = append(params, object{
			"name":     m[1],
			"in":       "path",
			"required": true,
			"schema":   object{"type": "string"},
		})
	}

	for _, q := range op.query {
		params = append(params, object{
			"name":        q.Name,
			"in":          "query",
			"description": q.About,
			"schema":      object{"type": "string"},
		})
	}

	if params != nil {
		o["parameters"] = params
	}

	if op.in != nil {
		content := object{"application/json": object{"schema": d.ref(op.in)}}
		if op.login {
			content["application/x-www-form-urlencoded"] = object{"schema": d.ref(op.in)}
		}
		o["requestBody"] = object{"required": true, "content": content}
	}

	o["responses"] = a.responses(d, op)
	o["security"] = a.security(op)

	return o
}

// responses lists the statuses of a row: its success, its own refusals, and those that
// every row of its kind has.
func (a *Users) responses(d *describer, op operation) object {
	kind := "application/problem+json"
	if a.shape.classic != nil {
		kind = "application/json"
	}

	out := object{}
	refusal := object{kind: object{"schema": d.ref(a.shape.refusal())}}
	for _, code := range op.codes() {
		out[strconv.Itoa(code)] = object{"description": http.StatusText(code), "content": refusal}
	}

	out["default"] = object{
		"description": "Too many attempts (429), or the server cannot tell now (503)",
		"content":     refusal,
	}
	if op.code == 0 {
		return out
	}

	success := object{"description": http.StatusText(op.code)}
	switch {
	case op.text != "":
		success["content"] = object{op.text: object{"schema": object{"type": "string"}}}
	case op.out != nil:
		success["content"] = object{"application/json": object{"schema": d.ref(op.out)}}
	}

	out[strconv.Itoa(op.code)] = success

	return out
}

// codes are the statuses of a row's refusals.
func (op operation) codes() []int {
	codes := slices.Clone(op.fails)
	if !op.access.IsOpen() {
		codes = append(codes, http.StatusUnauthorized, http.StatusForbidden)
	}
	if op.method != http.MethodGet && !op.anyOrigin {
		codes = append(codes, http.StatusForbidden) // another origin
	}

	if op.in != nil {
		codes = append(codes, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}

	slices.Sort(codes)

	return slices.Compact(codes)
}

// schemes are the ways to prove oneself.
func (a *Users) schemes() object {
	s := object{}
	if a.accepts&policy.BySession != 0 {
		s["session"] = object{"type": "apiKey", "in": "cookie", "name": a.conf.Session.Cookie}
	}
	if a.accepts&policy.ByToken != 0 {
		s["token"] = object{"type": "http", "scheme": "bearer"}
	}

	if a.accepts&policy.ByPassword != 0 {
		s["basic"] = object{"type": "http", "scheme": "basic"}
	}

	return s
}

func (a *Users) security(op operation) []object {
	list := []object{}
	if op.access.IsOpen() {
		return list
	}

	for _, name := range []string{"session", "token", "basic"} {
		if a.schemes()[name] != nil {
			list = append(list, object{name: []string{}})
		}
	}

	return list
}

// describer collects the schemas of types.
type describer struct {
	schemas object
	err     error
}

// ref returns a reference to the schema of a value's type.
func (d *describer) ref(value any) object {
	t := reflect.TypeOf(value)
	switch {
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": d.ref(reflect.Zero(t.Elem()).Interface())}
	case t.Kind() == reflect.Map || t.NumField() == 0:
		return object{"type": "object"}
	}

	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if d.schemas[name] == nil {
		s, err := jsonschema.ForType(t, nil)
		if err != nil && d.err == nil {
			d.err = err
		}
		d.schemas[name] = s
	}

	return object{"$ref": "#/components/schemas/" + name}
}

func (a *Users) describe(w *web.Reply, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(a.document, '\n'))

	return nil
}

//go:embed docs.html
var docsHTML string

// style is all that the page looks like.
const style = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code,pre{font-family:ui-monospace,monospace}" +
	"section{border-top:1px solid #8884;padding:.5rem 0}h2{font-size:1rem}table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}:root{color-scheme:light dark}"

// docPage is what the readable page is made of.
type docPage struct {
	Prefix string
	Title  string
	Style  template.CSS
	Rows   []docRow
}

// docRow is a row of the readable page.
type docRow struct {
	Method, Path, Summary, Who string
	Query                      []param
	In, Out                    []field
	Code                       int
	Fails                      []int
}

// field is a member of a body.
type field struct{ Name, Type, About string }

// docs writes the readable page and the policy that it is served with: no script at all,
// and its one style by hash.
func (a *Users) docs() (page []byte, csp string, err error) {
	t, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, "", fmt.Errorf("page of the users API: %w", err)
	}

	p := docPage{Prefix: a.conf.UsersAPI.Prefix, Title: a.title(), Style: style}
	for _, op := range a.rows {
		p.Rows = append(p.Rows, docRow{
			op.method,
			a.conf.UsersAPI.Prefix + op.path,
			op.summary,
			op.access.String(),
			op.query,
			fields(op.in),
			fields(op.out),
			op.code,
			op.codes(),
		})
	}

	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, "", fmt.Errorf("page of the users API: %w", err)
	}

	sum := sha256.Sum256([]byte(style))
	csp = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

	return out.Bytes(), csp, nil
}

// fields lists the members of a body.
func fields(value any) []field {
	if value == nil {
		return nil
	}

	t := reflect.TypeOf(value)
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}

	var list []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		list = append(list, field{name, strings.TrimPrefix(f.Type.String(), "*"), f.Tag.Get("jsonschema")})
	}

	return list
}

// read answers GET /docs.
func (a *Users) read(w *web.Reply, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", a.pageCSP)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")

	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(a.page)

	return nil
}
