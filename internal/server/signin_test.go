package server_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// signingIn has two services on two host names, whose users sign in at a third.
const signingIn = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    host: shop.example
    logout: /logout
    routes:
      - {match: GET /me, respond: {template: '{{.Name}}'}}
      - {match: GET /reports/, respond: {template: 'reports of {{.Name}}'}}
      - {match: POST /buy, respond: {text: bought}}
      - {match: GET /twice, max_uses: 2, respond: {text: twice}}
  - name: blog
    listen: localhost:0
    host: blog.example
    login: {allow: {users: [diane]}}
    logout: /logout
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// browser is a client that sends what a browser sends, and keeps cookies.
type browser struct {
	t      *testing.T
	s      *jetontest.Server
	client *http.Client
	hops   []string // addresses of the redirects that were followed last
}

// newBrowser returns a browser without cookies.
func newBrowser(t *testing.T, s *jetontest.Server) *browser {
	t.Helper()
	return &browser{t: t, s: s, client: s.Client(jetontest.Jar())}
}

// loading are the headers of a browser that loads a page.
var loading = []string{"Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}

// get loads a page and follows no redirect.
func (b *browser) get(address string) jetontest.Answer {
	b.t.Helper()
	return b.s.Send(b.client, http.MethodGet, address, "", loading...)
}

// open loads a page and follows redirects, at most 20.
func (b *browser) open(address string) jetontest.Answer {
	b.t.Helper()
	b.hops = nil
	for range 20 {
		a := b.get(address)
		next := a.Header.Get("Location")
		if next == "" {
			next = strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
		}
		if next == "" {
			return a
		}

		address = b.resolve(address, next)
		b.hops = append(b.hops, address)
	}

	b.t.Fatalf("more than 20 redirects from %s: %q", address, b.hops)
	return jetontest.Answer{}
}

// resolve returns the address of a link in a page.
func (b *browser) resolve(page, link string) string {
	b.t.Helper()
	at, err := url.Parse(page)
	if err != nil {
		b.t.Fatal(err)
	}
	to, err := at.Parse(link)
	if err != nil {
		b.t.Fatal(err)
	}

	return to.String()
}

// at returns the address that the last redirect led to.
func (b *browser) at() string {
	if len(b.hops) == 0 {
		return ""
	}
	return b.hops[len(b.hops)-1]
}

// signIn signs in at the authorization server.
func (b *browser) signIn(name string) {
	b.t.Helper()
	b.send(b.s.Issuer()+"/sign-in", name)
}

// signInHere fills in the sign-in page that is open, and follows the redirects.
func (b *browser) signInHere(name string) jetontest.Answer {
	b.t.Helper()
	return b.open(b.resolve(b.at(), b.send(b.at(), name)))
}

// send sends the form of the sign-in page and returns where that leads.
func (b *browser) send(page, name string) string {
	b.t.Helper()
	form := url.Values{"username": {name}, "password": {right}}.Encode()
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
	a := b.s.Send(b.client, http.MethodPost, page, form, header...)
	if a.Status != http.StatusSeeOther {
		b.t.Fatalf("sign in as %s: got %d %s, want 303", name, a.Status, a.Body)
	}

	return a.Header.Get("Location")
}

// pending returns the address at the authorization server to which a service sends a browser.
func (b *browser) pending(address string) *url.URL {
	b.t.Helper()
	a := b.get(address)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther || to.Path != "/oauth2/authorize" {
		b.t.Fatalf("%s: got %d %q, want 303 to the authorization server", address, a.Status, a.Header.Get("Location"))
	}

	return to
}

// code returns the address at the service to which the authorization server sends a browser.
func (b *browser) code(address string) string {
	b.t.Helper()
	a := b.get(b.pending(address).String())
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.Contains(to, "/.jeton/finish?code=") {
		b.t.Fatalf("authorize for %s: got %d %q, want 303 with a code", address, a.Status, to)
	}

	return to
}

// wants fails the test unless the answer is a page with this text.
func (b *browser) wants(a jetontest.Answer, body string) {
	b.t.Helper()
	if a.Status != http.StatusOK || a.Body != body {
		b.t.Errorf("got %d %q after %q, want 200 %q", a.Status, a.Body, b.hops, body)
	}
}

// isOut fails the test unless the service sends the browser to sign in.
func (b *browser) isOut(address string) {
	b.t.Helper()
	a := b.get(address)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, b.s.Issuer()+"/oauth2/authorize?") {
		b.t.Errorf("%s: got %d %q, want 303 to the authorization server", address, a.Status, a.Body)
	}
}

