package jeton

import "time"

// RelyingParty is what a client needs that sends its users here to sign in (OpenID Connect Core 1.0). Only the first
// member is required.
type RelyingParty struct {
	// RedirectURIs are where browsers may be sent back to, compared as text. One of a loopback address,
	// http://127.0.0.1/… or http://[::1]/…, may be used with any port (RFC 8252, section 7.3).
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// BackchannelLogoutURI gets a logout token for each session of a user that ends (OpenID Connect Back-Channel Logout
	// 1.0), with sub and sid.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// PrivateNetwork allows that address to be on the machine of the server or in a private network, and to use plain
	// http:// on that machine.
	PrivateNetwork bool `json:"private_network,omitempty"`

	// Public is a client that keeps no secret, such as a program on the user's machine.
	Public bool `json:"public,omitempty"`
	// AskConsent is a client of another organisation: each user is asked once, for each set of scopes.
	AskConsent bool `json:"ask_consent,omitempty"`
	// DeviceGrant lets it sign users in at a device without a browser (RFC 8628).
	DeviceGrant bool `json:"device_grant,omitempty"`
	// RequirePAR refuses authorization requests that the client has not pushed (RFC 9126).
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty"`
	// PKCEOptional accepts authorization requests without PKCE (RFC 7636). A public client has no choice.
	PKCEOptional bool   `json:"pkce_optional,omitempty"`
	Algorithm    string `json:"id_token_signed_response_alg,omitempty"` // RS256, ES256 or EdDSA; "": RS256
	// IDTokenClaims puts the claims of the granted scopes into the ID token, too.
	IDTokenClaims bool          `json:"id_token_claims,omitempty"`
	Allow         *AllowedUsers `json:"allow,omitempty"` // nil: every user
	// SubjectType is "pairwise" for a client whose users have another sub than at clients of other sectors (OpenID
	// Connect Core 1.0, section 8); "" or "public": the sub is the public id of the user.
	SubjectType string `json:"subject_type,omitempty"`
	// SectorIdentifier is the host that clients with the same pairwise subjects share. If it is left out, it becomes
	// the host of RedirectURIs, and stays that when they change.
	SectorIdentifier string `json:"sector_identifier,omitempty"`
	// MaxUses is how often one sign-in session may sign its user in at the client: 1 is a fresh sign-in each time; 0 is
	// no limit.
	MaxUses int64 `json:"max_uses,omitempty"`
	// RefreshMaxUses is how often the tokens of one sign-in may be refreshed; 0: no limit.
	RefreshMaxUses int64 `json:"refresh_max_uses,omitempty"`
	// ActivationDelay is how many seconds a new access token is not yet valid at the issuer, at most 540. The delay at
	// another service is in its own terms.
	ActivationDelay int64 `json:"activation_delay_seconds,omitempty"`
	// RefreshLifetime is how many seconds after a sign-in its refresh tokens are valid; 0: 30 days.
	RefreshLifetime int64 `json:"refresh_lifetime_seconds,omitempty"`
}

// Application is a relying party that a user signs in at.
type Application struct {
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`             // that the user agreed to, or those of the last sign-in
	Agreed   time.Time `json:"agreed_at,omitzero"` // absent: the user was not asked
	Created  time.Time `json:"created_at"`
	LastUsed time.Time `json:"last_used_at"` // when the user last signed in there
}

// AllowedUsers lists users. Being in one of the lists is enough; empty lists allow no one.
type AllowedUsers struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
}
