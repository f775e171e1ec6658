package oauth

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// pathConsent is the page that asks a user what a client may learn. It leads back here.
const pathConsent = "/consent"

// deniedParam is set to "denied" by that page if the user refuses. Another site that sets it makes the client get an
// error.
const deniedParam = "consent"

// consents reports whether a user has agreed to a request, if it needs that.
func (s *Server) consents(w *web.Reply, r *http.Request, a authorization, live *session.Live) (bool, error) {
	// No operator has registered a client that a document describes, and any program can name its address.
	again := slices.Contains(a.prompts(), "consent") || a.party.client != nil && a.party.client.Described()
	if a.party.client == nil || !again && !a.party.client.OpenID.AskConsent {
		return true, nil
	}

	c, err := s.tokens.Connection(r.Context(), live.User, a.party.client.ID)
	if err != nil || !c.Covers(a.consentScopes()) {
		return false, err
	}

	// Asked again, an answer counts that this request has caused.
	asked := s.askedAt(a, s.browserOf(r.Header), w.Start)

	return !again || !asked.IsZero() && !c.Agreed.Before(asked), nil
}

// consentScopes returns what the user is asked for.
func (a authorization) consentScopes() []string {
	service := ""
	if a.resource != nil {
		service = a.resource.Service
	}
	return signin.ConsentScopes(a.scopes(), service)
}

// askConsent sends the browser to the page that asks the user.
func (s *Server) askConsent(w *web.Reply, r *http.Request, a authorization) {
	if a.silent() {
		s.answer(w, a, url.Values{"error": {codeConsent}})
		return
	}

	// One mark for all that a request asks for: another one would make an answer to prompt=login too old.
	if s.askedAt(a, s.browserOf(r.Header), w.Start).IsZero() {
		s.mark(w, r, a)
	}
	if a.resource != nil {
		a.query.Set("resource", a.resource.Service) // as the page knows it
	}

	seeOther(w, pathConsent+"?"+a.query.Encode())
}
