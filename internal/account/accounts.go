package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Accounts is the users of one server.
type Accounts struct {
	store  Store
	hasher *password.Pool
	policy atomic.Pointer[password.Policy]

	providers func() []string
	times     *checkTimes
	users     *cache.Cache[cachedUser]
	now       func() time.Time
	log       *slog.Logger
}

// Config is what New needs.
type Config struct {
	Store  Store
	Hasher *password.Pool
	Policy password.Policy // of new passwords
	Now    func() time.Time
	Log    *slog.Logger
	// Providers returns the issuers at which users can sign in; nil: there are none.
	Providers func() []string
}

// New returns the users of a server.
func New(c Config) *Accounts {
	a := &Accounts{
		store:  c.Store,
		hasher: c.Hasher,
		times:  newCheckTimes(),
		users:  cache.New[cachedUser](maxCached, nil),
		now:    c.Now,
		log:    c.Log,

		providers: func() []string { return nil },
	}
	if c.Providers != nil {
		a.providers = c.Providers
	}
	a.SetPolicy(c.Policy)

	// Before anything is cached, so that no change is missed.
	c.Store.Subscribe(a.invalidate)

	return a
}

// SetPolicy sets what is demanded of passwords that are set from now on.
func (a *Accounts) SetPolicy(p password.Policy) { a.policy.Store(&p) }

// prepareName prepares the name of a user and folds its case, as package naming does. It
// returns jeton.ErrInvalid for what is not a name.
func prepareName(name string) (prepared, folded string, err error) {
	prepared, folded, err = naming.User(name)
	if err != nil {
		return "", "", jeton.WithDetail(jeton.ErrInvalid, "invalid user name: "+err.Error())
	}

	return prepared, folded, nil
}

// Groups prepares a list of group names: checked, sorted, each once.
func Groups(groups []string) ([]string, error) {
	for _, g := range groups {
		if err := naming.Group(g); err != nil {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid group name: "+err.Error())
		}
	}

	// A copy, as sorting in place would change the caller's list; and never nil.
	list := append([]string{}, groups...)
	slices.Sort(list)

	return slices.Compact(list), nil
}

// Find returns the account of a name, or jeton.ErrNotFound.
func (a *Accounts) Find(ctx context.Context, name string) (Account, error) {
	acct, err := a.findName(ctx, name)
	if errors.Is(err, jeton.ErrNotFound) {
		// The same text for a name that no user can have: it says nothing about the rules.
		err = jeton.WithDetail(jeton.ErrNotFound, "there is no such user")
	}
	if err != nil {
		return Account{}, fmt.Errorf("find user: %w", err)
	}

	return acct, nil
}

// FindID returns the account of a public id, or jeton.ErrNotFound.
func (a *Accounts) FindID(ctx context.Context, uuid string) (Account, error) {
	acct, err := a.store.FindUserID(ctx, uuid)
	if err != nil {
		return Account{}, fmt.Errorf("find user: %w", err)
	}

	return acct, nil
}

// FindNumber returns the account of a number (Account.ID), or jeton.ErrNotFound.
func (a *Accounts) FindNumber(ctx context.Context, id int64) (Account, error) {
	acct, err := a.store.FindUserNumber(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("find user: %w", err)
	}

	return acct, nil
}

// FindForLogin returns the account of a name or an e-mail address that is valid at a service. For
// an unknown one it returns the zero Account: a login goes on with that, so that it does the same
// work.
func (a *Accounts) FindForLogin(ctx context.Context, name string, byEmail bool, service string) (Account, error) {
	var acct Account
	var err error
	if byEmail {
		acct, err = a.store.FindUserEmail(ctx, naming.FoldEmail(name))
	} else {
		acct, err = a.findName(ctx, name)
	}

	if errors.Is(err, jeton.ErrNotFound) || err == nil && !acct.ValidAt(service) {
		return Account{}, nil
	}
	if err != nil {
		return Account{}, fmt.Errorf("find user: %w", err)
	}

	return acct, nil
}

