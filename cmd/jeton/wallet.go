package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func walletCommands() []*cobra.Command {
	return []*cobra.Command{
		loginCommand(),
		callCommand(),
		identitiesCommand(),
		logoutCommand(),
		keyCommand(),
		credentialCommand(),
	}
}

// openWallet opens the caller's wallet.
func openWallet(allowHTTP bool) (*wallet.Wallet, error) {
	c := wallet.Config{AllowHTTP: allowHTTP, Stderr: os.Stderr}
	if term.IsTerminal(int(os.Stdin.Fd())) && os.Getenv("JETON_WALLET_PASSPHRASE") == "ask" {
		c.Passphrase = func(_ context.Context, first bool) (jeton.Secret, error) { return askPassphrase(first) }
	}
	return wallet.Open(c)
}

func askPassphrase(first bool) (jeton.Secret, error) {
	secret, err := ask("Passphrase of the wallet")
	if err != nil || !first {
		return secret, err
	}

	again, err := ask("The same again")
	if err == nil && again.Reveal() != secret.Reveal() {
		err = errors.New("the two passphrases differ")
	}

	return secret, err
}

// choose returns the name of the identity to use at a URL.
func choose(ctx context.Context, w *wallet.Wallet, url, as string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		dir = ""
	}

	name, _, err := w.Select(ctx, url, wallet.Choice{Flag: as, Dir: dir})
	return name, err
}

func loginCommand() *cobra.Command {
	var in wallet.Login
	var pw passwordSource
	var tokens tokenSource
	var caFile, command string
	var allowHTTP, never bool

	c := &cobra.Command{
		Use:   "login URL",
		Short: "Log in at a service and store the session in the wallet",
		Args:  exactArgs("URL"),
		Long: `Log in at a service and store the session in the wallet, under the service's origin and
the name given with --as. Several identities can be logged in at one service at once.

With --key, a client authenticates with a private key instead: the wallet sends the issuer of
the service's tokens an assertion signed by the key, and gets a token, which it sends with
each request and renews. The key stays in its file, which only its owner may open, and is
read again at each use.

With --token-stdin or --token-file, the identity is a personal token, made with 'jeton token
create'. It is stored in the wallet, which cannot renew it.`,
		Example: `  jeton login https://shop.example --as diane
  jeton login https://shop.example --as ci --key ci.key --scope read
  jeton login https://shop.example --as job --token-file job.token
  jeton login https://localhost:5014 --as diane --username Diane --cacert data/pubkey.pem`,
		RunE: func(c *cobra.Command, args []string) error {
			in.URL = args[0]
			in.AllowHTTP = allowHTTP
			w, err := openWallet(allowHTTP)
			if err != nil {
				return err
			}
			defer w.Close()

			if err := readLogin(c, w, &in, &pw, &tokens, caFile, command); err != nil {
				return err
			}
			if never {
				in.Relogin = wallet.ReloginNever
			}

			id, err := w.Login(c.Context(), in)
			if err != nil {
				return err
			}

			fmt.Fprintf(c.OutOrStdout(), "%s is logged in at %s\n", id.Name(), id.Origin())

			return nil
		},
	}

	f := c.Flags()
	f.StringVar(&in.As, "as", "", "name of the identity in the wallet (default: the user name)")
	f.StringVar(
		&in.Username,
		"username",
		"",
		"user name at the service, or client name (default: the name of the identity)",
	)

	f.StringVar(&in.Key, "key", "", "file of a client's private key, PEM or JWK")
	f.StringVar(&in.KeyID, "kid", "", "id of the key at the issuer (default: the kid of a JWK, else the thumbprint)")

	f.StringVar(&in.Algorithm, "alg", "", "signing algorithm (default: by key type)")
	f.StringSliceVar(
		&in.Scope,
		"scope",
		nil,
		"scope to request (may be repeated; default: all that the client is allowed)",
	)

	pw.flags(c)
	tokens.flags(c)
	f.StringVar(
		&command,
		"password-command",
		"",
		"program that prints the password; it runs again when the session has expired",
	)

	f.BoolVar(
		&in.Save,
		"save-password",
		false,
		"store the password in the wallet, and log in again when the session has expired",
	)

	f.BoolVar(&never, "no-relogin", false, "never log in again automatically")
	f.StringVar(&caFile, "cacert", "", "PEM file of the certificate to trust for this identity")
	f.StringVar(&in.LoginPath, "login-path", "", "path of the login form, if the service does not publish it")
	f.BoolVar(&allowHTTP, "allow-http", false, "accept plain http to another machine")

	return c
}

