package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"text/template"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
)

// respond returns the handler of a built-in response. One that does not depend on the request
// is rendered once.
func respond(c config.Respond) (web.Handler, error) {
	switch c.Kind() {
	case "json":
		return respondJSON(c)
	case "text":
		return static(c.Status, typeText, []byte(c.Text)), nil
	}

	t, err := ParseTemplate(c.Template)
	if err != nil {
		return nil, err
	}

	return dynamic(c.Status, typeText, func(b *bytes.Buffer, who caller) error { return t.Execute(b, who) }), nil
}

// respondJSON returns the handler of a JSON response. One without variables is rendered
// here, not per request.
func respondJSON(c config.Respond) (web.Handler, error) {
	document, err := compileJSON(&c.JSON)
	if err != nil {
		return nil, err
	}

	render := func(b *bytes.Buffer, who caller) error {
		if err := document.write(b, who); err != nil {
			return err
		}
		return b.WriteByte('\n')
	}

	if document.varies() {
		return dynamic(c.Status, typeJSON, render), nil
	}

	var b bytes.Buffer
	if err := render(&b, caller{}); err != nil {
		return nil, err
	}

	return static(c.Status, typeJSON, b.Bytes()), nil
}

// caller is what a template may use of the caller.
type caller struct {
	Name    string
	Groups  []string
	Session string
}

// ParseTemplate parses a template of the configuration.
func ParseTemplate(text string) (*template.Template, error) {
	return template.New("template").Funcs(template.FuncMap{
		// What they choose is not secret.
		"pick":    func(choices ...any) any { return choices[rand.IntN(len(choices))] },
		"randInt": func(lo, hi int64) int64 { return lo + rand.Int64N(hi-lo+1) },
	}).Parse(text)
}

// Header values that never change are shared, so that setting one allocates no memory.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// static responds with one body.
func static(status int, contentType string, body []byte) web.Handler {
	header := []string{contentType}
	length := []string{strconv.Itoa(len(body))}

	return func(w *web.Reply, r *http.Request) error {
		h := w.Header()
		h["Content-Type"] = header
		h["Content-Length"] = length
		h["Cache-Control"] = noStore
		h["X-Content-Type-Options"] = noSniff

		if status != http.StatusOK {
			w.WriteHeader(status)
		}

		// RFC 9110, section 9.3.2: the headers of GET, with Content-Length, and no body.
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}

		return nil
	}
}

// dynamic responds with a body that is rendered for each caller.
func dynamic(status int, contentType string, render func(*bytes.Buffer, caller) error) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		decision := gate.From(w)
		// A HEAD that took no use gets nothing that a use pays for, not even the length of the body.
		if decision.Free() {
			w.WriteHeader(status)
			return nil
		}

		// Rendered before the first byte is sent, so that a failure can still become a 500.
		var b bytes.Buffer

		who := decision.Principal()
		if err := render(&b, caller{who.Name, who.Groups, who.Session}); err != nil {
			return fmt.Errorf("built-in response: %w", err)
		}

		return static(status, contentType, b.Bytes())(w, r)
	}
}
