package server

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
)

// workloads returns the other issuers whose tokens are exchanged, or nil.
func (s *Server) workloads(conf *config.Config) (*signin.Workloads, error) {
	if len(conf.Issuer.Workloads) == 0 {
		return nil, nil
	}

	w := &signin.Workloads{Keys: client.NewKeyCache(s.c.Log)}
	for _, c := range conf.Issuer.Workloads {
		issuer := signin.WorkloadIssuer{
			Name:     c.Name,
			URL:      c.Issuer,
			SPIFFE:   c.Kind == string(policy.WorkloadSPIFFE),
			Audience: c.Audience,
			Keys:     s.workloadKeys(c),
			Reuse:    c.Replay == config.ReplayReuse,
		}
		for _, alg := range c.Algorithms {
			issuer.Algorithms = append(issuer.Algorithms, jose.Alg(alg))
		}
		for _, declared := range c.Rules {
			rule, err := workloadRule(declared)
			if err != nil {
				return nil, fmt.Errorf("rule of the workload issuer %s: %w", c.Name, err)
			}
			issuer.Rules = append(issuer.Rules, rule)
		}

		w.Issuers = append(w.Issuers, issuer)
	}

	return w, nil
}

// CheckWorkloadFiles returns an error for each file with keys of a workload issuer that cannot be used. A server starts
// without them: the platform may write them later.
func CheckWorkloadFiles(conf *config.Config, dir string) error {
	if conf.Issuer == nil {
		return nil
	}

	data := dataDir{path: dir}
	var errs []error
	for i, w := range conf.Issuer.Workloads {
		if w.JWKSFile == "" {
			continue
		}

		source := client.Source{File: data.file(w.JWKSFile), Format: client.FormatJWKS}
		if err := source.CheckFile(); err != nil {
			errs = append(errs, fmt.Errorf(
				"%s: issuer.workloads[%d].jwks_file: %w; store the JWK Set of the issuer there, or name another file",
				conf.Path, i, err,
			))
		}
	}

	return errors.Join(errs...)
}

// workloadKeys returns where the keys of an issuer are.
func (s *Server) workloadKeys(c config.Workload) client.Source {
	source := client.Source{
		URL:     cmp.Or(c.JWKSURI, c.Issuer),
		Format:  client.FormatJWKS,
		Private: c.PrivateNetwork,
	}
	if c.JWKSURI == "" && c.JWKSFile == "" {
		source.Format = client.FormatIssuer
	}
	if c.JWKSFile != "" {
		source.File = s.core.dir.file(c.JWKSFile)
	}
	if c.CA != "" {
		source.CA = s.core.dir.file(c.CA)
	}

	return source
}

// workloadRule returns a rule of the configuration.
func workloadRule(c config.WorkloadRule) (policy.WorkloadRule, error) {
	rule := policy.WorkloadRule{
		Client:   c.Client,
		Services: c.Services,
		Scopes:   c.Scopes,
		Lifetime: c.Lifetime.Std(),
		MaxUses:  policy.Unlimited,
	}
	if c.MaxUses != nil {
		rule.MaxUses = *c.MaxUses
	}
	for _, claim := range c.Claims {
		rule.Claims = append(rule.Claims, policy.Claim{Name: claim.Name, Value: claim.Value})
	}
	for _, text := range c.Allows {
		allowed, err := policy.ParseRule(text)
		if err != nil {
			return rule, err // without it, the token would be for every request
		}
		rule.Allows = append(rule.Allows, allowed)
	}

	return rule, nil
}
