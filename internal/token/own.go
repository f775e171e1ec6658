package token

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
)

// RevokeOwn ends a token of a person, and what was made of it. It returns jeton.ErrNotFound
// for one that is not theirs, or not kept.
func (t *Tokens) RevokeOwn(ctx context.Context, user, accessor string, ev jeton.Event) error {
	if user == "" || accessor == "" {
		return jeton.ErrNotFound
	}

	ev.Target = "token:" + accessor
	list, err := t.store.ListTokens(ctx, Which{User: user, Accessor: accessor}, 1)
	if err != nil {
		return fmt.Errorf("find token: %w", err)
	}

	if len(list) == 0 {
		// They may have ended it themselves a moment ago, and take this for its end.
		if err := t.store.Settle(ctx); err != nil {
			return fmt.Errorf("find token: %w", err)
		}
		return jeton.ErrNotFound
	}

	// A signed one that is kept for its count would be good without it.
	return t.end(ctx, Which{User: user, Accessor: accessor}, signedHash(accessor), ev)
}
