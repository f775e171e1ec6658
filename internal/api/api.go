// Package api is the REST API: users, sessions, tokens, clients, signing keys and the audit log, as JSON.
//
// One table has the routes of three places. On the control socket every caller is an operator:
// the permissions of the data directory decide who may connect. Over HTTPS, internal/gate
// checks every request first. At a service, users see and change only themselves, and admins
// manage every user. At the authorization server, whose pages call it, admins manage all that
// operators do, short of secrets and backups. No answer contains a password or its hash.
//
// The members of a user, token or session are the types of package jeton; package account
// fills a jeton.User.
//
// The OpenAPI document is generated from the same table. The package that holds the thing,
// such as internal/account or internal/token, decides what a request may do; internal/server
// mounts the routes.
//
// # Files
//
//	api.go                                     the API, and who calls it
//	routes.go, table.go                        the route table, who may use a row, fallbacks
//	docs.go, docs_clients.go, docs_factors.go  what the documentation says about each route
//	openapi.go, page.go                        the document (OpenAPI 3.1) and the page made of it
//	query.go                                   numbers, times and flags of a query
//	cursor.go                                  pages of lists
//	etag.go                                    conditional changes
//	users.go                                   listing, adding, changing and removing users
//	user_settings.go                           passwords, groups, disabling, and more logins
//	recover.go                                 a link that sets a password
//	identities.go                              accounts of users at other providers
//	factors.go                                 passkeys and codes of users
//	proof.go                                   a recent proof, for tokens and changes of one's own account
//	signin.go                                  login and logout
//	sessions.go                                listing and ending sessions
//	invitations.go                             invitations
//	import.go                                  importing and exporting users
//	tokens.go                                  creating, rotating and revoking tokens
//	tokenrequests.go                           tokens that software asks a user for
//	tokentest.go                               what a token may do, tried without using it
//	tokenfactors.go                            the proof that services require of who gets their token
//	check.go                                   a request judged without sending it, for 'jeton check'
//	clients.go                                 clients and their keys
//	claims.go                                  what a relying party would learn of a user
//	applications.go                            relying parties that a user has allowed
//	services.go                                services and their routes
//	keys.go                                    signing keys
//	audit.go                                   the audit log, and why a request was refused
//	mail.go                                    a mail to try the settings
//	overview.go                                nodes, database and counts, for the page of admins
//	status.go                                  status, statistics, backup
//	config.go                                  the loaded configuration, and reloading it
//
// A new route is a row in routes.go, its text in docs.go, and a handler that reads, decides and
// answers.
package api

