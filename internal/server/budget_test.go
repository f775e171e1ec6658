package server_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/jetontest"
)

// budgeted has a path of each kind that checks a password. %d is how many wrong ones are free.
const budgeted = `
throttle: {pair_burst: %d, pair_every: 24h, account_burst: 1000000, source_burst: 1000000}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: files
    listen: localhost:0
    login: {paths: [/login], token: /token}
    tokens: {}
    users_api: {}
    routes:
      - {match: GET /me, accept: [session, basic, token], respond: {template: '{{.Name}}'}}
  - name: classic
    listen: localhost:0
    users_api: {classic: {auth: basic_auth}}
`

// wrongTry sends a wrong password, or a wrong code, by one path.
type wrongTry struct {
	name string
	send func(t *testing.T) jetontest.Answer
}

// guesser is a user with a session, who tries wrong passwords and codes.
type guesser struct {
	s *jetontest.Server
	b *browser
}

// form sends a form to a service, without a session.
func (g guesser) form(service, method, path string, fields ...string) func(*testing.T) jetontest.Answer {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}

	return func(*testing.T) jetontest.Answer {
		return g.s.Send(g.s.Client(), method, g.s.URL(service)+path, form.Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Origin", g.s.URL(service))
	}
}

// json sends JSON to the API of the issuer, in the session.
func (g guesser) json(path, body string) func(*testing.T) jetontest.Answer {
	return func(*testing.T) jetontest.Answer {
		return g.s.Send(g.b.client, http.MethodPost, g.s.Issuer()+"/api/v1"+path, body,
			"Content-Type", "application/json", "Origin", g.s.Issuer())
	}
}

// page sends a form to a page of the issuer, in the session.
func (g guesser) page(path string, fields ...string) func(*testing.T) jetontest.Answer {
	return func(*testing.T) jetontest.Answer { return g.b.post(path, fields...) }
}

// passwordPaths returns a wrong password for each path, by the function of an endpoint that checks it.
// Without a server they can be counted, and not sent.
func (g guesser) passwordPaths(t *testing.T) map[string][]wrongTry {
	t.Helper()
	token := `{"name":"x","services":["files"],"expires_at":"2100-01-01T00:00:00Z","current_password":"wrong"}`
	paths := map[string][]wrongTry{
		"gateway/login.go Password": {
			{"login.paths", g.form("files", "POST", "/login", "username", "diane", "password", "wrong")},
		},
		"api/signin.go Password": {
			{"JSON login", g.json("/auth_session/login", `{"name":"diane","password":"wrong"}`)},
			{"login by address", g.json("/auth_session/login", `{"email":"diane@example.org","password":"wrong"}`)},
			{"login of users_api", g.form(
				"files", "POST", "/api/v1/auth_session/login", "name", "diane", "password", "wrong",
			)},
			{"login of the classic API", g.form(
				"classic", "POST", "/api/v1/auth_session/login", "email", "diane@example.org", "password", "wrong",
			)},
		},
		"api/signin.go Basic": {
			{"logout of the classic API", g.form(
				"classic", "DELETE", "/api/v1/auth_session", "email", "diane@example.org", "password", "wrong",
			)},
		},
		"api/proof.go Basic": {
			{"current_password", g.json("/users/me/tokens", token)},
		},
		"pages/signin.go Password": {
			{"the sign-in page", g.page("/sign-in", "username", "diane", "password", "wrong")},
		},
		"pages/prove.go Prove": {
			{"the page that asks again", g.page("/prove", "password", "wrong")},
		},
	}

	// Basic, at every route that accepts it.
	for _, row := range tableOf(t, fmt.Sprintf(budgeted, 1)) {
		method, path, ok := strings.Cut(row.Pattern, " ")
		if !ok || !strings.Contains(row.Access, "password") {
			continue
		}

		name := "diane"
		if row.Service == "classic" {
			name = "diane@example.org"
		}
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(strings.TrimSuffix(path, "{$}"), "x")
		paths["gate/basic.go Basic"] = append(paths["gate/basic.go Basic"], wrongTry{
			"Basic at " + row.Service + " " + row.Pattern,
			func(*testing.T) jetontest.Answer {
				base := g.s.Issuer()
				if row.Service != config.IssuerName {
					base = g.s.URL(row.Service)
				}

				return g.s.Send(g.s.Client(), method, base+path, "", "Authorization", basic(name, "wrong"))
			},
		})
	}

	return paths
}

// codePaths returns the endpoints that check a code or a passkey, which need a user who has shown something else.
var codePaths = []string{
	"api/proof.go Basic", "api/factors.go ConfirmTOTP", "pages/factor.go Factor", "pages/prove.go Prove",
	"pages/factor.go Recover",
}

// apartPaths are calls that no wrong try can reach. A response of a passkey is a signature, which is not guessed; and
// the other two sign in with a password that the same request has set.
var apartPaths = []string{
	"pages/passkeys.go Passkey", "pages/passkeys.go ProvePasskey", "pages/passkey_factor.go PasskeyFactor",
	"pages/security.go Password", "pages/setup.go Password",
}

