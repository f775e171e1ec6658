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

	"github.com/google/jsonschema-go/jsonschema"
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
		return r.Door != listener || !strings.Contains(r.Pattern, " "+prefix)
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

// TestRefusalsAreInTheDocument checks refusals that are not in the matrix, and their bodies.
func TestRefusalsAreInTheDocument(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")
	doc := readDocument(t, b.send("GET", "/openapi.json", ""))
	declared := decode[[]jeton.User](t, b.as(admin, "GET", "/users?search=declared", ""))[0].ID
	for _, tc := range []struct {
		method, template, path, body string
		status                       int
		header                       []string
	}{
		{"GET", "/users", "/users?limit=x", "", 400, nil},
		{"POST", "/users", "/users", `{"email":"x"}`, 400, nil},
		{"POST", "/users", "/users", `{"email":"DECLARED@example.org","password":"` + right + `"}`, 409, nil},
		{"POST", "/users", "/users", `{"email":"` + strings.Repeat("x", 70_000) + `"}`, 413, nil},
		{"POST", "/users", "/users", `{}`, 415, []string{"Content-Type", "text/plain"}},
		{"POST", "/users", "/users", `{}`, 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"PUT", "/users/{id}", "/users/x", `{}`, 404, nil},
		{"PUT", "/users/{id}", "/users/" + declared, `{}`, 409, nil},
		{"PUT", "/users/{id}", "/users/" + admin.ID, `{}`, 412, []string{"If-Match", `"x"`}},
		{"PUT", "/users/me", "/users/me", `{}`, 412, []string{"If-Match", `"x"`}},
		{"PUT", "/users/me", "/users/me", `{"email":"declared@example.org"}`, 409, nil},
		{"DELETE", "/users/{id}", "/users/x", "", 404, nil},
		{"DELETE", "/users/{id}", "/users/" + declared, "", 409, nil},
		{"DELETE", "/users/{id}", "/users/" + admin.ID, "", 412, []string{"If-Match", `"x"`}},
		{"POST", "/auth_session/login", "/auth_session/login", `x`, 415, []string{"Content-Type", "text/plain"}},
		{"POST", "/auth_session/login", "/auth_session/login", `x`, 400, nil},
		{
			"POST",
			"/auth_session",
			"/auth_session",
			`{"name":"x","password":"x"}`,
			403,
			[]string{"Sec-Fetch-Site", "cross-site"},
		},
		{"POST", "/users/me/tokens", "/users/me/tokens", `{}`, 400, nil},
		{"POST", "/users/me/tokens/{accessor}/rotate", "/users/me/tokens/x/rotate", "", 404, nil},
	} {
		header := append([]string{"Cookie", admin.cookie}, tc.header...)
		if tc.body != "" && !slices.Contains(tc.header, "Content-Type") {
			header = append(header, "Content-Type", asJSON)
		}

		a := b.Send(b.client, tc.method, b.URL("portal")+prefix+tc.path, tc.body, header...)
		want(t, tc.method+" "+tc.path+" "+fmt.Sprint(tc.header), a, tc.status)
		doc.check(t, tc.method, tc.template, a)
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

// document is the part of openapi.json that is tested.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version string }
	Servers []struct{ URL string }
	Paths   map[string]map[string]struct {
		Summary     string
		OperationID string `json:"operationId"`
		Responses   map[string]struct {
			Description string
			Content     map[string]struct{ Schema json.RawMessage }
		}
		Security []map[string][]string
	}
	Components struct {
		Schemas         map[string]*jsonschema.Schema
		SecuritySchemes map[string]map[string]string
	}
}

func readDocument(t *testing.T, a jetontest.Answer) document {
	t.Helper()
	d := decode[document](t, a)
	if a.Status != 200 || a.Header.Get("Content-Type") != asJSON || !strings.HasPrefix(
		d.OpenAPI,
		"3.1.",
	) || d.Info.Title == "" || d.Info.Version == "" {
		t.Fatalf("openapi.json = %d %s %+v, want OpenAPI 3.1", a.Status, a.Header, d.Info)
	}

	return d
}

// check compares an answer with what the document says of the route.
func (d document) check(t *testing.T, method, path string, a jetontest.Answer) {
	t.Helper()
	op, ok := d.Paths[path][strings.ToLower(method)]
	if !ok {
		t.Errorf("the document has no %s %s", method, path)
		return
	}

	documented, ok := op.Responses[fmt.Sprint(a.Status)]
	if !ok {
		t.Errorf("the document has no status %d of %s %s", a.Status, method, path)
		return
	}

	if a.Body == "" && len(documented.Content) == 0 {
		return
	}

	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	content, ok := documented.Content[kind]
	if !ok {
		t.Errorf("%s %s = %d of type %q, want one of %v", method, path, a.Status, kind, documented.Content)
		return
	}

	if kind == "text/html" {
		return
	}
	if err := d.resolve(t, content.Schema).Validate(decode[any](t, a)); err != nil {
		t.Errorf("%s %s = %d, which differs from the document: %v\n%s", method, path, a.Status, err, a.Body)
	}
}

func (d document) resolve(t *testing.T, schema json.RawMessage) *jsonschema.Resolved {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}

	for _, at := range []**jsonschema.Schema{&s.Items} {
		if *at != nil {
			*at = d.follow(*at)
		}
	}

	r, err := d.follow(&s).CloneSchemas().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}

	return r
}

