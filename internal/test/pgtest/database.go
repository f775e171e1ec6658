package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// URL returns how the role reaches a database by the unix socket, without a password.
func (c *Cluster) URL(db string) string { return c.local(Role, db) }

// Superuser returns how the superuser reaches a database; "postgres" is always there.
func (c *Cluster) Superuser(db string) string { return c.local(superuser, db) }

// local returns a URL for the socket, where the server trusts every user of this machine.
func (c *Cluster) local(role, db string) string {
	at := url.Values{"host": {c.sockets}, "port": {strconv.Itoa(c.port)}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(role),
		Path:     "/" + db,
		RawQuery: at.Encode(),
	}
	return u.String()
}

// TCP returns how the role reaches a database by TCP, with its password.
func (c *Cluster) TCP(db string) string { return c.Via(c.Addr(), db) }

// Via is TCP by way of another address, that of a Proxy.
func (c *Cluster) Via(addr, db string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Role, Password),
		Host:     addr,
		Path:     "/" + db,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Create makes an empty database that belongs to the role, and returns its name.
func (c *Cluster) Create(ctx context.Context) (string, error) {
	db := fmt.Sprintf("t%016x", rand.Uint64())
	sql := fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8'", db, Role)
	return db, c.Exec(ctx, "postgres", sql)
}

// Drop removes a database, and ends the connections to it.
func (c *Cluster) Drop(ctx context.Context, db string) error {
	return c.Exec(ctx, "postgres", "DROP DATABASE "+pgx.Identifier{db}.Sanitize()+" WITH (FORCE)")
}

// Database makes an empty database and returns its URL for the socket. drop removes it if the
// server runs; otherwise it goes with the cluster.
func (c *Cluster) Database(ctx context.Context) (url string, drop func(), err error) {
	db, err := c.Create(ctx)
	if err != nil {
		return "", nil, err
	}

	drop = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = c.Drop(ctx, db)
	}

	return c.URL(db), drop, nil
}

// empty deletes all rows of a database but those of the tables to keep, and sets its sequences
// back.
func (c *Cluster) empty(ctx context.Context, db string, keep []string) error {
	return c.Exec(ctx, db, Empty(keep...))
}

// Empty returns the statement that deletes all rows but those of the tables to keep, and sets the sequences back.
func Empty(keep ...string) string {
	const text = `DO $$ DECLARE name TEXT; BEGIN
	FOR name IN SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> ALL ('{%s}')
	LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
	PERFORM setval(format('%%I.%%I', schemaname, sequencename)::regclass, 1, FALSE) FROM pg_sequences;
END $$`
	return fmt.Sprintf(text, strings.Join(keep, ","))
}

// Exec runs SQL as the superuser on a connection of its own. Several statements are one
// transaction; ALTER SYSTEM has to be alone.
func (c *Cluster) Exec(ctx context.Context, db, sql string) error {
	conn, err := pgx.Connect(ctx, c.Superuser(db))
	if err != nil {
		return fmt.Errorf("run SQL as %s: %w", superuser, err)
	}

	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		err = fmt.Errorf("run %q: %w", sql, err)
	}

	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
