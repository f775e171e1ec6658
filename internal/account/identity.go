package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Identity is the account of a user at another provider, with which the user signs in here. A user has at most one of
// an issuer, and an identity belongs to one user.
type Identity struct {
	Issuer  string // of the provider
	Subject string // which the issuer gives to no other user
	Label   string // what the provider calls the user, for pages
	Created time.Time
}

// ErrLastWay refuses to remove the only password, identity or passkey with which a user can sign in. It is an
// ErrConflict.
var ErrLastWay = jeton.WithDetail(jeton.ErrConflict, "this is the only way in which you can sign in")

// IdentityStore keeps identities. Methods are safe for concurrent use, on many nodes. An identity ends with its user.
type IdentityStore interface {
	// FindIdentity returns the user of an identity, or jeton.ErrNotFound.
	FindIdentity(ctx context.Context, issuer, subject string) (Account, error)
	// AddIdentity adds the identity to a user, and the event, in one step. may sees the account, and how many
	// identities it has, in that step; its error prevents the change. It returns jeton.ErrNotFound for a user who is
	// gone, jeton.ErrBadCredential if login is not a session of the user any more, 0 for none, and jeton.ErrConflict if
	// the identity belongs to a user, or the user has one of the issuer.
	AddIdentity(
		ctx context.Context, user, login int64, i Identity, may func(Account, int) error, ev jeton.Event,
	) error
	// AddUserIdentity is AddUser for a user who has an identity. It returns jeton.ErrConflict, and adds nothing, if one
	// of the two exists.
	AddUserIdentity(ctx context.Context, a Account, i Identity, ev jeton.Event) error
	// ListIdentities returns the identities of a user, by issuer.
	ListIdentities(ctx context.Context, user int64) ([]Identity, error)
	// RemoveIdentity removes the identity that a user has of an issuer, ends the sessions of the user that began with
	// a method of sign-in ("": that of any provider), with what relying parties got by them, and adds the event, in
	// one step. It returns jeton.ErrNotFound if there is none, and ErrLastWay if the user could not sign in without it:
	// of several ways that are removed at once, on any node, one stays.
	RemoveIdentity(ctx context.Context, user int64, r Removal, ev jeton.Event) error
}

// Removal is the removal of an identity.
type Removal struct {
	Issuer    string
	Method    string   // of the sessions that end
	Providers []string // issuers at which users can sign in
}

// FindIdentity returns the account of an identity, or jeton.ErrNotFound.
func (a *Accounts) FindIdentity(ctx context.Context, issuer, subject string) (Account, error) {
	acct, err := a.store.FindIdentity(ctx, issuer, subject)
	if err != nil {
		return Account{}, fmt.Errorf("find identity: %w", err)
	}

	return acct, nil
}

// Identities returns the identities of an account.
func (a *Accounts) Identities(ctx context.Context, acct Account) ([]Identity, error) {
	list, err := a.store.ListIdentities(ctx, acct.ID)
	if err != nil {
		return nil, fmt.Errorf("list identities: %w", err)
	}

	return list, nil
}

// Connect adds an identity to an account. login and may are as in IdentityStore.
func (a *Accounts) Connect(
	ctx context.Context,
	actor string,
	acct Account,
	login int64,
	i Identity,
	may func(Account, int) error,
) error {
	ev := a.event(actor, audit.IdentityAdd, acct.Name, i.Issuer+" "+i.Label)
	if err := a.store.AddIdentity(ctx, acct.ID, login, i, may, ev); err != nil {
		return fmt.Errorf("connect identity: %w", err)
	}

	return nil
}

// Disconnect removes the identity of an issuer from an account, and ends the sessions that began with a method. The
// errors are those of IdentityStore.
func (a *Accounts) Disconnect(
	ctx context.Context,
	actor string,
	acct Account,
	issuer string,
	method string,
) error {
	reason := issuer + ", the sessions that began with it ended"
	if method == "" {
		reason = issuer + ", the sessions that began at any provider ended"
	}

	ev := a.event(actor, audit.IdentityRemove, acct.Name, reason)
	r := Removal{
		Issuer:    issuer,
		Method:    method,
		Providers: a.providers(),
	}
	if err := a.store.RemoveIdentity(ctx, acct.ID, r, ev); err != nil {
		return fmt.Errorf("disconnect identity: %w", err)
	}

	return nil
}

// AddWithIdentity adds a user who has no password and signs in with an identity.
func (a *Accounts) AddWithIdentity(ctx context.Context, actor string, n NewUser, i Identity) (Account, error) {
	acct, err := a.newAccount(n)
	if err != nil {
		return Account{}, err
	}

	reason := "groups " + strings.Join(acct.Groups, ",") + ", signs in at " + i.Issuer
	if err := a.store.AddUserIdentity(ctx, acct, i, a.event(actor, audit.UserAdd, acct.Name, reason)); err != nil {
		return Account{}, fmt.Errorf("add user %s: %w", acct.Name, err)
	}

	return a.FindID(ctx, acct.UUID)
}
