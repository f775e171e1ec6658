package statements

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
)

// recognise remembers the device of a sign-in, and adds a notice if the user has not signed in with it before. A device
// is a browser that keeps a secret, or else a network.
func (db *Store) recognise(ctx context.Context, tx Conn, s session.Start) error {
	// A session at a service, after a sign-in that has had its notice.
	if s.Parent != 0 {
		return nil
	}

	known, err := rememberDevice(ctx, tx, s)
	if err != nil || known || !db.notices.Load() {
		return err
	}

	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE id = $1", s.User))
	if err != nil {
		return missing(err)
	}

	return db.addNotice(ctx, tx, mail.Device, a, s.Event)
}

// AddSource implements account.Store.
func (db *Store) AddSource(ctx context.Context, user, version int64, network string, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Locked, so that of two logins at the same time one finds the network unknown.
		if err := checkUnchanged(ctx, tx, user, version, "FOR NO KEY UPDATE"); err != nil {
			return err
		}

		s := session.Start{Network: network, Event: ev}
		s.User, s.Created = user, ev.Time
		if err := db.recognise(ctx, tx, s); err != nil {
			return err
		}

		return addSource(ctx, tx, s)
	})
}

// rememberDevice remembers the device of a session, and reports whether its user has signed in with it before. The
// network is remembered with the session.
func rememberDevice(ctx context.Context, tx Conn, s session.Start) (bool, error) {
	now, since := milli(s.Created), milli(s.Created.Add(-session.DeviceLifetime))

	if s.Device == (secret.Hash{}) {
		var one int
		err := tx.QueryRow(
			ctx, "SELECT 1 FROM sources WHERE account = $1 AND source = $2 AND at > $3", s.User, s.Network, since,
		).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}

		return true, err
	}

	n, err := tx.Exec(
		ctx, "UPDATE devices SET seen = $3 WHERE account = $1 AND hash = $2 AND seen > $4", s.User, s.Device[:], now,
		since,
	)
	if err != nil || n > 0 {
		return true, err
	}

	_, err = tx.Exec(
		ctx,
		insertInto("devices", deviceColumns)+" ON CONFLICT (account, hash) DO UPDATE SET seen = excluded.seen",
		s.User, s.Device[:], now,
	)
	if err != nil {
		return false, err
	}

	// The step holds the row of the user: no other one adds a device.
	_, err = tx.Exec(
		ctx,
		"DELETE FROM devices WHERE account = $1 AND hash NOT IN"+
			" (SELECT hash FROM devices WHERE account = $1 ORDER BY seen DESC, hash"+atMost(session.MaxDevices)+")",
		s.User,
	)

	return false, err
}

// KnownDevice implements account.Store.
func (db *Store) KnownDevice(ctx context.Context, user int64, h secret.Hash, since time.Time) (bool, error) {
	var one int
	err := db.engine.QueryRow(
		ctx, "SELECT 1 FROM devices WHERE account = $1 AND hash = $2 AND seen > $3", user, h[:], milli(since),
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}

	return err == nil, Unavailable(err)
}
