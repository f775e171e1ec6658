package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// signedOut answers GET /.jeton/signed-out, which the page of the issuer after a sign-out loads. It ends nothing: the
// session here has ended with the sign-in session. Chromium keeps some pages for Back in spite of no-store, and forgets
// them once a cookie of their host changes. It takes no cookie here if the page is of another site.
func (g *Gateway) signedOut(w *web.Reply, _ *http.Request) error {
	g.conf.SessionCookie().Trace(w)
	return web.NoContent(w)
}

// forgetPage makes browsers not keep a page that they load with a session: Back would show it again after a sign-out at
// the issuer or at another service, which can clear nothing of this host. An upstream that says how long its pages may
// be kept decides for itself.
func forgetPage(r *http.Response) {
	h := r.Header
	if h["Cache-Control"] != nil || h["Expires"] != nil || h["Pragma"] != nil {
		return
	}

	in := forwardedOf(r.Request.Context())
	if in == nil || gate.From(in.reply).Session() == nil {
		return
	}

	switch web.Navigation(in.request) {
	case web.Page, web.Frame, web.Form:
		h["Cache-Control"] = noStore
	}
}
