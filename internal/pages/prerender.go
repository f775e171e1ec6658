package pages

import (
	"bytes"
	"html/template"
	"net/http"
	"slices"
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
	with     int // number of buttons of other providers: those of a fresh proof are fewer
}

// slot is every address of the page that depends on the request, while it is rendered. Escaping changes none of its
// characters.
const slot = "/sign-in?SLOT"

// addresses returns the addresses for the slots of the page, in the order in which they stand there.
func addresses(v signInView, links []languageLink) []string {
	list := []string{v.Action}
	if v.Passkey.Kind != "" {
		list = append(list, v.Passkey.Action)
	}
	for _, link := range v.With {
		list = append(list, link.URL)
	}
	for _, link := range links {
		list = append(list, link.URL)
	}

	return list
}

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

	_, _ = w.Write(between(parts, addresses(v, links)))

	return nil
}

// isPrerendered reports whether the empty page of a view is kept: those for clients are not, which any number may be.
func (p *Pages) isPrerendered(v signInView) bool {
	_, ok := p.service(string(v.Service))
	return ok || v.Service == ""
}

// between returns the page with its addresses between its parts.
func between(parts, addresses []string) []byte {
	var b bytes.Buffer
	for i, part := range parts {
		if i > 0 {
			b.WriteString(template.HTMLEscapeString(addresses[i-1]))
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

	page.body = between(parts, addresses(v, p.languageLinks(r, l)))
	page.length = []string{strconv.Itoa(len(page.body))}

	p.prerendered.mu.Lock()
	defer p.prerendered.mu.Unlock()
	if p.prerendered.plain == nil {
		p.prerendered.plain = map[string]plainSignIn{}
	}
	p.prerendered.plain[l.code] = page

	return page, nil
}

// emptySignIn returns the parts of the page around its addresses.
func (p *Pages) emptySignIn(l *language, v signInView) ([]string, error) {
	p.prerendered.mu.Lock()
	defer p.prerendered.mu.Unlock()

	key := prerenderedKey{l.code, v.Service, len(v.With)}
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
			f.Languages = append(f.Languages, languageLink{other.code, other.name, slot})
		}
	}
	v.Action, v.Passkey.Action = slot, slot
	v.With = slices.Clone(v.With)
	for i := range v.With {
		v.With[i].URL = slot
	}
	f.View = v

	body, err := p.render(l, "sign-in/sign-in", f)
	if err != nil {
		return nil, err
	}

	parts = strings.Split(string(body), slot)
	if p.prerendered.pages == nil {
		p.prerendered.pages = map[prerenderedKey][]string{}
	}
	p.prerendered.pages[key] = parts

	return parts, nil
}
