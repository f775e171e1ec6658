package config

import (
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/web"
)

// Issuer is the authorization server: it issues access tokens and publishes the keys
// that verify them.
type Issuer struct {
	URL               string        `yaml:"url" required:"true" doc:"Identifier of the authorization server (iss; RFC 8414): https:// and the host that clients use, without a path."`
	Listen            string        `yaml:"listen" required:"true" doc:"Address and port. It may be a service's; the paths of the authorization server then have precedence."`
	Host              string        `yaml:"host" absent:"any" doc:"Host name that selects the authorization server on a shared address."`
	TLS               TLS           `yaml:"tls" doc:"Certificate and key. Without it they are made in the data directory."`
	PlainHTTP         bool          `yaml:"plain_http" doc:"Serve without TLS. Logged at start-up."`
	PublishClientKeys bool          `yaml:"publish_client_keys" doc:"Answer GET /oauth2/clients/NAME/jwks.json with the public keys of a client. Any caller can then find out which clients exist."`
	Keyserver         string        `yaml:"keyserver" absent:"none" doc:"Path that answers GET with ?identity=NAME: the public key of that client, PEM."`
	RequirePAR        bool          `yaml:"require_par" doc:"Refuse authorization requests that were not pushed to /oauth2/par before (RFC 9126), of every client. The sign-in at services is not affected."`
	Documents         []Document    `yaml:"client_documents" absent:"none: only registered clients" doc:"Hosts whose client ID metadata documents are accepted: https:// addresses that are client_id themselves (MCP). Each user is asked at each sign-in."`
	Keys              IssuerKeys    `yaml:"keys" doc:"The keys that sign tokens."`
	Pages             bool          `yaml:"pages" default:"true" doc:"Serve the pages for browsers: sign-in, account and administration. On the address of a service they have precedence over its routes."`
	Admins            Admins        `yaml:"admins" doc:"What is required of the users of the group admin, and of those who manage users at a service (users_api.admins)."`
	Session           SignInSession `yaml:"session" doc:"Terms of sign-in sessions, which start at the pages. The session at a service that follows from one has the terms of the service and ends no later."`
	Upstreams         []Provider    `yaml:"upstreams" absent:"none" doc:"Other providers at which users sign in (OpenID Connect, GitHub), in the order of their buttons."`
	Workloads         []Workload    `yaml:"workloads" absent:"none" doc:"Other issuers whose tokens software exchanges for those of a client here (RFC 7523, RFC 8693): CI jobs, pods and other workloads, which then need no secret."`
	Brand             Brand         `yaml:"brand" doc:"The look of the pages."`
}

// IssuerKeys says how signing keys are rotated.
type IssuerKeys struct {
	Algorithm   string   `yaml:"algorithm" default:"EdDSA" enum:"EdDSA,ES256,RS256" doc:"Signing algorithm for services that set none."`
	RotateEvery Duration `yaml:"rotate_every" default:"30d" min:"1ns" doc:"How long one key signs before the next one does."`
	PublishFor  Duration `yaml:"publish_for" default:"10m" doc:"How long the next key is published before it signs, so that caches of the key set have it by then."`
}

// DefaultIssuerKeys returns the defaults of issuer.keys, for a server without an issuer.
func DefaultIssuerKeys() IssuerKeys {
	var keys IssuerKeys
	_, _ = yamlread.Read("", []byte("{}"), func(string) (string, bool) { return "", false }, &keys) // cannot fail
	return keys
}

// IssuerName is the service of sign-in sessions, and the name of the authorization server in the
// route table and the audit log. No service has it.
const IssuerName = "issuer"

// SignInSession is the terms of a session at the authorization server.
type SignInSession struct {
	IdleTimeout Duration `yaml:"idle_timeout" default:"1h" min:"1ns" doc:"Unused sign-in sessions end after this time, or up to a 128th of it earlier, at least a second."`
	Lifetime    Duration `yaml:"lifetime" default:"12h" min:"1ns" doc:"Sign-in sessions end this long after the sign-in, used or not."`
	MaxSessions int      `yaml:"max_sessions" min:"1" absent:"no limit" doc:"Maximum number of sign-in sessions of one user."`
	WhenFull    string   `yaml:"when_full" default:"evict_oldest" enum:"evict_oldest,refuse" doc:"What happens at a sign-in when max_sessions is reached."`
}

// Admins is what is required of users who manage others.
type Admins struct {
	Factors int      `yaml:"factors" default:"2" min:"1" max:"2" doc:"Factors that the pages and the API of administrators require. Tokens pass, and operators on the control socket. 1: the password is enough. Without the pages it is 1, as no user can add a second factor."`
	Grace   Duration `yaml:"grace" default:"7d" min:"0s" max:"365d" doc:"How long a user who manages others has to add the second factor: from when the user was added, and not before the first start of a server with this rule."`
}

// SessionCookie returns the cookie of sign-in sessions.
func (i *Issuer) SessionCookie() web.Cookie {
	return web.Cookie{Name: web.DefaultCookie(i.PlainHTTP) + "-" + IssuerName, PlainHTTP: i.PlainHTTP}
}

// Brand is what the pages show of the organisation.
type Brand struct {
	Name       string `yaml:"name" default:"Jeton" doc:"Name of the organisation."`
	Accent     string `yaml:"accent" default:"'#0f5c55'" doc:"Colour of links and buttons, as in #0f5c55. Its contrast must be at least 4.5:1."`
	AccentDark string `yaml:"accent_dark" absent:"a lighter accent" doc:"The same on dark screens."`
	Logo       string `yaml:"logo" absent:"a mark in the accent" doc:"SVG or PNG file of at most 256 KiB. Relative to the data directory."`
	HelpURL    string `yaml:"help_url" absent:"no link" doc:"Page or mail address (mailto:) where users find help."`
}

// pagePaths are the paths of the pages, and of the API that they call. One that ends in a slash is of
// every path below it, and of the path without the slash.
var pagePaths = []string{
	"/sign-in/", "/sign-out/", "/signed-out/", "/setup/", "/link/", "/recover/", "/not-me/", "/verify/", "/invite/",
	"/prove/", "/consent/", "/device/", "/account/", "/admin/", "/.well-known/change-password",
	"/.well-known/passkey-endpoints", "/.jeton/assets/", "/api/v1/",
}

// IsPagePath reports whether a path belongs to the pages.
func IsPagePath(path string) bool {
	for _, own := range pagePaths {
		if strings.HasSuffix(own, "/") && strings.HasPrefix(path+"/", own) || path == own {
			return true
		}
	}

	return false
}
