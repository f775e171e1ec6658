package config

import (
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
)

// Client is a declared client.
type Client struct {
	Name        string      `yaml:"name" required:"true" doc:"Name of the client (client_id). No user has the same name."`
	Keys        []ClientKey `yaml:"keys" absent:"none" doc:"Public keys that verify the client's assertions."`
	KeySource   *KeySource  `yaml:"key_source" absent:"none" doc:"Where public keys are fetched from, in addition to keys."`
	SecretHash  string      `yaml:"secret_hash" absent:"no secret" doc:"SHA-256 of the client's secret, 64 hex digits, from 'jeton client new-secret'."`
	Services    []string    `yaml:"services" absent:"none" doc:"Services that the client may get tokens for."`
	Scopes      []string    `yaml:"scopes" absent:"none" doc:"Scopes that the client's tokens may have."`
	Introspects []string    `yaml:"introspects" absent:"none" doc:"Services whose tokens the client may introspect (RFC 7662)."`
	Exchanges   []Exchange  `yaml:"exchanges" absent:"none" doc:"Which tokens the client exchanges for one with which it acts for their owner at the next service (RFC 8693): one rule for two services."`
	OpenID      *OpenID     `yaml:"openid" absent:"it signs no users in" doc:"The client sends its users here to sign in (OpenID Connect)."`
	Disabled    bool        `yaml:"disabled" doc:"The client cannot authenticate, and its tokens are not accepted."`
}

// Exchange is a rule by which a client exchanges tokens.
type Exchange struct {
	From       string   `yaml:"from" required:"true" doc:"Service whose tokens the client exchanges: the one that it is."`
	To         string   `yaml:"to" required:"true" doc:"Service that the new tokens are for."`
	Scopes     []string `yaml:"scopes" absent:"none" doc:"Scopes that the new tokens may have, of those of the exchanged one."`
	Lifetime   Duration `yaml:"max_lifetime" default:"5m" min:"1s" max:"24h" doc:"How long a new token is valid, at most. It is not valid for longer than the exchanged one, nor than the service says."`
	MaxUses    *int64   `yaml:"max_uses" min:"1" absent:"that of the service" doc:"Maximum number of requests with one new token. It has no more than the exchanged one has left."`
	SharedUses bool     `yaml:"shared_uses" doc:"A request with a new token takes a use of the exchanged one, too, if that is counted. Without it, each new token has a count of its own."`
	Allows     []string `yaml:"allows" absent:"every request" doc:"Requests that the new tokens are for: a method and a path, as in 'GET /files/*'. Those of the exchanged token apply as well."`
}

// OpenID is what a client needs that sends its users here to sign in.
type OpenID struct {
	RedirectURIs    []string    `yaml:"redirect_uris" required:"true" doc:"Addresses that browsers may be sent back to, compared as text. http://127.0.0.1/PATH and http://[::1]/PATH may be used with any port (RFC 8252)."`
	PostLogoutURIs  []string    `yaml:"post_logout_redirect_uris" absent:"none" doc:"Addresses that browsers may return to after a sign-out that the client asked for, compared as redirect_uris are."`
	BackchannelURI  string      `yaml:"backchannel_logout_uri" absent:"none" doc:"https:// address that gets a logout token for each session of a user that ends (Back-Channel Logout)."`
	PrivateNetwork  bool        `yaml:"private_network" doc:"backchannel_logout_uri may be on this machine or in a private network, and may use plain http:// on this machine."`
	Public          bool        `yaml:"public" doc:"The client keeps no secret, as a program on the user's machine or a page without a server."`
	AskConsent      bool        `yaml:"ask_consent" doc:"The client is of another organisation: each user is asked once whether it may learn what it asks for."`
	DeviceGrant     bool        `yaml:"device_grant" doc:"The client may sign users in at a device without a browser (RFC 8628): the user types a code into the page /device."`
	RequirePAR      bool        `yaml:"require_par" doc:"Refuse authorization requests that the client has not pushed to /oauth2/par before (RFC 9126)."`
	RequirePKCE     bool        `yaml:"require_pkce" default:"true" doc:"Refuse authorization requests without PKCE (S256). A public client needs it always."`
	IDTokenAlg      string      `yaml:"id_token_algorithm" default:"RS256" enum:"RS256,ES256,EdDSA" doc:"Signing algorithm of ID tokens."`
	IDTokenClaims   bool        `yaml:"id_token_claims" doc:"Put the claims of the granted scopes into the ID token, and not only into the answer of the userinfo endpoint."`
	Allow           *AllowUsers `yaml:"allow" absent:"every user" doc:"Users who may sign in."`
	Subject         string      `yaml:"subject" default:"public" enum:"public,pairwise" doc:"public: the sub of a user is the same at all clients; pairwise: another one at each sector, so that clients cannot compare their users."`
	Sector          string      `yaml:"sector_identifier" absent:"the host of redirect_uris" doc:"Host that clients with the same pairwise subjects share. Every sub changes with it: set it before redirect_uris get another host."`
	MaxUses         *int64      `yaml:"max_uses" min:"1" absent:"no limit" doc:"Maximum number of times that one sign-in session signs its user in at the client; then the user signs in again. 1: each time."`
	ActivationDelay Duration    `yaml:"activation_delay" default:"0s" max:"9m" doc:"How long a new access token is not yet valid at the issuer, at least: times are whole seconds. Tokens for a service have the delay of the service."`
	RefreshMaxUses  *int64      `yaml:"refresh_max_uses" min:"1" absent:"no limit" doc:"Maximum number of times that the tokens of one sign-in are refreshed (scope offline_access)."`
	RefreshLifetime Duration    `yaml:"refresh_lifetime" default:"30d" min:"1m" max:"366d" doc:"How long after a sign-in the refresh tokens that follow from it are valid (scope offline_access)."`
}

