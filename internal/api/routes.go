package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// exposure is who may use a route, and where it is served.
type exposure int

const (
	operator exposure = iota // operators, on the control socket alone
	everyone                 // everybody, without a credential
	signIn                   // everybody; sets or reads the session cookie of a service
	subject                  // every authenticated caller, and operators
	user                     // users, about themselves
	member                   // users about themselves, admins about every user, and operators
	admin                    // admins and operators
	owner                    // users about themselves, at the issuer alone
	manager                  // admins at the issuer, and operators
)

// String describes the exposure in the documentation.
func (e exposure) String() string {
	return [...]string{
		"operators, on the control socket",
		"everybody",
		"everybody",
		"every authenticated caller; operators",
		"users",
		"users for themselves, admins for every user; operators",
		"admins; operators",
		"users, at the issuer",
		"admins, at the issuer; operators",
	}[e]
}

// route is a row of the route table. Its documentation is in docs.go.
type route struct {
	pattern  string // the path is below the prefix
	exposure exposure
	handle   func(w *web.Reply, r *http.Request, c caller) error
}

// routes is the route table of the API. A test compares it with testdata, so that a change
// of exposure shows in a review.
func (a *API) routes() []route { return slices.Concat(a.userRoutes(), a.credentialRoutes()) }

// userRoutes are the routes of users, their logins and their sessions.
func (a *API) userRoutes() []route {
	return []route{
		{"GET /status", everyone, a.status},
		{"GET /stats", subject, a.stats},
		{"GET /unauthorized", everyone, unauthorized},
		{"GET /forbidden", everyone, forbidden},

		{"POST /auth_session/login", signIn, a.login},
		{"DELETE /auth_session/logout", signIn, a.logout},
		{"POST /auth_session/logout", signIn, a.logout},
		{"POST /auth_session", signIn, a.login},
		{"DELETE /auth_session", signIn, a.logout},

		{"GET /users", admin, a.listUsers},
		{"POST /users", admin, a.createUser},
		{"GET /users/me", user, a.readSelf},
		{"PUT /users/me", user, a.updateSelf},
		{"GET /users/{id}", member, a.readUser},
		{"PUT /users/{id}", member, a.updateUser},
		{"DELETE /users/{id}", admin, a.removeUser},
		{"PUT /users/{name}/password", operator, a.setPassword},
		{"PUT /users/{name}/disabled", operator, a.setDisabled},
		{"PUT /users/{name}/groups", operator, a.setGroups},
		{"POST /users/{id}/allow-login", manager, a.allowLogin},
		{"POST /users/{id}/end-tokens", manager, a.endTokens},
		{"POST /users/import", operator, a.importUsers},
		{"GET /users/export", operator, a.exportUsers},
		{"GET /users/me/sessions", user, a.listOwnSessions},
		{"DELETE /users/me/sessions", user, a.endOtherSessions},
		{"DELETE /users/me/sessions/{session}", user, a.endOwnSession},
		{"GET /users/{id}/impact", manager, a.impact},
		{"POST /users/{id}/sign-in-link", manager, a.signInLink},
		{"POST /users/{id}/recovery-link", manager, a.recoveryLink},
		{"GET /invitations", manager, a.listInvitations},
		{"POST /invitations", manager, a.createInvitation},
		{"DELETE /invitations/{id}", manager, a.endInvitation},
		{"GET /overview", manager, a.overview},
		{"GET /users/me/identities", owner, a.listOwnIdentities},
		{"DELETE /users/me/identities", owner, a.removeOwnIdentity},
		{"GET /users/{id}/identities", manager, a.listIdentities},
		{"DELETE /users/{id}/identities", manager, a.removeIdentity},
		{"GET /users/me/factors", owner, a.listOwnFactors},
		{"POST /users/me/factors", owner, a.addOwnFactor},
		{"POST /users/me/factors/{factor}/confirm", owner, a.confirmOwnFactor},
		{"PUT /users/me/factors/{factor}", owner, a.renameOwnFactor},
		{"DELETE /users/me/factors/{factor}", owner, a.removeOwnFactor},
		{"POST /users/me/recovery-codes", owner, a.newRecoveryCodes},
		{"GET /users/{id}/factors", manager, a.listFactors},
		{"DELETE /users/{id}/factors", manager, a.resetFactors},
		{"PUT /users/{id}/factors/{factor}", manager, a.renameFactor},
		{"GET /users/me/services", owner, a.listOwnServices},
		{"GET /users/me/events", owner, a.listOwnEvents},
		{"GET /users/me/applications", owner, a.listOwnApplications},
		{"DELETE /users/me/applications/{client}", owner, a.endOwnApplication},
		{"GET /services", manager, a.listServices},
		{"GET /services/{name}", manager, a.readService},
		{"GET /sessions", manager, a.listSessions},
		{"DELETE /sessions", manager, a.endSessions},
	}
}

