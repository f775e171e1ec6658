// Package upstream signs users in at another provider: one of OpenID Connect, or GitHub.
//
// A sign-in that has begun travels with the browser, sealed, and is of that browser and of one provider: the answer of
// another provider, or in another browser, is refused (RFC 9700, section 4.4). An identity that Redeem returns was
// asserted by its provider for this sign-in. Answers are bounded in size and time, and no redirect is followed.
//
// Which user of ours an identity is, and whether it may sign in, is for package signin; pages leads the browser there
// and back. The package never sees an HTTP request.
//
// # Files
//
//	upstream.go    a provider, and where a sign-in begins
//	pending.go     a sign-in that has begun
//	discovery.go   the addresses of a provider, cached
//	redeem.go      from a code to an identity
//	idtoken.go     the rules for ID tokens
//	github.go      the same at GitHub, which has none
//	fetch.go       requests to a provider
package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Config is what New needs.
type Config struct {
	Name        string // of the provider, in addresses and the audit log
	Issuer      string // as its discovery document has it; of GitHub, its address
	GitHub      bool
	ClientID    string
	Secret      jeton.Secret // zero: none, PKCE alone
	Scopes      []string
	GroupsClaim string // "": none
	Redirect    string // address that the provider sends browsers back to
	Target      outbound.Target
	Key         []byte // seals sign-ins that have begun; 32 bytes, the same on all nodes
	Now         func() time.Time
	Log         *slog.Logger
}

// Provider is one provider. It is safe for concurrent use.
type Provider struct {
	Config
	seal      secret.Seal
	discovery discovery
	keys      *client.KeyCache
	places    chan struct{} // held by those who redeem a code
}

// maxRedeeming is how many codes are redeemed at the same time: a request of a stranger may cause one at the provider.
const maxRedeeming = 16

// New returns a provider for a configuration that has been checked. It asks the provider nothing yet.
func New(c Config) (*Provider, error) {
	seal, err := secret.NewSeal(c.Key, "upstream sign-in\x00"+c.Name)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", c.Name, err)
	}

	p := &Provider{
		Config:    c,
		seal:      seal,
		discovery: newDiscovery(),
		keys:      client.NewKeyCache(c.Log),
		places:    make(chan struct{}, maxRedeeming),
	}

	return p, nil
}

// CanProve reports whether the provider can be asked to prove a user afresh.
func (p *Provider) CanProve() bool { return !p.GitHub }

// Authorize returns the address at the provider where a sign-in of a browser goes on, for the value of the browser's
// cookie. It returns jeton.ErrUpstream if the provider does not answer, and jeton.ErrInvalid if a fresh proof is wanted
// of one that gives none.
func (p *Provider) Authorize(ctx context.Context, in Pending, browser string) (string, error) {
	if in.Fresh && !p.CanProve() {
		return "", jeton.WithDetail(jeton.ErrInvalid, p.Name+" cannot prove a user again")
	}

	m, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}

	in.begin(browser, p.Now())
	state, err := p.seal.Close(in)
	if err != nil {
		return "", err
	}

	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {p.ClientID},
		"redirect_uri":          {p.Redirect},
		"scope":                 {strings.Join(p.Scopes, " ")},
		"state":                 {state},
		"code_challenge":        {secret.Challenge(in.Verifier)},
		"code_challenge_method": {"S256"},
	}
	if !p.GitHub {
		query.Set("nonce", in.Nonce)
	}
	if in.Fresh {
		query.Set("prompt", "login")
		query.Set("max_age", "0")
	}

	// The address may have a query of its own (RFC 6749, section 3.1).
	to, err := url.Parse(m.Authorization)
	if err != nil {
		return "", err // it was parsed before
	}
	own := to.Query()
	for name := range own {
		if !query.Has(name) {
			query[name] = own[name]
		}
	}
	to.RawQuery = query.Encode()

	return to.String(), nil
}

// Identity is a user of a provider, as the provider has asserted it.
type Identity struct {
	Issuer    string
	Subject   string // which the issuer gives to no other user
	Preferred string // name that the user prefers; "": none
	First     string // name
	Last      string // name
	Email     string
	Verified  bool // the address is verified
	Groups    []string
}

// maxLabel bounds a label, in bytes.
const maxLabel = 254

// Label returns what a page calls the identity.
func (i Identity) Label() string {
	for _, text := range []string{i.Email, i.Preferred, i.Subject} {
		if text != "" && len(text) <= maxLabel {
			return text
		}
	}

	return ""
}

// Domain returns the domain of the verified address in lower case, or "".
func (i Identity) Domain() string {
	at := strings.LastIndexByte(i.Email, '@')
	if !i.Verified || at < 0 {
		return ""
	}

	return strings.ToLower(i.Email[at+1:])
}

// InGroup reports whether the identity is in one of the groups of its provider.
func (i Identity) InGroup(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(i.Groups, g) })
}
