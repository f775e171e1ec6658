package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// Migration is a step of the schema of a database.
type Migration struct {
	Step    int    `json:"step"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// Migrations returns the steps of the schema of the database that the configuration names,
// in order. It changes nothing; servers may be up.
func Migrations(ctx context.Context, c Config) ([]Migration, error) {
	c = c.withDefaults()
	out := []Migration{}
	if err := c.mustExist(); err != nil {
		return nil, err
	}

	if c.File.Database != nil {
		list, err := postgres.Migrations(ctx, sharedDatabase(c, c.File))
		for _, s := range list {
			out = append(out, Migration{s.Number, s.Name, s.Applied})
		}
		return out, err
	}

	list, err := sqlite.Migrations(ctx, c.sqliteFile())
	for _, s := range list {
		out = append(out, Migration{s.Number, s.Name, s.Applied})
	}

	return out, err
}

// Migrate applies the steps that are missing and returns their names. With try nothing is
// changed: it says whether they would go through, also while servers are up. Otherwise
// it returns ErrInUse while a server holds the data directory with SQLite in it.
func Migrate(ctx context.Context, c Config, try bool) ([]string, error) {
	c = c.withDefaults()
	if err := c.mustExist(); err != nil {
		return nil, err
	}

	if c.File.Database != nil {
		return postgres.Migrate(ctx, sharedDatabase(c, c.File), try)
	}

	if !try {
		// A trial works on a copy, so it needs no lock.
		f, err := lockDataDir(c.DataDir)
		if errors.Is(err, ErrInUse) {
			return nil, fmt.Errorf("%w; stop it first: it migrates by itself when it starts", err)
		}
		if err != nil {
			return nil, err
		}
		defer f.release()
	}

	return sqlite.Migrate(ctx, c.sqliteFile(), try)
}

// sqliteFile returns the configuration of the store in the data directory.
func (c Config) sqliteFile() sqlite.Config {
	return sqlite.Config{
		Path:     filepath.Join(c.DataDir, fileDB),
		Log:      c.Log,
		Upgrade:  c.upgrade,
		Patience: c.CommitPatience,
	}
}
