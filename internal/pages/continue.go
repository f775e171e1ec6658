package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/web"
)

// The parameters of the sign-in page that are ours.
const (
	toParam    = "to"    // page of ours to go on to
	otherParam = "other" // another account than that of the session
)

// continuePath is where a sign-in for a service goes on after a form.
const continuePath = "/sign-in/continue"

// authorizePath is where a sign-in for a service began, and goes on.
const authorizePath = "/oauth2/authorize"

// authorizeParams are the parameters of an authorization request that are handed on, with the time of that request and
// the answer to the page that asks for consent.
var authorizeParams = append(openid.RequestParams(), "asked", "consent")

// carried returns the parameters that say where a sign-in leads.
func carried(query url.Values) url.Values {
	out := url.Values{}
	if query.Has("client_id") {
		for _, name := range authorizeParams {
			if query.Has(name) {
				out.Set(name, query.Get(name))
			}
		}
		// This page was the answer to prompt, unless the time of the request is there to say when it was asked.
		if !query.Has("asked") {
			out.Del("prompt")
		}

		return out
	}

	to := localPage(query.Get(toParam))
	if to != defaultPage {
		out.Set(toParam, to)
	}

	return out
}

// defaultPage is where a sign-in leads that came from nowhere.
const defaultPage = "/account"

// localPage returns a page of ours that a sign-in may lead to, written again from its parts. Anything else is the
// account: another site must not choose where a user lands.
func localPage(text string) string {
	path := web.ReturnPath(text)
	for _, own := range []string{"/account", "/admin", "/device", verifyDonePath, continuePath} {
		rest, ok := strings.CutPrefix(path, own)
		if ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
			return path
		}
	}

	return defaultPage
}

// destination returns where a sign-in leads: back to the authorization endpoint, or to a page of ours.
func destination(query url.Values) string {
	if query.Has("client_id") {
		return authorizePath + "?" + carried(query).Encode()
	}

	return localPage(query.Get(toParam))
}

// goOnPath returns where a browser goes after a sign-in. Chromium applies form-action of the policy to every redirect
// that follows a form, and the authorization endpoint redirects to another origin: such a sign-in goes on by a page.
func goOnPath(query url.Values) string {
	if query.Has("client_id") {
		return continuePath + "?" + carried(query).Encode()
	}

	return destination(query)
}

// goOnView is the view of sign-in/continue.
type goOnView struct {
	URL     string
	Service Strong
}

// goOn answers GET /sign-in/continue: a page that leads on by itself, or by its link.
func (p *Pages) goOn(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	to := destination(query)

	h := w.Header()
	h.Set("Refresh", "0;url="+to)
	// The service that follows needs not know this address, which has a state in it.
	h.Set("Referrer-Policy", "no-referrer")

	return p.show(w, r, http.StatusOK, "sign-in/continue", goOnView{URL: to, Service: p.from(r.Context(), query)})
}

// signInPath returns the sign-in page that leads back to a page of ours.
func signInPath(from *url.URL) string {
	return pathWith("/sign-in", carried(url.Values{toParam: {from.RequestURI()}}))
}

// pathWith returns a path with a query, or the path alone if the query is empty.
func pathWith(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}

	return path + "?" + query.Encode()
}
