// Package openid makes the claims of users and the ID tokens of OpenID Connect Core 1.0, and sends logout tokens.
//
// A claim is in the answer of the userinfo endpoint if its scope was granted. An ID token is signed with a key that
// signs nothing else, so it never passes as an access token. A relying party gets a logout token for each sign-in
// session that ends, also if this process is killed: see Sender. Who may get an ID token is for package signin, and
// requests are read in package oauth.
package openid

import (
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

// The scopes (OpenID Connect Core 1.0, sections 3.1.2.1, 5.4 and 11).
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeGroups  = "groups" // ours, as of many others
	ScopeOffline = "offline_access"
)

// Scopes are the scopes that a client may ask for.
func Scopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeGroups, ScopeOffline}
}

// SealedParams returns the parameters of an authorization request by which the issuer knows it again, once the browser
// comes back from the sign-in page: those that differ between any two, and those that say where an answer goes.
// What leads the browser back must hand all of them on, or the sign-in would be asked for without end.
func SealedParams() []string {
	return []string{
		"client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "resource", "prompt", "max_age",
		"acr_values", "claims", "id_token_hint", PushedParam,
	}
}

// PushedParam says of a request that comes back from a page that its client had pushed it (RFC 9126). It counts only
// if it is sealed.
const PushedParam = "pushed"

// RequestParams returns the parameters of an authorization request that are read: here, or by the pages that it leads
// to (RFC 6749, section 4.1.1; RFC 7636, section 4.3; OpenID Connect Core 1.0, section 3.1.2.1).
func RequestParams() []string {
	return append(SealedParams(), "response_type", "response_mode", "code_challenge_method", "ui_locales", "login_hint")
}

// Known returns those of the scopes that exist, sorted and each once. Others are ignored (OpenID Connect Core 1.0,
// section 3.1.2.1).
func Known(scopes []string) []string {
	list := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(Scopes(), s) })
	slices.Sort(list)

	return slices.Compact(list)
}

// Claims are the claims of a user (OpenID Connect Core 1.0, section 5.1). Those without a value are left out.
type Claims struct {
	Subject string `json:"sub"`

	// Scope profile.
	Preferred string `json:"preferred_username,omitempty"`
	Name      string `json:"name,omitempty"`
	First     string `json:"given_name,omitempty"`
	Last      string `json:"family_name,omitempty"`
	Updated   int64  `json:"updated_at,omitempty"`

	// Scope email.
	Email    string `json:"email,omitempty"`
	Verified *bool  `json:"email_verified,omitempty"`

	// Scope groups: an array, also of one or none.
	Groups *[]string `json:"groups,omitempty"`
}

// ClaimNames are the names of the claims of users.
func ClaimNames() []string {
	return []string{
		"sub", "preferred_username", "name", "given_name", "family_name", "updated_at",
		"email", "email_verified", "groups",
	}
}

// TokenClaims are the names of the claims that only an ID token has.
func TokenClaims() []string {
	return []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "amr", "acr"}
}

// ClaimsOf returns the claims of a user that scopes give access to. The subject is that of Subjects.Of.
func ClaimsOf(subject string, a account.Account, scopes []string) Claims {
	c := Claims{Subject: subject}

	if slices.Contains(scopes, ScopeProfile) {
		c.Preferred = a.Name
		c.First, c.Last = a.First, a.Last
		c.Name = strings.TrimSpace(a.First + " " + a.Last)
		if c.Name == "" {
			c.Name = a.Name
		}
		c.Updated = a.Updated.Unix()
	}

	if slices.Contains(scopes, ScopeEmail) && a.Email != "" {
		// Users can change their own address, which proves nothing; one of the configuration is the operator's word.
		verified := a.Declared || a.Verified
		c.Email, c.Verified = a.Email, &verified
	}

	if slices.Contains(scopes, ScopeGroups) {
		groups := append([]string{}, a.Groups...)
		c.Groups = &groups
	}

	return c
}

// IDTokenClaims returns the claims of a user in an ID token for a relying party: the subject alone, unless the party
// wants those of the scopes there, too.
func IDTokenClaims(party *jeton.RelyingParty, subject string, a account.Account, scopes []string) Claims {
	if !party.IDTokenClaims {
		return Claims{Subject: subject}
	}

	return ClaimsOf(subject, a, scopes)
}
