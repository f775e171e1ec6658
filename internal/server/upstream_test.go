package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// above is the configuration of the provider, which is another Jeton. %s is its users and clients.
const above = `
issuer: {url: "https://127.0.0.1:${ISSUER_PORT}", listen: "127.0.0.1:${ISSUER_PORT}"}
%s
services: []
`

// aboveClient is the client of the provider that below is. %s is where it is.
const aboveClient = `
clients:
  - name: jeton
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid: {redirect_uris: ["%s/sign-in/with/company/callback"], id_token_algorithm: ES256}
`

// below signs users in at two providers.
const below = `
issuer:
  url: "https://localhost:${ISSUER_PORT}"
  listen: "localhost:${ISSUER_PORT}"
  upstreams:
    - name: company
      issuer: "${ABOVE}"
      label: Acme
      client_id: jeton
      client_secret_file: "${FILES}/secret"
      scopes: [openid, profile, email, groups]
      users: %s
      groups_claim: groups
      groups: [{from: staff, to: [employees]}, {from: boss, to: [leads, employees]}]
      link_by_email_domains: [example.org]
      %s
      ca: "${FILES}/above.pem"
      private_network: true
    - name: github
      issuer: github
      github_url: "${GITHUB}"
      client_id: jeton
      client_secret_file: "${FILES}/secret"
      users: create
      private_network: true
clients:
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://wiki.example/done"], id_token_algorithm: ES256}
  - name: notes
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://notes.example/done"], allow: {users: [Boss]}}
services: []
`

// federation is a provider, and a server whose users sign in there.
type federation struct {
	t      *testing.T
	above  *jetontest.Server
	below  *jetontest.Server
	gitHub atomic.Pointer[string] // the user there, as its REST API has it
}

func startFederation(t *testing.T, users, allow string, options ...jetontest.Option) *federation {
	t.Helper()
	f := &federation{t: t}
	f.above = jetontest.Start(t, fmt.Sprintf(above, ""), options...)
	for name, groups := range map[string][]string{"diane": {"staff"}, "eric": nil, "boss": {"boss"}} {
		f.above.AddUser(name, right, groups...)
	}

	files := t.TempDir()
	f.write(filepath.Join(files, "secret"), "s3cret\n")
	pem, err := os.ReadFile(filepath.Join(f.above.Dir(), "pubkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	f.write(filepath.Join(files, "above.pem"), string(pem))

	f.below = jetontest.Start(
		t, fmt.Sprintf(below, users, allow), append(options,
			jetontest.Env("ABOVE", f.above.Issuer()),
			jetontest.Env("GITHUB", f.startGitHub()),
			jetontest.Env("FILES", files),
		)...,
	)
	f.configureAbove("")

	return f
}

func (f *federation) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// configureAbove gives the provider the address of the server, and users.
func (f *federation) configureAbove(users string) {
	f.t.Helper()
	text := fmt.Sprintf(above, users+fmt.Sprintf(aboveClient, f.below.Issuer()))
	if err := f.above.Reload(text); err != nil {
		f.t.Fatal(err)
	}
}

// startGitHub starts what stands for GitHub.
func (f *federation) startGitHub() string {
	user := `{"id":1,"login":"octocat"}`
	f.gitHub.Store(&user)

	mux := http.NewServeMux()
	answer := func(text func() string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(text()))
		}
	}
	mux.HandleFunc("POST /login/oauth/access_token", answer(func() string {
		return `{"access_token":"gho","token_type":"bearer"}`
	}))
	mux.HandleFunc("GET /api/v3/user", answer(func() string { return *f.gitHub.Load() }))
	mux.HandleFunc("GET /api/v3/user/emails", answer(func() string { return `[]` }))

	s := httptest.NewServer(mux)
	f.t.Cleanup(s.Close)

	return s.URL
}

// visitor is a user with a browser, here as two: their jars do not share the name localhost.
type visitor struct {
	*browser
	f     *federation
	there *browser
}

// visitor returns a user who is signed in at the provider by a name, "" for none.
func (f *federation) visitor(t *testing.T, name string) *visitor {
	t.Helper()
	v := &visitor{newBrowser(t, f.below), f, newBrowser(t, f.above)}
	if name != "" {
		v.there.signIn(name)
	}

	return v
}

// leave loads an address that leads to the provider, and returns where.
func (v *visitor) leave(address string) string {
	v.t.Helper()
	a := v.get(address)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || strings.HasPrefix(to, "/") {
		v.t.Fatalf("%s: got %d to %q, want 303 to the provider", address, a.Status, to)
	}

	return to
}

