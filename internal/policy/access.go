package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Access says who may use a route and what a request costs. It is the column of the route
// table that package gate judges by. Its zero value admits no request.
type Access struct {
	how            how
	Accept         Kinds    // kinds of credential
	Scopes         []string // a token needs all of these; a session needs none
	Allow          *Allow   // nil: every authenticated subject
	SessionBudgets []Budget // a request with a session takes one use of each
	TokenBudgets   []Budget // a request with a token of a user takes one use of each
	ClientBudgets  []Budget // a request with a token of a client takes one use of each
	Require        Require  // how a user has to be proved; a token counts as what its creator showed
	Managers       bool     // two factors are required of users who manage others, see signin.Managers
	Audit          bool     // record admitted requests in the audit log, too
	// AboutItself: the request is about its credential. It takes none of its uses, and may be made whatever methods
	// and paths the token is limited to.
	AboutItself bool
}

// how is the kind of an Access. The zero value is closed: a forgotten rule lets no request
// in.
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
	BySession  Kinds = 1 << iota // a session of a user
	ByToken                      // an access token, in the header Authorization (RFC 6750)
	ByPassword                   // a user's name and password in that header (RFC 7617)
	ByClient                     // a client's secret or signed assertion (RFC 6749, section 2.3)
)

// Names lists the kinds.
func (k Kinds) Names() []string {
	var list []string
	for i, name := range []string{"session", "token", "password", "client"} {
		if k&(1<<i) != 0 {
			list = append(list, name)
		}
	}

	return list
}

// String lists the kinds for the route table.
func (k Kinds) String() string {
	list := k.Names()
	if len(list) == 0 {
		return "nothing"
	}

	return strings.Join(list, " or ")
}

// The kinds of access.
var (
	// Open admits every request, without a credential.
	Open = Access{how: open}
	// Session needs the session of a user.
	Session = Access{how: authenticated, Accept: BySession}
	// Client needs the credential of a client.
	Client = Access{how: authenticated, Accept: ByClient}
	// Operator needs access to the data directory. No credential that is sent over a network
	// gives it.
	Operator = Access{how: operator}
)

// IsOpen reports whether every request is admitted.
func (a Access) IsOpen() bool { return a.how == open }

// Authenticated needs a credential of one of the kinds.
func Authenticated(by Kinds) Access { return Access{how: authenticated, Accept: by} }

// NeedsCredential reports whether a credential is needed.
func (a Access) NeedsCredential() bool { return a.how == authenticated }

// NeedsOperator reports whether the operator's authority is needed.
func (a Access) NeedsOperator() bool { return a.how == operator }

// IsClosed reports whether the access rule was left out.
func (a Access) IsClosed() bool { return a.how == closed }

// Counts reports whether a request to the route takes a use.
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

	if !a.Require.IsZero() {
		parts = append(parts, a.Require.String())
	}

	if a.Managers {
		parts = append(parts, "two factors of users who manage others")
	}

	for _, b := range a.SessionBudgets {
		uses := fmt.Sprintf("uses %d of %q", b.Max, b.Name)
		if !b.PerUser {
			uses += " by credential"
		}
		parts = append(parts, uses)
	}

	if a.AboutItself {
		parts = append(parts, "about itself")
	}
	if a.Audit {
		parts = append(parts, "audited")
	}

	return strings.Join(parts, ", ")
}

// CheckScopes returns jeton.ErrScope unless a token has all needed scopes.
func CheckScopes(has, needs []string) error {
	for _, s := range needs {
		if !slices.Contains(has, s) {
			return jeton.ErrScope
		}
	}

	return nil
}

// Allow lists the subjects that are allowed. Being in one of the lists is enough.
type Allow struct {
	AnyUser bool // every user; clients only by name
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

// CheckLogin judges a as the users who may log in at a service; nil: every user. It returns
// jeton.ErrForbidden for another user, whatever the credential. Clients do not log in: the
// services of a client are part of the client.
func (a *Allow) CheckLogin(p jeton.Principal) error {
	if a == nil || p.Kind != jeton.KindUser {
		return nil
	}
	return a.Check(p)
}

// String prints the lists that have names, for the route table and the checks of a decision.
func (a *Allow) String() string {
	var parts []string
	add := func(kind string, names []string) {
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%s %v", kind, names))
		}
	}

	if a.AnyUser {
		parts = append(parts, "every user")
	}
	add("users", a.Users)
	add("groups", a.Groups)
	add("clients", a.Clients)

	return cmp.Or(strings.Join(parts, " "), "no caller")
}

// Budget is the number of uses that a user has between two logins, or one login or token has.
type Budget struct {
	ID      int64  // in the store
	Name    string // unique in the service: a route's pattern, or "*" for all routes
	Max     int64  // at least 1
	PerUser bool   // all credentials of the user at the service take from it
	Token   int64  // number of the token that it is of, which shares it with others; 0: the credential's own
}
