package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
)

// Connection says that a user signs in at a relying party, or has agreed to it.
type Connection struct {
	User     int64
	ClientID int64
	Client   string
	Scopes   []string  // that the user agreed to, sorted; of one who was not asked, those of the last sign-in
	Agreed   time.Time // zero: the user was not asked
	Created  time.Time
	Used     time.Time // the last sign-in
}

// Covers reports whether the user has agreed to all of the scopes.
func (c Connection) Covers(scopes []string) bool {
	other := func(s string) bool { return !slices.Contains(c.Scopes, s) }
	return !c.Agreed.IsZero() && !slices.ContainsFunc(scopes, other)
}

// ServiceOfClient is what stands for a relying party where a ticket names a service: no service has a colon in its
// name.
func ServiceOfClient(client string) string { return "client:" + client }

// ConnectionStore keeps connections. AddGrant adds one, or stores the use of one. Methods are safe for concurrent use,
// on many nodes.
type ConnectionStore interface {
	// FindConnection returns jeton.ErrNotFound if there is none.
	FindConnection(ctx context.Context, user, client int64) (Connection, error)
	// Agree stores that a user agreed to scopes at a time, beside those that the user has agreed to before, and adds
	// the event. It returns jeton.ErrBadCredential for a user or a client that does not exist.
	Agree(ctx context.Context, c Connection, ev jeton.Event) error
	// ListConnections returns at most limit connections of a user, by the names of the clients.
	ListConnections(ctx context.Context, user int64, limit int) ([]Connection, error)
	// EndConnection deletes a connection, with the grants of the client for the user, their tokens, and the codes that
	// were not used, and adds the event. It returns jeton.ErrNotFound if there is none.
	EndConnection(ctx context.Context, user int64, client string, ev jeton.Event) error
}

// Connection returns what a user has agreed to at a client: a zero Connection for nothing.
func (t *Tokens) Connection(ctx context.Context, user, client int64) (Connection, error) {
	c, err := t.store.FindConnection(ctx, user, client)
	if err != nil && !errors.Is(err, jeton.ErrNotFound) {
		return Connection{}, fmt.Errorf("find consent: %w", err)
	}

	return c, nil
}

// Agree stores that a user agrees to the scopes now.
func (t *Tokens) Agree(ctx context.Context, c Connection, ev jeton.Event) error {
	c.Agreed = t.now()
	if err := t.store.Agree(ctx, c, ev); err != nil {
		return fmt.Errorf("store consent: %w", err)
	}

	return nil
}

// Connections returns the clients that a user signs in at, for the user to read: of very many, some are missing.
func (t *Tokens) Connections(ctx context.Context, user int64) ([]jeton.Application, error) {
	const most = 500

	found, err := t.store.ListConnections(ctx, user, most)
	if err != nil {
		return nil, fmt.Errorf("list applications: %w", err)
	}

	list := []jeton.Application{}
	for _, c := range found {
		list = append(list, jeton.Application{
			Client:   c.Client,
			Scopes:   c.Scopes,
			Agreed:   c.Agreed,
			Created:  c.Created,
			LastUsed: c.Used,
		})
	}

	return list, nil
}

// Disconnect ends what a client may do for a user. It returns jeton.ErrNotFound if that is nothing.
func (t *Tokens) Disconnect(ctx context.Context, user int64, client string, ev jeton.Event) error {
	if err := t.store.EndConnection(ctx, user, client, ev); err != nil {
		return fmt.Errorf("end access of application: %w", err)
	}

	return nil
}
