package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// credentialCommand implements the credential helper protocols of other programs.
func credentialCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "credential",
		Short: "Give other programs the token of an identity: git, docker, kubectl, aws, netrc",
		Long: `Give another program the token of an identity of the wallet, in the program's credential
helper protocol. The identity is chosen as with 'jeton call'; an identity with a session has
no token. The output is for the calling program: it contains the secret.

Git and docker find this program by the names git-credential-jeton and
docker-credential-jeton: make links to it.`,
		Example: `  git config --global credential.https://git.example.helper jeton
  jeton credential kubectl https://kube.example --as ci
  curl --netrc-file <(jeton credential netrc https://shop.example --as ci) https://shop.example/orders`,
	}

	c.AddCommand(credentialGit(), credentialDocker(), credentialKubectl(), credentialAWS(), credentialNetrc())

	return c
}

const (
	// maxInput bounds the input of a helper, in bytes.
	maxInput = 64 << 10
	// maxTokenWait is how long a helper waits for a token that is not valid yet.
	maxTokenWait = 30 * time.Second
)

// readInput reads the input of a helper. Its errors do not repeat it: it may hold a secret.
func readInput(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	if len(text) > maxInput {
		return nil, jeton.WithDetail(jeton.ErrTooLarge, "the input is over 64 KiB")
	}

	return text, nil
}

// credential is what an identity uses in place of a name and a password.
type credential struct {
	origin  wallet.Origin
	name    string // of Basic; a Jeton service checks only the token
	token   jeton.Secret
	expires time.Time // zero: unknown
}

// helpAs passes the credential of the identity that is chosen for a URL to show.
func helpAs(ctx context.Context, url, as string, show func(credential) error) error {
	return asIdentity(ctx, url, as, func(_ *wallet.Wallet, id *wallet.Identity) error {
		c, err := credentialOf(ctx, id)
		if err != nil {
			return err
		}
		return show(c)
	})
}

// credentialOf returns the credential of an identity, with its token renewed if it is due. It
// waits for a token that is valid soon, because the calling program would be refused.
func credentialOf(ctx context.Context, id *wallet.Identity) (credential, error) {
	t, err := id.Token(ctx)
	if err != nil {
		if id.Info().Kind == wallet.KindSession {
			err = fmt.Errorf(
				"%w; create one, and log in with it: jeton login %s --as NAME --token-stdin",
				err, id.Origin(),
			)
		}
		return credential{}, err
	}

	wait := time.Until(t.Opens)
	if wait > maxTokenWait {
		return credential{}, jeton.WithRetryAfter(
			jeton.WithDetail(jeton.ErrTooEarly, "the token is valid from "+when(t.Opens)),
			wait,
		)
	}

	if err := pause(ctx, wait); err != nil {
		return credential{}, fmt.Errorf("wait until the token is valid: %w", err)
	}

	return credential{id.Origin(), basicName(id.Info()), t.Text, t.Expires}, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}

	t := time.NewTimer(d)
	defer t.Stop()

	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// basicName returns the user name of an identity, or the name of the identity if a helper's
// format gives a meaning to a character of the user name. Names of identities have no such
// character.
func basicName(in wallet.Info) string {
	special := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`:"'\#<>`, r) }
	if in.Username == "" || strings.ContainsFunc(in.Username, special) {
		return in.Name
	}

	return in.Username
}

// heldAt returns the identities that the wallet holds at an origin.
func heldAt(ctx context.Context, w *wallet.Wallet, o wallet.Origin) ([]wallet.Info, error) {
	all, err := w.Identities(ctx)
	if err != nil {
		return nil, err
	}

	var at []wallet.Info
	for _, in := range all {
		if in.Origin == o {
			at = append(at, in)
		}
	}

	return at, nil
}