// startSigningIn starts the server with two users.
func startSigningIn(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	s := jetontest.Start(t, signingIn, options...)
	s.AddUser("diane", right)
	s.AddUser("max", right)

	return s
}

func TestASignInReturnsToThePageThatWasAskedFor(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	page := s.URL("shop") + "/reports/7%20b?a=b&c=%2f;d&e"

	a := b.open(page)
	if a.Status != http.StatusOK || !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Fatalf("%s: got %d at %s, want the sign-in page", page, a.Status, b.at())
	}

	b.wants(b.signInHere("diane"), "reports of diane")
	if b.at() != page {
		t.Errorf("got to %s, want %s", b.at(), page)
	}

	// The session is there: nothing is asked, and no redirect is needed.
	b.wants(b.get(page), "reports of diane")
}

// TestAServiceMayShareTheAddressOfTheIssuer is a server without a configuration file, on another port.
func TestAServiceMayShareTheAddressOfTheIssuer(t *testing.T) {
	s := jetontest.Start(t, easy+`
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: jeton
    listen: localhost:${ISSUER_PORT}
    login: {sign_in: true, paths: [/login]}
    logout: /logout
    tokens: {}
    routes: [{match: GET /whoami, respond: {template: '{{.Name}}'}}]
`)
	s.AddUser("diane", right)
	b := newBrowser(t, s)

	b.open(s.URL("jeton") + "/whoami")
	b.wants(b.signInHere("diane"), "diane")

	// The two sessions have cookies of their own: that of the issuer opens nothing of the service.
	a := s.Send(b.client, http.MethodPost, s.URL("jeton")+"/logout", "")
	if a.Status != http.StatusOK {
		t.Fatalf("logout: got %d %s, want 200", a.Status, a.Body)
	}
	b.open(s.URL("jeton") + "/whoami")
	if !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Errorf("after logout the service leads to %s, want the sign-in page", b.at())
	}
}

// TestASignInReplacesTheSessionOfTheBrowser keeps a browser that signs in again from leaving a session behind.
func TestASignInReplacesTheSessionOfTheBrowser(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	for range 2 {
		b.wants(b.open(s.URL("shop")+"/.jeton/start?to=/me"), "diane")
	}

	var list []jeton.Session
	s.MustControl("GET", "/api/v1/sessions?service=shop", nil, &list)
	if len(list) != 1 || list[0].Parent == "" || list[0].Proved.IsZero() ||
		!slices.Equal(list[0].AMR, []string{"pwd"}) {
		t.Errorf("sessions at shop: got %+v, want one, the child of a session by password", list)
	}
}

func TestTheSecondServiceOpensWithoutASignIn(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	b.wants(b.open(s.URL("shop")+"/me"), "diane")
	b.wants(b.open(s.URL("blog")+"/me"), "diane")
	for _, hop := range b.hops {
		if strings.Contains(hop, "/sign-in") {
			t.Errorf("the second service led to %s, want no sign-in page", hop)
		}
	}
}

func TestAServiceRefusesAUserItDoesNotAllow(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("max")

	b.wants(b.open(s.URL("shop")+"/me"), "max")

	a := b.open(s.URL("blog") + "/me")
	if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "max") || a.Code() != "forbidden" {
		t.Errorf("blog as max: got %d %s %q, want 403 with the name of the user", a.Status, a.Code(), a.Body)
	}
	if !strings.Contains(a.Body, "prompt=select_account") {
		t.Errorf("blog as max: got %q, want a link to another account", a.Body)
	}

	events := 0
	for _, e := range s.Events() {
		if e.Service == "blog" && e.Action == "login" && e.Outcome == "forbidden" && e.Actor == "user:max" {
			events++
		}
	}
	if events != 1 {
		t.Errorf("got %d audit events of the refusal, want 1", events)
	}
}

