package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Limits of the rules of a workload issuer: each exchange compares with all of them.
const (
	maxWorkloadRules  = 1000
	maxWorkloadAllows = 100
	maxClaimValue     = 1000 // bytes
)

// publicPlatforms are the hosts of issuers that sign tokens for everyone, and their kinds.
var publicPlatforms = map[string]policy.WorkloadKind{
	"token.actions.githubusercontent.com": policy.WorkloadGitHub,
	"gitlab.com":                          policy.WorkloadGitLab,
}

// workloadDefaults sets the defaults that depend on the kind.
func (c checker) workloadDefaults(s *Issuer) {
	for i := range s.Workloads {
		w := &s.Workloads[i]
		kind := policy.WorkloadKind(w.Kind)

		if !c.Has(&w.Issuer) {
			w.Issuer = map[policy.WorkloadKind]string{
				policy.WorkloadGitHub: "https://token.actions.githubusercontent.com",
				policy.WorkloadGitLab: "https://gitlab.com",
			}[kind]
		}
		if !c.Has(&w.Audience) {
			w.Audience = s.URL
		}
		if !c.Has(&w.Replay) {
			w.Replay = ReplayOnce
			if kind.Reuses() {
				w.Replay = ReplayReuse
			}
		}

		if c.Has(&w.Algorithms) {
			continue
		}
		w.Algorithms = []string{"ES256", "ES384", "RS256"}
		if kind == policy.WorkloadGitHub || kind == policy.WorkloadGitLab || kind == policy.WorkloadKubernetes {
			w.Algorithms = []string{"RS256"}
		}
	}
}

// workloads checks the issuers of workloads.
func (c checker) workloads(s *Issuer) {
	names, issuers := map[string]*string{}, map[string]*string{}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		if err := naming.Service(w.Name); err != nil && c.Valid(&w.Name) {
			c.badName(&w.Name, "name of an issuer", w.Name, err)
		}
		c.unique(names, w.Name, &w.Name)
		if c.Valid(&w.Issuer) {
			c.workloadIssuer(s, w)
			c.unique(issuers, w.Issuer, &w.Issuer)
		}
		if c.Has(&w.Audience) {
			c.notEmpty(&w.Audience)
		}
		c.workloadKeys(w)

		if len(w.Rules) == 0 || len(w.Rules) > maxWorkloadRules {
			c.Fault(&w.Rules, "%d rules, want 1 to %d", len(w.Rules), maxWorkloadRules)
		}
		for j := range w.Rules {
			c.workloadRule(policy.WorkloadKind(w.Kind), &w.Rules[j])
		}
	}
}

// workloadIssuer checks the identifier of an issuer, which is compared byte by byte.
func (c checker) workloadIssuer(s *Issuer, w *Workload) {
	u, err := url.Parse(w.Issuer)
	switch {
	case w.Issuer == "":
		c.Fault(w, "issuer is missing; it is required with kind %s", w.Kind)
	case w.Kind == string(policy.WorkloadSPIFFE):
		if err != nil || u.Scheme != "spiffe" || u.Host == "" || w.Issuer != "spiffe://"+strings.ToLower(u.Host) {
			c.Invalid(&w.Issuer, "trust domain", w.Issuer, "one such as spiffe://example.org, in lower case")
		}
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		strings.ContainsAny(w.Issuer, "?#"):
		c.Fault(&w.Issuer, "invalid issuer: want a URL such as https://ci.example.org, without query and fragment")
	case w.Kind == string(policy.WorkloadOIDC) && publicPlatforms[strings.ToLower(u.Hostname())] != "":
		c.Fault(
			&w.Issuer, "signs tokens for everyone, and kind oidc does not require an owner; use kind %s",
			publicPlatforms[strings.ToLower(u.Hostname())],
		)
	case w.Issuer == s.URL:
		c.Fault(&w.Issuer, "is issuer.url: tokens of this server are not exchanged as those of another issuer")
	}
}

