//go:build !walletonly

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// doctorCommand implements 'jeton doctor'.
func doctorCommand() *cobra.Command {
	var (
		p   place
		out output
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find mistakes in an installation, and name the fix of each",
		Args:  noArgs,
		Long: `Look at the installation of a server, which may be running, and name what to change: the configuration,
owners and modes of files, free space, certificates (end, names, key), the database (answers, schema, damage,
rights of its user), the secret of the signing keys (missing, or of another database), the clock, whether the
issuer's name resolves and answers, and the mail server. Nothing is changed. The exit code is 1 if there are
findings. What could not be examined in time is a note, with the command that does so, and leaves the exit code 0.
Run it as the user of the server.`,
		Example: `  jeton doctor --config /etc/jeton/jeton.yaml
  jeton doctor -o json
  jeton doctor proxy https://app.example/orders --as diane`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		findings := examine(c.Context(), &p)
		return report(c.OutOrStdout(), out, findings)
	}

	withFlags(c, &p, &out)
	c.AddCommand(doctorProxy())

	return c
}

// examine returns what is wrong with an installation. One whose configuration is invalid is not looked at further.
func examine(ctx context.Context, p *place) []doctor.Finding {
	conf, err := p.server()
	if err != nil {
		const fix = "correct it; 'jeton config check' repeats this"
		return []doctor.Finding{{Name: "configuration", Seen: err.Error(), Fix: fix}}
	}

	return server.Examine(ctx, conf)
}

// report prints findings, and returns an error if there are any.
func report(w io.Writer, out output, findings []doctor.Finding) error {
	// Headings over nothing would look like a failure.
	if len(findings) == 0 && !out.json {
		fmt.Fprintln(w, "no findings")
		return nil
	}

	var rows [][]string
	faults := 0
	for _, f := range findings {
		rows = append(rows, []string{f.Name, f.Seen, f.Fix})
		if !f.Note {
			faults++
		}
	}

	err := out.print(w, findings, []string{"FINDING", "SEEN", "CHANGE"}, rows)
	if err != nil {
		return err
	}
	if faults > 0 {
		return exit{exitFailure, plural(faults, "finding")}
	}

	return nil
}

// examined is a proxy to test.
type examined struct {
	place
	output
	as   string
	echo string
	at   string
	ca   string
}

// doctorProxy implements 'jeton doctor proxy'.
func doctorProxy() *cobra.Command {
	var x examined
	c := &cobra.Command{
		Use:   "proxy URL",
		Short: "Test a running proxy that asks Jeton, and name the lines to change",
		Args:  exactArgs("URL"),
		Long: `Test a running proxy that asks Jeton before it passes requests on. The command listens in the place
of the application, which must be stopped meanwhile, and sends through the proxy what attackers send:
headers that claim an identity or an address, other methods, paths and hosts. It compares what arrives
with what may, and names for each mistake the line of the configuration to change.

URL is an address of a service with tokens that --as may open, and that is refused without a credential. The user gets a
token for it, which is revoked at the end. The exit code is 1 if there are findings.`,
		Example: `  jeton doctor proxy https://app.example/orders --as diane --listen 127.0.0.1:3000`,
	}

	c.RunE = withControl(&x.place, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if ctl.offline {
			return exit{exitUnreachable, "no server is running on this data directory; start it first"}
		}

		findings, err := x.run(ctx, ctl, args[0])
		if err != nil {
			return err
		}

		return report(c.OutOrStdout(), x.output, findings)
	})

	f := c.Flags()
	f.StringVar(&x.as, "as", "", "name of the user whose token the probes show")
	f.StringVar(&x.echo, "listen", "127.0.0.1:8080", "address of the application, to which the proxy passes requests")
	f.StringVar(&x.at, "proxy", "", "address and port of the proxy (default: those of URL)")
	f.StringVar(&x.ca, "ca", "", "PEM file with the certificate authority of the proxy")

	return withFlags(c, &x.place, &x.output)
}

// run tests the proxy with a token that it makes and revokes.
func (x *examined) run(ctx context.Context, ctl *control, address string) ([]doctor.Finding, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, usage{fmt.Errorf("invalid URL %.100q: want one such as https://app.example/orders", address)}
	}
	if x.as == "" {
		return nil, usage{errors.New("--as is missing: name a user who may open the URL")}
	}

	trust, err := x.trust()
	if err != nil {
		return nil, err
	}

	// The answer names the service, also where it is a refusal.
	v, err := checked(ctx, ctl, api.Check{URL: address})
	if err != nil {
		return nil, err
	}

	echo, err := net.Listen("tcp", x.echo)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w; stop the application meanwhile", err)
	}
	defer func() { _ = echo.Close() }()

	made, err := x.token(ctx, ctl, v.Service)
	if err != nil {
		return nil, err
	}

	findings, err := x.probe(ctx, ctl, made, doctor.Config{
		URL:   u,
		Token: jeton.NewSecret(made.Secret),
		Echo:  echo,
		Dial:  x.dial(u, trust),
	})

	// Also after an interrupt: the token must not stay valid.
	revoke := "/api/v1/tokens/" + url.PathEscape(made.Accessor)
	revoked := ctl.call(context.WithoutCancel(ctx), http.MethodDelete, revoke, nil, nil)

	return findings, errors.Join(err, revoked)
}

// checked returns what a GET request would get that is not sent.
func checked(ctx context.Context, ctl *control, in api.Check) (v api.TestedToken, err error) {
	in.Method = http.MethodGet
	err = ctl.call(ctx, http.MethodPost, "/api/v1/check", in, &v)
	if err == nil && v.Service == "" {
		err = fmt.Errorf("%w: no service has a route for %s", jeton.ErrNotFound, in.URL)
	}

	return v, err
}

// probe tests the proxy, once Jeton would accept the token.
func (x *examined) probe(
	ctx context.Context,
	ctl *control,
	made api.MadeToken,
	c doctor.Config,
) ([]doctor.Finding, error) {
	v, err := checked(ctx, ctl, api.Check{Token: made.Accessor, URL: c.URL.String()})
	if err != nil {
		return nil, err
	}
	if !v.Allowed || v.Left != nil {
		const text = "%s: Jeton refuses a token of %s (%s), or counts its uses; name another path or user"
		return nil, fmt.Errorf(text, c.URL, x.as, v.Code)
	}

	return doctor.Run(ctx, c)
}

// token makes the token that the probes show.
func (x *examined) token(ctx context.Context, ctl *control, service string) (api.MadeToken, error) {
	var made api.MadeToken
	err := ctl.call(ctx, http.MethodPost, "/api/v1/tokens", api.NewToken{
		User:     x.as,
		Name:     "jeton doctor",
		Services: []string{service},
		Expires:  time.Now().Add(10 * time.Minute),
	}, &made)

	return made, err
}

// trust returns the authorities that may vouch for the proxy; nil: those of the system.
func (x *examined) trust() (*x509.CertPool, error) {
	if x.ca == "" {
		return nil, nil
	}

	pem, err := os.ReadFile(x.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: no certificate in %s", x.ca)
	}

	return pool, nil
}

// dial returns what connects to the proxy.
func (x *examined) dial(u *url.URL, trust *x509.CertPool) func(context.Context) (net.Conn, error) {
	at := x.at
	if at == "" {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		at = net.JoinHostPort(u.Hostname(), port)
	}

	return func(ctx context.Context) (net.Conn, error) {
		if u.Scheme == "http" {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", at)
		}
		d := tls.Dialer{Config: &tls.Config{RootCAs: trust, ServerName: u.Hostname()}}
		return d.DialContext(ctx, "tcp", at)
	}
}
