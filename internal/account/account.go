// Package account keeps people: their names, groups and passwords.
//
// It promises that what it is told of a person is what the next login is judged by;
// that a changed password, a disabling and a removal end the person's sessions in the
// same step; and that checking a password takes the same work whether the name is
// unknown, the password wrong or the account disabled. Passwords are hashed by
// internal/password; sessions, throttling and terms are internal/signin's.
package account

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
)

// Account is a person as the store keeps them.
type Account struct {
	ID       int64
	UUID     string // public id (RFC 9562, version 4)
	Name     string
	Folded   string // Name without regard to case: no two accounts share it
	Groups   []string
	Password string // PHC string; "" when nobody can log in with a password
	Version  int64  // of the credential; grows with every change of it
	Disabled bool
	Declared bool
	Created  time.Time
	Updated  time.Time
	Profile
}

// Profile is what is told of somebody beside the name. All of it may be empty.
type Profile struct {
	Email       string
	EmailFolded string // without regard to case: no two people share it
	First       string // name
	Last        string // name
}

// Generation names the version of the account's credential, in tokens: they are void
// once it has grown.
func (a Account) Generation() string { return fmt.Sprintf("u%d.%d", a.ID, a.Version) }

// User returns what may be told about the account.
func (a Account) User() jeton.User {
	groups := a.Groups
	if groups == nil {
		groups = []string{}
	}

	return jeton.User{
		ID:       a.UUID,
		Name:     a.Name,
		Email:    a.Email,
		First:    a.First,
		Last:     a.Last,
		Groups:   groups,
		Disabled: a.Disabled,
		Declared: a.Declared,
		Created:  a.Created,
		Updated:  a.Updated,
	}
}

// Change is what to change of an account; nil fields stay as they are.
type Change struct {
	Password *string // PHC string
	Groups   *[]string
	Disabled *bool
	// Profile makes what is told of the person of what was told before.
	Profile func(Profile) Profile
	// Check judges the account as it is in the very step. Its error ends the change.
	Check func(Account) error
}

// Store keeps accounts. Methods are safe for concurrent use, on many nodes.
type Store interface {
	Mover
	// FindUser returns jeton.ErrNotFound for a name that nobody has.
	FindUser(ctx context.Context, name string) (Account, error)
	// FindUserEmail returns who has an address, which FoldEmail has folded, or
	// jeton.ErrNotFound. Nobody has the address "".
	FindUserEmail(ctx context.Context, folded string) (Account, error)
	// FindUserID returns the account of a public id, or jeton.ErrNotFound. Nobody has the id "".
	FindUserID(ctx context.Context, uuid string) (Account, error)
	// KnownSource reports whether the user has logged in from the network since then.
	KnownSource(ctx context.Context, user int64, network string, since time.Time) (bool, error)
	// AddUser adds the account and the event, or returns jeton.ErrConflict when the name,
	// or one that differs from it in case alone, is taken by a user or a client.
	AddUser(ctx context.Context, a Account, ev jeton.Event) error
	// ChangeUser changes the account and adds the event, in one step in which a changed
	// password, a disabling and changed groups end or refresh what hangs on them: a new
	// password grows the version; it and a disabling end all sessions. It returns the
	// account's number, jeton.ErrNotFound, jeton.ErrDeclared, jeton.ErrConflict when the
	// address is taken, or what c.If does.
	ChangeUser(ctx context.Context, name string, c Change, now time.Time, ev jeton.Event) (int64, error)
	// RehashUser stores a stronger hash of the same password if the version is still the one given.
	RehashUser(ctx context.Context, id, version int64, phc string) error
	// RemoveUser removes the account with all its sessions and adds the event.
	RemoveUser(ctx context.Context, name string, ev jeton.Event) (int64, error)
	// ListUsers returns all accounts by name.
	ListUsers(ctx context.Context) ([]Account, error)
	// PageUsers returns the accounts of a page in the order in which they were made.
	PageUsers(ctx context.Context, p Page) ([]Account, error)
	// CountUsers returns how many accounts there are.
	CountUsers(ctx context.Context) (int64, error)
	// DeclareUsers makes the declared accounts be the given ones: adds, changes and
	// removes, each with its event, and returns the numbers of those that it changed
	// or removed. A name that is taken by an account that is not declared becomes
	// declared and keeps its number.
	DeclareUsers(ctx context.Context, declared []Account, now time.Time, ev jeton.Event) ([]int64, error)
}