// credentialRoutes are the routes of tokens, clients, keys and the audit log.
func (a *API) credentialRoutes() []route {
	return []route{
		{"GET /users/me/tokens", user, a.listOwnTokens},
		{"POST /users/me/tokens", user, a.createOwnToken},
		{"DELETE /users/me/tokens", user, a.endOwnTokens},
		{"GET /users/me/tokens/{accessor}", user, a.readOwnToken},
		{"POST /users/me/tokens/{accessor}/test", owner, a.testOwnToken},
		{"DELETE /users/me/tokens/{accessor}", user, a.revokeOwnToken},
		{"POST /users/me/tokens/{accessor}/rotate", user, a.rotateOwnToken},
		{"GET /users/me/token-requests", owner, a.listOwnRequests},
		{"POST /users/me/token-requests/{request}/approve", owner, a.approveOwnRequest},
		{"POST /users/me/token-requests/{request}/deny", owner, a.denyOwnRequest},
		{"GET /token-requests", operator, a.listRequests},
		{"POST /token-requests/{request}/approve", operator, a.approveRequest},
		{"POST /token-requests/{request}/deny", operator, a.denyRequest},
		{"GET /tokens", manager, a.listTokens},
		{"POST /tokens", operator, a.createToken},
		{"GET /tokens/{accessor}", manager, a.readToken},
		{"DELETE /tokens/{accessor}", manager, a.revokeToken},
		{"POST /tokens/{accessor}/rotate", operator, a.rotateToken},

		{"GET /clients", manager, a.listClients},
		{"POST /clients", manager, a.createClient},
		{"GET /clients/{name}", manager, a.readClient},
		{"GET /clients/{name}/claims", manager, a.previewClaims},
		{"DELETE /clients/{name}", manager, a.removeClient},
		{"PUT /clients/{name}/disabled", manager, a.setClientDisabled},
		{"PUT /clients/{name}/terms", manager, a.setClientTerms},
		{"PUT /clients/{name}/addresses", manager, a.setClientAddresses},
		{"POST /clients/{name}/secret", manager, a.newClientSecret},
		{"DELETE /clients/{name}/secret", manager, a.removeClientSecret},
		{"POST /clients/{name}/end-tokens", manager, a.revokeClientTokens},
		{"POST /clients/{name}/keys", manager, a.addClientKey},
		{"DELETE /clients/{name}/keys/{kid}", manager, a.retireClientKey},

		{"GET /keys", manager, a.listKeys},
		{"POST /keys/rotate", manager, a.rotateKeys},
		{"DELETE /keys/{kid}", manager, a.revokeKey},

		{"GET /audit", manager, a.listEvents},
		{"GET /explain/{request}", manager, a.explain},
		{"POST /check", operator, a.check},
		{"GET /backup", operator, a.backup},
		{"POST /mail/test", operator, a.testMail},
		{"GET /ready", operator, a.ready},
		{"GET /config", operator, a.readConfig},
		{"POST /config/reload", operator, a.reload},
	}
}

// Table returns the routes of this place with the documentation of all. Those that are not served
// here have a zero Access.
func (a *API) Table() Table {
	t := Table{
		Title:       "Jeton API",
		Prefix:      a.Prefix,
		Schemes:     a.schemes(),
		Refuse:      a.refuse,
		Refusal:     problem{},
		RefusalType: "application/problem+json",
	}
	if a.Service.Name != "" {
		t.Title = "API of " + a.Service.Name
	}

	for _, rt := range a.routes() {
		t.Operations = append(t.Operations, Operation{
			Pattern:   rt.pattern,
			Access:    a.access(rt.exposure),
			Handle:    a.bind(rt),
			For:       rt.exposure.String(),
			Doc:       docOf(rt.pattern),
			exposure:  rt.exposure,
			elsewhere: a.elsewhere(rt.exposure),
		})
	}

	return t
}

