package jeton

// LeaseRequest asks a service for a token for one job, which derives from the credential of the
// request and is never wider. It is the body of POST /.jeton/leases.
type LeaseRequest struct {
	Name    string   `json:"name"`               // what it is for, for lists and the audit log
	Scopes  []string `json:"scopes,omitempty"`   // none: those of the credential
	Allows  []string `json:"allows,omitempty"`   // as "GET /reports/*"; none: what the credential allows
	MaxUses int64    `json:"max_uses,omitempty"` // 0: not counted
	// SharedUses lets each request with the token take a use of the credential, too, if that is counted. Without it, a
	// counted credential makes no token.
	SharedUses bool  `json:"shared_uses,omitempty"`
	Seconds    int64 `json:"lease_seconds"` // until it ends, unless it is renewed
}

// Lease is a token for one job. It ends unless it is renewed, with a credential that may have made
// it, before Expires.
type Lease struct {
	Token
	Secret  string `json:"token,omitempty"` // in the answer that creates it alone
	Seconds int64  `json:"lease_seconds"`   // from the answer to Expires: no two clocks are compared
}

// LeaseRenewal is the body of POST /.jeton/leases/renew.
type LeaseRenewal struct {
	Accessor string `json:"accessor"`
	Seconds  int64  `json:"lease_seconds"` // from now
}

// TokenEnd is the answer to a token that ended itself: what was done with it.
type TokenEnd struct {
	MaxUses int64 `json:"max_uses,omitempty"` // 0: its uses were not counted
	Uses    int64 `json:"uses,omitempty"`     // that were taken
	Refused int64 `json:"refused"`            // requests with it, as far as the audit log has an event for each
}
