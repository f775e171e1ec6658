package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// RelyingService is a service whose users sign in here. Its name is its client_id.
type RelyingService struct {
	Name    string
	Allow   *policy.Allow   // users who may log in there; nil: all
	Origins func() []string // addresses that browsers use for it
}

const (
	pathAuthorize = "/oauth2/authorize"
	pathSignIn    = "/sign-in"
)

// The codes of RFC 6749, section 4.1.2.1, and of OpenID Connect Core, section 3.1.2.6.
const (
	codeInvalid       = "invalid_request"
	codeResponseType  = "unsupported_response_type"
	codeLoginRequired = "login_required"
)

// challengeForm is a code_challenge of method S256: 256 bits in base64url (RFC 7636, section 4.2).
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorization is an authorization request whose client and redirect_uri are valid: its answer is a redirect.
type authorization struct {
	query    url.Values // each parameter once
	service  RelyingService
	redirect string
}

// authorize answers GET /oauth2/authorize (RFC 6749, section 4.1.1): it redirects back with a code if the browser has a
// sign-in session, else to the sign-in page. A request whose client or redirect_uri is invalid leads nowhere.
func (s *Server) authorize(w *web.Reply, r *http.Request) error {
	// A code is for the page that the user loads, not for one that may never be shown.
	visit := web.Navigation(r)
	if r.Method != http.MethodGet || visit == web.Program || visit == web.Fragment {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page signs in")
	}

	a, err := s.readAuthorization(r)
	if err != nil {
		return err
	}

	code := a.fault()
	if code != "" {
		s.answer(w, a, url.Values{"error": {code}})
		return nil
	}

	live, err := s.signedIn(w, r)
	if err != nil {
		return err
	}

	prompts := strings.Fields(a.query.Get("prompt"))
	again := slices.Contains(prompts, "login") || slices.Contains(prompts, "select_account")

	switch {
	case live != nil && !again:
		return s.grantCode(w, r, a, live)
	case slices.Contains(prompts, "none"):
		s.answer(w, a, url.Values{"error": {codeLoginRequired}})
	default:
		seeOther(w, pathSignIn+"?"+a.query.Encode())
	}

	return nil
}

// readAuthorization returns an authorization request, or jeton.ErrInvalid if its client or redirect_uri is invalid.
func (s *Server) readAuthorization(r *http.Request) (authorization, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return authorization{}, jeton.WithDetail(jeton.ErrInvalid, "the query is malformed")
	}

	// RFC 6749, section 3.1. Of two values, the sign-in page could read the other one.
	for name, values := range query {
		if len(values) > 1 {
			const text = "parameter %.40q occurs more than once"
			return authorization{}, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf(text, name))
		}
	}

	a := authorization{query: query, redirect: query.Get("redirect_uri")}

	i := slices.IndexFunc(s.relying, func(one RelyingService) bool { return one.Name == query.Get("client_id") })
	if i < 0 {
		return a, jeton.WithDetail(jeton.ErrInvalid, "client_id is not a service with login.sign_in")
	}
	a.service = s.relying[i]

	// Exactly, and not by its begin: RFC 9700, section 4.1.3.
	known := slices.ContainsFunc(a.service.Origins(), func(origin string) bool {
		return a.redirect == origin+config.FinishPath
	})
	if !known {
		const text = "redirect_uri is not an address of the service; see its keys url, host and hosts"
		return a, jeton.WithDetail(jeton.ErrInvalid, text)
	}

	return a, nil
}

// fault returns the code for what is wrong with the rest of a request, or "".
func (a authorization) fault() string {
	q := a.query
	prompt := strings.Fields(q.Get("prompt"))

	switch {
	case q.Get("response_type") != "code":
		return codeResponseType
	case q.Get("state") == "",
		q.Get("code_challenge_method") != "S256",
		!challengeForm.MatchString(q.Get("code_challenge")),
		slices.Contains(prompt, "none") && len(prompt) > 1:
		return codeInvalid
	}

	return ""
}

// signedIn returns the sign-in session of a browser and records its use. It returns nil if there is none.
func (s *Server) signedIn(w *web.Reply, r *http.Request) (*session.Live, error) {
	live, err := gate.ShownSession(w, r, s.service)
	switch {
	case errors.Is(err, jeton.ErrNoCredential), errors.Is(err, jeton.ErrBadCredential):
		return nil, nil
	case err != nil:
		return nil, err
	case live.Check(w.Start) != nil:
		return nil, nil
	}

	s.sessions.Used(live, w.Start)

	return live, nil
}

// grantCode redirects back with a code, if the user may log in at the service.
func (s *Server) grantCode(w *web.Reply, r *http.Request, a authorization, live *session.Live) error {
	user := live.Principal()
	if err := a.service.Allow.CheckLogin(user); err != nil {
		s.audit.Record(jeton.Event{
			Time:    w.Start,
			Request: w.ID,
			Actor:   gate.Actor(user),
			Action:  audit.Login,
			Service: a.service.Name,
			Outcome: jeton.Code(err),
			Reason:  err.Error(),
			Source:  web.AddressText(w.Source),
			Checks:  []jeton.Check{{Name: "allowed users", Value: a.service.Allow.String(), Result: "fail"}},
		})
		s.refuseUser(w, r, a, user, err)

		return nil
	}

	code, err := s.logins.GrantCode(r.Context(), signin.CodeGrant{
		User:      live.User,
		Login:     live.Login,
		Service:   a.service.Name,
		Redirect:  a.redirect,
		Challenge: a.query.Get("code_challenge"),
	})
	if err != nil {
		return fmt.Errorf("authorize: %w", err)
	}

	s.answer(w, a, url.Values{"code": {code.Reveal()}})

	return nil
}

// answer redirects back to the service, with its state and our name (RFC 9207).
func (s *Server) answer(w *web.Reply, a authorization, values url.Values) {
	values.Set("iss", s.conf.URL)
	if a.query.Has("state") {
		values.Set("state", a.query.Get("state"))
	}

	seeOther(w, a.redirect+"?"+values.Encode())
}

// seeOther redirects a browser, which does not send on where it comes from: the address has a code.
func seeOther(w *web.Reply, to string) {
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// refuseUser answers a user who may not log in at the service. No other service learns who that is.
func (s *Server) refuseUser(w *web.Reply, r *http.Request, a authorization, user jeton.Principal, err error) {
	again := a.query
	again.Set("prompt", "select_account")
	again.Set("other", "1") // the sign-in page offers no choice that leads here again

	p := web.Mark(w, err)
	s.page(w, r, p.Status, web.Notice{
		Kind:    web.NoticeRefused,
		Service: a.service.Name,
		User:    user.Name,
		Link:    pathSignIn + "?" + again.Encode(),
		Problem: p,
	})
}

// refuseAuthorization answers an authorization request that leads nowhere. It never redirects: the address may be an
// attacker's.
func (s *Server) refuseAuthorization(w *web.Reply, r *http.Request, err error) {
	if web.Navigation(r) == web.Program {
		web.Fail(w, r, err)
		return
	}

	kind := web.NoticeFailed
	if errors.Is(err, jeton.ErrInvalid) {
		kind = web.NoticeClient
	}

	p := web.Mark(w, err)
	s.page(w, r, p.Status, web.Notice{Kind: kind, Problem: p})
}
