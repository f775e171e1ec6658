package parties

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/jeton-auth/jeton/jetontest"
	"github.com/jeton-auth/jeton/wallet"
)

// upstream signs users in at oidc-provider.
const upstream = `
issuer:
  url: https://localhost:${ISSUER_PORT}
  listen: localhost:${ISSUER_PORT}
  upstreams:
    - name: company
      issuer: ${COMPANY}
      client_id: jeton
      client_secret_file: ${FILES}/secret
      scopes: [openid, profile, email, groups]
      users: create
      groups_claim: groups
      groups: [{from: staff, to: [employees]}]
      ca: ${FILES}/cert.pem
      private_network: true
clients:
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid: {redirect_uris: ["http://127.0.0.1:9/done"], id_token_algorithm: ES256}
services: []
`

// company is oidc-provider, and an API that accepts its tokens.
type company struct {
	issuer, api string
	files       string // folder with its certificate and the secret of its client
	cert        *x509.Certificate
}

// newCompany starts oidc-provider. jeton is the address of its client.
func newCompany(t *testing.T, jeton string) *company {
	t.Helper()
	c := &company{files: t.TempDir()}

	// The certificate of such a server is valid for 127.0.0.1.
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	c.cert = s.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}

	file := func(name string) string { return filepath.Join(c.files, name) }
	err = errors.Join(
		os.WriteFile(file("cert.pem"), c.pem(), 0o600),
		os.WriteFile(file("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
		os.WriteFile(file("secret"), []byte("s3cret"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}

	command := nodeScript(t, "testdata/provider.mjs")
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "CERT="+file("cert.pem"), "KEY="+file("key.pem"), "JETON="+jeton,
		"NODE_EXTRA_CA_CERTS="+file("cert.pem"))
	c.start(t, cmd)

	return c
}

// start starts the process, which ends with its standard input.
func (c *company) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // killed, or ended
		if t.Failed() {
			t.Logf("oidc-provider: %s", trouble.String())
		}
	})

	lines := bufio.NewScanner(out)
	for _, to := range []*string{&c.issuer, &c.api} {
		// The library prints lines of its own.
		for !strings.HasPrefix(*to, "https://") {
			if !lines.Scan() {
				t.Fatalf("the provider ends: %v", lines.Err())
			}
			*to = lines.Text()
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
}

func (c *company) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// employee is a user who signs in at the company.
func (c *company) employee(t *testing.T, s *jetontest.Server) *user {
	t.Helper()
	u := newUser(t, s)
	u.origin[c.issuer] = true
	u.trust(c.cert)
	delete(u.forms, "/sign-in")
	u.forms["/interaction/"] = url.Values{"login": {"diane"}, "password": {"any"}}

	return u
}

// TestOidcProvider has the provider of a company prove a user.
func TestOidcProvider(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c := newCompany(t, "https://localhost:"+port)
	s := jetontest.Start(t, upstream, jetontest.Env("ISSUER_PORT", port), jetontest.Env("COMPANY", c.issuer),
		jetontest.Env("FILES", c.files))

	t.Run("a relying party", func(t *testing.T) { c.signInAtWiki(t, s) })
	t.Run("the wallet", func(t *testing.T) { c.signInWithWallet(t, s) })
}

// signInAtWiki has the user of a relying party come from the company, and become a user here.
func (c *company) signInAtWiki(t *testing.T, s *jetontest.Server) {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), s.Client())
	provider, err := oidc.NewProvider(ctx, s.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	wiki := oauth2.Config{
		ClientID:     "wiki",
		ClientSecret: "s3cret",
		Endpoint:     provider.Endpoint(),
		RedirectURL:  "http://127.0.0.1:9/done",
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email", "groups"},
	}

	verifier := oauth2.GenerateVerifier()
	back, err := url.Parse(c.employee(t, s).open(wiki.AuthCodeURL("s1", oauth2.S256ChallengeOption(verifier))))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := wiki.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		t.Fatal(err)
	}

	var claims struct {
		Name   string   `json:"preferred_username"`
		Groups []string `json:"groups"`
	}
	err = info.Claims(&claims)
	if err != nil || claims.Name != "diane" || !slices.Equal(claims.Groups, []string{"employees"}) ||
		info.Email != "diane@example.org" {
		t.Errorf("userinfo: got %+v %+v, want diane in employees, with her address: %v", info, claims, err)
	}
}

// signInWithWallet gives the wallet the address of an API alone, which Jeton does not protect.
func (c *company) signInWithWallet(t *testing.T, s *jetontest.Server) {
	t.Helper()
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "wallet")
	w, err := wallet.Open(wallet.Config{
		Dir:    dir,
		KeyDir: dir,
		Now:    func() time.Time { return now },
		Confirm: func(_ context.Context, p wallet.Pairing) (bool, error) {
			return p.Issuer == c.issuer && p.Audience == c.api+"/notes", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	id, err := w.Login(t.Context(), wallet.Login{
		URL:    c.api + "/notes/7",
		CACert: c.pem(),
		SignIn: &wallet.SignIn{ClientID: "cli", Open: func(_ context.Context, address string) error {
			at := c.employee(t, s).open(address)
			resp, err := http.Get(at)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}

	// After two hours, the token is refreshed: the API answers with the user and the number of the token.
	var seen []string
	for range 2 {
		resp, err := id.Client().Get(c.api + "/notes/7")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.HasPrefix(string(body), "diane ") || slices.Contains(seen, string(body)) {
			t.Errorf("got %d %q after %q, want diane with another token: %v", resp.StatusCode, body, seen, err)
		}
		seen = append(seen, string(body))
		now = now.Add(2 * time.Hour)
	}

	if err := w.Logout(t.Context(), c.api, id.Name()); err != nil {
		t.Error(err)
	}
}
