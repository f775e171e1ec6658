package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/store/move"

	"go.yaml.in/yaml/v4"
)

// Adopted is what Adopt writes: a part of a configuration file.
type Adopted struct {
	YAML    []byte
	Skipped []string // "user NAME: reason" or "client NAME: reason" of what a file cannot declare
}

// adoption is the part of a file, as yaml.Marshal writes it. Its keys are those of package config.
type adoption struct {
	Users   []adoptedUser   `yaml:"users,omitempty"`
	Clients []adoptedClient `yaml:"clients,omitempty"`
}

type adoptedUser struct {
	Name         string   `yaml:"name"`
	PasswordHash string   `yaml:"password_hash"`
	Groups       []string `yaml:"groups,omitempty,flow"`
	Disabled     bool     `yaml:"disabled,omitempty"`
	Email        string   `yaml:"email,omitempty"`
	FirstName    string   `yaml:"first_name,omitempty"`
	LastName     string   `yaml:"last_name,omitempty"`
}

type adoptedClient struct {
	Name        string         `yaml:"name"`
	Keys        []adoptedKey   `yaml:"keys,omitempty"`
	KeySource   *adoptedSource `yaml:"key_source,omitempty"`
	SecretHash  string         `yaml:"secret_hash,omitempty"`
	Services    []string       `yaml:"services,omitempty,flow"`
	Scopes      []string       `yaml:"scopes,omitempty,flow"`
	Introspects []string       `yaml:"introspects,omitempty,flow"`
	OpenID      *adoptedOpenID `yaml:"openid,omitempty"`
	Disabled    bool           `yaml:"disabled,omitempty"`
}

type adoptedKey struct {
	ID        string `yaml:"kid"`
	Algorithm string `yaml:"algorithm"`
	Public    string `yaml:"public"`
	NotBefore string `yaml:"not_before,omitempty"`
	NotAfter  string `yaml:"not_after,omitempty"`
}

type adoptedSource struct {
	URL            string `yaml:"url"`
	Format         string `yaml:"format"`
	Algorithm      string `yaml:"algorithm,omitempty"`
	CA             string `yaml:"ca,omitempty"`
	PrivateNetwork bool   `yaml:"private_network,omitempty"`
}

type adoptedOpenID struct {
	RedirectURIs    []string      `yaml:"redirect_uris"`
	PostLogoutURIs  []string      `yaml:"post_logout_redirect_uris,omitempty"`
	BackchannelURI  string        `yaml:"backchannel_logout_uri,omitempty"`
	PrivateNetwork  bool          `yaml:"private_network,omitempty"`
	Public          bool          `yaml:"public,omitempty"`
	AskConsent      bool          `yaml:"ask_consent,omitempty"`
	DeviceGrant     bool          `yaml:"device_grant,omitempty"`
	RequirePAR      bool          `yaml:"require_par,omitempty"`
	RequirePKCE     *bool         `yaml:"require_pkce,omitempty"`
	IDTokenAlg      string        `yaml:"id_token_algorithm,omitempty"`
	IDTokenClaims   bool          `yaml:"id_token_claims,omitempty"`
	Allow           *adoptedUsers `yaml:"allow,omitempty"`
	Subject         string        `yaml:"subject,omitempty"`
	Sector          string        `yaml:"sector_identifier,omitempty"`
	MaxUses         int64         `yaml:"max_uses,omitempty"`
	ActivationDelay string        `yaml:"activation_delay,omitempty"`
	RefreshMaxUses  int64         `yaml:"refresh_max_uses,omitempty"`
	RefreshLifetime string        `yaml:"refresh_lifetime,omitempty"`
}

type adoptedUsers struct {
	Users  []string `yaml:"users,omitempty,flow"`
	Groups []string `yaml:"groups,omitempty,flow"`
}

// Adopt returns the users and clients that no file declares as a part of a configuration file. wanted
// reports which of them, by "user" or "client" and the name. It only reads; a server may be running.
func Adopt(ctx context.Context, c Config, wanted func(kind, name string) bool) (Adopted, error) {
	c = c.withDefaults()
	var out Adopted
	var part adoption

	from, err := c.openToRead(ctx)
	if err != nil {
		return out, err
	}

	users, clients, err := move.Declarable(ctx, from)
	if err := errors.Join(err, from.Close()); err != nil {
		return out, err
	}

	for _, u := range users {
		if u.Declared || !wanted("user", u.Name) {
			continue
		}

		why := notDeclarable(u)
		if why != "" {
			out.Skipped = append(out.Skipped, "user "+u.Name+": "+why)
			continue
		}
		part.Users = append(part.Users, adoptUser(u))
	}

	for _, one := range clients {
		if one.Declared || !wanted("client", one.Name) {
			continue
		}

		if one.Described() {
			why := "is described by its document; a file cannot declare it"
			out.Skipped = append(out.Skipped, "client "+one.Name+": "+why)
			continue
		}
		part.Clients = append(part.Clients, adoptClient(one))
	}

	return part.yaml(out)
}

