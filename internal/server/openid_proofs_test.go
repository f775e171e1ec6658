package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

const robotDone = "https://robot.example/done"

// addRobot adds a relying party with a key in place of a secret. Its ID tokens have the default algorithm.
func addRobot(t *testing.T, s *jetontest.Server) jetontest.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(private, "", "")
	if err != nil {
		t.Fatal(err)
	}

	s.MustControl(http.MethodPost, "/api/v1/clients", api.NewClient{
		Name:   "robot",
		Keys:   []api.NewClientKey{{Key: string(signer.Key().PEM())}},
		OpenID: &jeton.RelyingParty{RedirectURIs: []string{robotDone}},
	}, nil)

	return jetontest.Key{Client: "robot", Signer: signer}
}

// checkIDToken fails the test unless an ID token is signed with an algorithm, by a key that is published for it.
func checkIDToken(t *testing.T, s *jetontest.Server, text, alg string) {
	t.Helper()
	a := s.Send(s.Client(), http.MethodGet, s.Issuer()+"/.well-known/jwks.json", "")
	keys, _, err := jose.ParseSet([]byte(a.Body))
	signed, invalid := jose.Parse(text)
	if err != nil || invalid != nil {
		t.Fatalf("parse JWKS %q: %v; parse ID token %q: %v; want nil", a.Body, err, text, invalid)
	}

	i := slices.IndexFunc(keys, func(k jose.Key) bool { return k.ID == signed.Header.KeyID })
	if i < 0 {
		t.Fatalf("kid of the ID token = %q, want one that is published: %v", signed.Header.KeyID, keys)
	}
	if string(keys[i].Alg) != alg || string(signed.Header.Alg) != alg {
		t.Errorf("alg = %s by a key for %s, want %s", signed.Header.Alg, keys[i].Alg, alg)
	}
	if err := signed.Verify(keys[i]); err != nil {
		t.Errorf("the key %q does not verify the ID token: %v", signed.Header.KeyID, err)
	}
}

// TestEachProofOfARelyingPartyRedeemsACode proves clients in each way that the metadata names, but client_secret_post,
// which all other tests use.
func TestEachProofOfARelyingPartyRedeemsACode(t *testing.T) {
	s := startRelying(t)
	robot := addRobot(t, s)
	b := newBrowser(t, s)
	b.signIn("diane")

	assertion := robot.Assertion("", robot.Claims(s.Issuer(), time.Now()))
	assertionOf := func(text string) []string {
		return []string{
			"client_assertion", text,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		}
	}
	foreign := robot.Claims("https://other.example", time.Now())
	addresses := map[string]string{"wiki": wikiDone, "robot": robotDone, "cli": "http://127.0.0.1:5/done"}

	for _, tc := range []struct {
		name   string
		client string
		basic  string   // credential of HTTP authentication; "": none
		form   []string // what else the client sends
		want   string   // error, or "" for tokens
		alg    string   // of the ID token
	}{
		{"client_secret_basic", "wiki", "wiki:s3cret", nil, "", "ES256"},
		{"a wrong secret", "wiki", "wiki:other", nil, "invalid_client", ""},
		{"a secret twice", "wiki", "wiki:s3cret", []string{"client_secret", "s3cret"}, "invalid_request", ""},
		{"private_key_jwt", "robot", "", assertionOf(assertion), "", "RS256"},
		{"an assertion twice", "robot", "", assertionOf(assertion), "invalid_client", ""},
		{"one for another issuer", "robot", "", assertionOf(robot.Assertion("", foreign)), "invalid_client", ""},
		{"a name where a key is needed", "robot", "", []string{"client_id", "robot"}, "invalid_client", ""},
		{"none, by a public client", "cli", "", []string{"client_id", "cli"}, "", "EdDSA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			redirect := addresses[tc.client]
			asks := wikiAsks(s, "client_id", tc.client, "redirect_uri", redirect)
			if tc.client == "cli" {
				_, asks = b.shown(asks)
			}

			var header []string
			if tc.basic != "" {
				header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(tc.basic))}
			}

			got := exchangeWith(t, s, header, append([]string{
				"client_id", "",
				"client_secret", "",
				"grant_type", "authorization_code",
				"code", b.codeFor(asks),
				"redirect_uri", redirect,
				"code_verifier", verifier,
			}, tc.form...)...)
			if got.Error != tc.want || (got.ID != "") != (tc.want == "") {
				t.Fatalf("got %d %q, want %q", got.Status, got.Error, tc.want)
			}
			if tc.want == "" {
				checkIDToken(t, s, got.ID, tc.alg)
			}
		})
	}
}
