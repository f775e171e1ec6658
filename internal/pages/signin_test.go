package pages_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
	"github.com/jeton-auth/jeton/jetontest"
)

func TestEveryPageHasStrictHeaders(t *testing.T) {
	s := start(t, yaml)
	stranger := newBrowser(t, s)
	diane := newBrowser(t, s)
	diane.mustSignIn("diane")

	for _, tc := range []struct {
		browser *browser
		path    string
		status  int

		opener   string // Cross-Origin-Opener-Policy: a relying party may open the sign-in in a window of its own
		resource string // Cross-Origin-Resource-Policy: the empty sign-in page is the same for all
	}{
		{stranger, "/sign-in", 200, "", ""},
		{stranger, "/sign-in?client_id=reports", 200, "", ""},
		{stranger, "/sign-in?login_hint=diane", 200, "", "same-origin"},
		{stranger, "/signed-out?ended=reports&ended=evil", 200, "", "same-origin"},
		{stranger, "/setup/jtn_t_x", 410, "", "same-origin"},
		{stranger, "/link/jtn_t_x", 410, "", "same-origin"},
		{stranger, "/no-such-page", 404, "", "same-origin"},
		{diane, "/sign-in", 200, "", "same-origin"},
		{diane, "/sign-out", 200, "", "same-origin"},
		{diane, "/prove", 200, "", "same-origin"},
		{diane, "/account", 200, "same-origin", "same-origin"},
		{diane, "/admin", 200, "same-origin", "same-origin"},
	} {
		a := tc.browser.get(tc.path)
		if a.Status != tc.status {
			t.Errorf("GET %s = %d, want %d", tc.path, a.Status, tc.status)
		}
		wantHeaders(t, a)

		opener, resource := a.Header.Get("Cross-Origin-Opener-Policy"), a.Header.Get("Cross-Origin-Resource-Policy")
		if opener != tc.opener || resource != tc.resource {
			t.Errorf("GET %s has the policies %q, %q, want %q, %q", tc.path, opener, resource, tc.opener, tc.resource)
		}
	}

	a := stranger.get("/signed-out?ended=reports&ended=evil")
	if !strings.Contains(a.Body, "reports") || strings.Contains(words(a.Body), "evil") {
		t.Errorf("the page after a sign-out has %q, want the name of the service alone", words(a.Body))
	}
}

func TestASignInLeadsToWhereTheUserCameFrom(t *testing.T) {
	s := start(t, yaml)

	const authorize = "client_id=reports&code_challenge=c&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fr%2Fx" +
		"&response_type=code&state=s"

	for _, tc := range []struct{ name, path, want string }{
		{"from nowhere", "/sign-in", "/account"},
		{"from a page of an account", "/sign-in?to=%2Faccount%2Ftokens%3Fa%3Db", "/account/tokens?a=b"},
		{"from a service", "/sign-in?" + authorize, "/sign-in/continue?" + authorize},
		{"with a prompt, which was answered", "/sign-in?prompt=login&" + authorize, "/sign-in/continue?" + authorize},
		{"with what does not belong there", "/sign-in?evil=1&" + authorize, "/sign-in/continue?" + authorize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.t = t
			wantRedirect(t, b.signIn(tc.path, "diane", right), tc.want)
		})
	}
}

// TestNoAddressLeavesOurPages sends every address that left the origin in Chromium or Firefox.
func TestNoAddressLeavesOurPages(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)

	for _, to := range []string{
		"//evil.example", `/\evil.example`, `\\evil.example`, `\/evil.example`, "///evil.example",
		"////evil.example", "\t//evil.example", " //evil.example", "/\t/evil.example", "//evil%2eexample",
		"//EVIL.example", "//evil.example:80%2f@app/", `http:\\evil.example`, "http:///evil.example",
		`http://evil.example\@app/`, "https://evil.example/account", "javascript:alert(1)", "/account.evil.example",
		"/account//evil.example", "/account/../..//evil.example", "/account\r\nSet-Cookie: a=b", "/sign-out", "",
	} {
		query := url.Values{"to": {to}}.Encode()
		wantRedirect(t, b.signIn("/sign-in?"+query, "diane", right), "/account")

		a := b.get("/sign-in/continue?" + query)
		if got := a.Header.Get("Refresh"); got != "0;url=/account" {
			t.Errorf("Refresh for to=%q is %q, want 0;url=/account", to, got)
		}

		wantRedirect(t, b.post("/prove?"+query, url.Values{"password": {right}}), "/account")
	}
}

