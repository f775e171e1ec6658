package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestControlSocketAnswersAsDocumented calls every route of operators, and checks the answers against the document.
func TestControlSocketAnswersAsDocumented(t *testing.T) {
	s := jetontest.Start(t, usersConf)
	doc := readDocument(t, s.Send(s.ControlClient(), "GET", "http://control"+prefix+"/openapi.json", ""))
	called := map[string]bool{}

	// call calls a route with parameters of the path, and returns the body of the answer.
	call := func(route string, status int, in any, params ...string) string {
		t.Helper()
		method, template, _ := strings.Cut(route, " ")
		path, query, _ := strings.Cut(template, "?")
		target := strings.NewReplacer(params...).Replace(path)
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}

		if in == nil {
			body = nil
		}

		a := s.Send(
			s.ControlClient(), method, "http://control"+prefix+target+"?"+query, string(body),
			"Content-Type", asJSON,
		)

		want(t, route, a, status)
		doc.check(t, method, path, a)
		called[method+" "+path] = true

		return a.Body
	}

	// field returns a member of a JSON object.
	field := func(body, name string) string {
		var object map[string]any
		if err := json.Unmarshal([]byte(body), &object); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return fmt.Sprint(object[name])
	}

	user := []string{"{name}", "diane", "{id}", "diane"}
	call("GET /status", 200, nil)
	call("POST /users", 201, api.NewUser{Name: "diane", Password: right})
	call("GET /users", 200, nil)
	call("GET /users/{id}", 200, nil, user...)

	call("PUT /users/{id}", 200, map[string]string{"first_name": "Diane", "password": right}, user...)
	call("PUT /users/{name}/password", 204, api.NewPassword{Password: right}, user...)
	call("PUT /users/{name}/disabled", 204, api.Disabled{}, user...)
	call("PUT /users/{name}/groups", 204, api.Groups{Groups: []string{"staff"}}, user...)
	call("POST /users/{id}/allow-login", 204, api.AllowLogin{Service: "portal"}, user...)

	call("POST /users/import", 200, api.Import{Users: []api.Moved{{Name: "carl"}}})
	call("GET /users/export", 200, nil)
	call("GET /stats", 200, nil)

	b := &site{Server: s, t: t, client: s.Client()}
	refused := b.send("GET", "/users/me", "")

	want(t, "login", b.send("POST", "/auth_session/login", `{"name":"diane","password":"`+right+`"}`), 200)
	call("GET /sessions", 200, nil)
	call("DELETE /sessions?user=diane", 200, nil)

	made := call("POST /tokens", 201, api.NewToken{
		User:     "diane",
		Name:     "job",
		Services: []string{"portal"},
		Expires:  time.Now().Add(time.Hour),
	})

	accessor := []string{"{accessor}", field(made, "accessor")}
	call("GET /tokens", 200, nil)
	call("GET /tokens/{accessor}", 200, nil, accessor...)
	call("POST /tokens/{accessor}/rotate", 200, nil, accessor...)
	call("DELETE /tokens/{accessor}", 204, nil, accessor...)

	call("GET /token-requests?user=diane", 200, nil)
	call("POST /token-requests/{request}/approve", 404, jeton.TokenApproval{MaxUses: 1}, "{request}", "r_none")
	call("POST /token-requests/{request}/deny", 404, nil, "{request}", "r_none")

	call("POST /users/{id}/end-tokens", 204, nil, user...)
	call("GET /users/{id}/impact", 200, nil, user...)
	call("POST /users/{id}/sign-in-link", 201, nil, user...)
	call("POST /users/{id}/recovery-link", 201, nil, user...)
	made = call("POST /invitations", 201, api.NewInvitation{Groups: []string{"staff"}})
	call("GET /invitations", 200, nil)
	call("DELETE /invitations/{id}", 204, nil, "{id}", field(made, "id"))
	call("GET /users/{id}/identities", 200, nil, user...)
	call("GET /users/{id}/factors", 200, nil, user...)
	call("DELETE /users/{id}/factors?reason=lost", 404, nil, user...)
	none := append([]string{"{factor}", "f_1"}, user...)
	call("PUT /users/{id}/factors/{factor}", 404, api.FactorName{Name: "laptop"}, none...)
	call("DELETE /users/{id}/identities?issuer=https://login.example", 404, nil, user...)
	call("GET /overview", 200, nil)
	call("GET /services", 200, nil)
	call("GET /services/{name}", 200, nil, "{name}", "portal")

	client := []string{"{name}", "job"}
	call("POST /clients", 201, api.NewClient{
		Name:     "job",
		Services: []string{"portal"},
		Secret:   true,
		OpenID:   &jeton.RelyingParty{RedirectURIs: []string{"https://app.example/old"}},
	})
	call("GET /clients", 200, nil)
	call("GET /clients/{name}", 200, nil, client...)
	call("GET /clients/{name}/claims?user=none", 404, nil, client...)
	call("PUT /clients/{name}/terms", 204, api.ClientTerms{Scopes: &[]string{"read"}}, client...)
	call("PUT /clients/{name}/addresses", 204, api.ClientAddresses{
		RedirectURIs: &[]string{"https://app.example/done"},
	}, client...)
	call("PUT /clients/{name}/disabled", 204, api.Disabled{}, client...)

	call("POST /clients/{name}/secret", 201, nil, client...)
	call("DELETE /clients/{name}/secret?end_tokens=true", 204, nil, client...)
	key := call("POST /clients/{name}/keys", 201, api.NewClientKey{Key: string(publicKey(t).PEM())}, client...)
	call("DELETE /clients/{name}/keys/{kid}", 204, nil, append(client, "{kid}", url.PathEscape(field(key, "kid")))...)
	call("POST /clients/{name}/end-tokens", 204, nil, client...)

	call("DELETE /clients/{name}", 204, nil, client...)

	var keys []struct{ Kid string }
	if err := json.Unmarshal([]byte(call("GET /keys", 200, nil)), &keys); err != nil || len(keys) == 0 {
		t.Fatalf("signing keys = %v, %v, want at least one", keys, err)
	}

	call("POST /keys/rotate", 200, api.Rotation{Now: true})
	call("DELETE /keys/{kid}?reason=test", 204, nil, "{kid}", keys[0].Kid)

	call("GET /audit?last=5", 200, nil)
	call("GET /explain/{request}", 200, nil, "{request}", refused.Request())
	call("POST /mail/test", 404, api.MailTest{To: "diane@example.org"})
	call("POST /mail/test", 404, api.MailTest{To: "diane@example.org"})
	call("POST /check", 200, map[string]string{"user": "diane", "method": "GET", "url": "https://portal.example/"})
	call("POST /mail/test", 404, api.MailTest{To: "diane@example.org"})
	call("POST /check", 404, map[string]string{"user": "unknown", "method": "GET", "url": "https://portal.example/"})
	call("GET /explain/{request}", 404, nil, "{request}", "unknown")
	call("GET /ready", 204, nil)
	call("GET /config", 200, nil)
	call("POST /config/reload", 204, nil)

	call("DELETE /users/{id}", 204, nil, user...)
	call("DELETE /users/{id}", 404, nil, user...)

	backup := s.Send(s.ControlClient(), "GET", "http://control"+prefix+"/backup", "")
	if backup.Status != 200 || backup.Header.Get("Content-Type") != "application/octet-stream" || backup.Body == "" {
		t.Errorf("GET /backup = %d %s, %d bytes, want 200 and a file", backup.Status, backup.Header, len(backup.Body))
	}

	for _, route := range patterns(table(t, usersConf, issuerPort, "control")) {
		path := strings.SplitN(route, " ", 2)[1]
		switch path {
		case "/backup", "/openapi.json", "/docs", "/unauthorized", "/forbidden", "/{rest...}":
			continue
		}

		if !called[route] {
			t.Errorf("%s was not called", route)
		}
	}
}
