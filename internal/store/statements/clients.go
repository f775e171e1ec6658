package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// selectClients reads clients with their keys in one statement, so that both are of one
// moment. A client without keys has one row.
var selectClients = selectClientsOf("clients")

// selectClientsOf is selectClients from some of the clients.
func selectClientsOf(clients string) string {
	return "SELECT " + of("c", "id, "+clientColumns) + `,
  k.public, k.retired, k.opens, k.closes, k.created
FROM ` + clients + ` c LEFT JOIN client_keys k ON k.client = c.id `
}

// inOrder has the rows of one client beside each other, as scanClients needs them.
const inOrder = " ORDER BY c.folded, k.created, k.kid"

// scanClients reads what selectClients chose.
func scanClients(rows Rows) ([]client.Client, error) {
	defer rows.Close()

	var list []client.Client
	for rows.Next() {
		var c client.Client
		var hash, services, scopes, introspects, source, openid []byte
		var created, updated int64
		var public sql.NullString
		var retired sql.NullBool

		var opens, closes, since sql.NullInt64
		if err := rows.Scan(
			&c.ID, &c.Name, &c.Folded, &c.Version, &hash, &services, &scopes, &introspects, &source,
			&c.Disabled, &c.Declared, &created, &updated, &openid, &public, &retired, &opens, &closes, &since,
		); err != nil {
			return nil, err
		}

		if len(list) == 0 || list[len(list)-1].ID != c.ID {
			c.Created, c.Updated = known(created), known(updated)
			if err := decodeClient(&c, hash, services, scopes, introspects, source, openid); err != nil {
				return nil, fmt.Errorf("client %d: %w", c.ID, err)
			}
			list = append(list, c)
		}

		if !public.Valid {
			continue
		}

		k, err := jose.ParseJWK([]byte(public.String))
		if err != nil {
			return nil, fmt.Errorf("key of client %d: %w", c.ID, err)
		}

		key := client.Key{Key: k, Retired: retired.Bool}
		key.Opens = known(opens.Int64)
		key.Closes = known(closes.Int64)
		key.Created = known(since.Int64)
		last := &list[len(list)-1]
		last.Keys = append(last.Keys, key)
	}

	return list, rows.Err()
}

// decodeClient reads the columns that are not plain values: the secret, which may be NULL,
// and those that are JSON.
func decodeClient(c *client.Client, stored, services, scopes, introspects, source, openid []byte) error {
	if stored != nil {
		h, err := hash(stored)
		if err != nil {
			return err
		}
		c.Secret = &h
	}

	for _, l := range []struct {
		text []byte
		into *[]string
	}{{services, &c.Services}, {scopes, &c.Scopes}, {introspects, &c.Introspects}} {
		if err := json.Unmarshal(l.text, l.into); err != nil {
			return err
		}
	}

	if len(openid) > 0 {
		c.OpenID = &jeton.RelyingParty{}
		if err := json.Unmarshal(openid, c.OpenID); err != nil {
			return err
		}
	}

	if len(source) == 0 {
		return nil
	}

	c.Source = &client.Source{}
	return json.Unmarshal(source, c.Source)
}

// findClient returns the client of a name with its keys, or jeton.ErrNotFound. lock is a
// clause of Conn.Lock, or "" outside of a step.
func findClient(ctx context.Context, q Queries, name, lock string) (client.Client, error) {
	rows, err := q.Query(ctx, selectClients+"WHERE c.name = $1"+inOrder+lock, name)
	if err != nil {
		return client.Client{}, err
	}

	list, err := scanClients(rows)
	if err != nil {
		return client.Client{}, err
	}
	if len(list) == 0 {
		return client.Client{}, jeton.ErrNotFound
	}

	return list[0], nil
}

func allClients(ctx context.Context, q Queries) ([]client.Client, error) {
	rows, err := q.Query(ctx, selectClients+inOrder)
	if err != nil {
		return nil, err
	}
	return scanClients(rows)
}

// FindClient implements client.Store.
func (db *Store) FindClient(ctx context.Context, name string) (client.Client, error) {
	c, err := findClient(ctx, db.engine, name, "")
	return c, Unavailable(err)
}

// ListClients implements client.Store.
func (db *Store) ListClients(ctx context.Context, p client.Page) ([]client.Client, error) {
	// No text that begins with the prefix is after it and the last code point.
	end := p.Prefix + string(unicode.MaxRune)
	page := "(SELECT id, " + clientColumns + " FROM clients WHERE folded >= $1 AND folded < $2 AND folded > $3 " +
		"ORDER BY folded" + atMost(p.Limit) + ")"

	rows, err := db.engine.Query(ctx, selectClientsOf(page)+inOrder, p.Prefix, end, p.After)
	if err != nil {
		return nil, Unavailable(err)
	}

	list, err := scanClients(rows)

	return list, Unavailable(err)
}

