package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/test/germanlog"
	"github.com/jeton-auth/jeton/jetontest"
)

// central is a server with the API at its authorization server.
type central struct {
	*site
	users int
}

func startCentral(t *testing.T, options ...jetontest.Option) *central {
	t.Helper()
	return &central{site: start(t, options...)}
}

// signedIn creates a user and signs it in at the authorization server.
func (b *central) signedIn(groups ...string) testUser {
	b.t.Helper()
	b.users++
	name := fmt.Sprintf("s%d", b.users)
	p := testUser{}
	in := api.NewUser{
		Name:     name,
		Password: right,
		Groups:   groups,
		Email:    name + "@example.org",
	}
	b.MustControl("POST", "/api/v1/users", in, &p.User)

	a := b.at("POST", "/auth_session", `{"name":"`+name+`","password":"`+right+`"}`)
	p.cookie = a.Cookies()
	if a.Status != 200 || !strings.HasPrefix(p.cookie, "__Host-jeton-issuer=") {
		b.t.Fatalf("sign in as %s: %d %s, cookie %s", name, a.Status, a.Body, p.cookie)
	}

	return p
}

// at sends a request to the API at the authorization server. header alternates names and values.
func (b *central) at(method, path, body string, header ...string) jetontest.Answer {
	b.t.Helper()
	if body != "" {
		header = append([]string{"Content-Type", asJSON}, header...)
	}
	return b.Send(b.client, method, b.Issuer()+prefix+path, body, header...)
}

// by sends a request with the sign-in session of a user.
func (b *central) by(p testUser, method, path, body string) jetontest.Answer {
	b.t.Helper()
	return b.at(method, path, body, "Cookie", p.cookie)
}

// own creates a personal token of a user for the service portal, and returns its accessor.
func (b *central) own(p testUser, more string) string {
	b.t.Helper()
	body := fmt.Sprintf(`{"name":"job","services":["portal"],"expires_at":%q%s}`,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339), more)

	a := want(b.t, "create a token", b.by(p, "POST", "/users/me/tokens", body), 201)

	return decode[api.MadeToken](b.t, a).Accessor
}

// centralCallers are the columns of centralMatrix.
var centralCallers = []string{"no session", "a user", "an admin", "an admin whose proof is old"}

