package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	secrets "github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/sqlite"

	"golang.org/x/crypto/argon2"
)

const (
	// users is the number of users that the sessions belong to.
	users    = 1000
	password = "correct-horse-battery"
	service  = "bench"
)

// stored is the content of a data directory.
type stored struct {
	sessions int
	tokens   int // personal ones
}

// seed makes a data directory, and closes it.
func seed(ctx context.Context, dir string, n stored) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}

	path := filepath.Join(dir, "jeton.db")
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}

	if err := store.Close(); err != nil {
		return err
	}

	// Nothing is lost if this breaks off: the next run makes the folder again. The server
	// takes the journal that it wants when it opens the file.
	cache := 200_000 // KiB
	if n.sessions+n.tokens > 4_000_000 {
		cache = 2_000_000 // hashes are random: all of their index is written to at once
	}

	db, err := sql.Open(
		"sqlite",
		fmt.Sprintf("file:%s?_pragma=cache_size(-%d)&_pragma=synchronous(OFF)&_pragma=journal_mode(OFF)", path, cache),
	)
	if err != nil {
		return err
	}
	defer db.Close()

	db.SetMaxOpenConns(1)
	if err := fill(ctx, db, n); err != nil {
		return fmt.Errorf("seed %d sessions and %d tokens: %w", n.sessions, n.tokens, err)
	}

	return db.Close()
}

// table is the rows of a table that a store is filled with.
type table struct {
	name    string
	columns []string
	rows    int
	row     func(i int) ([]any, error)
}

// rowsOf returns what every store holds of the same size, whatever its database: the
// same cookies and tokens open both.
func rowsOf(n stored) []table {
	now := time.Now()
	created := now.UnixMilli()
	ends := now.Add(24 * time.Hour).UnixMilli()
	idle := (24 * time.Hour).Milliseconds()
	phc := hashed(password)

	return []table{
		{"users", []string{
			"id",
			"name",
			"folded",
			"password",
			"version",
			"groups",
			"disabled",
			"declared",
			"created",
			"updated",
		}, users, func(i int) ([]any, error) {
			return []any{
				int64(i + 1),
				userName(i),
				userName(i),
				phc,
				int64(1),
				"[]",
				false,
				false,
				created,
				created,
			}, nil
		}},
		{"sessions", []string{
			"id",
			"hash",
			"account",
			"service",
			"created",
			"expires",
			"idle",
			"used",
			"source",
		}, n.sessions, func(i int) ([]any, error) {
			hash := sha256.Sum256([]byte(secret(i)))
			id, err := handle("s_", i, now)
			return []any{id, hash[:], int64(i%users + 1), service, created, ends, idle, created, "127.0.0.1"}, err
		}},
		{"tokens", []string{
			"accessor",
			"hash",
			"format",
			"kind",
			"name",
			"parent",
			"account",
			"client",
			"version",
			"audience",
			"scopes",
			"allows",
			"networks",
			"max_uses",
			"created",
			"opens",
			"expires",
			"source",
		}, n.tokens, func(i int) ([]any, error) {
			text, err := personal(i)
			if err != nil {
				return nil, err
			}

			hash := secrets.HashOf(text)
			id, err := handle("t_", i, now)

			return []any{
				id,
				hash[:],
				"opaque",
				"personal",
				"bench",
				int64(0),
				int64(i%users + 1),
				int64(0),
				int64(1),
				`["` + service + `"]`,
				"[]",
				"[]",
				"[]",
				int64(-1),
				created,
				created,
				ends,
				"127.0.0.1",
			}, err
		}},
	}
}

// handle returns the id of a seeded session or token, which has the form of a real one: a
// server caches few of any other form.
func handle(prefix string, i int, now time.Time) (string, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[6:], uint64(i))
	return secrets.ID(prefix, now, bytes.NewReader(b[:]))
}

// fill writes all tables in one transaction.
func fill(ctx context.Context, db *sql.DB, n stored) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()

	for _, t := range rowsOf(n) {
		if err := t.insert(ctx, tx); err != nil {
			return err
		}
	}

	return tx.Commit()
}

// insert fills an empty table in SQLite. An index is made faster than it grows.
func (t table) insert(ctx context.Context, tx *sql.Tx) error {
	indexes, err := texts(
		ctx, tx, "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?",
		t.name,
	)
	if err != nil {
		return err
	}

	names, err := texts(
		ctx, tx, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?",
		t.name,
	)
	if err != nil {
		return err
	}

	for _, name := range names {
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}

	places := strings.TrimSuffix(strings.Repeat("?, ", len(t.columns)), ", ")
	add, err := tx.PrepareContext(ctx, "INSERT INTO "+t.name+" ("+strings.Join(t.columns, ", ")+") VALUES ("+places+")")
	if err != nil {
		return err
	}
	defer add.Close()

	for i := range t.rows {
		row, err := t.row(i)
		if err != nil {
			return err
		}
		if _, err := add.ExecContext(ctx, row...); err != nil {
			return err
		}
	}

	for _, text := range indexes {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}

	return nil
}

// texts returns the only column of a query.
func texts(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var list []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}

	return list, rows.Err()
}

// personal returns the text of a seeded token, which has the form of a real one.
func personal(i int) (string, error) {
	sum := sha256.Sum256(fmt.Append(nil, "personal ", i))
	text, err := secrets.New(secrets.Personal, bytes.NewReader(sum[:]))
	return text.Reveal(), err
}

// hashed returns the PHC string of a password at the default cost.
func hashed(pw string) string {
	salt := []byte("0123456789abcdef")
	key := argon2.IDKey([]byte(pw), salt, hashTime, hashMemory, hashLanes, hashKey)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", hashMemory, hashTime, hashLanes, b64(salt), b64(key))
}