// credentialNetrc implements 'jeton credential netrc'. It prints a line and writes no file: a
// token in ~/.netrc would stay there after it has expired.
func credentialNetrc() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "netrc URL",
		Short: "Print a line of a .netrc file, as curl and Python read it",
		Args:  exactArgs("URL"),
		Long: `Print a line of a .netrc file with the token as the password. The format knows neither
scheme nor port: the program that reads it sends the token to every server of that host.`,
		Example: `  curl --netrc-file <(jeton credential netrc https://shop.example --as ci) \
    https://shop.example/orders`,
		RunE: func(c *cobra.Command, args []string) error {
			return helpAs(c.Context(), args[0], as, func(k credential) error {
				line, err := netrcLine(k)
				if err != nil {
					return err
				}

				fmt.Fprintln(c.OutOrStdout(), line)
				return nil
			})
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

// netrcLine returns the line for a credential. The format has no quotes, but neither a host,
// nor a name of an identity, nor a token has spaces.
func netrcLine(k credential) (string, error) {
	u, err := url.Parse(string(k.origin))
	if err != nil {
		return "", err
	}

	line := fmt.Sprintf("machine %s login %s password %s", u.Hostname(), k.name, k.token.Reveal())

	// curl before version 8 reads no longer line.
	if len(line) > 4000 {
		return "", jeton.WithDetail(jeton.ErrTooLarge, "the token is longer than programs read in a .netrc file")
	}

	return line, nil
}

// The versions of the protocol between kubectl and its plugins.
const (
	execV1     = "client.authentication.k8s.io/v1"
	execV1beta = "client.authentication.k8s.io/v1beta1"
)

// execCredential is the output of a kubectl plugin, and the form of KUBERNETES_EXEC_INFO.
type execCredential struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Status     *execStatus `json:"status,omitempty"`
}

type execStatus struct {
	Expires time.Time `json:"expirationTimestamp,omitzero"`
	Token   string    `json:"token"`
}

func credentialKubectl() *cobra.Command {
	var as string
	var beta bool

	c := &cobra.Command{
		Use:   "kubectl URL",
		Short: "Print a token for kubectl, as an ExecCredential",
		Args:  exactArgs("URL"),
		Long: `Print a token as an ExecCredential (client.authentication.k8s.io/v1), which kubectl and the
Kubernetes libraries read from a plugin. They cache it until it expires or is refused.`,
		Example: `  jeton credential kubectl https://kube.example --as ci
  kubectl config set-credentials ci --exec-command=jeton \
    --exec-api-version=client.authentication.k8s.io/v1 --exec-arg=credential \
    --exec-arg=kubectl --exec-arg=https://kube.example --exec-arg=--as=ci`,
		RunE: func(c *cobra.Command, args []string) error {
			version, err := execVersion(os.Getenv("KUBERNETES_EXEC_INFO"), beta)
			if err != nil {
				return err
			}

			return helpAs(c.Context(), args[0], as, func(k credential) error {
				return printJSON(c.OutOrStdout(), execCredential{
					version,
					"ExecCredential",
					&execStatus{k.expires.UTC().Truncate(time.Second), k.token.Reveal()},
				})
			})
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")
	c.Flags().BoolVar(&beta, "v1beta1", false, "use the old version v1beta1")

	return c
}

// execVersion returns the version of the response. info names the only version that kubectl
// accepts.
func execVersion(info string, beta bool) (string, error) {
	version := execV1
	if beta {
		version = execV1beta
	}
	if info == "" {
		return version, nil
	}

	var asked execCredential
	if len(info) > maxInput || json.Unmarshal([]byte(info), &asked) != nil || asked.Kind != "ExecCredential" {
		return "", jeton.WithDetail(jeton.ErrInvalid, "KUBERNETES_EXEC_INFO holds no ExecCredential")
	}

	switch {
	case asked.APIVersion == version:
		return version, nil
	case asked.APIVersion == execV1beta:
		return "", jeton.WithDetail(
			jeton.ErrInvalid,
			"kubectl uses the old version v1beta1: set apiVersion: "+execV1+" in its configuration, or add --v1beta1",
		)
	}

	return "", jeton.WithDetail(
		jeton.ErrInvalid,
		fmt.Sprintf("kubectl uses version %q, want %s", asked.APIVersion, version),
	)
}
