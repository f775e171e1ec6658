package jeton

import "time"

// Kind is the kind of a subject.
type Kind string

// The kinds of subject.
const (
	KindUser     Kind = "user"     // a user account
	KindClient   Kind = "client"   // software (RFC 6749, section 2)
	KindOperator Kind = "operator" // has access to the data directory of the server
)

// Principal is the authenticated subject of one request. Its zero value is no subject. Copies share
// the slices, so it is safe for concurrent use as long as they are not changed.
type Principal struct {
	Kind    Kind
	Name    string    // unique among subjects of its kind
	Groups  []string  // sorted; never changed in place
	Session string    // public id of the session that authenticated it, or ""
	Token   string    // accessor of the token that authenticated it, or ""
	Scopes  []string  // of that token, sorted; never changed in place
	Since   time.Time // when the subject authenticated (auth_time)
	Actors  []string  // clients that act for it with an exchanged token (RFC 8693), the latest first; do not modify
}

// Actor is a client that acts for a subject, perhaps for another one that did before it: the claim act (RFC 8693,
// section 4.1).
type Actor struct {
	Subject string `json:"sub"`
	Act     *Actor `json:"act,omitempty"`
}

// NewActor returns the claim for clients, the latest first, and nil for none.
func NewActor(names []string) *Actor {
	var act *Actor
	for i := len(names) - 1; i >= 0; i-- {
		act = &Actor{Subject: names[i], Act: act}
	}

	return act
}

// Names returns the clients, the latest first. Those beyond the first hundred are left out.
func (a *Actor) Names() []string {
	const most = 100

	var names []string
	for ; a != nil && len(names) < most; a = a.Act {
		names = append(names, a.Subject)
	}

	return names
}

// IsZero reports whether the principal is no subject.
func (p Principal) IsZero() bool { return p.Kind == "" }

// Problem is the body of every error response of our own API: problem details as
// in RFC 9457, with the code of the outcome and the id of the request.
type Problem struct {
	Type    string `json:"type"` // about:blank: Title and Status say all (RFC 9457, section 4.2.1)
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"` // for a reader; programs use Code
	Code    string `json:"code"`             // of the outcome, as FromCode takes it
	Request string `json:"request_id,omitempty"`
}

// The headers of ours that callers may read.
const (
	// HeaderUsesRemaining carries, as a decimal number, how many uses are left after
	// this response: the smallest number where several budgets apply. It is absent
	// where nothing is counted.
	HeaderUsesRemaining = "Jeton-Uses-Remaining"
	// HeaderError carries the code of the outcome on every refusal.
	HeaderError = "Jeton-Error"
	// HeaderRequestID carries the id under which an operator finds the request.
	HeaderRequestID = "X-Request-Id"
)

// User describes a user account. It has no field for a secret.
type User struct {
	ID       string    `json:"id"` // UUID
	Name     string    `json:"name"`
	Email    string    `json:"email,omitempty"`
	First    string    `json:"first_name,omitempty"`
	Last     string    `json:"last_name,omitempty"`
	Groups   []string  `json:"groups"`
	Disabled bool      `json:"disabled"`
	Declared bool      `json:"declared"`          // in the configuration file, and changed only there
	Service  string    `json:"service,omitempty"` // the only one that the user is valid at; "": every service
	Created  time.Time `json:"created_at"`
	Updated  time.Time `json:"updated_at"`
}

// Session describes a session. The id is public; the secret of its cookie is not part of it.
type Session struct {
	ID       string    `json:"id"`
	Parent   string    `json:"parent,omitempty"` // id of the sign-in session that it ends with
	User     string    `json:"user"`
	Service  string    `json:"service"`
	Created  time.Time `json:"created_at"`
	LastUsed time.Time `json:"last_used_at"` // written lazily: may be seconds old
	Expires  time.Time `json:"expires_at"`
	Source   string    `json:"source"`             // address that logged in
	Agent    string    `json:"agent,omitempty"`    // User-Agent of the login
	AMR      []string  `json:"amr,omitempty"`      // how the user was proved (RFC 8176): pwd, link, …
	Proved   time.Time `json:"proved_at,omitzero"` // last proof by password; absent: never
}

// Event is one entry of the audit log. None of its fields has a secret.
type Event struct {
	Seq     int64     `json:"seq"` // increases by time of writing, perhaps with gaps
	Time    time.Time `json:"time"`
	Request string    `json:"request_id,omitempty"`
	Actor   string    `json:"actor,omitempty"`  // who did it: user:diane, operator, or "" if not authenticated
	Action  string    `json:"action"`           // login, logout, request, session.end, user.add, …
	Target  string    `json:"target,omitempty"` // on what: user:diane, session:…, GET /limited-info
	Service string    `json:"service,omitempty"`
	Outcome string    `json:"outcome"` // ok, or the code of the outcome
	Reason  string    `json:"reason,omitempty"`
	Source  string    `json:"source,omitempty"`
	Checks  []Check   `json:"checks,omitempty"`
}

// Check is one step of a decision with the value that it looked at.
type Check struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Result string `json:"result"` // pass, fail, or skip
}
