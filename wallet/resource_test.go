package wallet

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

// described is a service that names its issuer by RFC 9728 alone.
type described struct {
	*httptest.Server
	challenge string // "": there is no refusal; URL in it is the address of the service
	where     string // path of the metadata
	metadata  map[string]any
}

func newDescribed(t *testing.T, issuers ...string) *described {
	t.Helper()
	d := &described{
		challenge: `Basic realm="x", Bearer realm="y, z", resource_metadata="URL/metadata"`,
		where:     "/metadata",
	}

	d.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == d.where:
			writeJSON(w, d.metadata)
		case r.URL.RequestURI() == "/mcp?a=b" && d.challenge != "":
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(d.challenge, "URL", d.URL))
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(d.Close)
	d.metadata = map[string]any{"resource": d.URL + "/mcp", "authorization_servers": issuers}

	return d
}

// TestAServiceNamesItsIssuerInTheMetadataOfTheResource signs in at any provider that a service names by RFC 9728.
func TestAServiceNamesItsIssuerInTheMetadataOfTheResource(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(d *described, in *Login)
		want   error
	}{
		{"in a challenge", func(*described, *Login) {}, nil},
		{"at the well-known address", func(d *described, _ *Login) {
			d.challenge = ""
			d.where = "/.well-known/oauth-protected-resource/mcp"
		}, nil},
		{"the login names the second issuer", func(d *described, in *Login) {
			in.Issuer = d.metadata["authorization_servers"].([]string)[0]
			d.metadata["authorization_servers"] = []string{"https://id.example", in.Issuer}
		}, nil},
		{"the login names an issuer that the service does not", func(_ *described, in *Login) {
			in.Issuer = "https://id.example"
		}, ErrUnconfirmed},
		{"the user does not confirm another provider", func(_ *described, in *Login) {
			in.As = "mistrustful"
		}, ErrUnconfirmed},
		{"metadata at another origin", func(d *described, _ *Login) {
			d.challenge = `Bearer resource_metadata="https://evil.example/metadata"`
		}, jeton.ErrInvalid},
		{"metadata of another resource", func(d *described, _ *Login) {
			d.metadata["resource"] = "https://shop.example/mcp"
		}, jeton.ErrInvalid},
		{"metadata without an issuer", func(d *described, _ *Login) {
			delete(d.metadata, "authorization_servers")
		}, jeton.ErrNotFound},
		{"no metadata", func(d *described, _ *Login) { d.where = "/none" }, jeton.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newOpenID(t)
			d := newDescribed(t, p.URL)
			in := p.login()
			in.URL = d.URL + "/mcp?a=b"
			in.Issuer = ""
			tc.change(d, &in)

			w := newWallet(t, func(c *Config) {
				if in.As == "mistrustful" {
					c.Confirm = nil
				}
			})
			_, err := w.Login(t.Context(), in)
			if !errors.Is(err, tc.want) || (p.asked == nil) != (tc.want != nil) {
				t.Fatalf("Login = %v with the authorization request %v, want %v", err, p.asked, tc.want)
			}
			if got := p.asked.Get("resource"); tc.want == nil && got != d.URL+"/mcp" {
				t.Errorf("resource = %q, want %s/mcp", got, d.URL)
			}
		})
	}
}
