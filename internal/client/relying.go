package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/policy"
)

const (
	// DefaultRefresh is how long the refresh tokens of one sign-in are valid, unless the client says otherwise.
	DefaultRefresh = 30 * 24 * time.Hour
	// MaxRefresh is the longest such time.
	MaxRefresh = 366 * 24 * time.Hour
	// MaxActivationDelay leaves each access token a minute in which it is valid.
	MaxActivationDelay = 9 * time.Minute
)

// CheckRelying returns a relying party as it is stored, with its lists sorted, or jeton.ErrInvalid with what is wrong.
func CheckRelying(in *jeton.RelyingParty) (*jeton.RelyingParty, error) {
	if in == nil {
		return nil, nil
	}

	out := *in
	if len(in.RedirectURIs) == 0 {
		return nil, invalidRelying("redirect_uris is required")
	}

	for _, l := range []struct {
		name string
		list *[]string
	}{
		{"redirect_uris", &out.RedirectURIs},
		{"post_logout_redirect_uris", &out.PostLogoutRedirectURIs},
	} {
		if len(*l.list) > maxItems {
			return nil, invalidRelying("%s: want at most %d", l.name, maxItems)
		}

		for _, uri := range *l.list {
			if err := naming.RedirectURI(uri); err != nil {
				return nil, invalidRelying("%s: %.100q: %v", l.name, uri, err)
			}
		}

		*l.list = sortedOrNil(*l.list)
	}

	if out.Allow != nil {
		allow := *out.Allow
		allow.Users, allow.Groups = sortedOrNil(allow.Users), sortedOrNil(allow.Groups)
		out.Allow = &allow
	}

	if out.BackchannelLogoutURI != "" {
		want := wantAddress(out.BackchannelLogoutURI, out.PrivateNetwork)
		if want != "" {
			return nil, invalidRelying("backchannel_logout_uri: want %s", want)
		}
	}

	if err := checkSubject(&out); err != nil {
		return nil, err
	}

	if err := checkTerms(&out); err != nil {
		return nil, err
	}

	return &out, nil
}

// checkTerms checks how codes and tokens are protected, and how long and how often they serve.
func checkTerms(p *jeton.RelyingParty) error {
	longest := int64(MaxRefresh / time.Second)
	delay := int64(MaxActivationDelay / time.Second)
	switch {
	case p.Public && p.PKCEOptional:
		return invalidRelying("pkce_optional: a public client has only PKCE to protect its codes; remove it")
	case p.Algorithm != "" && !slices.Contains(IDTokenAlgs(), jose.Alg(p.Algorithm)):
		return invalidRelying("id_token_signed_response_alg: want one of %v", IDTokenAlgs())
	case p.RefreshLifetime < 0 || p.RefreshLifetime > longest:
		return invalidRelying("refresh_lifetime_seconds: want 0 to %d", longest)
	case p.MaxUses < 0 || p.RefreshMaxUses < 0:
		return invalidRelying("max_uses and refresh_max_uses: want 1 or more; leave them out for no limit")
	case p.ActivationDelay < 0 || p.ActivationDelay > delay:
		return invalidRelying("activation_delay_seconds: want 0 to %d", delay)
	}

	return nil
}

// pairwise is the subject type of clients whose users have another sub than at others.
const pairwise = "pairwise"

// Pairwise reports whether the users of a relying party have another sub there than at clients of other sectors.
func Pairwise(p *jeton.RelyingParty) bool { return p.SubjectType == pairwise }

// checkSubject checks how users are named, and completes the sector: it must not follow a change of the addresses, for
// each user would become another one.
func checkSubject(p *jeton.RelyingParty) error {
	if p.SubjectType == "public" {
		p.SubjectType = ""
	}

	switch {
	case p.SubjectType != "" && p.SubjectType != pairwise:
		return invalidRelying("subject_type: want public or pairwise")
	case p.SubjectType == "" && p.SectorIdentifier != "":
		return invalidRelying("sector_identifier: only pairwise subjects have a sector; remove it")
	case p.SubjectType == "":
		return nil
	}

	if p.SectorIdentifier == "" {
		sector, err := naming.Sector(p.RedirectURIs)
		if err != nil {
			return invalidRelying("sector_identifier: %v; name a host", err)
		}
		p.SectorIdentifier = sector
	}
	if err := naming.SectorIdentifier(p.SectorIdentifier); err != nil {
		return invalidRelying("sector_identifier: %v", err)
	}

	return nil
}

// RefreshLifetime returns how long refresh tokens of a relying party are valid after the sign-in.
func RefreshLifetime(p *jeton.RelyingParty) time.Duration {
	if p.RefreshLifetime == 0 {
		return DefaultRefresh
	}
	return time.Duration(p.RefreshLifetime) * time.Second
}

// RefreshUses returns how often the tokens of one sign-in may be refreshed, or policy.Unlimited.
func RefreshUses(p *jeton.RelyingParty) int64 {
	if p.RefreshMaxUses == 0 {
		return policy.Unlimited
	}
	return p.RefreshMaxUses
}

// ActivationDelay returns how long a new access token is not yet valid at the issuer.
func ActivationDelay(p *jeton.RelyingParty) time.Duration {
	return time.Duration(p.ActivationDelay) * time.Second
}

// Backchannel returns what requests to a relying party may reach.
func Backchannel(p *jeton.RelyingParty) outbound.Target {
	return outbound.Target{Private: p.PrivateNetwork}
}

// invalidRelying returns jeton.ErrInvalid with a text.
func invalidRelying(format string, args ...any) error {
	return jeton.WithDetail(jeton.ErrInvalid, "openid."+fmt.Sprintf(format, args...))
}

// IDTokenAlgs are the algorithms that ID tokens can be signed with. The first is the default.
func IDTokenAlgs() []jose.Alg { return []jose.Alg{jose.RS256, jose.ES256, jose.EdDSA} }

// IDTokenAlg returns the algorithm of the ID tokens of a relying party.
func IDTokenAlg(p *jeton.RelyingParty) jose.Alg {
	if p.Algorithm == "" {
		return jose.RS256
	}
	return jose.Alg(p.Algorithm)
}

// Allowed returns the users who may sign in at a relying party; nil: all.
func Allowed(p *jeton.RelyingParty) *policy.Allow {
	if p.Allow == nil {
		return nil
	}
	return &policy.Allow{Users: p.Allow.Users, Groups: p.Allow.Groups}
}

// sortedOrNil returns a list sorted, each value once, so that equal lists are equal in the store.
func sortedOrNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}

	list = slices.Clone(list)
	slices.Sort(list)

	return slices.Compact(list)
}

// Redirects reports whether a browser may be sent to an address: it is registered, or is a registered loopback address
// with another port. It is compared as text, so no two programs can read it differently (RFC 9700, section 4.1.3).
func Redirects(registered []string, uri string) bool {
	if slices.Contains(registered, uri) {
		return true
	}

	host, rest, ok := splitLoopback(uri)
	if !ok {
		return false
	}

	return slices.ContainsFunc(registered, func(one string) bool {
		h, r, ok := splitLoopback(one)
		return ok && h == host && r == rest
	})
}

// splitLoopback splits an address on a loopback IP address into the part before the port and the part after it.
func splitLoopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}

		if port, ok := strings.CutPrefix(rest, ":"); ok {
			rest = strings.TrimLeft(port, "0123456789")
			digits := len(port) - len(rest)
			if digits == 0 || digits > 5 {
				return "", "", false
			}
		}

		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}

	return "", "", false
}
