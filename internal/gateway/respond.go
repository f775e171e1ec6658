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

// respond builds the handler of a built-in answer. What does not depend on the request
// is made once.
func respond(c config.Respond) (web.Handler, error) {
	switch c.Kind() {
	case "json":
		doc, err := compileJSON(&c.JSON)
		if err != nil {
			return nil, err
		}

		if !doc.varies() {
			var b bytes.Buffer
			if err := doc.write(&b, subject{}); err != nil {
				return nil, err
			}
			return static(c.Status, "application/json", append(b.Bytes(), '\n')), nil
		}

		return varying(c.Status, "application/json", func(b *bytes.Buffer, s subject) error {
			if err := doc.write(b, s); err != nil {
				return err
			}
			return b.WriteByte('\n')
		}), nil
	case "text":
		return static(c.Status, "text/plain; charset=utf-8", []byte(c.Text)), nil
	default:
		t, err := template.New("template").Funcs(functions).Parse(c.Template)
		if err != nil {
			return nil, err
		}
		return varying(c.Status, "text/plain; charset=utf-8", func(b *bytes.Buffer, s subject) error {
			return t.Execute(
				b,
				s,
			)
		}), nil
	}
}

// subject is what an answer may say of who asks.
type subject struct {
	Name    string
	Groups  []string
	Session string
}

// functions are what templates may call. What they choose is not secret.
var functions = template.FuncMap{
	"pick":    func(choices ...any) any { return choices[rand.IntN(len(choices))] },
	"randInt": func(lo, hi int64) int64 { return lo + rand.Int64N(hi-lo+1) },
}

var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

func static(status int, kind string, body []byte) web.Handler {
	contentType, length := []string{kind}, []string{strconv.Itoa(len(body))}
	return func(w *web.Reply, r *http.Request) error {
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = contentType, length
		h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff

		if status != http.StatusOK {
			w.WriteHeader(status)
		}
		if r.Method == http.MethodHead {
			return nil
		}

		_, _ = w.Write(body)

		return nil
	}
}

func varying(status int, kind string, make func(*bytes.Buffer, subject) error) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		if gate.From(w).Free() {
			w.WriteHeader(status)
			return nil
		}

		who := gate.From(w).Principal()
		var b bytes.Buffer
		if err := make(&b, subject{who.Name, who.Groups, who.Session}); err != nil {
			return fmt.Errorf("built-in answer: %w", err)
		}

		return static(status, kind, b.Bytes())(w, r)
	}
}
