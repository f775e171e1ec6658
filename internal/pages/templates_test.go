package pages

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// newPages returns pages without anything behind them: they render view models.
func newPages(t *testing.T) *Pages {
	t.Helper()

	p, err := New(Config{
		Issuer: config.Issuer{
			URL:   "https://auth.example",
			Pages: true,
			Brand: config.Brand{
				Name:       "Acme",
				Accent:     "#0f5c55",
				AccentDark: "#65c9c0",
				HelpURL:    "https://help.example",
			},
			Session: config.SignInSession{
				IdleTimeout: config.Duration(time.Hour),
				Lifetime:    config.Duration(12 * time.Hour),
			},
		},
		Services: []Service{{Name: "reports", URL: "https://reports.example"}},
		Now:      func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}

	return p
}

// newReply returns a reply and what is written to it.
func newReply() (*web.Reply, *httptest.ResponseRecorder) {
	rec := httptest.NewRecorder()
	w := &web.Reply{}
	w.Reset(rec, "the-id-of-it", noon, netip.MustParseAddr("192.0.2.1"))
	w.Origin = web.Origin{Scheme: "https", Host: "auth.example"}

	return w, rec
}

// get returns a request of a browser that loads a page in a language.
func get(target, lang string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://auth.example"+target, nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", lang)

	return r
}

// renderedPages are the pages of eachPage, rendered once for all tests.
var renderedPages struct {
	mu    sync.Mutex
	pages *Pages
	list  []renderedPage
}

type renderedPage struct{ lang, name, body string }

// eachPage checks every template with every sample in every language, for a user without and with the pages of
// administrators.
func eachPage(t *testing.T, check func(t *testing.T, p *Pages, lang, name, body string)) {
	t.Helper()
	renderedPages.mu.Lock()
	defer renderedPages.mu.Unlock()

	if renderedPages.list == nil {
		renderedPages.pages = newPages(t)
		renderedPages.list = renderSamples(t, renderedPages.pages)
	}

	for _, page := range renderedPages.list {
		check(t, renderedPages.pages, page.lang, page.name, page.body)
	}
}

// renderSamples renders every template with every sample in every language.
func renderSamples(t *testing.T, p *Pages) []renderedPage {
	t.Helper()
	var list []renderedPage
	for name, views := range samples() {
		for i, view := range views {
			for _, l := range p.languages {
				r := get("/account/tokens?done=proved", l.code)
				f := p.frame(r, jeton.Principal{}, l, name, view)
				f.User = hostile
				f.navigate("/account", jeton.Principal{Kind: jeton.KindUser, Groups: []string{AdminGroup}})

				body, err := p.render(l, name, f)
				if err != nil {
					t.Errorf("%s, sample %d, %s: %v", name, i, l.code, err)
					continue
				}
				list = append(list, renderedPage{l.code, name, string(body)})
			}
		}
	}

	return list
}

func TestEveryTemplateHasASample(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d templates, %v; want some", len(files), err)
	}

	all := samples()
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if len(all[name]) == 0 {
			t.Errorf("%s has no sample, want a view model among the samples", file)
		}
	}
}

// TestEveryPageIsSound checks what a browser and a screen reader need: markup that is well-formed, a language, a title,
// one heading of the first level, labels, and ids that exist.
func TestEveryPageIsSound(t *testing.T) {
	eachPage(t, func(t *testing.T, _ *Pages, lang, name, body string) {
		d, err := read(body)
		if err != nil {
			t.Errorf("%s, %s: %v\n%s", name, lang, err, body)
			return
		}

		for _, fault := range d.faults(lang) {
			t.Errorf("%s, %s: %s, want no fault", name, lang, fault)
		}
	})
}

// passwordField is a field into which a password is typed, current or new.
var passwordField = regexp.MustCompile(
	`<input[^>]*(?:name="[a-z-]*password[a-z-]*"|autocomplete="[a-z ]*-password")[^>]*>`,
)

func TestFieldsOfPasswordsHideThem(t *testing.T) {
	found := 0
	eachPage(t, func(t *testing.T, _ *Pages, lang, name, body string) {
		for _, field := range passwordField.FindAllString(body, -1) {
			found++
			if !strings.Contains(field, ` type="password"`) {
				t.Errorf("%s, %s: %s, want the type password", name, lang, field)
			}
		}
	})
	if found < 10 {
		t.Errorf("found %d fields of passwords on all pages, want those of sign-in, setup, recovery and more", found)
	}
}

