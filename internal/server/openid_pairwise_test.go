package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// pairwiseTokens signs the user of a browser in at a client of the domain example, and returns the claims of the ID
// token and the answer that it is in.
func pairwiseTokens(t *testing.T, s *jetontest.Server, b *browser, client string) (map[string]any, relied) {
	t.Helper()
	done := "https://" + client + ".example/done"
	asks := wikiAsks(s, "client_id", client, "redirect_uri", done, "scope", "openid offline_access")
	got := redeem(t, s, b.codeFor(asks), "client_id", client, "redirect_uri", done)
	if got.Status != http.StatusOK {
		t.Fatalf("%s: got %d %q, want tokens", client, got.Status, got.Error)
	}

	return claimsOf(t, got.ID), got
}

// TestPairwiseClientsCannotCompareTheirUsers has two clients of one sector, one of another, and a public one.
func TestPairwiseClientsCannotCompareTheirUsers(t *testing.T) {
	out := newWikiLogout(t, http.StatusOK)
	s := startRelying(t, jetontest.Env("WIKI_LOGOUT", out.url))
	b, other := newBrowser(t, s), newBrowser(t, s)
	b.signIn("diane")
	other.signIn("max")

	clinic, got := pairwiseTokens(t, s, b, "clinic")
	lab, _ := pairwiseTokens(t, s, b, "lab")
	shop, _ := pairwiseTokens(t, s, b, "drugs")
	public, _ := pairwiseTokens(t, s, b, "wiki")
	max, _ := pairwiseTokens(t, s, other, "clinic")

	for _, tc := range []struct {
		name string
		a, b map[string]any
		same bool
	}{
		{"two clients of a sector", clinic, lab, true},
		{"two sectors", clinic, shop, false},
		{"a pairwise and a public client", clinic, public, false},
		{"two users", clinic, max, false},
	} {
		for _, claim := range []string{"sub", "sid"} {
			if (tc.a[claim] == tc.b[claim]) != tc.same {
				t.Errorf("%s: %s = %v and %v, want the same: %v", tc.name, claim, tc.a[claim], tc.b[claim], tc.same)
			}
		}
	}
	if sub, _ := clinic["sub"].(string); len(sub) != 43 {
		t.Errorf("sub = %q, want 256 bits", sub)
	}

	if claims, _ := userinfo(s, http.MethodGet, got.Access); claims["sub"] != clinic["sub"] {
		t.Errorf("userinfo: sub = %v, want that of the ID token, %v", claims["sub"], clinic["sub"])
	}
	again := claimsOf(t, refresh(t, s, got.Refresh, "client_id", "clinic").ID)
	if again["sub"] != clinic["sub"] || again["sid"] != clinic["sid"] {
		t.Errorf("after a refresh: got %v, want the sub and sid of the sign-in", again)
	}

	asks := []string{"client_id", "clinic", "redirect_uri", "https://clinic.example/done", "prompt", "none"}
	for user, in := range map[string]*browser{"diane": b, "max": other} {
		back := in.redirected(wikiAsks(s, append(asks, "id_token_hint", got.ID)...))
		if back.Has("code") != (user == "diane") {
			t.Errorf("hint of diane, session of %s: got %v, want a code only for diane", user, back)
		}
	}

	// The ID token names the session, so it ends without a question; and the logout token has the names of the client.
	a := b.get(s.Issuer() + "/oauth2/logout?id_token_hint=" + got.ID)
	if at := a.Header.Get("Location"); !strings.HasPrefix(at, "/signed-out") {
		t.Errorf("logout with the ID token: got to %q, want /signed-out", at)
	}
	if _, sent := out.next(t, clinic); sent["sub"] != clinic["sub"] || sent["aud"] != "clinic" {
		t.Errorf("logout token = %v, want the sub and sid of the client", sent)
	}
}
