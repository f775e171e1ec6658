package statements

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// FindIdentity implements account.IdentityStore.
func (db *Store) FindIdentity(ctx context.Context, issuer, subject string) (account.Account, error) {
	const where = "WHERE id = (SELECT account FROM identities WHERE issuer = $1 AND subject = $2)"
	a, err := scanAccount(db.engine.QueryRow(ctx, selectUsers+where, issuer, subject))
	if err != nil {
		return account.Account{}, Unavailable(missing(err))
	}

	return a, nil
}

// AddIdentity implements account.IdentityStore.
func (db *Store) AddIdentity(
	ctx context.Context,
	user int64,
	login int64,
	i account.Identity,
	may func(account.Account, int) error,
	ev jeton.Event,
) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		a, err := heldIdentities(ctx, tx, user)
		if err != nil {
			return nil, err
		}

		if err := holdSession(ctx, tx, user, login); err != nil {
			return nil, err
		}

		others, err := countIdentities(ctx, tx, user)
		if err != nil {
			return nil, err
		}
		if err := may(a, others); err != nil {
			return nil, err
		}

		if err := insertIdentity(ctx, tx, user, i); err != nil {
			return nil, err
		}
		if err := db.addNotice(ctx, tx, mail.Identity, a, ev); err != nil {
			return nil, err
		}

		return nil, appendEvents(ctx, tx, ev)
	})
}

// heldIdentities returns a user, whose identities change in no other step until this one ends, or jeton.ErrNotFound.
func heldIdentities(ctx context.Context, tx Conn, user int64) (account.Account, error) {
	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE id = $1"+tx.Lock("FOR UPDATE"), user))
	return a, missing(err)
}

// countIdentities returns how many identities a user has.
func countIdentities(ctx context.Context, tx Conn, user int64) (n int, err error) {
	err = tx.QueryRow(ctx, "SELECT count(*) FROM identities WHERE account = $1", user).Scan(&n)
	return n, err
}

// holdSession returns jeton.ErrBadCredential if a session of a user has ended; 0 is none. A step that ends it waits.
func holdSession(ctx context.Context, tx Conn, user, login int64) error {
	if login == 0 {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM sessions WHERE login = $1 AND account = $2"+tx.Lock("FOR KEY SHARE"), login, user,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// insertIdentity adds an identity, or returns jeton.ErrConflict.
func insertIdentity(ctx context.Context, tx Conn, user int64, i account.Identity) error {
	n, err := tx.Exec(
		ctx, insertInto("identities", identityColumns)+" ON CONFLICT DO NOTHING", i.Issuer, i.Subject, user, i.Label,
		milli(i.Created),
	)
	if err == nil && n == 0 {
		err = jeton.WithDetail(
			jeton.ErrConflict,
			"this account of the provider is connected to a user, or the user is connected to another one",
		)
	}

	return err
}

// AddUserIdentity implements account.IdentityStore.
func (db *Store) AddUserIdentity(ctx context.Context, a account.Account, i account.Identity, ev jeton.Event) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		id, err := insertUser(ctx, tx, a)
		if err != nil {
			return nil, err
		}
		if err := insertIdentity(ctx, tx, id, i); err != nil {
			return nil, err
		}

		return nil, appendEvents(ctx, tx, ev)
	})
}

// ListIdentities implements account.IdentityStore.
func (db *Store) ListIdentities(ctx context.Context, user int64) ([]account.Identity, error) {
	rows, err := db.engine.Query(
		ctx, "SELECT issuer, subject, label, created FROM identities WHERE account = $1 ORDER BY issuer", user,
	)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var list []account.Identity
	for rows.Next() {
		var i account.Identity
		var created int64
		if err := rows.Scan(&i.Issuer, &i.Subject, &i.Label, &created); err != nil {
			return nil, Unavailable(err)
		}
		i.Created = known(created)
		list = append(list, i)
	}

	return list, Unavailable(rows.Err())
}

// RemoveIdentity implements account.IdentityStore.
func (db *Store) RemoveIdentity(
	ctx context.Context,
	user int64,
	r account.Removal,
	ev jeton.Event,
) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// Held to the end of the step, so that a sign-in that is under way waits, and then has no identity.
		a, err := heldIdentities(ctx, tx, user)
		if err != nil {
			return nil, err
		}

		before, err := waysIn(ctx, tx, user, r.Providers)
		if err != nil {
			return nil, err
		}
		n, err := tx.Exec(ctx, "DELETE FROM identities WHERE account = $1 AND issuer = $2", user, r.Issuer)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, jeton.ErrNotFound
		}

		left, err := waysIn(ctx, tx, user, r.Providers)
		if err != nil {
			return nil, err
		}
		// One of a provider that is not configured any more was no way in.
		if before > 0 && left == 0 {
			return nil, account.ErrLastWay
		}

		// A second factor may have followed it.
		method, began := r.Method, "(methods = $2 OR substr(methods, 1, length($2) + 1) = $2 || ' ')"
		if method == "" {
			method, began = session.Upstream, "substr(methods, 1, length($2)) = $2"
		}
		ended, err := endSessions(ctx, tx, "account = $1 AND "+began, user, method)
		if err != nil {
			return nil, err
		}

		// Grants with offline access do not end with their session.
		granted := "account = $1 AND account <> 0 AND " +
			"number IN (SELECT number FROM grants WHERE " + began + ")"
		tokens, err := endTokens(ctx, tx, ev, granted, user, method)
		if err != nil {
			return nil, err
		}
		ended.tokens = append(ended.tokens, tokens...)

		if err := db.addNotice(ctx, tx, mail.Identity, a, ev); err != nil {
			return nil, err
		}

		return ended.changes(), appendEvents(ctx, tx, ev)
	})
}