// access returns who the gate lets use a route of this place. Zero: it is not served here.
func (a *API) access(e exposure) policy.Access {
	// A row that no case below names needs a credential: a forgotten one is not open.
	proved := policy.Authenticated(a.Accepts)
	proved.Require = a.Require
	proved.Managers = !a.AllAdmins && (e == member || e == admin || e == manager)

	switch {
	case a.Operator && (e == signIn || e == user || e == owner), !a.Operator && e == operator:
		return policy.Access{}
	case !a.Operator && !a.Issuer && (e == owner || e == manager):
		return policy.Access{}
	case a.Operator:
		return policy.Operator
	case e == everyone || e == signIn:
		return policy.Open
	case e == user || e == owner:
		proved.Allow = &policy.Allow{AnyUser: true}
	case e == member:
		proved.Allow = &policy.Allow{AnyUser: true, Clients: a.Admins.Clients}
	case e == admin || e == manager:
		proved.Allow = &a.Admins
	}

	return proved
}

// bind returns the handler of a route as the server calls it.
func (a *API) bind(rt route) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		c := a.caller(w)
		if c.decision.Free() {
			// A HEAD that took no use must not return what a use pays for.
			w.WriteHeader(http.StatusOK)
			return nil
		}

		// A request without a credential changes nothing of a user's, but a login sets the cookie.
		if c.decision.Credential() != nil || rt.exposure == signIn {
			if err := c.sameOrigin(w, r); err != nil {
				return err
			}
		}

		// An admin is asked for the password now and then: what an admin changes is worth more than a session.
		if a.Issuer && !c.operator && (rt.exposure == admin || rt.exposure == manager) && r.Method != http.MethodGet {
			if err := a.requireRecent(w, r, c); err != nil {
				return err
			}
		}

		return rt.handle(w, r, c)
	}
}

// elsewhere returns the OpenAPI servers of a route that is not served here, or nil.
func (a *API) elsewhere(e exposure) []object {
	switch {
	case e == operator:
		return controlServer
	case (e == owner || e == manager) && !a.Issuer && a.IssuerURL != "":
		return []object{{"url": a.IssuerURL + IssuerPrefix, "description": "The authorization server"}}
	case e == manager && !a.Issuer:
		return controlServer
	}

	return nil
}

// sameOrigin refuses a change that another site makes a browser send. Browsers attach cookies by themselves, and Basic
// credentials too, also when the password is a token; they never attach a Bearer token. One that did not authenticate
// the caller, beside a cookie that did, excuses nothing.
func (c caller) sameOrigin(w *web.Reply, r *http.Request) error {
	_, bearer, err := web.Authorization(r.Header, "Bearer")
	if err == nil && bearer && c.Token != "" {
		return nil
	}

	return web.SameOrigin(w, r)
}

// problem is the body of a refusal: problem details (RFC 9457), and a member that older clients read.
type problem struct {
	jeton.Problem
	Error string `json:"error" jsonschema:"The same as title"`
}

// refuse answers an error.
func (a *API) refuse(w *web.Reply, r *http.Request, err error) {
	challenge := web.Challenge{Realm: a.Service.Name, Schemes: a.Accepts, Login: a.Prefix + "/auth_session/login"}
	challenge.Set(w, r, err)

	p := web.Mark(w, err)
	body, err := json.Marshal(problem{p, p.Title})
	if err != nil {
		body = []byte("{}")
	}

	write(w, p.Status, "application/problem+json", append(body, '\n'))
}

// schemes are the credentials that callers may show, as OpenAPI describes them.
func (a *API) schemes() map[string]any {
	s := map[string]any{}
	if a.Accepts&policy.BySession != 0 {
		s["session"] = object{"type": "apiKey", "in": "cookie", "name": a.Service.Session.Cookie}
	}
	if a.Accepts&policy.ByToken != 0 {
		s["token"] = object{"type": "http", "scheme": "bearer"}
	}
	if a.Accepts&policy.ByPassword != 0 {
		s["basic"] = object{"type": "http", "scheme": "basic"}
	}

	return s
}
