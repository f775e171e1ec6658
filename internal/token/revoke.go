package token

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
)

// RevokeKind revokes all tokens of a user that are of a kind, and the tokens that derive from them. It returns
// jeton.ErrNotFound without a user, and jeton.ErrInvalid for a kind that is not revoked together.
func (t *Tokens) RevokeKind(ctx context.Context, user string, kind Kind, ev jeton.Event) error {
	// An empty field of Which selects any user.
	if user == "" {
		return jeton.ErrNotFound
	}
	// An access token may be signed, and would be accepted without its row. An exchanged one never is.
	if !kind.IsPersonal() && kind != Leased && kind != Exchanged {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("invalid kind %.60q to end: want personal, approved, leased or exchanged", kind),
		)
	}

	if err := t.store.EndTokens(ctx, Which{User: user, Kinds: []Kind{kind}}, nil, ev); err != nil {
		return fmt.Errorf("revoke tokens: %w", err)
	}

	return nil
}

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