func TestALogoutEndsEveryServiceAtOnce(t *testing.T) {
	s := startSigningIn(t)
	other := newBrowser(t, s)
	other.signIn("diane")
	other.wants(other.open(s.URL("shop")+"/me"), "diane")

	for _, tc := range []struct {
		name, address string
		want          int
	}{
		{"at a service", s.URL("shop") + "/logout", http.StatusOK},
		{"at the authorization server", s.Issuer() + "/sign-out", http.StatusSeeOther},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.signIn("diane")
			b.wants(b.open(s.URL("shop")+"/me"), "diane")
			b.wants(b.open(s.URL("blog")+"/me"), "diane")

			a := s.Send(b.client, http.MethodPost, tc.address, "")
			if a.Status != tc.want {
				t.Fatalf("logout: got %d %s, want %d", a.Status, a.Body, tc.want)
			}

			b.isOut(s.URL("shop") + "/me")
			b.isOut(s.URL("blog") + "/me")
			b.open(s.URL("blog") + "/me")
			if !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
				t.Errorf("after logout blog leads to %s, want the sign-in page", b.at())
			}
		})
	}

	// The sign-in of another browser goes on.
	other.wants(other.get(s.URL("shop")+"/me"), "diane")
}

func TestACodeThatIsUsedTwiceEndsItsSession(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	finish := b.code(s.URL("shop") + "/me")

	a := b.get(finish)
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != s.URL("shop")+"/me" {
		t.Fatalf("finish: got %d %q, want 303 to the page", a.Status, a.Header.Get("Location"))
	}
	b.wants(b.get(s.URL("shop")+"/me"), "diane")

	b.isOut(finish)
	b.isOut(s.URL("shop") + "/me")
}

func TestACodeNeedsTheBrowserThatBegan(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	finish := b.code(s.URL("shop") + "/me")

	// A thief who has read the address, with and without a sign-in of its own: also login CSRF, where the address is
	// the thief's and the browser that of the victim.
	thief := newBrowser(t, s)
	thief.isOut(finish)
	thief.isOut(s.URL("shop") + "/me")
	thief.signIn("max")
	thief.isOut(finish)
	thief.wants(thief.open(finish), "max")

	b.wants(b.open(finish), "diane")
}

func TestACodeIsForOneService(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	stolen, err := url.Parse(b.code(s.URL("shop") + "/me"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := url.Parse(b.code(s.URL("blog") + "/me"))
	if err != nil {
		t.Fatal(err)
	}

	query := own.Query()
	query.Set("code", stolen.Query().Get("code"))
	own.RawQuery = query.Encode()
	b.isOut(own.String())
	b.isOut(s.URL("blog") + "/me")

	// The state of another service is none.
	query.Set("state", stolen.Query().Get("state"))
	own.RawQuery = query.Encode()
	b.isOut(own.String())
}

func TestAnAnswerOfAnotherServerIsRefused(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	a := b.get(strings.Replace(b.code(s.URL("shop")+"/me"), "iss=", "iss=https%3A%2F%2Fevil.example&was=", 1))
	if a.Status != http.StatusBadRequest || a.Code() != "invalid_request" {
		t.Errorf("finish with another iss: got %d %s, want 400 invalid_request", a.Status, a.Code())
	}
	b.isOut(s.URL("shop") + "/me")
}

func TestASignInThatTookTooLongBeginsAgain(t *testing.T) {
	var late atomic.Int64
	s := startSigningIn(t, jetontest.Clock(func() time.Time { return time.Now().Add(time.Duration(late.Load())) }))
	b := newBrowser(t, s)
	b.signIn("diane")
	to := b.pending(s.URL("shop") + "/reports/1")

	late.Add(int64(11 * time.Minute))
	b.wants(b.open(to.String()), "reports of diane")
	if n := strings.Count(strings.Join(b.hops, " "), "/oauth2/authorize?"); n != 1 {
		t.Errorf("got %d further authorization requests in %q, want 1", n, b.hops)
	}

	finish := b.code(s.URL("blog") + "/me")
	late.Add(int64(61 * time.Second))
	b.isOut(finish)
}

// TestAnotherSiteStartsNoFurtherSession keeps a link of another site from using up the logins of a user.
func TestAnotherSiteStartsNoFurtherSession(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	start := s.URL("shop") + "/.jeton/start?to=/reports/1"

	for _, tc := range []struct {
		name, site string
		begins     bool
	}{
		{"another site, without a session", "cross-site", true},
		{"another site", "cross-site", false},
		{"another host of the domain", "same-site", false},
		{"a page of the service", "same-origin", true},
		{"the user", "none", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(b.client, http.MethodGet, start, "", append([]string{"Sec-Fetch-Site", tc.site}, loading...)...)
			want := s.URL("shop") + "/reports/1"
			if tc.begins {
				want = s.Issuer() + "/oauth2/authorize?"
			}
			if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.HasPrefix(got, want) {
				t.Errorf("got %d to %q, want 303 to %s", a.Status, got, want)
			}

			b.wants(b.open(s.URL("shop")+"/me"), "diane")
		})
	}

	// Nor does a return that belongs to no sign-in of this browser.
	a := b.get(s.URL("shop") + "/.jeton/finish?state=x&code=y")
	if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || got != s.URL("shop")+"/" {
		t.Errorf("a foreign return: got %d to %q, want 303 to the start page", a.Status, got)
	}
}

// TestASignInSessionIsKeptByItsUse checks that each sign-in at a service is a use of the sign-in session, and that an
// idle one asks for the password again.
func TestASignInSessionIsKeptByItsUse(t *testing.T) {
	var late atomic.Int64
	s := startSigningIn(t, jetontest.Clock(func() time.Time { return time.Now().Add(time.Duration(late.Load())) }))
	b := newBrowser(t, s)
	b.signIn("diane")

	for range 2 {
		late.Add(int64(50 * time.Minute))
		b.wants(b.open(s.URL("shop")+"/.jeton/start?to=/me"), "diane")
	}

	late.Add(int64(61 * time.Minute))
	b.open(s.URL("shop") + "/.jeton/start?to=/me")
	if !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Errorf("an idle sign-in session leads to %s, want the sign-in page", b.at())
	}
}

