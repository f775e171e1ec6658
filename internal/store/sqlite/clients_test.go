package sqlite

import (
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// TestAClientsTokensEndWithItsGeneration reads the tables, because another contract keeps
// tokens: the old generation is among the revocations, and the client's tokens are deleted,
// with their counts.
func TestAClientsTokensEndWithItsGeneration(t *testing.T) {
	yes, no := true, false
	step := client.Step{Now: noon, KeepRevoked: 25 * time.Hour, Event: jeton.Event{Time: noon}}
	set := client.Change{Secret: &client.SetSecret{}}
	setAndEnd := set
	setAndEnd.End = true
	for _, tc := range []struct {
		name string
		end  func(*testing.T, *DB) error
		ends bool
	}{
		{"disabling", func(t *testing.T, db *DB) error {
			return db.ChangeClient(t.Context(), "job", client.Change{Disabled: &yes}, step)
		}, true},
		{"enabling", func(t *testing.T, db *DB) error {
			return db.ChangeClient(t.Context(), "job", client.Change{Disabled: &no}, step)
		}, true},
		{"ending its tokens", func(t *testing.T, db *DB) error {
			return db.ChangeClient(t.Context(), "job", client.Change{End: true}, step)
		}, true},
		{
			"another secret",
			func(t *testing.T, db *DB) error { return db.ChangeClient(t.Context(), "job", set, step) },
			false,
		},
		{
			"another secret, with the end of its tokens",
			func(t *testing.T, db *DB) error { return db.ChangeClient(t.Context(), "job", setAndEnd, step) },
			true,
		},
		{"removing it", func(t *testing.T, db *DB) error { return db.RemoveClient(t.Context(), "job", step) }, true},
		{"a change that is refused", func(t *testing.T, db *DB) error {
			if err := db.RetireClientKey(t.Context(), "job", "none", true, step); err == nil {
				t.Error("RetireClientKey of an unknown key = nil, want an error")
			}
			return nil
		}, false},
		{"declaring it disabled", func(t *testing.T, db *DB) error {
			return db.DeclareClients(t.Context(), []client.Client{{
				Name:     "job",
				Folded:   "job",
				Disabled: true,
				Declared: true,
			}}, step)
		}, true},
		{"declaring it as it is", func(t *testing.T, db *DB) error {
			return db.DeclareClients(t.Context(), []client.Client{{Name: "job", Folded: "job", Declared: true}}, step)
		}, false},
		{"declaring it no more", func(t *testing.T, db *DB) error {
			must(t, db.DeclareClients(t.Context(), []client.Client{{Name: "job", Folded: "job", Declared: true}}, step))
			return db.DeclareClients(t.Context(), nil, step)
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
			h := secret.HashOf("x")
			for _, name := range []string{"job", "other"} {
				must(t, db.AddClient(t.Context(), client.Client{
					Name:    name,
					Folded:  name,
					Secret:  &h,
					Created: noon,
					Updated: noon,
				}, jeton.Event{Time: noon}))
			}

			job, err := db.FindClient(t.Context(), "job")
			must(t, err)
			other, err := db.FindClient(t.Context(), "other")
			must(t, err)

			for i, owner := range []client.Client{job, job, other} {
				accessor := string(rune('a' + i))
				must(t, db.MintToken(t.Context(), token.Mint{Keep: true, Event: jeton.Event{
					Time: noon,
				}, Record: token.Record{
					Accessor: accessor,
					Hash:     secret.HashOf(accessor),
					Owner:    token.ClientOwner(owner),
					MaxUses:  3,
					Created:  noon,
				}}))

				tok, err := db.FindToken(t.Context(), secret.HashOf(accessor))
				must(t, err)
				direct(
					t, db, "INSERT INTO uses (login, budget, used) VALUES ($1, 1, 1), ($2, 1, 1)",
					-tok.Number, tok.Number,
				)
			}

			must(t, tc.end(t, db))
			over := sha256.Sum256([]byte(job.Generation()))
			void := 0
			tokens := 3
			uses := 6
			if tc.ends {
				void = 1
				tokens = 1
				uses = 4
			}

			for _, q := range []struct {
				what, query string
				args        []any
				want        int
			}{
				{
					"generations that are void until a day and an hour from now",
					"SELECT count(*) FROM revoked WHERE hash = $1 AND until = $2",
					[]any{over[:], noon.Add(25 * time.Hour).UnixMilli()},
					void,
				},
				{"revoked generations", "SELECT count(*) FROM revoked", nil, void},
				{"tokens", "SELECT count(*) FROM tokens", nil, tokens},
				{"tokens of another client", "SELECT count(*) FROM tokens WHERE client = $1", []any{other.ID}, 1},
				{"counts", "SELECT count(*) FROM uses", nil, uses},
				{"counts of logins, which have the same numbers", "SELECT count(*) FROM uses WHERE login > 0", nil, 3},
			} {
				var n int
				must(t, db.read.QueryRowContext(t.Context(), q.query, q.args...).Scan(&n))
				if n != q.want {
					t.Errorf("%d %s, want %d", n, q.what, q.want)
				}
			}
		})
	}
}

func TestARemovedClientLeavesNothing(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
	s, err := jose.Generate(jose.EdDSA)
	must(t, err)

	for _, name := range []string{"job", "other"} {
		must(t, db.AddClient(t.Context(), client.Client{
			Name:   name,
			Folded: name,
			Keys:   []client.Key{{Key: s.Key()}},
		}, jeton.Event{Time: noon}))
	}

	must(t, db.RemoveClient(t.Context(), "job", client.Step{Now: noon, KeepRevoked: time.Hour}))

	for _, table := range []string{"clients", "client_keys"} {
		var n int
		must(t, db.read.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		if n != 1 {
			t.Errorf("%d rows in %s, want the other client's", n, table)
		}
	}
}

// direct runs a statement without the store.
func direct(t *testing.T, db *DB, query string, args ...any) {
	t.Helper()
	_, err := db.conn.ExecContext(t.Context(), query, args...)
	must(t, err)
}
