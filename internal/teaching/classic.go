package teaching

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// classic is the API in the shape of the classic users API.
type classic struct {
	api     *api.API
	service string        // its name, the realm of a challenge
	cookie  web.Cookie    // of sessions
	accepts policy.Kinds  // none: everything is open, or nothing is accepted
	access  policy.Access // of all operations that are not open
	forever bool          // sessions do not expire, and their cookie ends with the browser
}

// HasClassicAPI reports whether a service has the classic users API.
func HasClassicAPI(s config.Service) bool { return s.UsersAPI != nil && s.UsersAPI.Classic != nil }

// UsersAPI returns the routes of the API at a service, in the classic shape where the configuration says so.
func UsersAPI(c api.Config) []web.Route {
	conf := c.Service.UsersAPI.Classic
	if conf == nil {
		return api.New(c).Table().Routes()
	}

	c.Accepts = classicKinds(conf.Auth)
	c.Terms = classicTerms(*conf)
	c.AllAdmins, c.OwnUsers = true, true // anyone may become a user, so no other service accepts them
	c.PageSize = 10_000                  // its clients know no pages
	c.AnyPassword = true

	k := &classic{
		api:     api.New(c),
		service: c.Service.Name,
		cookie:  c.Service.SessionCookie(),
		accepts: c.Accepts,
		access:  policy.Authenticated(c.Accepts),
		forever: c.Terms.Lifetime == forever,
	}

	k.access.Require = c.Require

	// Only the empty value opens it. "auth" accepts no credential, and so stays closed.
	if conf.Auth == "" {
		k.access = policy.Open
	}

	return k.routes()
}

// classicKinds returns the credentials of users_api.classic.auth. The empty word and "auth"
// accept none: the first needs none, the second refuses all.
func classicKinds(auth string) policy.Kinds {
	switch auth {
	case "basic_auth":
		return policy.ByPassword
	case "session_auth", "session_exp_auth", "session_db_auth":
		return policy.BySession
	}

	return 0
}

// forever is the lifetime of a session that does not expire.
const forever = 100 * 365 * 24 * time.Hour

// classicTerms are the terms of a classic login: a session expires some time after it began, used or not.
func classicTerms(c config.Classic) policy.Terms {
	lifetime := forever
	if c.Auth != "session_auth" {
		lifetime = cmp.Or(c.SessionDuration.Std(), forever)
	}

	return policy.Terms{
		Idle:        lifetime,
		Lifetime:    lifetime,
		MaxSessions: policy.Unlimited,
		Relogin:     policy.Relogin{Max: policy.Unlimited},
	}
}

// classicWeaknesses names what is weaker than the default in the classic API of a service.
func classicWeaknesses(s config.Service) []string {
	if !HasClassicAPI(s) {
		return nil
	}

	list := []string{
		"users_api.classic: passwords may have any length, the login reveals which addresses exist, " +
			"and pages of every origin may read the answers",
	}

	switch s.UsersAPI.Classic.Auth {
	case "":
		list = append(list, "users_api.classic.auth is empty: EVERYTHING IS OPEN, everybody manages every user")
	case "auth":
	default:
		list = append(list, "users_api.classic: every authenticated caller manages every user")
	}

	return list
}

// routes returns the routes of the API that the classic one has. Each also answers with a slash at its end.
func (k *classic) routes() []web.Route {
	table := k.api.Table()
	table.Refuse = k.refuse
	table.Refusal, table.RefusalType = classicError{}, "application/json"

	all := table.Operations
	table.Operations = nil
	for _, op := range all {
		if op, ok := k.adapt(op); ok {
			table.Operations = append(table.Operations, op)
		}
	}

	var list []web.Route
	for _, rt := range table.Routes() {
		// The fallback answers OPTIONS for all paths, so only it has to answer a preflight.
		fallback := strings.HasSuffix(rt.Pattern, "/{rest...}")
		if fallback {
			rt.Handle = trimSlash(preflight(rt.Handle))
		}

		rt.Handle = anyOrigin(rt.Handle)
		list = append(list, rt)

		if !fallback {
			rt.Pattern += "/{$}"
			list = append(list, rt)
		}
	}

	return list
}

