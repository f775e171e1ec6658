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

func credentialGit() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "git OPERATION",
		Short: "Speak to git as its credential helper: get, store, erase",
		Args:  exactArgs("OPERATION"),
		Long: `Speak to git as its credential helper. Asked to get a credential, it gives the token of the
identity that acts at the origin: as Bearer where git can (2.46 and later), else as the
password. The user name that git asks for names the identity, or its user. Of a host that
the wallet does not know nothing is said, and git goes on to ask elsewhere.

Git also offers what it used to be stored, and what was refused to be erased. Neither
changes the wallet.`,
		Example: `  git config --global credential.https://git.example.helper jeton
  git config --global credential.helper '!jeton credential git --as ci'
  printf 'protocol=https\nhost=git.example\n\n' | jeton credential git get`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readInput(c.InOrStdin())
			// Operations that are not known are to be ignored, too (gitcredentials).
			if err != nil || args[0] != "get" {
				return err
			}

			asked, err := parseGit(text)
			if err != nil {
				return err
			}

			return asked.get(c.Context(), as, c.OutOrStdout())
		},
	}

	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

// gitRequest is what git wants a credential for.
type gitRequest struct {
	protocol, host, username string
	authtype                 bool // it can send a credential that is not a name and a password
}

// parseGit reads lines key=value that end with an empty one (git-credential, INPUT/OUTPUT
// FORMAT). Keys that are not known are passed over. Its errors repeat nothing of the text.
func parseGit(text []byte) (gitRequest, error) {
	var q gitRequest

	if strings.ContainsAny(string(text), "\x00\r") || !utf8.Valid(text) {
		return q, jeton.WithDetail(jeton.ErrInvalid, "what git asks holds what no line of it holds")
	}

	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" {
			break
		}

		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return q, jeton.WithDetail(jeton.ErrInvalid, "what git asks has a line without =")
		}

		switch key {
		case "protocol":
			q.protocol = value
		case "host":
			q.host = value
		case "username":
			q.username = value
		case "capability[]":
			// An empty value takes back what was said before.
			q.authtype = value == "authtype" || value != "" && q.authtype
		}
	}

	return q, nil
}

// get prints the credential, or nothing where the wallet holds none.
func (q gitRequest) get(ctx context.Context, as string, out io.Writer) error {
	if q.protocol != "https" && q.protocol != "http" || strings.ContainsAny(q.host, `/\?#@`) {
		return nil
	}

	o, err := wallet.ParseOrigin(q.protocol + "://" + q.host)
	if err != nil {
		return nil // not a host that the wallet could know
	}

	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	list, err := heldAt(ctx, w, o)
	if err != nil || len(list) == 0 {
		return err
	}

	if as == "" && q.username != "" {
		if as, err = byUsername(list, q.username); as == "" {
			return err
		}
	}

	name, err := choose(ctx, w, string(o), as)
	if err != nil {
		return err
	}

	id, err := w.Identity(ctx, string(o), name)
	if err != nil {
		return err
	}

	k, err := credentialOf(ctx, id)
	if err != nil {
		return err
	}

	_, err = io.WriteString(out, q.answer(k))
	return err
}

// byUsername returns the identity of a name, else the one whose user is of that name, "" for none.
func byUsername(list []wallet.Info, username string) (string, error) {
	if slices.ContainsFunc(list, func(in wallet.Info) bool { return in.Name == username }) {
		return username, nil
	}

	found := ""
	for _, in := range list {
		switch {
		case in.Username == username && found != "":
			return "", jeton.WithDetail(
				jeton.ErrAmbiguous,
				fmt.Sprintf(
					"%s and %s are both %s at %s; name one as the user, or with --as",
					found,
					in.Name,
					username,
					in.Origin,
				),
			)
		case in.Username == username:
			found = in.Name
		}
	}

	return found, nil
}

// answer writes a credential as git reads it.
func (q gitRequest) answer(k credential) string {
	var b strings.Builder

	if q.authtype {
		// First of all what both sides can do, or git does not take the rest.
		fmt.Fprintf(&b, "capability[]=authtype\nauthtype=Bearer\ncredential=%s\nephemeral=1\n", k.token.Reveal())
	} else {
		name := k.name
		if q.username != "" {
			name = q.username
		}
		fmt.Fprintf(&b, "username=%s\npassword=%s\n", name, k.token.Reveal())
	}

	if !k.expires.IsZero() {
		fmt.Fprintf(&b, "password_expiry_utc=%d\n", k.expires.Unix())
	}

	return b.String()
}
