package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"jeton"
	"jeton/internal/policy"
	"jeton/internal/secret"
	"jeton/internal/token"
)

// A token's owner is a client or a user: one of the two joins finds a row.
const tokenColumns = `t.number, t.accessor, t.hash, t.format, t.kind, t.name, t.parent, t.version, t.audience, t.scopes, t.allows, t.networks, t.max_uses,
t.created, t.opens, t.expires, t.source, t.client <> 0, COALESCE(c.id, u.id), COALESCE(c.name, u.name), COALESCE(u.groups, '[]')`

const tokenOwners = `LEFT JOIN clients c ON c.id = t.client LEFT JOIN users u ON u.id = t.user`

// A personal token outlives a changed password; it ends when its owner is disabled.
const findToken = `SELECT ` + tokenColumns + ` FROM tokens t ` + tokenOwners + `
WHERE t.hash = $1 AND (c.disabled = 0 AND c.version = t.version OR u.disabled = 0 AND (t.kind = 'personal' OR u.version = t.version))`

const findSigned = `SELECT COALESCE((SELECT number FROM tokens WHERE hash = $1), 0), EXISTS (SELECT 1 FROM revoked WHERE hash = $1 OR hash = $2)`

// WatchTokens implements token.Store.
func (db *DB) WatchTokens(ended func(...secret.Hash)) { db.endedTokens = ended }

// MintToken implements token.Store.
func (db *DB) MintToken(ctx context.Context, m token.Mint) (int64, error) {
	var number int64
	err := db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := permitted(ctx, tx, &m); err != nil {
			return err
		}
		if m.Once != (token.Once{}) {
			if err := useOnce(ctx, tx, m.Once); err != nil {
				return err
			}
		}
		if m.Keep {
			var err error
			if number, err = insertToken(ctx, tx, m.Record); err != nil {
				return err
			}
		}
		return appendEvents(ctx, tx, m.Event)
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

// permitted checks that those who ask for a token are still who they were when they were
// let through: their credential, their session, the token that this one is made of.
func permitted(ctx context.Context, tx *sql.Conn, m *token.Mint) error {
	var one int
	if m.Login != 0 {
		err := tx.QueryRowContext(ctx, "SELECT 1 FROM sessions WHERE login = $1 AND user = $2", m.Login, m.Owner.ID).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return jeton.ErrBadCredential
		}
		if err != nil {
			return err
		}
	}
	if m.Parent == 0 {
		return stands(ctx, tx, m.Owner)
	}
	// A personal token outlives a changed password, and so may what it makes.
	const parent = `SELECT COALESCE(c.version, u.version) FROM tokens t ` + tokenOwners + `
WHERE t.number = $1 AND t.hash = $2 AND COALESCE(c.disabled, u.disabled) = 0`
	err := tx.QueryRowContext(ctx, parent, m.Parent, m.Shown[:]).Scan(&m.Owner.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}
	return err
}

// stands checks that an owner who was proved a moment ago is still who they were.
func stands(ctx context.Context, tx *sql.Conn, o token.Owner) error {
	if o.Kind == jeton.KindUser {
		return proved(ctx, tx, o.ID, o.Version)
	}
	if o.Kind != jeton.KindClient {
		return jeton.ErrBadCredential
	}
	var one int
	err := tx.QueryRowContext(ctx, "SELECT 1 FROM clients WHERE id = $1 AND version = $2 AND disabled = 0", o.ID, o.Version).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}
	return err
}

func insertToken(ctx context.Context, tx *sql.Conn, r token.Record) (int64, error) {
	const add = `INSERT INTO tokens (accessor, hash, format, kind, name, parent, user, client, version, audience, scopes, allows, networks, max_uses, created, opens, expires, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) RETURNING number`
	user, client := r.Owner.ID, int64(0)
	if r.Owner.Kind == jeton.KindClient {
		user, client = 0, r.Owner.ID
	}
	var number int64
	err := tx.QueryRowContext(ctx, add, r.Accessor, r.Hash[:], string(r.Format), string(r.Kind), r.Name, r.Parent, user, client, r.Owner.Version, list(r.Audience), list(r.Scopes),
		texts(r.Limits.Allows), texts(r.Limits.Networks), r.MaxUses, milli(r.Created), milli(r.Window.Opens), milli(r.Window.Closes), r.Source).Scan(&number)
	return number, err
}

// UseOnce implements token.Store.
func (db *DB) UseOnce(ctx context.Context, o token.Once) error {
	return db.do(ctx, func(ctx context.Context, tx *sql.Conn) error { return useOnce(ctx, tx, o) })
}

