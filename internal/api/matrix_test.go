package api_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	prefix = "/api/v1"
	asJSON = "application/json"
)

const usersConf = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
users:
  - name: declared
    email: Declared@example.org
    first_name: Dee
    # alice_pw
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM
services:
  - name: portal
    listen: localhost:0
    accept: [session, token, basic]
    tokens: {}
    user_scopes: [{scopes: [a]}]
    users_api: {clients: [provisioner]}
`

// site is a server with the API at a service, and a client without cookies.
type site struct {
	*jetontest.Server
	t      *testing.T
	client *http.Client
	users  int // created so far
}

func start(t *testing.T, options ...jetontest.Option) *site {
	t.Helper()
	s := jetontest.Start(t, usersConf, options...)
	return &site{Server: s, t: t, client: s.Client()}
}

// testUser is a user with credentials.
type testUser struct {
	jeton.User
	cookie string
	basic  string
}

// newUser creates a user and logs it in.
func (b *site) newUser(groups ...string) testUser {
	b.t.Helper()
	b.users++
	name := fmt.Sprintf("p%d", b.users)

	in := map[string]any{
		"name":       name,
		"password":   right,
		"groups":     groups,
		"email":      name + "@example.org",
		"first_name": "First of " + name,
	}

	p := testUser{basic: "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+right))}
	b.MustControl("POST", "/api/v1/users", in, &p.User)

	a := b.send("POST", "/auth_session/login", `{"name":"`+name+`","password":"`+right+`"}`)
	p.cookie = a.Cookies()
	if a.Status != 200 || p.cookie == "" {
		b.t.Fatalf("log in as %s: %d %s", name, a.Status, a.Body)
	}

	return p
}

// send sends a request with a JSON body to a path below the prefix. header alternates names and values.
func (b *site) send(method, path, body string, header ...string) jetontest.Answer {
	b.t.Helper()
	if body != "" {
		header = append([]string{"Content-Type", asJSON}, header...)
	}
	return b.Send(b.client, method, b.URL("portal")+prefix+path, body, header...)
}

// as sends a request with the session of a user.
func (b *site) as(p testUser, method, path, body string) jetontest.Answer {
	b.t.Helper()
	return b.send(method, path, body, "Cookie", p.cookie)
}

// want fails the test unless the answer has the status, and returns it.
func want(t *testing.T, what string, a jetontest.Answer, status int) jetontest.Answer {
	t.Helper()
	if a.Status != status {
		t.Errorf("%s: %d %s, want %d", what, a.Status, a.Body, status)
	}
	return a
}

func decode[T any](t *testing.T, a jetontest.Answer) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return out
}

// token creates a personal access token of a user.
func (b *site) token(p testUser, more string) (accessor, secret string) {
	b.t.Helper()
	body := fmt.Sprintf(`{"name":"job","expires_at":%q%s}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), more)
	a := want(b.t, "create a token", b.as(p, "POST", "/users/me/tokens", body), 201)
	created := decode[struct{ Accessor, Token string }](b.t, a)
	return created.Accessor, created.Token
}

// issuerPort is for routes that are only listed: no server listens there.
var issuerPort = map[string]string{"ISSUER_PORT": "1"}

// rows returns the patterns of the API at the service, from the route table of the server.
func rows(t *testing.T) []string {
	t.Helper()
	return patterns(table(t, usersConf, issuerPort, ""))
}

func patterns(rows []server.Row) []string {
	var list []string
	for _, r := range rows {
		list = append(list, strings.Replace(r.Pattern, prefix, "", 1))
	}
	return list
}

