package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/token"
)

// MintToken implements token.Store.
func (db *Store) MintToken(ctx context.Context, m token.Mint) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := keepSubject(ctx, tx, &m); err != nil {
			return err
		}

		// First, because it takes the stronger lock on the owner.
		if err := signIn(ctx, tx, &m); err != nil {
			return err
		}
		if err := permitted(ctx, tx, &m); err != nil {
			return err
		}
		if err := hasRoom(ctx, tx, m); err != nil {
			return err
		}

		// In the step of the token: a crash in between must not use up the assertion without a
		// token.
		if m.Once != (token.Once{}) {
			if err := useOnce(ctx, tx, m.Once); err != nil {
				return err
			}
		}

		if m.Keep {
			if err := addToken(ctx, tx, m.Record); err != nil {
				return err
			}
		}
		if err := db.noticeOfMint(ctx, tx, m); err != nil {
			return err
		}

		return appendEvents(ctx, tx, m.Event)
	})
}

// keepSubject stores the signed token that another one is exchanged for, and makes it the parent of that one: it is
// revoked with its row, and so is its child. It returns jeton.ErrBadCredential for one that has been revoked.
func keepSubject(ctx context.Context, tx Conn, m *token.Mint) error {
	if m.Subject == nil {
		return nil
	}

	// A revocation that runs finds the row, or this step finds the revocation.
	if err := tx.Order(ctx, signedToken(m.Subject.Hash)); err != nil {
		return err
	}
	if err := stands(ctx, tx, m.Subject.Owner); err != nil {
		return err
	}

	h := m.Subject.Hash[:]
	var revoked bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM revoked WHERE hash = $1)", h).Scan(&revoked)
	if err != nil {
		return err
	}
	if revoked {
		return jeton.ErrBadCredential
	}

	const number = "SELECT number FROM tokens WHERE hash = $1"
	err = tx.QueryRow(ctx, number, h).Scan(&m.Parent)
	if errors.Is(err, sql.ErrNoRows) {
		m.Parent, err = insertToken(ctx, tx, *m.Subject)
	}
	m.Shown = m.Subject.Hash

	return err
}

// signedToken names the lock of a signed token that need not be stored.
func signedToken(h secret.Hash) string { return fmt.Sprintf("signed token %x", h) }

// hasRoom returns jeton.ErrTokensFull when the user has as many personal tokens as permitted, or the
// owner as many leased ones.
func hasRoom(ctx context.Context, tx Conn, m token.Mint) error {
	ofUser := m.Owner.Kind == jeton.KindUser
	counted := m.Kind.IsPersonal() && ofUser || m.Kind == token.Leased
	if m.Most == 0 || !counted {
		return nil
	}

	// Both kinds count towards one limit.
	kind, kinds := string(token.Leased), "kind = 'leased'"
	if m.Kind.IsPersonal() {
		kind, kinds = string(token.Personal), "kind IN "+personalKinds
	}

	owner := "client"
	if ofUser {
		owner = "account"
	}

	// Two steps that counted at the same time would both find the last place. The owner is held
	// already, in every step that waits here.
	if err := tx.Order(ctx, fmt.Sprintf("%s tokens of %s %d", kind, owner, m.Owner.ID)); err != nil {
		return err
	}

	var n int64
	err := tx.QueryRow(
		ctx,
		"SELECT count(*) FROM tokens WHERE "+owner+" = $1 AND "+owner+" <> 0 AND "+kinds+" AND expires > $2",
		m.Owner.ID, milli(m.Created),
	).Scan(&n)
	if err == nil && n >= m.Most {
		return jeton.WithDetail(
			jeton.ErrTokensFull,
			fmt.Sprintf("%s has %d %s tokens, as many as permitted; revoke one", m.Owner.Name, n, kind),
		)
	}

	return err
}

