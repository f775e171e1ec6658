package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const adminConf = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
users:
  - name: declared
    # alice_pw
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM
clients:
  - name: nightly
    services: [shop]
    secret_hash: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b # secret
services:
  - name: shop
    listen: localhost:0
    login: {sign_in: true}
    accept: [session, token]
    tokens: {}
    routes:
      - {match: "GET /", open: true, respond: {text: open}}
      - {match: "GET /staff", respond: {text: staff}, allow: {groups: [staff]}}
`

const adminPassword = "correct horse battery"

// adminVisitor is a browser at the pages of a server.
type adminVisitor struct {
	t      *testing.T
	s      *jetontest.Server
	client *http.Client
	lang   string
}

// newAdminVisitor returns a browser without a session.
func newAdminVisitor(t *testing.T, s *jetontest.Server) *adminVisitor {
	t.Helper()
	return &adminVisitor{
		t:      t,
		s:      s,
		client: s.Client(jetontest.Jar()),
		lang:   "en",
	}
}

// newAdmin returns the browser of an administrator with the name root, who has just signed in.
func newAdmin(t *testing.T, s *jetontest.Server) *adminVisitor {
	t.Helper()
	s.AddUser("root", adminPassword, "admin")
	v := newAdminVisitor(t, s)
	v.signIn("root")

	return v
}

// get loads a page.
func (v *adminVisitor) get(path string) jetontest.Answer {
	v.t.Helper()
	return v.send(http.MethodGet, path, "")
}

// post sends a form of names and values in turn.
func (v *adminVisitor) post(path string, fields ...string) jetontest.Answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}

	return v.send(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// send sends what a browser sends when a page of ours asks for another one.
func (v *adminVisitor) send(method, path, body string, header ...string) jetontest.Answer {
	v.t.Helper()
	header = append(header,
		"Accept", "text/html",
		"Accept-Language", v.lang,
		"Origin", v.s.Issuer(),
		"Sec-Fetch-Site", "same-origin",
		"Sec-Fetch-Mode", "navigate",
		"Sec-Fetch-Dest", "document",
	)

	return v.s.Send(v.client, method, v.s.Issuer()+path, body, header...)
}

// signIn signs the browser in.
func (v *adminVisitor) signIn(name string) {
	v.t.Helper()
	a := v.post("/sign-in", "username", name, "password", adminPassword)
	if a.Status != http.StatusSeeOther {
		v.t.Fatalf("sign in as %s: got %d, want 303\n%s", name, a.Status, a.Body)
	}
}

// see loads a page that has to be there, with the texts.
func (v *adminVisitor) see(path string, texts ...string) string {
	v.t.Helper()
	a := v.get(path)
	if a.Status != http.StatusOK {
		v.t.Fatalf("GET %s: got %d, want 200\n%s", path, a.Status, a.Body)
	}
	v.has(path, a.Body, texts...)

	return a.Body
}

// has checks that a page has texts.
func (v *adminVisitor) has(what, body string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			v.t.Errorf("%s: the page lacks %q:\n%s", what, text, body)
		}
	}
}

// lacks checks that a page does not have texts.
func (v *adminVisitor) lacks(what, body string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if strings.Contains(body, text) {
			v.t.Errorf("%s: the page has %q, want it without", what, text)
		}
	}
}

// done sends a form, and returns the page to which it leads.
func (v *adminVisitor) done(path string, fields ...string) string {
	v.t.Helper()
	a := v.post(path, fields...)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/admin") {
		v.t.Fatalf("POST %s %v: got %d to %q, want 303 to a page\n%s", path, fields, a.Status, to, a.Body)
	}

	return v.see(to)
}

// userURL returns the page of a user.
func (v *adminVisitor) userURL(name string) string {
	v.t.Helper()
	body := v.see("/admin/users?search=" + url.QueryEscape(name))
	link := regexp.MustCompile(`href="(/admin/users/[0-9a-f-]{36})">` + regexp.QuoteMeta(name) + `<`)
	m := link.FindStringSubmatch(body)
	if m == nil {
		v.t.Fatalf("no user %s in the list:\n%s", name, body)
	}

	return m[1]
}

// adminPaths are pages of administrators.
var adminPaths = []string{
	"/admin", "/admin/users", "/admin/users/new", "/admin/sessions", "/admin/tokens", "/admin/clients",
	"/admin/new-client", "/admin/clients/nightly", "/admin/services", "/admin/services/shop", "/admin/keys",
	"/admin/audit", "/admin/explain",
}

func TestPagesOfAdministratorsAreForAdministratorsOnly(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword, "staff")

	admin, user, stranger := newAdmin(t, s), newAdminVisitor(t, s), newAdminVisitor(t, s)
	user.signIn("diane")

	for _, path := range adminPaths {
		t.Run(path, func(t *testing.T) {
			a := admin.get(path)
			if a.Status != http.StatusOK || !strings.Contains(a.Body, ">Admin</a>") {
				t.Errorf("an administrator: got %d, want 200\n%s", a.Status, a.Body)
			}

			a = user.get(path)
			if a.Status != http.StatusNotFound || strings.Contains(a.Body, ">Admin</a>") {
				t.Errorf("another user: got %d, want a page that says 404\n%s", a.Status, a.Body)
			}

			a = stranger.get(path)
			if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in") {
				t.Errorf("without a session: got %d to %q, want 303 to /sign-in", a.Status, a.Header.Get("Location"))
			}
		})
	}

	a := user.post("/admin/users/new", "name", "mallory", "groups", "admin")
	if a.Status != http.StatusNotFound {
		t.Errorf("another user adds a user: got %d, want 404", a.Status)
	}
}

func TestAnAdministratorFindsAndAddsUsers(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	added := v.done("/admin/users/new", "name", "diane", "email", "diane@example.org", "groups", "staff, wiki")
	v.has("the page of a new user", added, "The user was added", "diane@example.org", "staff, wiki")

	found := v.see("/admin/users?search=Dia", ">diane<", `value="Dia"`)
	v.lacks("a search", found, ">root</a>")
	v.see("/admin/users?search=example.org", "No name and no address begins with", "in=parts&amp;search=example.org")
	v.see("/admin/users?search=example.org&in=parts", ">diane<")
	v.see("/admin/users?search=unknown&in=parts", "No user has")

	a := v.post("/admin/users/new", "name", "diane", "email", "other@example.org")
	if a.Status != http.StatusConflict {
		t.Errorf("the same name again: got %d, want 409", a.Status)
	}
	v.has("a refused form", a.Body, `value="other@example.org"`, `role="alert"`, a.Request())
}

func TestTheListOfUsersHasPages(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	for i := range 60 {
		s.AddUser("user"+string(rune('a'+i/10))+string(rune('0'+i%10)), adminPassword)
	}
	v := newAdmin(t, s)

	next := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	seen := map[string]bool{}
	path := "/admin/users?search=user"
	for pages := 0; path != "" && pages < 5; pages++ {
		body := v.see(path)
		for _, m := range regexp.MustCompile(`>(user\w\d)</a>`).FindAllStringSubmatch(body, -1) {
			seen[m[1]] = true
		}

		m := next.FindStringSubmatch(body)
		path = ""
		if m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}

	if len(seen) != 60 {
		t.Errorf("the pages have %d users, want 60", len(seen))
	}
}

func TestDisablingAUserEndsItsSessionsAtOnce(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v, diane := newAdmin(t, s), newAdminVisitor(t, s)
	diane.signIn("diane")
	if a := diane.get("/account"); a.Status != http.StatusOK {
		t.Fatalf("diane before: got %d, want 200", a.Status)
	}

	page := v.userURL("diane")
	v.see(page+"/disable", "1 session", "0 tokens")
	v.has("the page after", v.done(page+"/disable"), "The user is disabled", "This account is disabled")

	if a := diane.get("/account"); a.Status != http.StatusSeeOther {
		t.Errorf("diane after: got %d, want 303 to sign in", a.Status)
	}
	a := diane.post("/sign-in", "username", "diane", "password", adminPassword)
	if a.Status != http.StatusUnauthorized {
		t.Errorf("diane signs in: got %d, want 401", a.Status)
	}

	v.done(page, "do", "enable")
	diane.signIn("diane")
}

func TestDeletingAUserNeedsItsName(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)
	page := v.userURL("diane")

	a := v.post(page+"/delete", "confirm", "dian")
	if a.Status != http.StatusBadRequest {
		t.Errorf("another name: got %d, want 400", a.Status)
	}
	v.has("the confirmation", a.Body, "This is not the name", `value="dian"`, `aria-invalid="true"`)
	v.see(page)

	v.has("the list", v.done(page+"/delete", "confirm", "diane"), "The user was deleted")
	if a := v.get(page); a.Status != http.StatusNotFound {
		t.Errorf("the page after: got %d, want 404", a.Status)
	}
}

func TestWhatTheFileDeclaresIsReadOnlyAndSaysWhy(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	page := v.userURL("declared")
	body := v.see(page, "configuration file", "is in the configuration file, and is changed only there")
	v.lacks("a declared user", body, `value="groups"`, page+"/disable", page+"/delete")

	for _, form := range [][]string{
		{page, "do", "groups", "groups", "admin"},
		{page + "/disable"},
		{page + "/delete", "confirm", "declared"},
	} {
		a := v.post(form[0], form[1:]...)
		if a.Status != http.StatusConflict && a.Status != http.StatusForbidden {
			t.Errorf("POST %v: got %d, want a refusal", form, a.Status)
		}
		v.has("the refusal", a.Body, "This is set in the configuration file")
	}

	client := v.see("/admin/clients/nightly", "configuration file", "is changed only there")
	v.lacks("a declared client", client, `value="terms"`, `value="secret"`, "/admin/clients/nightly/delete")
	v.see("/admin/services/shop", "is changed only there", "everybody, without signing in", "members of: <strong>staff")
}

func TestARefusalIsExplained(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)

	refused := s.Ask("GET", "shop", "/staff")
	if refused.Status != http.StatusUnauthorized {
		t.Fatalf("GET /staff without a session: got %d, want 401", refused.Status)
	}

	explained := "/admin/explain?id=" + refused.Request()
	body := v.see(explained, "Refused", "not signed in", "GET /staff", "Route", "Credential")
	if strings.Index(body, ">Route<") > strings.Index(body, ">Credential<") {
		t.Errorf("checks, want Route before Credential:\n%s", body)
	}

	listed := v.see("/admin/audit?outcome=no_credential&service=shop", explained, "GET /staff")
	v.lacks("the filtered log", listed, "<strong>Sign-in")

	a := v.get("/admin/explain?id=unknown")
	if a.Status != http.StatusNotFound {
		t.Errorf("an unknown id: got %d, want 404", a.Status)
	}
	v.has("the page for an unknown id", a.Body, "No decision on this request is known", `value="unknown"`)
}

func TestTheAuditLogIsFilteredByItsAddress(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)

	v.see("/admin/audit", "Sign-in", "User added")
	body := v.see("/admin/audit?action=user.add&user=diane", "User added", `<option value="user.add" selected>`)
	v.lacks("one action", body, "<strong>Sign-in</strong>")
	v.see("/admin/audit?since=2000-01-01&until=2000-01-02", "No event matches")

	a := v.get("/admin/audit?since=yesterday")
	if a.Status != http.StatusBadRequest {
		t.Errorf("a day that is none: got %d, want 400", a.Status)
	}
	v.has("the page", a.Body, "want a day such as", `value="yesterday"`)
}

func TestPagesOfAdministratorsInGerman(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)
	v.lang = "de-AT,de;q=0.9"

	v.see("/admin/users", `<html lang="de"`, "Neuer Benutzer")
	v.see(v.userURL("root"), "Das ist Ihr eigenes Konto")
	v.see("/admin/audit", "Anmeldung", "Benutzer angelegt")

	user := newAdminVisitor(t, s)
	user.lang = "de"
	s.AddUser("diane", adminPassword)
	user.signIn("diane")
	a := user.get("/admin")
	user.has("the refusal", a.Body, "Hier ist nichts")
}

func TestAnAdministratorEndsSessions(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v, one, two := newAdmin(t, s), newAdminVisitor(t, s), newAdminVisitor(t, s)
	one.signIn("diane")
	two.signIn("diane")

	body := v.see("/admin/sessions?user=diane", "Sign-in pages")
	v.lacks("the sessions of diane", body, "this browser")
	ids := regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(ids) != 2 {
		t.Fatalf("diane has %d sessions in the list, want 2", len(ids))
	}

	v.has("the list", v.done("/admin/sessions?user=diane", "id", ids[0][1]), "The session has ended", "user=diane")
	if a := two.get("/account"); a.Status != http.StatusSeeOther {
		t.Errorf("the newest session: got %d, want 303 to sign in", a.Status)
	}
	if a := one.get("/account"); a.Status != http.StatusOK {
		t.Errorf("the other session: got %d, want 200", a.Status)
	}

	a := v.post("/admin/sessions", "id", "")
	if a.Status != http.StatusBadRequest {
		t.Errorf("no id: got %d, want 400", a.Status)
	}
	v.see("/admin/sessions/end?user=diane", "1 session")
	v.done("/admin/sessions/end", "user", "diane")
	if a := one.get("/account"); a.Status != http.StatusSeeOther {
		t.Errorf("all sessions of diane: got %d, want 303 to sign in", a.Status)
	}
	v.see("/admin")
}

func TestAnAdministratorAddsAClientWhoseSecretIsShownOnce(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	a := v.post("/admin/new-client", "name", "robot", "services", "shop", "scopes", "read", "secret", "1")
	m := regexp.MustCompile(`<code id="secret">([^<]{20,})</code>`).FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || m == nil || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d, Cache-Control %q, want a page with a secret that nothing keeps\n%s",
			a.Status, a.Header.Get("Cache-Control"), a.Body)
	}
	page := v.see("/admin/clients/robot", "It has a secret")
	v.lacks("the page of the client", page, m[1])

	v.done("/admin/clients/robot", "do", "terms", "services", "shop", "scopes", "read write")
	v.see("/admin/clients/robot", `value="read, write"`)
	v.see("/admin/clients/robot/disable", "0 stored tokens")
	v.has("the client", v.done("/admin/clients/robot/disable"), "This client is disabled")

	a = v.post("/admin/clients/robot", "do", "add-key", "key", "no key")
	if a.Status != http.StatusBadRequest {
		t.Errorf("a key that is none: got %d, want 400", a.Status)
	}
	v.has("the refused form", a.Body, ">no key</textarea>", `role="alert"`)

	v.done("/admin/clients/robot/delete", "confirm", "robot")
	if a := v.get("/admin/clients/robot"); a.Status != http.StatusNotFound {
		t.Errorf("a deleted client: got %d, want 404", a.Status)
	}
}

func TestAnAdministratorAddsAnApplicationThatSignsUsersIn(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	a := v.post("/admin/new-client", "name", "wiki", "secret", "1", "redirects", "wiki.example/return")
	if a.Status != http.StatusBadRequest {
		t.Errorf("an address that is none: got %d, want 400", a.Status)
	}
	v.has("the refused form", a.Body, ">wiki.example/return</textarea>", `<details class="field" open>`)

	const addresses = "https://wiki.example/return\nhttps://wiki.example/other"
	const after = "https://wiki.example/"
	a = v.post("/admin/new-client", "name", "wiki", "secret", "1", "redirects", addresses, "logouts", after)
	v.has("the page of the secret", a.Body, `<code id="secret">`)
	v.see("/admin/clients/wiki", "signs users in", "https://wiki.example/return", "https://wiki.example/other",
		">https://wiki.example/</code>", s.Issuer(), "PKCE is required", "RS256")

	const moved = "https://wiki.example.org/return"
	v.see("/admin/clients/wiki", "/admin/clients/wiki/claims")
	v.see("/admin/clients/wiki/claims", "What wiki learns")
	v.see("/admin/clients/wiki/claims?user=root&scope=groups", "may sign in", "<code>groups</code>",
		"[&#34;admin&#34;]")
	a = v.get("/admin/clients/wiki/claims?user=unknown")
	v.has("an unknown user", a.Body, "There is no user of this name", `aria-invalid="true"`)
	if a.Status != http.StatusNotFound {
		t.Errorf("claims of an unknown user: got %d, want 404", a.Status)
	}

	v.done("/admin/clients/wiki", "do", "addresses", "redirects", moved, "backchannel", "https://wiki.example.org/out")
	v.lacks("the client", v.see("/admin/clients/wiki", moved, "https://wiki.example.org/out"), "https://wiki.example/")
	a = v.post("/admin/clients/wiki", "do", "addresses", "redirects", "wiki.example/return")
	v.has("the refused form", a.Body, ">wiki.example/return</textarea>", `role="alert"`)

	// The box of the secret is checked from the beginning.
	v.done("/admin/new-client", "name", "program", "secret", "1", "public", "1", "redirects", "http://127.0.0.1/")
	v.see("/admin/clients/program", "It has no secret", "None: it runs on the device of its user")
	v.see("/admin/clients", "no secret")
}

func TestAFormOfAnotherSiteChangesNothing(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)
	page := v.userURL("diane")

	for _, path := range []string{page, page + "/disable", page + "/delete", "/admin/users/new", "/admin/keys"} {
		a := s.Send(v.client, http.MethodPost, s.Issuer()+path, "do=groups&groups=admin&confirm=diane&name=x",
			"Content-Type", "application/x-www-form-urlencoded",
			"Accept", "text/html",
			"Origin", "https://evil.example",
			"Sec-Fetch-Site", "cross-site",
			"Sec-Fetch-Mode", "navigate",
			"Sec-Fetch-Dest", "document",
		)
		if a.Status != http.StatusForbidden {
			t.Errorf("POST %s from another site: got %d, want 403", path, a.Status)
		}
	}
	v.see(page)
}

func TestASignInLinkIsShownOnceAndSignsInOnce(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)
	v.done("/admin/users/new", "name", "diane")
	page := v.userURL("diane")

	a := v.post(page, "do", "link")
	m := regexp.MustCompile(`<code id="secret">` + regexp.QuoteMeta(s.Issuer()) + `(/link/[^<]+)</code>`).
		FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || m == nil || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d, want a page with a link that nothing keeps\n%s", a.Status, a.Body)
	}
	v.lacks("the page of the user", v.see(page), "/link/")

	diane := newAdminVisitor(t, s)
	if a := diane.post(m[1]); a.Status != http.StatusSeeOther {
		t.Errorf("the link: got %d, want 303", a.Status)
	}
	diane.has("the account", diane.get("/account").Body, "diane")

	second := newAdminVisitor(t, s)
	if a := second.post(m[1]); a.Status != http.StatusGone {
		t.Errorf("the link again: got %d, want 410", a.Status)
	}
	v.see("/admin/sessions?user=diane", "by a link")
}

func TestTheOverviewShowsTheServer(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)

	v.see("/admin",
		"SQLite, in the data directory", "Revocations hold", "at once", "answers", "<rect ", "this server alone")
}

func TestAnAdministratorIsAskedForThePasswordAgain(t *testing.T) {
	var passed atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	s := jetontest.Start(t, adminConf, jetontest.Clock(clock))
	s.AddUser("diane", adminPassword)
	v := newAdmin(t, s)
	page := v.userURL("diane")

	passed.Store(int64(11 * time.Minute))
	for _, path := range []string{page + "/delete", page + "/disable", "/admin/users/new", "/admin/new-client"} {
		a := v.get(path)
		want := "/prove?to=" + url.QueryEscape(path)
		if a.Status != http.StatusSeeOther || a.Header.Get("Location") != want {
			t.Errorf("GET %s: got %d to %q, want 303 to %q", path, a.Status, a.Header.Get("Location"), want)
		}
	}

	a := v.post(page, "do", "groups", "groups", "admin")
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/prove?to="+url.QueryEscape(page) {
		t.Errorf("a change: got %d to %q, want 303 to the password", a.Status, a.Header.Get("Location"))
	}

	v.post("/prove?to="+url.QueryEscape(page), "password", adminPassword)
	v.has("the page after", v.done(page, "do", "groups", "groups", "staff"), "The change was saved")
}

func TestTheLastAdministratorStays(t *testing.T) {
	s := jetontest.Start(t, adminConf)
	v := newAdmin(t, s)
	page := v.userURL("root")
	v.lacks("the own page", v.see(page, "Only another administrator can"), page+"/delete", page+"/disable")

	a := v.post(page+"/delete", "confirm", "root")
	if a.Status != http.StatusConflict {
		t.Errorf("delete the last administrator: got %d, want 409", a.Status)
	}
	v.has("the refusal", a.Body, "This is the last administrator", "Make another user an administrator first")
	v.see(page)

	s.AddUser("second", adminPassword, "admin")
	other := v.userURL("second")
	v.has("the other", v.done(other, "do", "groups", "groups", "staff"), "The change was saved")
}