// table returns the rows of the API at a listener; "" is the first service.
func table(t *testing.T, yaml string, env map[string]string, listener string) []server.Row {
	t.Helper()
	c, err := config.Parse("jeton.yaml", []byte(yaml), func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}

	all, err := server.Table(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	if listener == "" {
		listener = c.Services[0].Name
	}

	return slices.DeleteFunc(all, func(r server.Row) bool {
		return r.Service != listener || !strings.Contains(r.Pattern, " "+prefix)
	})
}

// The columns of the matrix.
var callers = []string{"no credential", "another user", "the user", "the user by Basic", "a client", "an admin"}

// matrix has the status of each route for each caller. ID, SESSION, ACCESSOR and EMAIL stand for those of one user.
var matrix = map[string]struct {
	path, body string
	want       [6]int
}{
	"GET /status":       {want: [6]int{200, 200, 200, 200, 200, 200}},
	"GET /stats":        {want: [6]int{401, 200, 200, 200, 200, 200}},
	"GET /unauthorized": {want: [6]int{401, 401, 401, 401, 401, 401}},
	"GET /forbidden":    {want: [6]int{403, 403, 403, 403, 403, 403}},
	"POST /auth_session/login": {
		body: `{"email":"EMAIL","password":"` + right + `"}`,
		want: [6]int{200, 200, 200, 200, 200, 200},
	},
	"POST /auth_session": {
		body: `{"email":"EMAIL","password":"wrong"}`,
		want: [6]int{401, 401, 401, 401, 401, 401},
	},
	"DELETE /auth_session/logout": {want: [6]int{204, 204, 204, 204, 204, 204}},
	"POST /auth_session/logout":   {want: [6]int{204, 204, 204, 204, 204, 204}},
	"DELETE /auth_session":        {want: [6]int{204, 204, 204, 204, 204, 204}},
	"GET /users":                  {want: [6]int{401, 403, 403, 403, 403, 200}},
	"POST /users": {
		body: `{"email":"new.EMAIL","password":"` + right + `"}`,
		want: [6]int{401, 403, 403, 403, 403, 201},
	},
	"GET /users/me": {want: [6]int{401, 200, 200, 200, 403, 200}},
	"PUT /users/me": {
		body: `{"first_name":"New"}`,
		want: [6]int{401, 200, 200, 200, 403, 200},
	},
	"GET /users/{id}": {path: "/users/ID", want: [6]int{401, 404, 200, 200, 403, 200}},
	"PUT /users/{id}": {
		path: "/users/ID",
		body: `{"last_name":"New"}`,
		want: [6]int{401, 404, 200, 200, 403, 200},
	},
	"DELETE /users/{id}":        {path: "/users/ID", want: [6]int{401, 403, 403, 403, 403, 204}},
	"GET /users/me/sessions":    {want: [6]int{401, 200, 200, 200, 403, 200}},
	"DELETE /users/me/sessions": {want: [6]int{401, 204, 204, 204, 403, 204}},
	"DELETE /users/me/sessions/{session}": {
		path: "/users/me/sessions/SESSION",
		want: [6]int{401, 404, 204, 204, 403, 404},
	},
	"GET /users/me/tokens": {want: [6]int{401, 200, 200, 200, 403, 200}},
	"POST /users/me/tokens": {
		body: `{"name":"job","expires_at":"SOON"}`,
		want: [6]int{401, 201, 201, 201, 403, 201},
	},
	"DELETE /users/me/tokens": {want: [6]int{401, 204, 204, 204, 403, 204}},
	"GET /users/me/tokens/{accessor}": {
		path: "/users/me/tokens/ACCESSOR",
		want: [6]int{401, 404, 200, 200, 403, 404},
	},
	"DELETE /users/me/tokens/{accessor}": {
		path: "/users/me/tokens/ACCESSOR",
		want: [6]int{401, 404, 204, 204, 403, 404},
	},
	"POST /users/me/tokens/{accessor}/rotate": {
		path: "/users/me/tokens/ACCESSOR/rotate",
		want: [6]int{401, 404, 200, 200, 403, 404},
	},
	"GET /openapi.json":  {want: [6]int{200, 200, 200, 200, 200, 200}},
	"GET /docs":          {want: [6]int{200, 200, 200, 200, 200, 200}},
	"GET /{rest...}":     {path: "/nothing", want: [6]int{404, 404, 404, 404, 404, 404}},
	"POST /{rest...}":    {path: "/stats", want: [6]int{405, 405, 405, 405, 405, 405}},
	"PUT /{rest...}":     {path: "/users", want: [6]int{405, 405, 405, 405, 405, 405}},
	"PATCH /{rest...}":   {path: "/users/ID", want: [6]int{405, 405, 405, 405, 405, 405}},
	"DELETE /{rest...}":  {path: "/users", want: [6]int{405, 405, 405, 405, 405, 405}},
	"OPTIONS /{rest...}": {path: "/users", want: [6]int{204, 204, 204, 204, 204, 204}},
}

// TestEveryRouteForEveryCaller sends every request of the matrix as every caller. A route without a row fails.
func TestEveryRouteForEveryCaller(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")
	bearer := "Bearer " + b.Token(b.AddClient("job", "portal"))
	doc := readDocument(t, b.send("GET", "/openapi.json", ""))
	list := rows(t)
	if len(list) != len(matrix) {
		t.Errorf("the route table has %d routes, the matrix %d", len(list), len(matrix))
	}

	for _, row := range list {
		t.Run(row, func(t *testing.T) {
			tc, ok := matrix[row]
			if !ok {
				t.Fatal("the matrix has no row for this route")
			}

			method, template, _ := strings.Cut(row, " ")
			if tc.path == "" {
				tc.path = template
			}

			user, other := b.newUser(), b.newUser()
			for i, caller := range callers {
				if i > 0 && method != "GET" && !strings.Contains(row, "{rest...}") {
					user, other = b.newUser(), b.newUser()
				}

				accessor, _ := b.token(user, "")
				fill := strings.NewReplacer("ID", user.ID, "EMAIL", user.Email, "ACCESSOR", accessor,
					"SESSION", decode[[]struct{ ID string }](t, b.as(user, "GET", "/users/me/sessions", ""))[0].ID,
					"SOON", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))

				var header []string

				switch caller {
				case "another user":
					header = []string{"Cookie", other.cookie}
				case "the user":
					header = []string{"Cookie", user.cookie}
				case "the user by Basic":
					header = []string{"Authorization", user.basic}
				case "a client":
					header = []string{"Authorization", bearer}
				case "an admin":
					header = []string{"Cookie", admin.cookie}
				}

				a := b.send(method, fill.Replace(tc.path), fill.Replace(tc.body), header...)
				if a.Status != tc.want[i] {
					t.Errorf("%s = %d %s, want %d", caller, a.Status, a.Body, tc.want[i])
				}
				if strings.Contains(a.Body, right) || strings.Contains(a.Body, "argon2") {
					t.Errorf("%s: the answer contains a password: %s", caller, a.Body)
				}

				if !strings.Contains(row, "{rest...}") {
					doc.check(t, method, template, a)
				}

				if strings.Contains(
					row,
					"/logout",
				) || row == "DELETE /auth_session" || row == "DELETE /users/me/sessions" {
					admin = b.newUser("admin")
				}
			}
		})
	}
}

