package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// pathSignOut is the page that asks whether to sign out. It leads back here with the parameters of the request.
const pathSignOut = "/sign-out"

// logoutRequest is a request of a relying party to sign the user out.
type logoutRequest struct {
	query  url.Values     // each parameter once
	sid    string         // session of the ID token that the request shows, or ""
	client *client.Client // that sent it; nil: not known
	to     string         // registered address of the client to return to, or ""
}

// logout answers GET and POST /oauth2/logout (OpenID Connect RP-Initiated Logout 1.0). With an ID token of the session
// of this browser, the session ends at once: only the client and the user know that token. Any other request asks the
// user first, for it may be a link of another site.
func (s *Server) logout(w *web.Reply, r *http.Request) error {
	// The cookie of the session does not come with a form of another site, but with the request that follows.
	if r.Method == http.MethodPost {
		return s.byGet(w, r, pathLogout)
	}

	// Nothing but a page that the user sees: a frame gets no cookie, and would seem to be signed out already.
	if r.Method != http.MethodGet || web.Navigation(r) != web.Page {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page signs out")
	}

	in, err := s.readLogout(r)
	if err != nil {
		return err
	}

	live, err := gate.ShownSession(w, r, s.service)
	bad := errors.Is(err, jeton.ErrBadCredential)
	if err != nil && !bad && !errors.Is(err, jeton.ErrNoCredential) {
		return err
	}

	shown, err := s.isShown(r.Context(), in, live)
	switch {
	case err != nil:
		return err
	case shown:
		return s.endSession(w, r, in, live)
	case live != nil && live.Check(w.Start) == nil:
		seeOther(w, pathSignOut+"?"+in.query.Encode())
		return nil
	case bad:
		// It may have been ended a moment ago: answer only once all nodes refuse it.
		if err := s.sessions.Ended(r.Context()); err != nil {
			return err
		}
	}

	s.signedOut(w, in, nil)

	return nil
}

// isShown reports whether the ID token of a request is one of a session.
func (s *Server) isShown(ctx context.Context, in logoutRequest, live *session.Live) (bool, error) {
	if live == nil || in.sid == "" {
		return false, nil
	}
	if in.client == nil {
		return in.sid == live.ID, nil
	}

	sid, err := s.subjects.SessionOf(ctx, *in.client, live.ID)

	return in.sid == sid, err
}

// readLogout reads a request to sign out. It returns jeton.ErrInvalid for one that contradicts itself, or that names an
// address which its client has not registered.
func (s *Server) readLogout(r *http.Request) (logoutRequest, error) {
	query, err := readQuery(r)
	if err != nil {
		return logoutRequest{}, err
	}

	in := logoutRequest{query: query}
	id := query.Get("client_id")

	// An ID token that is none of ours proves nothing: it counts as missing, and the user is asked.
	hint, err := openid.ReadHint(r.Context(), s.ring, s.conf.URL, query.Get("id_token_hint"))
	switch {
	case err == nil && id != "" && id != hint.Audience:
		return in, jeton.WithDetail(jeton.ErrInvalid, "client_id is not the client of id_token_hint")
	case err == nil:
		id, in.sid = hint.Audience, hint.Session
	case !errors.Is(err, jeton.ErrInvalid):
		return in, err
	}

	found, _, err := s.party(r.Context(), id)
	if err != nil {
		return in, err
	}
	in.client = found.client

	to := query.Get("post_logout_redirect_uri")
	if to == "" || in.client == nil {
		return in, nil
	}
	if !client.Redirects(in.client.OpenID.PostLogoutRedirectURIs, to) {
		const text = "post_logout_redirect_uri is not one of the post_logout_redirect_uris of the client"
		return in, jeton.WithDetail(jeton.ErrInvalid, text)
	}
	in.to = to

	return in, nil
}

// endSession ends the session of a browser, and those at services that follow from it.
func (s *Server) endSession(w *web.Reply, r *http.Request, in logoutRequest, live *session.Live) error {
	services, err := s.sessions.Services(r.Context(), live.Login)
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}

	name := ""
	if in.client != nil {
		name = in.client.Name
	}

	_, err = s.sessions.End(r.Context(), session.Which{ID: live.ID, Family: true}, jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   gate.Actor(live.Principal()),
		Action:  audit.Logout,
		Target:  "session:" + live.ID,
		Service: Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
		Checks:  []jeton.Check{{Name: "client", Value: name, Result: "pass"}},
	})
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}

	// Only now: if ending failed, the browser keeps the cookie and can try again.
	s.conf.SessionCookie().End(w)
	s.signedOut(w, in, services)

	return nil
}

// signedOut sends a browser that has no session any more back to the client, or to the page that lists what ended.
func (s *Server) signedOut(w *web.Reply, in logoutRequest, services []string) {
	if in.to == "" {
		values := url.Values{}
		if len(services) > 0 {
			values["ended"] = services
		}
		seeOther(w, withQuery("/signed-out", values))

		return
	}

	values := url.Values{}
	if in.query.Has("state") {
		values.Set("state", in.query.Get("state"))
	}

	seeOther(w, withQuery(in.to, values))
}

// refuseLogout answers a request to sign out that leads nowhere. It never redirects: the address may be an attacker's.
func (s *Server) refuseLogout(w *web.Reply, r *http.Request, err error) {
	if web.Navigation(r) == web.Program {
		web.Fail(w, r, err)
		return
	}

	p := web.Mark(w, err)
	s.page(w, r, p.Status, web.Notice{Kind: web.NoticeSignOut, Link: pathSignOut, Problem: p})
}
