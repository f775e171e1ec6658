package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// walletCommands returns the commands of the caller's side. They need neither a configuration
// nor a data directory of a server.
func walletCommands() []*cobra.Command {
	return []*cobra.Command{
		loginCommand(),
		callCommand(),
		runCommand(),
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
	if term.IsTerminal(int(os.Stdin.Fd())) {
		c.Confirm = func(_ context.Context, p wallet.Pairing) (bool, error) {
			return confirmPairing(os.Stdin, os.Stderr, p)
		}
	}

	return wallet.Open(c)
}

// confirmPairing asks the user whether the issuer and the audience that a service names are right.
func confirmPairing(in io.Reader, out io.Writer, p wallet.Pairing) (bool, error) {
	fmt.Fprintf(out, "%s names\n  issuer   %s\n  audience %s\n", p.Service, oneLine(p.Issuer), oneLine(p.Audience))
	if p.Other != "" {
		fmt.Fprintf(out, "The wallet uses them for %s: a token for one of the two is valid at the other.\n", p.Other)
	}
	fmt.Fprint(out, "If they are another service's, it could use your tokens there. Are they right? [y/N] ")

	answer, err := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the answer: %w", err)
	}

	answer = strings.ToLower(strings.TrimSpace(answer))

	return answer == "y" || answer == "yes", nil
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

// identityAt returns the identity to use at a URL.
func identityAt(ctx context.Context, w *wallet.Wallet, url, as string) (*wallet.Identity, error) {
	name, err := choose(ctx, w, url, as)
	if err != nil {
		return nil, err
	}

	return w.Identity(ctx, url, name)
}

// asIdentity runs do with the identity that is chosen for a URL.
func asIdentity(ctx context.Context, url, as string, do func(*wallet.Wallet, *wallet.Identity) error) error {
	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	id, err := identityAt(ctx, w, url, as)
	if err != nil {
		return err
	}

	return do(w, id)
}

// identitiesCommand implements 'jeton identities'. It contacts no server: the state and the
// uses left are those of the last response.
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
					whenKnown(id.Expires),
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

// state is the column STATE of an identity.
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

// uses is the column USES LEFT of an identity; nil means that the server does not count.
func uses(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// logoutCommand implements 'jeton logout'.
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
			return asIdentity(c.Context(), args[0], as, func(w *wallet.Wallet, id *wallet.Identity) error {
				return logout(c, w, id, forget)
			})
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")
	c.Flags().BoolVar(&forget, "forget", false, "also remove the identity from the wallet")

	return c
}

// logout ends the session or revokes the token at its server, then removes it from the wallet.
// If the server cannot be reached, only --forget removes it: a credential that stays valid is
// better listed than forgotten.
func logout(c *cobra.Command, w *wallet.Wallet, id *wallet.Identity, forget bool) error {
	url := string(id.Origin())
	kind := id.Info().Kind // before it is removed

	// With --forget the identity goes even if the server cannot be reached.
	if err := w.Logout(c.Context(), url, id.Name()); err != nil && !forget {
		return fmt.Errorf("%w (--forget removes the identity without contacting the server)", err)
	}

	if forget {
		if err := w.Forget(c.Context(), url, id.Name()); err != nil {
			return err
		}
	}

	fmt.Fprintf(c.OutOrStdout(), "%s is logged out at %s\n", id.Name(), url)
	if kind == wallet.KindToken {
		fmt.Fprintln(
			c.ErrOrStderr(),
			"its token was removed from the wallet and not revoked; 'jeton token revoke' revokes it",
		)
	}

	return nil
}
