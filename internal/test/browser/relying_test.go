package browser

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
)

// relyingParty starts an application of another site, whose addresses redirect on to one of a third site: Chromium
// applies the form-action of our pages to all of them. It returns its address and that of the third site.
func relyingParty(t *testing.T, w *world) (app, third string) {
	t.Helper()
	third = evil(t, true, "<p>you are here</p>")
	app = site(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, third+r.URL.RequestURI(), http.StatusFound)
	}))

	w.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "app", OpenID: &jeton.RelyingParty{
		RedirectURIs:           []string{app + "/done"},
		PostLogoutRedirectURIs: []string{app + "/bye"},
		Public:                 true,
		AskConsent:             true,
		Algorithm:              "ES256",
	}}, nil)

	return app, third
}

// TestARelyingPartyThatRedirectsOnIsReached signs in and out for an application that leads on to another site.
func TestARelyingPartyThatRedirectsOnIsReached(t *testing.T) {
	w := newWorld(t)
	app, third := relyingParty(t, w)

	authorize := w.issuer + "/oauth2/authorize?" + url.Values{
		"client_id":             {"app"},
		"redirect_uri":          {app + "/done"},
		"response_type":         {"code"},
		"scope":                 {"openid"},
		"code_challenge":        {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
		"code_challenge_method": {"S256"},
	}.Encode()
	logout := w.issuer + "/oauth2/logout?" + url.Values{
		"client_id":                {"app"},
		"post_logout_redirect_uri": {app + "/bye"},
		"state":                    {"s1"},
	}.Encode()

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(authorize)
		user := "diane"
		if p.Browser() == "firefox" {
			user = "bob" // who was not asked for consent yet
		}
		w.signIn(p, user)
		p.Wait("location.pathname === '/consent' && document.readyState === 'complete'")
		if p.Browser() == "chromium" {
			w.inspect(p, "consent")
		}
		p.Click("button[value=allow]")
		p.Reach(third + "/done")

		p.Open(logout)
		p.Wait("location.pathname === '/sign-out' && document.readyState === 'complete'")
		p.Click("form[action^='/sign-out'] button")
		p.Arrive(third + "/bye?state=s1")

		p.Open(w.issuer + "/account")
		p.Wait("location.pathname === '/sign-in'")
		for _, line := range p.Violations() {
			t.Errorf("%s: a page violates its policy: %s", p.Browser(), line)
		}
	})
}
