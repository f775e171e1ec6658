package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/openid"
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
	pathProve     = "/prove"
	pathContinue  = "/sign-in/continue"
)

// The codes of RFC 6749, section 4.1.2.1, and of OpenID Connect Core, section 3.1.2.6.
const (
	codeInvalid       = "invalid_request"
	codeResponseType  = "unsupported_response_type"
	codeLoginRequired = "login_required"
	codeInteraction   = "interaction_required"
	codeScope         = "invalid_scope"
	codeRequest       = "request_not_supported"
	codeRequestURI    = "request_uri_not_supported"
	codeDenied        = "access_denied"
	codeConsent       = "consent_required"
	codeServer        = "server_error"
	codeTarget        = "invalid_target" // RFC 8707, section 2
	// OpenID Connect Core Error Code unmet_authentication_requirements 1.0; RFC 9470, section 5.
	codeUnmet = "unmet_authentication_requirements"
)

// challengeForm is a code_challenge of method S256: 256 bits in base64url (RFC 7636, section 4.2).
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorization is an authorization request whose client and redirect_uri are valid: its answer is a redirect.
type authorization struct {
	query    url.Values // each parameter once
	party    party
	redirect string
	resource *signin.Target // service that the tokens are for; nil: the issuer, or see fault
	unpushed bool           // it had to be pushed, and was not
}

// authorize answers GET /oauth2/authorize (RFC 6749, section 4.1.1): it redirects back with a code if the browser has a
// sign-in session, else to the sign-in page. A request whose client or redirect_uri is invalid leads nowhere.
func (s *Server) authorize(w *web.Reply, r *http.Request) error {
	// The cookie of the session does not come with a form of another site, but with the request that follows.
	if r.Method == http.MethodPost {
		return s.byGet(w, r, pathAuthorize)
	}

	// A code is for the page that the user loads, not for one that may never be shown.
	visit := web.Navigation(r)
	if r.Method != http.MethodGet || visit == web.Program || visit == web.Fragment {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page signs in")
	}

	if err := s.introduce(w, r, r.URL.Query().Get("client_id")); err != nil {
		return err
	}

	a, err := s.readAuthorization(r, w.Start)
	if err != nil {
		return err
	}

	code := a.fault()
	if code != "" {
		s.answer(w, a, url.Values{"error": {code}})
		return nil
	}

	err = s.proceed(w, r, a)
	if err != nil && a.silent() {
		web.Mark(w, err)
		s.answer(w, a, url.Values{"error": {codeServer}}) // the error goes to the log
	}

	return err
}

// proceed answers a valid authorization request: with a code, the sign-in page, or what the session lacks.
func (s *Server) proceed(w *web.Reply, r *http.Request, a authorization) error {
	live, err := s.signedIn(w, r)
	if err != nil {
		return err
	}

	a, err = a.forUser(r.Context(), live, w.Start)
	if err != nil {
		return err
	}

	lack, err := s.lacks(r.Context(), a, live, s.askedAt(a, s.browserOf(r.Header), w.Start), w.Start)
	switch {
	case err != nil:
		return err
	case lack.code == "" && a.query.Get(deniedParam) == "denied":
		s.answer(w, a, url.Values{"error": {codeDenied}})
	case lack.code == "":
		return s.grantCode(w, r, a, live)
	case lack.code == codeUnmet:
		check := jeton.Check{Name: "second factor", Value: strings.Join(lack.methods, " "), Result: "fail"}
		s.recordRefusal(w, a, live.Principal(), jeton.ErrFactor, check)
		s.answer(w, a, url.Values{"error": {lack.code}})
	case lack.final, a.silent():
		s.answer(w, a, url.Values{"error": {lack.code}})
	default:
		// The page of a service needs the same user. A new sign-in would end the sessions at other services.
		proves := lack.proof && a.party.client == nil && !a.asksForAccount()
		// The sign-in page knows nothing of these, and would offer to go on with the session.
		unseen := len(a.levels().wanted) > 0 || a.requires().MaxAge > 0
		if lack.spent || lack.proof && !a.asksForAccount() && !proves && unseen {
			a.query.Set("prompt", strings.Join(append(a.prompts(), "login"), " "))
		}
		s.mark(w, r, a)

		to := pathSignIn + "?" + a.query.Encode()
		if proves {
			to = pathProve + "?" + url.Values{"to": {pathContinue + "?" + a.query.Encode()}}.Encode()
		}
		seeOther(w, to)
	}

	return nil
}

