package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

//go:embed templates
var templateFiles embed.FS

// layout is the template of a whole page; frame.html has it, and parts.html what pages are made of.
const layout = "layout"

// The folders of templates. Each has a frame of its own.
const (
	sectionSignIn  = "sign-in"
	sectionAccount = "account"
	sectionAdmin   = "admin"
)

// frame is what the layout shows around a view.
type frame struct {
	Lang      string
	Brand     config.Brand
	Assets    assets
	Section   string // folder of the template
	Sections  []Link // account and administration, for users who have both
	Nav       []Link // pages of the section
	User      string // name of the user who is signed in, or ""
	Done      *Note
	Languages []languageLink
	Idle      int  // seconds after which an unused session ends
	Inline    bool // the page loads nothing: its style is in it
	View      any
}

// languageLink leads to the same page in another language.
type languageLink struct {
	Code string
	Name string
	URL  string
}

// lazyTemplate parses a template when it is first called. It is safe for concurrent use.
type lazyTemplate func() (*template.Template, error)

// parse returns every template for every language. A server that starts shows few of them, and perhaps none.
func (p *Pages) parse() (map[string]map[string]lazyTemplate, error) {
	base, err := template.New("").Funcs(p.languages[0].functions(p.Now)).
		ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}

	files, err := fs.Glob(templateFiles, "templates/*/*.html")
	if err != nil {
		return nil, err
	}

	all := map[string]map[string]lazyTemplate{}
	for _, l := range p.languages {
		all[l.code] = map[string]lazyTemplate{}
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
			all[l.code][name] = sync.OnceValues(func() (*template.Template, error) {
				t, err := base.Clone()
				if err != nil {
					return nil, err
				}

				return t.Funcs(l.functions(p.Now)).ParseFS(templateFiles, file)
			})
		}
	}

	return all, nil
}

// show writes a page: the template of a name, such as account/sessions, with its view model. Handlers call it last, or
// return its error. It must be called before anything is written.
func (p *Pages) show(w *web.Reply, r *http.Request, status int, name string, view any) error {
	return p.showTo(w, r, gate.From(w).Principal(), status, name, view)
}

// showTo is show for a user whom the gate has not admitted, such as to the page of an error.
func (p *Pages) showTo(
	w *web.Reply,
	r *http.Request,
	who jeton.Principal,
	status int,
	name string,
	view any,
) error {
	l := p.language(r)
	body, err := p.render(l, name, p.frame(r, who, l, name, view))
	if err != nil {
		return err
	}

	p.keepLanguage(w, r)
	setHeaders(w.Header(), path.Dir(name))
	w.WriteHeader(status)

	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}

	return nil
}

// render executes a template. Nothing is written before it has succeeded, so that a failure can still become a 500.
func (p *Pages) render(l *language, name string, f frame) ([]byte, error) {
	parse := p.templates[l.code][name]
	if parse == nil {
		return nil, fmt.Errorf("no template %s", name)
	}

	var b bytes.Buffer
	t, err := parse()
	if err == nil {
		err = t.ExecuteTemplate(&b, layout, f)
	}
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}

	return b.Bytes(), nil
}

// frame returns what the layout shows around a view.
func (p *Pages) frame(r *http.Request, who jeton.Principal, l *language, name string, view any) frame {
	f := frame{
		Lang:      l.code,
		Brand:     p.Issuer.Brand,
		Assets:    p.assets,
		Section:   path.Dir(name),
		User:      who.Name,
		Done:      done(r),
		Languages: p.languageLinks(r, l),
		Idle:      int(p.Issuer.Session.IdleTimeout.Std().Seconds()),
		View:      view,
	}

	f.navigate(r.URL.Path, who)

	return f
}

// languageLinks returns links to the page that is shown in the other languages. A page that answers a form is asked for
// again with GET.
func (p *Pages) languageLinks(r *http.Request, shown *language) []languageLink {
	var list []languageLink
	for _, l := range p.languages {
		if l == shown {
			continue
		}

		query := r.URL.Query()
		query.Set("lang", l.code)
		query.Del("done")

		to := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
		list = append(list, languageLink{Code: l.code, Name: l.name, URL: to.String()})
	}

	return list
}
