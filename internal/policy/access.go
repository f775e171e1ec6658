package policy

import (
	"fmt"
	"slices"
	"strings"

	"jeton"
)

// Access is who may ask a route, and what asking costs: the column of the route
// table that the gate judges by. Its zero value lets nobody in.
type Access struct {
	how     how
	Allow   *Allow   // nil: every subject that the service knows
	Budgets []Budget // each accepted request takes one use from every one of them
	Audit   bool     // record what was let through, too
}

type how uint8

const (
	closed how = iota
	open
	session
	operator
)

// The kinds of access.
var (
	// Open lets anybody ask, proved or not.
	Open = Access{how: open}
	// Session asks for a subject that has logged in.
	Session = Access{how: session}
	// Operator is for whoever may open the data folder. No credential that travels
	// over a network gives it.
	Operator = Access{how: operator}
)

// IsOpen reports whether anybody may ask.
func (a Access) IsOpen() bool { return a.how == open }

// NeedsSession reports whether only a subject that has logged in may ask.
func (a Access) NeedsSession() bool { return a.how == session }

// NeedsOperator reports whether only an operator may ask.
func (a Access) NeedsOperator() bool { return a.how == operator }

// IsClosed reports whether a forgotten field left the route to nobody.
func (a Access) IsClosed() bool { return a.how == closed }

// String prints the access for the route table.
func (a Access) String() string {
	parts := []string{[...]string{"closed", "open", "session", "operator"}[a.how]}
	if a.Allow != nil {
		parts = append(parts, a.Allow.String())
	}
	for _, b := range a.Budgets {
		parts = append(parts, fmt.Sprintf("uses %d of %q", b.Max, b.Name))
	}
	if a.Audit {
		parts = append(parts, "audited")
	}
	return strings.Join(parts, ", ")
}

// Allow lists the subjects that may. Being in one list is enough.
type Allow struct {
	Users  []string
	Groups []string
}

// Check returns jeton.ErrForbidden unless the principal is in one of the lists.
func (a *Allow) Check(p jeton.Principal) error {
	if slices.Contains(a.Users, p.Name) {
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
	return fmt.Sprintf("users %v groups %v", a.Users, a.Groups)
}

// Budget is a number of uses that one login has at a service.
type Budget struct {
	ID   int64  // what the store knows it by
	Name string // unique in the service: a route's pattern, or "*" for all routes
	Max  int64  // at least 1
}