func TestTheTermsOfAServiceApplyToASignIn(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(signingIn, "    logout: /logout\n", `    logout: /logout
    relogin: {max_logins: 2, window: 1h}
`, 1))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	b.wants(b.open(s.URL("shop")+"/twice"), "twice")
	b.wants(b.get(s.URL("shop")+"/twice"), "twice")
	if a := b.get(s.URL("shop") + "/twice"); a.Status != http.StatusForbidden || a.Code() != "spent" {
		t.Errorf("the third use: got %d %s, want 403 spent", a.Status, a.Code())
	}

	// A login renews the uses. It needs no password, and is one of the two that are permitted.
	b.wants(b.open(s.URL("shop")+"/.jeton/start?to=/twice"), "twice")

	a := b.open(s.URL("shop") + "/.jeton/start?to=/twice")
	if a.Status != http.StatusForbidden || a.Code() != "relogin_refused" || a.Header.Get("Retry-After") == "" {
		t.Errorf("the third login: got %d %s, want 403 relogin_refused with Retry-After", a.Status, a.Code())
	}
	if !strings.Contains(a.Body, "Another sign-in is not allowed now</h1>") ||
		!strings.Contains(a.Body, "Try again after") {
		t.Errorf("the third login: got %s, want a page with the reason and when to try again", a.Body)
	}
}

// TestAPageThatIsFetchedAheadTakesNoUse shows each header by which browsers say that the user has not opened the page.
func TestAPageThatIsFetchedAheadTakesNoUse(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	b.open(s.URL("shop") + "/me")

	for _, header := range [][]string{
		{"Sec-Purpose", "prefetch"},
		{"Sec-Purpose", "prefetch;prerender"},
		{"Purpose", "prefetch"},
		{"X-Moz", "prefetch"},
	} {
		a := b.s.Send(b.client, http.MethodGet, s.URL("shop")+"/twice", "", append(header, loading...)...)
		if a.Status != http.StatusForbidden || strings.Contains(a.Body, "twice") {
			t.Errorf("GET /twice with %q = %d %.80q, want 403 without the page", header, a.Status, a.Body)
		}
	}

	for i, want := range []int{200, 200, 403} {
		a := b.get(s.URL("shop") + "/twice")
		if a.Status != want {
			t.Errorf("use %d = %d, want %d", i+1, a.Status, want)
		}
	}
}

