package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// AddFactor implements factor.Store.
func (db *Store) AddFactor(ctx context.Context, f factor.Factor, session string, ev *jeton.Event) error {
	return db.proving(ctx, f.User, func(ctx context.Context, tx Conn) error {
		if err := holdFactors(ctx, tx, f.User); err != nil {
			return err
		}
		if err := holdAsking(ctx, tx, f.User, session); err != nil {
			return err
		}
		if err := addFactor(ctx, tx, f); err != nil {
			return err
		}

		return db.appendFactorEvent(ctx, tx, f.User, ev)
	})
}

// AddByCode implements factor.Store.
func (db *Store) AddByCode(ctx context.Context, u factor.Use, f factor.Factor, ev *jeton.Event) error {
	return db.proving(ctx, f.User, func(ctx context.Context, tx Conn) error {
		if err := holdFactors(ctx, tx, f.User); err != nil {
			return err
		}
		if err := db.useFactor(ctx, tx, u, ev); err != nil {
			return err
		}

		return addFactor(ctx, tx, f)
	})
}

// addFactor adds a factor of a user that is held, in place of one that was not confirmed.
func addFactor(ctx context.Context, tx Conn, f factor.Factor) error {
	const waiting = "DELETE FROM factors WHERE account = $1 AND kind = $2 AND confirmed < 0"
	if _, err := tx.Exec(ctx, waiting, f.User, string(f.Kind)); err != nil {
		return err
	}

	var n int
	err := tx.QueryRow(
		ctx, "SELECT count(*) FROM factors WHERE account = $1 AND kind = $2", f.User, string(f.Kind),
	).Scan(&n)
	if err != nil {
		return err
	}
	if n >= factor.MaxPerKind {
		return jeton.WithDetail(
			jeton.ErrConflict, fmt.Sprintf("%d factors of this kind exist; remove one", factor.MaxPerKind),
		)
	}

	return insertFactor(ctx, tx, f)
}

// proving runs a step that changes what proves a user. What is cached of the user ends, such as that a password alone
// was enough.
func (db *Store) proving(ctx context.Context, user int64, run func(ctx context.Context, tx Conn) error) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		return usersChanged(user), run(ctx, tx)
	}})
}

// holdFactors makes other changes of the factors of a user wait until the step ends, and one that removes the user. It
// returns jeton.ErrNotFound for a user who is gone.
func holdFactors(ctx context.Context, tx Conn, user int64) error {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM users WHERE id = $1"+tx.Lock("FOR NO KEY UPDATE"), user).Scan(&one)

	return missing(err)
}

// holdAsking returns jeton.ErrExpired if the session that asks for a change has ended; "": there is none. Its user, or
// an administrator, may have ended it because an attacker has it. A step that ends it waits.
func holdAsking(ctx context.Context, tx Conn, user int64, session string) error {
	if session == "" {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM sessions WHERE id = $1 AND account = $2"+tx.Lock("FOR KEY SHARE"), session, user,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.WithDetail(jeton.ErrExpired, "the session that asked for it has ended")
	}

	return err
}

// holdTicket returns jeton.ErrExpired if the sign-in that confirms a factor has ended, as its ticket was taken or
// revoked. A step that does either waits.
func holdTicket(ctx context.Context, tx Conn, u factor.Use) error {
	if u.Ticket == (secret.Hash{}) {
		return nil
	}

	const hold = "SELECT 1 FROM tickets WHERE hash = $1 AND account = $2 AND used IS NULL"
	var one int
	err := tx.QueryRow(ctx, hold+tx.Lock("FOR SHARE"), u.Ticket[:], u.User).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.WithDetail(jeton.ErrExpired, "the sign-in that asked for it has ended")
	}

	return err
}

