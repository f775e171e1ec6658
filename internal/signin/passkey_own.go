package signin

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// Passkey is a passkey of a user.
type Passkey struct {
	factor.Factor
	Key passkey.Key
}

// Passkeys returns the passkeys of the user of a session, the oldest first.
func (l *Logins) Passkeys(ctx context.Context, live *session.Live) ([]Passkey, error) {
	return l.passkeysOf(ctx, live.User)
}

// passkeysOf returns the passkeys of a user, the oldest first.
func (l *Logins) passkeysOf(ctx context.Context, user int64) ([]Passkey, error) {
	list, err := l.factors.List(ctx, user)
	if err != nil {
		return nil, err
	}

	var keys []Passkey
	for _, one := range list {
		if one.Kind != factor.Passkey {
			continue
		}

		key, err := one.Key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, Passkey{one, key})
	}

	return keys, nil
}

// keysOf returns the keys of passkeys.
func keysOf(list []Passkey) []passkey.Key {
	keys := make([]passkey.Key, len(list))
	for i, one := range list {
		keys[i] = one.Key
	}

	return keys
}

// BeginAddPasskey returns the options for a new passkey of the user of a session.
func (l *Logins) BeginAddPasskey(
	ctx context.Context,
	p passkey.Party,
	browser string,
	live *session.Live,
) ([]byte, error) {
	acct, err := l.accounts.Find(ctx, live.Name)
	if err != nil {
		return nil, err
	}

	list, err := l.Passkeys(ctx, live)
	if err != nil {
		return nil, err
	}
	keys := keysOf(list)

	// All passkeys of a user have one handle, so that an authenticator shows one account.
	handle := make([]byte, passkey.HandleLen)
	_, _ = rand.Read(handle) // it never fails
	if len(keys) > 0 {
		handle = keys[0].Handle
	}

	text, err := l.issueChallenge(ctx, ticket.PasskeyAdd, browser, handle, boundTo(live))
	if err != nil {
		return nil, err
	}

	label := strings.TrimSpace(acct.First + " " + acct.Last)
	if label == "" {
		label = acct.Name
	}

	return p.Creation(text, passkey.User{Handle: handle, Name: acct.Name, Label: label}, keys)
}

// AddPasskey stores the passkey that the authenticator of the user of a session has made. It returns
// jeton.ErrBadCredential for any response that is not right, jeton.ErrConflict for one passkey too many,
// jeton.ErrInvalid for a name that is too long, and jeton.ErrExpired if the session has ended.
func (l *Logins) AddPasskey(ctx context.Context, live *session.Live, name string, req PasskeyRequest) error {
	trail := req.trail(audit.FactorAdd)
	trail.actor = "user:" + live.Name

	err := l.addPasskey(ctx, live, name, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return fmt.Errorf("add passkey: %w", err)
	}

	return nil
}

// addPasskey does what AddPasskey says. The store records the success.
func (l *Logins) addPasskey(
	ctx context.Context,
	live *session.Live,
	name string,
	req PasskeyRequest,
	trail *auditTrail,
) error {
	made, err := passkey.ReadMade([]byte(req.Response))
	if err := trail.check("response", "", err); err != nil {
		return err
	}

	c, err := l.takeChallenge(ctx, ticket.PasskeyAdd, made.Challenge, req.Browser, boundTo(live), trail)
	if err != nil {
		return err
	}

	key, err := req.Party.Register(made.Challenge, made, c.Handle)
	if err := trail.check("passkey", "", err); err != nil {
		return err
	}

	owner := factor.Owner{
		ID:      live.User,
		Name:    live.Name,
		Session: live.ID,
	}
	err = l.factors.AddPasskey(ctx, owner, name, key, trail.event(l.now(), nil))

	return trail.check("added", "", err)
}

// RenamePasskey gives a passkey of the user of a session another name. It returns jeton.ErrNotFound or
// jeton.ErrInvalid.
func (l *Logins) RenamePasskey(ctx context.Context, live *session.Live, id, name string, req PasskeyRequest) error {
	trail := req.trail(audit.FactorChange)
	trail.actor = "user:" + live.Name
	ev := trail.event(l.now(), nil)
	ev.Target = "factor:" + id

	return l.factors.Rename(ctx, live.User, id, name, ev)
}

// RemovePasskey removes a passkey of the user of a session. It returns jeton.ErrNotFound, and jeton.ErrConflict for the
// only way in which the user can sign in.
func (l *Logins) RemovePasskey(ctx context.Context, live *session.Live, id string, req PasskeyRequest) error {
	list, err := l.Passkeys(ctx, live)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(one Passkey) bool { return one.ID == id }) {
		return jeton.ErrNotFound
	}

	trail := req.trail(audit.FactorRemove)
	trail.actor = "user:" + live.Name
	ev := trail.event(l.now(), nil)
	ev.Target = "factor:" + id
	_, err = l.factors.Remove(ctx, live.User, factor.Which{ID: id}, ev)

	return err
}
