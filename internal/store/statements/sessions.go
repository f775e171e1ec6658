package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// sessionFields is what scanSession reads, of a session s and its owner u, before the id of the
// parent.
var sessionFields = of("s", "login, "+sessionColumns) + ", u.name, u.groups"

// FindSession is the most frequent statement: an engine may prepare it. It does not look for the
// parent.
var FindSession = "SELECT " + sessionFields + `, '' FROM sessions s JOIN users u ON u.id = s.account
WHERE s.hash = $1 AND NOT u.disabled`

// LookAlive finds no row when the holder has ended, so that it does not look unused. It is the
// number of a login, minus that of a token, or that of a user and count.UserHolders.
const LookAlive = `SELECT COALESCE(u.used, 0)
FROM (SELECT login FROM sessions WHERE login = $1 UNION ALL SELECT -number FROM tokens WHERE number = 0 - $1
UNION ALL SELECT $1 FROM users WHERE id = $1 - 4611686018427387904) h
LEFT JOIN uses u ON u.login = h.login AND u.budget = $2`

// StartSession implements session.Store.
func (db *Store) StartSession(
	ctx context.Context,
	s session.Start,
	judge func(policy.History) (evict []int64, err error),
) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// Lock the owner's row until the transaction ends. Of two logins at the same time, the
		// second then sees the first. The key is not locked: first uses go on.
		if err := checkUnchanged(ctx, tx, s.User, s.Version, "FOR NO KEY UPDATE"); err != nil {
			return nil, err
		}

		if err := checkStart(ctx, tx, s); err != nil {
			return nil, err
		}

		h, err := history(ctx, tx, s)
		if err != nil {
			return nil, err
		}

		evict, err := judge(h)
		if err != nil {
			return nil, err
		}
		if s.Parent != 0 && slices.Contains(evict, s.Parent) {
			return nil, jeton.ErrBadCredential
		}

		var ended endedFamilies
		for _, login := range evict {
			one, err := endSessions(ctx, tx, "login = $1", login)
			if err != nil {
				return nil, err
			}
			ended.add(one)
		}

		// Before the session, which makes its network a known one.
		if err := db.recognise(ctx, tx, s); err != nil {
			return nil, err
		}
		if err := insertSession(ctx, tx, s); err != nil {
			return nil, err
		}
		if err := renewUses(ctx, tx, s.User, s.Service); err != nil {
			return nil, err
		}

		changes := ended.changes()
		if len(evict) > 0 && len(ended.sessions) == 0 {
			// Another transaction ended them first. Its change may not have reached every node
			// yet: see nothingLeft.
			changes = nothingLeft()
		}

		return changes, appendEvents(ctx, tx, s.Event)
	}})
}

