package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// End is one end of a copy: a database of PostgreSQL or a data directory with SQLite in it.
type End struct {
	Database *config.Database // nil: SQLite
	DataDir  string           // of SQLite
}

// Copied reports what a copy has done.
type Copied struct {
	move.Copied
	// Served says that a server was up on the source: what it has written since the copy
	// began is not in it.
	Served bool `json:"source_is_served"`
}

// CopyDatabase makes a database equal to another one, which may be served from meanwhile.
// It may be broken off and run again. It returns ErrInUse or jeton.ErrConflict when the
// destination is in use or has data of its own.
func CopyDatabase(ctx context.Context, c Config, from, to End, report func(Progress)) (Copied, error) {
	c = c.withDefaults()
	var out Copied

	source, served, done, err := from.source(ctx, c)
	if err != nil {
		return out, fmt.Errorf("source: %w", from.withFix(err))
	}
	defer done()

	out.Served = served
	var f *dataDir
	if to.Database == nil {
		// So that no server starts on what is half a copy.
		if f, err = lockDataDir(to.DataDir); err != nil {
			return out, fmt.Errorf("destination: %w", err)
		}
		defer f.release()
	}

	target, err := to.hold(ctx, c, f)
	if err != nil {
		return out, fmt.Errorf("destination: %w", to.withFix(err))
	}
	defer target.Close()

	out.Copied, err = move.Copy(ctx, source, target, report)
	return out, err
}

// withFix completes an error about an older schema: the directory is an argument of the copy, and no other command
// would find it.
func (e End) withFix(err error) error {
	if e.Database == nil && errors.Is(err, ErrOldSchema) {
		return fmt.Errorf("%w, with --data-dir %s", err, e.DataDir)
	}
	return err
}

// source opens an end to read it, and says whether a server is up on it.
func (e End) source(ctx context.Context, c Config) (s move.Source, served bool, done func(), err error) {
	if e.Database != nil {
		side, err := postgres.OpenSide(ctx, sharedDatabase(c, &config.Config{Database: e.Database}))
		if err != nil {
			return nil, false, nil, err
		}

		nodes, err := side.Served(ctx)
		if err != nil {
			_ = side.Close()
			return nil, false, nil, err
		}

		return side, nodes > 0, func() { _ = side.Close() }, nil
	}

	if !sqlite.Exists(DataFile(e.DataDir)) {
		return nil, false, nil, jeton.WithDetail(jeton.ErrNotFound, "there is no "+DataFile(e.DataDir))
	}

	f, err := lockDataDir(e.DataDir)
	// A server is up. Its file is read beside it, and that it is served is reported.
	if errors.Is(err, ErrInUse) {
		side, err := sqlite.ReadSide(ctx, DataFile(e.DataDir))
		if err != nil {
			return nil, true, nil, err
		}
		return side, true, func() { _ = side.Close() }, nil
	}

	if err != nil {
		return nil, false, nil, err
	}

	side, err := e.hold(ctx, c, f)
	if err != nil {
		f.release()
		return nil, false, nil, err
	}

	return side, false, func() { _ = side.Close(); f.release() }, nil
}

// hold opens an end to write it. f is its folder, which this process holds, where it is
// SQLite.
func (e End) hold(ctx context.Context, c Config, f *dataDir) (side, error) {
	if e.Database == nil {
		s, err := sqlite.OpenSide(ctx, sqlite.Config{Path: f.file(fileDB), Log: c.Log})
		if err != nil {
			return nil, err
		}
		return s, nil
	}

	s, err := postgres.OpenSide(ctx, sharedDatabase(c, &config.Config{Database: e.Database}))
	if err != nil {
		return nil, err
	}

	// An entry that a crash has left in the list of nodes does not stop a copy.
	if nodes, err := s.Served(ctx); err != nil || nodes > 0 {
		if err == nil {
			err = fmt.Errorf("%w: %d nodes serve from %s; stop them first", ErrInUse, nodes, e.Database.Where())
		}
		return nil, errors.Join(err, s.Close())
	}

	return s, nil
}