// centralMatrix has the status of each route of the authorization server for each caller. The words in capitals stand
// for those of a user.
var centralMatrix = map[string]struct {
	path, body string
	want       [4]int
}{
	"GET /status":       {want: [4]int{200, 200, 200, 200}},
	"GET /stats":        {want: [4]int{401, 200, 200, 200}},
	"GET /unauthorized": {want: [4]int{401, 401, 401, 401}},
	"GET /forbidden":    {want: [4]int{403, 403, 403, 403}},

	"POST /auth_session/login":    {body: `{"name":"NAME","password":"wrong"}`, want: [4]int{401, 401, 401, 401}},
	"POST /auth_session":          {body: `{"name":"NAME","password":"wrong"}`, want: [4]int{401, 401, 401, 401}},
	"DELETE /auth_session/logout": {want: [4]int{204, 204, 204, 204}},
	"POST /auth_session/logout":   {want: [4]int{204, 204, 204, 204}},
	"DELETE /auth_session":        {want: [4]int{204, 204, 204, 204}},

	"GET /users": {want: [4]int{401, 403, 200, 200}},
	"POST /users": {
		body: `{"name":"new.NAME","password":"` + right + `"}`,
		want: [4]int{401, 403, 201, 403},
	},
	"GET /users/me":               {want: [4]int{401, 200, 200, 200}},
	"PUT /users/me":               {body: `{"first_name":"New"}`, want: [4]int{401, 200, 200, 200}},
	"GET /users/{id}":             {path: "/users/ID", want: [4]int{401, 200, 200, 200}},
	"PUT /users/{id}":             {path: "/users/ID", body: `{"last_name":"New"}`, want: [4]int{401, 200, 200, 403}},
	"DELETE /users/{id}":          {path: "/users/ID", want: [4]int{401, 403, 204, 403}},
	"POST /users/{id}/end-tokens": {path: "/users/ID/end-tokens", want: [4]int{401, 403, 204, 403}},
	"POST /users/{id}/allow-login": {
		path: "/users/ID/allow-login",
		body: `{"service":"portal"}`,
		want: [4]int{401, 403, 204, 403},
	},

	"GET /users/me/sessions":    {want: [4]int{401, 200, 200, 200}},
	"DELETE /users/me/sessions": {want: [4]int{401, 204, 204, 204}},
	"DELETE /users/me/sessions/{session}": {
		path: "/users/me/sessions/SESSION",
		want: [4]int{401, 204, 404, 404},
	},
	"GET /users/{id}/impact":         {path: "/users/ID/impact", want: [4]int{401, 403, 200, 200}},
	"POST /users/{id}/recovery-link": {path: "/users/ID/recovery-link", want: [4]int{401, 403, 201, 403}},
	"POST /users/{id}/sign-in-link":  {path: "/users/ID/sign-in-link", want: [4]int{401, 403, 201, 403}},
	"GET /invitations":               {want: [4]int{401, 403, 200, 200}},
	"POST /invitations":              {body: `{"groups":["staff"]}`, want: [4]int{401, 403, 201, 403}},
	"DELETE /invitations/{id}":       {path: "/invitations/i_none", want: [4]int{401, 403, 404, 403}},
	"GET /overview":                  {want: [4]int{401, 403, 200, 200}},

	"GET /users/me/token-requests": {want: [4]int{401, 200, 200, 200}},
	"POST /users/me/token-requests/{request}/approve": {
		path: "/users/me/token-requests/r_none/approve",
		body: `{"max_uses":1}`,
		want: [4]int{401, 404, 404, 404},
	},
	"POST /users/me/token-requests/{request}/deny": {
		path: "/users/me/token-requests/r_none/deny",
		want: [4]int{401, 404, 404, 404},
	},

	"GET /users/me/identities": {want: [4]int{401, 200, 200, 200}},
	"DELETE /users/me/identities": {
		path: "/users/me/identities?issuer=https://login.example",
		want: [4]int{401, 404, 404, 403},
	},
	"GET /users/{id}/identities": {path: "/users/ID/identities", want: [4]int{401, 403, 200, 200}},
	"DELETE /users/{id}/identities": {
		path: "/users/ID/identities?issuer=https://login.example",
		want: [4]int{401, 403, 404, 403},
	},

	"GET /users/me/factors":  {want: [4]int{401, 200, 200, 200}},
	"POST /users/me/factors": {body: `{"kind":"totp"}`, want: [4]int{401, 201, 201, 403}},
	"POST /users/me/factors/{factor}/confirm": {
		path: "/users/me/factors/f_1/confirm",
		body: `{"code":"123456"}`,
		want: [4]int{401, 404, 404, 403},
	},
	"PUT /users/me/factors/{factor}": {
		path: "/users/me/factors/f_1",
		body: `{"name":"laptop"}`,
		want: [4]int{401, 404, 404, 403},
	},
	"PUT /users/{id}/factors/{factor}": {
		path: "/users/ID/factors/f_1",
		body: `{"name":"laptop"}`,
		want: [4]int{401, 403, 404, 403},
	},
	"DELETE /users/me/factors/{factor}": {path: "/users/me/factors/f_1", want: [4]int{401, 404, 404, 403}},
	"POST /users/me/recovery-codes":     {want: [4]int{401, 409, 409, 403}},
	"GET /users/{id}/factors":           {path: "/users/ID/factors", want: [4]int{401, 403, 200, 200}},
	"DELETE /users/{id}/factors": {
		path: "/users/ID/factors?reason=lost",
		want: [4]int{401, 403, 404, 403},
	},

	"GET /users/me/services": {want: [4]int{401, 200, 200, 200}},
	"GET /users/me/events":   {want: [4]int{401, 200, 200, 200}},

	"GET /users/me/applications":             {want: [4]int{401, 200, 200, 200}},
	"DELETE /users/me/applications/{client}": {path: "/users/me/applications/none", want: [4]int{401, 404, 404, 404}},
	"GET /services":                          {want: [4]int{401, 403, 200, 200}},
	"GET /services/{name}":                   {path: "/services/portal", want: [4]int{401, 403, 200, 200}},
	"GET /sessions":                          {want: [4]int{401, 403, 200, 200}},
	"DELETE /sessions":                       {path: "/sessions?id=SESSION", want: [4]int{401, 403, 200, 403}},

	"GET /users/me/tokens": {want: [4]int{401, 200, 200, 200}},
	"POST /users/me/tokens": {
		body: `{"name":"job","services":["portal"],"expires_at":"SOON"}`,
		want: [4]int{401, 201, 201, 403},
	},
	"DELETE /users/me/tokens":         {want: [4]int{401, 204, 204, 204}},
	"GET /users/me/tokens/{accessor}": {path: "/users/me/tokens/ACCESSOR", want: [4]int{401, 200, 404, 404}},
	"POST /users/me/tokens/{accessor}/test": {
		path: "/users/me/tokens/ACCESSOR/test",
		body: `{"method":"GET","service":"portal","url":"/api/v1/users/me"}`,
		want: [4]int{401, 200, 404, 404},
	},
	"DELETE /users/me/tokens/{accessor}": {path: "/users/me/tokens/ACCESSOR", want: [4]int{401, 204, 404, 404}},
	"POST /users/me/tokens/{accessor}/rotate": {
		path: "/users/me/tokens/ACCESSOR/rotate",
		want: [4]int{401, 200, 404, 403},
	},
	"GET /tokens":               {want: [4]int{401, 403, 200, 200}},
	"GET /tokens/{accessor}":    {path: "/tokens/ACCESSOR", want: [4]int{401, 403, 200, 200}},
	"DELETE /tokens/{accessor}": {path: "/tokens/ACCESSOR", want: [4]int{401, 403, 204, 403}},

	"GET /clients":        {want: [4]int{401, 403, 200, 200}},
	"GET /clients/{name}": {path: "/clients/CLIENT", want: [4]int{401, 403, 200, 200}},
	"GET /clients/{name}/claims": {
		path: "/clients/CLIENT/claims?user=NAME",
		want: [4]int{401, 403, 400, 400}, // the client signs no users in
	},
	"POST /clients":          {body: `{"name":"c.NAME"}`, want: [4]int{401, 403, 201, 403}},
	"DELETE /clients/{name}": {path: "/clients/CLIENT", want: [4]int{401, 403, 204, 403}},
	"PUT /clients/{name}/disabled": {
		path: "/clients/CLIENT/disabled",
		body: `{"disabled":true}`,
		want: [4]int{401, 403, 204, 403},
	},
	"PUT /clients/{name}/terms": {
		path: "/clients/CLIENT/terms",
		body: `{"scopes":["a"]}`,
		want: [4]int{401, 403, 204, 403},
	},
	"PUT /clients/{name}/addresses": {
		path: "/clients/CLIENT/addresses",
		body: `{"redirect_uris":["https://app.example/new"]}`,
		want: [4]int{401, 403, 400, 403}, // the client signs no users in
	},
	"POST /clients/{name}/secret":     {path: "/clients/CLIENT/secret", want: [4]int{401, 403, 201, 403}},
	"DELETE /clients/{name}/secret":   {path: "/clients/CLIENT/secret", want: [4]int{401, 403, 204, 403}},
	"POST /clients/{name}/end-tokens": {path: "/clients/CLIENT/end-tokens", want: [4]int{401, 403, 204, 403}},
	"POST /clients/{name}/keys": {
		path: "/clients/CLIENT/keys",
		body: `{"key":"x"}`,
		want: [4]int{401, 403, 400, 403},
	},
	"DELETE /clients/{name}/keys/{kid}": {path: "/clients/CLIENT/keys/x", want: [4]int{401, 403, 404, 403}},

	"GET /keys":          {want: [4]int{401, 403, 200, 200}},
	"POST /keys/rotate":  {body: `{}`, want: [4]int{401, 403, 200, 403}},
	"DELETE /keys/{kid}": {path: "/keys/x", want: [4]int{401, 403, 404, 403}},

	"GET /audit":             {want: [4]int{401, 403, 200, 200}},
	"GET /explain/{request}": {path: "/explain/x", want: [4]int{401, 403, 404, 404}},

	"GET /openapi.json":  {want: [4]int{200, 200, 200, 200}},
	"GET /docs":          {want: [4]int{200, 200, 200, 200}},
	"GET /{rest...}":     {path: "/nothing", want: [4]int{404, 404, 404, 404}},
	"POST /{rest...}":    {path: "/stats", want: [4]int{405, 405, 405, 405}},
	"PUT /{rest...}":     {path: "/users", want: [4]int{405, 405, 405, 405}},
	"PATCH /{rest...}":   {path: "/users/ID", want: [4]int{405, 405, 405, 405}},
	"DELETE /{rest...}":  {path: "/users", want: [4]int{405, 405, 405, 405}},
	"OPTIONS /{rest...}": {path: "/users", want: [4]int{204, 204, 204, 204}},
}

