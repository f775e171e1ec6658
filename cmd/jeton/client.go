//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/naming"

	"github.com/spf13/cobra"
)

// clientCommand implements 'jeton client'. All of its commands but new-secret, which contacts
// no server, call the API below /api/v1/clients.
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
		clientImport(),
		clientList(),
		clientShow(),
		clientTerms(),
		clientAddresses(),
		clientClaims(),
		disabling("disable", "client", "reports-job", "Disable a client and revoke all its tokens"),
		disabling("enable", "client", "reports-job", "Enable a disabled client"),
		clientSecret(),
		clientEndTokens(),
		clientKey(),
		clientRemove(),
	)

	return c
}

// clientPath returns the path of a client in the API, or of something below it. Each part is
// escaped: a mistyped argument with a slash in it names nothing else.
func clientPath(name string, what ...string) string {
	path := "/api/v1/clients/" + url.PathEscape(naming.ClientInPath(name))
	for _, w := range what {
		path += "/" + url.PathEscape(w)
	}
	return path
}

// The help of the flags for what a client may have tokens for.
const (
	serviceHelp    = "service that it may have tokens for (may be repeated)"
	scopeHelp      = "scope that its tokens may have (may be repeated)"
	introspectHelp = "service whose tokens it may look up (may be repeated)"
)

// clientFlags are the flags of 'jeton client add'.
type clientFlags struct {
	place    place
	out      output
	request  api.NewClient
	keyFiles []string
	openid   jeton.RelyingParty
}

// clientAdd implements 'jeton client add'. Keys can be added later as well, with 'jeton client
// key add'.
func clientAdd() *cobra.Command {
	f := clientFlags{place: place{create: true}}

	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a client",
		Args:  exactArgs("NAME"),
		Long: `Add a client. With --secret it gets a secret, which is printed only here. Prefer a key if
the client can sign.`,
		Example: `  jeton client add reports-job --key reports.pub --service reports --scope read
  jeton client add api-gateway --secret --introspect reports
  jeton client add grafana --secret --redirect-uri https://grafana.example.org/login/generic_oauth`,
		RunE: f.run,
	}

	return withFlags(c, &f.place, &f.out, &f)
}

func (f *clientFlags) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(
		&f.keyFiles, "key", nil,
		"file with a public key, PEM or JWK; - is standard input (may be repeated)",
	)

	in := &f.request
	c.Flags().StringSliceVar(&in.Services, "service", nil, serviceHelp)
	c.Flags().StringSliceVar(&in.Scopes, "scope", nil, scopeHelp)
	c.Flags().StringSliceVar(&in.Introspects, "introspect", nil, introspectHelp)
	c.Flags().BoolVar(&in.Secret, "secret", false, "make a secret and print it")

	o := &f.openid
	c.Flags().StringArrayVar(
		&o.RedirectURIs, "redirect-uri", nil,
		"address that browsers return to from the sign-in page (OpenID Connect; may be repeated)",
	)
	c.Flags().StringArrayVar(
		&o.PostLogoutRedirectURIs, "post-logout-redirect-uri", nil,
		"address for browsers after a sign-out by the client (may be repeated)",
	)
	c.Flags().StringVar(
		&o.BackchannelLogoutURI, "backchannel-logout-uri", "",
		"https:// address that gets a logout token for each session of a user that ends",
	)
	c.Flags().BoolVar(
		&o.PrivateNetwork, "private-network", false,
		"that address may be on this machine or in a private network",
	)
	c.Flags().BoolVar(
		&o.AskConsent, "ask-consent", false,
		"ask each user once what the client may learn, for one of another organisation",
	)
	c.Flags().BoolVar(
		&o.DeviceGrant, "device-grant", false,
		"let it sign users in at a device without a browser (RFC 8628)",
	)
	c.Flags().BoolVar(
		&o.RequirePAR, "require-par", false,
		"refuse authorization requests that it has not pushed before (RFC 9126)",
	)
	c.Flags().StringVar(
		&o.SubjectType, "subject", "",
		"public, or pairwise: clients of other sectors cannot compare their users",
	)
	c.Flags().StringVar(
		&o.SectorIdentifier, "sector-identifier", "",
		"host that clients with the same pairwise subjects share (default the host of the redirect URIs)",
	)
	c.Flags().Int64Var(
		&o.MaxUses, "max-uses", 0,
		"how often one sign-in session signs its user in there; then the user signs in again",
	)
	c.Flags().Int64Var(&o.RefreshMaxUses, "refresh-max-uses", 0, "how often the tokens of one sign-in are refreshed")
	c.Flags().BoolVar(&o.Public, "public", false, "the client has no secret; PKCE protects its sign-ins")
}

