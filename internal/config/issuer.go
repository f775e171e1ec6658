package config

import "github.com/jeton-auth/jeton/internal/config/yamlread"

// Issuer is the authorization server: it issues access tokens and publishes the keys
// that verify them.
type Issuer struct {
	URL               string     `yaml:"url" required:"true" doc:"Identifier of the authorization server (iss; RFC 8414): https:// and the host that clients use, without a path."`
	Listen            string     `yaml:"listen" required:"true" doc:"Address and port. It may be a service's; the paths of the authorization server then have precedence."`
	Host              string     `yaml:"host" absent:"any" doc:"Host name that selects the authorization server on a shared address."`
	TLS               TLS        `yaml:"tls" doc:"Certificate and key. Without it they are made in the data directory."`
	PlainHTTP         bool       `yaml:"plain_http" doc:"Serve without TLS. Logged at start-up."`
	PublishClientKeys bool       `yaml:"publish_client_keys" doc:"Answer GET /oauth2/clients/NAME/jwks.json with the public keys of a client. Anybody can then find out which clients exist."`
	Keyserver         string     `yaml:"keyserver" absent:"none" doc:"Path that answers GET with ?identity=NAME: the public key of that client, PEM."`
	Keys              IssuerKeys `yaml:"keys" doc:"The keys that sign tokens."`
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
