package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestATokenIsCreatedUsedAndRevoked(t *testing.T) {
	v := newVisitor(t)
	v.has(v.get("/account/tokens", 200), "You have none yet.", `href="/account/tokens/new"`)
	v.has(v.get("/account/tokens/new", 200), `value="reports"`, `value="wiki"`, `value="reports:read"`)

	accessor, secret := v.token("service", "reports", "scope", "reports:read", "uses", "3", "allows", "GET /reports/*")
	if got := v.use("reports", "/reports/7", secret); got != 200 {
		t.Errorf("the service answers %d, want 200", got)
	}

	page := v.get("/account/tokens", 200)
	v.has(page, "job", "2 of 3 uses left", "ends in 30 days", "GET /reports/*", "reports:read")

	v.has(v.get("/account/tokens/"+accessor+"/revoke", 200), "No other token derives from it.")
	v.leadsTo(v.post("/account/tokens/"+accessor+"/revoke", 303), "/account/tokens?done=token-revoked")
	v.has(v.get("/account/tokens?done=token-revoked", 200), "The token is revoked", "You have none yet.")

	if got := v.use("reports", "/reports/7", secret); got != 401 {
		t.Errorf("the service answers %d after the revocation, want 401", got)
	}
	v.leadsTo(v.post("/account/tokens/"+accessor+"/revoke", 303), "/account/tokens?done=token-revoked")
}

// TestARequestForATokenIsAnswered has a program with a token of the user, which asks for another one.
func TestARequestForATokenIsAnswered(t *testing.T) {
	v := newVisitor(t)
	v.has(v.get("/account/requests", 200), "No program asks for a token of yours.")
	_, secret := v.token("service", "reports")
	ask := func(path, body string) jetontest.Answer {
		return v.s.Send(
			v.s.Client(), http.MethodPost, v.s.URL("reports")+"/.jeton/token/requests"+path, body,
			"Authorization", "Bearer "+secret, "Content-Type", "application/json",
		)
	}
	asked := func() (page, poll string) {
		a := ask("", `{"name":"weekly","reason":"the report","expires_in":7200,"max_uses":20,`+
			`"allows":["GET /reports/*","POST /reports"],"scopes":["reports:read"]}`)
		id := v.one(a.Body, `"id":"([^"]+)"`)
		poll = `{"id":"` + id + `","secret":"` + v.one(a.Body, `"secret":"([^"]+)"`) + `"}`
		v.has(v.get("/account/requests", 200), "weekly", "the report", "A program with your token", id)

		return "/account/requests/" + id, poll
	}

	page, poll := asked()
	v.has(v.get(page, 200), `value="reports:read" checked`, `value="20"`, "GET /reports/*\nPOST /reports")
	v.has(v.post(page, 400, "answer", "approve", "uses", "", "allows", "").Body, "Enter a number", "Leave at least one")
	v.post(page, 403, "answer", "approve", "uses", "21", "allows", "GET /reports/*")
	v.leadsTo(
		v.post(page, 303, "answer", "approve", "uses", "2", "allows", "GET /reports/*", "lasts", "1h"),
		"/account/requests?done=request-approved",
	)
	v.has(v.get("/account/requests?done=request-approved", 200), "The request is approved.", "No program asks")
	made := ask("/poll", poll).Body
	v.has(made, `"max_uses":2`, `"scopes":[]`, `"allows":["GET /reports/*"]`)
	v.get(page, 404)

	page, poll = asked()
	v.leadsTo(v.post(page, 303, "answer", "deny"), "/account/requests?done=request-denied")
	if got := ask("/poll", poll); got.Status != http.StatusForbidden {
		t.Errorf("poll of a request that is denied = %d %s, want 403", got.Status, got.Body)
	}
}

