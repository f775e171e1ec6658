package pages

import (
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/jeton-auth/jeton/internal/web"
)

// prerendered is the empty sign-in page in a language and for a service, rendered once. Of all pages it is the one that
// strangers load, and a flood of them must not keep the processor from checking sessions.
type prerendered struct {
	mu    sync.Mutex
	pages map[prerenderedKey][]string // what stands around the addresses of the page
}

// prerenderedKey is what the page depends on beside its addresses.
type prerenderedKey struct {
	language string
	service  Strong
}

// The addresses of the page while it is rendered. Escaping changes none of their characters.
const (
	slotAction   = "/sign-in?SLOT-ACTION"
	slotLanguage = "/sign-in?SLOT-LANGUAGE"
)

// showEmptySignIn writes the page that show writes for an empty form, in a fraction of the time.
func (p *Pages) showEmptySignIn(w *web.Reply, r *http.Request, v signInView) error {
	l := p.language(r)
	parts, err := p.emptySignIn(l, v)
	if err != nil {
		return err
	}

	links := p.languageLinks(r, l)
	p.keepLanguage(w, r)
	setHeaders(w.Header())
	w.Header().Set("Content-Language", l.code)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}

	var b strings.Builder
	for i, part := range parts {
		switch {
		case i == 0:
		case i == 1:
			b.WriteString(template.HTMLEscapeString(v.Action))
		default:
			b.WriteString(template.HTMLEscapeString(links[i-2].URL))
		}
		b.WriteString(part)
	}
	_, _ = w.Write([]byte(b.String()))

	return nil
}

// emptySignIn returns the parts of the page around its addresses: that of the form, then those of other languages.
func (p *Pages) emptySignIn(l *language, v signInView) ([]string, error) {
	p.prerendered.mu.Lock()
	defer p.prerendered.mu.Unlock()

	key := prerenderedKey{l.code, v.Service}
	parts := p.prerendered.pages[key]
	if parts != nil {
		return parts, nil
	}

	f := frame{
		Lang:    l.code,
		Brand:   p.Issuer.Brand,
		Assets:  p.assets,
		Section: sectionSignIn,
	}
	for _, other := range p.languages {
		if other != l {
			f.Languages = append(f.Languages, languageLink{other.code, other.name, slotLanguage})
		}
	}
	v.Action = slotAction
	f.View = v

	body, err := p.render(l, "sign-in/sign-in", f)
	if err != nil {
		return nil, err
	}

	// The form stands before the links of the languages.
	first, rest, _ := strings.Cut(string(body), slotAction)
	parts = append([]string{first}, strings.Split(rest, slotLanguage)...)
	if p.prerendered.pages == nil {
		p.prerendered.pages = map[prerenderedKey][]string{}
	}
	p.prerendered.pages[key] = parts

	return parts, nil
}
