package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// loginFlags are the flags of 'jeton login'.
type loginFlags struct {
	in       wallet.Login
	password passwordSource
	token    tokenSource
	browser  browserFlags
	command  string
	caFile   string
	workload string
	source   string
	never    bool
}

// loginCommand implements 'jeton login'.
func loginCommand() *cobra.Command {
	var l loginFlags

	c := &cobra.Command{
		Use:   "login URL",
		Short: "Log in at a service and store the session in the wallet",
		Args:  exactArgs("URL"),
		Long: `Log in at a service and store the session in the wallet, under the service's origin and
the name given with --as. Several identities can be logged in at one service at once.

Without --as and without a credential, or with --browser, you sign in with the browser: at the
issuer of the service's tokens, or at any OpenID provider (--client-id, and --issuer unless the
service names it, as in RFC 9728). No password is typed into the terminal. The wallet stores
tokens that are valid at this service alone, and refreshes them. The identity has your name at
the issuer, or that of --as. The program in the environment variable BROWSER is the browser;
--no-browser prints the address instead. With --device, on a machine without a browser, you type
a code into a browser on any other one; name the issuer with --issuer, or confirm the one that
the service names: a hostile service could have you sign in for it.

With --key, a client authenticates with a private key instead: the wallet sends the issuer of
the service's tokens an assertion signed by the key, and gets a token, which it sends with
each request and renews. The key stays in its file, which only its owner may open, and is
read again at each use. The service names the issuer and the audience of its tokens. A
hostile service could name another's, and would get tokens that are valid there: at the first
login you confirm both, on the terminal or with --issuer and --audience. A service that issues
its own tokens, at the same origin, needs no confirmation.

With --workload, software that runs on a platform needs no key: it exchanges the token that
the platform gives it for one of a client, by the rules in issuer.workloads of the server.
github: GitHub Actions, in a job with the permission id-token: write; gitlab: an id_token in
the variable JETON_ID_TOKEN; kubernetes: a projected token of a service account; file: any
other file, such as one with a JWT-SVID. --workload-source names another variable or file. The
token is read again at each renewal, and not stored. --username names the client if rules for
several match. Issuer and audience are confirmed as for a key.

With --token-stdin or --token-file, the identity is a personal token, made with 'jeton token
create'. It is stored in the wallet, which cannot renew it.`,
		Example: `  jeton login https://shop.example
  jeton login https://shop.example --as diane
  jeton login https://shop.example --device --issuer https://auth.example
  jeton login https://shop.example --as ci --key ci.key --issuer https://auth.example --audience shop
  jeton login https://shop.example --as ci --workload github --issuer https://auth.example --audience shop
  jeton login https://shop.example --as job --token-file job.token
  jeton login https://localhost:5014 --as diane --username Diane --cacert data/pubkey.pem`,
		RunE: func(c *cobra.Command, args []string) error { return l.run(c, args[0]) },
	}

	return withFlags(c, &l.password, &l.token, &l.browser, &l)
}

func (l *loginFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.in.As, "as", "", "name of the identity in the wallet (default: the user name)")
	f.StringVar(
		&l.in.Username, "username", "",
		"user name at the service, or client name (default: the name of the identity; with --workload, none)",
	)

	f.StringVar(&l.in.Key, "key", "", "file of a client's private key, PEM or JWK")
	f.StringVar(&l.in.KeyID, "kid", "", "id of the key at the issuer (default: the kid of a JWK, else the thumbprint)")

	f.StringVar(
		&l.workload, "workload", "",
		"platform whose token the software has: github, gitlab, kubernetes or file",
	)
	f.StringVar(
		&l.source, "workload-source", "",
		"variable (gitlab) or file (kubernetes, file) with the token of the platform",
	)

	f.StringVar(&l.in.Algorithm, "alg", "", "signing algorithm (default: by key type)")
	f.StringSliceVar(
		&l.in.Scope, "scope", nil,
		"scope to request (may be repeated; default: with --key all that the client is allowed)",
	)

	f.StringVar(
		&l.in.Issuer, "issuer", "",
		"issuer of the service's tokens (default: the one that the service names)",
	)

	f.StringVar(
		&l.in.Audience, "audience", "",
		"audience of the service's tokens (default: with --key the one that the service names, else its address)",
	)

	f.StringVar(
		&l.command, "password-command", "",
		"program that prints the password; it runs again when the session has expired",
	)

	f.BoolVar(
		&l.in.Save, "save-password", false,
		"store the password in the wallet, and log in again when the session has expired",
	)

	f.BoolVar(&l.never, "no-relogin", false, "never log in again automatically")
	f.StringVar(&l.caFile, "cacert", "", "PEM file of the certificate to trust for this identity")
	f.StringVar(&l.in.LoginPath, "login-path", "", "path of the login form, if the service does not publish it")
	f.BoolVar(&l.in.AllowHTTP, "allow-http", false, "accept plain http to another machine")
}

