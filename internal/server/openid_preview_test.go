package server_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/jetontest"
)

// previewed is an answer of the preview of claims.
type previewed struct {
	Allowed  bool           `json:"allowed"`
	Code     string         `json:"code"`
	Checks   []jeton.Check  `json:"checks"`
	Scopes   []string       `json:"scopes"`
	Subject  string         `json:"subject_type"`
	IDToken  map[string]any `json:"id_token"`
	UserInfo map[string]any `json:"userinfo"`
}

// preview asks for the claims of a user at a client; query goes on with scopes.
func preview(t *testing.T, s *jetontest.Server, client, query string) previewed {
	t.Helper()
	var out previewed
	s.MustControl(http.MethodGet, "/api/v1/clients/"+client+"/claims?"+query, nil, &out)

	return out
}

// ofUser returns those claims of an ID token that are not about the sign-in.
func ofUser(claims map[string]any) map[string]any {
	for _, name := range openid.TokenClaims() {
		delete(claims, name)
	}

	return claims
}

// TestThePreviewIsWhatAClientGets compares the preview with an ID token and an answer of the userinfo endpoint.
func TestThePreviewIsWhatAClientGets(t *testing.T) {
	s := startRelying(t)
	s.MustControl(http.MethodPut, "/api/v1/users/max/disabled", map[string]bool{"disabled": true}, nil)
	s.AddUser("eve", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct{ name, client, scope, subject string }{
		{"a public subject", "wiki", "openid profile email groups", "public"},
		{"a pairwise subject", "clinic", "openid profile groups", "pairwise"},
		{"claims in the ID token", "old", "openid groups", "public"},
		{"scope openid alone", "clinic", "openid", "pairwise"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done := "https://" + tc.client + ".example/done"
			asks := wikiAsks(s, "client_id", tc.client, "redirect_uri", done, "scope", tc.scope)
			got := redeem(t, s, b.codeFor(asks), "client_id", tc.client, "redirect_uri", done)
			info, _ := userinfo(s, http.MethodGet, got.Access)

			v := preview(t, s, tc.client, "user=diane&scope="+strings.ReplaceAll(tc.scope, " ", "+"))
			if !v.Allowed || v.Code != "ok" || v.Subject != tc.subject {
				t.Errorf("preview = %+v, want allowed with subject type %s", v, tc.subject)
			}
			if id := ofUser(claimsOf(t, got.ID)); !reflect.DeepEqual(v.IDToken, id) {
				t.Errorf("preview of the ID token = %v, want the token's %v", v.IDToken, id)
			}
			if !reflect.DeepEqual(v.UserInfo, info) {
				t.Errorf("preview of userinfo = %v, want its answer %v", v.UserInfo, info)
			}
			if scopes := strings.Join(v.Scopes, " "); scopes != got.Scope {
				t.Errorf("scopes = %q, want those of the answer, %q", scopes, got.Scope)
			}
		})
	}

	for _, tc := range []struct{ name, client, user, code, check string }{
		{"a user who may not sign in there", "old", "eve", "forbidden", "allowed users"},
		{"a disabled user", "wiki", "max", "bad_credential", "user"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := preview(t, s, tc.client, "user="+tc.user)
			failed := func(c jeton.Check) bool { return c.Name == tc.check && c.Result == "fail" }
			if v.Allowed || v.Code != tc.code || !slices.ContainsFunc(v.Checks, failed) {
				t.Errorf("preview = %+v, want %s for a failed check %q", v, tc.code, tc.check)
			}
			if v.IDToken != nil || v.UserInfo != nil {
				t.Errorf("claims = %v and %v, want none", v.IDToken, v.UserInfo)
			}
		})
	}
}

func TestAPreviewNeedsAClientAndAUser(t *testing.T) {
	s := startRelying(t)
	s.AddClient("job")

	for _, tc := range []struct {
		name, path string
		want       int
	}{
		{"an unknown client", "unknown/claims?user=diane", http.StatusNotFound},
		{"a client that signs no users in", "job/claims?user=diane", http.StatusBadRequest},
		{"an unknown user", "wiki/claims?user=unknown", http.StatusNotFound},
		{"no user", "wiki/claims", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(s.ControlClient(), http.MethodGet, "http://control/api/v1/clients/"+tc.path, "")
			if a.Status != tc.want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.want)
			}
		})
	}
}
