package jeton

import "time"

// Kind tells what sort of subject acts.
type Kind string

// The kinds of subject.
const (
	KindUser     Kind = "user"     // a person
	KindClient   Kind = "client"   // software (RFC 6749, section 2)
	KindOperator Kind = "operator" // whoever can open the data directory of the server
)

// Principal is the proved subject of one request. Its zero value is nobody.
type Principal struct {
	Kind    Kind
	Name    string    // unique among subjects of its kind
	Groups  []string  // sorted; never changed in place
	Session string    // public id of the session that proved it, "" when none did
	Token   string    // accessor of the token that proved it, "" when none did
	Scopes  []string  // of that token, sorted; never changed in place
	Since   time.Time // when the subject proved itself (auth_time)
}

// IsZero reports whether the principal is nobody.
func (p Principal) IsZero() bool { return p.Kind == "" }

// Problem is the body of every error answer of our own API: problem details as
// in RFC 9457, with the code of the outcome and the id of the request.
type Problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`
	Code    string `json:"code"`
	Request string `json:"request_id,omitempty"`
}

// The headers of ours that callers may read.
const (
	// HeaderUsesRemaining carries, as a decimal number, how many uses are left after
	// this answer: the smallest number where several budgets apply. It is absent
	// where nothing is counted.
	HeaderUsesRemaining = "Jeton-Uses-Remaining"
	// HeaderError carries the code of the outcome on every refusal.
	HeaderError = "Jeton-Error"
	// HeaderRequestID carries the id under which an operator finds the request.
	HeaderRequestID = "X-Request-Id"
)

// User is what is told about a person. It holds no secret by construction.
type User struct {
	ID       string    `json:"id"` // UUID
	Name     string    `json:"name"`
	Email    string    `json:"email,omitempty"`
	First    string    `json:"first_name,omitempty"`
	Last     string    `json:"last_name,omitempty"`
	Groups   []string  `json:"groups"`
	Disabled bool      `json:"disabled"`
	Declared bool      `json:"declared"` // in the configuration file, and changed only there
	Created  time.Time `json:"created_at"`
	Updated  time.Time `json:"updated_at"`
}

// Session is what is told about a login. The id is public; the secret that a
// cookie shows is nowhere in it.
type Session struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Service  string    `json:"service"`
	Created  time.Time `json:"created_at"`
	LastUsed time.Time `json:"last_used_at"` // written lazily: may be seconds old
	Expires  time.Time `json:"expires_at"`
	Source   string    `json:"source"` // address that logged in
}

// Event is one line of the audit record.
type Event struct {
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	Request string    `json:"request_id,omitempty"`
	Actor   string    `json:"actor,omitempty"`  // who did it: user:diane, operator, or "" for nobody proved
	Action  string    `json:"action"`           // login, logout, request, session.end, user.add, …
	Target  string    `json:"target,omitempty"` // on what: user:diane, session:…, GET /limited-info
	Service string    `json:"service,omitempty"`
	Outcome string    `json:"outcome"` // ok, or the code of the outcome
	Reason  string    `json:"reason,omitempty"`
	Source  string    `json:"source,omitempty"`
	Checks  []Check   `json:"checks,omitempty"`
}

// Check is one step of a decision with the value it looked at.
type Check struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Result string `json:"result"` // pass, fail, or skip
}
