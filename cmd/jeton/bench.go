package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "bench",
		Short:   "Measure a promise at servers that are up",
		Long:    `Measure a promise of Jeton from outside, at servers that are up.`,
		Example: `  jeton bench revoke https://n1.example:8443 https://n2.example:8443 --user probe --password-file probe.txt`,
	}

	c.AddCommand(benchRevoke())
	return c
}

func benchRevoke() *cobra.Command {
	var out output
	var pw passwordSource
	var b benchFlags

	c := &cobra.Command{
		Use:   "revoke URL [URL…]",
		Short: "Measure how soon nobody is let in any more after a logout",
		Long: `Measure how soon nobody is let in any more after a logout, over all nodes that share a
database, or at a single one.

In each round a person logs in at one node and uses the session at all of them, until each
has it in its memory. Then many connections use it on all nodes as fast as they can, while
it is logged out at one. Of each use that is let through, the instant counts at which its
request was sent, just before the first byte; the logout is acknowledged when its answer
has been read to the end. A round's figure is how much later than that the last request
was sent which was let through: "last accepted - acknowledged". It has to be 0 or less in
every round. If it is not, the command says so and ends with code 1.

Name the nodes themselves, not a balancer in front of them. The route of --path has to be
open to whoever is logged in, and not counted. Each refusal is in the record of the
server, so use a person of their own for this. The clock is this machine's alone.`,
		Example: `  jeton bench revoke https://n1.example:8443 https://n2.example:8443 --user probe --password-file probe.txt
  printf %s "$PASSWORD" | jeton bench revoke https://localhost:8443 --user probe --password-stdin --cacert data/pubkey.pem --rounds 20 -o json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage{fmt.Errorf("name the URL of each node; see '%s --help'", c.CommandPath())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}

			v, err := b.revocation(args)
			if err != nil {
				return err
			}

			v.password, err = pw.read(c, "Password of "+b.user, false)
			if err != nil {
				return err
			}

			v.progress = func(done int) { fmt.Fprintf(c.ErrOrStderr(), "%d of %d rounds\n", done, b.rounds) }
			result, err := v.run(c.Context())
			if err != nil {
				return err
			}

			if asJSON {
				err = printJSON(c.OutOrStdout(), result)
			} else {
				fmt.Fprintf(
					c.OutOrStdout(),
					"%d rounds at %d nodes; %d uses were let through, %d of them too late\n",
					result.Rounds,
					len(result.Nodes),
					result.Accepted,
					result.Late,
				)
				err = out.print(c.OutOrStdout(), nil, []string{"", "MIN", "P50", "P99", "MAX"}, [][]string{
					result.LastAccepted.row("last accepted - acknowledged"), result.Acknowledged.row("logout acknowledged after"),
				})
			}

			return errors.Join(err, result.breach())
		},
	}

	out.flags(c)
	pw.flags(c)
	b.flags(c)

	return c
}

// benchFlags are the flags of jeton bench revoke.
type benchFlags struct {
	user, path, login, logout string
	cacert                    []string
	rounds, connections       int
	after                     time.Duration
	allowHTTP                 bool
}

func (b *benchFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.user, "user", "", "name of the person who logs in")
	f.StringVar(&b.path, "path", "/whoami", "path of a route that is open to whoever is logged in, and not counted")
	f.StringVar(&b.login, "login-path", "", "path of the login (default: as the service tells)")
	f.StringVar(&b.logout, "logout-path", "", "path of the logout (default: as the service tells)")

	f.StringSliceVar(&b.cacert, "cacert", nil, "PEM file of a certificate to trust (may be repeated)")
	f.IntVar(&b.rounds, "rounds", 100, "how often to log in and out")
	f.IntVar(&b.connections, "connections", 8, "connections that use the session at each node")
	f.DurationVar(
		&b.after,
		"after",
		300*time.Millisecond,
		"how long the session is tried on after the answer of the logout; more than the staleness of the nodes",
	)
	f.BoolVar(&b.allowHTTP, "allow-http", false, "accept plain http to another machine")
}

// revocation checks the flags and the nodes.
func (b *benchFlags) revocation(nodes []string) (*revocation, error) {
	switch {
	case b.user == "":
		return nil, usage{errors.New("who logs in? name the person with --user")}
	case b.rounds < 1 || b.connections < 1 || b.connections > 1000 || b.after < 0:
		return nil, usage{errors.New("--rounds and --connections are 1 or more, at most 1000 connections, and --after is not negative")}
	}

	for _, path := range []string{b.path, b.login, b.logout} {
		if u, err := url.ParseRequestURI(path); path != "" && (err != nil || u.Host != "" ||
			path[0] != '/' || strings.ContainsAny(
			path,
			" \r\n",
		)) {
			return nil, usage{fmt.Errorf("%.100q is no path, as in /whoami", path)}
		}
	}

	v := &revocation{
		user:        b.user,
		path:        b.path,
		login:       b.login,
		logout:      b.logout,
		rounds:      b.rounds,
		connections: b.connections,
		after:       b.after,
	}
	for _, node := range nodes {
		u, err := url.Parse(node)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usage{fmt.Errorf("%.100q is no URL of a node, as in https://n1.example:8443", node)}
		}
		if u.Scheme == "http" && !b.allowHTTP && !slices.Contains([]string{
			"localhost",
			"127.0.0.1",
			"::1",
		}, u.Hostname()) {
			return nil, usage{fmt.Errorf(
				"%s is plain http to another machine, where the password would travel in the clear; --allow-http accepts that",
				node,
			)}
		}

		v.nodes = append(v.nodes, u)
	}

	if len(b.cacert) > 0 {
		v.trust = x509.NewCertPool()
	}

	for _, file := range b.cacert {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		if !v.trust.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert: %s holds no certificate in PEM form", file)
		}
	}

	return v, nil
}

// spread is how a figure is spread over the rounds, in microseconds.
type spread struct {
	Min int64 `json:"min"`
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// spreadOf sorts the figures of the rounds. Below is rounded up and above too, so that what
// is a breach stays one.
func spreadOf(figures []time.Duration) spread {
	sorted := slices.Sorted(slices.Values(figures))
	at := func(percent int) int64 {
		d := sorted[(len(sorted)*percent+99)/100-1] // nearest rank
		us := d.Microseconds()
		if d > 0 && time.Duration(us)*time.Microsecond < d {
			us++
		}

		return us
	}

	return spread{
		Min: at(1),
		P50: at(50),
		P99: at(99),
		Max: at(100),
	}
}

func (s spread) row(name string) []string {
	row := []string{name}
	for _, us := range []int64{s.Min, s.P50, s.P99, s.Max} {
		row = append(row, (time.Duration(us) * time.Microsecond).String())
	}
	return row
}