func (d document) follow(s *jsonschema.Schema) *jsonschema.Schema {
	to := d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	if to != nil {
		return to.CloneSchemas()
	}
	return s
}

// TestDocumentHasEveryRoute checks that the document has the routes of the service and those of the control socket.
func TestDocumentHasEveryRoute(t *testing.T) {
	s := jetontest.Start(t, usersConf)
	d := readDocument(t, s.Send(s.Client(), "GET", s.URL("portal")+prefix+"/openapi.json", ""))

	var documented []string

	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			if op.Summary == "" || ids[op.OperationID] || op.Security == nil || len(op.Responses) < 2 {
				t.Errorf("%s %s has no summary, the id of another operation, or too few responses", method, path)
			}
			ids[op.OperationID] = true
		}
	}

	served := append(table(t, usersConf, issuerPort, ""), table(t, usersConf, issuerPort, "control")...)
	routes := slices.DeleteFunc(patterns(served), func(p string) bool { return strings.HasSuffix(p, "/{rest...}") })
	slices.Sort(documented)
	slices.Sort(routes)
	routes = slices.Compact(routes) // some are served at both places

	if !slices.Equal(documented, routes) || len(routes) < 54 {
		t.Errorf("the document has %d routes\n%v\nwant those of the table, %d\n%v",
			len(documented), documented, len(routes), routes)
	}
}

func TestThePageHasNoScript(t *testing.T) {
	b := start(t)
	a := want(t, "docs", b.send("GET", "/docs", ""), 200)
	csp := a.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(
		csp,
		"default-src 'none'; style-src 'sha256-",
	) || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy: %q, want no script", csp)
	}

	for _, row := range rows(t) {
		method, path, _ := strings.Cut(row, " ")
		if !strings.HasSuffix(path, "{rest...}") && !strings.Contains(a.Body, method+" "+prefix+path+"<") {
			t.Errorf("the page does not show %s", row)
		}
	}

	if strings.Contains(
		strings.ToLower(a.Body),
		"<script",
	) || strings.Contains(a.Body, " style=") || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page is %s\n%s", a.Header, a.Body)
	}
}

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
		t.Errorf("%s %s", a.Header, a.Body)
	}

	got := a.Header["Www-Authenticate"]
	if len(got) != 3 {
		t.Errorf("WWW-Authenticate: %q, want Basic, Bearer and Cookie", got)
	}
}
