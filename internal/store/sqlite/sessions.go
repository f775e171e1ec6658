package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"jeton"
	"jeton/internal/count"
	"jeton/internal/policy"
	"jeton/internal/session"
)

const sessionColumns = `s.login, s.id, s.hash, s.user, s.service, s.created, s.expires, s.idle, s.used, s.source, u.name, u.groups`

const findSession = `SELECT ` + sessionColumns + ` FROM sessions s JOIN users u ON u.id = s.user
WHERE s.hash = $1 AND u.disabled = 0`

// lookAlive finds no row when the holder has ended, so that it does not look unused.
const lookAlive = `SELECT COALESCE(u.used, 0)
FROM (SELECT login FROM sessions WHERE login = $1 UNION ALL SELECT -number FROM tokens WHERE number = -$1) h
LEFT JOIN uses u ON u.login = h.login AND u.budget = $2`

// WatchSessions implements session.Store.
func (db *DB) WatchSessions(ended func(...session.Hash)) { db.ended = ended }

// StartSession implements session.Store.
func (db *DB) StartSession(ctx context.Context, s session.Start, judge func(policy.History) ([]int64, error)) (int64, []session.Hash, error) {
	var login int64
	var ended []session.Hash
	err := db.doThen(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := proved(ctx, tx, s.User, s.Version); err != nil {
			return err
		}
		h, err := history(ctx, tx, s)
		if err != nil {
			return err
		}
		evict, err := judge(h)
		if err != nil {
			return err
		}
		for _, old := range evict {
			gone, err := endSessions(ctx, tx, "login = $1", old)
			if err != nil {
				return err
			}
			ended = append(ended, gone...)
		}
		if login, err = insertSession(ctx, tx, s); err != nil {
			return err
		}
		return appendEvents(ctx, tx, s.Event)
	}, func() { db.ended(ended...) })
	if err != nil {
		return 0, nil, err
	}
	return login, ended, nil
}

// proved checks that the credential that was verified a moment ago is still the one.
func proved(ctx context.Context, tx *sql.Conn, user, version int64) error {
	var one int
	err := tx.QueryRowContext(ctx, "SELECT 1 FROM users WHERE id = $1 AND version = $2 AND disabled = 0", user, version).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}
	return err
}

func history(ctx context.Context, tx *sql.Conn, s session.Start) (policy.History, error) {
	var h policy.History
	logins, err := tx.QueryContext(ctx, "SELECT at FROM logins WHERE user = $1 AND service = $2 AND at > $3 ORDER BY login", s.User, s.Service, milli(s.Remember))
	if err != nil {
		return h, err
	}
	defer logins.Close()
	for logins.Next() {
		var at int64
		if err := logins.Scan(&at); err != nil {
			return h, err
		}
		h.Logins = append(h.Logins, time.UnixMilli(at))
	}
	if err := logins.Err(); err != nil || !s.Siblings {
		return h, err
	}
	open, err := tx.QueryContext(ctx, "SELECT login, expires, used, idle FROM sessions WHERE user = $1 AND service = $2 ORDER BY login", s.User, s.Service)
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
		o.Closes, o.LastUsed, o.Idle = time.UnixMilli(closes), time.UnixMilli(used), time.Duration(idle)*time.Millisecond
		h.Open = append(h.Open, o)
	}
	return h, open.Err()
}

func insertSession(ctx context.Context, tx *sql.Conn, s session.Start) (int64, error) {
	const add = `INSERT INTO sessions (id, hash, user, service, created, expires, idle, used, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING login`
	var login int64
	err := tx.QueryRowContext(ctx, add, s.ID, s.Hash[:], s.User, s.Service, milli(s.Created), milli(s.Expires), s.Idle.Milliseconds(), milli(s.LastUsed), s.Source).Scan(&login)
	if err != nil {
		return 0, err
	}
	// Logins that no terms look at any more go as a new one comes, so that the table
	// does not grow with time.
	if _, err := tx.ExecContext(ctx, "DELETE FROM logins WHERE user = $1 AND service = $2 AND at <= $3", s.User, s.Service, milli(s.Remember)); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO logins (user, service, login, at) VALUES ($1, $2, $3, $4)", s.User, s.Service, login, milli(s.Created)); err != nil {
		return 0, err
	}
	const known = "INSERT INTO sources (user, source, at) VALUES ($1, $2, $3) ON CONFLICT (user, source) DO UPDATE SET at = excluded.at"
	_, err = tx.ExecContext(ctx, known, s.User, s.Network, milli(s.Created))
	return login, err
}

