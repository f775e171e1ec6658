// Package oauth is the authorization server: clients authenticate here and get tokens,
// services introspect tokens, verifiers fetch our keys, and browsers come here to sign in at a
// service or at a relying party.
//
// It speaks RFC 6749 (client credentials, authorization codes, refresh tokens) and, with package
// openid, OpenID Connect Core 1.0. Client assertions and the JWT bearer grant are those of RFC 7523
// with the rules of RFC 10070. Tokens of other issuers are taken by that grant and by token exchange
// (RFC 8693), with which a service also acts for its caller at the next one. It speaks RFC 7662 (introspection), RFC
// 7009 (revocation), RFC 8414 (discovery) and RFC 7517 (our keys and those of clients), and
// it has a plain keyserver for teaching clients. A refused caller gets the code of the
// standard and no more. Packages signin and token decide; this one reads requests and
// writes responses.
package oauth

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Server is the endpoints of the authorization server. Its methods are safe for concurrent use.
type Server struct {
	conf      config.Issuer
	targets   []signin.Target
	workloads *signin.Workloads
	exchanges signin.ExchangeRules
	logins    *signin.Logins
	tokens    *token.Tokens
	clients   *client.Clients
	ring      *keys.Ring
	audit     *audit.Log
	relying   []RelyingService
	sessions  *session.Sessions
	page      web.Notices
	service   *gate.Service
	accounts  *account.Accounts
	subjects  *openid.Subjects
	key       []byte // seals what comes back through the browser
	browser   web.Cookie
	metadata  []byte // the discovery document, encoded once
	maxAge    string // Cache-Control of published documents
}

// Config is what New needs.
type Config struct {
	Issuer    config.Issuer
	Targets   []signin.Target      // the services that tokens can be for
	Workloads *signin.Workloads    // other issuers whose tokens are exchanged; nil: none
	Exchanges signin.ExchangeRules // which clients exchange tokens of this server; nil: none
	Logins    *signin.Logins
	Sessions  *session.Sessions
	Tokens    *token.Tokens
	Clients   *client.Clients
	Ring      *keys.Ring
	Audit     *audit.Log

	// For services whose users sign in here.
	Relying []RelyingService
	Page    web.Notices
	// Managers are the users who manage others with the pages and the API; nil: no more is required of them than of
	// other users.
	Managers *signin.Managers

	// For relying parties.
	Accounts *account.Accounts
	Subjects *openid.Subjects
	Key      []byte // that seals what comes back through the browser; the same on all nodes
}

// Name is the name of the authorization server in the route table and the audit log.
const Name = config.IssuerName

// MaxAge is the longest time that our keys may be cached.
const MaxAge = 5 * time.Minute

// New returns the endpoints for a configuration that has been checked. It starts nothing.
func New(c Config) (*Server, error) {
	s := &Server{
		conf:      c.Issuer,
		targets:   c.Targets,
		workloads: c.Workloads,
		exchanges: c.Exchanges,
		logins:    c.Logins,
		tokens:    c.Tokens,
		clients:   c.Clients,
		ring:      c.Ring,
		audit:     c.Audit,

		relying:  c.Relying,
		sessions: c.Sessions,
		page:     c.Page,
		accounts: c.Accounts,
		subjects: c.Subjects,
		key:      c.Key,
		browser:  browserCookie(c.Issuer.SessionCookie()),
	}

	// Not longer than a key is published before it signs: a verifier must see it in time.
	age := min(MaxAge, c.Issuer.Keys.PublishFor.Std())
	s.maxAge = "public, max-age=" + strconv.Itoa(int(age.Seconds()))
	// The gate reads the body, because the credential of a client may be in the form.
	s.service = &gate.Service{
		Name:     Name,
		ReadBody: true,
		Managers: c.Managers,
		Readers:  []gate.Reader{reader{s}, gate.Cookie{Cookie: c.Issuer.SessionCookie(), Sessions: c.Sessions}},
	}

	var err error
	s.metadata, err = json.Marshal(s.describe())
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}

	return s, nil
}

// Service returns what the gate needs for these endpoints.
func (s *Server) Service() *gate.Service { return s.service }

