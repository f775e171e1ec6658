package upstream

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
)

const (
	skew       = time.Minute      // between the clocks of the provider and this server
	maxAge     = 10 * time.Minute // since an ID token was issued: it comes straight from the provider
	maxSubject = 255              // bytes (OpenID Connect Core 1.0, section 2)
	maxGroups  = 1000
)

// describe describes an error answer for the operator.
func describe(status int, code string) string {
	return fmt.Sprintf("status %d, error %.100q", status, code)
}

// claims are the members of an ID token or of the answer of the userinfo endpoint, by their exact names.
type claims map[string]json.RawMessage

// text returns a claim that is a text, or "".
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}

	return s
}

// checkIDToken checks an ID token for a sign-in (OpenID Connect Core 1.0, section 3.1.3.7) and returns its claims.
func (p *Provider) checkIDToken(ctx context.Context, m *metadata, in Pending, text string) (claims, error) {
	signed, err := jose.Parse(text)
	if err != nil {
		return nil, refuse("ID token: %v", err)
	}
	// A token of another kind, signed with the same key, is none (RFC 8725, section 3.11).
	if signed.Header.Type != "" && !signed.Header.Typ("JWT") {
		return nil, refuse("ID token has the typ %.100q", signed.Header.Type)
	}
	if err := p.checkSignature(ctx, m, signed); err != nil {
		return nil, err
	}

	// It refuses members that occur twice, which the map below would not see.
	std, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return nil, refuse("ID token: %v", err)
	}
	var all claims
	if err := json.Unmarshal(signed.Payload, &all); err != nil {
		return nil, refuse("ID token: %v", err)
	}

	if err := p.checkClaims(std, all, in); err != nil {
		return nil, err
	}

	return all, nil
}

// checkSignature checks the signature of an ID token with the keys that the provider publishes.
func (p *Provider) checkSignature(ctx context.Context, m *metadata, signed jose.Signed) error {
	source := client.Source{
		URL:     m.Keys,
		Format:  client.FormatJWKS,
		CA:      p.Target.CA,
		Private: p.Target.Private,
	}

	keys, err := p.keys.Keys(ctx, source, signed.Header.KeyID, p.Now())
	if err != nil {
		return p.down("keys", err)
	}

	// The algorithm is that of the key, never what the header says alone. There are no symmetric ones, and no "none".
	for _, key := range keys {
		if signed.Verify(key) == nil {
			return nil
		}
	}

	return refuse(
		"no key of the provider has signed the ID token: kid %.100q, algorithm %.20q",
		signed.Header.KeyID, string(signed.Header.Alg),
	)
}

// checkClaims checks that the ID token is of the provider, for this client, for this sign-in and for now.
func (p *Provider) checkClaims(std jose.Claims, all claims, in Pending) error {
	now := p.Now()
	azp, hasParty := all["azp"]
	nonce := all.text("nonce")

	switch {
	case std.Issuer != p.Issuer:
		return refuse("iss of the ID token is %.200q", std.Issuer)
	case !slices.Contains(std.Audience, p.ClientID):
		return refuse("aud of the ID token is %.200q, without this client", std.Audience)
	case hasParty && all.text("azp") != p.ClientID:
		return refuse("azp of the ID token is %.200s", azp)
	case len(std.Audience) > 1 && !hasParty:
		return refuse("the ID token has several audiences and no azp")
	case nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(in.Nonce)) != 1:
		return refuse("nonce of the ID token is not that of the sign-in")
	case !isSubject(std.Subject):
		return refuse("sub of the ID token is not 1 to %d bytes of text", maxSubject)
	}

	switch {
	case std.Expires.IsZero() || std.IssuedAt.IsZero():
		return refuse("the ID token has no exp or no iat")
	case !now.Before(std.Expires.Add(skew)):
		return refuse("the ID token has expired at %s", std.Expires.Format(time.RFC3339))
	case std.IssuedAt.After(now.Add(skew)) || std.NotBefore.After(now.Add(skew)):
		return refuse("the ID token is of the future: iat %s", std.IssuedAt.Format(time.RFC3339))
	case std.IssuedAt.Before(now.Add(-maxAge - skew)):
		return refuse("the ID token is old: iat %s", std.IssuedAt.Format(time.RFC3339))
	}

	return checkFresh(all, in)
}

// checkFresh checks that the provider has proved the user after the sign-in began, if that was asked for.
func checkFresh(all claims, in Pending) error {
	if !in.Fresh {
		return nil
	}

	var at float64
	if json.Unmarshal(all["auth_time"], &at) != nil {
		return refuse("the ID token has no auth_time, and a new proof was asked for")
	}

	proved := time.Unix(int64(min(max(at, 0), 1<<40)), 0)
	if proved.Before(in.Began.Add(-skew)) {
		return refuse("auth_time of the ID token is %s, before the sign-in began", proved.UTC().Format(time.RFC3339))
	}

	return nil
}

// isSubject reports whether a text can name a user.
func isSubject(s string) bool {
	bad := func(r rune) bool { return r < ' ' || r == 0x7f }
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && !strings.ContainsFunc(s, bad)
}

// addUserinfo adds the claims that the ID token lacks and the userinfo endpoint has.
func (p *Provider) addUserinfo(ctx context.Context, m *metadata, all claims, access string) error {
	wanted := []string{"email", "preferred_username"}
	if p.GroupsClaim != "" {
		wanted = append(wanted, p.GroupsClaim)
	}

	missing := slices.ContainsFunc(wanted, func(name string) bool { return all[name] == nil })
	if !missing || m.Userinfo == "" {
		return nil
	}

	var more claims
	if err := p.get(ctx, m.Userinfo, access, &more); err != nil {
		return p.down("userinfo", err)
	}

	// OpenID Connect Core 1.0, section 5.3.2: the access token may be of another user.
	if more.text("sub") != all.text("sub") {
		return refuse("sub of userinfo is not that of the ID token")
	}

	// An address and whether it is verified come from one place.
	if all["email"] != nil {
		delete(more, "email_verified")
	} else {
		delete(all, "email_verified")
	}
	for name, value := range more {
		if all[name] == nil {
			all[name] = value
		}
	}

	return nil
}

// identity returns the identity that claims describe.
func (p *Provider) identity(all claims) (Identity, error) {
	i := Identity{
		Issuer:    p.Issuer,
		Subject:   all.text("sub"),
		Preferred: all.text("preferred_username"),
		First:     all.text("given_name"),
		Last:      all.text("family_name"),
		Email:     all.text("email"),
	}

	// Only true: a text "true" or "false" is for no one to guess.
	i.Verified = string(all["email_verified"]) == "true"

	if p.GroupsClaim == "" || all[p.GroupsClaim] == nil {
		return i, nil
	}

	// Some providers write one group as a text.
	one := all.text(p.GroupsClaim)
	err := json.Unmarshal(all[p.GroupsClaim], &i.Groups)
	switch {
	case one != "":
		i.Groups = []string{one}
	case err != nil || len(i.Groups) > maxGroups:
		return Identity{}, refuse("claim %s is not a list of at most %d texts", p.GroupsClaim, maxGroups)
	}

	return i, nil
}
