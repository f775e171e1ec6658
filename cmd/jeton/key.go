package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// keyCommand manages the private keys of software. Those of the server are 'jeton keys'.
func keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make and rotate the private key of software: new, rotate",
		Long: `Make and rotate the private key that software proves itself by. The private key stays where
it is made; the server gets the public one. ('jeton keys' is about the keys of the server.)`,
		Example: `  jeton key new ci.key
  jeton client add ci --key ci.key.pub --service shop
  jeton login https://shop.example --as ci --key ci.key`,
	}

	c.AddCommand(keyNew(), keyRotate())

	return c
}

// keyAlgorithms are those that a new key can be for: what every server takes.
var keyAlgorithms = []string{string(jose.EdDSA), string(jose.ES256), string(jose.RS256)}

// newKey is what is told about a key that was made.
type newKey struct {
	File      string `json:"file"`
	Public    string `json:"public_file"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
}

func keyNew() *cobra.Command {
	var out output
	var alg string

	c := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a private key, and FILE.pub with the public one",
		Args:  exactArgs("FILE"),
		Long: `Make a private key: FILE gets it in PEM (PKCS #8), readable by its owner only, and FILE.pub
the public one. A file that is there is not overwritten.`,
		Example: `  jeton key new ci.key
  jeton key new ci.key --alg ES256`,
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}

			made, err := makeKey(args[0], alg)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), made)
			}

			fmt.Fprintf(
				c.OutOrStdout(),
				"private key: %s\npublic key:  %s\nkid %s (%s)\n",
				made.File,
				made.Public,
				made.ID,
				made.Algorithm,
			)

			return nil
		},
	}

	out.flags(c)
	c.Flags().StringVar(&alg, "alg", string(jose.EdDSA), "algorithm: "+strings.Join(keyAlgorithms, ", "))

	return c
}

func makeKey(file, alg string) (newKey, error) {
	made := newKey{File: file, Public: file + ".pub", Algorithm: alg}
	if !slices.Contains(keyAlgorithms, alg) {
		return made, usage{fmt.Errorf("--alg is one of %s, not %q", strings.Join(keyAlgorithms, ", "), alg)}
	}

	k, err := jose.Generate(jose.Alg(alg))
	if err != nil {
		return made, err
	}

	made.ID = k.Key().ID
	der, err := k.MarshalPKCS8()
	if err != nil {
		return made, fmt.Errorf("encode private key: %w", err)
	}

	if err := writeNew(made.Public, k.Key().PEM(), 0o644); err != nil {
		return made, err
	}
	if err := writeNew(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return made, errors.Join(err, os.Remove(made.Public))
	}

	return made, nil
}

// writeNew writes a file that must not be there yet, and leaves none that is cut short.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return jeton.WithDetail(jeton.ErrConflict, path+" is there already; name another file")
	}
	if err != nil {
		return err
	}

	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}

	return err
}

func keyRotate() *cobra.Command {
	var as, file string
	c := &cobra.Command{
		Use:   "rotate URL",
		Short: "Make an identity prove itself by another key",
		Args:  exactArgs("URL"),
		Long: `Make an identity prove itself by another key: the public key is registered at the issuer,
proved by the old key and by the new one, a token is got with the new key, and only then
does the identity use it. The old key stays good at the issuer until an operator retires
it: 'jeton client key retire'.`,
		Example: `  jeton key new next.key
  jeton key rotate https://shop.example --as ci --key next.key`,
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return usage{errors.New("which key is next? name its file with --key")}
			}

			return asIdentity(c.Context(), args[0], as, func(w *wallet.Wallet, id *wallet.Identity) error {
				if err := w.RotateKey(c.Context(), args[0], id.Name(), file); err != nil {
					return err
				}
				fmt.Fprintf(
					c.OutOrStdout(),
					"%s proves itself at %s by key %s now\n",
					id.Name(),
					id.Origin(),
					oneLine(id.Info().KeyID),
				)
				return nil
			})
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")
	c.Flags().StringVar(&file, "key", "", "file of the new private key")

	return c
}

// asIdentity does something as the identity that acts at a URL.
func asIdentity(ctx context.Context, url, as string, do func(*wallet.Wallet, *wallet.Identity) error) error {
	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	name, err := choose(ctx, w, url, as)
	if err != nil {
		return err
	}

	id, err := w.Identity(ctx, url, name)
	if err != nil {
		return err
	}

	return do(w, id)
}

// printedToken is a token for a program, which asked for the secret in it.
type printedToken struct {
	Token     string    `json:"access_token"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires_at,omitzero"`
}

func tokenPrint() *cobra.Command {
	var out output
	var as string

	c := &cobra.Command{
		Use:   "print URL",
		Short: "Print the access token of an identity of the wallet",
		Args:  exactArgs("URL"),
		Long: `Print the access token of an identity that proves itself by a key, a new one when it is
time for that, or the token that an identity was handed. Standard output gets the token
alone; standard error says how long it is good, where that is known. Where 'jeton call' does, prefer it: it sends the token to the service only.`,
		Example: `  jeton token print --as ci https://shop.example
  curl -H "Authorization: Bearer $(jeton token print --as ci https://shop.example)" https://shop.example/orders`,
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}

			return asIdentity(c.Context(), args[0], as, func(_ *wallet.Wallet, id *wallet.Identity) error {
				t, err := id.Token(c.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), printedToken{t.Text.Reveal(), t.Opens, t.Expires})
				}

				fmt.Fprintln(c.OutOrStdout(), t.Text.Reveal())
				if !t.Opens.IsZero() {
					fmt.Fprintln(c.ErrOrStderr(), "good from", when(t.Opens))
				}
				if !t.Expires.IsZero() {
					fmt.Fprintln(c.ErrOrStderr(), "good until", when(t.Expires))
				}

				return nil
			})
		},
	}

	out.flags(c)
	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}
