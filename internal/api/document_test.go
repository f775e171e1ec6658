package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"

	"github.com/google/jsonschema-go/jsonschema"
)

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

// resolve makes a schema of the document ready to validate responses with.
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

// follow replaces a reference by what it refers to.
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
	served = append(served, table(t, usersConf, issuerPort, "issuer")...)
	routes := slices.DeleteFunc(patterns(served), func(p string) bool { return strings.HasSuffix(p, "/{rest...}") })
	slices.Sort(documented)
	slices.Sort(routes)
	routes = slices.Compact(routes) // some are served at both places

	if !slices.Equal(documented, routes) || len(routes) < 54 {
		t.Errorf("the document has %d routes\n%v\nwant those of the table, %d\n%v",
			len(documented), documented, len(routes), routes)
	}
}

// TestThePageHasNoScript checks the Content-Security-Policy as well: the page is at the
// origin of the API.
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
		t.Errorf("page = %s\n%s, want HTML without scripts and styles of its own", a.Header, a.Body)
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
		{"PUT", "/users/me", "/users/me", `{"email":"x@example.org"}`, 403, nil},
		{
			"PUT",
			"/users/me",
			"/users/me",
			`{"email":"declared@example.org","current_password":"` + right + `"}`,
			409,
			nil,
		},
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
