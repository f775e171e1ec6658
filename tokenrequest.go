package jeton

import "time"

// TokenTerms is what a token that a user is asked for is valid for: one service, and no more than this.
type TokenTerms struct {
	Scopes  []string `json:"scopes,omitempty"`   // at most 50
	Allows  []string `json:"allows,omitempty"`   // at most 20, as "GET /reports/*"; none: every request
	MaxUses int64    `json:"max_uses,omitempty"` // 0: not counted
	Seconds int64    `json:"expires_in"`         // lifetime, from the approval
}

// TokenRequest asks a user for a token of the user, with the credential of the request, at the service that it is for.
// It is the body of POST /.jeton/token/requests.
type TokenRequest struct {
	User   string `json:"user,omitempty"`   // who is asked; a user asks only for itself, and need not say so
	Name   string `json:"name"`             // what the token is for, for lists and the audit log
	Reason string `json:"reason,omitempty"` // for the user, who decides
	TokenTerms
}

// TokenRequested is the answer to a TokenRequest: what to ask for the token with.
type TokenRequested struct {
	ID       string `json:"id"`
	Secret   string `json:"secret"`
	Seconds  int64  `json:"expires_in"` // for which the request waits for the user
	Interval int64  `json:"interval"`   // seconds between two questions
}

// TokenRequestPoll asks whether the user has approved. It is the body of POST /.jeton/token/requests/poll. As long as
// the user has not answered, the answer is 202 (Accepted). With the approval it is the token, once.
type TokenRequestPoll struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`

	// Withdraw ends the request instead.
	Withdraw bool `json:"withdraw,omitempty"`
}

// WaitingRequest is a request for a token as the user sees it who is asked.
type WaitingRequest struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	By      string `json:"requested_by"`       // as in the audit log
	Token   string `json:"by_token,omitempty"` // accessor of the token that it was made with
	Source  string `json:"source,omitempty"`   // address that it came from
	TokenRequest
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at"` // of the request
}

// TokenApproval approves a request for a token, with narrower terms or those that were requested. It is the body of
// POST …/token-requests/{id}/approve. Absent members are as requested; an empty list of scopes is
// none of them.
type TokenApproval struct {
	Scopes  []string `json:"scopes,omitzero"`
	Allows  []string `json:"allows,omitzero"`
	MaxUses int64    `json:"max_uses,omitempty"`
	Seconds int64    `json:"expires_in,omitempty"`
}

// TokenHandedOut is the token of a request that was approved. The secret is returned only here.
type TokenHandedOut struct {
	Token
	Secret string `json:"token"`
}