// insertFactor adds a factor, or returns jeton.ErrConflict.
func insertFactor(ctx context.Context, tx Conn, f factor.Factor) error {
	// Not nil, which would be NULL.
	content := append([]byte{}, f.Secret...)

	n, err := tx.Exec(
		ctx, insertInto("factors", factorColumns)+" ON CONFLICT DO NOTHING", f.ID, f.User, string(f.Kind), f.Name,
		milli(f.Created), milli(f.Confirmed), milli(f.Used), f.Handle, content, f.Counter, f.Flags, f.Transports,
		f.Model,
	)
	if err == nil && n == 0 {
		err = jeton.WithDetail(jeton.ErrConflict, "this factor exists already")
	}

	return err
}

// appendFactorEvent adds an event about a user, and the notice of it, unless it is nil.
func (db *Store) appendFactorEvent(ctx context.Context, tx Conn, user int64, ev *jeton.Event) error {
	if ev == nil {
		return nil
	}
	if err := db.noticeOfFactor(ctx, tx, user, *ev); err != nil {
		return err
	}

	return appendEvents(ctx, tx, *ev)
}

// ReplaceFactors implements factor.Store.
func (db *Store) ReplaceFactors(
	ctx context.Context,
	o factor.Owner,
	k factor.Kind,
	list []factor.Factor,
	ev *jeton.Event,
) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := holdFactors(ctx, tx, o.ID); err != nil {
			return err
		}
		if err := holdAsking(ctx, tx, o.ID, o.Session); err != nil {
			return err
		}

		const remove = "DELETE FROM factors WHERE account = $1 AND kind = $2"
		if _, err := tx.Exec(ctx, remove, o.ID, string(k)); err != nil {
			return err
		}

		for _, f := range list {
			if err := insertFactor(ctx, tx, f); err != nil {
				return err
			}
		}

		return db.appendFactorEvent(ctx, tx, o.ID, ev)
	})
}

// ConfirmFactor implements factor.Store.
func (db *Store) ConfirmFactor(ctx context.Context, u factor.Use, addedAfter time.Time, ev *jeton.Event) error {
	const confirm = "UPDATE factors SET confirmed = $3, counter = $4" +
		" WHERE id = $1 AND account = $2 AND confirmed < 0 AND created > $5"

	return db.engine.Do(ctx, Step{Long: true, Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		if err := holdFactors(ctx, tx, u.User); err != nil {
			return nil, err
		}

		n, err := tx.Exec(ctx, confirm, u.ID, u.User, milli(u.At), u.Counter, milli(addedAfter))
		if err == nil && n == 0 {
			err = jeton.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		if err := holdAsking(ctx, tx, u.User, u.Keep); err != nil {
			return nil, err
		}
		if err := holdTicket(ctx, tx, u); err != nil {
			return nil, err
		}
		if err := db.appendFactorEvent(ctx, tx, u.User, ev); err != nil {
			return nil, err
		}

		ended, err := endWithoutFactor(ctx, tx, u, ev)

		return append(usersChanged(u.User), ended.changes()...), err
	}})
}

// endWithoutFactor ends the sessions that were started without a factor that is confirmed now.
func endWithoutFactor(ctx context.Context, tx Conn, u factor.Use, ev *jeton.Event) (endedFamilies, error) {
	where, args := "account = $1", []any{u.User}
	if u.Keep != "" {
		stays := rootOf("id = $2")
		where, args = where+" AND login <> "+stays+" AND parent <> "+stays, append(args, u.Keep)
	}

	ended, err := endSessions(ctx, tx, where, args...)
	if err != nil || len(ended.sessions) == 0 || ev == nil {
		return ended, err
	}

	end := *ev
	end.Action, end.Reason = audit.SessionEnd, "a second factor was added"

	return ended, appendEvents(ctx, tx, end)
}

const selectFactors = "SELECT " + factorColumns + " FROM factors "