// pass goes on at the provider, where the user is signed in, and returns where the provider sends the browser.
func (v *visitor) pass(address string) string {
	v.t.Helper()
	return v.there.get(address).Header.Get("Location")
}

// with signs in at the provider from a page and returns the last page.
func (v *visitor) with(path string) jetontest.Answer {
	v.t.Helper()
	return v.open(v.pass(v.leave(v.f.below.Issuer() + path)))
}

// post sends a form of a page and returns the answer.
func (v *visitor) post(path string, fields ...string) jetontest.Answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
	header = append(header, "Origin", v.f.below.Issuer())

	return v.f.below.Send(v.client, http.MethodPost, v.f.below.Issuer()+path, form.Encode(), header...)
}

// viaForm sends a form that leads to the provider, goes on there, and returns the last page. asked is the user whose
// password the provider asks for, or "".
func (v *visitor) viaForm(path, asked string) jetontest.Answer {
	v.t.Helper()
	a := v.post(path)
	to := strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
	if a.Status != http.StatusOK || to == "" {
		v.t.Fatalf("POST %s: got %d %s, want a page that leads to the provider", path, a.Status, plain(a.Body))
	}

	if asked == "" {
		return v.open(v.pass(to))
	}

	return v.open(v.passAs(to, asked))
}

// passAs is pass for a provider that asks for the password again.
func (v *visitor) passAs(address, name string) string {
	v.t.Helper()
	v.there.open(address)
	back := v.there.resolve(v.there.at(), v.there.send(v.there.at(), name))
	for !strings.HasPrefix(back, v.f.below.Issuer()) {
		h := v.there.get(back).Header
		back = v.there.resolve(back, h.Get("Location")+strings.TrimPrefix(h.Get("Refresh"), "0;url="))
	}

	return back
}

// wantShown checks a page.
func wantShown(t *testing.T, what string, a jetontest.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Errorf("%s: got %d %s, want %d with %q", what, a.Status, plain(a.Body), status, text)
	}
}

var tags = regexp.MustCompile(`(?s)<[^>]*>|\s+`)

// plain returns the text of a page.
func plain(body string) string { return tags.ReplaceAllString(body, " ") }

// user returns a user of the server.
func (f *federation) user(name string) jeton.User {
	f.t.Helper()
	var u jeton.User
	f.below.MustControl("GET", "/api/v1/users/"+name, nil, &u)

	return u
}

// lastEvent returns the last event with an action, as JSON.
func (f *federation) lastEvent(action string) string {
	f.t.Helper()
	events := f.below.Events()
	for _, e := range slices.Backward(events) {
		if e.Action == action {
			b, err := json.Marshal(e)
			if err != nil {
				f.t.Fatal(err)
			}
			return string(b)
		}
	}
	f.t.Fatalf("no event %s", action)

	return ""
}

func TestAUserOfAProviderIsMadeAtTheFirstSignIn(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")

	page := v.get(f.below.Issuer() + "/sign-in?to=%2Faccount%2Fsecurity")
	wantShown(t, "sign-in page", page, 200, `href="/sign-in/with/company?to=%2Faccount%2Fsecurity">Continue with Acme<`)
	a := v.with("/sign-in/with/company?to=%2Faccount%2Fsecurity")
	wantShown(t, "first sign-in", a, 200, "<h1>Security</h1>")
	made := f.user("diane")
	if strings.Join(made.Groups, ",") != "employees" {
		t.Errorf("groups = %v, want employees, which staff stands for", made.Groups)
	}
	if e := f.lastEvent("login"); !strings.Contains(e, `"provider","value":"company"`) {
		t.Errorf("event = %s, want the provider", e)
	}

	var sessions []jeton.Session
	f.below.MustControl("GET", "/api/v1/sessions?user=diane", nil, &sessions)
	if len(sessions) != 1 || strings.Join(sessions[0].AMR, ",") != "upstream:company" {
		t.Errorf("sessions = %+v, want one by upstream:company", sessions)
	}

	// A group of another kind stays, and one that the provider took away goes.
	f.below.MustControl("PUT", "/api/v1/users/diane/groups", map[string]any{"groups": []string{"employees", "x"}}, nil)
	f.above.MustControl("PUT", "/api/v1/users/diane/groups", map[string]any{"groups": []string{}}, nil)
	wantShown(t, "second sign-in", v.with("/sign-in/with/company"), 200, "diane")
	again := f.user("diane")
	if again.ID != made.ID || strings.Join(again.Groups, ",") != "x" {
		t.Errorf("after the second sign-in: %+v, want the same user, in x alone", again)
	}

	f.below.MustControl("PUT", "/api/v1/users/diane/disabled", map[string]any{"disabled": true}, nil)
	wantShown(t, "disabled", v.with("/sign-in/with/company"), 401, "This account is disabled")
	f.below.MustControl("DELETE", "/api/v1/users/diane", nil, nil)
	v.with("/sign-in/with/company")
	if f.user("diane").ID == made.ID {
		t.Error("a user who was removed and comes again has the old id, want a new user")
	}

	// A name that a user has is not taken over.
	f.below.AddUser("eric", right)
	a = f.visitor(t, "eric").with("/sign-in/with/company")
	wantShown(t, "a name that is taken", a, 403, "There is an account with")

	// Nor is one that a rule of the configuration names: the user could have chosen it for that.
	a = f.visitor(t, "boss").with("/sign-in/with/company")
	wantShown(t, "a name that is reserved", a, 403, "There is an account with")
	if e := f.lastEvent("login"); !strings.Contains(e, "the configuration names this user") {
		t.Errorf("event = %s, want the reason", e)
	}
}

