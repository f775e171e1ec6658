package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
)

// TestAUserWhoLeavesTheGroupHasNoTokensThere judges by the current groups, not those of the sign-in.
func TestAUserWhoLeavesTheGroupHasNoTokensThere(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	const done = "https://old.example/done"
	asks := wikiAsks(s, "client_id", "old", "redirect_uri", done, "scope", "openid offline_access")
	got := redeem(t, s, b.codeFor(asks), "client_id", "old", "redirect_uri", done)
	if got.Refresh == "" {
		t.Fatalf("got %d %q, want a refresh token", got.Status, got.Error)
	}

	s.MustControl("PUT", "/api/v1/users/diane/groups", map[string][]string{"groups": {}}, nil)
	if again := refresh(t, s, got.Refresh, "client_id", "old"); again.Error != "invalid_grant" {
		t.Errorf("refresh: got %d %q, want invalid_grant", again.Status, again.Error)
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo = %d, want 401", a.Status)
	}
}

// TestARelyingPartyRevokesItsTokensAlone uses RFC 7009.
func TestARelyingPartyRevokesItsTokensAlone(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	revoke := func(name, token string) {
		t.Helper()
		form := url.Values{"client_id": {name}, "client_secret": {"s3cret"}, "token": {token}}
		a := s.Send(s.Client(), http.MethodPost, s.Issuer()+"/oauth2/revoke", form.Encode(),
			"Content-Type", "application/x-www-form-urlencoded")
		if a.Status != http.StatusOK {
			t.Fatalf("revoke = %d %s, want 200", a.Status, a.Body)
		}
	}

	got := redeem(t, s, b.codeFor(wikiAsks(s, "scope", "openid offline_access")))
	revoke("old", got.Access)
	revoke("old", got.Refresh)
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusOK {
		t.Errorf("userinfo after another client revoked the tokens = %d, want 200", a.Status)
	}

	revoke("wiki", got.Access)
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after the client revoked the token = %d, want 401", a.Status)
	}

	got = refresh(t, s, got.Refresh)
	if got.Status != http.StatusOK {
		t.Fatalf("refresh after an access token was revoked: got %d %q, want 200", got.Status, got.Error)
	}

	form := url.Values{"client_id": {"wiki"}, "token": {got.Refresh}}
	a := s.Send(s.Client(), http.MethodPost, s.Issuer()+"/oauth2/revoke", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
	if a.Status != http.StatusUnauthorized {
		t.Errorf("revoke without the secret = %d %s, want 401", a.Status, a.Body)
	}

	revoke("wiki", got.Refresh)
	if again := refresh(t, s, got.Refresh); again.Error != "invalid_grant" {
		t.Errorf("refresh after the client revoked the token: got %d %q, want invalid_grant", again.Status, again.Error)
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after the refresh token was revoked = %d, want 401", a.Status)
	}
}

// TestAPublicClientWithAKeyMustShowIt adds a key to a client that was public.
func TestAPublicClientWithAKeyMustShowIt(t *testing.T) {
	s := startRelying(t)
	public := &jeton.RelyingParty{RedirectURIs: []string{wikiDone}, Public: true}
	key := api.NewClientKey{Key: publicKey(t)}

	both := api.NewClient{Name: "both", OpenID: public, Keys: []api.NewClientKey{key}}
	if err := s.Control("POST", "/api/v1/clients", both, nil); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("add a public client with a key = %v, want jeton.ErrInvalid", err)
	}

	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "app", OpenID: public}, nil)
	s.MustControl("POST", "/api/v1/clients/app/keys", key, nil)
	got := redeem(t, s, "x", "client_id", "app", "client_secret", "")
	if got.Status != http.StatusUnauthorized || got.Error != "invalid_client" {
		t.Errorf("without a proof: got %d %q, want 401 invalid_client", got.Status, got.Error)
	}
}

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}

	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestThePageNamesTheRelyingParty lets users see which application they sign in to. Other names are a stranger's text.
func TestThePageNamesTheRelyingParty(t *testing.T) {
	s := startRelying(t)
	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "robot"}, nil)
	signedIn, stranger := newBrowser(t, s), newBrowser(t, s)
	signedIn.signIn("diane")

	for name, want := range map[string]bool{
		"wiki":  true,
		"cli":   true,
		"robot": false, // signs no users in
		"evil":  false,
	} {
		for _, b := range []*browser{signedIn, stranger} {
			a := s.Send(b.client, http.MethodGet, s.Issuer()+"/sign-in?lang=en&client_id="+name, "")
			if got := strings.Contains(a.Body, "to continue to <strong>"+name+"</strong>"); got != want {
				t.Errorf("the page for %s names it: %t, want %t (%d)", name, got, want, a.Status)
			}
		}
	}
}