// AddClient implements client.Store.
func (db *Store) AddClient(ctx context.Context, c client.Client, ev jeton.Event) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		if err := insertClient(ctx, tx, c); err != nil {
			return nil, err
		}
		return nil, appendEvents(ctx, tx, ev)
	})
}

// insertClient adds a client with its keys, or returns jeton.ErrConflict for a name that is
// taken, by a user as well.
func insertClient(ctx context.Context, tx Conn, c client.Client) error {
	if err := free(ctx, tx, "users", c.Folded); err != nil {
		return err
	}

	source, err := encodeOrNone(c.Source)
	if err != nil {
		return err
	}
	openid, err := encodeOrNone(c.OpenID)
	if err != nil {
		return err
	}

	var id int64
	err = tx.QueryRow(
		ctx, insertInto("clients", clientColumns)+" ON CONFLICT DO NOTHING RETURNING id", c.Name, c.Folded,
		max(c.Version, 1), hashOrNone(c.Secret), list(c.Services), list(c.Scopes), list(c.Introspects),
		source, c.Disabled, c.Declared, milli(c.Created), milli(c.Updated), openid,
	).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.WithDetail(
			jeton.ErrConflict,
			"there is a client of this name, or of one that differs in case alone",
		)
	}

	if err != nil {
		return err
	}

	for _, k := range c.Keys {
		if err := insertKey(ctx, tx, id, k); err != nil {
			return err
		}
	}

	return nil
}

// free returns jeton.ErrConflict when a name is taken in the other of the two tables that
// share their names: a token's subject is a user or a client, never perhaps the other
// (RFC 9700, section 4.15).
func free(ctx context.Context, tx Conn, table, folded string) error {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM "+table+" WHERE folded = $1", folded).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}

	return jeton.WithDetail(
		jeton.ErrConflict,
		"there is a "+strings.TrimSuffix(table, "s")+" of this name; users and clients share their names",
	)
}

// encodeOrNone returns JSON, or "" for nil.
func encodeOrNone[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// hashOrNone returns NULL for a client without a secret. An empty hash could be taken for
// one.
func hashOrNone(h *secret.Hash) []byte {
	if h == nil {
		return nil
	}
	return h[:]
}

func insertKey(ctx context.Context, tx Conn, id int64, k client.Key) error {
	const columns = "client, kid, alg, public, retired, opens, closes, created"
	n, err := tx.Exec(
		ctx, insertInto("client_keys", columns)+" ON CONFLICT DO NOTHING", id, k.ID, string(k.Alg),
		string(k.JWK()), k.Retired, milli(k.Opens), milli(k.Closes), milli(k.Created),
	)
	// DO NOTHING and a count, because an error would abort the transaction on PostgreSQL.
	if err == nil && n == 0 {
		return jeton.WithDetail(jeton.ErrConflict, "the client has a key of this kid")
	}

	return err
}

// changing runs a step that changes a client which is not declared.
func (db *Store) changing(
	ctx context.Context,
	name string,
	evenDeclared bool,
	ev jeton.Event,
	edit func(ctx context.Context, tx Conn, c client.Client) ([]secret.Hash, error),
) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		c, err := findClient(ctx, tx, name, tx.Lock("FOR UPDATE OF c"))
		if err != nil {
			return nil, err
		}
		if c.Declared && !evenDeclared {
			return nil, jeton.ErrDeclared
		}

		ended, err := edit(ctx, tx, c)
		if err != nil {
			return nil, err
		}

		return clientChanged(ended, c.ID), appendEvents(ctx, tx, ev)
	})
}

// clientChanged returns the change of clients, and that of their tokens that ended.
func clientChanged(ended []secret.Hash, ids ...int64) []change.Change {
	changes := []change.Change{{Kind: change.Clients, IDs: ids}}
	if len(ended) > 0 {
		changes = append(tokensEnded(ended), changes...)
	}
	return changes
}

// ChangeClient implements client.Store.
func (db *Store) ChangeClient(ctx context.Context, name string, ch client.Change, s client.Step) error {
	// Revoking the tokens of a declared client changes nothing that the file declares.
	onlyEnds := ch == client.Change{End: true}
	return db.changing(ctx, name, onlyEnds, s.Event, func(
		ctx context.Context,
		tx Conn,
		c client.Client,
	) ([]secret.Hash, error) {
		return changeClient(ctx, tx, c, ch, s)
	})
}

// changeClient writes the change and ends the tokens that must not outlive it.
func changeClient(
	ctx context.Context,
	tx Conn,
	c client.Client,
	ch client.Change,
	s client.Step,
) (ended []secret.Hash, err error) {
	if ch.End || ch.Disabled != nil {
		// Enabling, too: a token that was being issued while the client was disabled must
		// not come through.
		if ended, err = endTokensOfClient(ctx, tx, c, s); err != nil {
			return nil, err
		}

		c.Version++
	}

	if ch.Secret != nil {
		c.Secret = ch.Secret.Hash
	}
	if ch.OpenID != nil {
		c.OpenID, err = ch.OpenID.Edit(c.OpenID)
		if err != nil {
			return nil, err
		}
	}
	if ch.Disabled != nil {
		c.Disabled = *ch.Disabled
	}

	for _, l := range []struct{ from, to *[]string }{
		{ch.Services, &c.Services},
		{ch.Scopes, &c.Scopes},
		{ch.Introspects, &c.Introspects},
	} {
		if l.from != nil {
			*l.to = *l.from
		}
	}

	return ended, updateClient(ctx, tx, c, s.Now)
}

