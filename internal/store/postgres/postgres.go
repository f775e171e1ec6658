// Package postgres keeps everything in a PostgreSQL database: the store of a server that
// runs on many nodes.
//
// It promises that what a method reports as done is durable; that each method is one
// atomic step, whatever other nodes do; that of all uses that any number of nodes take of a
// budget no more succeed than there are; and that what has ended is judged good from
// memory by no node once its end has been answered (hear.go says how). When the database does
// not answer in time, a method returns jeton.ErrUnavailable: nothing has been granted, and
// what was asked for may still have happened. What it says to PostgreSQL is, but for uses,
// internal/store/statements'. Who is primary, and what a failover loses, is PostgreSQL's.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is an open store. Its methods are safe for concurrent use.
type DB struct {
	*statements.Store // every contract but that of uses
	c                 Config
	pool              *pgxpool.Pool
	link              link
	spender           spender
	node              *node
	serial            chan struct{} // whose turn it is at this node to take a serial step
	stop              context.CancelFunc
	work              sync.WaitGroup
	closed            sync.Once
}

// Config is what Open needs.
type Config struct {
	URL         jeton.Secret  // connection string
	Where       string        // the database, without secrets, for messages
	Connections int           // at most, beside two that hear of changes; 0: 12
	Connect     time.Duration // how long a connection may take; 0: 2 s
	Answer      time.Duration // how long an answer may take; 0: 1 s
	// Staleness is how old at most what this node judges from memory may be. 0: it asks
	// every time. All nodes wait for the longest of any.
	Staleness time.Duration
	Log       *slog.Logger
	// OnInvalidated hears how long after its commit an end was answered: until no node judges any
	// more from what was before. It is called by many goroutines. nil: nobody does.
	OnInvalidated func(time.Duration)
	// Schema holds the steps of the schema, in a folder of that name. nil: those of this
	// program.
	Schema fs.FS

	heartbeatEvery, deadAfter time.Duration // tests have less time; 0: as the constants say
}

// MaxStaleness bounds Config.Staleness.
const MaxStaleness = 10 * time.Second

// Version is the oldest server that has all that the statements use, as PostgreSQL
// numbers its versions.
const Version = 140000

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Connections == 0 {
		c.Connections = 12
	}
	if c.Connect == 0 {
		c.Connect = 2 * time.Second
	}

	if c.Answer == 0 {
		c.Answer = time.Second
	}
	if c.heartbeatEvery == 0 {
		c.heartbeatEvery = heartbeatEvery
	}
	if c.deadAfter == 0 {
		c.deadAfter = deadAfter
	}

	if c.OnInvalidated == nil {
		c.OnInvalidated = func(time.Duration) {}
	}

	return c
}

// Open connects, brings the schema up to date, and makes this process one of the nodes.
// Close ends it. The error says which database and what to do about it.
func Open(ctx context.Context, c Config) (*DB, error) {
	c = c.withDefaults()
	db := &DB{c: c, serial: make(chan struct{}, 1)}
	db.Store = statements.New(engine{db})

	if err := db.open(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open database %s: %w", c.Where, explainOpen(err))
	}

	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	settings, err := db.c.parse()
	if err != nil {
		return err
	}
	if err := checkPooler(ctx, db.c, settings.ConnConfig); err != nil {
		return err
	}

	if err := migrate(ctx, db.c, settings.ConnConfig); err != nil {
		return err
	}

	db.pool, err = pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return err
	}

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	db.stop = stop
	db.link.up()
	db.node = newNode(db, settings.ConnConfig)
	if err := db.node.join(ctx); err != nil {
		return err
	}

	if err := db.claim(ctx); err != nil {
		return err
	}
	if err := db.node.rememberDatabase(ctx); err != nil {
		return err
	}

	db.spender.start(background, db)
	db.work.Go(func() { db.node.run(background) })
	db.work.Go(func() { db.node.listen(background) })

	return nil
}

// Close takes the node off the list and ends all work. Uses that still wait are answered first.
func (db *DB) Close() error {
	db.closed.Do(func() {
		if db.stop != nil {
			db.spender.close()
			db.stop()
			db.work.Wait()
			db.link.down(errClosed)
		}

		if db.node != nil {
			db.node.leave()
		}
		if db.pool != nil {
			db.pool.Close()
		}
	})

	return nil
}

var errClosed = errors.New("the store is closed")

// Ping reports whether the database answers and this node hears of changes.
func (db *DB) Ping(ctx context.Context) error { return db.node.pollNow(ctx) }

// Fresh returns nil when what this node holds in memory may be judged from: it is at most
// as old as Config.Staleness. Otherwise it asks the database first.
func (db *DB) Fresh(ctx context.Context) error { return db.node.checkLease(ctx) }
