package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
)

// needs returns the signing keys that a configuration needs.
func needs(conf *config.Config) keys.Needs {
	// Without an issuer, existing keys still expire, and rotate by command, as by default.
	rotation := config.DefaultIssuerKeys()
	if conf.Issuer != nil {
		rotation = conf.Issuer.Keys
	}

	n := keys.Needs{
		RotateEvery: rotation.RotateEvery.Std(),
		PublishFor:  rotation.PublishFor.Std(),
		Keep:        policy.KeepRevocations,
	}

	if conf.Issuer == nil {
		return n
	}

	for _, t := range targets(conf) {
		pair := keys.Pair{Kind: keys.Access, Alg: jose.Alg(t.Terms.Alg)}
		if t.Terms.Format == policy.JWT && !slices.Contains(n.Pairs, pair) {
			n.Pairs = append(n.Pairs, pair)
		}
	}

	// Before the first sign-in, so that the key set that a relying party caches has them. Those of clients that are
	// added later are made when they are needed.
	for _, c := range conf.Clients {
		if c.OpenID == nil {
			continue
		}
		kinds := []keys.Kind{keys.ID}
		if c.OpenID.BackchannelURI != "" {
			kinds = append(kinds, keys.Logout)
		}

		for _, kind := range kinds {
			pair := keys.Pair{Kind: kind, Alg: jose.Alg(c.OpenID.IDTokenAlg)}
			if !slices.Contains(n.Pairs, pair) {
				n.Pairs = append(n.Pairs, pair)
			}
		}
	}

	if slices.ContainsFunc(conf.Services, func(s config.Service) bool { return asserted(conf, s) }) {
		n.Pairs = append(n.Pairs, keys.Pair{Kind: keys.Assertion, Alg: jose.Alg(conf.Issuer.Keys.Algorithm)})
	}

	return n
}

// asserted reports whether a service gets assertions: without an issuer, no keys are published to verify them with.
func asserted(conf *config.Config, s config.Service) bool { return conf.Issuer != nil && s.Asserted() }

// assertionsFor returns the assertions of a service, or nil.
func (s *Server) assertionsFor(conf *config.Config, service config.Service) *token.Assertions {
	if !asserted(conf, service) {
		return nil
	}
	return s.core.assertions.Of(conf.Issuer.URL, jose.Alg(conf.Issuer.Keys.Algorithm))
}

// targets are the services that tokens can be for.
func targets(conf *config.Config) []signin.Target {
	var list []signin.Target
	for _, s := range conf.Services {
		if terms, ok := gateway.TokenTerms(s); ok {
			list = append(list, signin.Target{
				Service: s.Name,
				Terms:   terms,
				Allow:   gateway.LoginAllow(s),
				Grants:  gateway.Grants(s),
				Require: gateway.RequireAnywhere(s),
			})
		}
	}

	return list
}

// declaredClients returns the clients of a configuration. It reads their key files each time,
// so that a reload applies a changed key.
func (k *core) declaredClients(conf *config.Config) ([]client.Client, error) {
	var list []client.Declared
	for i, c := range conf.Clients {
		d := client.Declared{
			Name:        c.Name,
			SecretHash:  c.SecretHash,
			Services:    c.Services,
			Scopes:      c.Scopes,
			Introspects: c.Introspects,
			OpenID:      relyingParty(c.OpenID),
			Workload:    conf.ActsByWorkload(c.Name),
			Disabled:    c.Disabled,
			Source:      k.keySource(c.KeySource),
		}

		for j, key := range c.Keys {
			one, err := k.declaredKey(key, fmt.Sprintf("clients[%d].keys[%d]", i, j))
			if err != nil {
				return nil, fmt.Errorf("%s: key of client %s: %w", conf.Path, c.Name, err)
			}
			d.Keys = append(d.Keys, one)
		}

		list = append(list, d)
	}

	clients, err := client.CheckDeclared(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", conf.Path, err)
	}

	return clients, nil
}