func TestThePageThatLeadsOn(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	a := b.get("/sign-in/continue?client_id=reports&state=a%26b&evil=1")

	const want = "/oauth2/authorize?client_id=reports&state=a%26b"
	if got := a.Header.Get("Refresh"); got != "0;url="+want {
		t.Errorf("Refresh is %q, want 0;url=%s", got, want)
	}
	if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy is %q, want no-referrer", got)
	}
	if !strings.Contains(a.Body, strings.ReplaceAll(`href="`+want+`"`, "&", "&amp;")) {
		t.Errorf("the page has no link to %s: %s", want, a.Body)
	}
}

// TestWrongNameAndWrongPasswordHaveTheSamePage compares the answers byte for byte, but for the id of the request.
func TestWrongNameAndWrongPasswordHaveTheSamePage(t *testing.T) {
	s := start(t, yaml)

	answer := func() string {
		a := newBrowser(t, s).signIn("/sign-in?client_id=reports", "mallory", "wrong")
		wantPage(t, a, http.StatusUnauthorized, "The name or the password is not right.")

		a.Header.Del("Date")
		text := fmt.Sprint(a.Status, a.Header, a.Body)

		return strings.ReplaceAll(text, a.Request(), "REQUEST")
	}

	unknown := answer()
	s.AddUser("mallory", right)
	known := answer()
	s.MustControl("PUT", "/api/v1/users/mallory/disabled", map[string]bool{"disabled": true}, nil)
	disabled := answer()

	if unknown != known || unknown != disabled {
		t.Errorf("unknown, known and disabled users, want the same answer:\n%s\n%s\n%s", unknown, known, disabled)
	}
	if !strings.Contains(unknown, `value="mallory"`) {
		t.Errorf("form = %s, want the name that was typed", unknown)
	}
}

func TestAThrottledSignInSaysWhenToTryAgain(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)

	var a jetontest.Answer
	for range 7 {
		a = b.signIn("/sign-in", "diane", "wrong")
	}

	wantPage(t, a, http.StatusTooManyRequests, "Too many attempts")
	if a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "Try again after <time datetime=") {
		t.Errorf("got Retry-After %q and %q, want a time", a.Header.Get("Retry-After"), words(a.Body))
	}
}

func TestOtherSitesCannotSignAUserInOrOut(t *testing.T) {
	s := start(t, yaml)

	for _, tc := range []struct {
		name   string
		header []string
	}{
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		{"a neighbour", []string{"Sec-Fetch-Site", "same-site"}},
		{"a sandboxed frame", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.t = t
			a := b.signIn("/sign-in", "diane", right, tc.header...)
			if a.Status != http.StatusForbidden || a.Cookies() != "" {
				t.Errorf("signing in = %d with cookies %q, want 403 without", a.Status, a.Cookies())
			}

			b.mustSignIn("diane")
			for _, path := range []string{"/sign-out", "/prove", "/link/jtn_t_x", "/setup/jtn_t_x"} {
				a := b.post(path, nil, tc.header...)
				if a.Status != http.StatusForbidden {
					t.Errorf("POST %s = %d, want 403", path, a.Status)
				}
			}
			wantPage(t, b.get("/account"), http.StatusOK, "diane")
		})
	}
}

