package config

import (
	"github.com/jeton-auth/jeton/internal/web"

	"go.yaml.in/yaml/v4"
)

// Service is one thing that is protected.
type Service struct {
	Name       string       `yaml:"name" required:"true" doc:"Name of the service. Sessions and counts belong to it."`
	Listen     string       `yaml:"listen" absent:"another proxy serves url and asks at forward.listen" doc:"Address and port. Services may share one if each has a host."`
	Host       string       `yaml:"host" absent:"any" doc:"Host name that selects this service on a shared address. Requests with other host names are refused (421)."`
	Hosts      []string     `yaml:"hosts" absent:"none" doc:"Further host names of this service. Localhost, IP addresses and the host in listen need no entry. A service without host and hosts accepts every name, except on a loopback address: there a web page could send requests by a name of its own (DNS rebinding)."`
	URL        string       `yaml:"url" absent:"each host name with the port of listen; with trusted_proxies also https:// with port 443" doc:"Address that browsers use for this service, if a proxy has another one: https:// and host, with the path that the proxy removes. Sign-ins return to it. Required without listen, then without a path."`
	TLS        TLS          `yaml:"tls" doc:"Certificate and key. Without it they are made in the data directory."`
	PlainHTTP  bool         `yaml:"plain_http" doc:"Serve without TLS. Logged at start-up."`
	Login      Login        `yaml:"login" doc:"How users log in."`
	Logout     string       `yaml:"logout" absent:"no logout" doc:"Path that ends the session (POST)."`
	Session    Session      `yaml:"session" doc:"Terms of sessions."`
	Accept     []string     `yaml:"accept" enum:"session,token,basic" absent:"session if there is a login, token if there are tokens" doc:"Credentials that routes accept: session, token, basic (name and password in every request)."`
	Tokens     *Tokens      `yaml:"tokens" absent:"the service accepts no tokens" doc:"Terms of access tokens for this service."`
	UserScopes []UserScopes `yaml:"user_scopes" absent:"users have no scopes" doc:"Scopes that users' tokens may have here. Judged when a token is created and at each request."`
	Require    *Require     `yaml:"require" absent:"any credential that is accepted" doc:"How users have to be proved at every route that is not open. A route can require more, not less."`
	CountBy    string       `yaml:"count_by" default:"user" enum:"user,credential" doc:"What session.max_uses and the max_uses of routes count. user: all credentials of a user here together, from one login to the next. credential: each session and each token by itself. Tokens of clients are always counted by themselves."`
	Relogin    Relogin      `yaml:"relogin" doc:"When the same user may log in again."`
	Teaching   *Teaching    `yaml:"teaching" absent:"off" doc:"Insecure options for teaching clients. Each is logged at start-up."`
	UsersAPI   *UsersAPI    `yaml:"users_api" absent:"not served" doc:"The API of users, sessions and tokens, served by this service."`
	Paths      Paths        `yaml:"upstream_paths" doc:"How the upstreams of the service read the path of a request. Routes are matched with what they read."`
	Routes     []Route      `yaml:"routes" absent:"none" doc:"What the service serves."`
}

// UserScopes gives scopes to users.
type UserScopes struct {
	Scopes []string    `yaml:"scopes" required:"true" doc:"Names of scopes."`
	Allow  *AllowUsers `yaml:"allow" absent:"every user" doc:"Users who have them."`
}

// AllowUsers lists users who are allowed. Being in one of the lists is enough; empty lists allow
// no one.
type AllowUsers struct {
	Users  []string `yaml:"users" absent:"none" doc:"Names of users."`
	Groups []string `yaml:"groups" absent:"none" doc:"Names of groups of users."`
}

// What Service.CountBy may be.
const (
	CountByUser       = "user"
	CountByCredential = "credential"
)

// Login is where a name and a password become a session.
type Login struct {
	Paths         []string `yaml:"paths" absent:"no login" doc:"Paths that accept POST with a name and a password."`
	SignIn        bool     `yaml:"sign_in" doc:"Send browsers without a session to the sign-in page of the issuer, and back. The session ends with the sign-in session at the latest. Scripts and tools get 401 as without it. If there is an issuer, it is on by itself where a route needs a session and the service has no login, no tokens and no accept."`
	UsernameField string   `yaml:"username_field" default:"username" doc:"Form or JSON field with the name."`
	PasswordField string   `yaml:"password_field" default:"password" doc:"Form or JSON field with the password."`
	Token         string   `yaml:"token" absent:"none" doc:"Path that accepts GET with a name and a password (Basic) and returns a signed token, with the terms in tokens. It does not accept a token."`
	Success       string   `yaml:"success" default:"Logged in" doc:"Text of a successful response."`
	Allow         *Allow   `yaml:"allow" absent:"every user" doc:"Users who may log in. Judged at each request as well, whatever the credential."`
}

