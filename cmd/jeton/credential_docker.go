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

// dockerNone is how docker is told that there is no credential, to the letter
// (docker-credential-helpers, credentials/error.go).
const dockerNone = "credentials not found in native keychain"

func credentialDocker() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "docker OPERATION",
		Short: "Speak to docker as its credential helper: get, list, store, erase, version",
		Args:  exactArgs("OPERATION"),
		Long: `Speak to docker, podman and helm as their credential helper. Asked to get a credential, it
gives the token of the identity that acts at the registry, as the password.

'docker login' cannot put anything into the wallet, for it is 'jeton login' that does; and
'docker logout' takes nothing out of it, for others use it, too. Both are told so. As docker
has it, errors go to standard output.`,
		Example: `  ln -s "$(command -v jeton)" ~/.local/bin/docker-credential-jeton
  echo registry.example | jeton credential docker get`,
		RunE: func(c *cobra.Command, args []string) error {
			err := dockerHelper(c.Context(), args[0], as, c.InOrStdin(), c.OutOrStdout())
			var u usage
			if err == nil || errors.As(err, &u) {
				return err
			}

			fmt.Fprintln(c.OutOrStdout(), err)
			return exit{code: exitFailure}
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

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
		k, err := d.get(ctx, string(text))
		if err != nil {
			return err
		}
		return printJSON(out, k)
	case "store":
		return d.store(ctx, text)
	case "erase":
		return d.erase(ctx, string(text))
	}

	return usage{fmt.Errorf("docker asks for get, list, store, erase or version, not %q", operation)}
}

// dockerCredential is a credential as docker writes it.
type dockerCredential struct {
	ServerURL string
	Username  string
	Secret    string
}

// docker answers docker from a wallet.
type docker struct {
	w  *wallet.Wallet
	as string
}

// dockerOrigins returns where a registry may be that docker names by a URL or by a host alone.
func dockerOrigins(server string) []wallet.Origin {
	server = strings.TrimSpace(server)
	tries := []string{"https://" + server, "http://" + server}
	if strings.Contains(server, "://") {
		tries = []string{server}
	}

	var list []wallet.Origin
	for _, try := range tries {
		if o, err := wallet.ParseOrigin(try); err == nil {
			list = append(list, o)
		}
	}

	return list
}

// find returns the identity that acts at a registry, nil where the wallet holds none there.
func (d docker) find(ctx context.Context, server string) (*wallet.Identity, error) {
	for _, o := range dockerOrigins(server) {
		list, err := heldAt(ctx, d.w, o)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}

		name, err := choose(ctx, d.w, string(o), d.as)
		if err != nil {
			return nil, err
		}

		return d.w.Identity(ctx, string(o), name)
	}

	return nil, nil
}

func (d docker) get(ctx context.Context, server string) (dockerCredential, error) {
	id, err := d.find(ctx, server)
	if err != nil {
		return dockerCredential{}, err
	}
	if id == nil {
		return dockerCredential{}, errors.New(dockerNone)
	}

	k, err := credentialOf(ctx, id)
	return dockerCredential{strings.TrimSpace(server), k.name, k.token.Reveal()}, err
}

// list returns the user at each registry that get would answer for.
func (d docker) list(ctx context.Context) (map[string]string, error) {
	all, err := d.w.Identities(ctx)
	if err != nil {
		return nil, err
	}

	list := map[string]string{}
	for _, in := range all {
		// Where nobody is chosen, get would say so.
		name, err := choose(ctx, d.w, string(in.Origin), d.as)
		if err == nil && name == in.Name && in.Kind != wallet.KindSession && in.SignedIn {
			list[string(in.Origin)] = basicName(in)
		}
	}

	return list, nil
}

// parseStore reads what docker wants to be kept. Its error repeats nothing of it.
func parseStore(text []byte) (dockerCredential, error) {
	var in dockerCredential

	dec := json.NewDecoder(bytes.NewReader(text))
	if dec.Decode(&in) != nil || in.ServerURL == "" {
		return dockerCredential{}, jeton.WithDetail(
			jeton.ErrInvalid,
			"what is to be stored is not a credential of docker",
		)
	}

	return in, nil
}

// store accepts what the wallet holds already: 'docker login' stores what it was given by get.
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
		"docker does not put credentials into the wallet; run: jeton login %s --as NAME --token-stdin",
		origin,
	)
}

// erase refuses to log out an identity that other programs use.
func (d docker) erase(ctx context.Context, server string) error {
	id, err := d.find(ctx, server)
	if err != nil || id == nil {
		return err
	}

	return fmt.Errorf(
		"the wallet keeps it for other programs; to log it out, run: jeton logout %s --as %s",
		id.Origin(),
		id.Name(),
	)
}
