package statements

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
)

// checkStart returns why a session may not start, apart from the terms: see session.Store. It locks the parent and
// takes the ticket of the session. The caller has locked the row of the owner.
func checkStart(ctx context.Context, tx Conn, s session.Start) error {
	for _, check := range []func(context.Context, Conn, session.Start) error{
		lockParent, takeTicket, checkIdentity, checkFactor,
	} {
		if err := check(ctx, tx, s); err != nil {
			return err
		}
	}

	return nil
}

// lockParent returns jeton.ErrBadCredential unless the parent of a session, if it has one, may have it. A concurrent
// step that ends the parent blocks on this lock, then ends this session too.
func lockParent(ctx context.Context, tx Conn, s session.Start) error {
	if s.Parent == 0 {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx,
		"SELECT 1 FROM sessions WHERE login = $1 AND account = $2 AND parent = 0 AND expires >= $3"+
			tx.Lock("FOR KEY SHARE"),
		s.Parent, s.User, milli(s.Expires),
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// takeTicket takes the ticket that a session starts for, if there is one. It returns jeton.ErrSpent if that was taken,
// and jeton.ErrBadCredential if it was revoked. A concurrent step that revokes it blocks on the row, then its caller
// ends this session too.
func takeTicket(ctx context.Context, tx Conn, s session.Start) error {
	if s.Ticket == (secret.Hash{}) {
		return nil
	}

	const take = "UPDATE tickets SET used = $2 WHERE hash = $1 AND used IS NULL"
	n, err := tx.Exec(ctx, take, s.Ticket[:], milli(s.Created))
	if err != nil || n > 0 {
		return err
	}

	var one int
	err = tx.QueryRow(ctx, "SELECT 1 FROM tickets WHERE hash = $1", s.Ticket[:]).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return jeton.ErrBadCredential
	case err != nil:
		return err
	}

	return jeton.ErrSpent
}

// checkIdentity returns jeton.ErrBadCredential if a session starts with an identity that the user no longer has. A
// concurrent step that removes one blocks on the row of the user, which is locked, then ends this session too.
func checkIdentity(ctx context.Context, tx Conn, s session.Start) error {
	if s.Issuer == "" {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM identities WHERE account = $1 AND issuer = $2", s.User, s.Issuer,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// checkFactor returns jeton.ErrFactor if a session starts with one factor and its user has an authenticator app, and
// jeton.ErrBadCredential if it starts with a second factor and the user has none left. A concurrent step that confirms
// or removes one blocks on the row of the user, which is locked; its caller then ends this session too. A separate
// statement: under READ COMMITTED, the one that waited for the lock does not see rows committed meanwhile.
func checkFactor(ctx context.Context, tx Conn, s session.Start) error {
	// Adding an app ends all sign-in sessions except the one that added it, so a live parent is safe.
	if s.Parent != 0 {
		return nil
	}

	var apps, all int
	err := tx.QueryRow(
		ctx,
		"SELECT count(*) FILTER (WHERE kind = $2), count(*) FROM factors"+
			" WHERE account = $1 AND confirmed >= 0 AND kind <> $3",
		s.User, string(factor.TOTP), string(factor.Recovery),
	).Scan(&apps, &all)
	switch {
	case err != nil:
		return err
	case apps > 0 && !s.Second:
		return jeton.ErrFactor
	case all == 0 && s.Second:
		return jeton.ErrBadCredential
	}

	return nil
}
