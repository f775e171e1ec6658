package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/store/move"
)

// restoreSecret is what to do about the secret of the signing keys.
const restoreSecret = "restore the file that belongs to this database from its backup (mode 0600); " +
	"with several nodes, copy it from another one"

// secretPath returns where the secret of the signing keys is.
func (i *installation) secretPath() string {
	if i.File.KeysSecretFile != "" {
		return i.path(i.File.KeysSecretFile)
	}
	return filepath.Join(i.DataDir, fileSecret)
}

// content looks at what is in the database: whether a file is whole, and whether its signing keys open.
func (i *installation) content(ctx context.Context) {
	db, _, err := i.readOlder(ctx)
	if err != nil {
		i.found("database", err.Error(), i.databaseFix())
		return
	}
	defer func() { _ = db.Close() }()

	// First, because a large file may leave no time for it.
	list, err := move.Keys(ctx, db)
	if i.File.Database == nil && i.damaged(ctx, db) {
		return
	}
	if err != nil {
		i.found("database", err.Error(), i.databaseFix())
		return
	}

	i.secret(list)
}

// damaged looks for pages of a SQLite file that are damaged. One that is too large to be read in time is not examined
// to its end, which is a note.
func (i *installation) damaged(ctx context.Context, db move.Source) bool {
	seen, err := move.Damage(ctx, db)
	if err != nil && ctx.Err() != nil {
		i.findings = append(i.findings, doctor.Finding{
			Name: "database-not-read",
			Seen: fmt.Sprintf("%s is too large to be examined for damage in %v", DataFile(i.DataDir), examinePatience),
			Fix:  fmt.Sprintf("sqlite3 -readonly %s 'PRAGMA quick_check(1)', which prints ok", DataFile(i.DataDir)),
			Note: true,
		})
		return false
	}
	if err != nil {
		seen = err.Error()
	}
	if seen != "" {
		i.found("database", DataFile(i.DataDir)+" is damaged: "+seen, i.databaseFix())
	}

	return seen != ""
}

// secret looks whether the secret of the signing keys is there, is one, and opens the keys of the database.
func (i *installation) secret(list []keys.Record) {
	path := i.secretPath()
	var held []keys.Record
	for _, k := range list {
		if !k.Ended(i.Now()) {
			held = append(held, k)
		}
	}

	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without keys, the server makes it.
		if len(held) > 0 {
			i.found("keys-secret", fmt.Sprintf(
				"%s is missing, with which %d signing keys in the database are encrypted", path, len(held),
			), restoreSecret)
		}
		return
	case err == nil && secretfile.Check(path, info) != nil:
		return // was found as file-mode
	}

	secret, err := keys.LoadSecret(path)
	if err != nil {
		i.found("keys-secret", err.Error(), restoreSecret)
		return
	}

	for _, k := range held {
		if secret.Opens(&k) != nil {
			i.found("keys-secret", fmt.Sprintf(
				"%s is not the secret with which signing key %s in the database is encrypted", path, k.ID,
			), restoreSecret)
			return
		}
	}
}
