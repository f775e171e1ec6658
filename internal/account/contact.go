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

// maxContacts bounds the cache: about as many users as may be busy at one time, since each request of one that is not
// here costs a question to the store. A contact takes about 200 bytes, and at most about a kilobyte.
const maxContacts = 1 << 16

// cachedContact is a contact, and the user that a change of the store names.
type cachedContact struct {
	user int64
	Contact
}

// Contact returns how a user is addressed, as it was at the call or later; the zero Contact for
// an unknown user. It asks the store once, until the user changes.
func (a *Accounts) Contact(ctx context.Context, name string) (Contact, error) {
	// Before the cache: once it returns, all changes that were answered before the call have been received.
	if err := a.store.Fresh(ctx); err != nil {
		return Contact{}, fmt.Errorf("find contact: %w", err)
	}

	key := secret.HashOf(name)
	cached := a.contacts.Get(key)
	if cached != nil {
		return cached.Contact, nil
	}

	generation := a.contacts.Generation(key)
	acct, err := a.findName(ctx, name)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return Contact{}, nil
	case err != nil:
		return Contact{}, fmt.Errorf("find contact: %w", err)
	}

	full := strings.TrimSpace(acct.First + " " + acct.Last)
	found := &cachedContact{acct.ID, Contact{Name: full, Email: acct.Email}}

	return a.contacts.Add(key, found, generation).Contact, nil
}

// invalidate drops the contacts of users that have changed.
func (a *Accounts) invalidate(c change.Change) {
	if c.Kind != change.Users && c.Kind != change.All {
		return
	}

	a.contacts.DropIf(func(v *cachedContact) bool {
		return c.Kind == change.All || slices.Contains(c.IDs, v.user)
	})
}