// ListFactors implements factor.Store.
func (db *Store) ListFactors(ctx context.Context, user int64) ([]factor.Factor, error) {
	rows, err := db.engine.Query(ctx, selectFactors+"WHERE account = $1 ORDER BY created, id", user)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var list []factor.Factor
	for rows.Next() {
		f, err := scanFactor(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		list = append(list, f)
	}

	return list, Unavailable(rows.Err())
}

// FindFactor implements factor.Store.
func (db *Store) FindFactor(ctx context.Context, k factor.Kind, handle []byte) (factor.Factor, error) {
	f, err := scanFactor(db.engine.QueryRow(ctx, selectFactors+"WHERE kind = $1 AND handle = $2", string(k), handle))
	if err != nil {
		return factor.Factor{}, Unavailable(missing(err))
	}

	return f, nil
}

func scanFactor(row Row) (factor.Factor, error) {
	var f factor.Factor
	var kind string
	var created, confirmed, used int64

	err := row.Scan(
		&f.ID, &f.User, &kind, &f.Name, &created, &confirmed, &used, &f.Handle, &f.Secret, &f.Counter, &f.Flags,
		&f.Transports, &f.Model,
	)
	if err != nil {
		return f, err
	}

	f.Kind, f.Created = factor.Kind(kind), known(created)
	f.Confirmed, f.Used = known(confirmed), known(used)

	return f, nil
}

// UseFactor implements factor.Store.
func (db *Store) UseFactor(ctx context.Context, u factor.Use, ev *jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error { return db.useFactor(ctx, tx, u, ev) })
}

// useFactor does what UseFactor says, as part of a step.
func (db *Store) useFactor(ctx context.Context, tx Conn, u factor.Use, ev *jeton.Event) error {
	use := "UPDATE factors SET used = $3, counter = CASE WHEN counter < $4 THEN $4 ELSE counter END," +
		" flags = CASE WHEN $5 = 0 THEN flags ELSE $5 END WHERE id = $1 AND account = $2 AND confirmed >= 0"
	// The condition is the check: a SELECT before it would let two steps at once both pass.
	if u.Once {
		use += " AND counter < $4"
	}

	n, err := tx.Exec(ctx, use, u.ID, u.User, milli(u.At), u.Counter, u.Flags)
	if err != nil {
		return err
	}
	if n == 0 {
		return notUsed(ctx, tx, u)
	}

	if err := forgetAttempts(ctx, tx, u.User); err != nil {
		return err
	}

	return db.appendFactorEvent(ctx, tx, u.User, ev)
}

// notUsed returns why a factor was not used.
func notUsed(ctx context.Context, tx Conn, u factor.Use) error {
	var one int
	const confirmed = "SELECT 1 FROM factors WHERE id = $1 AND account = $2 AND confirmed >= 0"
	if err := tx.QueryRow(ctx, confirmed, u.ID, u.User).Scan(&one); err != nil {
		return missing(err)
	}

	return jeton.ErrSpent
}

// RenameFactor implements factor.Store.
func (db *Store) RenameFactor(ctx context.Context, user int64, id, name string, ev *jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		n, err := tx.Exec(ctx, "UPDATE factors SET name = $3 WHERE id = $1 AND account = $2", id, user, name)
		if err == nil && n == 0 {
			err = jeton.ErrNotFound
		}
		if err != nil {
			return err
		}

		return db.appendFactorEvent(ctx, tx, user, ev)
	})
}

