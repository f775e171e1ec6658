// Package sqlite keeps everything in one SQLite file: the store of a server on one
// machine.
//
// It promises that a change is durable before its method returns: in WAL mode with
// synchronous=FULL, every commit is synced, but for tickets that a browser gets again at
// once (ticket.Purpose.Replaceable). Each method is one transaction, and concurrent
// writes share a commit. When the file cannot be read or written, a method returns
// jeton.ErrUnavailable, and nothing has been granted. The SQL is in
// internal/store/statements; the rules are in the packages that declare the interfaces.
//
// One process opens a file at a time; internal/server sees to that.
//
// # Files
//
//	sqlite.go                      opening and closing, the settings of SQLite
//	writer.go                      the one writer: batches of steps, and uses
//	commit.go                      the transaction of a batch, and whether it is synced
//	spend.go                       the statement that counts; spend_planted.go has a planted bug for tests
//	prepared.go                    prepared statements, kept for their next use
//	probe.go                       whether the file can be written
//	free_unix.go, free_other.go    free space on the disk
//	engine.go                      the statements of internal/store/statements, on this engine
//	migrate.go                     the schema, step by step; steps.go shows and tries it
//	beforestep.go                  the copy that is kept before a step; undo.go finds and compares it
//	sweep.go                       deleting what has expired, and keeping the log small
//	move.go, replace.go            copies, backups, and replacing the file
//	chown_unix.go, chown_other.go  the owner of a file that root creates
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/store/statements"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// DB is an open store. Its methods are safe for concurrent use.
type DB struct {
	*statements.Store // every contract but that of uses
	c                 Config
	path              string
	log               *slog.Logger
	write             *sql.DB   // one connection
	conn              *sql.Conn // the one
	read              *sql.DB
	aside             *sql.DB        // copies the log into the file, beside the writer
	prepared          *preparedCache // of read
	writer            writer
	probe             probe
}

// Config is what Open needs.
type Config struct {
	Path string // of the file; its folder exists
	Log  *slog.Logger
	// Upgrade applies the steps that are missing in an older schema, after a copy of the file was
	// made beside it: PATH.before-N, where N is the first of them. Without it an older file is
	// refused with statements.ErrOldSchema. An empty file gets the schema either way.
	Upgrade bool
	// Schema holds the steps of the schema, in a folder of that name; nil for those of this
	// program.
	Schema fs.FS
	// Patience is how long a caller waits for a commit before it gets ErrUnavailable; 0: two seconds. Tests that
	// are not about it make it longer, since a slow machine is no fault of the store.
	Patience time.Duration
	// Idle is how long a connection that reads stays open without being used; 0: five minutes.
	Idle  time.Duration
	trial bool // the file is a copy, of which none has to be kept
}

// idle is how long a connection that reads stays open without being used.
const idle = 5 * time.Minute

// newDB returns a store whose files are not open yet.
func newDB(c Config) *DB {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &DB{
		c:    c,
		path: c.Path,
		log:  c.Log,
	}
}

// Open opens the file, and makes it if it is not there. With c.Upgrade it brings the schema up to date.
// Close ends it. The error says which file and what to do about it.
func Open(ctx context.Context, c Config) (*DB, error) {
	if err := create(c.Path); err != nil {
		return nil, err
	}

	db := newDB(c)
	db.Store = statements.New(engine{db})

	if err := db.open(ctx); err != nil {
		_ = db.closeFiles()
		return nil, fmt.Errorf("open database %s: %w", c.Path, advise(err))
	}

	db.writer.start(db)

	return db, nil
}

// create makes the file with mode 0600 before SQLite would make it with a wider one.
func create(path string) error {
	f, err := secretfile.Create(path)
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return fmt.Errorf("open database: %w (the server needs to read and write it)", err)
	}

	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("open database: %w", err)
	}

	// Its sessions and password hashes would be those of every user of the machine. A group may
	// have access: some platforms give it to the group of a volume.
	mode := info.Mode().Perm()
	if runtime.GOOS != "windows" && mode&0o007 != 0 {
		return fmt.Errorf("open database: %s can be opened by other users (mode %04o): chmod 600 %s", path, mode, path)
	}

	// SQLite would take a file that is shorter than its header for an empty one.
	n := info.Size()
	if n > 0 && n < 100 {
		return fmt.Errorf(
			"open database %s: %d bytes are not a Jeton database; move the file away or restore a backup",
			path, n,
		)
	}

	return nil
}

