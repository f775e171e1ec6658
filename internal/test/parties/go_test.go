package parties

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// byGo signs a user in with go-oidc and x/oauth2, which find out by themselves how the client proves itself.
func (w *world) byGo(t *testing.T) {
	ctx := oidc.ClientContext(t.Context(), w.Client())
	u := newUser(t, w.Server)

	provider, err := oidc.NewProvider(ctx, w.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	client := oauth2.Config{
		ClientID:     "go-oidc",
		ClientSecret: "s3cret",
		Endpoint:     provider.Endpoint(),
		RedirectURL:  "http://127.0.0.1:9/done",
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email", "groups", oidc.ScopeOfflineAccess},
	}

	verifier := oauth2.GenerateVerifier()
	back, err := url.Parse(u.open(client.AuthCodeURL("s1", oidc.Nonce("n1"), oauth2.S256ChallengeOption(verifier))))
	if err != nil || back.Query().Get("state") != "s1" {
		t.Fatalf("the browser arrives at %v, want the state s1: %v", back, err)
	}
	tokens, err := client.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}

	checks := provider.Verifier(&oidc.Config{ClientID: "go-oidc"})
	text, _ := tokens.Extra("id_token").(string)
	id, err := checks.Verify(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(tokens.AccessToken); err != nil || id.Nonce != "n1" {
		t.Errorf("at_hash: %v; nonce %q, want n1", err, id.Nonce)
	}

	w.checkUser(t, provider, client, tokens, id.Subject)
	w.checkEnd(t, u, provider, checks, text)
}

// checkUser reads the claims of the user, before and after a refresh.
func (w *world) checkUser(
	t *testing.T, provider *oidc.Provider, client oauth2.Config, tokens *oauth2.Token, subject string,
) {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), w.Client())

	next, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
	if err != nil || next.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refresh: got %v, want another refresh token", err)
	}

	for _, one := range []*oauth2.Token{tokens, next} {
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(one))
		if err != nil {
			t.Fatal(err)
		}

		var claims struct {
			Name   string   `json:"preferred_username"`
			Groups []string `json:"groups"`
		}
		err = info.Claims(&claims)
		if err != nil || info.Subject != subject || !info.EmailVerified || claims.Name != "diane" ||
			!slices.Equal(claims.Groups, []string{"sales", "staff"}) {
			t.Errorf("userinfo: got %+v %+v, want those of diane: %v", info, claims, err)
		}
	}
}

// checkEnd signs the user out, and checks the logout token.
func (w *world) checkEnd(
	t *testing.T, u *user, provider *oidc.Provider, checks *oidc.IDTokenVerifier, hint string,
) {
	t.Helper()
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}

	end := metadata.EndSession + "?" + url.Values{
		"id_token_hint":            {hint},
		"post_logout_redirect_uri": {"http://127.0.0.1:9/bye"},
	}.Encode()
	if at := u.open(end); at != "http://127.0.0.1:9/bye" {
		t.Errorf("after the sign-out the browser arrives at %s, want the client", at)
	}

	logout, err := checks.Verify(oidc.ClientContext(t.Context(), w.Client()), w.logout(t, "go-oidc"))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Session string                     `json:"sid"`
		Events  map[string]json.RawMessage `json:"events"`
	}
	err = logout.Claims(&claims)
	event := claims.Events["http://schemas.openid.net/event/backchannel-logout"]
	if err != nil || claims.Session == "" || event == nil {
		t.Errorf("logout token: got %+v, want a session and the event: %v", claims, err)
	}

}