func TestTheAccountIsChosen(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	const form = `name="password"`
	for _, tc := range []struct{ name, query, want string }{
		{"signed in", "", "Continue as diane"},
		{"another account is wanted", "?other=1", form},
		{"by the request", "?prompt=select_account&client_id=reports", "Continue as diane"},
		{"with a hint of this user", "?login_hint=diane", "Continue as diane"},
		{"with a hint of another user", "?login_hint=eric", `value="eric"`},
		{"a fresh proof is wanted", "?prompt=login&client_id=reports", `value="diane"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.get("/sign-in" + tc.query)
			wantPage(t, a, http.StatusOK, tc.want)
			if strings.Contains(a.Body, form) == (tc.want == "Continue as diane") {
				t.Errorf("want either the choice or the form: %s", words(a.Body))
			}
		})
	}

	// Another account ends the session of the first.
	before := b.client.Jar.Cookies(mustURL(t, s.Issuer()))
	b.mustSignIn("eric")
	wantPage(t, b.get("/account"), http.StatusOK, "eric")

	b.client.Jar.SetCookies(mustURL(t, s.Issuer()), before)
	wantRedirect(t, b.get("/account"), "/sign-in")
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}

	return u
}

func TestSignOutEndsTheSession(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	wantRedirect(t, b.get("/sign-out"), "/signed-out")

	b.mustSignIn("diane")
	cookies := b.client.Jar.Cookies(mustURL(t, s.Issuer()))
	wantPage(t, b.get("/sign-out"), http.StatusOK, "You are signed in as diane.")
	wantPage(t, b.get("/account"), http.StatusOK, "diane") // the page alone ends nothing
	wantRedirect(t, b.post("/sign-out", nil), "/signed-out")

	b.client.Jar.SetCookies(mustURL(t, s.Issuer()), cookies)
	wantRedirect(t, b.get("/account"), "/sign-in")
	wantRedirect(t, b.post("/sign-out", nil), "/signed-out") // twice is no error
}

func TestAPageOfTheAccountNeedsASession(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)

	wantRedirect(t, b.get("/admin?x=1"), "/sign-in?to=%2Fadmin%3Fx%3D1")
	wantRedirect(t, b.get("/"), "/account")
	wantPage(t, b.post("/prove", nil), http.StatusUnauthorized, "Please sign in")

	a := s.Send(s.Client(), http.MethodGet, s.Issuer()+"/account", "", "Accept", "application/json")
	if a.Status != http.StatusUnauthorized || a.Code() != "no_credential" {
		t.Errorf("a program gets %d %s, want 401 no_credential", a.Status, a.Code())
	}

	b.mustSignIn("eric")
	wantPage(t, b.get("/admin"), http.StatusNotFound, "There is nothing here")
}

// TestAnErrorKeepsTheNavigation expects of the page of an error that its user can go on from it, and learns of no page
// that is for others.
func TestAnErrorKeepsTheNavigation(t *testing.T) {
	s := start(t, yaml)
	diane, eric := newBrowser(t, s), newBrowser(t, s)
	diane.mustSignIn("diane")
	eric.mustSignIn("eric")

	const account, admin = `href="/account/tokens"`, `href="/admin/users"`
	for _, tc := range []struct {
		name                   string
		browser                *browser
		path                   string
		wantAccount, wantAdmin bool
	}{
		{"an administrator, no such client", diane, "/admin/clients/none", false, true},
		{"an administrator, no such page", diane, "/admin/no-such-page", false, true},
		{"an administrator at the account", diane, "/account/no-such-page", true, false},
		{"another user below /admin", eric, "/admin/users", true, false},
		{"another user, no such page", eric, "/admin/no-such-page", true, false},
		{"without a user, no such page", newBrowser(t, s), "/admin/no-such-page", false, false},
		{"a page of no section", diane, "/no-such-page", false, false},
	} {
		a := tc.browser.get(tc.path)
		wantPage(t, a, http.StatusNotFound, "There is nothing here")
		if got := strings.Contains(a.Body, account); got != tc.wantAccount {
			t.Errorf("%s: navigation of the account: %t, want %t", tc.name, got, tc.wantAccount)
		}
		if got := strings.Contains(a.Body, admin); got != tc.wantAdmin {
			t.Errorf("%s: navigation of administration: %t, want %t", tc.name, got, tc.wantAdmin)
		}
	}
}

// TestAnotherSiteChoosesNoNote expects that a link elsewhere does not make a page say that something was done.
func TestAnotherSiteChoosesNoNote(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	for _, tc := range []struct {
		name, path, site string
		want             bool
	}{
		{"after a change", "/account?done=password-changed", "same-origin", true},
		{"a link on another site", "/account?done=password-changed", "cross-site", false},
		{"a link on a neighbouring host", "/account?done=password-changed", "same-site", false},
		{"an address that was typed", "/account?done=password-changed", "none", false},
		{"an unknown key", "/account?done=Call+555", "same-origin", false},
	} {
		a := s.Send(b.client, http.MethodGet, s.Issuer()+tc.path, "", "Sec-Fetch-Mode", "navigate",
			"Sec-Fetch-Dest", "document", "Sec-Fetch-Site", tc.site)
		if got := strings.Contains(a.Body, `class="note good"`); got != tc.want {
			t.Errorf("%s: a note: %t, want %t", tc.name, got, tc.want)
		}
		if strings.Contains(a.Body, "Call 555") {
			t.Errorf("%s: page = %s, want no text of its address", tc.name, a.Body)
		}
	}
}

// TestARefusedFormLeavesTheCookieAlone is about a form that was under way while another tab signed in again: the cookie
// that the browser has by now is that of the new session.
func TestARefusedFormLeavesTheCookieAlone(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	wantPage(t, b.post("/prove", nil), http.StatusUnauthorized, "Please sign in")

	b.mustSignIn("diane")
	s.MustControl("DELETE", "/api/v1/sessions?user=diane", nil, nil)
	a := b.post("/prove", nil)
	wantPage(t, a, http.StatusUnauthorized, "You are not signed in any more")
	if cookies := a.Header.Values("Set-Cookie"); len(cookies) > 0 {
		t.Errorf("the page of a refused form sets %q, want no cookie", cookies)
	}
}

func TestWellKnownAddresses(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)

	a := b.get("/.well-known/change-password")
	if a.Status != http.StatusFound || a.Header.Get("Location") != "/account/security" {
		t.Errorf("got %d to %q, want 302 to /account/security", a.Status, a.Header.Get("Location"))
	}

	a = b.get("/.well-known/passkey-endpoints")
	page := s.Issuer() + "/account/security/passkeys"
	if want := `{"enroll":"` + page + `","manage":"` + page + `"}`; strings.TrimSpace(a.Body) != want {
		t.Errorf("passkey-endpoints: got %d %s, want %s", a.Status, a.Body, want)
	}

	// Without this, browsers do not trust the first address.
	a = b.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200")
	if a.Status != http.StatusNotFound {
		t.Errorf("the address that must not exist answers %d, want 404", a.Status)
	}
}

func TestLanguage(t *testing.T) {
	s := start(t, yaml)

	for _, tc := range []struct{ name, query, cookie, accept, want string }{
		{"nothing is known", "", "", "", "Sign in"},
		{"the browser prefers German", "", "", "de-AT,en;q=0.5", "Anmelden"},
		{"the browser prefers another one", "", "", "fr,it", "Sign in"},
		{"the browser has German second", "", "", "fr,de;q=0.8,en;q=0.5", "Anmelden"},
		{"the user chose before", "", "en", "de", "Sign in"},
		{"the request asks", "?ui_locales=fr%20de", "en", "en", "Anmelden"},
		{"the user chooses now", "?ui_locales=de&lang=en", "de", "de", "Sign in"},
		{"what is no language", "?lang=" + strings.Repeat("x", 9000), "%", "%%;;", "Sign in"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.t = t
			a := b.get("/sign-in"+tc.query, "Accept-Language", tc.accept, "Cookie", "jeton-issuer.lang="+tc.cookie)
			wantPage(t, a, http.StatusOK, "<h1>"+tc.want+"</h1>")
		})
	}

	a := newBrowser(t, s).get("/sign-in?lang=de")
	if !strings.HasPrefix(a.Cookies(), "jeton-issuer.lang=de") {
		t.Errorf("choosing a language sets the cookies %q, want jeton-issuer.lang=de", a.Cookies())
	}

	if strings.HasPrefix(a.Cookies(), web.DefaultCookie(true)+"-lang=") {
		t.Errorf("choosing a language sets %q, want another name than the cookie of a service lang has", a.Cookies())
	}
}

func TestAssetsAreKeptForGood(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	page := b.get("/sign-in").Body

	found := 0
	for part := range strings.SplitSeq(page, `"`) {
		if !strings.HasPrefix(part, "/.jeton/assets/") {
			continue
		}
		found++

		a := b.get(part)
		if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("GET %s = %d %q, want 200, immutable", part, a.Status, a.Header.Get("Cache-Control"))
		}

		// As a node of another version has it.
		parts := strings.Split(part, "/")
		parts[3] = "0123"
		a = b.get(strings.Join(parts, "/"))
		if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("with another hash: %d %q, want 200, no-cache", a.Status, a.Header.Get("Cache-Control"))
		}
	}

	if found < 3 {
		t.Errorf("the page has %d assets, want at least 3", found)
	}
}

