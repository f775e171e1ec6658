package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// dockerNone is the message by which docker recognises that there is no credential
// (docker-credential-helpers, credentials/error.go).
const dockerNone = "credentials not found in native keychain"

// credentialDocker implements 'jeton credential docker'. A mistake in how it was called goes
// to standard error, as with every command; all other errors go to standard output, where
// docker expects them.
func credentialDocker() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "docker OPERATION",
		Short: "Credential helper for docker: get, list, store, erase, version",
		Args:  exactArgs("OPERATION"),
		Long: `The credential helper protocol of docker, podman and helm. The operation get prints the token
of the identity that is chosen for the registry, as a password.

'docker login' and 'docker logout' do not change the wallet, which other programs use, too.
Their operations store and erase fail and name the command to run: 'jeton login' or
'jeton logout'. Errors go to standard output, as the protocol wants.`,
		Example: `  ln -s "$(command -v jeton)" ~/.local/bin/docker-credential-jeton
  echo registry.example | jeton credential docker get`,
		RunE: func(c *cobra.Command, args []string) error {
			err := dockerHelper(c.Context(), args[0], as, c.InOrStdin(), c.OutOrStdout())
			var mistake usage
			if err == nil || errors.As(err, &mistake) {
				return err
			}

			fmt.Fprintln(c.OutOrStdout(), err)
			return exit{code: exitFailure}
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

// dockerHelper runs one operation. Those without input, version and list, do not wait for it.
func dockerHelper(ctx context.Context, operation, as string, in io.Reader, out io.Writer) error {
	if operation == "version" {
		fmt.Fprintln(out, "docker-credential-jeton", version())
		return nil
	}

	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	d := docker{w, as}
	if operation == "list" {
		list, err := d.list(ctx)
		if err != nil {
			return err
		}
		return printJSON(out, list)
	}

	text, err := readInput(in)
	if err != nil {
		return err
	}

	switch operation {
	case "get":
		cred, err := d.get(ctx, string(text))
		if err != nil {
			return err
		}
		return printJSON(out, cred)
	case "store":
		return d.store(ctx, text)
	case "erase":
		return d.erase(ctx, string(text))
	}

	return usage{fmt.Errorf("unknown operation %q: want get, list, store, erase or version", operation)}
}

// dockerCredential is a credential in docker's JSON form.
type dockerCredential struct {
	ServerURL string
	Username  string
	Secret    string
}

// docker serves docker's operations from a wallet.
type docker struct {
	w  *wallet.Wallet
	as string
}

// dockerOrigins returns the possible origins of a registry, which docker names by a URL or a host.
// https comes first: a token goes over plain http only if the wallet has no identity at https.
func dockerOrigins(server string) []wallet.Origin {
	server = strings.TrimSpace(server)
	candidates := []string{"https://" + server, "http://" + server}
	if strings.Contains(server, "://") {
		candidates = []string{server}
	}

	var list []wallet.Origin
	for _, text := range candidates {
		if o, err := wallet.ParseOrigin(text); err == nil {
			list = append(list, o)
		}
	}

	return list
}

// find returns the identity that is chosen for a registry, or nil if the wallet has none there.
func (d docker) find(ctx context.Context, server string) (*wallet.Identity, error) {
	for _, o := range dockerOrigins(server) {
		list, err := heldAt(ctx, d.w, o)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}

		return identityAt(ctx, d.w, string(o), d.as)
	}

	return nil, nil
}

// get returns the credential for a registry. Without an identity its error is dockerNone: for
// any other text docker would stop instead of going on without a credential.
func (d docker) get(ctx context.Context, server string) (dockerCredential, error) {
	id, err := d.find(ctx, server)
	if err != nil {
		return dockerCredential{}, err
	}
	if id == nil {
		return dockerCredential{}, errors.New(dockerNone)
	}

	cred, err := credentialOf(ctx, id)
	return dockerCredential{strings.TrimSpace(server), cred.name, cred.token.Reveal()}, err
}

// list returns the user at each registry for which get returns a credential.
func (d docker) list(ctx context.Context) (map[string]string, error) {
	all, err := d.w.Identities(ctx)
	if err != nil {
		return nil, err
	}

	list := map[string]string{}
	for _, in := range all {
		// If no identity can be chosen, get fails, too.
		name, err := choose(ctx, d.w, string(in.Origin), d.as)
		if err == nil && name == in.Name && in.Kind != wallet.KindSession && in.SignedIn {
			list[string(in.Origin)] = basicName(in)
		}
	}

	return list, nil
}

// parseStore reads the input of store. Its error does not contain the text, which has a secret.
func parseStore(text []byte) (dockerCredential, error) {
	var in dockerCredential

	dec := json.NewDecoder(bytes.NewReader(text))
	if dec.Decode(&in) != nil || in.ServerURL == "" {
		return dockerCredential{}, jeton.WithDetail(jeton.ErrInvalid, "the input is not a docker credential")
	}

	return in, nil
}

// store accepts only a token that the wallet has already: 'docker login' stores what get returned.
func (d docker) store(ctx context.Context, text []byte) error {
	in, err := parseStore(text)
	if err != nil {
		return err
	}

	if id, err := d.find(ctx, in.ServerURL); err == nil && id != nil {
		if t, err := id.Token(ctx); err == nil && t.Text.Reveal() == in.Secret {
			return nil
		}
	}

	origin := "https://HOST"
	list := dockerOrigins(in.ServerURL)
	if len(list) > 0 {
		origin = string(list[0])
	}

	return fmt.Errorf(
		"docker cannot store credentials in the wallet; run: jeton login %s --as NAME --token-stdin",
		origin,
	)
}

// erase refuses to log out an identity that other programs use.
func (d docker) erase(ctx context.Context, server string) error {
	id, err := d.find(ctx, server)
	if err != nil || id == nil {
		return err
	}

	return fmt.Errorf("docker cannot log out an identity that other programs use; run: jeton logout %s --as %s",
		id.Origin(), id.Name())
}
