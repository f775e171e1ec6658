package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// pass answers an admitted request of a service that another proxy serves: it may pass the request on, with the
// identity in the headers of this response.
func (g *Gateway) pass(w *web.Reply, r *http.Request) error {
	d := gate.From(w)
	who := d.Principal()
	contact, err := contactOf(r.Context(), g.accounts, who)
	if err != nil {
		return err
	}

	h := w.Header()
	set := newHeaderSetter(h)
	identify(set, who, contact)

	// The secret of a session would open every other route of the service, and those of other services.
	set.to(web.HeaderCookie, otherCookies(r.Header["Cookie"], g.ours))

	assertion, err := g.assert(r.Context(), d, contact, r.Method, web.RawPath(r.URL))
	if err != nil {
		return err
	}
	set.to(web.HeaderAssertion, assertion)

	h["Cache-Control"] = noStore
	w.Passes = true
	w.WriteHeader(http.StatusOK)

	return nil
}

// visitPassed sends a browser to the page of the service that begins a sign-in. The pending sign-in has a cookie, and
// not every proxy delivers one of a refusal.
func (g *Gateway) visitPassed(w *web.Reply, r *http.Request, rule policy.Require) {
	seeOther(w, w.Origin.String()+startAt(w, pathOf(r.URL), rule))
}