// The paths of the authorization server.
const (
	pathToken       = "/oauth2/token"
	pathIntrospect  = "/oauth2/introspect"
	pathRevoke      = "/oauth2/revoke"
	pathRevocations = "/oauth2/revocations"
	pathKeys        = "/oauth2/keys"
	pathClientJWKS  = "/oauth2/clients/{client}/jwks.json"
	pathJWKS        = "/.well-known/jwks.json"
	pathMetadata    = "/.well-known/oauth-authorization-server"
	pathOpenID      = "/.well-known/openid-configuration"
	pathDevice      = "/oauth2/device_authorization"
	pathUserinfo    = "/oauth2/userinfo"
	pathLogout      = "/oauth2/logout"
)

// Routes returns the routes. The token endpoint is open: it is where a client logs in.
func (s *Server) Routes() []web.Route {
	routes := []web.Route{
		{
			Pattern: "POST " + pathToken,
			Access:  policy.Open,
			Handle:  s.token,
			Refuse:  s.refuseToken,
		},
		{
			Pattern: "POST " + pathIntrospect,
			Access:  policy.Client,
			Handle:  s.introspect,
			Refuse:  s.refuse,
		},
		{
			Pattern: "POST " + pathRevoke,
			Access:  policy.Client,
			Handle:  s.revoke,
			Refuse:  s.refuse,
		},
		{
			Pattern: "POST " + pathKeys,
			Access:  policy.Client,
			Handle:  s.addKey,
			Refuse:  s.refuse,
		},
		{Pattern: "GET " + pathRevocations, Access: policy.Open, Handle: s.revocations},
		{Pattern: "GET " + pathJWKS, Access: policy.Open, Handle: s.jwks},
		{Pattern: "GET " + pathMetadata, Access: policy.Open, Handle: s.discover},
	}
	if s.conf.Pages {
		routes = append(routes, s.signInRoutes()...)
	}
	if s.conf.PublishClientKeys {
		routes = append(routes, web.Route{
			Pattern: "GET " + pathClientJWKS,
			Access:  policy.Open,
			Handle:  s.clientJWKS,
		})
	}
	if s.conf.Keyserver != "" {
		routes = append(routes, web.Route{
			Pattern: "GET " + s.conf.Keyserver,
			Access:  policy.Open,
			Handle:  s.getKey,
			Refuse:  refusePlain,
		})
	}

	return routes
}

// signInRoutes returns the routes of parties whose users sign in here.
func (s *Server) signInRoutes() []web.Route {
	var routes []web.Route
	for _, method := range []string{"GET ", "POST "} {
		routes = append(routes, web.Route{
			Pattern: method + pathAuthorize,
			Access:  policy.Open,
			Handle:  s.authorize,
			Refuse:  s.refuseAuthorization,
		}, web.Route{
			Pattern: method + pathUserinfo,
			Access:  policy.Open,
			Handle:  s.userinfo,
			Refuse:  s.refuseUserinfo,
		}, web.Route{
			Pattern: method + pathLogout,
			Access:  policy.Open,
			Handle:  s.logout,
			Refuse:  s.refuseLogout,
		})
	}

	routes = append(routes, web.Route{
		Pattern: "POST " + pathDevice,
		Access:  policy.Open,
		Handle:  s.deviceAuthorization,
		Refuse:  s.refuse,
	})
	routes = append(routes, web.Route{
		Pattern: "POST " + pathPush,
		Access:  policy.Open,
		Handle:  s.push,
		Refuse:  s.refusePush,
	})
	routes = append(routes, s.preflightRoutes()...)

	return append(routes, web.Route{Pattern: "GET " + pathOpenID, Access: policy.Open, Handle: s.discover})
}

// Owns reports whether a path belongs to the authorization server where it shares an address
// with services.
func (s *Server) Owns(path string) bool {
	// A service on the same address must not take over these paths.
	return strings.HasPrefix(path, "/oauth2/") || path == pathJWKS || path == pathMetadata || path == pathOpenID ||
		s.conf.Keyserver != "" && path == s.conf.Keyserver
}

// Weaknesses names the options that make the authorization server weaker than the default,
// for the start-up log.
func Weaknesses(c config.Issuer) []string {
	var list []string
	if c.PlainHTTP {
		list = append(
			list,
			"plain_http: assertions and tokens travel in the clear, and the network can replace our keys",
		)
	}
	if c.Keyserver != "" {
		list = append(list, "keyserver: strangers learn which clients exist")
	}
	if c.PublishClientKeys {
		list = append(list, "publish_client_keys: strangers learn which clients exist")
	}

	return list
}
