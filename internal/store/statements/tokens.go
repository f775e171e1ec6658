package statements

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/token"
)

// tokenFields is what scanToken reads. The owner of a token is a client or a user: one of
// the two joins finds a row.
var tokenFields = of("t", "number, "+tokenColumns) +
	", t.client <> 0, COALESCE(c.id, u.id), COALESCE(c.name, u.name), COALESCE(u.groups, '[]')" +
	", COALESCE(u.service, ''), COALESCE((SELECT p.accessor FROM tokens p WHERE p.number = t.parent), '')"

const tokenOwners = `LEFT JOIN clients c ON c.id = t.client LEFT JOIN users u ON u.id = t.account`

// FindToken is asked for each token that is not in memory: an engine may prepare it.
// A personal token outlives a changed password; it ends when its owner is disabled.
var FindToken = `SELECT ` + tokenFields + ` FROM tokens t ` + tokenOwners + tokenOfHash

// personalKinds are the kinds of token for which Kind.IsPersonal holds.
const personalKinds = "('" + string(token.Personal) + "', '" + string(token.Approved) + "')"

// tokenOfHash is the condition for the token of hash $1, whose owner stands.
const tokenOfHash = `
WHERE t.hash = $1 AND (NOT c.disabled AND c.version = t.version
OR NOT u.disabled AND (t.kind IN ` + personalKinds + ` OR u.version = t.version))`

// FindSigned is asked for each signed token that is not in memory.
const FindSigned = `SELECT COALESCE((SELECT number FROM tokens WHERE hash = $1), 0),
EXISTS (SELECT 1 FROM revoked WHERE hash = $1 OR hash = $2)`

// insertedToken stores a token.
var insertedToken = insertInto("tokens", "account, client, "+tokenColumns)

// insertToken stores a token and returns its number.
func insertToken(ctx context.Context, tx Conn, r token.Record) (n int64, err error) {
	err = tx.QueryRow(ctx, insertedToken+" RETURNING number", tokenValues(r)...).Scan(&n)
	return n, err
}

// addToken stores a token whose number is not needed.
func addToken(ctx context.Context, tx Conn, r token.Record) error {
	_, err := tx.Exec(ctx, insertedToken, tokenValues(r)...)
	return err
}

// tokenValues returns the values of insertedToken.
func tokenValues(r token.Record) []any {
	// 0 is no owner: exactly one of the two is set.
	user, client := r.Owner.ID, int64(0)
	if r.Owner.Kind == jeton.KindClient {
		user, client = 0, r.Owner.ID
	}

	return []any{
		user, client, r.Accessor, r.Hash[:], string(r.Format), string(r.Kind), r.Name, r.Parent, r.Owner.Version,
		list(r.Audience), list(r.Scopes), texts(r.Limits.Allows), texts(r.Limits.Networks), r.MaxUses,
		milli(r.Created), milli(r.Window.Opens), milli(r.Window.Closes), r.Source, milli(r.LastUsed),
		objects(r.Actors), objects(r.Shares),
	}
}

