// Package account keeps the users of a server: names, groups and passwords.
//
// A change counts from the next login or request on. A new password, a disabling and a
// removal end all sessions and tokens of the user in the same step; personal tokens may
// outlive a new password, if the user wants that. Checking a password takes the
// same work whether the name is unknown, the password wrong or the account disabled.
// Package naming has the rules for names, password the hashes, session the sessions,
// and signin the throttling and the terms of a login.
//
// # Files
//
//	account.go    a user, and what the store keeps
//	accounts.go   finding, verifying, adding and changing users
//	update.go     a change of several fields in one step, as the API makes it
//	profile.go    e-mail addresses, names and public ids
//	pending.go    what awaits its confirmation
//	identity.go   accounts of users at other providers
//	cached.go     users in memory, for the gateway and the claims of relying parties
//	checktime.go  how long a check of a password takes, the same for all names
//	list.go       pages of users, and searching
//	import.go     many users with their hashes, in one step
//	declare.go    the users of the configuration file
package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Account is a user as the store keeps it.
type Account struct {
	ID       int64
	UUID     string // public id (RFC 9562, version 4)
	Name     string
	Folded   string // Name with its case folded, which is unique
	Groups   []string
	Password string // PHC string; "": the user cannot log in with a password
	Version  int64  // of the credential; grows with every change of it
	Disabled bool
	Declared bool
	Service  string // the only one that the user is valid at; "": every service
	Created  time.Time
	Updated  time.Time
	Profile
}

// ValidAt reports whether the user may log in at a service.
func (a Account) ValidAt(service string) bool { return a.Service == "" || a.Service == service }

// Generation names the version of the account's credential, in tokens. A token with an
// older generation is revoked.
func (a Account) Generation() string { return fmt.Sprintf("u%d.%d", a.ID, a.Version) }

// User returns what callers may see of the account.
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
		Service:  a.Service,
		Created:  a.Created,
		Updated:  a.Updated,
	}
}

// usersOf returns what callers may see of accounts; no accounts are an empty list, never
// nil.
func usersOf(accounts []Account) []jeton.User {
	users := make([]jeton.User, len(accounts))
	for i, acct := range accounts {
		users[i] = acct.User()
	}

	return users
}

// AdminGroup is the group whose members manage everything at the authorization server.
const AdminGroup = "admin"

// Admin reports whether the account can manage everything at the authorization server.
func (a Account) Admin() bool {
	return !a.Disabled && a.Service == "" && slices.Contains(a.Groups, AdminGroup)
}

// Change is a change of an account; nil fields stay as they are.
type Change struct {
	Password *string // PHC string; ends all sessions and tokens
	// KeepTokens keeps the personal tokens when the password changes.
	KeepTokens bool
	// EndTokens ends all tokens, of declared accounts, too. It is set alone, or with EndSessions.
	EndTokens   bool
	EndSessions bool // ends all sessions
	// EndLinks ends the links of notices, too, if the change ends tokens. It is for a change by another than the user,
	// from whom an attacker may have had the account, and collected them.
	EndLinks bool
	Groups   *[]string
	Disabled *bool
	// Profile returns the new profile for the current one.
	Profile func(Profile) Profile
	// EndPending ends an address that waits for its link, as another address of the profile does.
	EndPending bool
	// Pending is an address that waits for its link from now on. An earlier one ends.
	Pending *Pending
	// KeepAdmin makes the change return jeton.ErrConflict if no account would be an Admin after it.
	KeepAdmin bool
	// Check sees the account as it is in the step that changes it. Its error prevents the change.
	Check func(Account) error
	// Reason returns that of the event, for the account before the change, and whether an address that waited for its
	// link has ended without another one. nil: the event has its reason.
	Reason func(before Account, ended bool) string
}