// TestASecretIsInOneResponse looks for the secret wherever it could be seen again.
func TestASecretIsInOneResponse(t *testing.T) {
	v := newVisitor(t)
	a := v.post("/account/tokens/new", 200,
		"name", "job", "service", "reports", "lasts", "1d", "allows", "GET /reports/*")
	page := a.Body
	secret := v.one(page, `<code id="secret">([^<]+)</code>`)
	accessor := v.one(page, `href="/account/tokens/([^/"]+)"`)

	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q, want no-store", got)
	}
	v.has(page, "Authorization: Bearer "+secret, v.s.URL("reports")+"/reports/", `data-copy="secret"`)

	for _, path := range []string{
		"/account/tokens", "/account/tokens/new", "/account/tokens/" + accessor, "/account/activity",
		"/account/tokens/" + accessor + "/revoke", "/account/tokens/" + accessor + "/rotate",
	} {
		v.lacks(v.get(path, 200), secret)
	}
	for name, values := range a.Header {
		if strings.Contains(strings.Join(values, " "), secret) {
			t.Errorf("header %s = %v, want no secret", name, values)
		}
	}
}

func TestASecretIsReplaced(t *testing.T) {
	v := newVisitor(t)
	accessor, old := v.token("service", "wiki")

	v.has(v.get("/account/tokens/"+accessor+"/rotate", 200), "stops working at once")
	page := v.post("/account/tokens/"+accessor+"/rotate", 200).Body
	current := v.one(page, `<code id="secret">([^<]+)</code>`)

	if got := v.use("wiki", "/", old); got != 401 {
		t.Errorf("the service answers %d to the previous secret, want 401", got)
	}
	if got := v.use("wiki", "/", current); got != 200 {
		t.Errorf("the service answers %d to the new secret, want 200", got)
	}
}

func TestARevocationSaysWhatEndsWithIt(t *testing.T) {
	v := newVisitor(t)
	accessor, secret := v.token("service", "reports", "service", "wiki")

	for _, name := range []string{"first child", "second child"} {
		body := `{"name":"` + name + `","services":["wiki"],"expires_at":"` +
			v.clock.now().Add(time.Hour).UTC().Format(time.RFC3339) + `","current_password":"` + right + `"}`
		a := v.s.Send(v.s.Client(), http.MethodPost, v.s.URL("reports")+"/api/v1/users/me/tokens", body,
			"Authorization", "Bearer "+secret, "Content-Type", "application/json")
		if a.Status != 201 {
			t.Fatalf("create a token with a token: got %d %s, want 201", a.Status, a.Body)
		}
	}

	v.has(v.get("/account/tokens", 200), "2 tokens derive from it", `class="child"`)
	page := v.get("/account/tokens/"+accessor+"/revoke", 200)
	v.has(page, "2 tokens that derive from it", "first child", "second child")
}

func TestWhatATokenWouldOpen(t *testing.T) {
	v := newVisitor(t)
	accessor, _ := v.token("service", "reports", "uses", "3", "allows", "GET /reports/*")
	path := "/account/tokens/" + accessor
	v.has(v.get(path, 200), "<code>"+v.s.URL("reports")+"/reports/</code>")

	for _, tc := range []struct {
		name   string
		method string
		url    string
		want   []string
	}{
		{"a path that it is for", "GET", v.s.URL("reports") + "/reports/7", []string{"Yes.", "3 uses"}},
		{"another method", "POST", v.s.URL("reports") + "/exports", []string{"No."}},
		{"another service", "GET", v.s.URL("wiki") + "/", []string{"No.", "not valid at this service"}},
		{"an address of no service", "GET", "https://other.example/", []string{"No.", "no service or no route"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page := v.post(path, 200, "method", tc.method, "url", tc.url).Body
			v.has(page, tc.want...)
			v.has(page, `class="steps"`)
		})
	}

	page := v.post(path, 400, "method", "GET", "url", "reports").Body
	v.has(page, "Enter a whole address", `value="reports"`, `aria-invalid="true"`)
	v.has(v.get(path, 200), "3 of 3 uses left")
}

