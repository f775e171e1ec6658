package api

import "github.com/jeton-auth/jeton"

// byName says how operators name a user.
const byName = "Operators give the name in place of the id."

// besideCode says what a user with a second factor gives.
const besideCode = "A user with an authenticator app gives a code of it with current_password, in code."

// The parameter kind of tokens.
const (
	kindText  = "personal, approved, leased (of running jobs) or exchanged: only tokens of this kind."
	kindsText = "access, personal, approved, leased (of running jobs) or exchanged: only tokens of this kind. " +
		"May be repeated."
)

// docs documents the routes by their patterns.
var docs = map[string]Doc{
	"GET /status": {
		Summary: "Whether the API answers. Operators also get the version, the process and the services.",
		Out:     Status{},
		Status:  200,
	},
	"GET /stats": {Summary: "Count the users.", Out: Stats{}, Status: 200},
	"GET /unauthorized": {
		Summary: "Always refuse for lack of a credential.",
		Fails:   []int{401},
	},
	"GET /forbidden": {
		Summary: "Always refuse for lack of permission.",
		Fails:   []int{403},
	},
	"GET /openapi.json": {Summary: "Get this document (OpenAPI 3.1).", Out: map[string]any{}, Status: 200},
	"GET /docs": {
		Summary: "Get this document as a page.",
		Media:   "text/html",
		Status:  200,
	},

	"POST /auth_session/login":    logInDoc,
	"POST /auth_session":          logInDoc,
	"DELETE /auth_session/logout": logOutDoc,
	"POST /auth_session/logout":   logOutDoc,
	"DELETE /auth_session":        logOutDoc,

	"GET /users": {
		Summary: "List the users in the order in which they were created. The header Link has the next page.",
		Query: []Param{
			{"limit", "Users per page, 1 to 1000. Default: 100; operators get all."},
			{"cursor", "Start of the page, from the header Link."},
			{"search", "Part of a name or an email address. Reads every user."},
			{"prefix", "Beginning of a name or an email address, in place of search: first those by name, in the " +
				"order of the names, then those by address. Not at services with users of their own."},
		},
		Out:    []jeton.User{},
		Status: 200,
		Fails:  []int{400},
	},
	"POST /users": {
		Summary: "Create a user.",
		In:      NewUser{},
		Out:     jeton.User{},
		Status:  201,
		Fails:   []int{409},
	},
	"GET /users/me": {
		Summary: "Get the calling user.",
		Out:     UserDetails{},
		Status:  200,
		Fails:   []int{404},
	},
	"PUT /users/me": {
		Summary: "Change the calling user. Absent members stay as they are. A new password needs " +
			"current_password and ends all sessions, and all tokens unless keep_tokens is true. " +
			"A new email needs current_password, or of a user without a password a login not older than 10 minutes. " +
			"Where mail is sent, it counts once the link of a mail to it was used: the answer is 202 with " +
			"pending_email. An empty pending_email cancels that. " + besideCode,
		In:     SelfChange{},
		Out:    UserDetails{},
		Status: 200,
		Fails:  []int{404, 409, 412},
	},
	"GET /users/{id}": {
		Summary: "Get a user. Non-admins can only get themselves; other ids return 404. " + byName,
		Out:     UserDetails{},
		Status:  200,
		Fails:   []int{404},
	},
	"PUT /users/{id}": {
		Summary: "Change a user. Absent members stay as they are; a new password ends all sessions and tokens. " +
			"For yourself, see PUT /users/me.",
		In:     UserChange{},
		Out:    UserDetails{},
		Status: 200,
		Fails:  []int{404, 409, 412},
	},
	"DELETE /users/{id}": {
		Summary: "Remove a user with all sessions and tokens.",
		Status:  204,
		Fails:   []int{404, 409, 412},
	},
	"PUT /users/{name}/password": {
		Summary: "Set a user's password. All sessions and tokens of the user end.",
		In:      NewPassword{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"PUT /users/{name}/disabled": {
		Summary: "Disable a user, which ends all sessions and tokens, or enable it.",
		In:      Disabled{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"PUT /users/{name}/groups": {
		Summary: "Set the groups of a user.",
		In:      Groups{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"POST /users/{id}/allow-login": {
		Summary: "Forget a user's logins at a service, so that the user can log in again whatever the terms. " + byName,
		In:      AllowLogin{},
		Status:  204,
		Fails:   []int{404},
	},
	"POST /users/{id}/end-tokens": {
		Summary: "Revoke all tokens of a user, or those of one kind. Sessions stay. " + byName,
		Query:   []Param{{"kind", kindText}},
		Status:  204,
		Fails:   []int{404},
	},
	"POST /users/import": {
		Summary: "Import up to 500 users. A refused user does not keep the others out.",
		In:      Import{},
		Out:     Verdicts{},
		Status:  200,
	},
	"GET /users/export": {
		Summary: "Export users with the hashes of their passwords.",
		Query: []Param{
			{"after", "The member next of the previous page."},
			{"limit", "Users per page, 1 to 500. Default: 500."},
		},
		Out:    Exported{},
		Status: 200,
		Fails:  []int{400},
	},

	"GET /users/me/sessions": {
		Summary: "List the calling user's sessions, newest first.",
		Query: []Param{
			{"limit", "Sessions per page, 1 to 1000. Default: 1000."},
			{"cursor", "From the header Link of the previous page."},
		},
		Out:    []OwnSession{},
		Status: 200,
		Fails:  []int{400},
	},
	"DELETE /users/me/sessions": {
		Summary: "End the calling user's other sessions.",
		Query:   []Param{{"current", "true also ends the session that the request was sent with."}},
		Status:  204,
		Fails:   []int{400},
	},
	"DELETE /users/me/sessions/{session}": {
		Summary: "End one of the calling user's sessions.",
		Status:  204,
		Fails:   []int{404},
	},
	"GET /users/{id}/impact": {
		Summary: "Count the sessions and tokens that end when the user is disabled or removed. " + byName,
		Out:     Impact{},
		Status:  200,
		Fails:   []int{404},
	},
	"POST /users/{id}/recovery-link": recoveryLinkDoc,
	"POST /users/{id}/sign-in-link": {
		Summary: "Create a link that signs the user in once, within an hour. An earlier link ends. " +
			"The session is not proved by a password. " + byName,
		Out:    SignInLink{},
		Status: 201,
		Fails:  []int{404, 409},
	},
	"GET /overview": {
		Summary: "Get the state of the process that answers, of the database and its nodes, and how much is stored.",
		Out:     Overview{},
		Status:  200,
		Fails:   []int{404},
	},
	"GET /users/me/identities": {Summary: "List own accounts at other providers.", Out: []Identity{}, Status: 200},
	"DELETE /users/me/identities": {
		Summary: "Disconnect the calling user's account at another provider, and end its sessions. Needs a proof.",
		Query:   []Param{{"issuer", "Issuer of the provider. Required."}},
		Status:  204,
		Fails:   []int{400, 403, 404, 409},
	},
	"GET /users/{id}/identities": {
		Summary: "List the accounts at other providers that the user signs in with. " + byName,
		Out:     []Identity{},
		Status:  200,
		Fails:   []int{404},
	},
	"DELETE /users/{id}/identities": {
		Summary: "Disconnect the user's account at another provider. The sessions that began with it end. " + byName,
		Query:   []Param{{"issuer", "Issuer of the provider. Required."}},
		Status:  204,
		Fails:   []int{400, 404, 409},
	},
	"GET /users/me/services": {
		Summary: "List the services at which the calling user may log in, with the scopes of the user there.",
		Out:     []OwnService{}, Status: 200,
	},
	"GET /users/me/applications": {
		Summary: "List the relying parties at which the calling user signs in, with what they may learn.",
		Out:     []jeton.Application{}, Status: 200,
	},
	"DELETE /users/me/applications/{client}": {
		Summary: "End what a relying party may do for the calling user: its tokens end, and it asks again.",
		Status:  204, Fails: []int{404},
	},
	"GET /users/me/events": {
		Summary: "List what the calling user did, and what was done to it, newest first. The header Link leads to " +
			"the events before.",
		Query: []Param{
			{"limit", "Events per page, 1 to 1000. Default: 100."},
			{"before", "Only events before this sequence number."},
		},
		Out:    []OwnEvent{},
		Status: 200,
		Fails:  []int{400},
	},
	"GET /services": {
		Summary: "List the services of the configuration with their routes.",
		Out:     []Service{},
		Status:  200,
	},
	"GET /services/{name}": {
		Summary: "Get a service of the configuration with its routes.",
		Out:     Service{},
		Status:  200,
		Fails:   []int{404},
	},
	"GET /sessions": {
		Summary: "List sessions, newest first.",
		Query: []Param{
			{"id", "Only the session with this id."},
			{"user", "Only sessions of this user."},
			{"service", "Only sessions at this service."},
			{"limit", "Sessions per page, 1 to 1000. Default: 1000."},
			{"cursor", "From the header Link of the previous page."},
		},
		Out:    []jeton.Session{},
		Status: 200,
		Fails:  []int{400},
	},
	"DELETE /sessions": {
		Summary: "End the sessions that the query chooses. At least one parameter is required.",
		Query: []Param{
			{"id", "The session with this id."},
			{"user", "Sessions of this user."},
			{"service", "Sessions at this service."},
			{"all", "With true, and no other parameter: every session of every user."},
		},
		Out:    Ended{},
		Status: 200,
		Fails:  []int{400},
	},

	"GET /users/me/tokens": {
		Summary: "List the calling user's tokens, newest first, without their secrets.",
		Query: []Param{
			{"parent", "Only tokens that derive directly from the token with this accessor."},
			{"kind", kindsText},
			{"limit", "Tokens per page, 1 to 1000. Default: 1000."},
			{"cursor", "From the header Link of the previous page."},
		},
		Out:    []jeton.Token{},
		Status: 200,
		Fails:  []int{400},
	},
	"POST /users/me/tokens": {
		Summary: "Create a personal access token. The secret is returned only here. " +
			"Needs a login not older than 10 minutes, or current_password. " +
			"With token authentication, needs current_password and creates a narrower child token. " + besideCode,
		In:     NewToken{},
		Out:    MadeToken{},
		Status: 201,
	},
	"DELETE /users/me/tokens": {
		Summary: "Revoke all tokens of the calling user, or those of one kind.",
		Query:   []Param{{"kind", kindText}},
		Status:  204,
	},
	"GET /users/me/tokens/{accessor}": {
		Summary: "Get one of the calling user's tokens, without its secret, and how many derive from it.",
		Out:     OneToken{},
		Status:  200,
		Fails:   []int{404},
	},
	"POST /users/me/tokens/{accessor}/test": {
		Summary: "Judge a request without sending it, as if it showed one of the calling user's tokens. " +
			"It takes no use, and is not recorded.",
		In:     TokenTest{},
		Out:    TestedToken{},
		Status: 200,
		Fails:  []int{404},
	},
	"DELETE /users/me/tokens/{accessor}": {
		Summary: "Revoke one of the calling user's tokens and its child tokens.",
		Status:  204,
		Fails:   []int{404},
	},
	"POST /users/me/tokens/{accessor}/rotate": {
		Summary: "Replace the secret of a personal access token. The new secret is returned only here. " +
			"Needs a login not older than 10 minutes, or current_password. A token can rotate only itself. " +
			besideCode,
		In:         Proof{},
		InOptional: true,
		Out:        MadeToken{},
		Status:     200,
		Fails:      []int{404},
	},
	"GET /tokens": {
		Summary: "List the stored tokens, newest first, without their secrets.",
		Query: []Param{
			{"user", "Only tokens of this user."},
			{"client", "Only tokens of this client."},
			{"parent", "Only tokens that derive directly from the token with this accessor."},
			{"kind", kindsText},
			{"limit", "Tokens per page, 1 to 1000. Default: 1000."},
			{"cursor", "From the header Link of the previous page."},
		},
		Out:    []jeton.Token{},
		Status: 200,
		Fails:  []int{400},
	},
	"POST /tokens": {
		Summary: "Create a personal access token for a user or a client. The secret is returned only here.",
		In:      NewToken{},
		Out:     MadeToken{},
		Status:  201,
		Fails:   []int{403, 404},
	},
	"GET /tokens/{accessor}": {
		Summary: "Get a stored token, without its secret, and how many derive from it.",
		Out:     OneToken{},
		Status:  200,
		Fails:   []int{404},
	},
	"DELETE /tokens/{accessor}": {
		Summary: "Revoke a token and its child tokens. Revoking twice is not an error.",
		Status:  204,
	},
	"POST /tokens/{accessor}/rotate": {
		Summary: "Replace the secret of a personal access token. The new secret is returned only here.",
		Out:     MadeToken{},
		Status:  200,
		Fails:   []int{404},
	},

	"GET /keys": {
		Summary: "List the signing keys.",
		Out:     []jeton.SigningKey{},
		Status:  200,
	},
	"POST /keys/rotate": {
		Summary: "Create the next signing keys.",
		In:      Rotation{},
		Out:     []jeton.SigningKey{},
		Status:  200,
	},
	"DELETE /keys/{kid}": {
		Summary: "Revoke a signing key. Revoking twice is not an error.",
		Query:   []Param{{"reason", "Why, for the audit log."}},
		Status:  204,
		Fails:   []int{404},
	},

	"GET /audit": {
		Summary: "List audit events, oldest first.",
		Query: []Param{
			{"after", "Only events after this sequence number."},
			{"before", "Only events before this sequence number."},
			{"last", "Only this many of the newest events. The header Link leads to those before."},
			{"limit", "At most this many, up to 1000. Default: 1000."},
			{"request", "Only events of the request with this id."},
			{"user", "Only events by this user, or about it."},
			{"action", "Only events of this action, such as login."},
			{"service", "Only events of this service."},
			{"outcome", "Only events of this outcome: ok, or the code of a refusal."},
			{"since", "Only events of this time or later."},
			{"until", "Only events before this time."},
		},
		Out:    []jeton.Event{},
		Status: 200,
		Fails:  []int{400},
	},
	"GET /explain/{request}": {
		Summary: "Get the decisions on a request, by its id.",
		Out:     []jeton.Event{},
		Status:  200,
		Fails:   []int{404},
	},
	"POST /check":         checkDoc,
	"POST /mail/test":     mailTestDoc,
	"GET /ready":          readyDoc,
	"GET /config":         readConfigDoc,
	"POST /config/reload": reloadDoc,
	"GET /backup": {
		Summary: "Get a backup of everything that the server keeps, as jeton restore reads it.",
		Media:   "application/octet-stream",
		Status:  200,
	},
}

var (
	logInDoc = Doc{
		Summary: "Log in with a form or JSON. Sets the session cookie.",
		In:      Credentials{},
		Out:     jeton.User{},
		Status:  200,
		Fails:   []int{401, 403},
	}
	logOutDoc = Doc{
		Summary: "Log out: end the session and clear its cookie.",
		Status:  204,
	}
	endTokens = Param{"end_tokens", "true also revokes all tokens of the client."}
)