// open opens the connections, takes the first step and prepares the statements of uses.
func (db *DB) open(ctx context.Context) error {
	if err := db.openFiles(ctx); err != nil {
		return err
	}
	if err := db.begin(ctx); err != nil {
		return err
	}

	return db.writer.prepare(ctx, db.conn)
}

// openFiles opens the connections, and migrates.
func (db *DB) openFiles(ctx context.Context) (err error) {
	db.write, err = sql.Open("sqlite", dsn(db.path, "_txlock=immediate&_pragma=cache_size(-16384)"))
	if err != nil {
		return err
	}

	// SQLite has one writer at a time: a second connection would only wait for its lock.
	db.write.SetMaxOpenConns(1)
	db.conn, err = db.write.Conn(ctx)
	if err != nil {
		return err
	}

	// Before the readers open, so that none sees a schema that is half changed.
	if err := db.migrate(ctx); err != nil {
		return err
	}

	db.aside, err = sql.Open("sqlite", dsn(db.path, ""))
	if err != nil {
		return err
	}

	db.aside.SetMaxOpenConns(1)

	return db.openReaders(max(4, 2*runtime.NumCPU()))
}

// openReaders opens a pool of at most that many connections, which cannot write.
func (db *DB) openReaders(most int) (err error) {
	db.read, err = sql.Open("sqlite", dsn(db.path, "mode=ro"))
	if err != nil {
		return err
	}

	// All of them stay open while they are used: a new connection has to read the schema first. Each has a cache of
	// two megabytes, which SQLite gives back only with the connection.
	db.read.SetMaxOpenConns(most)
	db.read.SetMaxIdleConns(most)
	db.read.SetConnMaxIdleTime(cmp.Or(db.c.Idle, idle))
	db.prepared = newPreparedCache(db.read.PrepareContext, false)

	return nil
}

// begin takes the first step of a server.
func (db *DB) begin(ctx context.Context) error {
	if _, err := db.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}

	// This refuses a file that is half a copy.
	if err := statements.Serve(ctx, tx{Conn: db.conn}); err != nil {
		_, rerr := db.conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, rerr)
	}

	_, err := db.conn.ExecContext(ctx, "COMMIT")
	return err
}

// dsn carries every setting, so that each connection of a pool has it.
func dsn(path, extra string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}

	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}
	return u.String() + "?" + extra +
		"&_dqs=0&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_pragma=temp_store(2)&_pragma=wal_autocheckpoint(4000)"
}

// Close ends the writer and closes the file. Writes that still wait are answered first.
func (db *DB) Close() error {
	// First, while the connection is there to commit what still waits.
	db.writer.stop()
	return db.closeFiles()
}

// closeFiles closes what open has opened so far: it also runs when open fails halfway.
func (db *DB) closeFiles() error {
	var errs []error
	errs = append(errs, db.prepared.close())

	// The writer last: the connection that closes last copies the log into the file, which a
	// reader cannot.
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	if db.aside != nil {
		errs = append(errs, db.aside.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}

	if db.write != nil {
		errs = append(errs, db.write.Close())
	}

	return errors.Join(errs...)
}

// code returns SQLite's own number for an error, without its extension, or 0.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// advise adds what an operator can do about a file that does not open.
func advise(err error) error {
	switch code(err) {
	case lib.SQLITE_NOTADB:
		return fmt.Errorf("this is not a Jeton database, or it is damaged; move it away or restore a backup: %w", err)
	case lib.SQLITE_CORRUPT:
		return fmt.Errorf(
			"the database is damaged; restore a backup, or rescue it with 'sqlite3 FILE .recover': %w",
			err,
		)
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return fmt.Errorf("the server must be able to write the file and its folder; look at owner and mode: %w", err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("the disk is full; make room and start again: %w", err)
	case lib.SQLITE_IOERR:
		return fmt.Errorf("disk I/O error; check free space and disk health: %w", err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("another process uses the file; stop it first: %w", err)
	}

	return err
}
