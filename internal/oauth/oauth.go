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
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/jose"
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

// metadata is the document of RFC 8414, section 2.
type metadata struct {
	Issuer             string   `json:"issuer"`
	Token              string   `json:"token_endpoint"`
	JWKS               string   `json:"jwks_uri"`
	ResponseTypes      []string `json:"response_types_supported"`
	GrantTypes         []string `json:"grant_types_supported"`
	AuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs           []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Introspection      string   `json:"introspection_endpoint"`
	IntrospectionAuth  []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs  []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	Revocation         string   `json:"revocation_endpoint"`
	RevocationAuth     []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Keys               string   `json:"jeton_keys_endpoint"`        // ours: where a client registers another key
	Void               string   `json:"jeton_revocations_endpoint"` // ours: what has been revoked, for whoever checks tokens by itself
}

func (d *Door) describe() metadata {
	methods := []string{"private_key_jwt", "client_secret_basic", "client_secret_post"}
	var algs []string
	for _, a := range jose.Algs() {
		algs = append(algs, string(a))
	}

	at := func(path string) string { return d.conf.URL + path }
	return metadata{
		Issuer:             d.conf.URL,
		Token:              at(pathToken),
		JWKS:               at(pathJWKS),
		ResponseTypes:      []string{},
		GrantTypes:         []string{grantClient, grantAssertion},
		AuthMethods:        methods,
		AuthAlgs:           algs,
		Introspection:      at(pathIntrospect),
		IntrospectionAuth:  methods,
		IntrospectionAlgs:  algs,
		Revocation:         at(pathRevoke),
		RevocationAuth:     methods,
		RevocationAuthAlgs: algs,
		Keys:               at(pathKeys),
		Void:               at(pathVoid),
	}
}

func (d *Door) discover(w *web.Reply, r *http.Request) error {
	return d.publish(w, r, "application/json", d.metadata, "")
}

// jwks answers GET /.well-known/jwks.json: the public keys that our tokens are signed with.
func (d *Door) jwks(w *web.Reply, r *http.Request) error {
	// Without the store they get what is known: whoever checks with these keys keeps a copy of
	// them for longer than that.
	_ = d.ring.Fresh(r.Context())
	body, etag := d.ring.JWKS()
	return d.publish(w, r, "application/jwk-set+json", body, etag)
}

// clientJWKS answers with the public keys that a client proves itself with now.
func (d *Door) clientJWKS(w *web.Reply, r *http.Request) error {
	list, err := d.keysOf(r, r.PathValue("client"), w.Start)
	if err != nil {
		return err
	}
	return d.publish(w, r, "application/jwk-set+json", jose.MarshalSet(list), "")
}

// getKey answers GET on the keyserver's path, ?identity=NAME: the newest public key of that
// client, PEM.
func (d *Door) getKey(w *web.Reply, r *http.Request) error {
	names := r.URL.Query()["identity"]
	if len(names) != 1 || names[0] == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "name one identity: ?identity=NAME")
	}

	list, err := d.keysOf(r, names[0], w.Start)
	if err != nil {
		return err
	}

	return d.publish(w, r, "application/x-pem-file", list[0].PEM(), "")
}

// keysOf returns the keys that a client proves itself with now, the newest first.
func (d *Door) keysOf(r *http.Request, name string, now time.Time) ([]jose.Key, error) {
	// An unknown client is answered as one without keys.
	c, err := d.clients.FindForLogin(r.Context(), name)
	if err != nil {
		return nil, err
	}

	list, err := d.clients.Keys(r.Context(), c, "", now)
	if errors.Is(err, jeton.ErrBadCredential) {
		return nil, jeton.ErrNotFound // there is no such client, or none of its keys is good
	}
	if err != nil {
		return nil, err
	}

	return newest(c, list), nil
}

// publish answers with a document that anybody may keep a copy of for a while.
func (d *Door) publish(w *web.Reply, r *http.Request, kind string, body []byte, etag string) error {
	if etag == "" {
		sum := sha256.Sum256(body)
		etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	}

	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", d.maxAge)
	h.Set("ETag", etag)
	h.Set("X-Content-Type-Options", "nosniff")

	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}

	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return nil
	}

	_, _ = w.Write(body)

	return nil
}

func refusePlain(w *web.Reply, _ *http.Request, err error) {
	p := web.Mark(w, err)
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write([]byte(text + "\n"))
}

// void answers GET /oauth2/revocations?after=N: the SHA-256 of every jti and generation
// that is void although a signature may be right, in the order in which they became so.
// Hashes tell nothing to whoever does not hold the token.
func (d *Door) void(w *web.Reply, r *http.Request) error {
	const most = 1000
	var after int64

	text := r.URL.Query().Get("after")
	if text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return jeton.WithDetail(jeton.ErrInvalid, "after must be a whole number, 0 or greater")
		}
	}

	list, err := d.tokens.Voided(r.Context(), after, most)
	if err != nil {
		return err
	}

	out := jeton.Revocations{Next: after, Void: []string{}, More: len(list) == most}
	for _, v := range list {
		out.Next = v.Seq
		out.Void = append(out.Void, base64.RawURLEncoding.EncodeToString(v.Hash[:]))
	}

	return web.JSON(w, http.StatusOK, out)
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
