package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	secrets "jeton/internal/secret"
	"jeton/internal/store/sqlite"

	"golang.org/x/crypto/argon2"
)

const (
	// users is how many people the sessions belong to.
	users    = 1000
	password = "correct-horse-battery"
	service  = "bench"
)

// stored is what a data folder holds.
type stored struct {
	sessions int
	tokens   int // personal ones
}

// seed makes a data folder, and closes it.
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
	// Nothing is lost if this breaks off: the folder is made anew by the next run.
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-200000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := fill(ctx, db, n); err != nil {
		return fmt.Errorf("seed %d sessions and %d tokens: %w", n.sessions, n.tokens, err)
	}
	if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	return db.Close()
}

func fill(ctx context.Context, db *sql.DB, n stored) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	now := time.Now()
	addUser, err := tx.PrepareContext(ctx, "INSERT INTO users (id, name, folded, password, version, groups, disabled, declared, created, updated) VALUES ($1, $2, $2, $3, 1, '[]', 0, 0, $4, $4)")
	if err != nil {
		return err
	}
	phc := hashed(password)
	for i := range users {
		if _, err := addUser.ExecContext(ctx, i+1, userName(i), phc, now.UnixMilli()); err != nil {
			return err
		}
	}
	addSession, err := tx.PrepareContext(ctx, "INSERT INTO sessions (id, hash, user, service, created, expires, idle, used, source) VALUES ($1, $2, $3, $4, $5, $6, $7, $5, '127.0.0.1')")
	if err != nil {
		return err
	}
	created, ends, idle := now.UnixMilli(), now.Add(24*time.Hour).UnixMilli(), (24 * time.Hour).Milliseconds()
	for i := range n.sessions {
		hash := sha256.Sum256([]byte(secret(i)))
		if _, err := addSession.ExecContext(ctx, fmt.Sprintf("s_%023d", i), hash[:], i%users+1, service, created, ends, idle); err != nil {
			return err
		}
	}
	addToken, err := tx.PrepareContext(ctx, `INSERT INTO tokens (accessor, hash, format, kind, name, parent, user, client, version, audience, scopes, allows, networks, max_uses, created, opens, expires, source)
VALUES ($1, $2, 'opaque', 'personal', 'bench', 0, $3, 0, 1, '["`+service+`"]', '[]', '[]', '[]', -1, $4, $4, $5, '127.0.0.1')`)
	if err != nil {
		return err
	}
	for i := range n.tokens {
		text, err := personal(i)
		if err != nil {
			return err
		}
		hash := secrets.HashOf(text)
		if _, err := addToken.ExecContext(ctx, fmt.Sprintf("t_%023d", i), hash[:], i%users+1, created, ends); err != nil {
			return err
		}
	}
	return tx.Commit()
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
