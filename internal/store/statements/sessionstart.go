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

// mayStart returns why a session may not start, apart from the terms: see session.Store. It takes the ticket. The row
// of the owner is held.
func mayStart(ctx context.Context, tx Conn, s session.Start) error {
	for _, check := range []func(context.Context, Conn, session.Start) error{
		holdParent, takeTicket, hasIdentity, needsNoFactor,
	} {
		if err := check(ctx, tx, s); err != nil {
			return err
		}
	}

	return nil
}

// holdParent returns jeton.ErrBadCredential unless the parent of a session, if it has one, may have
// it. A step that ends the parent waits, and then finds the child.
func holdParent(ctx context.Context, tx Conn, s session.Start) error {
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
// and jeton.ErrBadCredential if it was revoked. A step that revokes it waits, and its caller then finds the session.
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

// hasIdentity returns jeton.ErrBadCredential if a session starts with an identity that the user has no more. A step
// that removes one waits for the row of the user, which is held, and then finds the session.
func hasIdentity(ctx context.Context, tx Conn, s session.Start) error {
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

// needsNoFactor returns jeton.ErrFactor if a session starts with one factor and its user has an authenticator app. A
// step that confirms one waits for the row of the user, which is held, and then ends the session. It is a statement of
// its own: one that waits for the row does not see what was committed meanwhile.
func needsNoFactor(ctx context.Context, tx Conn, s session.Start) error {
	// A parent has ended with the others, or was there as the app was added.
	if s.Second || s.Parent != 0 {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM factors WHERE account = $1 AND kind = $2 AND confirmed >= 0"+atMost(1), s.User,
		string(factor.TOTP),
	).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}

	return jeton.ErrFactor
}