// run reads the keys before it opens the data directory, so that the directory is not locked
// while a key is piped in.
func (f *clientFlags) run(c *cobra.Command, args []string) error {
	if len(f.openid.RedirectURIs) > 0 {
		f.request.OpenID = &f.openid
	} else if f.openid.Public || len(f.openid.PostLogoutRedirectURIs) > 0 || f.openid.BackchannelLogoutURI != "" {
		return usage{errors.New("give --redirect-uri, too: only a client that signs users in has the other flags")}
	}

	for _, file := range f.keyFiles {
		text, err := readKey(c.InOrStdin(), file)
		if err != nil {
			return err
		}
		f.request.Keys = append(f.request.Keys, api.NewClientKey{Key: text})
	}

	return withControl(&f.place, f.add)(c, args)
}

// add sends the new client in one request, keys and secret included, so that a refused key
// leaves no client behind. The output has the ids of the keys: a client that signs puts one
// into the header kid.
func (f *clientFlags) add(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
	f.request.Name = args[0]

	var made api.MadeClient
	if err := ctl.call(ctx, http.MethodPost, "/api/v1/clients", f.request, &made); err != nil {
		return named(err, "client "+args[0])
	}

	if f.out.json {
		return printJSON(c.OutOrStdout(), made)
	}

	fmt.Fprintln(c.OutOrStdout(), "added client", made.Client.Name, ctl.where)

	for _, k := range made.Client.Keys {
		fmt.Fprintf(c.OutOrStdout(), "key %s (%s)\n", oneLine(k.ID), k.Algorithm)
	}

	printSecret(c, made.Secret)

	return nil
}

// clientList implements 'jeton client list', of added and of declared clients.
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

// stateOf is the column STATE of users and clients.
func stateOf(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "active"
}

// fromOf is the column FROM of users and clients: what is declared in the configuration file
// cannot be changed with commands.
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

// clientShow implements 'jeton client show'. The API has no request for one client: the
// command picks it from the list.
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
		var k jeton.Client
		path := "/api/v1/clients/" + url.PathEscape(naming.ClientInPath(args[0]))
		if err := ctl.call(ctx, http.MethodGet, path, nil, &k); err != nil {
			return named(err, "client "+args[0])
		}

		if out.json {
			return printJSON(c.OutOrStdout(), k)
		}

		return showClient(c.OutOrStdout(), &out, k)
	})

	return withFlags(c, &p, &out)
}

// showClient prints two tables: the terms of the client, and its keys. Retired keys are shown,
// because tokens that they obtained may still be valid.
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
	if k.OpenID != nil {
		facts = append(facts, []string{"redirect uris", strings.Join(k.OpenID.RedirectURIs, " ")})
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

// clientTerms implements 'jeton client terms'. A flag that was not given is null in the
// request and changes nothing; an empty one is an empty list, which removes everything.
func clientTerms() *cobra.Command {
	var p place
	var services, scopes, introspects []string

	c := &cobra.Command{
		Use:   "terms NAME",
		Short: "Set the services and scopes that a client may have tokens for",
		Args:  exactArgs("NAME"),

		Annotations: map[string]string{emptyRemoves: "yes"},

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
			// --scope '' is a list of one empty name, and stands for none.
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
	c.Flags().StringSliceVar(&services, "service", nil, serviceHelp)
	c.Flags().StringSliceVar(&scopes, "scope", nil, scopeHelp)
	c.Flags().StringSliceVar(&introspects, "introspect", nil, introspectHelp)

	return c
}

// ending is the query of a change that may revoke tokens, too.
func ending(end bool) string {
	if end {
		return "?end_tokens=true"
	}
	return ""
}

// endTokensHelp is the help of --end-tokens at the changes that may follow a theft: of a key,
// or of a secret.
const endTokensHelp = "also revoke all tokens of the client"

// clientEndTokens implements 'jeton client end-tokens'. It reaches signed tokens, too, which
// are not stored: those that were issued before now are refused.
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

// clientRemove implements 'jeton client remove'.
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
