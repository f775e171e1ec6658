package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Access is who may ask a route, and what asking costs: the column of the route
// table that the gate judges by. Its zero value lets nobody in.
type Access struct {
	how            how
	Accept         Kinds    // what a subject may prove itself with
	Scopes         []string // a token needs all of these; a session is not limited by any
	Allow          *Allow   // nil: every subject that the service knows
	SessionBudgets []Budget // each accepted request takes one use of the login from every one of them
	TokenBudgets   []Budget // and where a token was shown, one use of the token from these
	Audit          bool     // record what was let through, too
}

type how uint8

const (
	closed how = iota
	open
	authenticated
	operator
)

// Kinds is a set of kinds of credential.
type Kinds uint8

// The kinds of credential.
const (
	BySession  Kinds = 1 << iota // the login of a person
	ByToken                      // an access token, in the header Authorization (RFC 6750)
	ByPassword                   // a person's name and password in that header (RFC 7617)
	ByClient                     // a client's own proof: a secret, or an assertion that it signed (RFC 6749, section 2.3)
)

// String lists the kinds for the route table.
func (k Kinds) String() string {
	var list []string
	for i, name := range []string{"session", "token", "password", "client"} {
		if k&(1<<i) != 0 {
			list = append(list, name)
		}
	}

	if len(list) == 0 {
		return "nothing"
	}

	return strings.Join(list, " or ")
}

// The kinds of access.
var (
	// Open lets anybody ask, proved or not.
	Open = Access{how: open}
	// Session asks for a subject that has logged in.
	Session = Access{how: authenticated, Accept: BySession}
	// Client asks for a client that proves itself.
	Client = Access{how: authenticated, Accept: ByClient}
	// Operator is for whoever may open the data folder. No credential that travels
	// over a network gives it.
	Operator = Access{how: operator}
)

// IsOpen reports whether anybody may ask.
func (a Access) IsOpen() bool { return a.how == open }

// Authenticated asks for a subject that proves itself with one of the kinds of credential.
func Authenticated(by Kinds) Access { return Access{how: authenticated, Accept: by} }

// NeedsCredential reports whether only a subject that has proved itself may ask.
func (a Access) NeedsCredential() bool { return a.how == authenticated }

// NeedsOperator reports whether only an operator may ask.
func (a Access) NeedsOperator() bool { return a.how == operator }

// IsClosed reports whether a forgotten field left the route to nobody.
func (a Access) IsClosed() bool { return a.how == closed }

// NeedsHistory reports whether a request to the route takes a use.
func (a Access) Counts() bool { return len(a.SessionBudgets) > 0 }

// Handles reports whether requests of a method reach the handler of the route. OPTIONS at
// a counted route does not: it asks about the route, which is answered without a credential
// and takes no use.
func (a Access) Handles(method string) bool { return method != "OPTIONS" || !a.Counts() }

// String prints the access for the route table.
func (a Access) String() string {
	parts := []string{[...]string{"closed", "open", a.Accept.String(), "operator"}[a.how]}
	if len(a.Scopes) > 0 {
		parts = append(parts, fmt.Sprintf("scopes %v", a.Scopes))
	}
	if a.Allow != nil {
		parts = append(parts, a.Allow.String())
	}

	for _, b := range a.SessionBudgets {
		parts = append(parts, fmt.Sprintf("uses %d of %q", b.Max, b.Name))
	}

	if a.Audit {
		parts = append(parts, "audited")
	}

	return strings.Join(parts, ", ")
}

// CheckScopes returns jeton.ErrScope unless all that is needed is among what a token has.
func CheckScopes(has, needs []string) error {
	for _, s := range needs {
		if !slices.Contains(has, s) {
			return jeton.ErrScope
		}
	}

	return nil
}

// Allow lists the subjects that may. Being in one list is enough.
type Allow struct {
	AnyUser bool // every person, and of clients those that are named
	Users   []string
	Groups  []string // of users
	Clients []string
}

// Check returns jeton.ErrForbidden unless the principal is in one of the lists.
func (a *Allow) Check(p jeton.Principal) error {
	names := a.Users
	if p.Kind == jeton.KindClient {
		names = a.Clients
	}
	if slices.Contains(names, p.Name) || a.AnyUser && p.Kind == jeton.KindUser {
		return nil
	}

	for _, g := range p.Groups {
		if slices.Contains(a.Groups, g) {
			return nil
		}
	}

	return jeton.ErrForbidden
}

// String prints the lists for the route table.
func (a *Allow) String() string {
	s := fmt.Sprintf("users %v groups %v", a.Users, a.Groups)
	if a.AnyUser {
		s = "every user"
	}
	if len(a.Clients) > 0 {
		s += fmt.Sprintf(" clients %v", a.Clients)
	}

	return s
}

// Budget is a number of uses that one login has at a service.
type Budget struct {
	ID   int64  // what the store knows it by
	Name string // unique in the service: a route's pattern, or "*" for all routes
	Max  int64  // at least 1
}