// TestEveryRouteOfTheIssuerForEveryCaller sends every request of the matrix as every caller. A route without a row
// fails.
func TestEveryRouteOfTheIssuerForEveryCaller(t *testing.T) {
	site, ahead := startClock(t)
	b := &central{site: site}
	doc := readDocument(t, b.at("GET", "/openapi.json", ""))
	list := patterns(table(t, usersConf, issuerPort, "issuer"))
	if len(list) != len(centralMatrix) {
		t.Errorf("the route table has %d routes, the matrix %d", len(list), len(centralMatrix))
	}

	for _, row := range list {
		t.Run(row, func(t *testing.T) {
			tc, ok := centralMatrix[row]
			if !ok {
				t.Fatal("the matrix has no row for this route")
			}

			method, template, _ := strings.Cut(row, " ")
			if tc.path == "" {
				tc.path = template
			}

			for i, caller := range centralCallers {
				ahead.Store(0)
				user := b.signedIn()
				who := user
				if i > 1 {
					who = b.signedIn("admin")
				}

				client := b.AddClient("for." + user.Name).Client
				accessor := b.own(user, "")
				fill := strings.NewReplacer("ID", user.ID, "NAME", user.Name, "ACCESSOR", accessor, "CLIENT", client,
					"SESSION", decode[[]struct{ ID string }](t, b.by(user, "GET", "/users/me/sessions", ""))[0].ID,
					"SOON", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))

				if i == 3 {
					ahead.Store(int64(11 * time.Minute))
				}
				if i == 0 {
					who.cookie = ""
				}

				a := b.by(who, method, fill.Replace(tc.path), fill.Replace(tc.body))
				if a.Status != tc.want[i] {
					t.Errorf("%s = %d %s, want %d", caller, a.Status, a.Body, tc.want[i])
				}
				if i == 3 && a.Status == 403 && row != "GET /forbidden" && a.Code() != jeton.Code(jeton.ErrProof) {
					t.Errorf("%s = %s, want %s", caller, a.Code(), jeton.Code(jeton.ErrProof))
				}
				if strings.Contains(a.Body, right) || strings.Contains(a.Body, "argon2") {
					t.Errorf("%s: the answer contains a password: %s", caller, a.Body)
				}

				if !strings.Contains(row, "{rest...}") {
					doc.check(t, method, template, a)
				}
			}
		})
	}

	t.Run("every event is read in German", func(t *testing.T) {
		ahead.Store(0)
		admin := b.signedIn("admin")
		n := germanlog.Read(t, func(path string) jetontest.Answer {
			return b.Send(b.client, "GET", b.Issuer()+path, "", "Cookie", admin.cookie)
		})
		if n < 100 {
			t.Errorf("the audit log has %d pages, want one for each request that changed something", n)
		}
	})
}

