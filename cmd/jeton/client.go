package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"

	"github.com/spf13/cobra"
)

func clientCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "client",
		Short: "Manage clients (software): add, list, key add, key retire, …",
		Long: `Manage clients: software that authenticates with a key pair, or with a secret. Jeton stores
the public key; the private key stays with the client. The commands work with the server
running or stopped. Clients declared in the configuration file are changed only there.`,
		Example: `  openssl genpkey -algorithm ed25519 -out reports.key
  openssl pkey -in reports.key -pubout -out reports.pub
  jeton client add reports-job --key reports.pub --service reports --scope read
  jeton client list`,
	}

	c.AddCommand(
		clientNewSecret(),
		clientAdd(),
		clientList(),
		clientShow(),
		clientTerms(),
		disabling("disable", "client", "reports-job", "Disable a client and revoke all its tokens"),
		disabling("enable", "client", "reports-job", "Enable a disabled client"),
		clientSecret(),
		clientEndTokens(),
		clientKey(),
		clientRemove(),
	)

	return c
}

func clientPath(name string, what ...string) string {
	path := "/api/v1/clients/" + url.PathEscape(name)
	for _, w := range what {
		path += "/" + url.PathEscape(w)
	}
	return path
}

// maxKeyInput bounds the file of a key, in bytes.
const maxKeyInput = 32 << 10

// readKey reads a public key from a file, or from standard input ("-"). A private key does not
// leave this process.
func readKey(stdin io.Reader, file string) (string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("key: %w", err)
		}
		defer f.Close()

		in = f
	}

	text, err := io.ReadAll(io.LimitReader(in, maxKeyInput+1))
	if err != nil {
		return "", fmt.Errorf("read key from %s: %w", file, err)
	}
	if len(text) > maxKeyInput {
		return "", usage{fmt.Errorf("%s is over 32 KiB and holds more than a key", file)}
	}

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

// keyFlags are the settings of a key.
type keyFlags struct{ alg, kid, notBefore, notAfter string }

func (k *keyFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&k.kid, "kid", "", "id of the key (default: the kid of a JWK, else the thumbprint of RFC 7638)")
	c.Flags().StringVar(
		&k.alg,
		"alg",
		"",
		"signing algorithm (default: the alg of a JWK, else EdDSA, ES256/384/512 or RS256 by key type)",
	)

	c.Flags().StringVar(&k.notBefore, "not-before", "", "start of validity, such as 2026-03-01T12:00:00Z")
	c.Flags().StringVar(&k.notAfter, "not-after", "", "end of validity")
}

func (k *keyFlags) request(text string) (in api.NewClientKey, err error) {
	in = api.NewClientKey{Key: text, Algorithm: k.alg, ID: k.kid}
	for _, f := range []struct {
		name, text string
		into       *time.Time
	}{{"not-before", k.notBefore, &in.NotBefore}, {"not-after", k.notAfter, &in.NotAfter}} {
		if f.text == "" {
			continue
		}

		*f.into, err = time.Parse(time.RFC3339, f.text)
		if err != nil {
			return in, usage{fmt.Errorf("invalid --%s %q: want a time such as 2026-03-01T12:00:00Z", f.name, f.text)}
		}
	}

	return in, nil
}

func clientAdd() *cobra.Command {
	var p place
	var out output
	var in api.NewClient
	var files []string

	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a client",
		Args:  exactArgs("NAME"),
		Long: `Add a client. With --secret it gets a secret, which is printed only here. Prefer a key if
the client can sign.`,
		Example: `  jeton client add reports-job --key reports.pub --service reports --scope read
  jeton client add api-gateway --secret --introspect reports`,
	}

	run := withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		in.Name = args[0]
		var made api.MadeClient
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/clients", in, &made); err != nil {
			return named(err, "client "+args[0])
		}

		asJSON, _ := out.json()
		if asJSON {
			return printJSON(c.OutOrStdout(), made)
		}

		fmt.Fprintf(c.OutOrStdout(), "added client %s\n", made.Client.Name)

		for _, k := range made.Client.Keys {
			fmt.Fprintf(c.OutOrStdout(), "key %s (%s)\n", oneLine(k.ID), k.Algorithm)
		}

		printSecret(c, made.Secret)

		return nil
	})

	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := out.json(); err != nil {
			return err
		}

		for _, file := range files {
			text, err := readKey(c.InOrStdin(), file)
			if err != nil {
				return err
			}
			in.Keys = append(in.Keys, api.NewClientKey{Key: text})
		}

		return run(c, args)
	}

	p.flags(c)
	out.flags(c)
	c.Flags().StringArrayVar(
		&files,
		"key",
		nil,
		"file with a public key, PEM or JWK; - is standard input (may be repeated)",
	)

	c.Flags().StringSliceVar(&in.Services, "service", nil, "service that it may have tokens for (may be repeated)")
	c.Flags().StringSliceVar(&in.Scopes, "scope", nil, "scope that its tokens may have (may be repeated)")

	c.Flags().StringSliceVar(
		&in.Introspects,
		"introspect",
		nil,
		"service whose tokens it may look up (may be repeated)",
	)

	c.Flags().BoolVar(&in.Secret, "secret", false, "make a secret and print it")

	return c
}