// yaml adds the text of the part to what was adopted.
func (part adoption) yaml(out Adopted) (Adopted, error) {
	if len(part.Users)+len(part.Clients) == 0 {
		return out, nil
	}

	var n yaml.Node
	if err := n.Encode(part); err != nil {
		return out, fmt.Errorf("write YAML: %w", err)
	}
	escape(&n)

	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return out, fmt.Errorf("write YAML: %w", err)
	}
	out.YAML = b.Bytes()

	return out, e.Close()
}

// escape writes ${ as $${ in all text: a user whose name is ${NAME} must not get what a variable has.
func escape(n *yaml.Node) {
	n.Value = strings.ReplaceAll(n.Value, "${", "$${")
	for _, inner := range n.Content {
		escape(inner)
	}
}

// notDeclarable returns why a file cannot declare a user, or "".
func notDeclarable(u account.Account) string {
	if u.Service != "" {
		return "valid at the service " + u.Service + " only; a declared user is valid at all"
	}
	if u.Password == "" {
		return "has no password; a declared user has one"
	}
	if _, err := password.Parse(u.Password); err != nil {
		return "has a password hash of another system, which is replaced when the user logs in; adopt the user then"
	}

	return ""
}

// adoptUser returns a user as a file has it.
func adoptUser(u account.Account) adoptedUser {
	return adoptedUser{
		Name:         u.Name,
		PasswordHash: u.Password,
		Groups:       u.Groups,
		Disabled:     u.Disabled,
		Email:        u.Email,
		FirstName:    u.First,
		LastName:     u.Last,
	}
}

// adoptClient returns a client as a file has it. Retired keys are left out: a file has no such
// keys, and the client keeps them.
func adoptClient(c client.Client) adoptedClient {
	out := adoptedClient{
		Name:        c.Name,
		Services:    c.Services,
		Scopes:      c.Scopes,
		Introspects: c.Introspects,
		OpenID:      adoptParty(c.OpenID),
		Disabled:    c.Disabled,
	}
	if c.Secret != nil {
		out.SecretHash = hex.EncodeToString(c.Secret[:])
	}
	if c.Source != nil {
		out.KeySource = &adoptedSource{
			URL:            c.Source.URL,
			Format:         c.Source.Format,
			Algorithm:      string(c.Source.Alg),
			CA:             c.Source.CA,
			PrivateNetwork: c.Source.Private,
		}
	}

	for _, k := range c.Keys {
		if k.Retired {
			continue
		}

		out.Keys = append(out.Keys, adoptedKey{
			ID:        k.ID,
			Algorithm: string(k.Alg),
			Public:    string(k.JWK()),
			NotBefore: adoptTime(k.Opens),
			NotAfter:  adoptTime(k.Closes),
		})
	}

	return out
}

// adoptTime returns a time as a file has it, "" for none.
func adoptTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// adoptParty returns how a client signs users in as a file has it; nil for a client that does not.
func adoptParty(p *jeton.RelyingParty) *adoptedOpenID {
	if p == nil {
		return nil
	}

	out := &adoptedOpenID{
		RedirectURIs:    p.RedirectURIs,
		PostLogoutURIs:  p.PostLogoutRedirectURIs,
		BackchannelURI:  p.BackchannelLogoutURI,
		PrivateNetwork:  p.PrivateNetwork,
		Public:          p.Public,
		AskConsent:      p.AskConsent,
		DeviceGrant:     p.DeviceGrant,
		RequirePAR:      p.RequirePAR,
		IDTokenAlg:      p.Algorithm,
		IDTokenClaims:   p.IDTokenClaims,
		Subject:         p.SubjectType,
		Sector:          p.SectorIdentifier,
		MaxUses:         p.MaxUses,
		ActivationDelay: adoptSeconds(p.ActivationDelay),
		RefreshMaxUses:  p.RefreshMaxUses,
		RefreshLifetime: adoptSeconds(p.RefreshLifetime),
	}
	if p.PKCEOptional {
		out.RequirePKCE = new(bool)
	}
	if p.Allow != nil {
		out.Allow = &adoptedUsers{p.Allow.Users, p.Allow.Groups}
	}

	return out
}

// adoptSeconds returns a duration as a file has it, "" for none.
func adoptSeconds(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%ds", n)
}
