package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"html/template"
	"reflect"
	"strings"
)

//go:embed docs.html
var pageHTML string

var pageTemplate = template.Must(template.New("docs").Parse(pageHTML))

// pageStyle is the one style sheet of the page.
const pageStyle = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}" +
	"code,pre{font-family:ui-monospace,monospace}section{border-top:1px solid #8884;padding:.5rem 0}" +
	"h2{font-size:1rem}" +
	"table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}:root{color-scheme:light dark}"

// pagePolicy allows no script, and the style sheet by its hash.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// pageOperation is an operation as the page shows it.
type pageOperation struct {
	Operation
	Method, Path string
	InFields     []field
	OutFields    []field
	Refusals     []int
}

// field is a member of a body.
type field struct{ Name, Type, About string }

// page returns the documentation as HTML.
func (t Table) page() ([]byte, error) {
	var list []pageOperation
	for _, op := range t.Operations {
		method, path, _ := strings.Cut(op.Pattern, " ")
		list = append(list, pageOperation{
			Operation: op,
			Method:    method,
			Path:      t.Prefix + path,
			InFields:  fields(op.In),
			OutFields: fields(op.Out),
			Refusals:  op.refusals(),
		})
	}

	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{
		"Title":  t.Title,
		"Prefix": t.Prefix,
		// Marked as safe, because it is a constant. Everything else is escaped by html/template.
		"Style":      template.CSS(pageStyle),
		"Operations": list,
	})

	return out.Bytes(), err
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
		name := strings.SplitN(f.Tag.Get("json"), ",", 2)[0]
		if name == "" || name == "-" {
			continue
		}
		list = append(list, field{name, strings.TrimPrefix(f.Type.String(), "*"), f.Tag.Get("jsonschema")})
	}

	return list
}
