package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// keyCommand manages the private keys of clients. 'jeton keys' manages those of the server.
func keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make and rotate the private key of a client: new, rotate",
		Long: `Make and rotate the private key of a client. The private key stays on this machine; the
server gets the public key. ('jeton keys' manages the keys of the server.)`,
		Example: `  jeton key new ci.key
  jeton client add ci --key ci.key.pub --service shop
  jeton login https://shop.example --as ci --key ci.key`,
	}

	c.AddCommand(keyNew(), keyRotate())

	return c
}

// keyAlgorithms are the algorithms of a new key: those that every server accepts.
var keyAlgorithms = []string{string(jose.EdDSA), string(jose.ES256), string(jose.RS256)}

// newKey describes a key that was made.
type newKey struct {
	File      string `json:"file"`
	Public    string `json:"public_file"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
}

// keyNew implements 'jeton key new'. It is the same as two calls of openssl, for machines
// without it.
func keyNew() *cobra.Command {
	var out output
	var alg string

	c := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a private key in FILE, and its public key in FILE.pub",
		Args:  exactArgs("FILE"),
		Long: `Make a private key in FILE (PEM, PKCS #8), readable by its owner only, and its public key
in FILE.pub. Existing files are not overwritten.`,
		Example: `  jeton key new ci.key
  jeton key new ci.key --alg ES256`,
		RunE: func(c *cobra.Command, args []string) error {
			made, err := makeKey(args[0], alg)
			if err != nil {
				return err
			}
			if out.json {
				return printJSON(c.OutOrStdout(), made)
			}

			fmt.Fprintf(
				c.OutOrStdout(), "private key: %s\npublic key:  %s\nkid %s (%s)\n", made.File, made.Public,
				made.ID, made.Algorithm,
			)

			return nil
		},
	}

	out.flags(c)
	c.Flags().StringVar(&alg, "alg", string(jose.EdDSA), "algorithm: "+strings.Join(keyAlgorithms, ", "))

	return c
}

// makeKey makes a key and writes both files. If the second cannot be written, the first is
// removed again. The id is the thumbprint of RFC 7638, which the server computes as well.
func makeKey(file, alg string) (newKey, error) {
	made := newKey{File: file, Public: file + ".pub", Algorithm: alg}
	if !slices.Contains(keyAlgorithms, alg) {
		return made, usage{fmt.Errorf("invalid --alg %q: want %s", alg, strings.Join(keyAlgorithms, ", "))}
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

	// The public key first: a crash in between leaves no private key whose public key is lost.
	if err := writeNew(made.Public, k.Key().PEM(), 0o644); err != nil {
		return made, err
	}
	if err := writeNew(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return made, errors.Join(err, os.Remove(made.Public))
	}

	return made, nil
}

// keyRotate implements 'jeton key rotate'. It can be run again after any failure: the wallet
// uses the new key only when the issuer has accepted it.
func keyRotate() *cobra.Command {
	var as, file string
	c := &cobra.Command{
		Use:   "rotate URL",
		Short: "Rotate an identity's key",
		Args:  exactArgs("URL"),
		Long: `Rotate an identity's key: register the new public key at the issuer, with proofs by the old
and the new key, request a token with the new key, and only then use it. The old key stays
valid at the issuer until an operator retires it: 'jeton client key retire'.`,
		Example: `  jeton key new next.key
  jeton key rotate https://shop.example --as ci --key next.key`,
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return usage{errors.New("name the file of the new key with --key")}
			}

			return asIdentity(c.Context(), args[0], as, func(w *wallet.Wallet, id *wallet.Identity) error {
				if err := w.RotateKey(c.Context(), args[0], id.Name(), file); err != nil {
					return err
				}

				fmt.Fprintf(
					c.OutOrStdout(), "%s now uses key %[3]s at %[2]s\n", id.Name(), id.Origin(),
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