// adapt returns an operation in the classic shape, and whether the classic API has it.
func (k *classic) adapt(op api.Operation) (api.Operation, bool) {
	switch op.Pattern {
	case "GET /status", "GET /stats", "GET /forbidden":
	case "GET /unauthorized":
		op.Handle = unauthorized
	case "POST /auth_session/login", "POST /auth_session":
		op.Handle = k.login(op.Handle)
		op.Out, op.Fails = classicUser{}, []int{401, 404}
	case "DELETE /auth_session/logout", "POST /auth_session/logout":
		op.Handle = k.logout(op.Handle)
		op.Out, op.Status = struct{}{}, http.StatusOK
		op.Fails = []int{404}
	case "DELETE /auth_session":
		op.Handle = k.end(k.logout(op.Handle))
		op.Out, op.Status = struct{}{}, http.StatusOK
		op.Fails = []int{401, 404}
	case "GET /users":
		op.Handle, op.Out = convert(op.Handle, http.StatusOK, toClassicUsers), []classicUser{}
	case "POST /users":
		op.Handle = create(op.Handle)
		op.In, op.Out = classicNew{}, classicUser{}
	case "GET /users/me", "GET /users/{id}":
		op.Handle, op.Out = convert(op.Handle, http.StatusOK, toClassicUser), classicUser{}
	case "PUT /users/me", "PUT /users/{id}":
		op.Handle = rewrite(convert(op.Handle, http.StatusOK, toClassicUser), toChange)
		op.In, op.Out = classicChange{}, classicUser{}
	case "DELETE /users/{id}":
		op.Handle = empty(op.Handle)
		op.Out, op.Status = struct{}{}, http.StatusOK
	default:
		return op, false
	}

	// Whatever the route needed before: the classic API knows no difference between users and admins.
	if !op.Access.IsOpen() {
		op.Access, op.For = k.access, k.access.String()
	}

	return op, true
}

// unauthorized refuses as if nothing had been shown.
func unauthorized(*web.Reply, *http.Request) error {
	return &refusal{jeton.ErrNoCredential, http.StatusUnauthorized, "Unauthorized"}
}

// login answers an unknown address and a wrong password differently.
func (k *classic) login(next web.Handler) web.Handler {
	logIn := convert(func(w *web.Reply, r *http.Request) error {
		err := next(w, r)
		if err == nil && k.forever {
			endWithBrowser(w.Header())
		}
		return err
	}, http.StatusOK, toClassicUser)

	return withLoginErrors(logIn)
}

// end ends all sessions of the user whose e-mail address and password the request has. A request without a body shows
// the session to end.
func (k *classic) end(logout web.Handler) web.Handler {
	endAll := withLoginErrors(empty(k.api.EndSessionsOf))

	return func(w *web.Reply, r *http.Request) error {
		if r.ContentLength == 0 {
			return logout(w, r)
		}
		return endAll(w, r)
	}
}

// withLoginErrors answers an unknown address and a wrong password differently.
func withLoginErrors(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		err := next(w, r)

		switch {
		case signin.ReasonOf(err) == signin.UnknownUser:
			return &refusal{err, http.StatusNotFound, "no user found for this email"}
		case jeton.Outcome(err) == jeton.ErrBadCredential:
			return &refusal{err, http.StatusUnauthorized, "wrong password"}
		}

		return err
	}
}

// endWithBrowser makes the browser forget a cookie when it is closed.
func endWithBrowser(h http.Header) {
	c, err := http.ParseSetCookie(h.Get("Set-Cookie"))
	// There is one Set-Cookie, which package web has written, so it parses.
	if err == nil {
		c.MaxAge = 0
		h.Set("Set-Cookie", c.String())
	}
}

// logout answers 404 if the request shows no session.
func (k *classic) logout(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		// Asked before the logout, which answers alike with and without a session.
		live, err := k.api.ShownSession(w, r)
		if err != nil {
			return err
		}

		if _, err := capture(next, w, r); err != nil {
			return err
		}

		if live == nil {
			// The real logout has cleared the cookie on w; the refusal must not.
			w.Header().Del("Set-Cookie")
			return jeton.ErrNotFound
		}

		return web.JSON(w, http.StatusOK, struct{}{})
	}
}

// create answers a user that cannot be created with 400.
func create(next web.Handler) web.Handler {
	add := rewrite(convert(next, http.StatusCreated, toClassicUser), toNewUser)

	return func(w *web.Reply, r *http.Request) error {
		err := add(w, r)

		kind := jeton.Outcome(err)
		if kind == jeton.ErrConflict || kind == jeton.ErrInvalid && !isRefusal(err) {
			return &refusal{err, http.StatusBadRequest, "Can't create User: " + jeton.Detail(err)}
		}

		return err
	}
}
