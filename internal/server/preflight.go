package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// Preflight reports what an upgrade of the schema would do. Sizes are in bytes.
type Preflight struct {
	Program string   `json:"program"`      // version of this program
	Schema  int      `json:"schema"`       // of the database
	Target  int      `json:"schema_after"` // of this program
	Steps   []string `json:"steps"`        // that would be applied
	Trial   bool     `json:"trial"`        // always true: nothing was changed
	// Seconds is how long the trial took, with the copy of a SQLite database. PostgreSQL is backed up
	// as well, which is not in it.
	Seconds float64 `json:"seconds"`
	// Size is that of a SQLite database, whose copy needs as much; 0 for PostgreSQL.
	Size int64 `json:"database_bytes"`
	// Free is the space in the data directory; -1 if it is not known.
	Free int64 `json:"free_bytes"`
	// Servers is how many servers use the database: on SQLite 1 at most.
	Servers int `json:"servers"`
	// Beside says that servers of the previous version may continue while others are upgraded.
	Beside bool `json:"previous_version_continues"`
	// Stop is the step for which all nodes of the previous version have to be stopped first; "" without one.
	Stop string `json:"stop_for,omitempty"`
	// Before is the file that the upgrade would write first, with the database as it is; "" without steps.
	Before string `json:"kept_before,omitempty"`
}

// TryMigration tries the steps of the schema that are missing, and changes nothing; servers may be
// running. It returns jeton.ErrUnavailable if the copy of a SQLite database would not fit.
func TryMigration(ctx context.Context, c Config) (Preflight, error) {
	c = c.withDefaults()
	list, err := Migrations(ctx, c)
	if err != nil {
		return Preflight{}, err
	}

	out := Preflight{
		Program: c.Version,
		Steps:   []string{},
		Trial:   true,
		Free:    sqlite.Free(c.DataDir),
	}
	for _, m := range list {
		out.Target = max(out.Target, m.Step)
		if m.Applied {
			out.Schema = m.Step
		}
	}

	if c.File.Database != nil {
		err = c.preflightShared(ctx, &out)
	} else {
		err = c.preflightFile(ctx, &out)
	}
	if err != nil {
		return out, err
	}

	began := time.Now()
	steps, err := Migrate(ctx, c, true)
	out.Seconds = time.Since(began).Seconds()
	out.Steps = append(out.Steps, steps...)

	return out, err
}

// preflightFile looks at a SQLite database.
func (c Config) preflightFile(ctx context.Context, out *Preflight) error {
	// It upgrades the schema when it is started again with this version.
	conn, err := DialControl(ctx, c.DataDir)
	if err == nil {
		out.Servers = 1
		_ = conn.Close()
	}

	path := DataFile(c.DataDir)
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}

	out.Size = info.Size()
	if out.Schema == 0 || out.Schema == out.Target {
		return nil
	}

	out.Before = sqlite.CopyBefore(path, out.Schema+1)
	// The copy, and the steps, which may write every page once.
	if out.Free >= 0 && out.Free < 2*out.Size {
		return jeton.WithDetail(jeton.ErrUnavailable, fmt.Sprintf(
			"%s has %d MB free, and the upgrade of a database of %d MB needs twice its size: free some space",
			c.DataDir,
			out.Free>>20,
			out.Size>>20,
		))
	}

	return nil
}

// preflightShared looks at a PostgreSQL database.
func (c Config) preflightShared(ctx context.Context, out *Preflight) error {
	list, err := postgres.Migrations(ctx, sharedDatabase(c, c.File))
	if err != nil {
		return err
	}

	out.Stop = postgres.NeedsStop(list)
	out.Beside = out.Stop == ""

	if out.Schema == 0 {
		return nil
	}
	if out.Schema < out.Target {
		out.Before = c.backupBefore(out.Schema + 1)
	}

	side, _, err := postgres.ReadOlder(ctx, sharedDatabase(c, c.File))
	if err != nil {
		return err
	}

	out.Servers, err = side.Served(ctx)

	return errors.Join(err, side.Close())
}
