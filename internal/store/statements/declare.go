package statements

import (
	"context"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
)

// declaring says how the declared users, or clients, are compared with the stored ones.
type declaring[T any] struct {
	add, change, remove string // the actions, as the audit log names them
	name                func(T) string
	declared            func(T) bool
	differs             func(stored, declared T) []string // names of the keys of the file that differ
}

// difference is one step from what is stored to what is declared.
type difference[T any] struct {
	action   string
	from, to T // from is zero for what is new
}

// plan lists the steps that make what is stored be what is declared: removals first, so that
// a name that changed its case is not taken. What is not declared and stored otherwise stays.
func (d declaring[T]) plan(stored, declared []T) []difference[T] {
	var gone, rest []difference[T]

	byName := map[string]T{}
	for _, s := range stored {
		byName[d.name(s)] = s
	}

	wanted := map[string]bool{}
	for _, w := range declared {
		wanted[d.name(w)] = true
		old, ok := byName[d.name(w)]
		switch {
		case !ok:
			rest = append(rest, difference[T]{action: d.add, to: w})
		// What was made by a command, and has a declared name, becomes declared.
		case !d.declared(old) || len(d.differs(old, w)) > 0:
			rest = append(rest, difference[T]{d.change, old, w})
		}
	}

	for _, s := range stored {
		if d.declared(s) && !wanted[d.name(s)] {
			gone = append(gone, difference[T]{d.remove, s, s})
		}
	}

	return append(gone, rest...)
}

// key is a key of the file, and whether it has the stored value.
type key struct {
	name string
	same bool
}

// unequal returns the names of the keys that do not have the stored value.
func unequal(keys ...key) (names []string) {
	for _, k := range keys {
		if !k.same {
			names = append(names, k.name)
		}
	}

	return names
}

// Planned is a step that a declaration would take.
type Planned struct {
	Action string // as the audit log names it
	Name   string
	Fields []string // keys of the file that differ, of something that stays
	Adopts bool     // it was not declared before
}

// Plan lists what declaring these users and clients would change.
type Plan struct {
	Users, Clients                     []Planned
	UndeclaredUsers, UndeclaredClients []string // names of those that the file would still not have
}

// PlanDeclared returns the steps that DeclareUsers and DeclareClients would take on what q reads.
func PlanDeclared(
	ctx context.Context,
	q Queries,
	users []account.Account,
	clients []client.Client,
) (p Plan, err error) {
	accounts, stored, err := Declarable(ctx, q)
	if err != nil {
		return p, err
	}

	p.Users, p.UndeclaredUsers = declaringUsers.planned(accounts, users)
	p.Clients, p.UndeclaredClients = declaringClients.planned(stored, clients)

	return p, nil
}

// Declarable returns all users and clients.
func Declarable(ctx context.Context, q Queries) ([]account.Account, []client.Client, error) {
	rows, err := q.Query(ctx, selectUsers+"ORDER BY name")
	if err != nil {
		return nil, nil, err
	}
	accounts, err := scanAccounts(rows)
	if err != nil {
		return nil, nil, err
	}

	clients, err := allClients(ctx, q)

	return accounts, clients, err
}

// planned describes the steps of plan, and names what is stored and stays undeclared.
func (d declaring[T]) planned(stored, declared []T) (steps []Planned, undeclared []string) {
	adopted := map[string]bool{}
	for _, s := range d.plan(stored, declared) {
		p := Planned{Action: s.action, Name: d.name(s.to)}
		if s.action == d.change {
			p.Fields = d.differs(s.from, s.to)
			p.Adopts = !d.declared(s.from)
			adopted[p.Name] = p.Adopts
		}

		steps = append(steps, p)
	}

	for _, s := range stored {
		if !d.declared(s) && !adopted[d.name(s)] {
			undeclared = append(undeclared, d.name(s))
		}
	}

	return steps, undeclared
}
