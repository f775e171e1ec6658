package api

import (
	"cmp"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Users is the users API of one service.
type Users struct {
	conf      config.Service
	door      *gate.Service
	gate      *gate.Gate
	accounts  *account.Accounts
	sessions  *session.Sessions
	tokens    *token.Tokens
	logins    *signin.Logins
	audiences func(names []string) ([]string, error)
	accepts   policy.Kinds
	terms     policy.Terms
	managers  *policy.Allow
	cursors   cursors
	shape     shape
	rows      []operation
	paths     *http.ServeMux // of the rows, by which a wrong method is told from a wrong path
	document  []byte
	page      []byte
	pageCSP   string
}

// Config is what NewUsers needs.
type Config struct {
	Service  config.Service // with a UsersAPI
	Door     *gate.Service  // how credentials are read there
	Accepts  policy.Kinds   // what callers of the service may prove themselves with
	Terms    policy.Terms   // of a login
	Gate     *gate.Gate
	Accounts *account.Accounts
	Sessions *session.Sessions
	Tokens   *token.Tokens
	Logins   *signin.Logins
	// Audiences translates names of services into what tokens for them are for.
	Audiences func(names []string) ([]string, error)
	// CursorKey is a secret that is the same on every node and after a restart.
	CursorKey []byte
}

// NewUsers builds the API from a configuration that has been checked.
func NewUsers(c Config) (*Users, error) {
	u := c.Service.UsersAPI
	a := &Users{
		conf:      c.Service,
		door:      c.Door,
		gate:      c.Gate,
		accounts:  c.Accounts,
		sessions:  c.Sessions,
		tokens:    c.Tokens,
		logins:    c.Logins,
		audiences: c.Audiences,
		accepts:   c.Accepts,
		terms:     c.Terms,
		managers:  &policy.Allow{Groups: u.Admins, Clients: u.Clients},
		cursors:   cursors{c.CursorKey},
		shape:     shape{classic: u.Classic},
	}
	if u.Classic != nil {
		a.accepts, a.terms = classicProof(u.Classic.Auth), classicTerms(*u.Classic)
	}

	a.rows = a.operations()
	a.paths = http.NewServeMux()
	for _, op := range a.rows {
		for _, pattern := range a.patterns(op) {
			a.paths.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
		}
	}

	var err error
	a.document, err = a.openAPI()
	if err != nil {
		return nil, err
	}

	a.page, a.pageCSP, err = a.docs()
	return a, err
}

// Routes returns the rows of the API.
func (a *Users) Routes() []web.Route {
	var rows []web.Route
	for _, op := range a.rows {
		for _, pattern := range a.patterns(op) {
			rows = append(rows, a.route(op, pattern))
		}
	}

	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		other := operation{access: policy.Open, handle: a.elsewhere, anyOrigin: true}
		rows = append(rows, a.route(other, method+" "+a.conf.UsersAPI.Prefix+"/{rest...}"))
	}

	return rows
}

// patterns are those that a row answers to: one, and in the classic shape a second with a
// slash at its end.
func (a *Users) patterns(op operation) []string {
	pattern := op.method + " " + a.conf.UsersAPI.Prefix + op.path
	if a.shape.classic != nil {
		return []string{pattern, pattern + "/{$}"}
	}
	return []string{pattern}
}

func (a *Users) route(op operation, pattern string) web.Route {
	return web.Route{
		Pattern:    pattern,
		Access:     op.access,
		BufferBody: op.method != http.MethodGet && op.method != "",
		Handle: func(w *web.Reply, r *http.Request) error {
			a.shape.open(w)
			if gate.From(w).Free() {
				// A HEAD that took no use gets nothing that a use pays for.
				w.WriteHeader(http.StatusOK)
				return nil
			}

			if err := a.sameOrigin(w, r, op); err != nil {
				return err
			}

			return op.handle(w, r)
		},
		Refuse: func(w *web.Reply, r *http.Request, err error) {
			a.shape.open(w)
			a.refuse(w, r, op, err)
		},
	}
}

// sameOrigin refuses a change that a browser was sent here for by another site, where what
// it shows is what a browser shows by itself. A token is not.
func (a *Users) sameOrigin(w *web.Reply, r *http.Request, op operation) error {
	if op.anyOrigin {
		return nil
	}
	if gate.From(w).Credential() == nil && !op.login || bearer(r) {
		return nil
	}

	return web.SameOrigin(r)
}

// bearer reports whether a request shows what no browser shows by itself. It sends again by
// itself what it was once told by way of Basic, a token as well.
func bearer(r *http.Request) bool {
	_, found, err := web.Authorization(r.Header, "Bearer")
	return err == nil && found
}

// elsewhere answers what no row does.
func (a *Users) elsewhere(w *web.Reply, r *http.Request) error {
	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		_, pattern := a.paths.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host})
		if pattern != "" {
			allowed = append(allowed, m)
		}
	}

	if len(allowed) == 0 {
		return jeton.ErrNotFound
	}

	return a.otherMethod(w, r, allowed)
}

// me returns the person who asks, or jeton.ErrNotFound where nobody has proved to be one.
func (a *Users) me(w *web.Reply, r *http.Request) (account.Account, error) {
	who := gate.From(w).Principal()
	if who.Kind != jeton.KindUser {
		return account.Account{}, jeton.ErrNotFound
	}

	return a.accounts.Find(r.Context(), who.Name)
}

// manages reports whether who asks manages everybody. In the classic shape all do.
func (a *Users) manages(w *web.Reply) bool {
	return a.shape.classic != nil || a.managers.Check(gate.From(w).Principal()) == nil
}

// actor names who asks in the record.
func actor(w *web.Reply) string {
	who := gate.From(w).Principal()
	if who.IsZero() {
		return "nobody"
	}
	return gate.Actor(who)
}

// event begins a line of the record.
func (a *Users) event(w *web.Reply, action, target string) jeton.Event {
	return jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   actor(w),
		Action:  action,
		Target:  target,
		Service: a.conf.Name,
		Outcome: "ok",
		Source:  web.AddressText(w.Source),
	}
}

// Weaknesses names what of a service's users API is weaker than the default, for the
// start-up log.
func Weaknesses(s config.Service) []string {
	if s.UsersAPI == nil || s.UsersAPI.Classic == nil {
		return nil
	}

	list := []string{"users_api.classic: passwords may be as short as they like, a stranger learns which addresses exist, and every page in a browser may read the answers"}

	switch s.UsersAPI.Classic.Auth {
	case "":
		list = append(
			list,
			"users_api.classic.auth is empty: EVERYTHING IS OPEN, anybody reads, changes and removes every user",
		)
	case "auth":
	default:
		list = append(list, "users_api.classic: whoever has proved who they are reads, changes and removes every user")
	}

	return list
}

// forGood is how long a session lives that does not end by time.
const forGood = 100 * 365 * 24 * time.Hour

// classicTerms are the terms of a login in the classic shape: it ends so long after it
// began, used or not.
func classicTerms(c config.Classic) policy.Terms {
	d := forGood
	if c.Auth != "session_auth" {
		d = cmp.Or(c.SessionDuration.Std(), d)
	}
	return policy.Terms{
		Idle:        d,
		Lifetime:    d,
		MaxSessions: policy.Unlimited,
		Relogin:     policy.Relogin{Max: policy.Unlimited},
	}
}

func classicProof(auth string) policy.Kinds {
	switch auth {
	case "basic_auth":
		return policy.ByPassword
	case "session_auth", "session_exp_auth", "session_db_auth":
		return policy.BySession
	}

	return 0
}