// byGet answers a request that a form of another site has sent with POST (OpenID Connect Core 1.0, section 3.1.2.1;
// RP-Initiated Logout 1.0, section 2): the same request by GET.
func (s *Server) byGet(w *web.Reply, r *http.Request, path string) error {
	b, err := web.Body(w, r, "the request", maxForm)
	if err != nil {
		return err
	}
	if !web.IsForm(r.Header) {
		return jeton.WithDetail(jeton.ErrInvalid, "send application/x-www-form-urlencoded")
	}

	form, err := web.ParseForm(b)
	if err != nil {
		return err
	}

	seeOther(w, path+"?"+form.Encode())

	return nil
}

// prompts returns the values of prompt.
func (a authorization) prompts() []string { return strings.Fields(a.query.Get("prompt")) }

// asksForAccount reports whether the sign-in page is asked for, where the user can sign in as another one.
func (a authorization) asksForAccount() bool {
	return slices.ContainsFunc(a.prompts(), func(p string) bool { return p == "login" || p == "select_account" })
}

// silent reports whether the user must see no page: the answer is always a redirect.
func (a authorization) silent() bool { return slices.Contains(a.prompts(), "none") }

// readQuery returns the parameters of a request by a browser, each once.
func readQuery(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the query is malformed")
	}

	// RFC 6749, section 3.1. Of two values, a page that the request leads to could read the other one.
	for name, values := range query {
		if len(values) > 1 {
			const text = "parameter %.40q occurs more than once"
			return nil, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf(text, name))
		}
	}

	return query, nil
}

// readAuthorization returns an authorization request, or jeton.ErrInvalid if its client, its redirect_uri, or its
// reference to a pushed request is invalid.
func (s *Server) readAuthorization(r *http.Request, now time.Time) (authorization, error) {
	query, err := readQuery(r)
	if err != nil {
		return authorization{}, err
	}

	refers := strings.HasPrefix(query.Get("request_uri"), pushedPrefix)
	query, err = s.pushed(r.Context(), query)
	if err != nil {
		return authorization{}, err
	}

	a, err := s.checkAuthorization(r.Context(), query)
	if err == nil && !refers && s.mustPush(a.party) {
		// Once it was: a page that it has led to brings its parameters back, sealed.
		a.unpushed = !query.Has(openid.PushedParam) || s.askedAt(a, s.browserOf(r.Header), now).IsZero()
	}

	return a, err
}

// checkAuthorization returns the authorization request of parameters, or jeton.ErrInvalid if its client or redirect_uri
// is invalid.
func (s *Server) checkAuthorization(ctx context.Context, query url.Values) (authorization, error) {
	a := authorization{query: query, redirect: query.Get("redirect_uri")}

	found, ok, err := s.party(ctx, query.Get("client_id"))
	switch {
	case err != nil:
		return a, err
	case !ok:
		const text = "client_id is neither a service with login.sign_in nor a client with redirect_uris"
		return a, jeton.WithDetail(jeton.ErrInvalid, text)
	case !found.redirects(a.redirect) && found.client != nil:
		return a, jeton.WithDetail(jeton.ErrInvalid, "redirect_uri is not one of the redirect_uris of the client")
	case !found.redirects(a.redirect):
		const text = "redirect_uri is not an address of the service; see its keys url, host and hosts"
		return a, jeton.WithDetail(jeton.ErrInvalid, text)
	}

	a.party = found
	resource := query.Get("resource")
	if found.client != nil && resource != "" {
		target, ok := signin.ForClient(s.targets, *found.client, resource)
		if ok {
			a.resource = &target
		}
	}

	return a, nil
}

// fault returns the code for what is wrong with the rest of a request, or "".
func (a authorization) fault() string {
	q := a.query
	prompt := a.prompts()
	_, validAge := maxAge(q)
	_, validClaims := readLevelClaim(q)
	pkce := q.Get("code_challenge_method") == "S256" && challengeForm.MatchString(q.Get("code_challenge"))

	switch {
	// Not half-read: what is in them could be another request (OpenID Connect Core 1.0, section 6).
	case q.Has("request"):
		return codeRequest
	case q.Has("request_uri"):
		return codeRequestURI
	case a.unpushed:
		return codeInvalid
	case q.Get("response_type") != "code":
		return codeResponseType
	case !pkce && !a.withoutPKCE(),
		!validAge,
		!validClaims,
		q.Has("response_mode") && q.Get("response_mode") != "query",
		slices.Contains(prompt, "none") && len(prompt) > 1:
		return codeInvalid
	case a.party.client == nil && q.Get("state") == "":
		return codeInvalid
	case a.party.client != nil && a.resource == nil && q.Get("resource") != "":
		return codeTarget
	// Plain OAuth is for a service.
	case a.party.client != nil && a.resource == nil && !slices.Contains(a.scopes(), openid.ScopeOpenID):
		return codeScope
	case a.levels().impossible():
		return codeUnmet
	}

	return ""
}