// texts writes values as a JSON list of their texts.
func texts[T fmt.Stringer](values []T) string {
	if len(values) == 0 {
		return "[]"
	}

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

// objects writes values as a JSON list.
func objects[T any](values []T) string {
	if len(values) == 0 {
		return "[]"
	}

	b, err := json.Marshal(values)
	if err != nil {
		return "[]" // texts and numbers always encode
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
func (db *Store) FindToken(ctx context.Context, h secret.Hash) (token.Record, error) {
	r, err := scanToken(db.engine.QueryRow(ctx, FindToken, h[:]))
	if err != nil {
		return token.Record{}, Unavailable(missing(err))
	}
	return r, nil
}

func scanToken(row Row) (token.Record, error) {
	var r token.Record
	var h, audience, scopes, allows, networks, actors, shares, groups []byte
	var format, kind string
	var created, opens, expires, used int64
	var client bool

	err := row.Scan(
		&r.Number, &r.Accessor, &h, &format, &kind, &r.Name, &r.Parent, &r.Owner.Version, &audience,
		&scopes, &allows, &networks, &r.MaxUses, &created, &opens, &expires, &r.Source, &used,
		&actors, &shares, &client, &r.Owner.ID, &r.Owner.Name, &groups, &r.Owner.Service, &r.ParentAccessor,
	)
	if err != nil {
		return r, err
	}

	r.Format = policy.Format(format)
	r.Kind, r.Owner.Kind = token.Kind(kind), jeton.KindUser
	if client {
		r.Owner.Kind = jeton.KindClient
	}

	r.Created = time.UnixMilli(created)
	r.LastUsed = known(used)
	r.Window = policy.Window{Opens: time.UnixMilli(opens), Closes: time.UnixMilli(expires)}

	r.Hash, err = hash(h)
	if err != nil {
		return r, fmt.Errorf("token %s: %w", r.Accessor, err)
	}

	if err := decodeToken(&r, audience, scopes, allows, networks); err != nil {
		return r, fmt.Errorf("token %s: %w", r.Accessor, err)
	}

	if err := decodeExchanged(&r, actors, shares); err != nil {
		return r, fmt.Errorf("token %s: %w", r.Accessor, err)
	}

	if !client {
		if err := json.Unmarshal(groups, &r.Owner.Groups); err != nil {
			return r, fmt.Errorf("groups of the owner of token %s: %w", r.Accessor, err)
		}
	}

	return r, nil
}

// decodeToken reads the columns of a token that are JSON.
func decodeToken(r *token.Record, audience, scopes, allows, networks []byte) error {
	var rules, nets error
	r.Limits.Allows, rules = read(allows, policy.ParseRule)
	r.Limits.Networks, nets = read(networks, netip.ParsePrefix)

	return errors.Join(
		json.Unmarshal(audience, &r.Audience), json.Unmarshal(scopes, &r.Scopes), rules, nets,
	)
}

// decodeExchanged reads the columns of a token that another one was exchanged for. Most tokens have an empty list in
// both.
func decodeExchanged(r *token.Record, actors, shares []byte) error {
	if string(actors) == "[]" && string(shares) == "[]" {
		return nil
	}

	return errors.Join(json.Unmarshal(actors, &r.Actors), json.Unmarshal(shares, &r.Shares))
}

// FindSigned implements token.Store.
func (db *Store) FindSigned(ctx context.Context, jti, generation secret.Hash) (number int64, void bool, err error) {
	err = db.engine.QueryRow(ctx, FindSigned, jti[:], generation[:]).Scan(&number, &void)
	return number, void, Unavailable(err)
}

// TouchTokens implements token.Store.
func (db *Store) TouchTokens(ctx context.Context, at map[int64]time.Time) error {
	return db.touch(ctx, "tokens", "number", at)
}

// EndTokens implements token.Store.
func (db *Store) EndTokens(ctx context.Context, w token.Which, void *token.Void, ev jeton.Event) error {
	where, args := chosenTokens(w)

	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var ended []secret.Hash

		// Before all locks, as in keepSubject: no exchange stores a signed token that this step ends.
		if void != nil {
			if err := tx.Order(ctx, signedToken(void.Hash)); err != nil {
				return nil, err
			}
		}

		// Void first: steps that do both wait for one another here, and never for a token
		// that the other has locked.
		if void != nil {
			added, err := makeVoid(ctx, tx, *void, ev)
			if err != nil {
				return nil, err
			}
			if added {
				ended = append(ended, void.Hash)
			}
		}

		if len(args) > 0 {
			hashes, err := endTokens(ctx, tx, ev, where, args...)
			if err != nil {
				return nil, err
			}
			ended = append(ended, hashes...)
		}

		if len(ended) == 0 {
			return nothingLeft(), nil
		}

		return tokensEnded(ended), appendEvents(ctx, tx, ev)
	}})
}

// RotateToken implements token.Store.
func (db *Store) RotateToken(ctx context.Context, r token.Rotation, ev jeton.Event) (token.Record, error) {
	var tok token.Record
	err := db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) (_ []change.Change, err error) {
		tok, err = scanToken(tx.QueryRow(
			ctx,
			"SELECT "+tokenFields+" FROM tokens t "+tokenOwners+
				" WHERE t.accessor = $1 AND t.kind IN "+personalKinds+
				tx.Lock("FOR UPDATE OF t"),
			r.Accessor,
		))
		if err != nil {
			return nil, missing(err)
		}

		// Another owner's token is reported as missing: the caller learns nothing of it.
		o := r.Owner
		if o != nil && (tok.Owner.Kind != o.Kind || tok.Owner.ID != o.ID) {
			return nil, jeton.ErrNotFound
		}
		if r.Shown != (secret.Hash{}) && tok.Hash != r.Shown {
			return nil, jeton.ErrNotFound // it has been rotated meanwhile
		}

		// The children were made with the old secret, which may be the leaked one.
		gone, err := endTokens(ctx, tx, ev, "parent = $1 AND parent <> 0", tok.Number)
		if err != nil {
			return nil, err
		}

		// The token goes on with another secret. Of the old one it is known who replaced it.
		if err := keepEnded(ctx, tx, ev, "number = $1", tok.Number); err != nil {
			return nil, err
		}

		gone = append(gone, tok.Hash)
		if _, err := tx.Exec(
			ctx, "UPDATE tokens SET hash = $2 WHERE number = $1", tok.Number, r.Fresh[:],
		); err != nil {
			return nil, err
		}

		tok.Hash = r.Fresh

		// A thief who has the old secret keeps the token with a new one.
		if err := db.noticeOfToken(ctx, tx, tok.Owner, tok.Parent, ev); err != nil {
			return nil, err
		}

		return tokensEnded(gone), appendEvents(ctx, tx, ev)
	}})
	if err != nil {
		return token.Record{}, err
	}

	return tok, nil
}

