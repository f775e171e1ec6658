package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// schema has one file for each step, NUMBER_NAME.sql. A released file never changes: its
// checksum is in every database.
//
//go:embed schema/*.sql
var schema embed.FS

// applicationID marks a file as ours ("jetn"), as SQLite's file format provides for.
const applicationID = 0x6a65746e

// migration is a step of the schema of this program.
type migration struct {
	number int
	name   string
	text   string
	sum    string
}

// schemaFiles holds the steps that this program knows.
func (c Config) schemaFiles() fs.FS {
	if c.Schema != nil {
		return c.Schema
	}
	return schema
}

// migrations returns the steps of the schema in order.
func migrations(from fs.FS) ([]migration, error) {
	files, err := fs.Glob(from, "schema/*.sql")
	if err != nil {
		return nil, err
	}

	var list []migration
	for i, file := range files {
		text, err := fs.ReadFile(from, file)
		if err != nil {
			return nil, err
		}

		name := path.Base(file)
		number, err := strconv.Atoi(name[:strings.IndexByte(name, '_')])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s is out of order", name)
		}

		sum := sha256.Sum256(text)
		list = append(list, migration{number, name, string(text), hex.EncodeToString(sum[:])})
	}

	return list, nil
}

// migrate creates the schema of an empty file, in one transaction. With Config.Upgrade it also applies the steps that
// are missing in an older file, each whole or not at all. It refuses a file of another program, one
// that a newer version has written, and one whose past differs from ours.
func (db *DB) migrate(ctx context.Context) error {
	steps, err := migrations(db.c.schemaFiles())
	if err != nil {
		return err
	}

	done, err := applied(ctx, db.conn)
	if err != nil {
		return err
	}
	if err := known(steps, done); err != nil {
		return err
	}

	older := len(done) > 0 && len(done) < len(steps)
	if older && !db.c.Upgrade {
		return statements.OldSchema(len(done), len(steps))
	}

	// Only now, so that a file which is not ours stays as it was. The mode is kept in the file.
	var mode string
	if err := db.conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its journal mode is %q and cannot be made WAL; keep it on a local disk", mode)
	}

	if older {
		if err := db.keepBefore(ctx, len(done)+1); err != nil {
			return fmt.Errorf("keep a copy of the database before its upgrade: %w", err)
		}
	}

	if len(done) == 0 {
		// Each commit waits for the disk.
		if err := apply(ctx, db.conn, steps...); err != nil {
			return err
		}
		db.log.Info("database created", "schema", len(steps))

		return nil
	}

	for _, step := range steps[len(done):] {
		if err := apply(ctx, db.conn, step); err != nil {
			return err
		}
		db.log.Info("database migrated", "step", step.name)
	}

	return nil
}

// known refuses what a newer version or another build has written.
func known(steps []migration, done []string) error {
	if len(done) > len(steps) {
		return fmt.Errorf(
			"its schema is number %d and this program knows %d: a newer version of jeton has written it; "+
				"run that version, or restore a backup made before the upgrade; jeton.db.before-%d is a copy",
			len(done),
			len(steps),
			len(steps)+1,
		)
	}

	for i, sum := range done {
		if sum != steps[i].sum {
			return fmt.Errorf(
				"step %s of its schema is not the one of this program: it comes from another build of jeton",
				steps[i].name,
			)
		}
	}

	return nil
}

// applied returns the checksums of the steps that the file has been through.
func applied(ctx context.Context, conn *sql.Conn) ([]string, error) {
	var id, tables int
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return nil, err
	}

	// A new file. One with tables and without our id is of another program.
	if id == 0 && tables == 0 {
		return nil, nil
	}
	if id != applicationID {
		return nil, fmt.Errorf("it is a database of another program; name another data directory")
	}

	rows, err := conn.QueryContext(ctx, "SELECT sum FROM migrations ORDER BY number")
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var sums []string
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}

	return sums, rows.Err()
}

// apply applies steps in one transaction.
func apply(ctx context.Context, conn *sql.Conn, steps ...migration) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()

	for _, step := range steps {
		if err := step.apply(ctx, tx); err != nil {
			return fmt.Errorf("migration %s: %w", step.name, err)
		}
	}

	return tx.Commit()
}

// apply applies a step. The first also marks the file as ours and makes the list of steps.
func (step migration) apply(ctx context.Context, tx *sql.Tx) error {
	if step.number == 1 {
		first := fmt.Sprintf(
			"PRAGMA application_id = %d; CREATE TABLE migrations "+
				"(number INTEGER PRIMARY KEY, name TEXT NOT NULL, sum TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
			applicationID,
		)
		if _, err := tx.ExecContext(ctx, first); err != nil {
			return err
		}
	}

	if _, err := tx.ExecContext(ctx, step.text); err != nil {
		return err
	}

	// In the same transaction, so that a crash leaves no step applied and not recorded.
	// The time is for an operator who looks into the file, or asks for an undo.
	const note = "INSERT INTO migrations (number, name, sum, at) VALUES ($1, $2, $3, $4)"
	_, err := tx.ExecContext(ctx, note, step.number, step.name, step.sum, time.Now().UnixMilli())

	return err
}
