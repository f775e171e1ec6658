package pages

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/jeton-auth/jeton/internal/web"
)

// prerendered is the empty sign-in page in a language and for a service, rendered once. Of all pages it is the one that
// strangers load, and a flood of them must not keep the processor from checking sessions.
type prerendered struct {
	mu    sync.Mutex
	pages map[prerenderedKey][]string // what stands around the addresses of the page
	plain map[string]plainSignIn      // the page without a query, by language
}

// plainSignIn is the sign-in page for an address without a query, with its length.
type plainSignIn struct {
	body   []byte
	length []string // Content-Length
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
	setBareHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}

	_, _ = w.Write(between(parts, v.Action, links))

	return nil
}

// isPrerendered reports whether the empty page of a view is kept: those for clients are not, which any number may be.
func (p *Pages) isPrerendered(v signInView) bool {
	_, ok := p.service(string(v.Service))
	return ok || v.Service == ""
}

// between returns the page with its addresses between its parts.
func between(parts []string, action string, links []languageLink) []byte {
	var b bytes.Buffer
	for i, part := range parts {
		switch {
		case i == 0:
		case i == 1:
			b.WriteString(template.HTMLEscapeString(action))
		default:
			b.WriteString(template.HTMLEscapeString(links[i-2].URL))
		}
		b.WriteString(part)
	}

	return b.Bytes()
}

// showPlainSignIn is showEmptySignIn for an address without a query: only the language is left to find out.
func (p *Pages) showPlainSignIn(w *web.Reply, r *http.Request) error {
	l := p.language(r)
	page, err := p.plainSignIn(r, l)
	if err != nil {
		return err
	}

	h := w.Header()
	setBareHeaders(h)
	h["Content-Length"] = page.length
	w.WriteHeader(http.StatusOK)

	if r.Method != http.MethodHead {
		_, _ = w.Write(page.body)
	}

	return nil
}

// plainSignIn returns the page for an address without a query, in a language.
func (p *Pages) plainSignIn(r *http.Request, l *language) (plainSignIn, error) {
	p.prerendered.mu.Lock()
	page, ok := p.prerendered.plain[l.code]
	p.prerendered.mu.Unlock()
	if ok {
		return page, nil
	}

	v := p.signInForm(r.Context(), nil, "")
	parts, err := p.emptySignIn(l, v)
	if err != nil {
		return plainSignIn{}, err
	}

	page.body = between(parts, v.Action, p.languageLinks(r, l))
	page.length = []string{strconv.Itoa(len(page.body))}

	p.prerendered.mu.Lock()
	defer p.prerendered.mu.Unlock()
	if p.prerendered.plain == nil {
		p.prerendered.plain = map[string]plainSignIn{}
	}
	p.prerendered.plain[l.code] = page

	return page, nil
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