// run opens the wallet first: a wallet that cannot be opened is no reason to ask for a
// password.
func (l *loginFlags) run(c *cobra.Command, url string) error {
	w, err := openWallet(l.in.AllowHTTP)
	if err != nil {
		return err
	}
	defer w.Close()

	l.in.URL = url
	if l.never {
		l.in.Relogin = wallet.ReloginNever
	}

	if err := l.check(); err != nil {
		return err
	}
	if l.workload != "" {
		l.in.Workload = &wallet.Workload{
			Platform: wallet.Platform(l.workload),
			Source:   l.source,
			Client:   l.in.Username,
		}
	}
	if err := l.readCACert(); err != nil {
		return err
	}
	if err := l.readSecret(c, w); err != nil {
		return err
	}

	id, err := w.Login(c.Context(), l.in)
	if err != nil {
		return err
	}

	fmt.Fprintf(c.OutOrStdout(), "%s is logged in at %s\n", id.Name(), id.Origin())

	return nil
}

// hasPassword reports whether a flag is about a password.
func (l *loginFlags) hasPassword() bool {
	return l.password.stdin || l.password.file != "" || l.command != "" || l.in.Save
}

// check refuses flags of more than one kind of credential: the wallet sends exactly one for an
// identity, and it must not depend on an order which.
func (l *loginFlags) check() error {
	named := l.in.As != "" || l.in.Username != ""
	otherwise := l.in.Key != "" || l.workload != "" || l.hasPassword() || l.token.given()
	switch {
	case otherwise && l.browser.given():
		return errBrowser
	case otherwise && !named:
		return usage{errors.New("name the identity with --as")}
	case l.source != "" && l.workload == "":
		return usage{errors.New("--workload-source goes with --workload")}
	case l.workload != "" && (l.in.Key != "" || l.hasPassword() || l.token.given()):
		return usage{errors.New("--workload is the credential; give no key, token or password with it")}
	case l.in.Key != "" && l.hasPassword():
		return usage{errors.New("an identity has a key or a password, not both")}
	case l.token.given() && (l.in.Key != "" || l.hasPassword()):
		return usage{errors.New("an identity has a token, a key or a password; give one of them")}
	}

	return nil
}

// readCACert reads the file now, for the wallet stores the certificate itself: the file may be
// gone at the next call.
func (l *loginFlags) readCACert() (err error) {
	if l.caFile == "" {
		return nil
	}

	l.in.CACert, err = os.ReadFile(l.caFile)
	if err != nil {
		return fmt.Errorf("--cacert: %w", err)
	}

	return nil
}

// readSecret reads the token or the password. An identity with a key needs none, and a password
// command is run by the wallet.
func (l *loginFlags) readSecret(c *cobra.Command, w *wallet.Wallet) (err error) {
	if l.workload != "" {
		return nil
	}
	if l.command != "" {
		l.in.Command = strings.Fields(l.command)
		return nil
	}

	named := l.in.As != "" || l.in.Username != ""
	if l.browser.given() || !named {
		l.in.SignIn = l.browser.signIn(c.ErrOrStderr())
		return nil
	}

	// Without a flag the identity logs in as before: with its key, its token, the browser or its password.
	kind := wallet.KindSession
	if !l.hasPassword() {
		kind = l.currentKind(c.Context(), w)
	}

	who := fmt.Sprintf("%s at %s", cmp.Or(l.in.Username, l.in.As), l.in.URL)
	switch {
	case kind == wallet.KindSignIn && l.in.Key == "" && !l.token.given():
		l.in.SignIn = l.browser.signIn(c.ErrOrStderr())
	case l.token.given() || l.in.Key == "" && kind == wallet.KindToken:
		l.in.Token, err = l.token.read(c, "Token of "+who)
	case l.in.Key == "" && kind != wallet.KindKey && kind != wallet.KindWorkload:
		l.in.Password, err = l.password.read(c, "Password of "+who, false)
	}

	return err
}

// currentKind returns the kind of the identity in the wallet; a new identity gets a session.
func (l *loginFlags) currentKind(ctx context.Context, w *wallet.Wallet) wallet.Kind {
	id, err := w.Identity(ctx, l.in.URL, cmp.Or(l.in.As, l.in.Username))
	if err != nil {
		return wallet.KindSession
	}

	return id.Info().Kind
}
