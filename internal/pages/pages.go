// Package pages is what a browser shows at the authorization server: sign-in, account and administration.
//
// Every page is rendered here, without a script that it needs, with strict headers, in the language of the user. No
// page contains a secret of a session, and a secret that is created is in one response only.
//
// Package signin proves users, session keeps sessions, and api has the rules for everything that a page changes: pages
// call it through Caller. Package oauth sends users here and takes them back.
//
// # A new page
//
//   - A view model: a struct with what the page shows, made by a method that needs no browser to be tested.
//   - A handler that builds it and calls show, and a row in the routes of its part, such as
//     signInRoutes in signin.go.
//   - A template in templates/sign-in, account or admin; the folder chooses the frame. It defines title and main, and
//     perhaps lead. Every word comes from the catalogues: {{t "key" args}}.
//   - The keys in messages, in every language. Tests name keys that are missing or not used, and bare words.
//   - A row in the list of samples in samples_test.go, with the view filled and empty: the tests render it.
//
// # Files
//
//	pages.go               what the package needs; joins the routes of the parts
//	frame.go, navigation.go  from a view model to a page
//	prerender.go           the page that strangers load, rendered once
//	views.go               parts of view models: notes, fields, meters, pagers
//	catalogue.go, language.go, spans.go  messages, times and numbers in a language
//	headers.go, assets.go  headers of every page; the style sheet, script and logo
//	fail.go, notice.go     what a page says of an error, here and at services
//	signin.go, continue.go, signout.go, prove.go, setup.go, invite.go, link.go, recover.go  pages before an account
//	factor.go, factors.go, qr.go  second factors: at a sign-in, and of an account
//	passkey_factor.go, verify.go, consent.go, notme.go  other steps of a sign-in and of links in mails
//	device.go              the page for the code of a device
//	upstream.go, connections.go  sign-ins at other providers, and accounts there
//	passkeys.go            sign-ins and proofs with passkeys, and the page that lists them
//	account.go, account_proof.go, security.go, activity.go  pages of an account
//	sessions.go, sessions_agent.go, tokens*.go  the sessions and tokens of a user
//	jobs.go, requests.go   jobs and agents that act for a user, and requests for tokens
//	admin*.go              pages of administrators
//	details.go, outcome.go, phrases*.go  texts of errors, refusals and the audit log, in a language
package pages

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// AdminGroup is the group whose members see the pages of administrators.
const AdminGroup = account.AdminGroup

// Caller calls the REST API on behalf of the browser that sent r: with its session, its address and its origin, and
// under the id of its request. Package internal/api documents the targets.
type Caller interface {
	// Call sends a request to the API, such as GET /api/v1/users/me, with in as its body unless nil, and reads the
	// response into out unless nil. A refusal is returned as the outcome that the API gave, with its detail and the
	// time to wait.
	Call(w *web.Reply, r *http.Request, method, target string, in, out any) error
	// Page is Call with GET for a list that has pages. It returns the target of the next page, or "" on the last.
	Page(w *web.Reply, r *http.Request, target string, out any) (next string, err error)
}

// Config is what New needs.
type Config struct {
	Issuer   config.Issuer
	Services []Service
	Logo     []byte // file of issuer.brand.logo; nil: none

	Upstreams []Upstream // at which users sign in, in the order of their buttons

	// Managers are the users who manage others, here or at a service; nil: no more is required of them than of others.
	Managers *signin.Managers

	MinPassword int // characters of a new password

	Party *passkey.Party // that passkeys are for; nil: browsers allow none here
	Mail  bool           // users get mail

	Logins   *signin.Logins
	Sessions *session.Sessions
	Accounts *account.Accounts
	Clients  *client.Clients // nil: no page names a relying party
	Targets  []signin.Target // the services that tokens of relying parties can be for
	Tickets  *ticket.Tickets
	Invites  *invite.Invites
	API      Caller
	Now      func() time.Time
	Log      *slog.Logger
}

// Service is a service that pages name.
type Service struct {
	Name string
	URL  string // where browsers reach it, or ""
	// Origins are all addresses that browsers use for it; nil: no user signs in there by the issuer.
	Origins func() []string
}

// Pages is the pages. It is safe for concurrent use.
type Pages struct {
	Config
	assets     assets
	languages  []*language
	templates  map[string]map[string]lazyTemplate // by language and name
	cookie     web.Cookie
	langCookie web.Cookie
	// browserCookie is what a sign-in at another provider, and a ceremony with a passkey, is bound to.
	browserCookie web.Cookie
	deviceCookie  web.Cookie    // by which a browser is recognised at the next sign-in
	factorCookie  web.Cookie    // has the ticket of a sign-in that awaits its second factor
	issuer        *gate.Service // reads the cookie

	prerendered prerendered
	matched     matched
}

