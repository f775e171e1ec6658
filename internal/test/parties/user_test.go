package parties

import (
	"crypto/x509"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// user is a user with a browser, who fills in the pages of providers.
type user struct {
	t      *testing.T
	s      *jetontest.Server
	client *http.Client
	origin map[string]bool       // of the providers
	forms  map[string]url.Values // what the user enters, by the path of the page, or of the folder of pages
}

// newUser returns diane with a browser that has no cookies.
func newUser(t *testing.T, s *jetontest.Server) *user {
	t.Helper()

	return &user{
		t:      t,
		s:      s,
		client: s.Client(jetontest.Jar()),
		origin: map[string]bool{s.Issuer(): true},
		forms: map[string]url.Values{
			"/sign-in":  {"username": {"diane"}, "password": {"diane_pw"}},
			"/consent":  {"answer": {"allow"}},
			"/sign-out": {},
			"/device":   {"answer": {"allow"}},
		},
	}
}

// open loads a page, fills in those of the providers, and returns the first address elsewhere.
func (u *user) open(address string) string {
	u.t.Helper()
	for range 30 {
		at, err := url.Parse(address)
		if err != nil {
			u.t.Fatal(err)
		}
		if !u.origin[at.Scheme+"://"+at.Host] || at.Query().Has("done") {
			return address
		}

		next := u.load(at)
		to, err := at.Parse(next)
		if err != nil || next == "" {
			u.t.Fatalf("%s leads nowhere: %v", address, err)
		}
		address = to.String()
	}

	u.t.Fatalf("more than 30 pages, the last is %s", address)
	return ""
}

// trust adds a certificate of a provider.
func (u *user) trust(cert *x509.Certificate) {
	transport, ok := u.client.Transport.(*http.Transport)
	if !ok {
		u.t.Fatalf("the transport is a %T, want that of net/http", u.client.Transport)
	}
	transport.TLSClientConfig.RootCAs.AddCert(cert)
}

var (
	// button is a link of the sign-in page to another provider.
	button = regexp.MustCompile(`href="(/sign-in/with/[^"]*)"`)
	// filled is an input that the page has filled in.
	filled = regexp.MustCompile(`<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"`)
)

// load loads a page and returns where it leads: by itself, by its form, or by the button of another provider.
func (u *user) load(at *url.URL) string {
	u.t.Helper()
	a := u.send(http.MethodGet, at, "")
	if next := leads(a); next != "" {
		return next
	}

	entered, ok := u.forms[at.Path]
	if folder, _, deep := strings.Cut(strings.TrimPrefix(at.Path, "/"), "/"); !ok && deep {
		entered, ok = u.forms["/"+folder+"/"]
	}
	if to := button.FindStringSubmatch(a.Body); !ok && to != nil {
		return html.UnescapeString(to[1])
	}
	if !ok || a.Status != http.StatusOK {
		u.t.Fatalf("the user is left at %s: %d %s", at, a.Status, a.Body)
	}

	form := url.Values{}
	for _, input := range filled.FindAllStringSubmatch(a.Body, -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	maps.Copy(form, entered)

	return leads(u.send(http.MethodPost, at, form.Encode()))
}

// send sends a request as browsers do.
func (u *user) send(method string, at *url.URL, form string) jetontest.Answer {
	u.t.Helper()
	header := []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	if method == http.MethodPost {
		header = append(header, "Content-Type", "application/x-www-form-urlencoded",
			"Origin", at.Scheme+"://"+at.Host, "Sec-Fetch-Site", "same-origin")
	}

	return u.s.Send(u.client, method, at.String(), form, header...)
}

// leads returns where an answer sends the browser; "": nowhere.
func leads(a jetontest.Answer) string {
	if to := a.Header.Get("Location"); to != "" {
		return to
	}

	return strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
}