// checking matches a call that checks what a user shows.
var checking = regexp.MustCompile(
	`\.[Ll]ogins\.(Password|Basic|Prove|Factor|Recover|Passkey|PasskeyFactor|ProvePasskey)\(|` +
		`\.([Aa]ccounts\.Verify|[Ff]actors\.(?:ConfirmTOTP|Recover|UsePasskey|ReplaceBy|Prove))\(`,
)

// TestEveryCheckOfAPasswordOrACodeIsTried reads the sources: a new path has to be added to the tests of the budgets.
func TestEveryCheckOfAPasswordOrACodeIsTried(t *testing.T) {
	listed := slices.Concat(codePaths, apartPaths)
	for name := range (guesser{}).passwordPaths(t) {
		listed = append(listed, name)
	}

	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		inside, _, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(path), "../"), "/")
		if err != nil || d.IsDir() || inside == "signin" || inside == "factor" || inside == "test" ||
			!strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}

		text, err := os.ReadFile(path)
		for _, m := range checking.FindAllSubmatch(text, -1) {
			call := string(m[1]) + strings.TrimPrefix(string(m[2]), "Factors.")
			found[strings.TrimPrefix(filepath.ToSlash(path), "../")+" "+call] = true
		}

		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	for name := range found {
		if !slices.Contains(listed, name) {
			t.Errorf("%s checks what a user shows, and no test tries it; add it to passwordPaths or codePaths", name)
		}
	}
	for _, name := range listed {
		if !found[name] {
			t.Errorf("%s is listed, and is not in the sources", name)
		}
	}
}

// TestWrongPasswordsSpendOneBudgetOverAllPaths tries each path once, of a budget of as many, and then each again.
func TestWrongPasswordsSpendOneBudgetOverAllPaths(t *testing.T) {
	all := 0
	for _, tries := range (guesser{}).passwordPaths(t) {
		all += len(tries)
	}

	s := jetontest.Start(t, fmt.Sprintf(budgeted, all))
	s.MustControl(http.MethodPost, "/api/v1/users", map[string]any{
		"name": "diane", "email": "diane@example.org", "password": right,
	}, nil)
	g := guesser{s, newBrowser(t, s)}
	g.b.signIn("diane")

	paths := g.passwordPaths(t)
	for round, refused := range []bool{false, true} {
		for _, tries := range paths {
			for _, one := range tries {
				a := one.send(t)
				if a.Status < 400 || (a.Status == http.StatusTooManyRequests) != refused {
					t.Errorf("round %d, %s: got %d %s, want too many: %t", round, one.name, a.Status, a.Code(), refused)
				}
			}
		}
	}
}

// TestWrongCodesSpendOneBudgetOverAllPaths spends all attempts but one by one path. Each path then takes the one that
// comes back in a minute, and no other path has one.
func TestWrongCodesSpendOneBudgetOverAllPaths(t *testing.T) {
	c := newHeldClock()
	s := jetontest.Start(t, factoring, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	g := guesser{s, newBrowser(t, s)}
	g.b.signIn("diane")
	g.b.enrol(c.now())

	var app struct{ ID string }
	a := g.json("/users/me/factors", `{"kind":"totp"}`)(t)
	if err := json.Unmarshal([]byte(a.Body), &app); err != nil || app.ID == "" {
		t.Fatalf("another app: got %d %s, want its id", a.Status, a.Body)
	}
	waiting := newBrowser(t, s)
	waiting.await("diane")
	await := guesser{s, waiting}

	expires := c.now().Add(time.Hour).UTC().Format(time.RFC3339)
	token := `{"name":"x","services":["files"],"expires_at":"` + expires + `","current_password":"` + right +
		`","code":"000000"}`
	paths := map[string]func(*testing.T) jetontest.Answer{
		"pages/factor.go Factor":     await.page("/sign-in/factor", "code", "000000"),
		"pages/factor.go Recover":    await.page("/sign-in/recovery", "code", "aaaaaaa-aaaaaaa"),
		"pages/prove.go Prove":       g.page("/prove", "password", right, "code", "000000"),
		"api/proof.go Basic":         g.json("/users/me/tokens", token),
		"api/factors.go ConfirmTOTP": g.json("/users/me/factors/"+app.ID+"/confirm", `{"code":"000000"}`),
	}
	if len(paths) != len(codePaths) {
		t.Fatalf("%d paths are tried, want those of codePaths: %d", len(paths), len(codePaths))
	}

	for range 4 {
		if a := paths[codePaths[0]](t); a.Status != http.StatusForbidden {
			t.Fatalf("a wrong code: got %d %s, want 403", a.Status, a.Body)
		}
	}
	for i, name := range codePaths {
		next := codePaths[(i+1)%len(codePaths)]
		if a := paths[name](t); a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want a refusal of the code", name, a.Status, a.Code())
		}
		if a := paths[next](t); a.Status != http.StatusTooManyRequests {
			t.Errorf("%s right after %s: got %d %s, want 429", next, name, a.Status, a.Code())
		}
		c.move(time.Minute)
	}
}