// Session is the terms of a session.
type Session struct {
	Cookie      string   `yaml:"cookie" absent:"__Host-jeton-NAME, without TLS jeton-NAME, with the name of the service" doc:"Name of the session cookie."`
	IdleTimeout Duration `yaml:"idle_timeout" default:"1h" min:"1ns" doc:"Unused sessions end after this time, or up to a 128th of it earlier, at least a second."`
	Lifetime    Duration `yaml:"lifetime" default:"1d" min:"1ns" doc:"Sessions end this long after login, used or not."`
	MaxSessions int      `yaml:"max_sessions" min:"1" absent:"no limit" doc:"Maximum number of sessions one user may have here."`
	WhenFull    string   `yaml:"when_full" default:"evict_oldest" enum:"evict_oldest,refuse" doc:"What happens at a login when max_sessions is reached."`
	MaxUses     *int64   `yaml:"max_uses" min:"1" absent:"no limit" doc:"Maximum number of requests of one user from one login to the next, over all routes; see count_by."`

	// FormerCookie is the name that the cookie had by default. It is still read. "" if the name is configured.
	FormerCookie string `yaml:"-"`
}

// SessionCookie returns the cookie of the service's sessions.
func (s Service) SessionCookie() web.Cookie {
	return web.Cookie{Name: s.Session.Cookie, Former: s.Session.FormerCookie, PlainHTTP: s.PlainHTTP}
}

// CookieNames returns the names of the cookies of all services and of the authorization server.
func (c *Config) CookieNames() []string {
	var names []string
	if c.Issuer != nil {
		names = append(names, c.Issuer.SessionCookie().Name)
	}

	for _, s := range c.Services {
		names = append(names, s.Session.Cookie)
		if s.Teaching != nil && s.Teaching.Cookies != nil {
			names = append(names, s.Teaching.Cookies.Name, s.Teaching.Cookies.Token, s.Teaching.Cookies.LoginTime)
		}
	}

	return names
}

// Relogin says when a user may log in again.
type Relogin struct {
	MaxLogins int      `yaml:"max_logins" min:"1" absent:"no limit" doc:"Maximum number of logins within the window. Getting a token from login.token is a login, too."`
	Window    Duration `yaml:"window" min:"1ns" absent:"all time, until an operator allows more ('jeton user allow-login')" doc:"Length of the window of max_logins."`
	Cooldown  Duration `yaml:"cooldown" default:"0s" doc:"Minimum time between two logins."`
}

// Paths says how the upstreams of a service read the path of a request.
type Paths struct {
	Case         string `yaml:"case" default:"sensitive" enum:"sensitive,insensitive" doc:"Whether /Admin and /admin are the same: insensitive for Express, IIS and ASP.NET."`
	Slash        string `yaml:"trailing_slash" default:"distinct" enum:"distinct,ignored" doc:"Whether /admin/ and /admin are the same: ignored for Express and Spring before 6."`
	EncodedSlash string `yaml:"encoded_slash" default:"reject" enum:"reject,literal,separator" doc:"What %2F is: refused with 400, part of a name (npm, GitLab, RabbitMQ), or a slash (WSGI, CGI)."`
	Matrix       string `yaml:"matrix_parameters" default:"reject" enum:"reject,literal,ignored" doc:"What ; and the rest of its segment are: refused with 400 where they could change the rule, part of a name, or ignored (Tomcat, Jetty, Spring)."`
}

// Reading returns the reading as the gateway applies it. A value that is invalid is the strictest.
func (p Paths) Reading() web.Paths {
	meanings := map[string]web.Reading{
		"literal":   web.Literal,
		"separator": web.Separator,
		"ignored":   web.Ignored,
	}

	return web.Paths{
		IgnoreCase:   p.Case == "insensitive",
		IgnoreSlash:  p.Slash == "ignored",
		EncodedSlash: meanings[p.EncodedSlash],
		Matrix:       meanings[p.Matrix],
	}
}