// TestGoldenRoutes shows who may use which route. A difference is a change of what is exposed.
func TestGoldenRoutes(t *testing.T) {
	const golden = "testdata/routes.golden"
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	for _, r := range table(t, usersConf, issuerPort, "") {
		fmt.Fprintf(w, "%s\t%s\n", r.Pattern, r.Access)
	}

	_ = w.Flush()
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(text) {
		t.Errorf("the routes are\n%s\nwant\n%s\n(rewrite it with -update)", out.String(), text)
	}
}

var update = flag.Bool("update", false, "rewrite the golden file")

// TestProblems checks that refusals are problem details (RFC 9457) with the member error.
func TestProblems(t *testing.T) {
	b := start(t)
	a := want(t, "no credential", b.send("GET", "/users/me", ""), http.StatusUnauthorized)

	p := decode[struct {
		jeton.Problem
		Error string
	}](t, a)
	if a.Header.Get("Content-Type") != "application/problem+json" || p.Status != 401 || p.Code != "no_credential" ||
		p.Error != "Authentication required" ||
		p.Title != p.Error ||
		p.Request != a.Request() {
		t.Errorf("answer = %s %s, want a problem document with error, title and request", a.Header, a.Body)
	}

	got := a.Header["Www-Authenticate"]
	if len(got) != 3 {
		t.Errorf("WWW-Authenticate: %q, want Basic, Bearer and Cookie", got)
	}
}