// New returns the pages for a configuration that has been checked.
func New(c Config) (*Pages, error) {
	if c.Now == nil {
		c.Now = time.Now
	}

	p := &Pages{
		Config:     c,
		cookie:     c.Issuer.SessionCookie(),
		langCookie: web.Cookie{Name: languageCookie, PlainHTTP: c.Issuer.PlainHTTP},
		// No service has a dot in its name, so none has a session cookie of this name.
		browserCookie: web.Cookie{Name: c.Issuer.SessionCookie().Name + ".with", PlainHTTP: c.Issuer.PlainHTTP},
		deviceCookie:  web.Cookie{Name: c.Issuer.SessionCookie().Name + ".device", PlainHTTP: c.Issuer.PlainHTTP},
		factorCookie:  web.Cookie{Name: c.Issuer.SessionCookie().Name + ".factor", PlainHTTP: c.Issuer.PlainHTTP},
		matched:       matched{lists: map[string]*language{}},
	}

	p.issuer = &gate.Service{
		Name:    config.IssuerName,
		Readers: []gate.Reader{gate.Cookie{Cookie: p.cookie, Sessions: c.Sessions}},
	}

	var err error
	p.assets, err = newAssets(c.Issuer.Brand, c.Logo)
	if err != nil {
		return nil, fmt.Errorf("issuer.brand: %w", err)
	}

	p.languages, err = languages()
	if err != nil {
		return nil, err
	}

	p.templates, err = p.parse()
	if err != nil {
		return nil, err
	}

	return p, nil
}

// Owns reports whether a path belongs to the pages where their address is shared with services.
func (p *Pages) Owns(path string) bool { return config.IsPagePath(path) }

// Routes returns the routes of the pages.
func (p *Pages) Routes() []web.Route {
	routes := []web.Route{
		{Pattern: "GET /{$}", Access: policy.Open, Handle: p.start},
		{Pattern: "GET /.well-known/change-password", Access: policy.Open, Handle: p.changePassword},
		{Pattern: "GET " + passkeyEndpointsPath, Access: policy.Open, Handle: p.passkeyEndpoints},
		{Pattern: "GET " + assetsPath + "{hash}/{name}", Access: policy.Open, Handle: p.asset},
	}
	routes = append(routes, p.signInRoutes()...)
	routes = append(routes, p.upstreamRoutes()...)
	routes = append(routes, p.connectionRoutes()...)
	routes = append(routes, p.passkeyRoutes()...)
	routes = append(routes, p.factorRoutes()...)
	routes = append(routes, p.accountRoutes()...)
	routes = append(routes, p.adminRoutes()...)

	for i := range routes {
		if routes[i].Refuse == nil {
			routes[i].Refuse = p.Fail
		}
	}

	return routes
}

// start answers GET /: the page that users come for is their account.
func (p *Pages) start(w *web.Reply, _ *http.Request) error { return see(w, "/account") }

// changePassword answers GET /.well-known/change-password, where password managers send users (W3C, A Well-Known URL
// for Changing Passwords).
func (p *Pages) changePassword(w *web.Reply, _ *http.Request) error {
	w.Header().Set("Location", "/account/security")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusFound)

	return nil
}

// passkeyEndpointsPath is where password managers look for the pages of passkeys.
const passkeyEndpointsPath = "/.well-known/passkey-endpoints"

// passkeyEndpoints answers GET /.well-known/passkey-endpoints (W3C, A Well-Known URL for Relying Party Passkey
// Endpoints), or returns jeton.ErrNotFound where there are no passkeys.
func (p *Pages) passkeyEndpoints(w *web.Reply, _ *http.Request) error {
	if p.Party == nil {
		return jeton.ErrNotFound
	}
	page := p.Issuer.URL + passkeysPath

	return web.JSON(w, http.StatusOK, map[string]string{"enroll": page, "manage": page})
}

// see sends a browser to another page of ours with GET. The path is one that this package has made.
func see(w *web.Reply, path string) error {
	w.Header().Set("Location", path)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)

	return nil
}

// live returns the session that a request shows if it can be used now, or nil. It records nothing, and does not keep an
// idle session alive.
func (p *Pages) live(w *web.Reply, r *http.Request) (*session.Live, error) {
	// Most of those who ask for a page before an account show none.
	_, shown := p.cookie.Find(r.Header)
	if shown == 0 {
		return nil, nil
	}

	live, err := gate.ShownSession(w, r, p.issuer)
	if live != nil && live.Check(w.Start) == nil {
		return live, nil
	}

	if undecided(err) {
		return nil, err
	}

	return nil, nil
}

// service returns a service of the configuration by its name.
func (p *Pages) service(name string) (Service, bool) {
	for _, s := range p.Services {
		if s.Name == name {
			return s, true
		}
	}

	return Service{}, false
}