// Route is one pattern that a service serves.
type Route struct {
	Match    string    `yaml:"match" required:"true" doc:"Method and path, as in 'GET /reports/{id}' or 'GET /static/{rest...}'. Without a method: every method."`
	Open     bool      `yaml:"open" doc:"Anyone may send requests, with or without a credential."`
	Accept   []string  `yaml:"accept" enum:"session,token,basic" absent:"those of the service" doc:"Credentials that the route accepts: session, token, basic."`
	Scopes   []string  `yaml:"scopes" absent:"none" doc:"Scopes that a token needs, all of them. Sessions have every scope."`
	Allow    *Allow    `yaml:"allow" absent:"every authenticated caller" doc:"Who may send requests."`
	Require  *Require  `yaml:"require" absent:"what the service requires" doc:"How users have to be proved, beside what the service requires."`
	MaxUses  *int64    `yaml:"max_uses" min:"1" absent:"no limit" doc:"Maximum number of requests of one user to this route from one login to the next, or with one token of a client; see count_by."`
	Audit    bool      `yaml:"audit" doc:"Write an audit event for admitted requests, too."`
	Respond  *Respond  `yaml:"respond" absent:"see upstream" doc:"Response from Jeton itself. Not for a service without listen."`
	Upstream *Upstream `yaml:"upstream" absent:"see respond" doc:"Server, or servers, behind the gateway that get the requests. Not for a service without listen."`
}

// Require says how a user has to be proved.
type Require struct {
	Factors int      `yaml:"factors" default:"1" min:"1" max:"2" doc:"2: a passkey that verified its user, or a second factor beside the first. Browsers are sent to show what is missing, and come back to the page. A password alone (basic, login.paths) is refused. A token is as good as the sign-in of the user who created it."`
	MaxAge  Duration `yaml:"max_age" min:"1m" absent:"any time" doc:"How long ago the user was proved, at most, as a request begins. Not judged for tokens."`
}

// Allow lists who is allowed. Being in one of the lists is enough; empty lists allow no one.
type Allow struct {
	Users   []string `yaml:"users" absent:"none" doc:"Names of users."`
	Groups  []string `yaml:"groups" absent:"none" doc:"Names of groups of users."`
	Clients []string `yaml:"clients" absent:"none" doc:"Names of clients."`
}

// Respond is a built-in response. Exactly one of JSON, Text and Template is set.
type Respond struct {
	Status   int       `yaml:"status" default:"200" min:"200" max:"599" doc:"HTTP status."`
	JSON     yaml.Node `yaml:"json" absent:"see text" doc:"JSON document. Strings and keys may contain {{.Name}}; {pick: [a, b]} and {randInt: [1, 100]} are replaced by a random value."`
	Text     string    `yaml:"text" absent:"see template" doc:"Plain text, sent unchanged."`
	Template string    `yaml:"template" absent:"see json" doc:"Plain text with {{.Name}}, {{.Groups}}, {{.Session}}, {{pick \"a\" \"b\"}}, {{randInt 1 100}}."`

	kind string
}

// Kind returns the response that is set: "json", "text" or "template". Load sets it
// by the key that is present, so that an empty text is a response, too.
func (r Respond) Kind() string {
	switch {
	case r.kind != "":
		return r.kind
	case !r.JSON.IsZero():
		return "json"
	case r.Template != "":
		return "template"
	}

	return "text"
}

// Teaching has the insecure options for teaching clients.
type Teaching struct {
	Cookies            *TeachingCookies `yaml:"cookies" absent:"one session cookie" doc:"Separate cookies for name, token and login time instead of one session cookie."`
	RevealLoginFailure bool             `yaml:"reveal_login_failure" doc:"A failed login says whether the name or the password was wrong."`
	AssertionLogin     string           `yaml:"assertion_login" absent:"none" doc:"Path that accepts POST with a JWT signed by a client as the whole body and returns a token. Refusals are 401 or 403 with plain text."`
	IssOnly            bool             `yaml:"iss_only" doc:"The JWT of assertion_login needs no claim but iss, so anyone who has seen it can replay it."`
	Register           string           `yaml:"register" absent:"none" doc:"Path that accepts POST with a username and a password (JSON) from anyone and creates the user."`
	TokenInBody        bool             `yaml:"token_in_body" doc:"The token is the whole body of a request, and refusals are 403 with plain text."`
	WholeSeconds       bool             `yaml:"whole_seconds" doc:"Times of a token in the body are compared in whole seconds, and the second of its expiry counts: it is accepted up to a second before activation_delay has passed, and up to a second after it has expired."`
	DeniedText         string           `yaml:"denied_text" absent:"problem documents" doc:"Text of every refusal, with status 403. {{.Name}} is the name that the request claims, or None."`
}

// TeachingCookies names the three cookies. Only the token decides.
type TeachingCookies struct {
	Name      string `yaml:"name" required:"true" doc:"Cookie with the user's name. It is shown and never trusted."`
	Token     string `yaml:"token" required:"true" doc:"Cookie with the secret."`
	LoginTime string `yaml:"login_time" required:"true" doc:"Cookie with the time of the login, as in 2021-04-18T22:54:04.387689 (UTC)."`
}
