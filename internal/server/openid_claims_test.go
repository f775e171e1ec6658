package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestTheClaimsOfAUserFollowAChangeOnAnotherNode changes a user on one node, and asks another node, which has the user
// in memory.
func TestTheClaimsOfAUserFollowAChangeOnAnotherNode(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}

	// Access tokens are for the issuer of that URL, which is the one of both nodes.
	one := strings.Replace(relying, `"https://localhost:${ISSUER_PORT}"`, `"https://localhost:1"`, 1)
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + one
	a, b := jetontest.Start(t, conf), jetontest.Start(t, conf)
	a.AddUser("diane", right, "staff")

	in := newBrowser(t, a)
	in.signIn("diane")
	got := redeem(t, a, in.codeFor(wikiAsks(a)))

	const users = "/api/v1/users/diane"
	for _, step := range []struct {
		name, path string
		in         any
		want       string // groups and given_name at the other node
	}{
		{"no change", "", nil, "[staff] <nil>"},
		{"another group", users + "/groups", map[string][]string{"groups": {"board"}}, "[board] <nil>"},
		{"a first name", users, map[string]string{"first_name": "Di"}, "[board] Di"},
		{"no group", users + "/groups", map[string][]string{"groups": {}}, "[] Di"},
	} {
		if step.path != "" {
			a.MustControl("PUT", step.path, step.in, nil)
		}

		claims, answer := userinfo(b, http.MethodGet, got.Access)
		if now := fmt.Sprint(claims["groups"], " ", claims["given_name"]); now != step.want {
			t.Errorf("%s: the other node answers %d %s, want %s", step.name, answer.Status, now, step.want)
		}
	}

	a.MustControl("PUT", users+"/disabled", map[string]bool{"disabled": true}, nil)
	if _, answer := userinfo(b, http.MethodGet, got.Access); answer.Status != http.StatusUnauthorized {
		t.Errorf("userinfo of a disabled user at the other node = %d, want 401", answer.Status)
	}
}
