package config

// Workload is an issuer whose tokens software has where it runs, and exchanges here.
type Workload struct {
	Name           string         `yaml:"name" required:"true" doc:"Name in the audit log."`
	Kind           string         `yaml:"kind" default:"oidc" enum:"oidc,github,gitlab,kubernetes,spiffe" doc:"What issues the tokens: github: GitHub Actions; gitlab: id_tokens of GitLab CI/CD; kubernetes: tokens of service accounts; spiffe: JWT-SVIDs; oidc: any other issuer. It decides which claims a rule needs, and the default of replay."`
	Issuer         string         `yaml:"issuer" absent:"https://token.actions.githubusercontent.com with kind github, https://gitlab.com with kind gitlab" doc:"Issuer of the tokens, exactly as their claim iss has it. With kind spiffe the trust domain, as in spiffe://example.org."`
	Audience       string         `yaml:"audience" absent:"issuer.url" doc:"What the tokens must have as their only aud."`
	Algorithms     []string       `yaml:"algorithms" enum:"EdDSA,Ed25519,ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512" absent:"RS256 with kind github, gitlab and kubernetes; ES256, ES384 and RS256 with the others" doc:"Signing algorithms that are accepted."`
	JWKSURI        string         `yaml:"jwks_uri" absent:"the one that the issuer names (OpenID Connect Discovery)" doc:"https:// address of the JWK Set of the issuer."`
	JWKSFile       string         `yaml:"jwks_file" absent:"see jwks_uri" doc:"File with the JWK Set of the issuer, in place of an address. Relative to the data directory. A changed file is read within a minute."`
	CA             string         `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of the issuer. Relative to the data directory."`
	PrivateNetwork bool           `yaml:"private_network" doc:"The issuer may be on this machine or in a private network, and may use plain http:// on this machine."`
	Replay         string         `yaml:"replay" enum:"once,reuse" absent:"once; with kind kubernetes and spiffe reuse" doc:"once: a token is exchanged once, by its jti; reuse: any number of times until it expires."`
	Rules          []WorkloadRule `yaml:"rules" required:"true" doc:"Which tokens are accepted. The first rule whose claims all match applies."`
}

// What Workload.Replay may be.
const (
	ReplayOnce  = "once"
	ReplayReuse = "reuse"
)

// WorkloadRule says which client a token stands for.
type WorkloadRule struct {
	Client   string          `yaml:"client" required:"true" doc:"Name of the client that the software acts as."`
	Claims   []WorkloadClaim `yaml:"claims" required:"true" doc:"Claims that the token must have, all of them. One has to narrow the rule to less than all software of the issuer."`
	Services []string        `yaml:"services" absent:"those of the client" doc:"Services that the tokens may be for, of those of the client."`
	Scopes   []string        `yaml:"scopes" absent:"those of the client" doc:"Scopes that the tokens may have, of those of the client."`
	Lifetime Duration        `yaml:"lifetime" min:"1s" max:"24h" absent:"that of the service" doc:"How long a token is valid, at most. The service may say less."`
	MaxUses  *int64          `yaml:"max_uses" min:"1" absent:"that of the service" doc:"Maximum number of requests with one token. The service may say less."`
	Allows   []string        `yaml:"allows" absent:"every request" doc:"Requests that the tokens are for: a method and a path, as in 'POST /deploys' or '* /reports/*'. The tokens are opaque."`
}

// WorkloadClaim is a claim that a token must have.
type WorkloadClaim struct {
	Name  string `yaml:"name" required:"true" doc:"Name of the claim."`
	Value string `yaml:"value" required:"true" doc:"Its value, compared exactly. A * at the end is one or more characters: octo/*."`
}
