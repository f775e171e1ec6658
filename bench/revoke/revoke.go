// Package revoke measures how soon a session is refused after its logout, over all
// nodes of a running server.
//
// It works from outside, as a client does, and needs no access to the nodes. A round
// whose session was accepted after the answer to its logout makes the command fail.
package revoke

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// help explains the figure, because its sign decides: 0 or less keeps the promise.
const help = `Measure how soon a session is refused after its logout, over all nodes that
share a database, or at a single one.

  go -C bench run . revoke https://n1.example:8443 https://n2.example:8443 --user probe --password-file probe.txt
  go -C bench run . revoke https://localhost:8443 --user probe --password-stdin --rounds 20 --json <password.txt

In each round a user logs in at one node and uses the session at all of them, until each
node has it in its cache. Then many connections use it on all nodes as fast as they can,
while it is logged out at one. A use that is accepted counts with the instant just before
the first byte of its request; the logout is acknowledged when its answer has been read to
the end. The figure of a round is how much later than that the last accepted request was
sent: "last accepted - acknowledged". It must be 0 or less in every round. If it is not,
the command says so and exits with code 1.

Name the nodes themselves, not a balancer in front of them. The route of --path must be
open to every user, and not counted. Each refusal is in the audit log of the server, so
use a separate user. Only the clock of this machine is used.

`

// Streams are what the command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command with its arguments.
func Run(ctx context.Context, args []string, std Streams) error {
	var o options

	nodes, err := o.parse(args, std.Err)
	if err != nil {
		return err
	}

	m, err := o.measurement(nodes)
	if err != nil {
		return err
	}

	m.password, err = o.password(std.In)
	if err != nil {
		return err
	}

	m.progress = func(done int) { fmt.Fprintf(std.Err, "%d of %d rounds\n", done, o.rounds) }
	result, err := m.run(ctx)
	if err != nil {
		return err
	}

	if o.json {
		err = result.writeJSON(std.Out)
	} else {
		err = result.writeTable(std.Out)
	}

	// After the table: the figures are wanted most when the promise is broken.
	return errors.Join(err, result.breach())
}

// options are the flags of the command.
type options struct {
	user, path, login, logout string
	passwordFile              string
	passwordStdin             bool
	cacert                    []string
	rounds, connections       int
	after                     time.Duration
	allowHTTP                 bool
	json                      bool
}

// parse reads flags and node URLs, in any order.
func (o *options) parse(args []string, stderr io.Writer) ([]string, error) {
	f := flag.NewFlagSet("revoke", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		_, _ = io.WriteString(stderr, help)
		f.PrintDefaults()
	}

	f.StringVar(&o.user, "user", "", "name of the user who logs in")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from the standard input")
	f.StringVar(&o.path, "path", "/whoami", "path of a route that is open to every user, and not counted")
	f.StringVar(&o.login, "login-path", "", "path of the login (default: what the service reports)")
	f.StringVar(&o.logout, "logout-path", "", "path of the logout (default: what the service reports)")
	f.Func("cacert", "PEM file of a certificate to trust (may be repeated)", func(file string) error {
		o.cacert = append(o.cacert, file)
		return nil
	})
	f.IntVar(&o.rounds, "rounds", 100, "how often to log in and out")
	f.IntVar(&o.connections, "connections", 8, "connections that use the session at each node")
	f.DurationVar(&o.after, "after", 300*time.Millisecond,
		"how long the session is tried after the answer to the logout; more than the staleness of the nodes")
	f.BoolVar(&o.allowHTTP, "allow-http", false, "accept plain http to another machine")
	f.BoolVar(&o.json, "json", false, "print JSON instead of a table")

	var nodes []string
	for {
		err := f.Parse(args)
		if err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return nodes, nil
		}

		nodes = append(nodes, f.Arg(0))
		args = f.Args()[1:]
	}
}

// password reads the password of the user.
func (o *options) password(stdin io.Reader) (jeton.Secret, error) {
	var text []byte
	var err error
	if o.passwordStdin {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(o.passwordFile)
	}
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read the password: %w", err)
	}

	return jeton.NewSecret(string(bytes.TrimRight(text, "\r\n"))), nil
}

// measurement checks the flags and the nodes.
func (o *options) measurement(nodes []string) (*measurement, error) {
	switch {
	case len(nodes) == 0:
		return nil, errors.New("name the URL of each node; see --help")
	case o.user == "":
		return nil, errors.New("name the user who logs in with --user")
	case o.passwordStdin == (o.passwordFile != ""):
		return nil, errors.New("give the password with either --password-file or --password-stdin")
	case o.rounds < 1 || o.connections < 1 || o.connections > 1000 || o.after < 0:
		return nil, errors.New("--rounds and --connections must be 1 or more, --connections at most 1000, " +
			"and --after must not be negative")
	}

	for _, path := range []string{o.path, o.login, o.logout} {
		if path != "" && !validPath(path) {
			return nil, fmt.Errorf("invalid path %.100q: want one as in /whoami", path)
		}
	}

	m := &measurement{
		user:        o.user,
		path:        o.path,
		login:       o.login,
		logout:      o.logout,
		rounds:      o.rounds,
		connections: o.connections,
		after:       o.after,
	}

	for _, node := range nodes {
		u, err := o.node(node)
		if err != nil {
			return nil, err
		}
		m.nodes = append(m.nodes, u)
	}

	var err error
	m.trust, err = o.trust()

	return m, err
}

// validPath keeps a path from ending the request line early.
func validPath(path string) bool {
	u, err := url.ParseRequestURI(path)
	return err == nil && u.Host == "" && path[0] == '/' && !strings.ContainsAny(path, " \r\n")
}

// node parses the URL of a node.
func (o *options) node(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("invalid URL %.100q of a node: want one as in https://n1.example:8443", text)
	}

	local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if u.Scheme == "http" && !o.allowHTTP && !local {
		return nil, fmt.Errorf("%s would send the password as plain http to another machine; "+
			"--allow-http accepts that", text)
	}

	return u, nil
}

// trust reads the certificates of --cacert. Without any, the system's are trusted.
func (o *options) trust() (*x509.CertPool, error) {
	if len(o.cacert) == 0 {
		return nil, nil
	}

	pool := x509.NewCertPool()
	for _, file := range o.cacert {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert: %s contains no certificate in PEM form", file)
		}
	}

	return pool, nil
}
