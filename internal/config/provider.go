package config

import (
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Provider is another provider at which users sign in: one of OpenID Connect, or GitHub.
type Provider struct {
	Name             string         `yaml:"name" required:"true" doc:"Name in addresses and in the audit log. The provider has to know the address URL/sign-in/with/NAME/callback, where URL is issuer.url."`
	Issuer           string         `yaml:"issuer" required:"true" doc:"Issuer of an OpenID Connect provider, exactly as its discovery document has it, or github."`
	GitHubURL        string         `yaml:"github_url" absent:"https://github.com" doc:"Address of a GitHub Enterprise Server, with issuer github."`
	ClientID         string         `yaml:"client_id" required:"true" doc:"Name of this server at the provider."`
	ClientSecretFile string         `yaml:"client_secret_file" absent:"no secret, PKCE alone" doc:"File with the secret of this server at the provider, mode 0600 or 0640. Relative to this file."`
	Scopes           []string       `yaml:"scopes" absent:"openid, profile and email; at GitHub read:user and user:email" doc:"Scopes that are asked for."`
	Label            string         `yaml:"label" absent:"the name" doc:"What the button on the sign-in page names."`
	Users            string         `yaml:"users" default:"existing" enum:"existing,invited,create" doc:"Who may sign in. existing: users who have connected their account on the page of their account. invited: also those who connect it after they followed a one-time link. create: also everybody else whom the provider proves and allow permits; a user is made at the first sign-in, unless a rule of this file names a user with this name."`
	LinkDomains      []string       `yaml:"link_by_email_domains" absent:"none" doc:"Domains whose verified addresses connect an account of the provider to the user with this address, if an operator has set it: a user of this file, or one without a password, a second factor, a passkey and another provider."`
	Allow            *ProviderAllow `yaml:"allow" absent:"every user of the provider" doc:"Users of the provider who may sign in. With several lists, a user has to be in each."`
	GroupsClaim      string         `yaml:"groups_claim" absent:"none" doc:"Claim with the groups of the user at the provider, in the ID token or the answer of the userinfo endpoint."`
	Groups           []ProviderMap  `yaml:"groups" absent:"none" doc:"Groups here for groups of the provider. At each sign-in, the user gets and loses the groups that are listed here; others stay."`
	CA               string         `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of the provider. Relative to the data directory."`
	PrivateNetwork   bool           `yaml:"private_network" doc:"The provider may be on this machine or in a private network, and may use plain http:// on this machine."`

	secret jeton.Secret
}

// ProviderGitHub is the issuer of GitHub.
const ProviderGitHub = "github"

// Who may sign in at a provider.
const (
	ProviderExisting = "existing"
	ProviderInvited  = "invited"
	ProviderCreate   = "create"
)

// ClientSecret returns the secret of this server at the provider, or the zero value.
func (p *Provider) ClientSecret() jeton.Secret { return p.secret }

// ReservedUsers returns the users whom rules of the configuration name, folded as naming.User does, sorted and each
// once. A user of a provider must not become one of them by the choice of a name.
func (c *Config) ReservedUsers() []string {
	var names []string
	for i := range c.Services {
		s := &c.Services[i]
		if s.Login.Allow != nil {
			names = append(names, s.Login.Allow.Users...)
		}
		for _, u := range s.UserScopes {
			if u.Allow != nil {
				names = append(names, u.Allow.Users...)
			}
		}
		for _, r := range s.Routes {
			if r.Allow != nil {
				names = append(names, r.Allow.Users...)
			}
		}
	}
	for _, declared := range c.Clients {
		if declared.OpenID != nil && declared.OpenID.Allow != nil {
			names = append(names, declared.OpenID.Allow.Users...)
		}
	}
	if c.Issuer != nil {
		for _, d := range c.Issuer.Documents {
			if d.Allow != nil {
				names = append(names, d.Allow.Users...)
			}
		}
	}

	var list []string
	for _, name := range names {
		_, folded, err := naming.User(name)
		if err == nil {
			list = append(list, folded)
		}
	}
	slices.Sort(list)

	return slices.Compact(list)
}

// ProviderAllow says which users of a provider may sign in.
type ProviderAllow struct {
	Domains []string `yaml:"domains" absent:"any" doc:"Domains of verified e-mail addresses, as in example.org."`
	Groups  []string `yaml:"groups" absent:"any" doc:"Groups of the provider. They need groups_claim."`
}

// ProviderMap has the groups for one group of a provider.
type ProviderMap struct {
	From string   `yaml:"from" required:"true" doc:"Group of the provider, as its claim has it."`
	To   []string `yaml:"to" required:"true" doc:"Groups here."`
}