// updateClient writes every column that can change; the name cannot.
func updateClient(ctx context.Context, tx Conn, c client.Client, now time.Time) error {
	source, err := encodeOrNone(c.Source)
	if err != nil {
		return err
	}
	openid, err := encodeOrNone(c.OpenID)
	if err != nil {
		return err
	}

	const set = `UPDATE clients SET version = $2, secret = $3, services = $4, scopes = $5, introspects = $6,
source = $7, disabled = $8, declared = $9, updated = $10, openid = $11 WHERE id = $1`
	_, err = tx.Exec(
		ctx, set, c.ID, c.Version, hashOrNone(c.Secret), list(c.Services), list(c.Scopes),
		list(c.Introspects), source, c.Disabled, c.Declared, milli(now), openid,
	)

	return err
}

// endTokensOfClient voids the previous generation of a client: tokens that carry it are
// refused by the list of what is void, and the stored tokens are deleted with their counts.
// It returns the hashes of those, and of the generation.
func endTokensOfClient(ctx context.Context, tx Conn, c client.Client, s client.Step) ([]secret.Hash, error) {
	// Before the insert, so that readers of the revocation list miss no number.
	if err := tx.Order(ctx, "void"); err != nil {
		return nil, err
	}

	const void = `INSERT INTO revoked (hash, until) VALUES ($1, $2)
ON CONFLICT (hash) DO UPDATE
SET until = CASE WHEN revoked.until > excluded.until THEN revoked.until ELSE excluded.until END`

	generation := secret.HashOf(c.Generation())
	if _, err := tx.Exec(ctx, void, generation[:], milli(s.Now.Add(s.KeepRevoked))); err != nil {
		return nil, err
	}
	if err := keepVoid(ctx, tx, generation, s.Event); err != nil {
		return nil, err
	}

	ended, err := endTokens(ctx, tx, s.Event, "client = $1 AND client <> 0", c.ID)
	if err != nil {
		return nil, err
	}

	// What users granted to it, too: those tokens are theirs.
	granted, err := endTokens(ctx, tx, s.Event, "number IN (SELECT number FROM grants WHERE client = $1)", c.ID)

	return append(append(ended, granted...), generation), err
}

// RemoveClient implements client.Store.
func (db *Store) RemoveClient(ctx context.Context, name string, s client.Step) error {
	return db.changing(ctx, name, false, s.Event, func(
		ctx context.Context,
		tx Conn,
		c client.Client,
	) ([]secret.Hash, error) {
		return removeClient(ctx, tx, c, s)
	})
}

// removeClient deletes a client and its keys, and ends its tokens. It returns the hashes of
// what has ended.
func removeClient(ctx context.Context, tx Conn, c client.Client, s client.Step) ([]secret.Hash, error) {
	ended, err := endTokensOfClient(ctx, tx, c, s)
	if err != nil {
		return nil, err
	}

	for _, from := range []string{
		"client_keys WHERE client", "relying_sessions WHERE client", "connections WHERE client", "clients WHERE id",
	} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+from+" = $1", c.ID); err != nil {
			return nil, err
		}
	}

	return ended, nil
}

// AddClientKey implements client.Store.
func (db *Store) AddClientKey(
	ctx context.Context,
	name string,
	k client.Key,
	judge func(client.Client) error,
	s client.Step,
) error {
	return db.changing(ctx, name, false, s.Event, func(
		ctx context.Context,
		tx Conn,
		c client.Client,
	) ([]secret.Hash, error) {
		if err := judge(c); err != nil {
			return nil, err
		}
		if err := insertKey(ctx, tx, c.ID, k); err != nil {
			return nil, err
		}

		return nil, updateClient(ctx, tx, c, s.Now)
	})
}

// RetireClientKey implements client.Store.
func (db *Store) RetireClientKey(ctx context.Context, name, kid string, end bool, s client.Step) error {
	return db.changing(ctx, name, false, s.Event, func(
		ctx context.Context,
		tx Conn,
		c client.Client,
	) ([]secret.Hash, error) {
		if !slices.ContainsFunc(c.Keys, func(k client.Key) bool { return k.ID == kid }) {
			return nil, jeton.WithDetail(jeton.ErrNotFound, "the client has no key with this kid")
		}

		if _, err := tx.Exec(
			ctx, "UPDATE client_keys SET retired = TRUE WHERE client = $1 AND kid = $2", c.ID, kid,
		); err != nil {
			return nil, err
		}

		return changeClient(ctx, tx, c, client.Change{End: end}, s)
	})
}