// TestASignInAtAProviderLeadsBackToARelyingParty has both: this server is a relying party, and has one.
func TestASignInAtAProviderLeadsBackToARelyingParty(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")

	for _, tc := range []struct {
		name    string
		changes []string
		gitHub  bool // is offered
		asks    bool // the provider asks for the password again
	}{
		{"a first sign-in", nil, true, false},
		{"a forced sign-in", []string{"prompt", "login"}, false, true},
		{"a recent one", []string{"max_age", "0"}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v.t, v.there.t = t, t
			request := authorizationOf(f.below, "wiki", wikiDone, append([]string{"scope", "openid"}, tc.changes...)...)
			page := v.open(request)
			if got := strings.Contains(page.Body, "/sign-in/with/github?"); got != tc.gitHub {
				t.Errorf("the page offers GitHub: %t, want %t", got, tc.gitHub)
			}

			to := v.leave(strings.Replace(v.at(), "/sign-in?", "/sign-in/with/company?", 1))
			back := v.pass(to)
			if asks := !strings.HasPrefix(back, f.below.Issuer()); asks != tc.asks {
				t.Fatalf("the provider leads to %s, want it to ask: %t", back, tc.asks)
			}
			if tc.asks {
				back = v.passAs(to, "diane")
			}

			a := v.get(back)
			if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in/continue?") {
				t.Fatalf("got %d to %q, want the page that leads on", a.Status, a.Header.Get("Location"))
			}
			next := strings.Replace(a.Header.Get("Location"), "/sign-in/continue?", "/oauth2/authorize?", 1)
			if code := v.codeFor(f.below.Issuer() + next); code == "" {
				t.Error("no code for the relying party, want one")
			}
		})
	}
}

// TestASessionAtAProviderIsNoProof has a user who signed in at the provider long ago, and is not asked there.
func TestASessionAtAProviderIsNoProof(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")
	wantsProof := func(what, address string) string {
		t.Helper()
		to := v.get(address).Header.Get("Location")
		if !strings.HasPrefix(to, "/sign-in?") {
			t.Fatalf("%s: got to %q, want the sign-in page", what, to)
		}
		return to
	}

	wantsProof("max_age", authorizationOf(f.below, "wiki", wikiDone, "scope", "openid", "max_age", "3600"))
	const forced = "a forced sign-in"
	page := wantsProof(forced, authorizationOf(f.below, "wiki", wikiDone, "scope", "openid", "prompt", "login"))

	// The user removes what has the provider ask for the password, and goes back to the request.
	without := strings.Replace(page, "prompt=login", "", 1)
	v.get(v.pass(v.leave(f.below.Issuer() + strings.Replace(without, "/sign-in?", "/sign-in/with/company?", 1))))
	wantsProof(forced, f.below.Issuer()+strings.Replace(page, "/sign-in?", "/oauth2/authorize?", 1))

	if code := v.codeFor(authorizationOf(f.below, "wiki", wikiDone, "scope", "openid offline_access")); code == "" {
		t.Error("refresh tokens: got no code, want one, as the sign-in is recent")
	}
}