// readLogin completes a login: the certificate, and the token or the password, unless the
// wallet has a password source or the identity has a key.
func readLogin(
	c *cobra.Command,
	w *wallet.Wallet,
	in *wallet.Login,
	pw *passwordSource,
	tokens *tokenSource,
	caFile, command string,
) error {
	if in.As == "" && in.Username == "" {
		return usage{errors.New("name the identity with --as")}
	}

	password := pw.stdin || pw.file != "" || command != "" || in.Save
	if in.Key != "" && password {
		return usage{errors.New("an identity has a key or a password, not both")}
	}
	if tokens.given() && (in.Key != "" || password) {
		return usage{errors.New("an identity has a token, a key or a password; give one of them")}
	}

	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return fmt.Errorf("--cacert: %w", err)
		}
		in.CACert = pem
	}

	if command != "" {
		in.Command = strings.Fields(command)
		return nil
	}

	who := in.Username
	if who == "" {
		who = in.As
	}

	kind := wallet.KindSession
	if !password {
		kind = kindOf(c.Context(), w, in)
	}

	if tokens.given() || in.Key == "" && kind == wallet.KindToken {
		token, err := tokens.read(c, fmt.Sprintf("Token of %s at %s", who, in.URL))
		in.Token = token
		return err
	}

	if in.Key != "" || kind == wallet.KindKey {
		return nil
	}

	secret, err := pw.read(c, fmt.Sprintf("Password of %s at %s", who, in.URL), false)
	in.Password = secret

	return err
}

// kindOf returns the current kind of the identity that logs in.
func kindOf(ctx context.Context, w *wallet.Wallet, in *wallet.Login) wallet.Kind {
	name := in.As
	if name == "" {
		name = in.Username
	}

	id, err := w.Identity(ctx, in.URL, name)
	if err != nil {
		return wallet.KindSession
	}

	return id.Info().Kind
}

func identitiesCommand() *cobra.Command {
	var out output
	c := &cobra.Command{
		Use:     "identities",
		Short:   "List the identities in the wallet",
		Args:    noArgs,
		Example: `  jeton identities`,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := openWallet(false)
			if err != nil {
				return err
			}
			defer w.Close()

			list, err := w.Identities(c.Context())
			if err != nil {
				return err
			}

			var rows [][]string
			for _, id := range list {
				rows = append(rows, []string{
					string(id.Origin),
					id.Name,
					id.Username,
					state(id),
					uses(id.Uses),
					when(id.LoggedIn),
					when(id.Expires),
					string(id.Kind),
					dash(id.Issuer),
				})
			}

			if list == nil {
				list = []wallet.Info{}
			}

			return out.print(c.OutOrStdout(), list, []string{
				"ORIGIN",
				"IDENTITY",
				"USER",
				"STATE",
				"USES LEFT",
				"SINCE",
				"EXPIRES",
				"KIND",
				"ISSUER",
			}, rows)
		},
	}

	return withFlags(c, &out)
}

func state(id wallet.Info) string {
	if id.SignedIn {
		return "logged in"
	}
	return "needs login"
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func uses(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func logoutCommand() *cobra.Command {
	var as string
	var forget bool

	c := &cobra.Command{
		Use:   "logout URL",
		Short: "End a session or revoke a token, and remove it from the wallet",
		Args:  exactArgs("URL"),
		Long: `End a session or revoke a token, and remove it from the wallet. The identity stays, and so
does its key: the next login takes only 'jeton login URL --as NAME'.

A personal token is removed from the wallet and not revoked: it is valid until it expires or
'jeton token revoke' revokes it.`,
		Example: `  jeton logout https://shop.example --as diane`,
		RunE: func(c *cobra.Command, args []string) error {
			w, err := openWallet(false)
			if err != nil {
				return err
			}
			defer w.Close()

			name, err := choose(c.Context(), w, args[0], as)
			if err != nil {
				return err
			}

			id, err := w.Identity(c.Context(), args[0], name)
			if err != nil {
				return err
			}

			kind := id.Info().Kind
			if err := w.Logout(c.Context(), args[0], name); err != nil && !forget {
				return fmt.Errorf("%w (--forget removes the identity without contacting the server)", err)
			}

			if forget {
				if err := w.Forget(c.Context(), args[0], name); err != nil {
					return err
				}
			}

			fmt.Fprintf(c.OutOrStdout(), "%s is logged out at %s\n", name, args[0])
			if kind == wallet.KindToken {
				fmt.Fprintln(
					c.ErrOrStderr(),
					"its token was removed from the wallet and not revoked; 'jeton token revoke' revokes it",
				)
			}

			return nil
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")
	c.Flags().BoolVar(&forget, "forget", false, "also remove the identity from the wallet")

	return c
}
