package config

import "time"

// Issuer is the authorization server: it issues access tokens and publishes the keys
// that check them.
type Issuer struct {
	URL       string     `yaml:"url" required:"true" doc:"Identifier of the authorization server (iss; RFC 8414): https:// and the host under which clients reach it, without a path."`
	Listen    string     `yaml:"listen" required:"true" doc:"Address and port. It may be a service's: then the paths of the authorization server come first there."`
	Host      string     `yaml:"host" doc:"Host name that chooses the authorization server on a shared address."`
	TLS       TLS        `yaml:"tls" doc:"Certificate and key; made in the data folder when they are not there."`
	PlainHTTP bool       `yaml:"plain_http" doc:"Serve without TLS. Named in the start-up log."`
	Keyserver string     `yaml:"keyserver" doc:"Path that answers GET with ?identity=NAME: the public key of that client, PEM. Absent: there is none."`
	Keys      IssuerKeys `yaml:"keys" doc:"The keys that tokens are signed with."`
}

// IssuerKeys says how signing keys live.
type IssuerKeys struct {
	Algorithm   string   `yaml:"algorithm" enum:"EdDSA,ES256,RS256" doc:"Algorithm of tokens for services that name none."`
	RotateEvery Duration `yaml:"rotate_every" doc:"A key signs for so long; then the next one does."`
	PublishFor  Duration `yaml:"publish_for" doc:"The next key is published for so long before it signs, so that whoever keeps a copy of the set has it by then."`
}

// Client is declared software.
type Client struct {
	Name        string      `yaml:"name" required:"true" doc:"Name (client_id) that the software is known by. No user has it."`
	Keys        []ClientKey `yaml:"keys" doc:"Public keys that it proves itself with."`
	KeySource   *KeySource  `yaml:"key_source" doc:"Where its public keys are fetched from, next to those given here."`
	SecretHash  string      `yaml:"secret_hash" doc:"SHA-256 of its secret, 64 hex digits, as 'jeton client new-secret' prints it. Absent: it proves itself with keys alone."`
	Services    []string    `yaml:"services" doc:"Services that it may have tokens for."`
	Scopes      []string    `yaml:"scopes" doc:"Scopes that its tokens may have."`
	Introspects []string    `yaml:"introspects" doc:"Services whose tokens it may look up (RFC 7662)."`
	Disabled    bool        `yaml:"disabled" doc:"It can prove nothing, and its tokens are void."`
}

// ClientKey is one public key of a client. Exactly one of Public and File is set.
type ClientKey struct {
	Public    string `yaml:"public" doc:"The public key itself, PEM or JWK."`
	File      string `yaml:"file" doc:"File with the public key, PEM or JWK. A relative path starts at the data folder."`
	ID        string `yaml:"kid" doc:"Name of the key. Absent: the JWK's own, or its thumbprint (RFC 7638)."`
	Algorithm string `yaml:"algorithm" enum:"EdDSA,Ed25519,ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512" doc:"The one algorithm that the key is good for. Absent: the JWK's own, or EdDSA, ES256, ES384, ES512 or RS256 by the kind of key."`
	NotBefore Time   `yaml:"not_before" doc:"The key is good from then on, as in 2026-12-01T00:00:00Z."`
	NotAfter  Time   `yaml:"not_after" doc:"The key is good until then."`
}

// KeySource is where a client's public keys are fetched from. The address is this one
// and never one that a token names.
type KeySource struct {
	URL            string `yaml:"url" required:"true" doc:"https:// address of a JWK Set (jwks_uri) or of one public key."`
	Format         string `yaml:"format" enum:"jwks,pem" doc:"jwks: a JWK Set (RFC 7517); pem: one public key, as a keyserver answers."`
	Algorithm      string `yaml:"algorithm" enum:"EdDSA,Ed25519,ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512" doc:"The algorithm of a key in PEM. Absent: by the kind of key."`
	CA             string `yaml:"ca" doc:"PEM file with the certificate authority of the address. Relative paths start at the data folder."`
	PrivateNetwork bool   `yaml:"private_network" doc:"The address may be on this machine or in a private network, and may be plain http:// there."`
}

// Tokens is the terms of access tokens for a service.
type Tokens struct {
	Format          string   `yaml:"format" enum:"jwt,opaque" doc:"jwt: signed, and checked by whoever has our keys (RFC 9068); opaque: random, and looked up here."`
	Audience        string   `yaml:"audience" doc:"What a token says that it is for (aud). Absent: the name of the service."`
	Algorithm       string   `yaml:"algorithm" enum:"EdDSA,ES256,RS256" doc:"Algorithm of signed tokens. Absent: issuer.keys.algorithm."`
	Lifetime        Duration `yaml:"lifetime" doc:"A token is over so long after it was issued; at most 24h."`
	ActivationDelay Duration `yaml:"activation_delay" doc:"A token is not yet good for so long after it was issued."`
	MaxUses         *int64   `yaml:"max_uses" doc:"How many requests one token is good for. Absent: no limit."`
}

// Time is a point in time, RFC 3339.
type Time struct{ time.Time }