// findName looks up a name. What is not a name is looked up as "", which no user has, so
// that it takes the same time.
func (a *Accounts) findName(ctx context.Context, name string) (Account, error) {
	prepared, _, err := naming.User(name)
	if err != nil {
		prepared = ""
	}

	return a.store.FindUser(ctx, prepared)
}

// KnownSource reports whether the user has logged in from the network since then.
func (a *Accounts) KnownSource(ctx context.Context, user int64, network string, since time.Time) (bool, error) {
	known, err := a.store.KnownSource(ctx, user, network, since)
	if err != nil {
		return false, fmt.Errorf("look up source: %w", err)
	}

	return known, nil
}

// KnownDevice is that of Store.
func (a *Accounts) KnownDevice(ctx context.Context, user int64, h secret.Hash, since time.Time) (bool, error) {
	known, err := a.store.KnownDevice(ctx, user, h, since)
	if err != nil {
		return false, fmt.Errorf("look up device: %w", err)
	}

	return known, nil
}

// AddSource is that of Store.
func (a *Accounts) AddSource(ctx context.Context, acct Account, network string, ev jeton.Event) error {
	if err := a.store.AddSource(ctx, acct.ID, acct.Version, network, ev); err != nil {
		return fmt.Errorf("add source: %w", err)
	}

	return nil
}

// Verify reports whether the password is the account's. It takes as long for the zero
// Account, which has none. A hash that is weaker than a new one is replaced.
func (a *Accounts) Verify(ctx context.Context, acct Account, pw jeton.Secret) (bool, error) {
	begun := time.Now()
	ok, rehash, err := a.hasher.Verify(ctx, acct.Password, pw)
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}

	a.times.add(password.Format(acct.Password), time.Since(begun))

	if ok && rehash && !acct.Declared && !acct.Disabled {
		a.rehash(ctx, acct, pw)
	}

	return ok, nil
}

// rehash replaces the stored hash by a new one. The login succeeds without it.
func (a *Accounts) rehash(ctx context.Context, acct Account, pw jeton.Secret) {
	phc, err := a.hasher.Hash(ctx, pw)
	if err == nil {
		err = a.store.RehashUser(ctx, acct.ID, acct.Version, phc)
	}
	if err != nil {
		a.log.Warn("password was not re-hashed", "user", acct.Name, "error", err)
	}
}

// NewUser is a user to be added.
type NewUser struct {
	Name     string
	Password jeton.Secret
	Groups   []string
	Email    string // "": none
	First    string // name
	Last     string // name
	Service  string // the only one that the user is valid at; "": every service
	// AnyPassword accepts any password that can be hashed, for teaching clients.
	AnyPassword bool
}

// Prepare returns the account of a user to be added, with the hash of the password. It returns jeton.ErrInvalid or
// jeton.ErrBusy.
func (a *Accounts) Prepare(ctx context.Context, n NewUser) (Account, error) {
	acct, err := a.newAccount(n)
	if err != nil {
		return Account{}, err
	}

	// After the names, which the password must not be made of.
	if err := a.checkNew(n.Password, n.AnyPassword, acct.Name, acct.Profile); err != nil {
		return Account{}, err
	}

	// Last before the store: a hash is slow on purpose, and wasted on a request that is
	// refused.
	acct.Password, err = a.hash(ctx, n.Password)

	return acct, err
}

// Add adds a user.
func (a *Accounts) Add(ctx context.Context, actor string, n NewUser) (jeton.User, error) {
	acct, err := a.Prepare(ctx, n)
	if err != nil {
		return jeton.User{}, err
	}

	ev := a.event(actor, audit.UserAdd, acct.Name, "groups "+strings.Join(acct.Groups, ","))
	ev.Service = n.Service
	if err := a.store.AddUser(ctx, acct, ev); err != nil {
		return jeton.User{}, fmt.Errorf("add user %s: %w", acct.Name, err)
	}

	return acct.User(), nil
}

