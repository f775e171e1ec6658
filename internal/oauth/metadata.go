package oauth

import (
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/openid"
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

	*openIDMetadata

	// Ours: where a client registers another key.
	Keys string `json:"jeton_keys_endpoint"`
	// Ours: revocations, for services that check tokens themselves.
	Revocations string `json:"jeton_revocations_endpoint"`
}

// openIDMetadata are the members for relying parties (OpenID Connect Discovery 1.0, section 3).
type openIDMetadata struct {
	Authorization string `json:"authorization_endpoint"`
	Device        string `json:"device_authorization_endpoint"`         // RFC 8628, section 4
	Push          string `json:"pushed_authorization_request_endpoint"` // RFC 9126, section 5
	Userinfo      string `json:"userinfo_endpoint"`
	EndSession    string `json:"end_session_endpoint"` // RP-Initiated Logout 1.0, section 2.1
	// Back-Channel Logout 1.0, section 2.1: each logout token has a sid.
	Backchannel        bool `json:"backchannel_logout_supported"`
	BackchannelSession bool `json:"backchannel_logout_session_supported"`

	Scopes           []string `json:"scopes_supported"`
	Claims           []string `json:"claims_supported"`
	ResponseModes    []string `json:"response_modes_supported"`
	SubjectTypes     []string `json:"subject_types_supported"`
	IDTokenAlgs      []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	Prompts          []string `json:"prompt_values_supported"`
	IssParameter     bool     `json:"authorization_response_iss_parameter_supported"`
	Levels           []string `json:"acr_values_supported"`
	Documents        bool     `json:"client_id_metadata_document_supported"`
	// Their defaults are not all false.
	ClaimsParameter bool `json:"claims_parameter_supported"`
	Request         bool `json:"request_parameter_supported"`
	RequestURI      bool `json:"request_uri_parameter_supported"`
	RequirePAR      bool `json:"require_pushed_authorization_requests"`
}

// describeOpenID adds the members for relying parties.
func (s *Server) describeOpenID(m *metadata) {
	m.ResponseTypes = []string{"code"}
	m.GrantTypes = append(m.GrantTypes, grantCode, grantRefresh, grantDevice)
	// Of public clients.
	m.AuthMethods = append(slices.Clone(m.AuthMethods), "none")
	m.RevocationAuth = append(slices.Clone(m.RevocationAuth), "none")

	var algs []string
	for _, a := range client.IDTokenAlgs() {
		algs = append(algs, string(a))
	}

	m.openIDMetadata = &openIDMetadata{
		Authorization:      s.conf.URL + pathAuthorize,
		Device:             s.conf.URL + pathDevice,
		Push:               s.conf.URL + pathPush,
		Userinfo:           s.conf.URL + pathUserinfo,
		EndSession:         s.conf.URL + pathLogout,
		Backchannel:        true,
		BackchannelSession: true,
		Scopes:             openid.Scopes(),
		Claims:             append(openid.ClaimNames(), openid.TokenClaims()...),
		ResponseModes:      []string{"query"},
		SubjectTypes:       []string{"public", "pairwise"},
		IDTokenAlgs:        algs,
		ChallengeMethods:   []string{"S256"},
		Prompts:            []string{"none", "login", "select_account", "consent"},
		IssParameter:       true,
		Levels:             factor.Levels(),
		Documents:          len(s.conf.Documents) > 0,
		RequirePAR:         s.conf.RequirePAR,
	}
}

// describe returns the discovery document (RFC 8414, section 2).
func (s *Server) describe() metadata {
	methods := []string{"private_key_jwt", "client_secret_basic", "client_secret_post"}
	var algs []string
	for _, a := range jose.Algs() {
		algs = append(algs, string(a))
	}

	at := func(path string) string { return s.conf.URL + path }
	m := metadata{
		Issuer: s.conf.URL,
		Token:  at(pathToken),
		JWKS:   at(pathJWKS),
		// Required, and empty without pages (RFC 8414, section 2).
		ResponseTypes:      []string{},
		GrantTypes:         []string{grantClient, grantAssertion, grantExchange},
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
	if s.conf.Pages {
		s.describeOpenID(&m)
	}

	return m
}

// discover answers GET /.well-known/oauth-authorization-server and /.well-known/openid-configuration, byte by byte the
// same.
func (s *Server) discover(w *web.Reply, r *http.Request) error {
	w.Header()["Access-Control-Allow-Origin"] = anyOrigin

	return s.publish(w, r, "application/json", s.metadata, "")
}