func TestNoPageHasMarkupOfUsersOrWhatThePolicyForbids(t *testing.T) {
	eachPage(t, func(t *testing.T, _ *Pages, lang, name, body string) {
		text := unquoted(body)
		for _, bad := range []string{"<b ", "<style", "style=", "javascript:", "ZgotmplZ", "{{", "<no value>"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s, %s: the page has %q, want none", name, lang, bad)
			}
		}

		handler := regexp.MustCompile(`<[^>]* on[a-z]+=[^>]*>`).FindString(text)
		if handler != "" {
			t.Errorf("%s, %s: the page has the handler %s, want none", name, lang, handler)
		}
	})
}

// unquoted returns a page without the values of attributes, in which text of users may stand escaped.
func unquoted(body string) string {
	return strings.ReplaceAll(regexp.MustCompile(`(value|aria-label)="[^"]*"`).ReplaceAllString(body, ""), "{{.}}", "")
}

// document is what the test reads of a page.
type document struct {
	lang   string
	title  string
	h1     int
	ids    []string
	refs   []string // ids that attributes name
	inputs []string // ids of fields
	labels []string // ids of fields that have a label
	errs   []string
}

// faults returns what is wrong.
func (d *document) faults(lang string) []string {
	list := d.errs
	if d.lang != lang {
		list = append(list, "lang is "+d.lang)
	}
	if strings.TrimSpace(d.title) == "" {
		list = append(list, "no title")
	}
	if d.h1 != 1 {
		list = append(list, "not exactly one h1")
	}

	seen := map[string]bool{}
	for _, id := range d.ids {
		if seen[id] {
			list = append(list, "id "+id+" twice")
		}
		seen[id] = true
	}
	for _, ref := range d.refs {
		if !seen[ref] {
			list = append(list, "no element with the id "+ref)
		}
	}
	for _, id := range d.inputs {
		if !slices.Contains(d.labels, id) {
			list = append(list, "no label for "+id)
		}
	}

	return list
}

// boolean is an attribute without a value, which XML does not have.
var boolean = regexp.MustCompile(
	` (required|readonly|autofocus|checked|selected|disabled|hidden|defer|data-words|open|novalidate|multiple)(\s|>)`,
)

// void is an element that has no end tag in HTML.
var void = regexp.MustCompile(`<(br|link|img|hr|input|meta|col|wbr)\b([^>]*)>`)

// read reads a page as XML: every element is closed, every attribute quoted.
func read(body string) (*document, error) {
	text := body
	for boolean.MatchString(text) {
		text = boolean.ReplaceAllString(text, ` $1=""$2`)
	}

	x := xml.NewDecoder(strings.NewReader(void.ReplaceAllString(text, "<$1$2/>")))
	x.Entity = xml.HTMLEntity
	d := &document{}

	inLabel := 0
	for {
		token, err := x.Token()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, err
		}

		switch el := token.(type) {
		case xml.StartElement:
			d.element(x, el, inLabel > 0)
			if el.Name.Local == "label" {
				inLabel++
			}
		case xml.EndElement:
			if el.Name.Local == "label" {
				inLabel--
			}
		}
	}
}

// element reads one element.
func (d *document) element(x *xml.Decoder, el xml.StartElement, inLabel bool) {
	attrs := map[string]string{}
	for _, a := range el.Attr {
		attrs[a.Name.Local] = a.Value
	}

	if id, ok := attrs["id"]; ok {
		d.ids = append(d.ids, id)
	}
	for _, name := range []string{"aria-describedby", "aria-labelledby", "for"} {
		d.refs = append(d.refs, strings.Fields(attrs[name])...)
	}

	switch el.Name.Local {
	case "html":
		d.lang = attrs["lang"]
	case "title":
		token, _ := x.Token()
		text, _ := token.(xml.CharData)
		d.title = string(text)
	case "h1":
		d.h1++
	case "label":
		d.labels = append(d.labels, attrs["for"])
	case "input", "select", "textarea":
		if attrs["type"] == "hidden" || inLabel {
			return
		}
		if attrs["id"] == "" {
			d.errs = append(d.errs, el.Name.Local+" "+attrs["name"]+" has no id")
		}
		d.inputs = append(d.inputs, attrs["id"])
	case "img":
		if _, ok := attrs["alt"]; !ok {
			d.errs = append(d.errs, "an image without alt")
		}
	case "form":
		if attrs["method"] == "post" && !strings.HasPrefix(attrs["action"], "/") {
			d.errs = append(d.errs, "a form whose action is "+attrs["action"]+", want a path")
		}
	case "button":
		// Without it the default depends on where the button stands.
		if attrs["type"] == "" {
			d.errs = append(d.errs, "a button without type")
		}
	case "script":
		if attrs["src"] == "" {
			d.errs = append(d.errs, "an inline script")
		}
	}
}
