package pages_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// tokenEnd is when the tokens of these tests expire: that of a child not after that of its parent.
var tokenEnd = time.Now().Add(time.Hour)

// makeToken makes a token of diane for the shop, and returns its accessor and its secret. With 0 uses it is not
// counted.
func makeToken(s *jetontest.Server, name, parent string, uses int) (accessor, secret string) {
	var made struct {
		jeton.Token
		Secret string `json:"token"`
	}
	s.MustControl(http.MethodPost, "/api/v1/tokens", map[string]any{
		"user":       "diane",
		"name":       name,
		"parent":     parent,
		"services":   []string{"shop"},
		"max_uses":   uses,
		"expires_at": tokenEnd,
	}, &made)

	return made.Accessor, made.Secret
}

func TestRevokingATokenSaysWhatEndsWithIt(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword, "staff")
	v := newAdmin(t, s)

	parent, secret := makeToken(s, "nightly export", "", 0)
	child, _ := makeToken(s, "one export", parent, 5)
	if a := s.Ask("GET", "shop", "/staff", "Authorization", "Bearer "+secret); a.Status != http.StatusOK {
		t.Fatalf("the token before: got %d, want 200", a.Status)
	}

	v.see("/admin/tokens?user=diane", "nightly export", "one export", "5 of 5 uses left")
	v.lacks("tokens of another user", v.see("/admin/tokens?user=root"), "nightly export")
	v.see("/admin/tokens/"+child, "/admin/tokens/"+parent)
	page := v.see("/admin/tokens/"+parent, "1 token made with it", "parent="+parent)
	v.lacks("the page of the token", page, secret)

	v.see("/admin/tokens/"+parent+"/revoke", "this token", "1 token made with it")
	v.has("the list", v.done("/admin/tokens/"+parent+"/revoke"), "The token is revoked")

	a := s.Ask("GET", "shop", "/staff", "Authorization", "Bearer "+secret)
	if a.Status != http.StatusUnauthorized {
		t.Errorf("the token after: got %d, want 401", a.Status)
	}
	v.lacks("the list after", v.see("/admin/tokens?user=diane"), "nightly export", "one export")
}

func TestRevokingAllTokensOfAUserCountsThem(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword, "staff")
	v := newAdmin(t, s)
	makeToken(s, "one", "", 0)
	makeToken(s, "two", "", 0)

	page := v.userURL("diane")
	v.see(page+"/end-tokens", "2 tokens", "This cannot be undone")
	v.has("the page", v.done(page+"/end-tokens"), "The tokens are revoked")
	v.see("/admin/tokens?user=diane", "No token matches")
}

func TestSigningKeysAreRotatedAndRevoked(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	before := v.see("/admin/keys")
	after := v.done("/admin/keys", "do", "rotate")
	v.has("the keys", after, "New keys were made")
	if n := strings.Count(after, "/revoke\""); n <= strings.Count(before, "/revoke\"") {
		t.Errorf("%d keys after the rotation, want more than before", n)
	}

	m := regexp.MustCompile(`href="(/admin/keys/([^"/]+)/revoke)"`).FindStringSubmatch(after)
	if m == nil {
		t.Fatalf("page, want a key that can be revoked:\n%s", after)
	}
	if a := v.post(m[1], "confirm", "another"); a.Status != http.StatusBadRequest {
		t.Errorf("without the id of the key: got %d, want 400", a.Status)
	}

	v.has("the keys", v.done(m[1], "confirm", m[2], "reason", "lost"), "The key is revoked", ">revoked<")
	v.see("/admin/audit?action=key.revoke", "Signing key revoked", "lost")
}

func TestLettingAUserSignInAgain(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)

	page := v.userURL("diane")
	v.has("the page", v.done(page, "do", "allow-login", "service", "shop"), "can sign in at the service again")
	v.see("/admin/audit?action=login.allowed", "Sign-in allowed again", "at shop")

	a := v.post(page, "do", "nothing")
	if a.Status != http.StatusBadRequest {
		t.Errorf("a button that is not there: got %d, want 400", a.Status)
	}
}

// TestTheListOfClientsHasPages makes three clients more than a page shows. All are found by the links of the pages.
func TestTheListOfClientsHasPages(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	for i := range 50 + 3 {
		s.MustControl(http.MethodPost, "/api/v1/clients", map[string]any{
			"name":   fmt.Sprintf("job-%02d", i),
			"secret": true,
		}, nil)
	}

	next := regexp.MustCompile(`href="(/admin/clients\?[^"]+)" rel="next"`)
	for _, tc := range []struct {
		name, path string
		pages      []string // first and last client of each
	}{
		{"all", "/admin/clients", []string{"job-00 job-49", "job-50 nightly"}},
		{"by the beginning of the name", "/admin/clients?search=JOB-5", []string{"job-50 job-52"}},
	} {
		var got []string
		for path := tc.path; path != ""; {
			body := v.see(path)
			names := regexp.MustCompile(`class="name" href="[^"]+">([^<]+)`).FindAllStringSubmatch(body, -1)
			if len(names) == 0 {
				t.Fatalf("%s: %s shows no client, want some", tc.name, path)
			}
			got = append(got, names[0][1]+" "+names[len(names)-1][1])

			path = ""
			if m := next.FindStringSubmatch(body); m != nil {
				path = html.UnescapeString(m[1])
			}
		}

		if !slices.Equal(got, tc.pages) {
			t.Errorf("%s: the pages have %q, want %q", tc.name, got, tc.pages)
		}
	}

	v.see("/admin/clients?search=x", "No name of a client begins with")
	v.see("/admin/clients/job-07", "job-07")
}
