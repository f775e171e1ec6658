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
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// checkPooler returns an error when a connection is not one session of the server from its
// beginning to its end: a pooler may hand it to others between two transactions. Locks and
// settings would be left with them, and a node could not tell that the server which it has
// renewed from has fallen over since.
func checkPooler(ctx context.Context, c Config, settings *pgx.ConnConfig) error {
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := pgx.ConnectConfig(ctx, settings)
		if err != nil {
			return err
		}
		defer func() {
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = conn.Close(leaving)
		}()

		conns[i] = conn
	}

	// A pooler that has nothing left to give lets whoever asks wait.
	asking, cancel := context.WithTimeout(ctx, 3*c.Answer)
	defer cancel()

	// What the second takes while it is in a transaction is what the first has let go of.
	plain := pgx.QueryExecModeSimpleProtocol
	for _, step := range []struct {
		conn *pgx.Conn
		text string
	}{{conns[0], "SELECT set_config('jeton.mark', 'mine', false)"}, {conns[1], "BEGIN"}, {conns[1], "SELECT 1"}} {
		if _, err := step.conn.Exec(asking, step.text, plain); err != nil {
			return fmt.Errorf("look whether a pooler shares connections out: %w", err)
		}
	}

	var mark *string
	if err := conns[0].QueryRow(asking, "SELECT current_setting('jeton.mark', true)", plain).Scan(&mark); err != nil {
		return fmt.Errorf("look whether a pooler shares connections out: %w", err)
	}
	if mark == nil || *mark != "mine" {
		return errors.New("a pooler in front of the database hands connections on between transactions; set pool_mode = session there, or name the database itself")
	}

	return nil
}

// parse reads the connection string and adds what every connection needs.
func (c Config) parse() (*pgxpool.Config, error) {
	s, err := pgxpool.ParseConfig(c.URL.Reveal())
	if err != nil {
		file := new(fs.PathError)
		if errors.As(err, &file) {
			return nil, fmt.Errorf("read the files of TLS that its URL names (sslrootcert, sslcert, sslkey): %w", file)
		}

		// The library's error may quote the string, which may hold a password.
		return nil, errors.New("the URL of the database is not one: postgres://USER@HOST:PORT/DATABASE")
	}

	s.MaxConns, s.MinConns = int32(c.Connections), 0
	s.MaxConnIdleTime = 5 * time.Minute
	s.ConnConfig.ConnectTimeout = c.Connect
	s.ConnConfig.DialFunc = c.dial
	// A standby is behind: what has ended would still look good there.
	s.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary

	params := s.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "jeton"
	}

	// What a node that is gone has left open must not hold up the others.
	params["idle_in_transaction_session_timeout"] = "5000"
	params["statement_timeout"] = "10000"
	params["default_transaction_isolation"] = "read committed"
	// Statements are few and look rows up by their keys: to plan them anew each time costs
	// more than to run them.
	params["plan_cache_mode"] = "force_generic_plan"
	params["jit"] = "off"

	s.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, requireDurable)
		return err
	}

	return s, nil
}

// requireDurable makes commits durable before they are answered where a database was told that
// they need not be. Whoever waits for standbys, too, keeps doing so.
const requireDurable = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

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

// explainOpen adds what an operator can do about a database that does not open.
func explainOpen(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "28P01", "28000":
			return fmt.Errorf("the database does not let this user in; look at user, password and pg_hba.conf: %w", err)
		case "3D000":
			return fmt.Errorf("there is no such database; CREATE DATABASE makes it: %w", err)
		case "42501":
			return fmt.Errorf("the user may not do this; it must own its schema: %w", err)
		case "25006":
			return fmt.Errorf("the database takes no writes; is it a standby? %w", err)
		case "55P03":
			return fmt.Errorf(
				"the database is in use: the step would have to wait for somebody else's; try again: %w",
				err,
			)
		case "53300":
			return fmt.Errorf(
				"the database has no connection left; raise max_connections there or lower database.connections here: %w",
				err,
			)
		}

		return err
	}

	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf(
			"the certificate of the database does not prove that it is the one; look at sslrootcert and at the name of its host: %w",
			err,
		)
	}

	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		if strings.Contains(err.Error(), "server refused TLS connection") { // the library has no other word for it
			return fmt.Errorf("the database does not speak TLS; set ssl = on there: %w", err)
		}
		return fmt.Errorf("the database does not answer; is it up, and is the address right? %w", err)
	}

	return err
}

// link says whether the database is there. While it is not, nobody waits for it but the
// one who looks for it.
type link struct {
	mu  sync.Mutex
	ctx context.Context
	cut context.CancelCauseFunc
	err error
}

func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.ctx == nil || l.err != nil {
		l.ctx, l.cut = context.WithCancelCause(context.Background())
		l.err = nil
	}
}

// down ends whatever is being asked, with why.
func (l *link) down(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.err == nil {
		l.err = why
		l.cut(why)
	}
}

// bind returns a context that ends with the link, with ctx, and after so long.
func (l *link) bind(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	gone, linked := l.err, l.ctx
	l.mu.Unlock()

	if gone != nil {
		return nil, nil, jeton.WithRetryAfter(fmt.Errorf("%w: %w", jeton.ErrUnavailable, gone), time.Second)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	ctx, cancel := context.WithTimeout(ctx, most)
	release := context.AfterFunc(linked, cancel)

	return ctx, func() { release(); cancel() }, nil
}
