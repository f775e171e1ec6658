package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
)

func TestRedirects(t *testing.T) {
	const app = "https://app.example.org/done"

	for _, tc := range []struct {
		name       string
		registered string
		uri        string
		want       bool
	}{
		{"the registered address", app, app, true},
		{"a path more", app, app + "/x", false},
		{"a slash more", app, app + "/", false},
		{"a query more", app, app + "?a=1", false},
		{"an empty query", app, app + "?", false},
		{"a fragment", app, app + "#x", false},
		{"an empty fragment", app, app + "#", false},
		{"nothing", app, "", false},
		{"a space before it", app, " " + app, false},
		{"a line break after it", app, app + "\n", false},
		{"a NUL after it", app, app + "\x00", false},
		{"http", app, "http://app.example.org/done", false},
		{"a scheme in upper case", app, "HTTPS://app.example.org/done", false},
		{"a host in upper case", app, "https://APP.example.org/done", false},
		{"a path in upper case", app, "https://app.example.org/DONE", false},
		{"the default port", app, "https://app.example.org:443/done", false},
		{"another port", app, "https://app.example.org:8443/done", false},
		{"an empty port", app, "https://app.example.org:/done", false},
		{"a dot after the host", app, "https://app.example.org./done", false},
		{"a host that begins with it", app, "https://app.example.org.evil.example/done", false},
		{"a host that ends with it", app, "https://evilapp.example.org/done", false},
		{"a user name", app, "https://evil@app.example.org/done", false},
		{"it as a user name", app, "https://app.example.org@evil.example/done", false},
		{"it as a user name with a password", app, "https://app.example.org:443@evil.example/done", false},
		{"a backslash for a slash", app, "https://app.example.org\\done", false},
		{"a backslash before a host", app, "https://evil.example\\@app.example.org/done", false},
		{"a dot in the path", app, "https://app.example.org/./done", false},
		{"a way up in the path", app, "https://app.example.org/x/../done", false},
		{"an encoded way up", app, "https://app.example.org/x/%2e%2e/done", false},
		{"two slashes in the path", app, "https://app.example.org//done", false},
		{"an encoded letter in the path", app, "https://app.example.org/d%6fne", false},
		{"an encoded dot in the host", app, "https://app%2eexample.org/done", false},
		{"a parameter in the path", app, "https://app.example.org/done;a=1", false},
		{"no scheme", app, "//app.example.org/done", false},
		{"a path alone", app, "/done", false},
		{"two addresses", app, app + " " + app, false},

		{"a registered query", app + "?a=1", app + "?a=1", true},
		{"without the registered query", app + "?a=1", app, false},

		{"a loopback address with another port", "http://127.0.0.1/done", "http://127.0.0.1:54321/done", true},
		{"a loopback address without the registered port", "http://127.0.0.1:80/done", "http://127.0.0.1/done", true},
		{"a loopback address with another path", "http://127.0.0.1/done", "http://127.0.0.1:54321/else", false},
		{"a loopback address with https", "http://127.0.0.1/done", "https://127.0.0.1:54321/done", false},
		{"localhost for 127.0.0.1", "http://127.0.0.1/done", "http://localhost:54321/done", false},
		{"localhost with another port", "http://localhost/done", "http://localhost:54321/done", false},
		{"::1 with another port", "http://[::1]/done", "http://[::1]:54321/done", true},
		{"::1 for 127.0.0.1", "http://127.0.0.1/done", "http://[::1]/done", false},
		{"another spelling of ::1", "http://[::1]/done", "http://[0:0:0:0:0:0:0:1]/done", false},
		{"another spelling of 127.0.0.1", "http://127.0.0.1/done", "http://127.1/done", false},
		{"another loopback address", "http://127.0.0.1/done", "http://127.0.0.2/done", false},
		{"a host that begins with 127.0.0.1", "http://127.0.0.1/done", "http://127.0.0.1.evil.example/done", false},
		{"127.0.0.1 as a user name", "http://127.0.0.1/done", "http://127.0.0.1:1@evil.example/done", false},
		{"a port of letters", "http://127.0.0.1/done", "http://127.0.0.1:x/done", false},
		{"an empty port of a loopback address", "http://127.0.0.1/done", "http://127.0.0.1:/done", false},
		{"a port of six digits", "http://127.0.0.1/done", "http://127.0.0.1:123456/done", false},
		{"a scheme of a program", "com.example.app:/done", "com.example.app:/done", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := client.Redirects([]string{"https://other.example/", tc.registered}, tc.uri)
			if got != tc.want {
				t.Errorf("Redirects(%q) with %q registered = %t, want %t", tc.uri, tc.registered, got, tc.want)
			}
		})
	}
}