// TestABrowserIsShownWhyAPageIsRefused has a user who is signed in come to a page that is spent. Programs get a problem
// document, as everywhere.
func TestABrowserIsShownWhyAPageIsRefused(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	b.open(s.URL("shop") + "/me")
	b.get(s.URL("shop") + "/twice")
	b.get(s.URL("shop") + "/twice")

	page := b.get(s.URL("shop") + "/twice")
	if page.Status != http.StatusForbidden || !strings.Contains(page.Body, "<h1>No uses are left</h1>") {
		t.Errorf("GET /twice of a browser = %d %.200q, want 403 with a page that says why", page.Status, page.Body)
	}

	program := b.s.Send(b.client, http.MethodGet, s.URL("shop")+"/twice", "", "Accept", "application/json")
	if program.Status != http.StatusForbidden || program.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("GET /twice of a program = %d %s, want 403 with a problem", program.Status, program.Header)
	}
}

// TestRequestsWithoutASession checks what each kind of request gets, and that none starts a session or a sign-in but a
// page that is loaded.
func TestRequestsWithoutASession(t *testing.T) {
	s := startSigningIn(t)
	const navigate, document = "Sec-Fetch-Mode navigate", "Sec-Fetch-Dest document"

	for _, tc := range []struct {
		name, method, path string
		headers            []string
		want               string // see kindOf
	}{
		{"a page", "GET", "/me", []string{navigate, document}, "303"},
		{"a page over plain HTTP", "GET", "/me", []string{"Accept text/html"}, "303"},
		{"fetch", "GET", "/me", []string{"Sec-Fetch-Mode cors", "Sec-Fetch-Dest empty"}, "401 problem"},
		{"curl", "GET", "/me", []string{"Accept */*"}, "401 problem"},
		{"prefetch", "GET", "/me", []string{navigate, document, "Sec-Purpose prefetch"}, "401 problem"},
		{"prerender", "GET", "/twice", []string{navigate, document, "Sec-Purpose prefetch;prerender"}, "401 problem"},
		{"an image", "GET", "/me", []string{"Sec-Fetch-Mode no-cors", "Sec-Fetch-Dest image"}, "401 problem"},
		{"a WebSocket", "GET", "/me", []string{"Sec-Fetch-Mode websocket", "Sec-Fetch-Dest empty"}, "401 problem"},
		{"a token of a browser", "GET", "/me", []string{navigate, document, "Authorization Bearer x"}, "401 problem"},
		{"an iframe", "GET", "/me", []string{navigate, "Sec-Fetch-Dest iframe"}, "401 page /.jeton/start?to=%2Fme"},
		{
			"a form", "POST", "/buy",
			[]string{navigate, document, "Referer " + s.URL("shop") + "/reports/?a=b", "Sec-Fetch-Site same-origin"},
			"401 page /.jeton/start?to=%2Freports%2F%3Fa%3Db",
		},
		{
			"a form of another site", "POST", "/buy",
			[]string{navigate, document, "Referer https://evil.example/x", "Sec-Fetch-Site cross-site"},
			"401 page /.jeton/start?to=%2F",
		},
		{
			"htmx", "GET", "/me",
			[]string{
				"Sec-Fetch-Mode same-origin", "Sec-Fetch-Dest empty", "HX-Request true",
				"HX-Current-URL " + s.URL("shop") + "/reports/",
			},
			"401 problem /.jeton/start?to=%2Freports%2F",
		},
		{
			"a boosted link of htmx", "GET", "/me?a=b",
			[]string{"Sec-Fetch-Mode same-origin", "Sec-Fetch-Dest empty", "HX-Request true", "HX-Boosted true"},
			"401 problem /.jeton/start?to=%2Fme%3Fa%3Db",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			for _, line := range tc.headers {
				name, value, _ := strings.Cut(line, " ")
				header = append(header, name, value)
			}

			a := s.Ask(tc.method, "shop", tc.path, header...)
			if got := kindOf(t, a); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}

			loaded := tc.want == "303"
			if (a.Cookies() != "") != loaded {
				t.Errorf("got cookies %q, want some: %t", a.Cookies(), loaded)
			}
			if !loaded && a.Header.Get("WWW-Authenticate") == "" {
				t.Error("got no WWW-Authenticate, want one with each 401")
			}
		})
	}
}

// linkForm is the link of a notice, which leads out of a frame.
var linkForm = regexp.MustCompile(`href="([^"]*)" target="_top"`)

