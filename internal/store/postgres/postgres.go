// Package postgres keeps everything in a PostgreSQL database: the store of a server that
// runs on many nodes.
//
// It promises that what a method reports as done is durable, and that each method is one atomic
// step. Of a budget no more uses succeed than there are, on all nodes together. Once a
// revocation has been answered, no node accepts what was revoked from its cache: see protocol.go.
// When the database does not answer in time, a method returns jeton.ErrUnavailable: nothing was
// granted, and the change may still happen. The statements, except for uses, are in
// internal/store/statements. PostgreSQL decides which server is the primary, and what a failover
// loses.
//
// # Files
//
//	postgres.go                       opening, and the configuration
//	connect.go                        the settings of connections, and which poolers are refused
//	openerror.go                      what to do when the database cannot be opened
//	engine.go                         steps, on this engine
//	do.go                             a step, and when it is tried again
//	errors.go                         what an error says about the outcome
//	protocol.go                       why no node accepts what was revoked
//	node.go, poll.go                  a node: its polls for changes, and its lease
//	membership.go                     which nodes there are
//	notify.go                         notifications of changes, and acknowledgements
//	invalidate.go                     what a step has changed, and waiting until every node has acknowledged it
//	lease_check.go                    whether a node may still answer from its cache
//	served.go                         which nodes run, for commands that need the database alone
//	spend.go                          uses, many in one commit
//	spend_single.go                   one count
//	spend_several.go                  several counts of one request
//	count_sql.go, count_sql_batch.go  the SQL of both
//	touch.go                          when sessions and tokens were used last
//	migrate.go, schema.go             the schema, step by step
//	inspect.go, meta.go               what a database is, without changing it
//	move.go, snapshot.go              copies and backups, of one state of the database
//	link.go, stats.go                 whether the database is there; metrics
//	count_sql_planted.go, do_planted.go, lease_check_planted.go
//	                                bugs on purpose, which the tests must find
package postgres

import (
	"cmp"
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
	*statements.Store // every contract except that of uses
	c                 Config
	pool              *pgxpool.Pool
	link              link
	spender           spender
	node              *node
	serial            chan struct{} // held by the serial step of this node that is under way
	stop              context.CancelFunc
	work              sync.WaitGroup
	closed            sync.Once
}

// Config is what Open needs.
type Config struct {
	URL         jeton.Secret  // connection string
	Where       string        // the database, without secrets, for messages
	Connections int           // limit of the pool, beside two for the node protocol; 0: 12
	Connect     time.Duration // limit for opening a connection; 0: 2 s
	Answer      time.Duration // limit for an answer; 0: 1 s
	// Staleness is the bound of the lease of this node: how old its cache may be. 0: it asks the
	// database every time. Nodes may differ; all wait for the longest bound.
	Staleness time.Duration
	Log       *slog.Logger
	// OnInvalidated is called with how long after its commit a change was answered: when no node
	// answered any more from what was before. Many goroutines call it. It may be nil.
	OnInvalidated func(time.Duration)
	// Upgrade applies the steps that are missing in an older schema. Without it such a database is
	// refused with statements.ErrOldSchema. An empty database gets the schema either way.
	Upgrade bool
	// BeforeUpgrade is called before a step is applied to an older schema, with the number of that
	// step. Its error keeps the schema as it is. No other node changes the schema meanwhile; nodes of
	// the previous version may write. nil: nothing is called.
	BeforeUpgrade func(ctx context.Context, step int) error
	// Schema holds the steps of the schema, in a folder of that name; nil for those of this
	// program.
	Schema fs.FS

	// For tests; 0 for the constants of these names.
	heartbeatEvery time.Duration
	deadAfter      time.Duration
}

// MaxStaleness limits Config.Staleness.
const MaxStaleness = 10 * time.Second

// Version is the oldest server that has everything the statements use, as PostgreSQL numbers
// its versions.
const Version = 140000

// withDefaults fills in what is not set. The limits are the defaults of package config.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BeforeUpgrade == nil {
		c.BeforeUpgrade = func(context.Context, int) error { return nil }
	}
	if c.OnInvalidated == nil {
		c.OnInvalidated = func(time.Duration) {}
	}

	c.Connections = cmp.Or(c.Connections, 12)
	c.Connect = cmp.Or(c.Connect, 2*time.Second)
	c.Answer = cmp.Or(c.Answer, time.Second)
	c.heartbeatEvery = cmp.Or(c.heartbeatEvery, heartbeatEvery)
	c.deadAfter = cmp.Or(c.deadAfter, deadAfter)

	return c
}

// Open connects, and makes this process one of the nodes. With c.Upgrade it brings the schema up to date.
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

// open does what Open says. Close undoes it, also after an error halfway.
func (db *DB) open(ctx context.Context) error {
	settings, err := db.c.parse()
	if err != nil {
		return err
	}

	// Before the first lock on a session, which a pooler could give to another client.
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
	db.node.databaseID, err = db.node.readDatabaseID(ctx)
	if err != nil {
		return err
	}

	// Last: from here on the fields of a poll belong to the goroutine of run.
	db.spender.start(background, db)
	db.work.Go(func() { db.node.run(background) })
	db.work.Go(func() { db.node.listen(background) })

	return nil
}

// Close answers the uses that wait, ends all work, and removes the node from the list.
func (db *DB) Close() error {
	db.closed.Do(func() {
		// Open may have failed at any step. Uses that wait are answered while the database can
		// be reached.
		if db.stop != nil {
			db.spender.close()
			db.stop()
			db.work.Wait()
			db.link.down(errClosed)
		}

		// The polls have ended, so none renews the lease again or uses the connection.
		if db.node != nil {
			db.node.leave()
		}
		if db.pool != nil {
			db.pool.Close()
		}
	})

	return nil
}

// errClosed is why a use is refused once Close has been called.
var errClosed = errors.New("the store is closed")

// Ping reports whether the database answers, and this node receives changes.
func (db *DB) Ping(ctx context.Context) error { return db.node.pollNow(ctx) }

// Fresh returns nil when this node may answer from its cache. When its lease has ended, Fresh
// renews it first.
func (db *DB) Fresh(ctx context.Context) error { return db.node.checkLease(ctx) }