func printSecret(c *cobra.Command, text string) {
	if text == "" {
		return
	}
	fmt.Fprintln(c.OutOrStdout(), text)
	fmt.Fprintln(c.ErrOrStderr(), "This is the secret. It is shown only here; Jeton stores only its hash.")
}

func clientList() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "list",
		Short:   "List clients",
		Args:    noArgs,
		Example: `  jeton client list`,
	}

	path := func() string { return "/api/v1/clients" }
	headings := []string{"NAME", "STATE", "CREDENTIALS", "SERVICES", "SCOPES", "FROM", "SINCE"}
	c.RunE = listing(&p, &out, path, headings, func(k jeton.Client) []string {
		return []string{
			k.Name,
			stateOf(k.Disabled),
			credentials(k),
			strings.Join(k.Services, ","),
			strings.Join(k.Scopes, ","),
			fromOf(k.Declared),
			when(k.Created),
		}
	})

	return withFlags(c, &p, &out)
}

func stateOf(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "active"
}

func fromOf(declared bool) string {
	if declared {
		return "declared in the file"
	}
	return "added"
}

// credentials describes what a client can authenticate with.
func credentials(k jeton.Client) string {
	var ways []string

	n := 0
	for _, key := range k.Keys {
		if !key.Retired {
			n++
		}
	}

	if n > 0 {
		ways = append(ways, plural(n, "key"))
	}
	if k.KeySource != "" {
		ways = append(ways, "key source")
	}
	if k.Secret {
		ways = append(ways, "secret")
	}

	if len(ways) == 0 {
		return "none"
	}

	return strings.Join(ways, ", ")
}

func clientShow() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a client and its keys",
		Args:    exactArgs("NAME"),
		Example: `  jeton client show reports-job`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}

		var list []jeton.Client
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/clients", nil, &list); err != nil {
			return err
		}

		for _, k := range list {
			if k.Name != args[0] {
				continue
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), k)
			}

			return showClient(c.OutOrStdout(), &out, k)
		}

		return named(jeton.ErrNotFound, "client "+args[0])
	})

	return withFlags(c, &p, &out)
}

func showClient(w io.Writer, out *output, k jeton.Client) error {
	secret := "none"
	if k.Secret {
		secret = "set"
	}

	facts := [][]string{
		{"state", stateOf(k.Disabled)},
		{"from", fromOf(k.Declared)},
		{"since", when(k.Created)},
		{"services", strings.Join(k.Services, ",")},
		{"scopes", strings.Join(k.Scopes, ",")},
		{"introspects", strings.Join(k.Introspects, ",")},
		{"secret", secret},
		{"key source", k.KeySource},
	}
	if err := out.print(w, nil, []string{"CLIENT", k.Name}, facts); err != nil {
		return err
	}
	if len(k.Keys) == 0 {
		return nil
	}

	fmt.Fprintln(w)
	var rows [][]string
	for _, key := range k.Keys {
		state := "active"
		if key.Retired {
			state = "retired"
		}

		rows = append(rows, []string{
			key.ID,
			key.Algorithm,
			state,
			orOpen(key.NotBefore),
			orOpen(key.NotAfter),
			when(key.Created),
		})
	}

	return out.print(w, nil, []string{"KID", "ALG", "STATE", "NOT BEFORE", "NOT AFTER", "SINCE"}, rows)
}

