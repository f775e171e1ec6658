package statements

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// selectClients reads clients with their keys in one statement, so that nobody sees the
// keys of one moment with the client of another. A client without keys has one row.
var selectClients = "SELECT " + of("c", "id, "+clientColumns) + `,
  k.public, k.retired, k.opens, k.closes, k.created
FROM clients c LEFT JOIN client_keys k ON k.client = c.id `

const inOrder = " ORDER BY c.name, k.created, k.kid"

// scanClients reads what selectClients chose.
func scanClients(rows Rows) ([]client.Client, error) {
	defer rows.Close()

	var list []client.Client
	for rows.Next() {
		var c client.Client
		var hash, services, scopes, introspects, source []byte
		var created, updated int64
		var public sql.NullString
		var retired sql.NullBool

		var opens, closes, since sql.NullInt64
		if err := rows.Scan(&c.ID, &c.Name, &c.Folded, &c.Version, &hash, &services, &scopes, &introspects, &source, &c.Disabled, &c.Declared, &created, &updated,
			&public, &retired, &opens, &closes, &since); err != nil {
			return nil, err
		}

		if len(list) == 0 || list[len(list)-1].ID != c.ID {
			c.Created, c.Updated = known(created), known(updated)
			if err := decodeClient(&c, hash, services, scopes, introspects, source); err != nil {
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

		last := &list[len(list)-1]
		last.Keys = append(last.Keys, client.Key{
			Key:     k,
			Retired: retired.Bool,
			Opens:   known(opens.Int64),
			Closes:  known(closes.Int64),
			Created: known(since.Int64),
		})
	}

	return list, rows.Err()
}

func decodeClient(c *client.Client, hash, services, scopes, introspects, source []byte) error {
	if hash != nil {
		if len(hash) != len(secret.Hash{}) {
			return fmt.Errorf("a stored hash has %d bytes instead of %d", len(hash), len(secret.Hash{}))
		}
		h := secret.Hash(hash)
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

	if len(source) == 0 {
		return nil
	}

	c.Source = &client.Source{}
	return json.Unmarshal(source, c.Source)
}

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
func (db *Store) ListClients(ctx context.Context) ([]client.Client, error) {
	list, err := allClients(ctx, db.engine)
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

func insertClient(ctx context.Context, tx Conn, c client.Client) error {
	if err := free(ctx, tx, "users", c.Folded); err != nil {
		return err
	}

	source, err := encodeSource(c.Source)
	if err != nil {
		return err
	}

	var id int64
	err = tx.QueryRow(
		ctx,
		insertInto("clients", clientColumns)+" ON CONFLICT DO NOTHING RETURNING id",
		c.Name,
		c.Folded,
		max(c.Version, 1),
		hashOrNone(c.Secret),
		list(c.Services),
		list(c.Scopes),
		list(c.Introspects),
		source,
		c.Disabled,
		c.Declared,
		milli(c.Created),
		milli(c.Updated),
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

func encodeSource(s *client.Source) (string, error) {
	if s == nil {
		return "", nil
	}
	b, err := json.Marshal(s)
	return string(b), err
}

func hashOrNone(h *secret.Hash) []byte {
	if h == nil {
		return nil
	}
	return h[:]
}

func insertKey(ctx context.Context, tx Conn, id int64, k client.Key) error {
	const columns = "client, kid, alg, public, retired, opens, closes, created"
	n, err := tx.Exec(
		ctx,
		insertInto("client_keys", columns)+" ON CONFLICT DO NOTHING",
		id,
		k.ID,
		string(k.Alg),
		string(k.JWK()),
		k.Retired,
		milli(k.Opens),
		milli(k.Closes),
		milli(k.Created),
	)
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

// clientChanged returns what there is to hear of clients, with the tokens of them that
// were kept and have ended.
func clientChanged(ended []secret.Hash, ids ...int64) []change.Change {
	changes := []change.Change{{Kind: change.Clients, IDs: ids}}
	if len(ended) > 0 {
		changes = append(tokensEnded(ended), changes...)
	}
	return changes
}

// ChangeClient implements client.Store.
func (db *Store) ChangeClient(ctx context.Context, name string, ch client.Change, s client.Step) error {
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

func updateClient(ctx context.Context, tx Conn, c client.Client, now time.Time) error {
	source, err := encodeSource(c.Source)
	if err != nil {
		return err
	}

	const set = `UPDATE clients SET version = $2, secret = $3, services = $4, scopes = $5, introspects = $6, source = $7, disabled = $8, declared = $9, updated = $10 WHERE id = $1`
	_, err = tx.Exec(
		ctx,
		set,
		c.ID,
		c.Version,
		hashOrNone(c.Secret),
		list(c.Services),
		list(c.Scopes),
		list(c.Introspects),
		source,
		c.Disabled,
		c.Declared,
		milli(now),
	)

	return err
}

// endTokensOfClient voids the generation of a client that is over: whoever carries it is
// refused by the list of what is void, and the tokens that are kept one by one are
// removed with their counts. It returns the hashes of those, and of the generation.
func endTokensOfClient(ctx context.Context, tx Conn, c client.Client, s client.Step) ([]secret.Hash, error) {
	if err := tx.Order(ctx, "void"); err != nil {
		return nil, err
	}

	const void = `INSERT INTO revoked (hash, until) VALUES ($1, $2)
ON CONFLICT (hash) DO UPDATE SET until = CASE WHEN revoked.until > excluded.until THEN revoked.until ELSE excluded.until END`

	over := sha256.Sum256([]byte(c.Generation()))
	if _, err := tx.Exec(ctx, void, over[:], milli(s.Now.Add(s.KeepRevoked))); err != nil {
		return nil, err
	}

	ended, err := endTokens(ctx, tx, "client = $1 AND client <> 0", c.ID)
	return append(ended, over), err
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

func removeClient(ctx context.Context, tx Conn, c client.Client, s client.Step) ([]secret.Hash, error) {
	ended, err := endTokensOfClient(ctx, tx, c, s)
	if err != nil {
		return nil, err
	}

	for _, from := range []string{"client_keys WHERE client", "clients WHERE id"} {
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
			ctx,
			"UPDATE client_keys SET retired = TRUE WHERE client = $1 AND kid = $2",
			c.ID,
			kid,
		); err != nil {
			return nil, err
		}

		return changeClient(ctx, tx, c, client.Change{End: end}, s)
	})
}

// DeclareClients implements client.Store.
func (db *Store) DeclareClients(ctx context.Context, declared []client.Client, s client.Step) error {
	// Nothing to do is the common case, and a start without a write is a fast one.
	stored, err := db.ListClients(ctx)
	if err != nil {
		return err
	}
	if len(declaringClients.plan(stored, declared)) == 0 {
		return nil
	}

	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var changed []int64
		var ended []secret.Hash

		stored, err := allClients(ctx, tx)
		if err != nil {
			return nil, err
		}

		for _, step := range declaringClients.plan(stored, declared) {
			over, err := declareClient(ctx, tx, step, s)
			if err != nil {
				return nil, fmt.Errorf("client %s: %w", step.to.Name, err)
			}

			ended = append(ended, over...)
			if step.from.ID != 0 {
				changed = append(changed, step.from.ID)
			}

			ev := s.Event
			ev.Action, ev.Target = step.action, "client:"+step.to.Name

			if err := appendEvents(ctx, tx, ev); err != nil {
				return nil, err
			}
		}

		return clientChanged(ended, changed...), nil
	})
}

// declaringClients compares clients.
var declaringClients = declaring[client.Client]{
	add:      audit.ClientAdd,
	change:   audit.ClientChange,
	remove:   audit.ClientRemove,
	name:     func(c client.Client) string { return c.Name },
	declared: func(c client.Client) bool { return c.Declared },
	same:     func(a, b client.Client) bool { return sameTerms(a, b) && sameKeys(a.Keys, b.Keys) },
}

func sameTerms(a, b client.Client) bool {
	return a.Disabled == b.Disabled && slices.Equal(
		a.Services,
		b.Services,
	) && slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Introspects, b.Introspects) &&
		equal(a.Secret, b.Secret) && equal(a.Source, b.Source)
}

// equal compares what is behind two pointers, either of which may be nil.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sameKeys compares keys without regard to their order and their age.
func sameKeys(a, b []client.Key) bool {
	byID := func(a, b client.Key) int { return strings.Compare(a.ID, b.ID) }
	return slices.EqualFunc(
		slices.SortedFunc(slices.Values(a), byID),
		slices.SortedFunc(slices.Values(b), byID),
		sameKey,
	)
}

func sameKey(a, b client.Key) bool {
	return a.ID == b.ID && a.Alg == b.Alg && bytes.Equal(
		a.JWK(),
		b.JWK(),
	) && a.Retired == b.Retired && milli(a.Opens) == milli(b.Opens) && milli(a.Closes) == milli(b.Closes)
}

func declareClient(
	ctx context.Context,
	tx Conn,
	p difference[client.Client],
	s client.Step,
) (ended []secret.Hash, err error) {
	switch p.action {
	case audit.ClientAdd:
		p.to.Created, p.to.Updated, p.to.Keys = s.Now, s.Now, slices.Clone(p.to.Keys)
		for i := range p.to.Keys {
			p.to.Keys[i].Created = s.Now
		}
		return nil, insertClient(ctx, tx, p.to)
	case audit.ClientRemove:
		return removeClient(ctx, tx, p.from, s)
	}

	ch := client.Change{
		Secret:      &client.SetSecret{Hash: p.to.Secret},
		Services:    &p.to.Services,
		Scopes:      &p.to.Scopes,
		Introspects: &p.to.Introspects,
	}
	if p.from.Disabled != p.to.Disabled {
		ch.Disabled = &p.to.Disabled
	}

	c := p.from
	c.Source, c.Declared = p.to.Source, true

	if ended, err = changeClient(ctx, tx, c, ch, s); err != nil {
		return nil, err
	}
	if sameKeys(p.from.Keys, p.to.Keys) {
		return ended, nil
	}

	return ended, replaceKeys(ctx, tx, p.from, p.to.Keys, s.Now)
}

// replaceKeys gives a client exactly these keys. One that it had stays as old as it was.
func replaceKeys(ctx context.Context, tx Conn, c client.Client, keys []client.Key, now time.Time) error {
	if _, err := tx.Exec(ctx, "DELETE FROM client_keys WHERE client = $1", c.ID); err != nil {
		return err
	}

	for _, k := range keys {
		k.Created = now
		i := slices.IndexFunc(c.Keys, func(old client.Key) bool { return sameKey(old, k) })
		if i >= 0 {
			k.Created = c.Keys[i].Created
		}

		if err := insertKey(ctx, tx, c.ID, k); err != nil {
			return err
		}
	}

	return nil
}
