//go:build !walletonly

package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"

	"github.com/spf13/cobra"
)

// clientKey implements 'jeton client key'. A client may have several keys at a time, which
// makes a rotation without an interruption possible.
func clientKey() *cobra.Command {
	c := &cobra.Command{
		Use:     "key",
		Short:   "Add and retire public keys of a client",
		Example: `  jeton client key add reports-job new.pub`,
	}

	c.AddCommand(clientKeyAdd(), clientKeyRetire())
	return c
}

// clientKeyFlags are the flags of 'jeton client key add'.
type clientKeyFlags struct {
	place   place
	out     output
	request api.NewClientKey
}

// flags has no key size and no usage: both come from the key itself.
func (k *clientKeyFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.request.ID, "kid", "", "id of the key (default: the kid of a JWK, else the thumbprint of RFC 7638)")
	f.StringVar(
		&k.request.Algorithm, "alg", "",
		"signing algorithm (default: the alg of a JWK, else EdDSA, ES256/384/512 or RS256 by key type)",
	)

	f.Var((*timeFlag)(&k.request.NotBefore), "not-before", "start of validity, such as 2026-03-01T12:00:00Z")
	f.Var((*timeFlag)(&k.request.NotAfter), "not-after", "end of validity")
}

// clientKeyAdd implements 'jeton client key add'. It reads the key before it opens the data
// directory, so that the directory is not locked while a key is piped in.
func clientKeyAdd() *cobra.Command {
	var k clientKeyFlags

	c := &cobra.Command{
		Use:   "add NAME FILE",
		Short: "Register a public key",
		Args:  exactArgs("NAME", "FILE"),
		Long: `Register a public key: PEM or JWK, from a file or standard input (-). The client's other
keys stay valid: add the new key, let the client sign with it, then retire the old one.`,
		Example: `  openssl pkey -in reports.key -pubout | jeton client key add reports-job -
  jeton client key add reports-job new.pub --kid 2026-03 --not-before 2026-03-01T00:00:00Z`,
	}

	c.RunE = func(c *cobra.Command, args []string) (err error) {
		k.request.Key, err = readKey(c.InOrStdin(), args[1])
		if err != nil {
			return err
		}

		return withControl(&k.place, k.add)(c, args)
	}

	return withFlags(c, &k.place, &k.out, &k)
}

// add registers the key and prints its id and algorithm, which the server chooses if no flag
// does.
func (k *clientKeyFlags) add(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
	var key jeton.ClientKey
	if err := ctl.call(ctx, http.MethodPost, clientPath(args[0], "keys"), k.request, &key); err != nil {
		return named(err, "client "+args[0])
	}

	if k.out.json {
		return printJSON(c.OutOrStdout(), key)
	}

	fmt.Fprintf(
		c.OutOrStdout(), "added key %s (%s) to client %s %s\n", oneLine(key.ID), key.Algorithm, args[0],
		ctl.where,
	)

	return nil
}

// clientKeyRetire implements 'jeton client key retire'. Retiring does not revoke tokens by
// itself: at a planned rotation the job that has one goes on working.
func clientKeyRetire() *cobra.Command {
	var p place
	var end bool

	c := &cobra.Command{
		Use:   "retire NAME KID",
		Short: "Retire a client key",
		Args:  exactArgs("NAME", "KID"),
		Long: `Retire a client key permanently: it no longer authenticates the client. Tokens issued
before stay valid until they expire; if the key was stolen, revoke them with --end-tokens.`,
		Example: `  jeton client key retire reports-job 2025-03
  jeton client key retire reports-job 2025-03 --end-tokens`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		return change{
			method:  http.MethodDelete,
			path:    clientPath(args[0], "keys", args[1]) + ending(end),
			subject: "client " + args[0],
			done:    fmt.Sprintf("retired key %s of client %s", args[1], args[0]),
		}, nil
	})

	p.flags(c)
	c.Flags().BoolVar(&end, "end-tokens", false, endTokensHelp)

	return c
}

// maxKeyInput bounds the file of a key, in bytes.
const maxKeyInput = 32 << 10

// readKey reads a public key from a file, or from standard input ("-"). A private key does not
// leave this process.
func readKey(stdin io.Reader, file string) (string, error) {
	in, err := openInput(stdin, file)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	defer in.Close()

	text, err := io.ReadAll(io.LimitReader(in, maxKeyInput+1))
	if err != nil {
		return "", fmt.Errorf("read key from %s: %w", file, err)
	}
	if len(text) > maxKeyInput {
		return "", usage{fmt.Errorf("%s is over 32 KiB and holds more than a key", file)}
	}

	text = jose.TrimBOM(text)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return "", usage{fmt.Errorf(
				"%s holds a private key, which only the client may have; print the public key with\n"+
					"  openssl pkey -in %s -pubout",
				file,
				file,
			)}
		}
	}

	if _, err := jose.ParseKey(text, "", ""); err != nil {
		return "", usage{fmt.Errorf("key in %s: %w", file, err)}
	}

	return string(bytes.TrimSpace(text)), nil
}
