package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/sweep"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// store is everything that a server stores.
type store interface {
	count.Store
	session.Store
	account.Store
	client.Store
	token.Store
	audit.Store
	sweep.Store
	keys.Store
	ticket.Store
	factor.Store
	limit.Store
	invite.Store
	openid.LogoutStore
	mail.Store
	openid.SubjectStore
	signin.MailStore
	signin.ManagerStore
	move.Source // for backups
	// Restored returns when the store was last restored, or the zero time.
	Restored(ctx context.Context) (time.Time, error)
	// Ping reports whether the store can be read and written now. It may report what it found within the
	// last second.
	Ping(ctx context.Context) error
	Close() error
}

// openStore opens the configured database: PostgreSQL, or SQLite in the data directory.
// invalidated is called with the time that a change took to reach every node.
func openStore(
	ctx context.Context,
	c Config,
	conf *config.Config,
	f *dataDir,
	invalidated func(time.Duration),
) (store, error) {
	if conf.Database == nil {
		return opened(sqlite.Open(ctx, c.sqliteFile()))
	}

	shared := sharedDatabase(c, conf)
	shared.OnInvalidated = invalidated

	return opened(postgres.Open(ctx, shared))
}

// opened returns an engine as a store. A nil pointer in an interface would not be nil, and
// would be closed.
func opened[T store](db T, err error) (store, error) {
	if err != nil {
		return nil, err
	}
	return db, nil
}

// sharedDatabase returns the configuration of the PostgreSQL store.
func sharedDatabase(c Config, conf *config.Config) postgres.Config {
	d := conf.Database
	return postgres.Config{
		URL:         d.ConnString(),
		Where:       d.Where(),
		Connections: d.Connections,
		Connect:     d.ConnectTimeout.Std(),
		Answer:      d.StatementTimeout.Std(),
		Staleness:   d.Staleness.Std(),
		Log:         c.Log,
		Upgrade:     c.upgrade,
		BeforeUpgrade: func(ctx context.Context, step int) error {
			return c.backUpBefore(ctx, conf, step)
		},
	}
}

// loadSecret reads the secret that encrypts signing keys. Nodes that share a database must
// share it: a node with another one could not decrypt the keys.
func loadSecret(ctx context.Context, c Config, conf *config.Config, f *dataDir, db store) (keys.Secret, error) {
	path := f.file(fileSecret)
	if conf.KeysSecretFile != "" {
		path = f.file(conf.KeysSecretFile)
	}

	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mayMakeSecret(ctx, c, conf, path, db); err != nil {
			return keys.Secret{}, err
		}
	}

	shared, many := db.(*postgres.DB)
	if !many {
		return keys.LoadSecret(path)
	}

	secret, err := keys.LoadSecret(path)
	if err != nil {
		return keys.Secret{}, err
	}

	// A value derived from the secret: the database, which holds the encrypted keys, must not
	// learn it.
	mine := fmt.Sprintf("%x", secret.Derive("which secret it is"))
	// Of two first nodes that start at once, one value is stored, and the other node finds it.
	known, err := shared.Claim(ctx, metaSecret, mine)
	if err != nil {
		return keys.Secret{}, fmt.Errorf("secret of the signing keys: %w", err)
	}

	if known != mine {
		return keys.Secret{}, fmt.Errorf(
			"%s differs from the other nodes' keys.secret: "+
				"copy keys.secret from the data directory of another node there",
			path,
		)
	}

	return secret, nil
}

// mayMakeSecret returns an error if the file of the secret is missing and must not be made: the keys in the database
// would not open with a new one, which would also hide from the next start that the file is missing.
func mayMakeSecret(ctx context.Context, c Config, conf *config.Config, path string, db store) error {
	if conf.KeysSecretFile != "" {
		return fmt.Errorf(
			"keys_secret_file: %s does not exist; copy keys.secret of another node there, restore it from its backup, "+
				"or remove the key from the configuration of the first node",
			path,
		)
	}

	shared, ok := db.(*postgres.DB)
	if ok {
		known, err := shared.Meta(ctx, metaSecret)
		if err != nil {
			return fmt.Errorf("secret of the signing keys: %w", err)
		}
		if known != "" {
			return fmt.Errorf(
				"%s is missing, and the shared database needs the same on all nodes: copy keys.secret from the data "+
					"directory of another node there (mode 0600), restore it from its backup, or name it with "+
					"keys_secret_file",
				path,
			)
		}
	}

	list, err := db.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}

	now := c.Now()
	if slices.ContainsFunc(list, func(k keys.Record) bool { return !k.Ended(now) }) {
		return fmt.Errorf(
			"%[1]s is missing, the secret of the signing keys in the database: restore the file from its backup "+
				"(mode 0600). If it is lost, make another one with '(umask 077; openssl rand -hex 32 >%[1]s)', and "+
				"end the old keys, with the tokens that they have signed, with 'jeton keys list' and "+
				"'jeton keys revoke KID'",
			path,
		)
	}

	return nil
}

// metaSecret is the name of the database's entry for the nodes' secret.
const metaSecret = "secret"