func TestAWrongFormKeepsWhatWasTyped(t *testing.T) {
	v := newVisitor(t)
	month := func(name, value string) []string { return []string{"service", "wiki", "lasts", "30d", name, value} }
	day := func(date string) []string { return []string{"service", "wiki", "lasts", "date", "until", date} }

	for _, tc := range []struct {
		name   string
		status int
		fields []string
		want   string
	}{
		{"no service", 400, []string{"lasts", "1d"}, `id="service-error">Choose at least one service.`},
		{"no lifetime", 400, []string{"service", "wiki"}, "Choose a day from today on"},
		{"a day that has passed", 400, day("2001-01-01"), "Choose a day from today on"},
		{"a day too far away", 400, day("2999-01-01"), "Choose a day from today on"},
		{"uses that are no number", 400, month("uses", "many"), "Enter a number"},
		{"a path alone", 400, month("allows", "/x"), "<code>/x</code> is not"},
		{"no network", 400, month("networks", "home"), "<code>home</code> is neither"},
		{"a scope of others", 403, month("scope", "root"), "does not have the scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page := v.post("/account/tokens/new", tc.status, append(tc.fields, "name", "nightly export")...).Body
			v.has(page, tc.want, `value="nightly export"`)
		})
	}
}

func TestAnEndedSessionIsRefusedAtTheNextRequest(t *testing.T) {
	v := newVisitor(t)
	phone := v.another("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1")

	page := v.get("/account/sessions", 200)
	v.has(page, "Firefox on Linux", "this browser", "Safari on iPhone", "127.0.0.1")
	id := v.one(page, `action="/account/sessions/([^"]+)"`)

	phone.get("/account/sessions", 200)
	v.leadsTo(v.post("/account/sessions/"+id, 303), "/account/sessions?done=session-ended")
	v.leadsTo(phone.send(http.MethodGet, "/account/sessions", ""), "/sign-in?to=%2Faccount%2Fsessions")

	page = v.get("/account/sessions?done=session-ended", 200)
	v.has(page, "The session has ended.", "This is the only browser")
	v.lacks(page, "Safari on iPhone")
}

func TestAllOtherSessionsEnd(t *testing.T) {
	v := newVisitor(t)
	first, second := v.another("curl/8.0"), v.another("curl/8.1")

	v.leadsTo(v.post("/account/sessions", 303), "/account/sessions?done=sessions-ended")
	v.has(v.get("/account/sessions?done=sessions-ended", 200), "All other sessions have ended.")
	first.get("/account", 303)
	second.get("/account", 303)
}

func TestAllSessionsEnd(t *testing.T) {
	v := newVisitor(t)
	other := v.another("curl/8.0")

	v.has(v.get("/account/sessions/all", 200), "2 sign-ins, with this one", "you will have to sign in again")
	a := v.post("/account/sessions/all", 303)
	v.leadsTo(a, "/signed-out")
	if got := a.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Host-jeton-issuer=;") {
		t.Errorf("the cookie is %q, want it deleted", got)
	}
	v.get("/account", 303)
	other.get("/account", 303)
}

func TestSessionsAtServicesAreBelowTheirSignIn(t *testing.T) {
	v := newVisitor(t)
	address := v.s.URL("reports") + "/reports/7"
	for range 10 {
		a := v.send(http.MethodGet, address, "")
		if a.Status == 200 {
			break
		}
		address = a.Header.Get("Location")
	}

	page := v.get("/account/sessions", 200)
	v.has(page, `<li class="child">`, "<strong>reports</strong>", "This is the only browser")
	v.has(v.get("/account/sessions/all", 200), "1 session at a service")

	// Ending the others leaves what belongs to this browser.
	v.post("/account/sessions", 303)
	v.get(v.s.URL("reports")+"/reports/7", 200)

	v.post("/account/sessions/"+v.one(page, `action="/account/sessions/([^"]+)"`), 303)
	v.get(v.s.URL("reports")+"/reports/7", 303)
	v.get("/account", 200)
}