// permitted checks that the owner's credential, the session and the parent token of a request
// for a token are still those that were proved.
func permitted(ctx context.Context, tx Conn, m *token.Mint) error {
	// The owner comes first, as in every step that holds more than one of these.
	owner := stands
	if m.Parent != 0 {
		owner = holdOwner
	}
	if err := owner(ctx, tx, m.Owner); err != nil {
		return err
	}
	if err := noApp(ctx, tx, m.Owner); err != nil {
		return err
	}

	var one int

	if m.Login != 0 {
		err := tx.QueryRow(
			ctx, "SELECT 1 FROM sessions WHERE login = $1 AND account = $2"+tx.Lock("FOR KEY SHARE"),
			m.Login, m.Owner.ID,
		).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return jeton.ErrBadCredential
		}
		if err != nil {
			return err
		}
	}

	if m.Parent == 0 {
		return nil
	}

	// A personal token outlives a changed password, and so may what it makes.
	const parent = `SELECT COALESCE(c.version, u.version) FROM tokens t ` + tokenOwners + `
WHERE t.number = $1 AND t.hash = $2 AND NOT COALESCE(c.disabled, u.disabled)`
	err := tx.QueryRow(ctx, parent+tx.Lock("FOR KEY SHARE OF t"), m.Parent, m.Shown[:]).Scan(&m.Owner.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// noApp returns jeton.ErrFactor if an owner who showed one factor has an authenticator app. A concurrent step that
// confirms one blocks on the row of the user, which is locked, or this one waited for it: hence a separate statement.
func noApp(ctx context.Context, tx Conn, o token.Owner) error {
	if !o.OneFactor {
		return nil
	}

	var apps int
	const count = "SELECT count(*) FROM factors WHERE account = $1 AND kind = $2 AND confirmed >= 0"
	err := tx.QueryRow(ctx, count, o.ID, string(factor.TOTP)).Scan(&apps)
	if err == nil && apps > 0 {
		err = jeton.ErrFactor
	}

	return err
}

// holdOwner locks an owner to the end of the step: a step that ends all tokens of the owner
// waits, and then finds the new one.
func holdOwner(ctx context.Context, tx Conn, o token.Owner) error {
	table := "clients"
	if o.Kind == jeton.KindUser {
		table = "users"
	}

	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM "+table+" WHERE id = $1"+tx.Lock("FOR SHARE"), o.ID).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// stands checks that the credential of an owner is still the one that was proved.
func stands(ctx context.Context, tx Conn, o token.Owner) error {
	if o.Kind == jeton.KindUser {
		return checkUnchanged(ctx, tx, o.ID, o.Version, "FOR SHARE")
	}
	if o.Kind != jeton.KindClient {
		return jeton.ErrBadCredential
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM clients WHERE id = $1 AND version = $2 AND NOT disabled"+tx.Lock("FOR SHARE"),
		o.ID, o.Version,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// RenewLease implements token.Store.
func (db *Store) RenewLease(ctx context.Context, r token.LeaseRenewal) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// A step that ends what renews it waits, and then finds the token as its child.
		by := token.Mint{Record: token.Record{Owner: r.Owner, Parent: r.Parent}, Shown: r.Shown, Login: r.Login}
		if err := permitted(ctx, tx, &by); err != nil {
			return nil, err
		}

		made := "parent = $2"
		if r.Adopt {
			made = "NOT EXISTS (SELECT 1 FROM tokens p WHERE p.number = tokens.parent AND p.kind <> 'access')"
		}
		owner := "client"
		if r.Owner.Kind == jeton.KindUser {
			owner = "account"
		}

		var h []byte
		err := tx.QueryRow(
			ctx,
			"UPDATE tokens SET expires = $1, parent = $2 WHERE accessor = $3 AND kind = 'leased' AND expires > $4 AND "+
				owner+" = $5 AND audience = $6 AND "+made+" RETURNING hash",
			milli(r.Closes), r.Parent, r.Accessor, milli(r.Now), r.Owner.ID, list([]string{r.Audience}),
		).Scan(&h)
		if err != nil {
			return nil, missing(err)
		}

		// Nodes that have it cached would refuse it when the previous lease ends.
		cached, err := hash(h)

		return tokensEnded([]secret.Hash{cached}), err
	}})
}