// newAccount returns the account of a user to be added, without a password.
func (a *Accounts) newAccount(n NewUser) (Account, error) {
	prepared, folded, err := prepareName(n.Name)
	if err != nil {
		return Account{}, err
	}

	groups, err := Groups(n.Groups)
	if err != nil {
		return Account{}, err
	}

	profile, err := NewProfile(n.Email, n.First, n.Last)
	if err != nil {
		return Account{}, err
	}

	now := a.now().Truncate(time.Millisecond) // as stores keep it

	return Account{
		UUID:    newUUID(),
		Name:    prepared,
		Folded:  folded,
		Groups:  groups,
		Version: 1,
		Service: n.Service,
		Created: now,
		Updated: now,
		Profile: profile,
	}, nil
}

// checkNew checks a password that is to be set for a user. With anyPassword it only has to be one.
func (a *Accounts) checkNew(pw jeton.Secret, anyPassword bool, name string, p Profile) error {
	if anyPassword {
		return nil // hash refuses what is none
	}

	return a.policy.Load().Check(pw, name, p.Email, p.First, p.Last)
}

// hash hashes a new password in the pool. It may return jeton.ErrBusy.
func (a *Accounts) hash(ctx context.Context, pw jeton.Secret) (string, error) {
	phc, err := a.hasher.Hash(ctx, pw)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}

	return phc, nil
}

// SetPassword gives the account a new password and ends all its sessions and tokens.
func (a *Accounts) SetPassword(ctx context.Context, actor, name string, pw jeton.Secret) error {
	acct, err := a.Find(ctx, name)
	if err != nil {
		return err
	}

	if err := a.checkNew(pw, false, acct.Name, acct.Profile); err != nil {
		return err
	}

	phc, err := a.hash(ctx, pw)
	if err != nil {
		return err
	}

	ev := a.event(actor, audit.UserPassword, name, passwordChanged(false))

	return a.change(ctx, name, Change{Password: &phc}, ev)
}

// EndTokens ends all tokens of the account, declared or not. Its sessions stay.
func (a *Accounts) EndTokens(ctx context.Context, name string, ev jeton.Event) error {
	return a.change(ctx, name, Change{EndTokens: true}, ev)
}

// Disable disables the account and ends all its sessions and tokens, or enables it again.
func (a *Accounts) Disable(ctx context.Context, actor, name string, disabled bool) error {
	reason := "enabled"
	if disabled {
		reason = "disabled, all sessions and tokens ended"
	}

	return a.change(ctx, name, Change{Disabled: &disabled}, a.event(actor, audit.UserChange, name, reason))
}

// SetGroups puts the account into exactly these groups, from its next request on.
func (a *Accounts) SetGroups(ctx context.Context, actor, name string, groups []string) error {
	groups, err := Groups(groups)
	if err != nil {
		return err
	}

	ev := a.event(actor, audit.UserChange, name, "groups "+strings.Join(groups, ","))

	return a.change(ctx, name, Change{Groups: &groups}, ev)
}

// change changes an account in the store. The store publishes the change: sessions that it
// ends are refused before the call returns.
func (a *Accounts) change(ctx context.Context, name string, c Change, ev jeton.Event) error {
	c.EndLinks = c.EndLinks || ev.Actor != "user:"+name
	if err := a.store.ChangeUser(ctx, name, c, a.now(), ev); err != nil {
		return fmt.Errorf("change user %s: %w", name, err)
	}

	return nil
}

// Remove removes the account with all its sessions and tokens. With keepAdmin it does not remove the last Admin.
func (a *Accounts) Remove(ctx context.Context, actor, name string, keepAdmin bool) error {
	ev := a.event(actor, audit.UserRemove, name, "all sessions and tokens ended")
	if err := a.store.RemoveUser(ctx, name, keepAdmin, ev); err != nil {
		return fmt.Errorf("remove user %s: %w", name, err)
	}

	return nil
}

// event returns the audit event of a change that succeeds. The store writes it with the
// change.
func (a *Accounts) event(actor, action, name, reason string) jeton.Event {
	return jeton.Event{
		Time:    a.now(),
		Actor:   actor,
		Action:  action,
		Target:  "user:" + name,
		Outcome: audit.OK,
		Reason:  reason,
	}
}