// TestPagesOfAnAccount walks through what the pages of an account show and change.
func TestPagesOfAnAccount(t *testing.T) {
	b := startCentral(t)
	p, other := b.signedIn(), b.signedIn()

	services := decode[[]api.OwnService](t, want(t, "services", b.by(p, "GET", "/users/me/services", ""), 200))
	if len(services) != 1 || services[0].Name != "portal" || !services[0].Tokens || services[0].URL == "" ||
		fmt.Sprint(services[0].Scopes) != "[a]" {
		t.Errorf("services = %+v, want portal with tokens and the scope a", services)
	}

	t.Run("a token needs the name of a service", func(t *testing.T) {
		body := `{"name":"job","expires_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
		want(t, "no service", b.by(p, "POST", "/users/me/tokens", body), 400)
	})

	t.Run("a token that has children", func(t *testing.T) {
		made := b.own(p, "")
		var parent jeton.Token
		b.MustControl("GET", "/api/v1/tokens/"+made, nil, &parent)
		b.MustControl("POST", "/api/v1/tokens", api.NewToken{
			User:     p.Name,
			Parent:   made,
			Name:     "child",
			Services: []string{"portal"},
			Expires:  parent.Expires,
		}, nil)

		one := decode[api.OneToken](t, want(t, "one", b.by(p, "GET", "/users/me/tokens/"+made, ""), 200))
		children := decode[[]jeton.Token](t, b.by(p, "GET", "/users/me/tokens?parent="+made, ""))
		if one.Derived != 1 || len(children) != 1 || children[0].Parent != made {
			t.Errorf("%d tokens derive from it, children %+v, want one", one.Derived, children)
		}

		theirs := decode[[]jeton.Token](t, b.by(other, "GET", "/users/me/tokens?parent="+made, ""))
		if len(theirs) != 0 {
			t.Errorf("another user sees %+v, want nothing", theirs)
		}
	})

	t.Run("events of a user", func(t *testing.T) {
		want(t, "a wrong password", b.at("POST", "/auth_session", `{"name":"`+p.Name+`","password":"wrong"}`), 401)
		b.MustControl("PUT", "/api/v1/users/"+p.Name+"/groups", api.Groups{Groups: []string{"staff"}}, nil)

		a := want(t, "events", b.by(p, "GET", "/users/me/events?limit=2", ""), 200)
		events := decode[[]api.OwnEvent](t, a)
		if len(events) != 2 || events[0].Action != "user.change" || events[0].Actor != "operator" ||
			events[0].Source != "" {
			t.Errorf("events = %+v, want the change by an operator first, without an address", events)
		}

		older := decode[[]api.OwnEvent](t, b.by(p, "GET", strings.TrimPrefix(nextPage(a), prefix), ""))
		if len(older) == 0 || older[0].Seq >= events[1].Seq {
			t.Errorf("the next page = %+v, want events before %d", older, events[1].Seq)
		}

		for _, e := range append(events, older...) {
			if e.Actor != "user:"+p.Name && e.Target != "user:"+p.Name {
				t.Errorf("event %+v, want only those of %s", e, p.Name)
			}
		}
	})

	t.Run("all sessions end", func(t *testing.T) {
		want(t, "others", b.by(p, "DELETE", "/users/me/sessions", ""), 204)
		want(t, "this one stays", b.by(p, "GET", "/users/me", ""), 200)
		want(t, "all", b.by(p, "DELETE", "/users/me/sessions?current=true", ""), 204)
		want(t, "this one has ended", b.by(p, "GET", "/users/me", ""), 401)
	})
}

// TestWhatATokenWouldOpen compares the verdict with what a request gets.
func TestWhatATokenWouldOpen(t *testing.T) {
	b := startCentral(t)
	p := b.signedIn()
	made := decode[api.MadeToken](t, b.by(p, "POST", "/users/me/tokens", fmt.Sprintf(
		`{"name":"job","services":["portal"],"expires_at":%q,"max_uses":3,"allows":["GET /api/v1/users/*"]}`,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	)))
	late := b.own(p, `,"not_before":"`+time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339)+`"`)

	for _, tc := range []struct {
		name, accessor, body, code, fails string
	}{
		{"a path that it is for", made.Accessor, `"url":"PORTAL/api/v1/users/me","method":"GET"`, "ok", ""},
		{"the same by name", made.Accessor, `"url":"/api/v1/users/me","method":"get","service":"portal"`, "ok", ""},
		{"another method", made.Accessor, `"url":"PORTAL/api/v1/users/me","method":"PUT"`, "forbidden", "scope"},
		{"a route of admins", made.Accessor, `"url":"PORTAL/api/v1/users","method":"GET"`, "forbidden", "scope"},
		{"an open route", made.Accessor, `"url":"PORTAL/api/v1/status","method":"GET"`, "ok", ""},
		{"a path without a route", made.Accessor, `"url":"PORTAL/nothing","method":"GET"`, "not_found", "route"},
		{"an unknown address", made.Accessor, `"url":"https://other.example/","method":"GET"`, "not_found", "route"},
		{"a token that is not valid yet", late, `"url":"PORTAL/api/v1/users/me","method":"GET"`, "too_early", "window"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := strings.ReplaceAll("{"+tc.body+"}", "PORTAL", b.URL("portal"))
			a := want(t, "test", b.by(p, "POST", "/users/me/tokens/"+tc.accessor+"/test", body), 200)

			got := decode[api.TestedToken](t, a)
			failed := ""
			for _, c := range got.Checks {
				if c.Result == "fail" {
					failed = c.Name
				}
			}

			if got.Code != tc.code || got.Allowed != (tc.code == "ok") || failed != tc.fails {
				t.Errorf("test = %+v, want %s, failing %q", got, tc.code, tc.fails)
			}
			if strings.Contains(a.Body, "provisioner") {
				t.Errorf("test = %s, want nothing of who else may use the route", a.Body)
			}
		})
	}

	t.Run("the tests took no use", func(t *testing.T) {
		one := decode[api.OneToken](t, b.by(p, "GET", "/users/me/tokens/"+made.Accessor, ""))
		if one.UsesRemaining == nil || *one.UsesRemaining != 3 {
			t.Errorf("uses remaining = %v, want 3", one.UsesRemaining)
		}

		a := b.send("GET", "/users/me", "", "Authorization", "Bearer "+made.Secret)
		if a.Status != 200 || a.Left() != "2" {
			t.Errorf("GET /users/me = %d, %s uses left, want 200 and 2", a.Status, a.Left())
		}
	})

	for name, body := range map[string]string{
		"no method":         `{"url":"/x","service":"portal"}`,
		"a bad method":      `{"url":"/x","service":"portal","method":"GET /"}`,
		"no service":        `{"url":"/x","method":"GET"}`,
		"an opaque address": `{"url":"mailto:x@example.org","method":"GET"}`,
		"a bad source":      `{"url":"/x","service":"portal","method":"GET","source":"here"}`,
	} {
		want(t, name, b.by(p, "POST", "/users/me/tokens/"+made.Accessor+"/test", body), 400)
	}
}

// TestWhatAdminsSee checks the rows of the pages of admins that show more than lists.
func TestWhatAdminsSee(t *testing.T) {
	b := startCentral(t)
	admin, p := b.signedIn("admin"), b.signedIn()
	b.own(p, "")

	impact := decode[api.Impact](t, want(t, "impact", b.by(admin, "GET", "/users/"+p.ID+"/impact", ""), 200))
	if impact.Sessions != 1 || impact.Tokens != 1 {
		t.Errorf("impact = %+v, want one session and one token", impact)
	}

	o := decode[api.Overview](t, want(t, "overview", b.by(admin, "GET", "/overview", ""), 200))
	if o.Counts.Users < 3 || o.Counts.Sessions < 2 || o.Node.Version != "test" || !o.Node.Database.Up ||
		o.Node.Services != 1 || len(o.Node.Database.Nodes) != 1 || o.Node.Hasher.Workers == 0 {
		t.Errorf("overview = %+v, want this process and what it stores", o)
	}

	services := decode[[]api.Service](t, want(t, "services", b.by(admin, "GET", "/services", ""), 200))
	if len(services) != 1 || !services[0].Declared || fmt.Sprint(services[0].Accepts) != "[session token basic]" {
		t.Errorf("services = %+v, want portal as it is declared", services)
	}

	t.Run("a link signs the user in, once", func(t *testing.T) {
		first := decode[api.SignInLink](t, b.by(admin, "POST", "/users/"+p.ID+"/sign-in-link", ""))
		second := decode[api.SignInLink](t, b.by(admin, "POST", "/users/"+p.ID+"/sign-in-link", ""))
		open := func(link api.SignInLink) jetontest.Answer {
			return b.Send(b.client, "POST", link.URL, "", "Sec-Fetch-Site", "same-origin")
		}

		if a := open(first); a.Cookies() != "" {
			t.Errorf("POST with the earlier link = %d, with a session, want none", a.Status)
		}

		a := want(t, "the link", open(second), 303)
		linked := testUser{User: p.User, cookie: a.Cookies()}
		if a := open(second); a.Cookies() != "" {
			t.Errorf("POST with a link that was used = %d, with a session, want none", a.Status)
		}

		me := decode[jeton.User](t, want(t, "the session of the link", b.by(linked, "GET", "/users/me", ""), 200))
		if me.ID != p.ID {
			t.Errorf("the link signs in %s, want %s", me.Name, p.Name)
		}

		body := `{"name":"job","services":["portal"],"expires_at":"` +
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
		refused := want(t, "a token by that session", b.by(linked, "POST", "/users/me/tokens", body), 403)
		if refused.Code() != jeton.Code(jeton.ErrProof) {
			t.Errorf("code %s, want %s", refused.Code(), jeton.Code(jeton.ErrProof))
		}
	})

	t.Run("no link for a disabled user", func(t *testing.T) {
		want(t, "disable", b.by(admin, "PUT", "/users/"+p.ID, `{"disabled":true}`), 200)
		want(t, "a link", b.by(admin, "POST", "/users/"+p.ID+"/sign-in-link", ""), 409)
	})
}

func TestTheLastAdminStays(t *testing.T) {
	b := startCentral(t)
	ada, bea := b.signedIn("admin"), b.signedIn("admin")

	want(t, "an admin takes the group from the other", b.by(ada, "PUT", "/users/"+bea.ID, `{"groups":[]}`), 200)
	want(t, "who is no admin any more", b.by(bea, "GET", "/users", ""), 403)

	a := want(t, "the last admin removes itself", b.by(ada, "DELETE", "/users/"+ada.ID, ""), 409)
	if a.Code() != jeton.Code(jeton.ErrConflict) || !strings.Contains(a.Body, "last enabled user in the group admin") {
		t.Errorf("DELETE = %s, want a conflict that names the group", a.Body)
	}
	want(t, "the last admin stays", b.by(ada, "GET", "/users", ""), 200)

	b.MustControl("PUT", "/api/v1/users/"+ada.Name+"/groups", api.Groups{Groups: []string{}}, nil)
	want(t, "an operator may", b.by(ada, "GET", "/users", ""), 403)
}

func TestUsersAreFoundByThePrefixOfANameOrAddress(t *testing.T) {
	b := startCentral(t)
	admin := b.signedIn("admin")
	for name, email := range map[string]string{
		"nora": "",
		"Nils": "zz@example.org",
		"carl": "nn@example.org",
		"dora": "N@example.org",
	} {
		b.MustControl("POST", "/api/v1/users", api.NewUser{Name: name, Password: right, Email: email}, nil)
	}

	for _, tc := range []struct{ limit, pages int }{{1, 4}, {2, 2}, {3, 2}, {4, 1}, {9, 1}} {
		var got []string
		n := 0
		for next := fmt.Sprintf("%s/users?prefix=N&limit=%d", prefix, tc.limit); next != "" && n < 9; n++ {
			a := want(t, "a page", b.by(admin, "GET", strings.TrimPrefix(next, prefix), ""), 200)
			for _, u := range decode[[]jeton.User](t, a) {
				got = append(got, u.Name)
			}

			next = nextPage(a)
			if next != "" {
				other := strings.Replace(strings.TrimPrefix(next, prefix), "prefix=N", "prefix=M", 1)
				want(t, "a cursor of another prefix", b.by(admin, "GET", other, ""), 400)
			}
		}

		if fmt.Sprint(got) != "[Nils nora dora carl]" || n != tc.pages {
			t.Errorf("%d pages of %d: %v, want %d with Nils, nora, dora, carl", n, tc.limit, got, tc.pages)
		}
	}

	for _, query := range []string{"prefix=n&search=n", "prefix=n&limit=0", "prefix=n&cursor=x", "prefix=%ff"} {
		want(t, query, b.by(admin, "GET", "/users?"+query, ""), 400)
	}
}

// TestABearerTokenBesideASessionExcusesNoOtherSite checks that a token counts as one that no browser attaches only if
// it authenticated the caller. Here sessions do, whatever else a request has.
func TestABearerTokenBesideASessionExcusesNoOtherSite(t *testing.T) {
	b := startCentral(t)
	diane := b.signedIn()
	login := `{"name":"` + diane.Name + `","password":"` + right + `"}`

	for _, tc := range []struct{ method, path, body string }{
		{"PUT", "/users/me", `{"first_name":"x"}`},
		{"POST", "/auth_session", login},
		{"DELETE", "/auth_session", ""},
	} {
		what := tc.method + " " + tc.path + " of another site"
		header := []string{"Cookie", diane.cookie, "Authorization", "Bearer x", "Sec-Fetch-Site", "cross-site"}
		want(t, what, b.at(tc.method, tc.path, tc.body, header...), 403)
	}

	want(t, "the session is still valid", b.by(diane, "GET", "/users/me", ""), 200)
}

func TestAUserSeesNoEventsOfAFormerUserOfTheSameName(t *testing.T) {
	b := startCentral(t)
	former := b.signedIn()
	b.MustControl("DELETE", "/api/v1/users/"+former.Name, nil, nil)

	b.users--
	diane := b.signedIn()
	a := want(t, "events", b.by(diane, "GET", "/users/me/events", ""), 200)
	for _, e := range decode[[]api.OwnEvent](t, a) {
		if e.Time.Before(diane.Created) || e.Action == "user.remove" {
			t.Errorf("%s sees the event %+v of a former user", diane.Name, e)
		}
	}
}
