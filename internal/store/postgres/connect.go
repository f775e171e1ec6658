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

// dial connects to a server. When the library gives up on an answer, it sends the server a
// cancel request on another connection, and waits for the end of the first one. It takes up to
// 15 s for that, and keeps the place in the pool meanwhile. After packets were dropped
// silently, the pool would be full of dead connections for so long. So both have only as much
// time as an answer.
func (c Config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}

	// Only a cancel request has a deadline after Connect.
	deadline, limited := ctx.Deadline()
	cancelRequest := limited && time.Until(deadline) > c.Connect
	if cancelRequest {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Answer)
		defer cancel()
	}

	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if cancelRequest {
		err = conn.SetDeadline(time.Now().Add(c.Answer))
	}

	return boundedConn{conn, c.Answer}, err
}

// boundedConn is a connection that waits no longer than the limit for its own end.
type boundedConn struct {
	net.Conn
	limit time.Duration
}

// SetDeadline implements net.Conn. The library sets a deadline in the future only to end a
// connection.
func (b boundedConn) SetDeadline(t time.Time) error {
	latest := time.Now().Add(b.limit)
	if t.After(latest) {
		t = latest
	}
	return b.Conn.SetDeadline(t)
}

// checkPooler returns an error when a pooler gives a connection to other clients between two
// transactions. Locks and settings would go to them, and a node could not notice that the server
// which it polls has failed over.
func checkPooler(ctx context.Context, c Config, settings *pgx.ConnConfig) error {
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := pgx.ConnectConfig(ctx, settings)
		if err != nil {
			return err
		}
		defer func() { _ = closeConn(ctx, conn) }()

		conns[i] = conn
	}

	// A pooler without a free connection lets its clients wait.
	ctx, cancel := context.WithTimeout(ctx, 3*c.Answer)
	defer cancel()

	mine, err := keepsSession(ctx, conns[0], conns[1])
	if err != nil {
		return fmt.Errorf("check whether a pooler shares connections: %w", err)
	}
	if !mine {
		return errors.New("a pooler in front of the database shares connections between transactions; " +
			"set pool_mode = session there, or connect to the database itself")
	}

	return nil
}

// keepsSession reports whether a setting of one connection is still there, after another one has
// begun a transaction: a pooler gives that the session which the first has just used.
func keepsSession(ctx context.Context, first, second *pgx.Conn) (bool, error) {
	const simple = pgx.QueryExecModeSimpleProtocol
	if _, err := first.Exec(ctx, "SELECT set_config('jeton.mark', 'mine', false)", simple); err != nil {
		return false, err
	}

	for _, text := range []string{"BEGIN", "SELECT 1"} {
		if _, err := second.Exec(ctx, text, simple); err != nil {
			return false, err
		}
	}

	var mark *string
	err := first.QueryRow(ctx, "SELECT current_setting('jeton.mark', true)", simple).Scan(&mark)

	return mark != nil && *mark == "mine", err
}

// parse reads the connection string and adds what every connection needs.
func (c Config) parse() (*pgxpool.Config, error) {
	s, err := pgxpool.ParseConfig(c.URL.Reveal())
	if err != nil {
		file := new(fs.PathError)
		if errors.As(err, &file) {
			return nil, fmt.Errorf("read a TLS file of its URL (sslrootcert, sslcert, sslkey): %w", file)
		}

		// The error of the library may contain the string, and that a password.
		return nil, errors.New("invalid URL of the database: want postgres://USER@HOST:PORT/DATABASE")
	}

	s.MaxConns = int32(c.Connections)
	s.MinConns = 0
	s.MaxConnIdleTime = 5 * time.Minute
	s.ConnConfig.ConnectTimeout = c.Connect
	s.ConnConfig.DialFunc = c.dial
	// A standby lags behind: what was revoked would still look valid there.
	s.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary

	params := s.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "jeton"
	}

	// What a dead node has left open must not hold up the others.
	params["idle_in_transaction_session_timeout"] = "5000"
	params["statement_timeout"] = "10000"
	params["default_transaction_isolation"] = "read committed"
	// There are few statements, and they find rows by key: planning each time takes longer than
	// running them.
	params["plan_cache_mode"] = "force_generic_plan"
	params["jit"] = "off"

	s.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, requireDurable)
		return err
	}

	return s, nil
}

// requireDurable makes commits durable before they are answered, where the database is set to
// less. A setting that waits for standbys as well is kept.
const requireDurable = `SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'`