import (
	"context"
	"io"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// API answers at one place: the control socket, the authorization server, or a service. It is safe for concurrent use.
type API struct {
	Config
}

// Config is what New needs.
type Config struct {
	Accounts *account.Accounts
	Clients  *client.Clients
	Sessions *session.Sessions
	Tokens   *token.Tokens
	Keys     *keys.Ring
	Audit    *audit.Log
	Gate     *gate.Gate
	Logins   *signin.Logins
	Factors  *factor.Factors
	Invites  *invite.Invites

	Approvals *approval.Approvals

	// Audiences returns the audiences of tokens for services with these names.
	Audiences func(services []string) ([]string, error)
	// Requires returns how a user has to be proved who gets the secret of a token for services, by name or audience;
	// nil: no more than for any token.
	Requires func(ctx context.Context, services []string, user jeton.Principal) (policy.Require, error)
	// Scopes returns the scopes that a user has at one of the services at least.
	Scopes func(services []string, user jeton.Principal) []string
	// Route returns the request to judge for a method and an address of a service, or for a path and the name of the
	// service. It returns jeton.ErrNotFound if there is no such service or route. nil: no server is running.
	Route func(method, service string, u *url.URL) (*gate.Request, error)
	// ServicesOf returns the services of the configuration with their routes.
	ServicesOf func() []Service
	// LinkURL returns the address of a link that signs a user in; nil: there are no pages.
	LinkURL func(secret jeton.Secret) string
	// RecoveryURL returns the address of a link that sets a password; nil: there are no pages.
	RecoveryURL func(secret jeton.Secret) string
	// InviteURL returns the address of the page of an invitation; nil: there are no pages.
	InviteURL func(secret jeton.Secret) string
	// ProviderOf returns the name of the provider of an issuer, or "" for one that is not configured; nil: none is.
	ProviderOf func(issuer string) string
	// Node returns the state of this process and its database.
	Node func(ctx context.Context) Node
	// Counts counts what is stored. It may answer from memory.
	Counts func(ctx context.Context) (Counts, error)
	// CursorKey is a secret that is the same on every node and after a restart.
	CursorKey []byte

	Prefix   string // of every path, as in /api/v1
	PageSize int    // of a list of users, unless the request says otherwise

	// Operator makes every caller an operator: on the control socket.
	Operator bool
	Status   func() Status
	// TestMail sends a mail to an address at once.
	TestMail func(ctx context.Context, to string) error
	// Ready returns why the server should get no requests; nil: no server is running.
	Ready func(ctx context.Context) error
	// Loaded returns the loaded configuration and what its file would change; nil: no server is running.
	Loaded func() (LoadedConfig, error)
	// Reload reads the configuration file again and applies it; nil: no server is running.
	Reload func(ctx context.Context) error
	// Backup writes everything that the server keeps, as of one moment.
	Backup func(ctx context.Context, to io.Writer) error

	// Issuer makes the place the authorization server, where admins manage everything and users see what they have
	// at all services. Callers prove themselves by the sign-in session.
	Issuer    bool
	IssuerURL string // of the authorization server, for the documentation; "": there is none

	// Over HTTPS:

	Service     config.Service
	Readers     *gate.Service  // of the credentials at the service
	Accepts     policy.Kinds   // credentials that callers may show
	Require     policy.Require // how users have to be proved
	Terms       policy.Terms   // of a login
	LoginAllow  *policy.Allow  // users that may log in; nil: all
	Admins      policy.Allow   // callers that manage every user
	AllAdmins   bool           // every caller manages every user
	OwnUsers    bool           // new users are valid at this service only, and others are not managed
	AnyPassword bool           // new users may have a weak password
}

// IssuerPrefix is the prefix at the authorization server.
const IssuerPrefix = "/api/v1"

// PageSize is how many users a page has by default.
const PageSize = 100

// New returns the API for a configuration that has been checked.
func New(c Config) *API { return &API{c} }

// caller is who sent a request, and what it may do.
type caller struct {
	jeton.Principal // zero: not authenticated
	decision        gate.Decision
	operator        bool
	admin           bool          // manages every user
	shown           session.Proof // by what the body of the request has beside the credential; zero: nothing
}

// caller returns who sent a request, as the gate has decided.
func (a *API) caller(w *web.Reply) caller {
	d := gate.From(w)
	c := caller{Principal: d.Principal(), decision: d, operator: a.Operator}
	// Decided for each request: who is an admin may change while a session lives.
	c.admin = c.operator || a.AllAdmins || a.Admins.Check(c.Principal) == nil

	return c
}

// actor names the caller in the audit log.
func (c caller) actor() string {
	switch {
	case c.operator:
		return "operator"
	case c.IsZero():
		return "anonymous"
	}

	return gate.Actor(c.Principal)
}

// account returns the user that the caller is, or jeton.ErrNotFound if it is none.
func (a *API) account(ctx context.Context, c caller) (account.Account, error) {
	// A client with the name of a user is not that user.
	if c.operator || c.Kind != jeton.KindUser {
		return account.Account{}, jeton.ErrNotFound
	}

	return a.Accounts.Find(ctx, c.Name)
}

// event returns an audit event of a request that succeeded.
func (a *API) event(w *web.Reply, c caller, action, target string) jeton.Event {
	return jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   c.actor(),
		Action:  action,
		Target:  target,
		Service: a.Service.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}
}
