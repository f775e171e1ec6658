package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Contact is how a user is addressed. Each field may be empty.
type Contact struct {
	Name  string // first and last name, with a space between them
	Email string
}

// maxCached is the maximum number of users in the cache: about as many as may be busy at one time, since a miss costs
// one query. A user takes about 500 bytes, and at most about 2 KB: 128 MB in the worst case.
const maxCached = 1 << 16

// cachedUser is an account without its password, and how it is addressed.
type cachedUser struct {
	Account
	contact Contact
}

// FindCached is like Find, from a cache; use it on each request. It returns the account as it was at the call or later,
// without the hash of its password, and asks the store once, until the user changes. The caller must not change the
// groups.
func (a *Accounts) FindCached(ctx context.Context, name string) (Account, error) {
	u, err := a.cached(ctx, name)
	if err != nil {
		return Account{}, err
	}

	return u.Account, nil
}

// Contact returns how a user is addressed, as it was at the call or later; the zero Contact for
// an unknown user. It asks the store once, until the user changes.
func (a *Accounts) Contact(ctx context.Context, name string) (Contact, error) {
	u, err := a.cached(ctx, name)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return Contact{}, nil
	case err != nil:
		return Contact{}, fmt.Errorf("find contact: %w", err)
	}

	return u.contact, nil
}

// cached returns a user from memory, or else from the store.
func (a *Accounts) cached(ctx context.Context, name string) (*cachedUser, error) {
	// Call Fresh before reading the cache: when it returns, all changes that were answered before the call have been
	// received.
	if err := a.store.Fresh(ctx); err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}

	key := secret.HashOf(name)
	u := a.users.Get(key)
	if u != nil {
		return u, nil
	}

	generation := a.users.Generation(key)
	acct, err := a.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	// No caller verifies a password with it, and the fewer hashes are in memory, the better.
	acct.Password = ""

	full := strings.TrimSpace(acct.First + " " + acct.Last)

	return a.users.Add(key, &cachedUser{acct, Contact{Name: full, Email: acct.Email}}, generation), nil
}

// invalidate drops the users that have changed.
func (a *Accounts) invalidate(c change.Change) {
	if c.Kind != change.Users && c.Kind != change.All {
		return
	}

	a.users.DropIf(func(u *cachedUser) bool {
		return c.Kind == change.All || slices.Contains(c.IDs, u.ID)
	})
}