func TestPagesCanBeTurnedOff(t *testing.T) {
	s := start(t, strings.Replace(yaml, "issuer:", "issuer:\n  pages: false", 1)+"    login: {paths: [/login]}\n")

	for _, path := range []string{"/", "/sign-in", "/account", "/admin", "/setup/x"} {
		a := s.Send(s.Client(), http.MethodGet, s.Issuer()+path, "", "Accept", "text/html")
		if a.Status != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, a.Status)
		}
	}
}

// TestASharedAddress has the pages on the address of a service, as without a configuration.
func TestASharedAddress(t *testing.T) {
	const shared = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: "localhost:${ISSUER_PORT}"
    routes: [{match: %s, open: true, respond: {text: of the service}}]
`
	alone := start(t, fmt.Sprintf(shared, "GET /app/"))
	b := newBrowser(t, alone)
	wantRedirect(t, b.get("/"), "/account")
	wantPage(t, b.get("/sign-in"), http.StatusOK, "Sign in")
	if a := b.get("/app/x"); a.Body != "of the service" {
		t.Errorf("GET /app/x = %q, want that of the service", a.Body)
	}

	all := start(t, fmt.Sprintf(shared, "'GET /{rest...}'"))
	b = newBrowser(t, all)
	for _, path := range []string{"/", "/other"} {
		if a := b.get(path); a.Body != "of the service" {
			t.Errorf("GET %s = %q, want that of the service", path, a.Body)
		}
	}
	wantPage(t, b.get("/sign-in"), http.StatusOK, "Sign in")
}

func TestTheSessionHasTheTermsOfTheConfiguration(t *testing.T) {
	s := start(t, strings.Replace(yaml, "issuer:", "issuer:\n  session: {lifetime: 2h, max_sessions: 1}", 1))
	first := newBrowser(t, s)
	first.mustSignIn("diane")
	second := newBrowser(t, s)
	second.mustSignIn("diane")

	wantRedirect(t, first.get("/account"), "/sign-in")
	wantPage(t, second.get("/account"), http.StatusOK, "diane")

	events := s.Events()
	i := slices.IndexFunc(events, func(e jeton.Event) bool { return e.Action == "login" && e.Service == "issuer" })
	if i < 0 {
		t.Fatal("the audit log has no login at the issuer, want one")
	}

	a := second.signIn("/sign-in", "diane", right)
	for _, line := range a.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || c.Name != "__Host-jeton-issuer" {
			continue
		}
		if c.MaxAge != int((2*time.Hour).Seconds()) || !c.Secure || !c.HttpOnly || c.Path != "/" {
			t.Errorf("the cookie is %q, want 2 hours, Secure, HttpOnly", strings.SplitAfter(line, ";")[1:])
		}
	}
}

// open loads a page of any address and follows redirects and the page that leads on.
func (b *browser) open(address string) jetontest.Answer {
	b.t.Helper()

	for range 20 {
		a := b.s.Send(b.client, http.MethodGet, address, "",
			"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		next := a.Header.Get("Location") + strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
		if next == "" {
			return a
		}

		to, err := mustURL(b.t, address).Parse(next)
		if err != nil {
			b.t.Fatal(err)
		}
		address = to.String()
	}

	b.t.Fatalf("too many redirects to %s", address)
	return jetontest.Answer{}
}

func TestSignOutNamesTheServicesThatEnded(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	if a := b.open(s.URL("reports") + "/me"); a.Body != "diane" {
		t.Fatalf("the service answers %d %q, want diane", a.Status, a.Body)
	}

	wantPage(t, b.get("/sign-out"), http.StatusOK, "<strong>reports</strong>")
	a := b.post("/sign-out", nil)
	wantRedirect(t, a, "/signed-out?ended=reports")
	page := b.get(a.Header.Get("Location"))
	wantPage(t, page, http.StatusOK, "Your sessions have ended here, and at:")

	// Browsers forget the pages that they keep of the service, once it has changed a cookie.
	forget := s.URL("reports") + "/.jeton/signed-out"
	policy := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(page.Body, `src="`+forget+`"`) || !strings.Contains(policy, " "+forget) {
		t.Errorf("the page under %q has\n%s\nwant the image %s, allowed", policy, page.Body, forget)
	}
	f := b.s.Send(b.client, http.MethodGet, forget, "")
	if f.Status != http.StatusNoContent || !strings.HasPrefix(f.Header.Get("Set-Cookie"), "__Host-jeton-last.logout=") {
		t.Errorf("GET %s = %d, Set-Cookie %q, want 204 and a cookie", forget, f.Status, f.Header.Get("Set-Cookie"))
	}

	a = b.s.Send(b.client, http.MethodGet, s.URL("reports")+"/me", "")
	if a.Status != http.StatusUnauthorized {
		t.Errorf("the service answers %d after the sign-out, want 401", a.Status)
	}
}

// TestAListOfAnAccountHasPages makes one token more than a page shows. All are found by the links of the pages.
func TestAListOfAnAccountHasPages(t *testing.T) {
	more := strings.Replace(yaml, "services:", "personal_tokens: {max_per_user: 101}\nservices:", 1)
	s := start(t, more+"    tokens: {}\n")
	for i := range 100 + 1 {
		token := map[string]any{
			"user":       "diane",
			"name":       fmt.Sprintf("job %03d", i),
			"services":   []string{"reports"},
			"expires_at": time.Now().Add(time.Hour),
		}
		s.MustControl("POST", "/api/v1/tokens", token, nil)
	}

	b := newBrowser(t, s)
	b.mustSignIn("diane")
	next := regexp.MustCompile(`href="(/account/tokens\?cursor=[^"]+)" rel="next"`)
	name := regexp.MustCompile(`job \d{3}</a>`)

	first := b.get("/account/tokens").Body
	link := next.FindStringSubmatch(first)
	if len(link) != 2 {
		t.Fatalf("first page = %s, want a link to the next one", words(first))
	}
	second := b.get(html.UnescapeString(link[1])).Body

	for i, page := range []string{first, second} {
		found := map[string]bool{}
		for _, m := range name.FindAllString(page, -1) {
			found[m] = true
		}
		if want := []int{100, 1}[i]; len(found) != want {
			t.Errorf("page %d has %d tokens, want %d", i+1, len(found), want)
		}
	}
	if next.MatchString(second) || !strings.Contains(second, "job 000") {
		t.Errorf("last page = %s, want the oldest token, and no link to another page", words(second))
	}
}
