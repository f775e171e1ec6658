// Package oauth is the door of the authorization server: software proves itself here and
// gets tokens, services look tokens up, and whoever checks them finds our keys.
//
// It speaks RFC 6749 (client credentials), RFC 7523 with the rules of RFC 10070 (client
// assertions and the JWT bearer grant), RFC 7662 (introspection), RFC 7009 (revocation),
// RFC 8414 (discovery), RFC 7517 (our keys and those of clients), and the plain keyserver
// of the teaching world. It promises that a caller learns from a refusal no more than
// the code that the standard has for it. It reads, asks internal/signin and
// internal/token, and answers; it judges nothing.
package oauth

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Door is the authorization server.
type Door struct {
	conf     config.Issuer
	targets  []signin.Target
	logins   *signin.Logins
	tokens   *token.Tokens
	clients  *client.Clients
	ring     *keys.Ring
	audit    *audit.Log
	service  *gate.Service
	metadata []byte
	maxAge   string // Cache-Control of what is published
}

// Config is what New needs.
type Config struct {
	Issuer  config.Issuer
	Targets []signin.Target // the services that tokens can be for
	Logins  *signin.Logins
	Tokens  *token.Tokens
	Clients *client.Clients
	Ring    *keys.Ring
	Audit   *audit.Log
}

// Name is what the door is called in the route table and the record.
const Name = "issuer"

// MaxAge is for how long others may keep a copy of our keys.
const MaxAge = 5 * time.Minute

// New builds the door from a configuration that has been checked.
func New(c Config) (*Door, error) {
	d := &Door{
		conf:    c.Issuer,
		targets: c.Targets,
		logins:  c.Logins,
		tokens:  c.Tokens,
		clients: c.Clients,
		ring:    c.Ring,
		audit:   c.Audit,
	}
	age := min(MaxAge, c.Issuer.Keys.PublishFor.Std())
	d.maxAge = "public, max-age=" + strconv.Itoa(int(age.Seconds()))
	d.service = &gate.Service{Name: Name, ReadBody: true, Readers: []gate.Reader{reader{d}}}
	var err error
	d.metadata, err = json.Marshal(d.describe())
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}

	return d, nil
}

// Service returns what the gate needs to know of the door.
func (d *Door) Service() *gate.Service { return d.service }

// The paths of the authorization server.
const (
	pathToken      = "/oauth2/token"
	pathIntrospect = "/oauth2/introspect"
	pathRevoke     = "/oauth2/revoke"
	pathVoid       = "/oauth2/revocations"
	pathKeys       = "/oauth2/keys"
	pathClientJWKS = "/oauth2/clients/{client}/jwks.json"
	pathJWKS       = "/.well-known/jwks.json"
	pathMetadata   = "/.well-known/oauth-authorization-server"
)

// Routes returns the rows of the door. The token endpoint is where a client logs in, so it
// is open as a login is.
func (d *Door) Routes() []web.Route {
	rows := []web.Route{
		{
			Pattern: "POST " + pathToken,
			Access:  policy.Open,
			Handle:  d.token,
			Refuse:  d.refuseToken,
		},
		{
			Pattern: "POST " + pathIntrospect,
			Access:  policy.Client,
			Handle:  d.introspect,
			Refuse:  d.refuse,
		},
		{
			Pattern: "POST " + pathRevoke,
			Access:  policy.Client,
			Handle:  d.revoke,
			Refuse:  d.refuse,
		},
		{
			Pattern: "POST " + pathKeys,
			Access:  policy.Client,
			Handle:  d.addKey,
			Refuse:  d.refuse,
		},
		{Pattern: "GET " + pathVoid, Access: policy.Open, Handle: d.void},
		{Pattern: "GET " + pathClientJWKS, Access: policy.Open, Handle: d.clientJWKS},
		{Pattern: "GET " + pathJWKS, Access: policy.Open, Handle: d.jwks},
		{Pattern: "GET " + pathMetadata, Access: policy.Open, Handle: d.discover},
	}
	if d.conf.Keyserver != "" {
		rows = append(rows, web.Route{
			Pattern: "GET " + d.conf.Keyserver,
			Access:  policy.Open,
			Handle:  d.getKey,
			Refuse:  refusePlain,
		})
	}

	return rows
}

// Owns reports whether a path is the door's where it shares an address with services.
func (d *Door) Owns(path string) bool {
	return strings.HasPrefix(
		path,
		"/oauth2/",
	) || path == pathJWKS || path == pathMetadata || d.conf.Keyserver != "" && path == d.conf.Keyserver
}

// Weaknesses names the options that make the authorization server weaker than the default,
// for the start-up log.
func Weaknesses(c config.Issuer) []string {
	var list []string
	if c.PlainHTTP {
		list = append(
			list,
			"plain_http: assertions and tokens travel in the clear, and whoever is on the way can hand out other keys",
		)
	}
	if c.Keyserver != "" {
		list = append(list, "keyserver: a stranger learns which clients exist")
	}

	return list
}