func tokensEnded(hashes []secret.Hash) []change.Change {
	return []change.Change{{Kind: change.Tokens, Hashes: hashes}}
}

// makeVoid remembers that something must no longer be accepted, and by which event, and reports
// whether that is new. Rows become visible in the order of their numbers: a reader that has read up to one of
// them has missed none before it.
func makeVoid(ctx context.Context, tx Conn, v token.Void, ev jeton.Event) (bool, error) {
	if err := tx.Order(ctx, "void"); err != nil {
		return false, err
	}

	n, err := tx.Exec(
		ctx, "INSERT INTO revoked (hash, until) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", v.Hash[:],
		milli(v.Until),
	)
	if err != nil || n == 0 {
		return false, err
	}

	return true, keepVoid(ctx, tx, v.Hash, ev)
}

// endTokens deletes the tokens that where chooses, with their children and their counts, and
// returns their hashes. A concurrent use finds no token and fails. A concurrent mint of a
// child is waited for, and the child is found when its turn comes. A condition on the parent
// or the owner says that it is not 0: only then do the partial indexes fit, and no step
// reads the whole table. ev is the event of the revocation; tokens that expired have none.
func endTokens(ctx context.Context, tx Conn, ev jeton.Event, where string, args ...any) ([]secret.Hash, error) {
	all, err := removeTokens(ctx, tx, ev, where, args...)
	parents := all.numbers
	for err == nil && len(parents) > 0 {
		// Children may have children: the loop ends when a level has none.
		n := min(together, len(parents))
		var children endedRows
		children, err = removeTokens(ctx, tx, ev, "parent IN ("+places(n)+") AND parent <> 0", anys(parents[:n])...)
		all.hashes = append(all.hashes, children.hashes...)
		parents = append(parents[n:], children.numbers...)
	}

	return all.hashes, err
}

// removeTokens deletes the tokens that where chooses with their counts, and nothing else.
func removeTokens(ctx context.Context, tx Conn, ev jeton.Event, where string, args ...any) (endedRows, error) {
	if err := keepEnded(ctx, tx, ev, where, args...); err != nil {
		return endedRows{}, err
	}

	rows, err := tx.Query(ctx, "DELETE FROM tokens WHERE "+where+" RETURNING hash, number", args...)
	if err != nil {
		return endedRows{}, err
	}

	list, err := scanEnded(rows)
	if err != nil {
		return endedRows{}, err
	}

	holders := make([]int64, len(list.numbers))
	for i, n := range list.numbers {
		// The table of uses numbers sessions by login and tokens by the negative number.
		holders[i] = -n
	}

	if err := removeGrants(ctx, tx, list.numbers); err != nil {
		return endedRows{}, err
	}

	return list, removeUses(ctx, tx, holders)
}

// chosenTokens phrases a token.Which by the fields that are set, so that an index fits.
func chosenTokens(w token.Which) (where string, args []any) {
	where = "TRUE"
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
		add("client = (SELECT id FROM clients WHERE name = $%d) AND client <> 0", w.Client)
	}

	if w.User != "" {
		add("account = (SELECT id FROM users WHERE name = $%d) AND account <> 0", w.User)
	}

	if w.Parent != "" {
		add("parent = (SELECT number FROM tokens WHERE accessor = $%d) AND parent <> 0", w.Parent)
	}

	if len(w.Kinds) > 0 {
		var kinds string
		kinds, args = oneOf(w.Kinds, args)
		where += " AND kind " + kinds
	}

	if w.Before != 0 {
		add("number < $%d", w.Before)
	}

	return where, args
}