// checkUnchanged returns jeton.ErrBadCredential if the user was disabled, or the credential has
// changed, since it was verified. The lock keeps both until the transaction ends.
func checkUnchanged(ctx context.Context, tx Conn, user, version int64, lock string) error {
	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM users WHERE id = $1 AND version = $2 AND NOT disabled"+tx.Lock(lock), user,
		version,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

func history(ctx context.Context, tx Conn, s session.Start) (policy.History, error) {
	var h policy.History

	var err error
	h.Logins, err = pastLogins(ctx, tx, s.User, s.Service, s.Remember)
	if err != nil || !s.Siblings {
		return h, err
	}

	open, err := tx.Query(
		ctx,
		"SELECT login, expires, used, idle FROM sessions WHERE account = $1 AND service = $2 ORDER BY login",
		s.User, s.Service,
	)
	if err != nil {
		return h, err
	}
	defer open.Close()

	for open.Next() {
		var o policy.OpenSession
		var closes, used, idle int64
		if err := open.Scan(&o.Login, &closes, &used, &idle); err != nil {
			return h, err
		}

		o.Closes = time.UnixMilli(closes)
		o.LastUsed = time.UnixMilli(used)
		o.Idle = time.Duration(idle) * time.Millisecond
		h.Open = append(h.Open, o)
	}

	return h, open.Err()
}

// insertSession adds the session, the login for the re-login terms, and the network as one
// that the user has logged in from, which the throttle exempts.
func insertSession(ctx context.Context, tx Conn, s session.Start) error {
	var login int64

	err := tx.QueryRow(
		ctx, insertInto("sessions", sessionColumns)+" RETURNING login", s.ID, s.Hash[:], s.User, s.Service,
		milli(s.Created), milli(s.Expires), s.Idle.Milliseconds(), milli(s.LastUsed), s.Source, s.Parent, s.Methods,
		milli(s.Proved), s.Agent,
	).Scan(&login)
	if err != nil {
		return err
	}

	if err := insertLogin(ctx, tx, s.User, s.Service, login, s.Remember, s.Created); err != nil {
		return err
	}

	return addSource(ctx, tx, s)
}

// addSource adds the network of a session to those that its user has logged in from.
func addSource(ctx context.Context, tx Conn, s session.Start) error {
	const known = `INSERT INTO sources (account, source, at) VALUES ($1, $2, $3)
ON CONFLICT (account, source) DO UPDATE SET at = excluded.at`
	_, err := tx.Exec(ctx, known, s.User, s.Network, milli(s.Created))

	return err
}

// FindSession implements session.Store.
func (db *Store) FindSession(ctx context.Context, h secret.Hash) (session.Record, error) {
	r, err := scanSession(db.engine.QueryRow(ctx, FindSession, h[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Record{}, jeton.ErrNotFound
	}
	return r, Unavailable(err)
}

func scanSession(row Row) (session.Record, error) {
	var r session.Record
	var h, groups []byte
	var created, expires, idle, used, proved int64
	if err := row.Scan(
		&r.Login, &r.ID, &h, &r.User, &r.Service, &created, &expires, &idle, &used, &r.Source, &r.Parent,
		&r.Methods, &proved, &r.Agent, &r.Name, &groups, &r.ParentID,
	); err != nil {
		return r, err
	}

	r.Created = time.UnixMilli(created)
	r.Expires = time.UnixMilli(expires)
	r.LastUsed = time.UnixMilli(used)
	r.Proved = known(proved)
	r.Idle = time.Duration(idle) * time.Millisecond
	var err error
	r.Hash, err = hash(h)
	if err != nil {
		return r, err
	}

	if err := json.Unmarshal(groups, &r.Groups); err != nil {
		return r, fmt.Errorf("groups of user %d: %w", r.User, err)
	}

	return r, nil
}

// Left implements count.Store.
func (db *Store) Left(ctx context.Context, u count.Use) ([]int64, error) {
	var left []int64
	for _, b := range u.Budgets {
		var used int64
		err := db.engine.QueryRow(ctx, LookAlive, u.HolderOf(b), b.ID).Scan(&used)
		// The holder has ended (see LookAlive); a holder without uses has a row of 0.
		if errors.Is(err, sql.ErrNoRows) {
			return nil, jeton.ErrBadCredential
		}

		if err != nil {
			return nil, Unavailable(err)
		}

		left = append(left, b.Max-used)
	}

	return left, nil
}

// ProveSession implements session.Store.
func (db *Store) ProveSession(ctx context.Context, r session.Renewal, ev jeton.Event) error {
	// The proof is a use. What a node has noted of earlier ones goes with the old hash.
	const renew = "UPDATE sessions SET proved = $4, hash = $3, used = CASE WHEN used < $4 THEN $4 ELSE used END, " +
		"methods = CASE WHEN $5 = '' THEN methods ELSE $5 END WHERE id = $1 AND hash = $2"

	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		n, err := tx.Exec(ctx, renew, r.ID, r.Shown[:], r.Fresh[:], milli(r.At), r.Methods)
		if err == nil && n == 0 {
			err = jeton.ErrNotFound
		}
		if err != nil {
			return nil, err
		}

		changes := []change.Change{{Kind: change.Replaced, Hashes: []secret.Hash{r.Shown}}}

		return changes, appendEvents(ctx, tx, ev)
	}})
}

// TouchSessions implements session.Store.
func (db *Store) TouchSessions(ctx context.Context, at map[int64]time.Time) error {
	return db.touch(ctx, "sessions", "login", at)
}