// workloadKeys checks where the keys of an issuer are.
func (c checker) workloadKeys(w *Workload) {
	uri, file := c.Has(&w.JWKSURI), c.Has(&w.JWKSFile)
	switch {
	case uri && file:
		c.Fault(&w.JWKSFile, "conflicts with jwks_uri; keep one")
	case file:
		c.notEmpty(&w.JWKSFile)
	case uri:
		c.outbound(&w.JWKSURI, w.PrivateNetwork, "replace a key", "jwks.json")
	case w.Kind == string(policy.WorkloadSPIFFE):
		c.Fault(w, "jwks_uri or jwks_file is required with kind spiffe: a trust domain names no keys")
	case c.Valid(&w.Issuer) && w.Issuer != "":
		c.outbound(&w.Issuer, w.PrivateNetwork, "replace a key", "")
	}
}

// workloadRule checks one rule.
func (c checker) workloadRule(kind policy.WorkloadKind, r *WorkloadRule) {
	if _, err := naming.Client(r.Client); err != nil && c.Valid(&r.Client) {
		c.badName(&r.Client, "client name", r.Client, err)
	}

	narrow := false
	taken := map[string]*string{}
	for i := range r.Claims {
		claim := &r.Claims[i]
		c.unique(taken, claim.Name, &claim.Name)
		c.notEmpty(&claim.Name)
		fixed := strings.TrimSuffix(claim.Value, "*")
		if strings.Contains(fixed, "*") || claim.Value == "" || len(claim.Value) > maxClaimValue {
			c.Invalid(&claim.Value, "value", claim.Value, "a text, perhaps with one * at its end")
		}

		narrow = narrow || kind.Narrows(policy.Claim{Name: claim.Name, Value: claim.Value})
	}
	if !narrow {
		c.Fault(&r.Claims, "admits software of everyone at the issuer; add %s", wantClaim(kind))
	}

	c.servicesExist(r.Services)
	c.scopes(r.Scopes)
	c.withinClient(r)
	if len(r.Allows) > maxWorkloadAllows {
		c.Fault(&r.Allows, "%d rules, want at most %d", len(r.Allows), maxWorkloadAllows)
	}
	for i := range r.Allows {
		if _, err := policy.ParseRule(r.Allows[i]); err != nil {
			c.Invalid(&r.Allows[i], "rule", r.Allows[i], `a method and a path, as in "POST /deploys" or "* /reports/*"`)
		}
	}
}

// withinClient checks that a rule names only services and scopes that its client has: a rule gives no others, and the
// software would get a token without them. A client that is not declared is not known here.
func (c checker) withinClient(r *WorkloadRule) {
	at := slices.IndexFunc(c.conf.Clients, func(client Client) bool { return client.Name == r.Client })
	if at < 0 {
		return
	}
	client := &c.conf.Clients[at]

	for _, list := range []struct {
		kind      string
		named, of []string
	}{
		{"service", r.Services, client.Services},
		{"scope", r.Scopes, client.Scopes},
	} {
		for i := range list.named {
			if !slices.Contains(list.of, list.named[i]) {
				c.Fault(
					&list.named[i], "client %s does not have the %s %q; add it to %s.%ss, or remove it here",
					client.Name, list.kind, list.named[i], c.Path(client), list.kind,
				)
			}
		}
	}
}

// wantClaim says which claim makes a rule narrow enough.
func wantClaim(kind policy.WorkloadKind) string {
	names := kind.OwnerClaims()
	if len(names) == 0 {
		return "a claim such as sub that says which software has the token"
	}

	return "a claim that names the whole owner (" + strings.Join(names, ", ") + "), as in " +
		map[policy.WorkloadKind]string{
			policy.WorkloadGitHub:     "repository: octo/* or sub: repo:octo/*",
			policy.WorkloadGitLab:     "project_path: group/* or sub: project_path:group/*",
			policy.WorkloadKubernetes: "sub: system:serviceaccount:NAMESPACE:*",
			policy.WorkloadSPIFFE:     "sub: spiffe://example.org/ns/*",
		}[kind]
}

// ActsByWorkload reports whether a rule lets software act as a client.
func (c *Config) ActsByWorkload(client string) bool {
	if c.Issuer == nil {
		return false
	}

	return slices.ContainsFunc(c.Issuer.Workloads, func(w Workload) bool {
		return slices.ContainsFunc(w.Rules, func(r WorkloadRule) bool { return r.Client == client })
	})
}
