package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dial connects to a server. Where the library has given up on an answer, it asks the server
// on another connection to stop working on it, and then listens whether the server ends the
// first one. It takes up to 15 s for that and keeps the place in the pool meanwhile: behind
// a line that has swallowed everything, the pool would be full of the dead for as long after
// the line is well again. So neither gets more time than an answer does.
func (c Config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	// Nobody else has more time than Connect.
	last, limited := ctx.Deadline()
	toCancel := limited && time.Until(last) > c.Connect
	if toCancel {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Answer)
		defer cancel()
	}

	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if toCancel {
		err = conn.SetDeadline(time.Now().Add(c.Answer))
	}

	return boundedConn{conn, c.Answer}, err
}

// boundedConn is a connection that waits no longer than most for its own end.
type boundedConn struct {
	net.Conn
	limit time.Duration
}

// SetDeadline implements net.Conn. The library sets one that lies ahead only to end a
// connection.
func (h boundedConn) SetDeadline(t time.Time) error {
	most := time.Now().Add(h.limit)
	if t.After(most) {
		t = most
	}
	return h.Conn.SetDeadline(t)
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