// Store keeps accounts. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	IdentityStore
	// FindUser returns jeton.ErrNotFound for an unknown name. No user has the name "".
	FindUser(ctx context.Context, name string) (Account, error)
	// FindUserEmail returns the user of an address that naming.FoldEmail has folded, or
	// jeton.ErrNotFound. No user has the address "".
	FindUserEmail(ctx context.Context, folded string) (Account, error)
	// FindUserID returns the user of a public id, or jeton.ErrNotFound. No user has the id "".
	FindUserID(ctx context.Context, uuid string) (Account, error)
	// FindUserNumber returns the user of an ID of Account, or jeton.ErrNotFound.
	FindUserNumber(ctx context.Context, id int64) (Account, error)
	// KnownSource reports whether the user has logged in from the network since then.
	KnownSource(ctx context.Context, user int64, network string, since time.Time) (bool, error)
	// KnownDevice reports whether the user has signed in with the device of a hash since then, and what has ended all
	// sessions of the user has not made it unknown.
	KnownDevice(ctx context.Context, user int64, h secret.Hash, since time.Time) (bool, error)
	// AddSource adds a network to those that the user has logged in from, as a login without a session does, and a
	// notice if it was not known for session.DeviceLifetime, in one step. ev is of the login; it is not added. It
	// returns jeton.ErrBadCredential if the user was disabled, or the credential has changed, since the version.
	AddSource(ctx context.Context, user, version int64, network string, ev jeton.Event) error
	// AddUser adds the account and the event, or returns jeton.ErrConflict when a user or a
	// client has the name, or one that differs only in case.
	AddUser(ctx context.Context, a Account, ev jeton.Event) error
	// ChangeUser changes the account and adds the event, in one step. In that step a new
	// password increments the version; it and a disabling end all sessions and tokens, except
	// personal ones with c.KeepTokens, and what ends tokens ends the invitations of the user;
	// new groups are those of open sessions, too; c.Pending adds a mail with its link. It
	// returns jeton.ErrNotFound, jeton.ErrDeclared, jeton.ErrConflict when the address is
	// taken or for c.KeepAdmin, jeton.ErrBusy if mail.MaxRequests of its kind wait, or the
	// error of c.Check.
	ChangeUser(ctx context.Context, name string, c Change, now time.Time, ev jeton.Event) error
	// RehashUser stores a stronger hash of the same password if the version is still the one given.
	RehashUser(ctx context.Context, id, version int64, phc string) error
	// RemoveUser removes the account with all its sessions and adds the event. With keepAdmin it returns
	// jeton.ErrConflict if no account would be an Admin after it.
	RemoveUser(ctx context.Context, name string, keepAdmin bool, ev jeton.Event) error
	// ListUsers returns all accounts by name.
	ListUsers(ctx context.Context) ([]Account, error)
	// PageUsers returns the accounts of a page, oldest first.
	PageUsers(ctx context.Context, p Page) ([]Account, error)
	// PrefixUsers returns the accounts of a page, in the order of the field that begins with the prefix.
	PrefixUsers(ctx context.Context, p PrefixPage) ([]Account, error)
	// CountUsers returns the number of accounts: with a service, of those that are valid only there.
	CountUsers(ctx context.Context, service string) (int64, error)
	// DeclareUsers makes the given accounts the declared ones: it adds, changes and removes
	// accounts, each with its event. An account that was not declared and has one of the
	// names becomes declared and keeps its number; its sessions and tokens end. One that is
	// valid at one service only is replaced.
	DeclareUsers(ctx context.Context, declared []Account, now time.Time, ev jeton.Event) error
	// ImportUsers adds or changes accounts in one step, each with its event, and returns a
	// result for each, in order. A row with a name, an id or an address that is taken is not
	// imported, which its result says; the other rows are. So is one with the name of a user
	// of another service. A change ends what ChangeUser
	// ends. Declared accounts are not changed. With dry, nothing is changed, and the results
	// are those of the import. ev gives each event its time, actor and outcome.
	ImportUsers(
		ctx context.Context,
		rows []PreparedRow,
		now time.Time,
		dry bool,
		ev jeton.Event,
	) ([]ImportResult, error)
	// Append adds events to the audit log. When it returns nil they are durable.
	Append(ctx context.Context, events []jeton.Event) error
}
