package api_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// naughty returns strings that have broken other programs.
func naughty(t *testing.T) []string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "naughty-strings", "blns.json"))
	if err != nil {
		t.Fatal(err)
	}

	var list []string
	if err := json.Unmarshal(text, &list); err != nil || len(list) < 500 {
		t.Fatalf("%d naughty strings: %v", len(list), err)
	}

	if testing.Short() {
		var some []string
		for i := 0; i < len(list); i += 10 {
			some = append(some, list[i])
		}
		return some
	}

	return list
}

func body(t *testing.T, members map[string]any) string {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// kept checks that a text came back as it was sent, or was refused in good order.
func kept(t *testing.T, what, sent string, a jetontest.Answer, member string) bool {
	t.Helper()
	if a.Status == 400 {
		return false
	}

	got, _ := decode[map[string]any](t, a)[member].(string)
	if a.Status >= 300 || got != sent {
		t.Errorf("%s %q = %d %q, want 2xx and the same text", what, sent, a.Status, got)
	}

	return true
}

// TestHostileText sends strings that have broken other programs in every field.
func TestHostileText(t *testing.T) {
	b := start(t)
	admin, diane := b.newUser("admin"), b.newUser()
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	names, tokens := 0, 0
	all := naughty(t)
	for i, s := range all {
		a := b.as(diane, "PUT", "/users/me", body(t, map[string]any{"first_name": s, "last_name": s}))
		if kept(t, "first name", s, a, "first_name") && kept(t, "last name", s, a, "last_name") {
			names++
			again := b.as(diane, "GET", "/users/me", "")
			if s != "" {
				kept(t, "first name, read again", s, again, "first_name")
			}
		}

		if kept(t, "token name", s, b.as(diane, "POST", "/users/me/tokens", body(t, map[string]any{
			"name":       s,
			"expires_at": soon,
		})), "name") {
			tokens++
		}

		for what, a := range map[string]jetontest.Answer{
			"email":    b.as(diane, "PUT", "/users/me", body(t, map[string]any{"email": s})),
			"a member": b.as(diane, "PUT", "/users/me", body(t, map[string]any{s: s})),
			"groups":   b.as(admin, "PUT", "/users/"+diane.ID, body(t, map[string]any{"groups": []string{s}})),
			"a new user": b.as(admin, "POST", "/users", body(t, map[string]any{
				"name":     s,
				"email":    s,
				"password": "short",
			})),
			"search":        b.as(admin, "GET", "/users?search="+url.QueryEscape(s), ""),
			"cursor, limit": b.as(admin, "GET", "/users?cursor="+url.QueryEscape(s)+"&limit="+url.QueryEscape(s), ""),
			"an id":         b.as(admin, "GET", "/users/"+url.PathEscape(s), ""),
			"a session":     b.as(diane, "DELETE", "/users/me/sessions/"+url.PathEscape("s"+s), ""),
			"a token":       b.as(diane, "DELETE", "/users/me/tokens/"+url.PathEscape("t"+s), ""),
			"scopes": b.as(diane, "POST", "/users/me/tokens", body(t, map[string]any{
				"name":       "x",
				"expires_at": soon,
				"allows":     []string{s},
				"networks":   []string{s},
			})),
			"the body": b.as(diane, "PUT", "/users/me", s+" "),
		} {
			if a.Status >= 500 || a.Status == 0 {
				t.Errorf("%s %q = %d %s, want an answer below 500", what, s, a.Status, a.Body)
			}
		}

		if i%32 == 0 { // passwords are hashed slowly
			want := 200
			pw := s + " and eleven more"
			if a := b.as(admin, "PUT", "/users/"+diane.ID, body(t, map[string]any{"password": pw})); a.Status != want {
				t.Errorf("password %q = %d %s, want %d", pw, a.Status, a.Body, want)
			}

			a := b.send("POST", "/auth_session/login", body(t, map[string]any{"name": diane.Name, "password": pw}))
			diane.cookie = a.Cookies()

			if a.Status != want {
				t.Fatalf("log in with %q = %d %s, want %d", pw, a.Status, a.Body, want)
			}
		}
	}

	if names < len(all)*3/4 || tokens < len(all)*3/4 {
		t.Errorf("%d names and %d names of tokens were taken, want three quarters of %d", names, tokens, len(all))
	}
}