func TestCheckRelying(t *testing.T) {
	const app = "https://app.example.org/done"

	for _, tc := range []struct {
		name string
		in   jeton.RelyingParty
		want string // in the error; "": none
	}{
		{"https", jeton.RelyingParty{RedirectURIs: []string{app}}, ""},
		{"http on this machine", jeton.RelyingParty{RedirectURIs: []string{"http://localhost:3000/done"}}, ""},
		{"a scheme of a program", jeton.RelyingParty{RedirectURIs: []string{"com.example.app:/done"}}, ""},
		{"no address", jeton.RelyingParty{}, "redirect_uris is required"},
		{"http elsewhere", jeton.RelyingParty{RedirectURIs: []string{"http://app.example.org/"}}, "want https://"},
		{"a script", jeton.RelyingParty{RedirectURIs: []string{"javascript:alert(1)"}}, "reverse of a domain"},
		{"a fragment", jeton.RelyingParty{RedirectURIs: []string{app + "#x"}}, "without space, #"},
		{"a user name", jeton.RelyingParty{RedirectURIs: []string{"https://a@app.example/"}}, "without a user name"},
		{"no host", jeton.RelyingParty{RedirectURIs: []string{"https:///done"}}, "want https://"},
		{
			"an invalid address after a logout",
			jeton.RelyingParty{RedirectURIs: []string{app}, PostLogoutRedirectURIs: []string{"/out"}},
			"post_logout_redirect_uris",
		},
		{
			"a public client without PKCE",
			jeton.RelyingParty{RedirectURIs: []string{app}, Public: true, PKCEOptional: true},
			"pkce_optional",
		},
		{"no signature", jeton.RelyingParty{RedirectURIs: []string{app}, Algorithm: "none"}, "signed_response_alg"},
		{
			"pairwise subjects for several hosts",
			jeton.RelyingParty{RedirectURIs: []string{app, "https://b.example/"}, SubjectType: "pairwise"},
			"several hosts",
		},
		{
			"pairwise subjects of a program",
			jeton.RelyingParty{RedirectURIs: []string{"http://127.0.0.1/done"}, SubjectType: "pairwise"},
			"no host of the client's own",
		},
		{
			"a sector that is an address",
			jeton.RelyingParty{RedirectURIs: []string{app}, SubjectType: "pairwise", SectorIdentifier: app},
			"want a host name",
		},
		{
			"a sector without pairwise subjects",
			jeton.RelyingParty{RedirectURIs: []string{app}, SectorIdentifier: "app.example.org"},
			"only pairwise subjects",
		},
		{
			"a count below zero",
			jeton.RelyingParty{RedirectURIs: []string{app}, MaxUses: -1},
			"max_uses",
		},
		{
			"a delay as long as the token",
			jeton.RelyingParty{RedirectURIs: []string{app}, ActivationDelay: 600},
			"activation_delay_seconds",
		},
		{
			"a lifetime below zero",
			jeton.RelyingParty{RedirectURIs: []string{app}, RefreshLifetime: -1},
			"refresh_lifetime_seconds",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client.CheckRelying(&tc.in)
			if tc.want == "" && err != nil {
				t.Errorf("CheckRelying = %v, want no error", err)
			}
			if tc.want != "" && (!errors.Is(err, jeton.ErrInvalid) || !strings.Contains(jeton.Detail(err), tc.want)) {
				t.Errorf("CheckRelying = %v, want jeton.ErrInvalid with %q", err, tc.want)
			}
		})
	}
}

// TestASectorStaysWhenAddressesChange stores the sector of a client with its first addresses.
func TestASectorStaysWhenAddressesChange(t *testing.T) {
	p := &jeton.RelyingParty{RedirectURIs: []string{"https://App.example.org:8443/done"}, SubjectType: "pairwise"}
	for _, uri := range []string{p.RedirectURIs[0], "https://new.example.org/done"} {
		p.RedirectURIs = []string{uri}

		var err error
		p, err = client.CheckRelying(p)
		if err != nil || p.SectorIdentifier != "app.example.org" {
			t.Fatalf("%s: got %+v, %v; want the sector app.example.org", uri, p, err)
		}
	}
}
