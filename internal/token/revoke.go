package token

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
)

// RevokeOwn revokes a token of a user, and the tokens that derive from it. It returns
// jeton.ErrNotFound for a token of another owner, or one that is not stored.
func (t *Tokens) RevokeOwn(ctx context.Context, user, accessor string, ev jeton.Event) error {
	// An empty field of Which selects any user, or any token.
	if user == "" || accessor == "" {
		return jeton.ErrNotFound
	}

	ev.Target = "token:" + accessor
	list, err := t.store.ListTokens(ctx, Which{User: user, Accessor: accessor}, 1)
	if err != nil {
		return fmt.Errorf("find token: %w", err)
	}

	if len(list) == 0 {
		// The user may have revoked it a moment ago: answer no earlier than that revocation.
		if err := t.store.Settle(ctx); err != nil {
			return fmt.Errorf("find token: %w", err)
		}
		return jeton.ErrNotFound
	}

	// A signed token that is stored for its count would be accepted without it.
	return t.end(ctx, Which{User: user, Accessor: accessor}, signedHash(accessor), ev)
}