// useOnce is the step that keeps an assertion single: of two that insert the same row, the
// second inserts none.
func useOnce(ctx context.Context, tx *sql.Conn, o token.Once) error {
	r, err := tx.ExecContext(ctx, "INSERT INTO assertions (issuer, jti, expires) VALUES ($1, $2, $3) ON CONFLICT (issuer, jti) DO NOTHING", o.Issuer, o.JTI[:], milli(o.Expires))
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		return token.ErrUsed
	}
	return err
}

// texts writes values as a JSON list of their texts.
func texts[T fmt.Stringer](values []T) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = v.String()
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "[]" // a list of strings always encodes
	}
	return string(b)
}

// read reads what texts wrote.
func read[T any](text []byte, parse func(string) (T, error)) (list []T, err error) {
	var each []string
	if err := json.Unmarshal(text, &each); err != nil {
		return nil, err
	}
	for _, one := range each {
		v, err := parse(one)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// FindToken implements token.Store.
func (db *DB) FindToken(ctx context.Context, h secret.Hash) (token.Record, error) {
	r, err := scanToken(db.findToken.QueryRowContext(ctx, h[:]))
	if err != nil {
		return token.Record{}, unavailable(missing(err))
	}
	return r, nil
}

func scanToken(row scanner) (token.Record, error) {
	var r token.Record
	var h, audience, scopes, allows, networks, groups []byte
	var format, kind string
	var created, opens, expires int64
	var client bool
	err := row.Scan(&r.Number, &r.Accessor, &h, &format, &kind, &r.Name, &r.Parent, &r.Owner.Version, &audience, &scopes, &allows, &networks, &r.MaxUses,
		&created, &opens, &expires, &r.Source, &client, &r.Owner.ID, &r.Owner.Name, &groups)
	if err != nil {
		return r, err
	}
	r.Format, r.Kind, r.Owner.Kind = policy.Format(format), token.Kind(kind), jeton.KindUser
	if client {
		r.Owner.Kind = jeton.KindClient
	}
	r.Created = time.UnixMilli(created)
	r.Window = policy.Window{Opens: time.UnixMilli(opens), Closes: time.UnixMilli(expires)}
	if len(h) != len(r.Hash) {
		return r, fmt.Errorf("token %s: its hash has %d bytes", r.Accessor, len(h))
	}
	r.Hash = secret.Hash(h)
	var rules, nets error
	r.Limits.Allows, rules = read(allows, policy.ParseRule)
	r.Limits.Networks, nets = read(networks, netip.ParsePrefix)
	if err := errors.Join(json.Unmarshal(audience, &r.Audience), json.Unmarshal(scopes, &r.Scopes), rules, nets); err != nil {
		return r, fmt.Errorf("token %s: %w", r.Accessor, err)
	}
	if !client {
		if err := json.Unmarshal(groups, &r.Owner.Groups); err != nil {
			return r, fmt.Errorf("groups of the owner of token %s: %w", r.Accessor, err)
		}
	}
	return r, nil
}

// FindSigned implements token.Store.
func (db *DB) FindSigned(ctx context.Context, jti, generation secret.Hash) (number int64, void bool, err error) {
	err = db.findSigned.QueryRowContext(ctx, jti[:], generation[:]).Scan(&number, &void)
	return number, void, unavailable(err)
}

// EndTokens implements token.Store.
func (db *DB) EndTokens(ctx context.Context, w token.Which, void *token.Void, ev jeton.Event) ([]secret.Hash, error) {
	where, args := chosenTokens(w)
	var gone []secret.Hash
	err := db.doThen(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		gone = nil
		if len(args) > 0 {
			if gone, err = endTokens(ctx, tx, where, args...); err != nil {
				return err
			}
		}
		changed := len(gone) > 0
		if void != nil {
			fresh, err := makeVoid(ctx, tx, *void)
			if err != nil {
				return err
			}
			if fresh {
				gone, changed = append(gone, void.Hash), true
			}
		}
		if !changed {
			return nil
		}
		return appendEvents(ctx, tx, ev)
	}, func() { db.endedTokens(gone...) })
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// RotateToken implements token.Store.
func (db *DB) RotateToken(ctx context.Context, change token.Rotation, ev jeton.Event) (token.Record, error) {
	var r token.Record
	var gone []secret.Hash
	err := db.doThen(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		r, err = scanToken(tx.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM tokens t "+tokenOwners+" WHERE t.accessor = $1 AND t.kind = 'personal'", change.Accessor))
		if err != nil {
			return missing(err)
		}
		if o := change.Owner; o != nil && (r.Owner.Kind != o.Kind || r.Owner.ID != o.ID) {
			return jeton.ErrNotFound
		}
		if change.Shown != (secret.Hash{}) && r.Hash != change.Shown {
			return jeton.ErrNotFound // it has been rotated meanwhile
		}
		if gone, err = endTokens(ctx, tx, "parent = $1", r.Number); err != nil {
			return err
		}
		gone = append(gone, r.Hash)
		if _, err := tx.ExecContext(ctx, "UPDATE tokens SET hash = $2 WHERE number = $1", r.Number, change.Fresh[:]); err != nil {
			return err
		}
		r.Hash = change.Fresh
		return appendEvents(ctx, tx, ev)
	}, func() { db.endedTokens(gone...) })
	if err != nil {
		return token.Record{}, err
	}
	return r, nil
}

// makeVoid remembers that something must no longer be believed, and reports whether that is new.
func makeVoid(ctx context.Context, tx *sql.Conn, v token.Void) (bool, error) {
	var one int
	err := tx.QueryRowContext(ctx, "SELECT 1 FROM revoked WHERE hash = $1", v.Hash[:]).Scan(&one)
	if !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO revoked (hash, until) VALUES ($1, $2)", v.Hash[:], milli(v.Until))
	return true, err
}

// endTokens removes the tokens that where chooses, with their counts, and returns their
// hashes. A use that is being taken at this moment finds no token and fails.
func endTokens(ctx context.Context, tx *sql.Conn, where string, args ...any) ([]secret.Hash, error) {
	// What was made of a token ends with it.
	tree := `DELETE FROM tokens WHERE number IN (WITH RECURSIVE tree (n) AS (SELECT number FROM tokens WHERE ` + where + `
UNION SELECT t.number FROM tokens t JOIN tree ON t.parent = tree.n) SELECT n FROM tree) RETURNING hash, number`
	rows, err := tx.QueryContext(ctx, tree, args...)
	if err != nil {
		return nil, err
	}
	ended, numbers, err := scanEnded(rows)
	if err != nil {
		return nil, err
	}
	var hashes []secret.Hash
	for i, h := range ended {
		hashes = append(hashes, secret.Hash(h))
		if _, err := tx.ExecContext(ctx, "DELETE FROM uses WHERE login = -$1", numbers[i]); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// chosenTokens phrases a token.Which by the fields that are set.
func chosenTokens(w token.Which) (where string, args []any) {
	where = "1"
	add := func(clause string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+clause, len(args))
	}
	if w.Hash != (secret.Hash{}) {
		add("hash = $%d", w.Hash[:])
	}
	if w.Accessor != "" {
		add("accessor = $%d", w.Accessor)
	}
	if w.Client != "" {
		add("client = (SELECT id FROM clients WHERE name = $%d)", w.Client)
	}
	if w.User != "" {
		add("user = (SELECT id FROM users WHERE name = $%d)", w.User)
	}
	return where, args
}

// ListTokens implements token.Store.
func (db *DB) ListTokens(ctx context.Context, w token.Which, limit int) ([]token.Record, error) {
	where, args := chosenTokens(w)
	most := fmt.Sprintf("$%d", len(args)+1)
	text := "SELECT " + tokenColumns + " FROM (SELECT * FROM tokens WHERE " + where + " ORDER BY number DESC LIMIT " + most + ") t " + tokenOwners + " ORDER BY t.number DESC"
	rows, err := db.read.QueryContext(ctx, text, append(args, limit)...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var records []token.Record
	for rows.Next() {
		r, err := scanToken(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		records = append(records, r)
	}
	return records, unavailable(rows.Err())
}

// ListVoid implements token.Store.
func (db *DB) ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]token.Voided, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT seq, hash FROM revoked WHERE seq > $1 AND until > $2 ORDER BY seq LIMIT $3", after, milli(now), limit)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var list []token.Voided
	for rows.Next() {
		var v token.Voided
		var h []byte
		if err := rows.Scan(&v.Seq, &h); err != nil {
			return nil, unavailable(err)
		}
		if len(h) != len(v.Hash) {
			return nil, unavailable(fmt.Errorf("void line %d: its hash has %d bytes", v.Seq, len(h)))
		}
		v.Hash = secret.Hash(h)
		list = append(list, v)
	}
	return list, unavailable(rows.Err())
}

// SweepTokens implements token.Store.
func (db *DB) SweepTokens(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int
	err := db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		ended, err := endTokens(ctx, tx, "number IN (SELECT number FROM tokens WHERE expires < $1 ORDER BY expires LIMIT $2)", milli(before), limit)
		if err != nil {
			return err
		}
		n = len(ended)
		for _, over := range []string{
			"DELETE FROM assertions WHERE (issuer, jti) IN (SELECT issuer, jti FROM assertions WHERE expires < $1 ORDER BY expires LIMIT $2)",
			"DELETE FROM revoked WHERE seq IN (SELECT seq FROM revoked WHERE until < $1 ORDER BY until LIMIT $2)",
		} {
			r, err := tx.ExecContext(ctx, over, milli(before), limit)
			if err != nil {
				return err
			}
			gone, err := r.RowsAffected()
			if err != nil {
				return err
			}
			n = max(n, int(gone))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