// touch moves last uses in a table forward, by its key. It is one statement for all: to parse one for each costs more
// than the rows. In the order of their numbers, neighbours share a page.
func (db *Store) touch(ctx context.Context, table, key string, at map[int64]time.Time) error {
	update := "UPDATE " + table + " SET used = v.value FROM json_each($1) v" +
		" WHERE " + key + " = CAST(v.key AS INTEGER) AND used < v.value"

	list := []byte("{")
	for i, number := range slices.Sorted(maps.Keys(at)) {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, '"')
		list = strconv.AppendInt(list, number, 10)
		list = append(list, `":`...)
		list = strconv.AppendInt(list, milli(at[number]), 10)
	}
	list = append(list, '}')

	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(ctx, update, string(list))
		return err
	})
}

// ListSessions implements session.Store.
func (db *Store) ListSessions(ctx context.Context, w session.Which, limit int) ([]session.Record, error) {
	where, args := chosen(w)
	list := "SELECT " + sessionFields + ", COALESCE(p.id, '') FROM (SELECT * FROM sessions WHERE " + where +
		" ORDER BY login DESC" + atMost(limit) +
		") s JOIN users u ON u.id = s.account LEFT JOIN sessions p ON p.login = s.parent ORDER BY s.login DESC"

	rows, err := db.engine.Query(ctx, list, args...)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var records []session.Record
	for rows.Next() {
		r, err := scanSession(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		records = append(records, r)
	}

	return records, Unavailable(rows.Err())
}

// CountSessions implements session.Store.
func (db *Store) CountSessions(ctx context.Context, user string, after time.Time) (int64, error) {
	text, args := "SELECT count(*) FROM sessions WHERE expires > $1", []any{milli(after)}
	if user != "" {
		text += " AND account = (SELECT id FROM users WHERE name = $2)"
		args = append(args, user)
	}

	var n int64
	err := db.engine.QueryRow(ctx, text, args...).Scan(&n)

	return n, Unavailable(err)
}

// AllowLogin implements session.Store.
func (db *Store) AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		var id int64
		if err := tx.QueryRow(ctx, "SELECT id FROM users WHERE name = $1", user).Scan(&id); err != nil {
			return missing(err)
		}
		if _, err := tx.Exec(ctx, "DELETE FROM logins WHERE account = $1 AND service = $2", id, service); err != nil {
			return err
		}

		return appendEvents(ctx, tx, ev)
	})
}

// SweepSessions implements session.Store.
func (db *Store) SweepSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int
	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Set here, because the step may run again after a rollback.
		n = 0
		// Two nodes that delete the same rows would only wait for each other.
		if mine, err := tx.Alone(ctx, "sweep of sessions"); err != nil || !mine {
			return err
		}

		// Children expire with their parents at the latest, and are swept by themselves.
		ended, err := removeSessions(
			ctx, tx,
			"login IN (SELECT login FROM sessions WHERE expires < $1 ORDER BY expires"+atMost(limit)+")",
			milli(before),
		)

		if err != nil {
			return err
		}

		n = len(ended.numbers)

		return forgetRelying(ctx, tx, ended.numbers)
	})
	if err != nil {
		return 0, err
	}

	return n, nil
}

// BudgetID implements count.Store.
func (db *Store) BudgetID(ctx context.Context, service, name string) (int64, error) {
	const find = "SELECT id FROM budgets WHERE service = $1 AND name = $2"
	var id int64
	// A read first: a budget is made once, and its ID is read at every start.
	err := db.engine.QueryRow(ctx, find, service, name).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, Unavailable(err)
	}

	err = db.do(ctx, func(ctx context.Context, tx Conn) error {
		if _, err := tx.Exec(
			ctx,
			"INSERT INTO budgets (service, name) VALUES ($1, $2) ON CONFLICT (service, name) DO NOTHING",
			service, name,
		); err != nil {
			return err
		}

		return tx.QueryRow(ctx, find, service, name).Scan(&id)
	})
	if err != nil {
		return 0, err
	}

	return id, nil
}