// relyingParty returns how a client signs users in, or nil.
func relyingParty(o *config.OpenID) *jeton.RelyingParty {
	if o == nil {
		return nil
	}

	p := &jeton.RelyingParty{
		RedirectURIs:           o.RedirectURIs,
		PostLogoutRedirectURIs: o.PostLogoutURIs,
		BackchannelLogoutURI:   o.BackchannelURI,
		PrivateNetwork:         o.PrivateNetwork,
		Public:                 o.Public,
		AskConsent:             o.AskConsent,
		DeviceGrant:            o.DeviceGrant,
		RequirePAR:             o.RequirePAR,
		PKCEOptional:           !o.RequirePKCE,
		Algorithm:              o.IDTokenAlg,
		IDTokenClaims:          o.IDTokenClaims,
		SubjectType:            o.Subject,
		SectorIdentifier:       o.Sector,
		ActivationDelay:        int64(o.ActivationDelay.Std().Seconds()),
		RefreshLifetime:        int64(o.RefreshLifetime.Std().Seconds()),
	}
	if o.MaxUses != nil {
		p.MaxUses = *o.MaxUses
	}
	if o.RefreshMaxUses != nil {
		p.RefreshMaxUses = *o.RefreshMaxUses
	}
	p.Allow = allowedUsers(o.Allow)

	return p
}

// allowedUsers returns who may sign in; nil: everyone.
func allowedUsers(a *config.AllowUsers) *jeton.AllowedUsers {
	if a == nil {
		return nil
	}
	return &jeton.AllowedUsers{Users: a.Users, Groups: a.Groups}
}

// documentHosts returns the hosts whose documents describe clients.
func (k *core) documentHosts(conf *config.Config) []client.DocumentHost {
	if conf.Issuer == nil {
		return nil
	}

	var hosts []client.DocumentHost
	for _, d := range conf.Issuer.Documents {
		host := client.DocumentHost{
			Host:     d.Host,
			Services: slices.Sorted(slices.Values(d.Services)),
			Scopes:   slices.Sorted(slices.Values(d.Scopes)),
			Allow:    allowedUsers(d.Allow),
			Target:   outbound.Target{Private: d.PrivateNetwork},
		}
		if d.CA != "" {
			host.Target.CA = k.dir.file(d.CA)
		}
		hosts = append(hosts, host)
	}

	return hosts
}

// declaredKey returns a key of a client, and reads its file if it has one.
func (k *core) declaredKey(key config.ClientKey, where string) (client.DeclaredKey, error) {
	d := client.DeclaredKey{
		Text:      []byte(key.Public),
		Alg:       jose.Alg(key.Algorithm),
		ID:        key.ID,
		NotBefore: key.NotBefore.Time,
		NotAfter:  key.NotAfter.Time,
		Where:     where,
	}
	if key.File == "" {
		return d, nil
	}

	path := k.dir.file(key.File)
	d.Where += " " + path

	var err error
	d.Text, err = readKey(path)
	if err != nil {
		return d, fmt.Errorf("%w; make it with 'openssl pkey -in PRIVATE -pubout -out %s'", err, filepath.Base(path))
	}

	return d, nil
}

// keySource returns where the keys of a client are fetched, or nil.
func (k *core) keySource(s *config.KeySource) *client.Source {
	if s == nil {
		return nil
	}

	source := &client.Source{
		URL:     s.URL,
		Format:  s.Format,
		Alg:     jose.Alg(s.Algorithm),
		Private: s.PrivateNetwork,
	}
	if s.CA != "" {
		source.CA = k.dir.file(s.CA)
	}

	return source
}

// maxKeyFile bounds a file with a public key, in bytes.
const maxKeyFile = 64 << 10

// readKey reads a file with a public key. Its mode does not matter: it holds no secret.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	// One byte more than the limit shows that the file is longer.
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s is over %d KiB", path, maxKeyFile>>10)
	}

	return text, err
}

// openLogouts opens the sender of logout tokens.
func (k *core) openLogouts(c Config) {
	k.logoutCount = newLogoutCounter()
	k.logouts = openid.NewSender(openid.SenderConfig{
		Store:   k.db,
		Clients: k.clients,
		Ring:    k.keys,
		Audit:   k.audit,
		Now:     c.Now,
		Log:     c.Log,
		Count:   func(outcome string) { k.logoutCount.WithLabelValues(outcome).Inc() },
	})
}