// withoutPKCE reports whether a request without PKCE is accepted: not one that names half of it.
func (a authorization) withoutPKCE() bool {
	none := !a.query.Has("code_challenge") && !a.query.Has("code_challenge_method")
	return none && a.party.client != nil && a.party.client.OpenID.PKCEOptional
}

// scopes returns the known scopes of a request, sorted and each once: with a resource, also those of the client.
func (a authorization) scopes() []string {
	asked := strings.Fields(a.query.Get("scope"))
	if a.resource == nil {
		return signin.UserScopes(asked, nil)
	}

	return signin.UserScopes(asked, a.party.client)
}

// mayLogIn returns jeton.ErrForbidden for a user who may not log in at the party, or at the service of the tokens, and
// the users who may.
func (a authorization) mayLogIn(user jeton.Principal) (*policy.Allow, error) {
	err := a.party.Allow.CheckLogin(user)
	if err != nil || a.resource == nil {
		return a.party.Allow, err
	}

	return a.resource.Allow, a.resource.Allow.CheckLogin(user)
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
	allow, err := a.mayLogIn(user)
	if err != nil {
		s.refuseLogin(w, r, a, user, allow, err)
		return nil
	}

	agreed, err := s.consents(w, r, a, live)
	if err != nil {
		return err
	}
	if !agreed {
		s.askConsent(w, r, a)
		return nil
	}

	grant := signin.CodeGrant{
		Live:      live,
		Service:   a.party.Name,
		Redirect:  a.redirect,
		Challenge: a.query.Get("code_challenge"),
	}
	if a.party.client != nil {
		grant.Client = a.party.Name
		grant.Scopes = a.scopes()
		grant.Nonce = a.query.Get("nonce")
		grant.Levels = a.levels().wanted
	}
	if a.resource != nil {
		grant.Resource = a.resource.Service
	}

	code, err := s.logins.GrantCode(r.Context(), grant)
	// The nonce and the levels are the only values of the caller that a code keeps.
	if errors.Is(err, jeton.ErrTooLarge) {
		s.answer(w, a, url.Values{"error": {codeInvalid}})
		return nil
	}
	if err != nil {
		return fmt.Errorf("authorize: %w", err)
	}

	s.answer(w, a, url.Values{"code": {code.Reveal()}})

	return nil
}

// refuseLogin records that a user may not log in at the service, and answers the request.
func (s *Server) refuseLogin(
	w *web.Reply,
	r *http.Request,
	a authorization,
	user jeton.Principal,
	allow *policy.Allow,
	err error,
) {
	check := jeton.Check{Name: "allowed users", Value: allow.String(), Result: "fail"}
	s.recordRefusal(w, a, user, err, check)

	if a.silent() {
		web.Mark(w, err)
		s.answer(w, a, url.Values{"error": {codeDenied}})
	} else {
		s.refuseUser(w, r, a, user, err)
	}
}

// recordRefusal records that a user gets no code, and the check that failed.
func (s *Server) recordRefusal(w *web.Reply, a authorization, user jeton.Principal, err error, check jeton.Check) {
	s.audit.Record(jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   gate.Actor(user),
		Action:  audit.Login,
		Service: a.party.Name,
		Outcome: jeton.Code(err),
		Reason:  err.Error(),
		Source:  web.AddressText(w.Source),
		Checks:  []jeton.Check{check},
	})
}

// answer redirects back to the service, with its state and our name (RFC 9207).
func (s *Server) answer(w *web.Reply, a authorization, values url.Values) {
	values.Set("iss", s.conf.URL)
	if a.query.Has("state") {
		values.Set("state", a.query.Get("state"))
	}

	seeOther(w, withQuery(a.redirect, values))
}

// withQuery adds parameters to a registered address, whose own query stays (RFC 6749, section 3.1.2).
func withQuery(address string, values url.Values) string {
	switch {
	case len(values) == 0:
		return address
	case strings.Contains(address, "?"):
		return address + "&" + values.Encode()
	}

	return address + "?" + values.Encode()
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
	s.mark(w, r, a)

	p := web.Mark(w, err)
	s.page(w, r, p.Status, web.Notice{
		Kind:    web.NoticeRefused,
		Service: a.party.Name,
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