// endSessions removes the sessions that where chooses, with their counts, and returns
// their hashes. A use that is being taken at this moment finds no session and fails.
func endSessions(ctx context.Context, tx *sql.Conn, where string, args ...any) ([]session.Hash, error) {
	rows, err := tx.QueryContext(ctx, "DELETE FROM sessions WHERE "+where+" RETURNING hash, login", args...)
	if err != nil {
		return nil, err
	}
	ended, logins, err := scanEnded(rows)
	if err != nil {
		return nil, err
	}
	for _, login := range logins {
		if _, err := tx.ExecContext(ctx, "DELETE FROM uses WHERE login = $1", login); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

func scanEnded(rows *sql.Rows) (ended []session.Hash, logins []int64, err error) {
	defer rows.Close()
	for rows.Next() {
		var b []byte
		var login int64
		if err := rows.Scan(&b, &login); err != nil {
			return nil, nil, err
		}
		h, err := hash(b)
		if err != nil {
			return nil, nil, err
		}
		ended, logins = append(ended, h), append(logins, login)
	}
	return ended, logins, rows.Err()
}

func hash(b []byte) (h session.Hash, err error) {
	if len(b) != len(h) {
		return h, fmt.Errorf("a stored hash has %d bytes instead of %d", len(b), len(h))
	}
	return session.Hash(b), nil
}

// FindSession implements session.Store.
func (db *DB) FindSession(ctx context.Context, h session.Hash) (session.Record, error) {
	r, err := scanSession(db.find.QueryRowContext(ctx, h[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Record{}, jeton.ErrNotFound
	}
	return r, unavailable(err)
}

type scanner interface{ Scan(into ...any) error }

func scanSession(row scanner) (session.Record, error) {
	var r session.Record
	var h, groups []byte
	var created, expires, idle, used int64
	if err := row.Scan(&r.Login, &r.ID, &h, &r.User, &r.Service, &created, &expires, &idle, &used, &r.Source, &r.Name, &groups); err != nil {
		return r, err
	}
	r.Created, r.Expires, r.LastUsed = time.UnixMilli(created), time.UnixMilli(expires), time.UnixMilli(used)
	r.Idle = time.Duration(idle) * time.Millisecond
	var err error
	if r.Hash, err = hash(h); err != nil {
		return r, err
	}
	if err := json.Unmarshal(groups, &r.Groups); err != nil {
		return r, fmt.Errorf("groups of user %d: %w", r.User, err)
	}
	return r, nil
}

// Left implements count.Store.
func (db *DB) Left(ctx context.Context, u count.Use) ([]int64, error) {
	var left []int64
	for _, b := range u.Budgets {
		var used int64
		err := db.look.QueryRowContext(ctx, u.Holder, b.ID).Scan(&used)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, jeton.ErrBadCredential
		}
		if err != nil {
			return nil, unavailable(err)
		}
		left = append(left, b.Max-used)
	}
	return left, nil
}

// EndSessions implements session.Store.
func (db *DB) EndSessions(ctx context.Context, w session.Which, ev jeton.Event) ([]session.Hash, error) {
	if (w == session.Which{Not: w.Not}) {
		return nil, nil
	}
	var ended []session.Hash
	where, args := chosen(w)
	err := db.doThen(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		if ended, err = endSessions(ctx, tx, where, args...); err != nil || len(ended) == 0 {
			return err
		}
		return appendEvents(ctx, tx, ev)
	}, func() { db.ended(ended...) })
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// chosen phrases a session.Which. It names only the fields that are set, so that SQLite
// finds an index for them and a logout does not read the whole table.
func chosen(w session.Which) (where string, args []any) {
	where = "1"
	for _, f := range []struct{ value, clause string }{
		{w.ID, "id = ?"},
		{w.User, "user = (SELECT id FROM users WHERE name = ?)"},
		{w.Service, "service = ?"},
		{w.Not, "id <> ?"},
	} {
		if f.value != "" {
			where, args = where+" AND "+f.clause, append(args, f.value)
		}
	}
	return where, args
}

// TouchSessions implements session.Store. In the order of their numbers, neighbours
// share a page.
func (db *DB) TouchSessions(ctx context.Context, at map[int64]time.Time) error {
	logins := slices.Sorted(maps.Keys(at))
	return db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		touch, err := tx.PrepareContext(ctx, "UPDATE sessions SET used = $2 WHERE login = $1 AND used < $2")
		if err != nil {
			return err
		}
		defer touch.Close()
		for _, login := range logins {
			if _, err := touch.ExecContext(ctx, login, milli(at[login])); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListSessions implements session.Store.
func (db *DB) ListSessions(ctx context.Context, w session.Which, limit int) ([]session.Record, error) {
	where, args := chosen(w)
	list := "SELECT " + sessionColumns + " FROM (SELECT * FROM sessions WHERE " + where + " ORDER BY login DESC LIMIT ?) s JOIN users u ON u.id = s.user ORDER BY s.login DESC"
	rows, err := db.read.QueryContext(ctx, list, append(args, limit)...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var records []session.Record
	for rows.Next() {
		r, err := scanSession(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		records = append(records, r)
	}
	return records, unavailable(rows.Err())
}

// AllowLogin implements session.Store.
func (db *DB) AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		var id int64
		if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE name = $1", user).Scan(&id); err != nil {
			return missing(err)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM logins WHERE user = $1 AND service = $2", id, service); err != nil {
			return err
		}
		return appendEvents(ctx, tx, ev)
	})
}

// SweepSessions implements session.Store.
func (db *DB) SweepSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int
	err := db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		const over = "login IN (SELECT login FROM sessions WHERE expires < $1 ORDER BY expires LIMIT $2)"
		ended, err := endSessions(ctx, tx, over, milli(before), limit)
		n = len(ended)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// BudgetID implements count.Store.
func (db *DB) BudgetID(ctx context.Context, service, name string) (int64, error) {
	const find = "SELECT id FROM budgets WHERE service = $1 AND name = $2"
	var id int64
	err := db.read.QueryRowContext(ctx, find, service, name).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, unavailable(err)
	}
	err = db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO budgets (service, name) VALUES ($1, $2) ON CONFLICT (service, name) DO NOTHING", service, name); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, find, service, name).Scan(&id)
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// missing tells a row that is not there from a store that cannot tell.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrNotFound
	}
	return err
}

// milli is how times are kept. The zero time is before all others.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