func clientTerms() *cobra.Command {
	var p place
	var services, scopes, introspects []string

	c := &cobra.Command{
		Use:   "terms NAME",
		Short: "Set the services and scopes that a client may have tokens for",
		Args:  exactArgs("NAME"),
		Long: `Set the services and scopes that a client may have tokens for, beginning with its next
token. A list replaces the current one; --scope '' removes all. Tokens issued before keep
their scopes: 'jeton client end-tokens' revokes them.`,
		Example: `  jeton client terms reports-job --service reports --scope read --scope write
  jeton client terms api-gateway --introspect ''`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		given := func(flag string, list []string) *[]string {
			if !c.Flags().Changed(flag) {
				return nil
			}
			list = slices.DeleteFunc(list, func(name string) bool { return name == "" })
			return &list
		}

		in := api.ClientTerms{
			Services:    given("service", services),
			Scopes:      given("scope", scopes),
			Introspects: given("introspect", introspects),
		}
		if in == (api.ClientTerms{}) {
			return change{}, usage{errors.New("give at least one of --service, --scope and --introspect")}
		}

		return change{
			method:  http.MethodPut,
			path:    clientPath(args[0], "terms"),
			body:    in,
			subject: "client " + args[0],
			done:    "set the terms of client " + args[0],
		}, nil
	})

	p.flags(c)
	c.Flags().StringSliceVar(&services, "service", nil, "service that it may have tokens for (may be repeated)")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "scope that its tokens may have (may be repeated)")
	c.Flags().StringSliceVar(&introspects, "introspect", nil, "service whose tokens it may look up (may be repeated)")

	return c
}

// ending is the query of a change that may revoke tokens, too.
func ending(end bool) string {
	if end {
		return "?end_tokens=true"
	}
	return ""
}

const endTokensHelp = "also revoke all tokens of the client"

func clientSecret() *cobra.Command {
	var p place
	var remove, end bool

	c := &cobra.Command{
		Use:   "secret NAME",
		Short: "Replace the secret of a client and print the new one, or remove it",
		Args:  exactArgs("NAME"),
		Long: `Give a client a new secret and print it only here; the old one is refused at once. Tokens
issued before stay valid unless --end-tokens is given.`,
		Example: `  jeton client secret api-gateway
  jeton client secret api-gateway --remove --end-tokens`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		path := clientPath(args[0], "secret") + ending(end)
		if remove {
			if err := ctl.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
				return named(err, "client "+args[0])
			}
			fmt.Fprintf(c.OutOrStdout(), "removed the secret of client %s\n", args[0])
			return nil
		}

		var made api.ClientSecret
		if err := ctl.call(ctx, http.MethodPost, path, nil, &made); err != nil {
			return named(err, "client "+args[0])
		}

		printSecret(c, made.Secret)

		return nil
	})

	p.flags(c)
	c.Flags().BoolVar(&remove, "remove", false, "remove the secret")
	c.Flags().BoolVar(&end, "end-tokens", false, endTokensHelp)

	return c
}

func clientEndTokens() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "end-tokens NAME",
		Short:   "Revoke all tokens of a client; it may request new ones",
		Args:    exactArgs("NAME"),
		Example: `  jeton client end-tokens reports-job`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPost,
			path:    clientPath(args[0], "end-tokens"),
			subject: "client " + args[0],
			done:    "revoked all tokens of client " + args[0],
		}, nil
	})
}

func clientKey() *cobra.Command {
	c := &cobra.Command{
		Use:     "key",
		Short:   "Add and retire public keys of a client",
		Example: `  jeton client key add reports-job new.pub`,
	}

	c.AddCommand(clientKeyAdd(), clientKeyRetire())
	return c
}

func clientKeyAdd() *cobra.Command {
	var p place
	var settings keyFlags
	var out output

	c := &cobra.Command{
		Use:   "add NAME FILE",
		Short: "Register a public key",
		Args:  exactArgs("NAME", "FILE"),
		Long: `Register a public key: PEM or JWK, from a file or standard input (-). The client's other
keys stay valid: add the new key, let the client sign with it, then retire the old one.`,
		Example: `  openssl pkey -in reports.key -pubout | jeton client key add reports-job -
  jeton client key add reports-job new.pub --kid 2026-03 --not-before 2026-03-01T00:00:00Z`,
	}

	var in api.NewClientKey
	run := withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var key jeton.ClientKey
		if err := ctl.call(ctx, http.MethodPost, clientPath(args[0], "keys"), in, &key); err != nil {
			return named(err, "client "+args[0])
		}

		asJSON, _ := out.json()
		if asJSON {
			return printJSON(c.OutOrStdout(), key)
		}

		fmt.Fprintf(c.OutOrStdout(), "added key %s (%s) to client %s\n", oneLine(key.ID), key.Algorithm, args[0])

		return nil
	})

	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := out.json(); err != nil {
			return err
		}

		text, err := readKey(c.InOrStdin(), args[1])
		if err != nil {
			return err
		}
		if in, err = settings.request(text); err != nil {
			return err
		}

		return run(c, args)
	}

	return withFlags(c, &p, &out, &settings)
}

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

func clientRemove() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "remove NAME",
		Short:   "Delete a client and revoke all its tokens",
		Args:    exactArgs("NAME"),
		Example: `  jeton client remove reports-job`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodDelete,
			path:    clientPath(args[0]),
			subject: "client " + args[0],
			done:    "removed client " + args[0],
		}, nil
	})
}
