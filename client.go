package jeton

import "time"

// Client describes software that authenticates with keys or a secret. It has no field for a
// secret or a private key.
type Client struct {
	Name        string        `json:"name"`
	Services    []string      `json:"services"`             // that accept its tokens
	Scopes      []string      `json:"scopes"`               // that its tokens may have
	Introspects []string      `json:"introspects"`          // services whose tokens it may look up
	Secret      bool          `json:"secret"`               // whether it has one
	KeySource   string        `json:"key_source,omitempty"` // URL that its keys are fetched from, or ""
	OpenID      *RelyingParty `json:"openid,omitempty"`     // how it signs users in; nil: it does not
	Keys        []ClientKey   `json:"keys"`
	Disabled    bool          `json:"disabled"`
	Declared    bool          `json:"declared"` // in the configuration file, and changed only there
	Created     time.Time     `json:"created_at"`
	Updated     time.Time     `json:"updated_at"`
}

// ClientKey is a public key that a client authenticates with. Outside its times, or when it is
// retired, it proves nothing.
type ClientKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	Retired   bool      `json:"retired"`             // listed only so that its kid is not used again
	NotBefore time.Time `json:"not_before,omitzero"` // zero: valid at once
	NotAfter  time.Time `json:"not_after,omitzero"`  // zero: no end
	Created   time.Time `json:"created_at"`
	Public    string    `json:"public"` // JWK
}

// SigningKey describes a key that the server signs tokens with.
type SigningKey struct {
	ID        string    `json:"kid"`
	Kind      string    `json:"kind"` // of tokens: it signs no other
	Algorithm string    `json:"alg"`
	Status    string    `json:"status"` // next, current, retired or revoked
	Created   time.Time `json:"created_at"`
	Signs     time.Time `json:"signs_from"`
	Retires   time.Time `json:"retires_at,omitzero"`   // the end of signing
	Withdrawn time.Time `json:"withdrawn_at,omitzero"` // the end of verifying: its tokens are refused
}

// Token describes a token. It holds neither the secret nor the signed text. Its kind is how it was made: access, issued
// to a proved owner; personal, made by its owner; approved, requested by a program and approved by its owner;
// leased, made for one job, with which it ends; or exchanged, with which a client acts for its owner (RFC 8693).
type Token struct {
	Accessor      string    `json:"accessor"` // public handle; the jti of a signed token
	Format        string    `json:"format"`   // jwt or opaque
	Kind          string    `json:"kind"`     // access, personal, approved, leased or exchanged
	Name          string    `json:"name,omitempty"`
	Parent        string    `json:"parent,omitempty"` // accessor of the token that it derives from
	Client        string    `json:"client,omitempty"`
	User          string    `json:"user,omitempty"`
	Actors        []string  `json:"actors,omitempty"` // clients that act for the owner, the latest first
	Audience      []string  `json:"audience"`
	Scopes        []string  `json:"scopes"`
	Allows        []string  `json:"allows,omitempty"`   // methods and paths; none: all
	Networks      []string  `json:"networks,omitempty"` // that it may come from; none: all
	Created       time.Time `json:"created_at"`
	NotBefore     time.Time `json:"not_before"`
	Expires       time.Time `json:"expires_at"`
	MaxUses       int64     `json:"max_uses,omitempty"`       // 0: not counted
	UsesRemaining *int64    `json:"uses_remaining,omitempty"` // nil: not counted
	LastUsed      time.Time `json:"last_used_at,omitzero"`    // written lazily: may be seconds old; absent: never
	Source        string    `json:"source,omitempty"`         // address of the request that made it
}

// Revocations is a page of the list of revoked tokens, whose signatures may still be valid. Each
// entry is the SHA-256, base64url, of "jti:" and the jti of a token, or of its claim gen.
type Revocations struct {
	Next int64    `json:"next"` // the position to ask for next time
	More bool     `json:"more"` // another page is available now
	Void []string `json:"void"`
}
