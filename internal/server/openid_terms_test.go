package server_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

const vaultDone = "https://vault.example/done"

// vaultAsks returns an authorization request of the client with terms: two sign-ins, two refreshes, a delay of 5 s.
func vaultAsks(s *jetontest.Server, changes ...string) string {
	return wikiAsks(s, append([]string{
		"client_id", "vault",
		"redirect_uri", vaultDone,
		"scope", "openid offline_access",
	}, changes...)...)
}

// vaultRedeems exchanges a code of that client.
func vaultRedeems(t *testing.T, s *jetontest.Server, code string) relied {
	t.Helper()
	return redeem(t, s, code, "client_id", "vault", "redirect_uri", vaultDone)
}

func TestASignInIsUsedAtAClientAsOftenAsItMay(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	// Codes that no client redeems cost no use.
	var codes []string
	for range 3 {
		codes = append(codes, b.codeFor(vaultAsks(s)))
	}
	for i, want := range []string{"", "", "invalid_grant"} {
		if got := vaultRedeems(t, s, codes[i]); got.Error != want {
			t.Errorf("sign-in %d: got %d %q, want %q", i+1, got.Status, got.Error, want)
		}
	}
	spent := func(e jeton.Event) bool { return e.Action == audit.TokenIssue && e.Outcome == "spent" }
	if events := s.Events(); !slices.ContainsFunc(events, spent) {
		t.Errorf("got events %v, want a spent %s", events, audit.TokenIssue)
	}

	if got := b.redirected(vaultAsks(s, "prompt", "none")).Get("error"); got != "login_required" {
		t.Errorf("prompt=none: got %q, want login_required", got)
	}
	if code := b.codeFor(wikiAsks(s)); code == "" {
		t.Error("another client: got no code, want one")
	}

	// The password again begins another sign-in, with uses of its own.
	page, back := b.shown(vaultAsks(s))
	if got := b.redirected(vaultAsks(s, "prompt", "none")).Get("error"); got != "login_required" {
		t.Errorf("while the page is open: got %q, want login_required", got)
	}
	b.send(page, "diane")
	if got := vaultRedeems(t, s, b.codeFor(back)); got.Status != http.StatusOK {
		t.Errorf("after another sign-in: got %d %q, want tokens", got.Status, got.Error)
	}
}

func TestTheTokensOfAClientHaveItsTerms(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")

	got := vaultRedeems(t, s, b.codeFor(vaultAsks(s)))
	opens := time.Unix(got.NotBefore, 0)
	if wait := opens.Sub(c.now()); wait < 5*time.Second || wait > 6*time.Second {
		t.Errorf("nbf is in %v, want in 5 to 6 seconds", wait)
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo before nbf = %d, want 401", a.Status)
	}
	c.move(opens.Sub(c.now()))
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusOK {
		t.Errorf("userinfo from nbf on = %d, want 200", a.Status)
	}

	refreshVault := func(token string) relied {
		t.Helper()
		return refresh(t, s, token, "client_id", "vault")
	}
	first := refreshVault(got.Refresh)
	again := refreshVault(got.Refresh) // its answer was lost: the same successor, and no use
	second := refreshVault(first.Refresh)
	if first.Status != http.StatusOK || again.Refresh != first.Refresh || second.Status != http.StatusOK {
		t.Fatalf("two refreshes: got %+v, %+v and %+v, want tokens", first, again, second)
	}

	for range 2 {
		if third := refreshVault(second.Refresh); third.Error != "invalid_grant" {
			t.Errorf("the third refresh: got %d %q, want invalid_grant", third.Status, third.Error)
		}
	}
	// That is no reuse of a stolen token, so what was issued goes on.
	c.move(6 * time.Second)
	if _, a := userinfo(s, http.MethodGet, second.Access); a.Status != http.StatusOK {
		t.Errorf("userinfo by the last token = %d, want 200", a.Status)
	}
}