// kindOf describes the answer to a request without a session.
func kindOf(t *testing.T, a jetontest.Answer) string {
	t.Helper()
	switch {
	case a.Status == http.StatusSeeOther:
		return "303"
	case a.Status != http.StatusUnauthorized:
		return http.StatusText(a.Status)
	case a.Header.Get("Content-Type") == "application/problem+json":
		return strings.TrimSpace("401 problem " + a.Header.Get("HX-Redirect"))
	}

	link := linkForm.FindStringSubmatch(a.Body)
	if link == nil {
		t.Fatalf("page = %s, want a link out of the frame", a.Body)
	}

	return "401 page " + link[1]
}

// TestNothingButAPageFinishesASignIn keeps a prefetch or a script of the service from using the code up.
func TestNothingButAPageFinishesASignIn(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	finish := b.code(s.URL("shop") + "/me")

	for _, header := range [][]string{
		append([]string{"Sec-Purpose", "prefetch;prerender"}, loading...),
		{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"},
	} {
		a := s.Send(b.client, http.MethodGet, finish, "", header...)
		if a.Status != http.StatusForbidden {
			t.Errorf("finish with %q: got %d, want 403", header, a.Status)
		}
	}
	if a := s.Send(b.client, http.MethodHead, finish, "", loading...); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD of finish: got %d, want 405", a.Status)
	}

	b.wants(b.open(finish), "diane")
}

func TestALoopOfSignInsStops(t *testing.T) {
	s := startSigningIn(t)

	for _, tc := range []struct{ name, lost string }{
		{"no cookie of the service comes back", "__Host-jeton-shop"},
		{"only the session does not come back", "__Host-jeton-shop="},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.client.Jar = &leakyJar{b.client.Jar.(*cookiejar.Jar), tc.lost}
			b.signIn("diane")

			a := b.open(s.URL("shop") + "/me")
			if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, "cookie") {
				t.Fatalf("got %d %s, want 401 with a page that names the cookie", a.Status, a.Body)
			}
			if n := strings.Count(strings.Join(b.hops, " "), "/oauth2/authorize?"); n != 3 {
				t.Errorf("got %d rounds, want 3", n)
			}
			if !strings.Contains(a.Body, `href="/.jeton/start?to=`) {
				t.Errorf("got %s, want a link that tries again", a.Body)
			}
		})
	}
}

// leakyJar loses the cookies that begin with a text.
type leakyJar struct {
	*cookiejar.Jar
	lost string
}

// Cookies implements http.CookieJar.
func (j *leakyJar) Cookies(u *url.URL) []*http.Cookie {
	var kept []*http.Cookie
	for _, c := range j.Jar.Cookies(u) {
		if !strings.HasPrefix(c.Name+"=", j.lost) {
			kept = append(kept, c)
		}
	}

	return kept
}

// leaves are addresses that left the origin in Chromium or Firefox when they stood in a Location as they are.
var leaves = []string{
	"//evil.example",
	`/\evil.example`,
	`\\evil.example`,
	`\/evil.example`,
	"///evil.example",
	"////evil.example",
	"\t//evil.example",
	" //evil.example",
	"/\t/evil.example",
	"//evil%2eexample",
	"//EVIL.example",
	"//evil.example:80%2f@app.example/",
	`http:\\evil.example`,
	"http:///evil.example",
	`http://evil.example\@app.example/`,
	"http://evil.example/",
	"https:evil.example",
	"javascript:alert(1)",
	"data:text/html,x",
}

// TestNoReturnAddressLeavesTheService reads the raw Location after a sign-in that began with each address.
func TestNoReturnAddressLeavesTheService(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, to := range leaves {
		finish := b.code(s.URL("shop") + "/.jeton/start?" + url.Values{"to": {to}}.Encode())
		a := b.get(finish)
		if got, want := a.Header.Get("Location"), s.URL("shop")+"/"; a.Status != http.StatusSeeOther || got != want {
			t.Errorf("a sign-in to %q ends with %d %q, want 303 %q", to, a.Status, got, want)
		}
		// Many sign-ins in a row are no loop here.
		s.Send(b.client, http.MethodPost, s.URL("shop")+"/logout", "")
		b.signIn("diane")
	}
}
