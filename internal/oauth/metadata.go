package oauth

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/web"
)

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

	// Ours: where a client registers another key.
	Keys string `json:"jeton_keys_endpoint"`
	// Ours: revocations, for services that check tokens themselves.
	Revocations string `json:"jeton_revocations_endpoint"`
}

// describe returns the discovery document (RFC 8414, section 2).
func (s *Server) describe() metadata {
	methods := []string{"private_key_jwt", "client_secret_basic", "client_secret_post"}
	var algs []string
	for _, a := range jose.Algs() {
		algs = append(algs, string(a))
	}

	at := func(path string) string { return s.conf.URL + path }
	return metadata{
		Issuer: s.conf.URL,
		Token:  at(pathToken),
		JWKS:   at(pathJWKS),
		// Required, and empty: the authorization endpoint is for our own services alone, which do
		// not read this (RFC 8414, section 2).
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
		Revocations:        at(pathRevocations),
	}
}

// discover answers GET /.well-known/oauth-authorization-server.
func (s *Server) discover(w *web.Reply, r *http.Request) error {
	return s.publish(w, r, "application/json", s.metadata, "")
}
