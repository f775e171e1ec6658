package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// credentialGit implements 'jeton credential git'. git tries all configured helpers in their
// order, hence a helper without a credential prints nothing and succeeds.
func credentialGit() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "git OPERATION",
		Short: "Credential helper for git: get, store, erase",
		Args:  exactArgs("OPERATION"),
		Long: `The git credential helper protocol. The operation get prints the token of the identity that
is chosen for the host: as Bearer with git 2.46 and later, else as a password. If git passes
a user name, the identity of that name or with that user is chosen. For a host without an
identity nothing is printed, and git tries its next helper.

The operations store and erase do not change the wallet.`,
		Example: `  git config --global credential.https://git.example.helper jeton
  git config --global credential.helper '!jeton credential git --as ci'
  printf 'protocol=https\nhost=git.example\n\n' | jeton credential git get`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readInput(c.InOrStdin())
			// A helper must ignore unknown operations, too (gitcredentials).
			if err != nil || args[0] != "get" {
				return err
			}

			req, err := parseGit(text)
			if err != nil {
				return err
			}

			return req.get(c.Context(), as, c.OutOrStdout())
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

// gitRequest is a request of git for a credential.
type gitRequest struct {
	protocol, host, username string
	authtype                 bool // git can send a credential other than a user name and a password
}

// parseGit reads lines of the form key=value up to an empty one (git-credential, INPUT/OUTPUT
// FORMAT). It ignores unknown keys. Its errors do not contain the text, which may be secret.
func parseGit(text []byte) (gitRequest, error) {
	var req gitRequest

	if strings.ContainsAny(string(text), "\x00\r") || !utf8.Valid(text) {
		return req, jeton.WithDetail(
			jeton.ErrInvalid,
			"invalid request of git: want UTF-8 without NUL and carriage return",
		)
	}

	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" {
			break
		}

		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return req, jeton.WithDetail(jeton.ErrInvalid, "invalid request of git: a line has no =")
		}

		switch key {
		case "protocol":
			req.protocol = value
		case "host":
			req.host = value
		case "username":
			req.username = value
		case "capability[]":
			// An empty value resets the list.
			req.authtype = value == "authtype" || value != "" && req.authtype
		}
	}

	return req, nil
}

// get prints the credential, or nothing if the wallet has no identity at the host.
func (req gitRequest) get(ctx context.Context, as string, out io.Writer) error {
	// git passes on what a repository's URL contains: a host must not become the user, the path or
	// the query of another URL.
	if req.protocol != "https" && req.protocol != "http" || strings.ContainsAny(req.host, `/\?#@`) {
		return nil
	}

	origin, err := wallet.ParseOrigin(req.protocol + "://" + req.host)
	if err != nil {
		return nil // the wallet has no identity at such a host
	}

	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	list, err := heldAt(ctx, w, origin)
	if err != nil || len(list) == 0 {
		return err
	}

	if as == "" && req.username != "" {
		as, err = byUsername(list, req.username)
		if as == "" {
			return err
		}
	}

	id, err := identityAt(ctx, w, string(origin), as)
	if err != nil {
		return err
	}

	cred, err := credentialOf(ctx, id)
	if err != nil {
		return err
	}

	_, err = io.WriteString(out, req.response(cred))
	return err
}

// byUsername returns the identity with a name, or else the one whose user has the name, or "".
func byUsername(list []wallet.Info, username string) (string, error) {
	if slices.ContainsFunc(list, func(in wallet.Info) bool { return in.Name == username }) {
		return username, nil
	}

	found := ""
	for _, in := range list {
		switch {
		case in.Username == username && found != "":
			return "", jeton.WithDetail(jeton.ErrAmbiguous, fmt.Sprintf(
				"%s and %s at %s both have user %s; name one of them as the user name, or with --as",
				found, in.Name, in.Origin, username))
		case in.Username == username:
			found = in.Name
		}
	}

	return found, nil
}

// response returns a credential as git reads it.
func (req gitRequest) response(cred credential) string {
	var b strings.Builder

	if req.authtype {
		// The capabilities must come first, or git ignores the rest. An ephemeral credential is not
		// stored by git's other helpers.
		fmt.Fprintf(&b, "capability[]=authtype\nauthtype=Bearer\ncredential=%s\nephemeral=1\n", cred.token.Reveal())
	} else {
		name := cred.name
		if req.username != "" {
			name = req.username
		}
		fmt.Fprintf(&b, "username=%s\npassword=%s\n", name, cred.token.Reveal())
	}

	if !cred.expires.IsZero() {
		fmt.Fprintf(&b, "password_expiry_utc=%d\n", cred.expires.Unix())
	}

	return b.String()
}
