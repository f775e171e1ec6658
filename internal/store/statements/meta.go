package statements

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// The names in the table meta. Those of MetaOwn are never moved to another database.
const (
	MetaID       = "id"          // random, of this one database
	MetaEpoch    = "epoch"       // how often it was brought back from the past
	MetaRestored = "restored_at" // when it last was, in milliseconds
	MetaSecret   = "secret"      // which secret its nodes seal signing keys with
	MetaCopying  = "copying"     // id of the database of which this is half a copy
	MetaSweep    = "sweep"       // sweep.Mark: two times in milliseconds
	MetaCopied   = "copied"      // id of the database of which this is a complete copy, until a server starts on it
	MetaSubjects = "subjects"    // the secret that pairwise subjects are derived with
	MetaDrops    = "drops"       // how many steps have deleted audit events because of the size of the log
	MetaParty    = "party"       // host name that the passkeys are for
	MetaManagers = "managers"    // when a server with the rule for managers first started, in milliseconds
	MetaProbe    = "probe"       // nothing: written to find out whether the database can be written
)

// MetaOwn is a condition that leaves out of meta what belongs to this one database.
const MetaOwn = "name NOT IN ('id', 'copying', 'copied', 'probe')"

// ErrHalf means that a database is an incomplete copy of another one, and cannot be used.
var ErrHalf = errors.New(
	"it is an incomplete copy of another database: run 'jeton db copy' again, or name another database",
)

// ErrOldSchema means that only an upgrade of the schema makes a database usable for this program.
var ErrOldSchema = errors.New("run 'jeton migrate up', or start the server")

// OldSchema returns ErrOldSchema for a database whose schema has the number has, where this program
// wants another one.
func OldSchema(has, want int) error {
	return fmt.Errorf("the database has schema %d, this program %d: %w", has, want, ErrOldSchema)
}

// Serve is the first step of a server on a database. It returns ErrHalf for half a copy;
// a whole one has a life of its own from now on, which no further copy may take. A
// database that has no id gets one.
func Serve(ctx context.Context, tx Conn) error {
	of, err := Meta(ctx, tx, MetaCopying)
	switch {
	case err != nil:
		return err
	case of != "":
		return ErrHalf
	}

	// From now on it may have rows that the source lacks; a further copy would delete them.
	if err := SetMeta(ctx, tx, MetaCopied, ""); err != nil {
		return err
	}

	return Identify(ctx, tx)
}

// Identify gives a database that has no id one.
func Identify(ctx context.Context, tx Conn) error {
	// Several nodes may do so at once: one of them does.
	_, err := tx.Exec(
		ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", MetaID,
		rand.Text(),
	)
	if err != nil {
		return fmt.Errorf("write meta id: %w", err)
	}

	return nil
}

// Meta returns what is kept under a name, "" for nothing.
func Meta(ctx context.Context, q Queries, name string) (string, error) {
	var value string
	err := q.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}

	if err != nil {
		return "", fmt.Errorf("read meta %s: %w", name, err)
	}

	return value, nil
}

// SetMeta keeps a value under a name; "" keeps nothing.
func SetMeta(ctx context.Context, tx Conn, name, value string) error {
	text := insertInto("meta", "name, value") + " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	args := []any{name, value}
	if value == "" {
		text, args = "DELETE FROM meta WHERE name = $1", args[:1]
	}
	if _, err := tx.Exec(ctx, text, args...); err != nil {
		return fmt.Errorf("write meta %s: %w", name, err)
	}

	return nil
}

// EpochOf returns the number of the epoch that a database is in: 0 until it is brought
// back from the past for the first time.
func EpochOf(ctx context.Context, q Queries) (int64, error) {
	text, err := Meta(ctx, q, MetaEpoch)
	if err != nil || text == "" {
		return 0, err
	}

	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("meta epoch is %q, which is no number", text)
	}

	return n, nil
}

// claim keeps a value under a name that has none, and returns the one that is kept. Of two nodes that claim a name at
// once, both get the same value.
func (db *Store) claim(ctx context.Context, name, fresh string) (string, error) {
	stored, err := Meta(ctx, db.engine, name)
	if err != nil || stored != "" {
		return stored, Unavailable(err)
	}

	err = db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(ctx, insertInto("meta", "name, value")+" ON CONFLICT (name) DO NOTHING", name, fresh)
		if err != nil {
			return err
		}
		stored, err = Meta(ctx, tx, name)

		return err
	})

	return stored, err
}

// SubjectSecret implements openid.SubjectStore.
func (db *Store) SubjectSecret(ctx context.Context, fresh string) (string, error) {
	return db.claim(ctx, MetaSubjects, fresh)
}

// ManagersSince implements signin.ManagerStore.
func (db *Store) ManagersSince(ctx context.Context, now time.Time) (time.Time, error) {
	text, err := db.claim(ctx, MetaManagers, strconv.FormatInt(now.UnixMilli(), 10))
	if err != nil {
		return time.Time{}, err
	}

	return metaTime(MetaManagers, text)
}

// Restored returns when the database was last brought back from the past without its
// credentials being trusted, or the zero time.
func (db *Store) Restored(ctx context.Context) (time.Time, error) {
	text, err := Meta(ctx, db.engine, MetaRestored)
	if err != nil {
		return time.Time{}, Unavailable(err)
	}
	if text == "" {
		return time.Time{}, nil
	}

	return metaTime(MetaRestored, text)
}

// metaTime returns the time that is kept under a name.
func metaTime(name, text string) (time.Time, error) {
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: meta %s is %q, which is no time", jeton.ErrUnavailable, name, text)
	}

	return known(at), nil
}

// MoveSweepMark implements sweep.Store.
func (db *Store) MoveSweepMark(ctx context.Context, move func(sweep.Mark) sweep.Mark) (sweep.Mark, error) {
	var moved sweep.Mark

	read := func(ctx context.Context, q Queries) (sweep.Mark, error) {
		text, err := Meta(ctx, q, MetaSweep)
		if err != nil {
			return sweep.Mark{}, err
		}
		return readSweepMark(text), nil
	}

	// Sweeps are frequent, and a mark seldom moves: it is read without a step first.
	stored, err := read(ctx, db.engine)
	if err != nil {
		return moved, Unavailable(err)
	}

	moved = move(stored)
	if moved == stored {
		return moved, nil
	}

	err = db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := tx.Order(ctx, "sweep mark"); err != nil {
			return err
		}

		stored, err := read(ctx, tx)
		if err != nil {
			return err
		}

		moved = move(stored)
		if moved == stored {
			return nil
		}

		return SetMeta(ctx, tx, MetaSweep, fmt.Sprintf("%d %d", moved.Time.UnixMilli(), moved.Seen.UnixMilli()))
	})

	return moved, err
}

// readSweepMark returns the zero mark for a text that is none: the next sweep writes a new one.
func readSweepMark(text string) sweep.Mark {
	at, seen, _ := strings.Cut(text, " ")
	first, err := strconv.ParseInt(at, 10, 64)
	second, err2 := strconv.ParseInt(seen, 10, 64)
	if err != nil || err2 != nil {
		return sweep.Mark{}
	}

	return sweep.Mark{Time: time.UnixMilli(first), Seen: time.UnixMilli(second)}
}