// TestAChangeAsksForThePasswordAgain: ten minutes after the password, and then not for ten minutes.
func TestAChangeAsksForThePasswordAgain(t *testing.T) {
	v := newVisitor(t)
	fields := []string{
		"name", "nightly export", "service", "wiki", "service", "reports", "lasts", "7d", "allows", "GET /x",
	}
	v.get("/account/tokens/new", 200)

	v.clock.add(11 * time.Minute)
	v.leadsTo(v.send(http.MethodGet, "/account/tokens/new", ""), "/prove?to=%2Faccount%2Ftokens%2Fnew")

	a := v.post("/account/tokens/new", 303, fields...)
	to := a.Header.Get("Location")
	if !strings.HasPrefix(to, "/prove?to=%2Faccount%2Ftokens%2Fnew%3Ftyped%3D") || strings.Contains(to, "nightly") {
		t.Fatalf("the form leads to %q, want /prove with a reference to what was typed", to)
	}

	a = v.post(to, 303, "password", right)
	back := a.Header.Get("Location")
	page := v.get(back, 200)
	v.has(page, `value="nightly export"`, "GET /x</textarea>", `value="7d" selected`, "<details open")
	if got := strings.Count(page, " checked>"); got != 2 {
		t.Errorf("%d services are checked, want 2\n%s", got, page)
	}

	v.post("/account/tokens/new", 200, fields...)

	// Neither another session nor an address alone fills in a form.
	v.lacks(v.another("curl/8.0").get(back, 200), `value="nightly export"`)
	v.lacks(v.get("/account/tokens/new?name=planted", 200), `value="planted"`)
	v.lacks(v.get(strings.Replace(back, "/tokens/new", "", 1), 200), `value="nightly export"`)
}

// TestALinkIsNoProof signs in with a link: a thief of it must not get a token that lasts longer than the session.
func TestALinkIsNoProof(t *testing.T) {
	v := newVisitor(t)
	var link struct{ URL string }
	v.s.MustControl(http.MethodPost, "/api/v1/users/diane/sign-in-link", nil, &link)

	other := *v
	other.client = v.s.Client(jetontest.Jar())
	other.leadsTo(other.post(link.URL, 303), "/account")
	v.has(other.get("/account/sessions", 200), "by a link")

	other.leadsTo(other.send(http.MethodGet, "/account/tokens/new", ""), "/prove?to=%2Faccount%2Ftokens%2Fnew")
	a := other.post("/account/tokens/new", 303, "name", "job", "service", "wiki", "lasts", "1d")
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, "/prove?") {
		t.Errorf("the form leads to %q, want /prove", to)
	}
	other.post("/account", 403, "email", "eve@example.org")

	other.post("/prove?to=%2Faccount%2Ftokens%2Fnew", 401, "password", "wrong")
	other.post("/prove?to=%2Faccount%2Ftokens%2Fnew", 303, "password", right)
	other.get("/account/tokens/new", 200)
}

func TestTheMailAddressChangesOnlyWithThePassword(t *testing.T) {
	v := newVisitor(t)

	a := v.post("/account", 303, "first_name", "Diane", "last_name", "", "email", "")
	v.leadsTo(a, "/account?done=profile-changed")

	// The session is new, and not enough: it may be stolen.
	form := []string{"first_name", "Diane", "last_name", "", "email", "diane@example.org"}
	a = v.post("/account", 403, form...)
	v.has(a.Body, "Enter your current password.", `value="diane@example.org"`)
	a = v.post("/account", 403, append(form, "current", "wrong")...)
	v.has(a.Body, `value="diane@example.org"`)

	v.post("/account", 303, append(form, "current", right)...)
	v.has(v.get("/account?done=profile-changed", 200), "Your details are saved.", "<dd>diane@example.org</dd>")
	v.has(v.post("/account", 400, "email", "nowhere", "current", right).Body, `value="nowhere"`)
}