// RemoveFactors implements factor.Store.
func (db *Store) RemoveFactors(ctx context.Context, user int64, w factor.Which, ev *jeton.Event) (int, error) {
	where, args := "account = $1", []any{user}
	switch {
	case w.ID != "":
		where, args = where+" AND id = $2", append(args, w.ID)
	case w.Kind != "":
		where, args = where+" AND kind = $2", append(args, string(w.Kind))
	case !w.All:
		return 0, nil
	}

	var n int64
	err := db.proving(ctx, user, func(ctx context.Context, tx Conn) (err error) {
		if err := holdFactors(ctx, tx, user); err != nil {
			return err
		}

		before, err := waysIn(ctx, tx, user, w.Providers)
		if err != nil {
			return err
		}
		n, err = tx.Exec(ctx, "DELETE FROM factors WHERE "+where, args...)
		if err != nil || n == 0 {
			return err
		}
		left, err := waysIn(ctx, tx, user, w.Providers)
		if err != nil {
			return err
		}
		// In the step that removes it: of two that are removed at once, the second is the only way.
		if before > 0 && left == 0 {
			return account.ErrLastWay
		}

		// They replace a factor that is not there any more.
		const codes = "DELETE FROM factors WHERE account = $1 AND kind = 'recovery' AND NOT EXISTS " +
			"(SELECT 1 FROM factors f WHERE f.account = $1 AND f.kind <> 'recovery' AND f.confirmed >= 0)"
		if _, err := tx.Exec(ctx, codes, user); err != nil {
			return err
		}
		if w.All {
			if err := forgetAttempts(ctx, tx, user); err != nil {
				return err
			}
		}

		return db.appendFactorEvent(ctx, tx, user, ev)
	})
	if err != nil {
		return 0, err
	}

	return int(n), nil
}

// waysIn returns in how many ways a user can sign in. An identity is one at those of the providers that are served now.
func waysIn(ctx context.Context, tx Conn, user int64, providers []string) (n int, err error) {
	const count = "SELECT (SELECT count(*) FROM users WHERE id = $1 AND password <> '')" +
		" + (SELECT count(*) FROM factors WHERE account = $1 AND kind = 'passkey')"
	if err := tx.QueryRow(ctx, count, user).Scan(&n); err != nil {
		return 0, err
	}

	const has = "SELECT count(*) FROM identities WHERE account = $1 AND issuer = $2"
	for _, issuer := range providers {
		var one int
		if err := tx.QueryRow(ctx, has, user, issuer).Scan(&one); err != nil {
			return 0, err
		}
		n += one
	}

	return n, nil
}

// TakeAttempt implements factor.Store.
func (db *Store) TakeAttempt(
	ctx context.Context,
	user int64,
	take func(factor.Attempts) (factor.Attempts, error),
) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := holdFactors(ctx, tx, user); err != nil {
			return err
		}

		// A row first, so that there is one to lock.
		_, err := tx.Exec(
			ctx, insertInto("factor_attempts", attemptColumns)+" ON CONFLICT DO NOTHING", user, 0, -1,
		)
		if err != nil {
			return err
		}

		var a factor.Attempts
		var ready int64
		err = tx.QueryRow(
			ctx, "SELECT failed, ready FROM factor_attempts WHERE account = $1", user,
		).Scan(&a.Failed, &ready)
		if err != nil {
			return err
		}

		a.Ready = known(ready)
		a, err = take(a)
		if err != nil {
			return err
		}

		_, err = tx.Exec(
			ctx, "UPDATE factor_attempts SET failed = $2, ready = $3 WHERE account = $1", user, a.Failed,
			milli(a.Ready),
		)

		return err
	})
}

// ForgetAttempts implements factor.Store.
func (db *Store) ForgetAttempts(ctx context.Context, user int64) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error { return forgetAttempts(ctx, tx, user) })
}

func forgetAttempts(ctx context.Context, tx Conn, user int64) error {
	_, err := tx.Exec(ctx, "DELETE FROM factor_attempts WHERE account = $1", user)
	return err
}

// SweepFactors implements factor.Store.
func (db *Store) SweepFactors(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64

	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Set here, because the step may run again after a rollback.
		n = 0
		// Two nodes that delete the same rows would only wait for each other.
		if mine, err := tx.Alone(ctx, "sweep of factors"); err != nil || !mine {
			return err
		}

		var err error
		n, err = tx.Exec(
			ctx,
			"DELETE FROM factors WHERE id IN (SELECT id FROM factors WHERE confirmed < 0 AND created < $1"+
				" ORDER BY created"+atMost(limit)+")",
			milli(before),
		)

		return err
	})

	return int(n), err
}
