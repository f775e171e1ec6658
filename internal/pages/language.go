package pages

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/web"

	textlanguage "golang.org/x/text/language"
)

// languageCookie keeps the language that a user has chosen. No service has a dot in its name, so no session cookie has
// this name, also where services without TLS are on the same host.
const languageCookie = "jeton-issuer.lang"

// languageLifetime is how long the choice is kept.
const languageLifetime = 365 * 24 * time.Hour

// language is a language of the pages.
type language struct {
	code      string // BCP 47
	name      string // in itself
	thousands string
	months    [12]string
	messages  map[string]message
}

// languages reads the catalogues, once in a process: they are part of the program, and only read. The first language is
// for users of none of them.
var languages = sync.OnceValues(readLanguages)

func readLanguages() ([]*language, error) {
	list := []*language{
		{
			code:      "en",
			name:      "English",
			thousands: ",",
			months: [12]string{
				"January", "February", "March", "April", "May", "June",
				"July", "August", "September", "October", "November", "December",
			},
		},
		{
			code:      "de",
			name:      "Deutsch",
			thousands: ".",
			months: [12]string{
				"Januar", "Februar", "März", "April", "Mai", "Juni",
				"Juli", "August", "September", "Oktober", "November", "Dezember",
			},
		},
	}

	for _, l := range list {
		var err error
		l.messages, err = readMessages(l.code)
		if err != nil {
			return nil, err
		}
	}

	return list, nil
}

// maxLanguages bounds a list of languages that is read, in bytes.
const maxLanguages = 200

// language returns the language of a page: the one that the request asks for, else the one that the user has chosen
// before, else the one that the browser prefers.
func (p *Pages) language(r *http.Request) *language {
	var query url.Values
	if r.URL.RawQuery != "" {
		query = r.URL.Query()
	}

	chosen, _ := web.FindCookie(r.Header, languageCookie)

	for _, list := range []string{
		query.Get("lang"),
		strings.ReplaceAll(query.Get("ui_locales"), " ", ","), // OpenID Connect Core 1.0, section 3.1.2.1
		chosen,
		r.Header.Get("Accept-Language"),
	} {
		l := p.match(list)
		if l != nil {
			return l
		}
	}

	return p.languages[0]
}

// maxMatched bounds the lists whose language is remembered. Browsers of one country send a few dozen.
const maxMatched = 256

// match returns the language of ours that suits a list (RFC 9110, section 12.5.4), or nil. It reads most lists once.
func (p *Pages) match(list string) *language {
	if list == "" || len(list) > maxLanguages {
		return nil
	}

	p.matched.mu.RLock()
	l, ok := p.matched.lists[list]
	p.matched.mu.RUnlock()
	if ok {
		return l
	}

	l = p.read(list)

	p.matched.mu.Lock()
	defer p.matched.mu.Unlock()
	if len(p.matched.lists) < maxMatched {
		p.matched.lists[strings.Clone(list)] = l
	}

	return l
}

// matched is the languages of lists that were read before; nil: none of ours.
type matched struct {
	mu    sync.RWMutex
	lists map[string]*language
}

// read is match for a list that was not read before.
func (p *Pages) read(list string) *language {
	tags, _, err := textlanguage.ParseAcceptLanguage(list)
	if err != nil {
		return nil
	}

	// By base language alone: Austrian German is served in German, and no language by a related one.
	for _, tag := range tags {
		base, _ := tag.Base()
		for _, l := range p.languages {
			if l.code == base.String() {
				return l
			}
		}
	}

	return nil
}

// keepLanguage keeps the language that a link of ours has chosen.
func (p *Pages) keepLanguage(w http.ResponseWriter, r *http.Request) {
	lang := r.URL.Query().Get("lang")
	for _, l := range p.languages {
		if l.code == lang {
			p.langCookie.Set(w, lang, languageLifetime)
		}
	}
}

// functions returns the functions of templates in a language.
func (l *language) functions(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"t":      l.translate,
		"when":   l.when,
		"ago":    func(at time.Time) (template.HTML, error) { return l.ago(at, now()) },
		"until":  func(at time.Time) (template.HTML, error) { return l.until(at, now()) },
		"span":   l.span,
		"number": func(n int64) string { return l.number(n) },
	}
}