func TestThePasswordChanges(t *testing.T) {
	const next = "another horse battery"
	v := newVisitor(t)
	other := v.another("curl/8.0")
	_, secret := v.token("service", "wiki")

	page := v.get("/account/security", 200)
	v.has(page, `autocomplete="username"`, `value="diane"`, `autocomplete="current-password"`)
	v.has(page, `autocomplete="new-password"`)

	for _, tc := range []struct {
		name                  string
		status                int
		current, next, repeat string
		want                  string
	}{
		{"another current password", 403, "wrong", next, next, "This is not your current password."},
		{"two new passwords", 400, right, next, "x", "The two new passwords differ."},
		{"a short new password", 400, right, "short", "short", "Use at least 15 characters"},
		{"no new password", 400, right, "", "", "Enter a new password."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := v.post("/account/security", tc.status, "current", tc.current, "new", tc.next, "repeat", tc.repeat)
			v.has(a.Body, tc.want, `href="/account/security/passkeys"`)
			v.lacks(a.Body, `value="`+tc.current+`"`)
		})
	}

	a := v.post("/account/security", 303, "current", right, "new", next, "repeat", next, "keep", "tokens")
	v.leadsTo(a, "/account/security?done=password-changed")
	v.has(v.get("/account/security?done=password-changed", 200), "All other sessions have ended.")
	other.get("/account", 303)

	if got := v.use("wiki", "/", secret); got != 200 {
		t.Errorf("the service answers %d to a token that was kept, want 200", got)
	}

	v.post("/account/security", 303, "current", next, "new", right, "repeat", right)
	if got := v.use("wiki", "/", secret); got != 401 {
		t.Errorf("the service answers %d to a token that was not kept, want 401", got)
	}
}

func TestActivityShowsWhatHappened(t *testing.T) {
	v := newVisitor(t)
	_, secret := v.token("service", "reports")
	v.s.Send(v.s.Client(), http.MethodPost, v.s.URL("reports")+"/exports", "", "Authorization", "Bearer "+secret)

	v.has(v.get("/account/activity", 200),
		"Signed in", "Created a token", "POST /exports", "Request refused", "scope missing")
}

func TestPagesOfAnAccountAreInGerman(t *testing.T) {
	v := newVisitor(t)
	v.language = "de-AT,de;q=0.9,en;q=0.1"

	for path, want := range map[string]string{
		"/account":              "Ihre Angaben ändern",
		"/account/sessions":     "dieser Browser",
		"/account/sessions/all": "Überall abmelden?",
		"/account/tokens":       "Sie haben noch keines.",
		"/account/tokens/new":   "Token erstellen",
		"/account/security":     "Jetziges Passwort",
		"/account/activity":     "Angemeldet",
	} {
		v.has(v.get(path, 200), `<html lang="de"`, want)
	}
}

// TestAnotherSiteChangesNothing sends each form as another site would make the browser send it.
func TestAnotherSiteChangesNothing(t *testing.T) {
	v := newVisitor(t)
	accessor, secret := v.token("service", "wiki")

	for _, path := range []string{
		"/account", "/account/security", "/account/sessions", "/account/sessions/all", "/account/sessions/x",
		"/account/tokens/new", "/account/tokens/" + accessor, "/account/tokens/" + accessor + "/rotate",
		"/account/tokens/" + accessor + "/revoke",
	} {
		a := v.s.Send(v.client, http.MethodPost, v.s.Issuer()+path, "name=x",
			"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html",
			"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site",
			"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		if a.Status != 403 {
			t.Errorf("POST %s from another site: got %d, want 403", path, a.Status)
		}
	}

	v.get("/account", 200)
	if got := v.use("wiki", "/", secret); got != 200 {
		t.Errorf("the service answers %d, want 200", got)
	}
}

func TestAnotherUserSeesNothing(t *testing.T) {
	v := newVisitor(t)
	accessor, secret := v.token("service", "wiki")
	v.s.AddUser("eve", right)

	eve := *v
	eve.client = v.s.Client(jetontest.Jar())
	eve.post("/sign-in", 303, "username", "eve", "password", right)
	for _, path := range []string{"", "/rotate", "/revoke"} {
		eve.get("/account/tokens/"+accessor+path, 404)
	}
	eve.post("/account/tokens/"+accessor, 404, "method", "GET", "url", "https://wiki.example/")
	eve.post("/account/tokens/"+accessor+"/rotate", 404)
	eve.post("/account/tokens/"+accessor+"/revoke", 303) // says the same as of a token that has ended

	if got := v.use("wiki", "/", secret); got != 200 {
		t.Errorf("the service answers %d, want 200", got)
	}
}
