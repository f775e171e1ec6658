package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Step is a step of the schema.
type Step struct {
	Number  int
	Name    string
	Applied bool
}

// Migrations returns the steps of the schema, in order, and which have been applied. It only
// reads, also a file that a server uses; a file that is not there is not made.
func Migrations(ctx context.Context, c Config) ([]Step, error) {
	list, err := migrations(c.schemaFiles())
	if err != nil {
		return nil, err
	}

	done := 0
	if err := reading(ctx, c.Path, func(conn *sql.Conn) error {
		sums, err := applied(ctx, conn)
		if err == nil {
			err = known(list, sums)
		}

		done = len(sums)
		return err
	}); err != nil {
		return nil, err
	}

	var out []Step
	for i, m := range list {
		out = append(out, Step{m.number, m.name, i < done})
	}

	return out, nil
}

// Migrate applies the steps that are missing and returns their names, as Open does with c.Upgrade. No
// other process may use the file. With try it applies them to a copy, beside the file, that it removes again: it says
// whether they would go through, and a server may go on using the file.
func Migrate(ctx context.Context, c Config, try bool) (done []string, err error) {
	list, err := Migrations(ctx, c)
	if err != nil {
		return nil, err
	}

	for _, s := range list {
		if !s.Applied {
			done = append(done, s.Name)
		}
	}

	if len(done) == 0 {
		return nil, nil
	}

	file := c
	file.Upgrade = true
	file.trial = try

	if try {
		file.Log = nil
		if file.Path, err = duplicated(ctx, c.Path); err != nil {
			return nil, fmt.Errorf("copy database %s: %w", c.Path, advise(err))
		}
		defer func() { err = errors.Join(err, Remove(file.Path)) }()
	} else if err := create(c.Path); err != nil {
		return nil, err
	}

	db := newDB(file)
	err = db.openFiles(ctx)
	// Closing copies the log into the file, so its error counts.
	err = errors.Join(err, db.closeFiles())

	if err != nil {
		return nil, fmt.Errorf("migrate database %s: %w", c.Path, advise(err))
	}

	return done, nil
}

// reading calls look with a connection that cannot write; not at all when there is no file.
func reading(ctx context.Context, path string, look func(conn *sql.Conn) error) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}

	db, err := sql.Open("sqlite", dsn(path, "mode=ro"))
	if err == nil {
		defer db.Close()

		var conn *sql.Conn
		if conn, err = db.Conn(ctx); err == nil {
			defer conn.Close()
			err = look(conn)
		}
	}

	if err != nil {
		return fmt.Errorf("read database %s: %w", path, advise(err))
	}

	return nil
}

// duplicated makes a copy of one state of the file beside it, for its owner alone.
func duplicated(ctx context.Context, path string) (string, error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		dir = "" // there is nothing to be copied either
	}

	f, err := os.CreateTemp(dir, filepath.Base(path)+".trial-*") // 0600
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}

	// VACUUM INTO writes one consistent state, also of a file that a server is using.
	err = reading(ctx, path, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "VACUUM INTO $1", f.Name())
		return err
	})
	if err != nil {
		return "", errors.Join(err, Remove(f.Name()))
	}

	return f.Name(), nil
}