// ClientKey is one public key of a client. Exactly one of Public and File is set.
type ClientKey struct {
	Public    string `yaml:"public" absent:"see file" doc:"The public key, PEM or JWK."`
	File      string `yaml:"file" absent:"see public" doc:"File with the public key, PEM or JWK. Relative to the data directory."`
	ID        string `yaml:"kid" absent:"the JWK's own, or its thumbprint (RFC 7638)" doc:"Identifier of the key."`
	Algorithm string `yaml:"algorithm" absent:"the JWK's own, or by the type of the key" enum:"EdDSA,Ed25519,ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512" doc:"The one algorithm that the key may be used with."`
	NotBefore Time   `yaml:"not_before" absent:"valid at once" doc:"Start of the key's validity, as in 2026-12-01T00:00:00Z."`
	NotAfter  Time   `yaml:"not_after" absent:"no end" doc:"End of the key's validity."`
}

// KeySource is where a client's public keys are fetched from. The address is always
// this one, never one that a token names.
type KeySource struct {
	URL            string `yaml:"url" required:"true" doc:"https:// address of a JWK Set (jwks_uri) or of one public key."`
	Format         string `yaml:"format" default:"jwks" enum:"jwks,pem" doc:"jwks: a JWK Set (RFC 7517); pem: one public key, as a keyserver serves it."`
	Algorithm      string `yaml:"algorithm" absent:"by the type of the key" enum:"EdDSA,Ed25519,ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512" doc:"The algorithm of a key in PEM."`
	CA             string `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of the address. Relative to the data directory."`
	PrivateNetwork bool   `yaml:"private_network" doc:"The address may be on this machine or in a private network, and may use plain http:// there."`
}

// Document is a host whose documents describe clients (draft-ietf-oauth-client-id-metadata-document).
type Document struct {
	Host           string      `yaml:"host" required:"true" doc:"Host of the addresses, with a port if they have one, compared exactly: app.example.org or app.example.org:8443. Who can publish JSON there can be a client here."`
	Services       []string    `yaml:"services" absent:"none" doc:"Services that such a client may get tokens for."`
	Scopes         []string    `yaml:"scopes" absent:"none" doc:"Scopes that the tokens may have."`
	Allow          *AllowUsers `yaml:"allow" absent:"every user" doc:"Users who may sign in."`
	CA             string      `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of the host. Relative to the data directory."`
	PrivateNetwork bool        `yaml:"private_network" doc:"The host may be on this machine or in a private network."`
}

// Tokens is the terms of access tokens for a service.
type Tokens struct {
	Format          string   `yaml:"format" default:"jwt" enum:"jwt,opaque" doc:"jwt: signed, verified with our public keys (RFC 9068); opaque: random, looked up here."`
	Audience        string   `yaml:"audience" absent:"the name of the service" doc:"Audience of the tokens (aud)."`
	Algorithm       string   `yaml:"algorithm" absent:"issuer.keys.algorithm" enum:"EdDSA,ES256,RS256" doc:"Signing algorithm of jwt tokens."`
	Lifetime        Duration `yaml:"lifetime" default:"10m" min:"1s" max:"24h" doc:"How long a token is valid after it was issued, at most: times are whole seconds."`
	ActivationDelay Duration `yaml:"activation_delay" default:"0s" doc:"How long a new token is not yet valid, at least: times are whole seconds."`
	MaxUses         *int64   `yaml:"max_uses" min:"1" absent:"no limit" doc:"Maximum number of requests with one token."`
}

// leavesNoTime reports whether some token would be valid for less than a second, because its times are whole seconds.
func (t *Tokens) leavesNoTime() bool {
	terms := policy.TokenTerms{Delay: t.ActivationDelay.Std(), Lifetime: t.Lifetime.Std()}
	worst := terms.Window(time.Unix(0, int64(time.Second-1))) // issued in the last moment of a second

	return worst.Closes.Sub(worst.Opens) < time.Second
}
