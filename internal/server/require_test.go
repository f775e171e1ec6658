package server_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/jetontest"
)

// requiring has routes that a password alone does not open, at the gateway and behind another proxy.
const requiring = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
forward: {listen: "localhost:0", trusted_proxies: [127.0.0.1, "::1"]}
services:
  - name: vault
    listen: localhost:0
    host: vault.example
    login: {sign_in: true, token: /token}
    tokens: {}
    accept: [session, token, basic]
    routes:
      - {match: GET /me, respond: {template: '{{.Name}}'}}
      - {match: GET /secrets/, require: {factors: 2, max_age: 5m}, respond: {template: 'secrets of {{.Name}}'}}
      - {match: POST /secrets/, require: {factors: 2}, respond: {text: sent}}
      - {match: GET /fresh, require: {max_age: 5m}, respond: {text: fresh}}
  - name: bank
    listen: localhost:0
    host: bank.example
    login: {sign_in: true, paths: [/login]}
    require: {factors: 2}
    users_api: {prefix: /api/v1, admins: [staff]}
    routes:
      - {match: GET /balance, respond: {text: balance}}
      - {match: GET /about, open: true, respond: {text: about}}
  - name: wiki
    url: https://wiki.example
    login: {sign_in: true}
    routes: [{match: GET /, require: {factors: 2}}, {match: GET /plain}]
`

// startRequiring starts the server with the user diane.
func startRequiring(t *testing.T) (*jetontest.Server, *heldClock) {
	t.Helper()
	c := newHeldClock()
	s := jetontest.Start(t, requiring, jetontest.Clock(c.now))
	s.AddUser("diane", right)

	return s, c
}

// proves fills in the page that proves the user again, at which the browser is, and follows the redirects.
func (b *browser) proves(fields ...string) jetontest.Answer {
	b.t.Helper()
	page, ok := strings.CutPrefix(b.at(), b.s.Issuer())
	if !ok || !strings.HasPrefix(page, "/prove?") {
		b.t.Fatalf("got to %s, want the page that proves the user again", b.at())
	}

	a := b.post(page, fields...)
	if a.Status != http.StatusSeeOther {
		b.t.Fatalf("the proof: got %d %s, want 303", a.Status, a.Body)
	}

	return b.open(b.resolve(b.at(), a.Header.Get("Location")))
}

// TestAPageAsksForASecondFactorAndComesBack is a user's way from one factor to the page that needs two.
func TestAPageAsksForASecondFactorAndComesBack(t *testing.T) {
	s, c := startRequiring(t)
	page := s.URL("vault") + "/secrets/7%20b?a=b&c=%2f"
	b := newBrowser(t, s)
	b.open(s.URL("vault") + "/me")
	b.wants(b.signInHere("diane"), "diane")

	a := b.open(page)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `href="/account/security"`) ||
		strings.Contains(a.Body, `name="password"`) {
		t.Fatalf("without a second factor: got %d at %s, want the page that says how to add one", a.Status, b.at())
	}

	secret, _ := b.enrol(c.now())
	c.move(2 * time.Minute)
	b.open(page)
	b.wants(b.proves("password", right, "code", otp(t, secret, c.now())), "secrets of diane")
	if b.at() != page {
		t.Errorf("got to %s, want %s", b.at(), page)
	}
	b.wants(b.get(page), "secrets of diane")

	// The same sign-in session goes on: what began with it is still there.
	b.wants(b.get(s.URL("vault")+"/me"), "diane")
	b.wants(b.open(s.URL("bank")+"/balance"), "balance")

	c.move(6 * time.Minute)
	b.wants(b.open(s.URL("bank")+"/balance"), "balance")
	b.open(page)
	b.wants(b.proves("password", right, "code", otp(t, secret, c.now())), "secrets of diane")
}

// TestAnOldProofIsAskedForAgain needs no second factor.
func TestAnOldProofIsAskedForAgain(t *testing.T) {
	s, c := startRequiring(t)
	page := s.URL("vault") + "/fresh"
	b := newBrowser(t, s)
	b.open(page)
	b.wants(b.signInHere("diane"), "fresh")

	c.move(5 * time.Minute)
	b.wants(b.open(page), "fresh")
	c.move(time.Second)
	b.open(page)
	b.wants(b.proves("password", right), "fresh")
}

// TestASignInThatIsNotEnoughSaysWhatIsMissing reads the notice, also after a reload: the session that began goes on.
func TestASignInThatIsNotEnoughSaysWhatIsMissing(t *testing.T) {
	s, c := startRequiring(t)

	for _, tc := range []struct {
		name  string
		start string
		title string
		link  string
	}{
		{
			"one factor",
			"/.jeton/start?factors=2&to=/secrets/",
			"This page needs a stronger sign-in",
			s.Issuer() + "/account/security",
		},
		{
			"a proof that becomes too old on the way",
			"/.jeton/start?max_age=300&to=/fresh",
			"This page needs a newer sign-in",
			"/.jeton/start?max_age=300&amp;to=%2Ffresh",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.signIn("diane")
			c.move(5*time.Minute - time.Second)

			// Without the level, which a user can remove from the address, the issuer asks for no second factor.
			to := b.pending(s.URL("vault") + tc.start)
			query := to.Query()
			query.Del("acr_values")
			to.RawQuery = query.Encode()
			back := b.get(to.String()).Header.Get("Location")

			c.move(2 * time.Second)
			shown := b.open(back)
			page := b.at()
			for name, a := range map[string]jetontest.Answer{"the notice": shown, "a reload": b.open(page)} {
				if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, tc.title) ||
					!strings.Contains(a.Body, `href="`+tc.link+`"`) {
					t.Errorf("%s at %s: got %d %s, want 401 and %q", name, page, a.Status, a.Body, tc.title)
				}
			}
			b.wants(b.get(s.URL("vault")+"/me"), "diane")
		})
	}
}

// TestALinkAndACodeAreNoTwoFactors has a link for signing in, which is no proof, also if a code follows.
func TestALinkAndACodeAreNoTwoFactors(t *testing.T) {
	s, c := startRequiring(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	secret, _ := b.enrol(c.now())
	c.move(2 * time.Minute)

	var link struct {
		URL string `json:"url"`
	}
	s.MustControl(http.MethodPost, "/api/v1/users/diane/sign-in-link", nil, &link)
	b = newBrowser(t, s)
	b.post(strings.TrimPrefix(link.URL, s.Issuer()))
	a := b.post("/sign-in/factor", "code", otp(t, secret, c.now()))
	if a.Status != http.StatusSeeOther || !b.signedIn() {
		t.Fatalf("the code: got %d %s, want a session", a.Status, a.Body)
	}

	for _, page := range []string{"/secrets/", "/fresh"} {
		b.open(s.URL("vault") + page)
		if !strings.HasPrefix(b.at(), s.Issuer()+"/prove?") {
			t.Errorf("%s: got to %s, want the page that proves the user again", page, b.at())
		}
	}
	c.move(2 * time.Minute)
	b.open(s.URL("vault") + "/secrets/1")
	b.wants(b.proves("password", right, "code", otp(t, secret, c.now())), "secrets of diane")
}

// basic returns the header Authorization of a name and a password (RFC 7617).
func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestEachKindOfRequestIsToldWhatIsRequired has a row for each answer to a session of one factor.
func TestEachKindOfRequestIsToldWhatIsRequired(t *testing.T) {
	const (
		level = `error="insufficient_user_authentication", acr_values="https://refeds.org/profile/mfa"`
		start = "/.jeton/start?factors=2&amp;to=%2F"
	)

	s, c := startRequiring(t)
	b := newBrowser(t, s)
	b.open(s.URL("vault") + "/me")
	b.wants(b.signInHere("diane"), "diane")
	token := s.AddToken(jetontest.NewToken{User: "diane", Name: "ci", Services: []string{"vault"}}).Secret

	for _, tc := range []struct {
		name, method, path string
		header             []string
		status             int
		challenge, body    string
	}{
		{"a script", "GET", "/secrets/1", nil, 401, level + `, max_age="300"`, "two factors are required here"},
		{"a script that sends", "POST", "/secrets/1", nil, 401, level, "two factors are required here"},
		{"a form", "POST", "/secrets/1", loading, 401, level, start},
		{
			"a part of a page",
			"GET", "/secrets/1",
			[]string{"HX-Request", "true"},
			401, level, "two factors are required here",
		},
		{
			"a frame",
			"GET", "/secrets/1",
			[]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			401, level, "/.jeton/start?factors=2&amp;max_age=300&amp;to=%2Fsecrets%2F1",
		},
		{"a password", "GET", "/secrets/1", []string{"Authorization", basic("diane", right)}, 401, level, "by pwd"},
		{
			"a password for a token",
			"GET", "/token",
			[]string{"Authorization", basic("diane", right)},
			401, level, "by pwd",
		},
		{
			"a token for a job",
			"POST", "/.jeton/leases",
			[]string{"Sec-Fetch-Site", "same-origin"},
			401, level + `, max_age="300"`, "two factors are required here",
		},
		{"a new password", "GET", "/fresh", []string{"Authorization", basic("diane", right)}, 200, "", "fresh"},
		{"a token", "GET", "/secrets/1", []string{"Authorization", "Bearer " + token}, 200, "", "of diane"},
		{"a token in Basic", "POST", "/secrets/1", []string{"Authorization", basic("diane", token)}, 200, "", "sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(b.client, tc.method, s.URL("vault")+tc.path, "", tc.header...)
			challenge := strings.Join(a.Header.Values("WWW-Authenticate"), ", ")
			if a.Status != tc.status {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.status)
			}
			if !strings.Contains(challenge, tc.challenge) || !strings.Contains(a.Body, tc.body) {
				t.Errorf("got challenge %q and body %s, want %q and %q", challenge, a.Body, tc.challenge, tc.body)
			}
			if strings.Contains(challenge, "Basic") {
				t.Errorf("challenge %q asks for a password, which would be refused again", challenge)
			}
		})
	}

	c.move(6 * time.Minute)
	a := s.Send(b.client, http.MethodGet, s.URL("vault")+"/fresh", "")
	want := `error="insufficient_user_authentication", max_age="300"`
	if challenge := strings.Join(a.Header.Values("WWW-Authenticate"), ", "); !strings.Contains(challenge, want) {
		t.Errorf("an old proof: challenge %q, want %q", challenge, want)
	}

	events, err := s.Explain(a.Header.Get("X-Request-Id"))
	if err != nil || len(events) != 1 || events[0].Outcome != "insufficient_user_authentication" {
		t.Fatalf("explain the old proof: got %+v, %v, want one refusal", events, err)
	}
	check := events[0].Checks[4]
	if check.Name != "factors" || check.Result != "fail" ||
		!strings.HasPrefix(check.Value, "required: proved at most 5m0s ago; the user was proved by pwd at ") {
		t.Errorf("check of the old proof = %+v, want what is required and what was shown", check)
	}
}

func TestAPasswordLoginIsRefusedWhereTwoFactorsAreRequired(t *testing.T) {
	s, _ := startRequiring(t)

	a := s.TryEnter("bank", "diane", right)
	if a.Status != http.StatusUnauthorized || a.Code() != "insufficient_user_authentication" ||
		!strings.Contains(a.Body, "this service requires two factors") {
		t.Errorf("the right password: got %d %s, want 401 and why", a.Status, a.Body)
	}
	if a := s.TryEnter("bank", "diane", "wrong"); a.Code() != "bad_credential" {
		t.Errorf("a wrong password: got %d %s, want bad_credential", a.Status, a.Body)
	}
	if a := s.Ask(http.MethodGet, "bank", "/about"); a.Status != http.StatusOK {
		t.Errorf("an open route: got %d, want 200", a.Status)
	}
}

// TestTheUsersAPIRequiresWhatItsServiceRequires asks with a session of one factor.
func TestTheUsersAPIRequiresWhatItsServiceRequires(t *testing.T) {
	s, _ := startRequiring(t)
	s.AddUser("erin", right, "staff")
	b := newBrowser(t, s)
	b.signIn("erin")
	start := b.get(s.URL("bank") + "/.jeton/start?to=/about").Header.Get("Location")
	b.wants(b.open(start), "about")

	for _, path := range []string{"/users", "/users/me"} {
		a := s.Send(b.client, http.MethodGet, s.URL("bank")+"/api/v1"+path, "", scripting...)
		if a.Status != http.StatusUnauthorized || a.Code() != "insufficient_user_authentication" {
			t.Errorf("GET %s with one factor: got %d %s, want 401 and why", path, a.Status, a.Body)
		}
	}
}

// TestTheAddressOfASignInIsBounded asks for times that no configuration has.
func TestTheAddressOfASignInIsBounded(t *testing.T) {
	s, _ := startRequiring(t)
	b := newBrowser(t, s)

	for asked, want := range map[string]string{
		"1":                    "60",
		"300":                  "300",
		"4294967296":           "2147483648",
		"99999999999999999999": "2147483648",
		"-1":                   "",
	} {
		to, err := url.Parse(b.get(s.URL("vault") + "/.jeton/start?max_age=" + asked).Header.Get("Location"))
		if err != nil || to.Query().Get("max_age") != want {
			t.Errorf("max_age=%s: got to %v, %v, want max_age %q", asked, to, err, want)
		}
	}
}

// TestAnotherProxyIsToldWhatIsRequired asks as nginx does, and passes the pages of the sign-in on.
func TestAnotherProxyIsToldWhatIsRequired(t *testing.T) {
	s, c := startRequiring(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	cookies := map[string]string{}
	proxy := func(path string, header ...string) jetontest.Answer {
		var pairs []string
		for name, value := range cookies {
			pairs = append(pairs, name+"="+value)
		}
		header = append(header, "Cookie", strings.Join(pairs, "; "), "X-Forwarded-For", "192.0.2.1")
		a := s.Send(s.Client(), http.MethodGet, "http://"+s.Forward()+path, "", append(header, loading...)...)
		for _, set := range (&http.Response{Header: a.Header}).Cookies() {
			cookies[set.Name] = set.Value
		}

		return a
	}
	asks := func(path string) jetontest.Answer {
		return proxy(
			"/authz/nginx?service=wiki",
			"X-Original-Url", "https://wiki.example"+path,
			"X-Original-Method", "GET",
			"X-Request-Id", rand.Text(),
		)
	}
	// asserted checks what the assertion of a request says of the proof.
	asserted := func(path string, level any, methods ...any) {
		t.Helper()
		claims := claimsOf(t, asks(path).Header.Get("Jeton-Assertion"))
		amr, _ := claims["amr"].([]any)
		if !slices.Equal(amr, methods) || claims["acr"] != level {
			t.Errorf("GET %s is asserted with %v, want amr %v and acr %v", path, claims, methods, level)
		}
	}
	passes := func(address string, header ...string) jetontest.Answer {
		path := strings.TrimPrefix(address, "https://wiki.example")
		return proxy(path, append(header, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "wiki.example")...)
	}

	passes("/.jeton/start?to=/a")
	finish := b.get(passes("/.jeton/start?to=/a").Header.Get("Location")).Header.Get("Location")
	if a := passes(finish); a.Header.Get("Location") != "https://wiki.example/a" {
		t.Fatalf("sign in with one factor: got %d to %q, want the page", a.Status, a.Header.Get("Location"))
	}

	a := asks("/a?b")
	start := a.Header.Get("Location")
	if a.Status != http.StatusUnauthorized || !strings.Contains(start, "/.jeton/start?factors=2&") {
		t.Fatalf("with one factor: got %d to %q, want 401 to a sign-in with two", a.Status, start)
	}

	secret, _ := b.enrol(c.now())
	c.move(2 * time.Minute)
	asserted("/plain", nil, "pwd")
	// A browser that came by a link of another site says so after the redirect, too.
	b.open(passes(start, "Sec-Fetch-Site", "cross-site").Header.Get("Location"))
	page := strings.TrimPrefix(b.at(), s.Issuer())
	next := b.post(page, "password", right, "code", otp(t, secret, c.now())).Header.Get("Location")
	to := strings.Replace(next, "/sign-in/continue?", "/oauth2/authorize?", 1)
	a = passes(b.get(s.Issuer() + to).Header.Get("Location"))
	if to := a.Header.Get("Location"); to != "https://wiki.example/a?b" {
		t.Fatalf("after the second factor: got %d to %q, want the page that was asked for", a.Status, to)
	}
	if a := asks("/a?b"); a.Status != http.StatusOK || a.Header.Get("Remote-User") != "diane" {
		t.Errorf("with two factors: got %d for %q, want 200 for diane", a.Status, a.Header.Get("Remote-User"))
	}
	// The assertion from before the second factor could be given again, and says less.
	asserted("/plain", factor.TwoFactors, "pwd", "otp", "mfa")
}

// TestATokenIsAsGoodAsTheSignInOfItsUser creates and rotates tokens for a service that requires two factors.
func TestATokenIsAsGoodAsTheSignInOfItsUser(t *testing.T) {
	s, c := startRequiring(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	own := s.Issuer() + "/api/v1/users/me/tokens"
	call := func(address, body string) jetontest.Answer {
		header := append([]string{"Content-Type", "application/json"}, scripting...)
		return s.Send(b.client, http.MethodPost, address, body, header...)
	}
	ends := c.now().Add(time.Hour).UTC().Format(time.RFC3339)
	body := `{"name":"ci","services":["vault"],"expires_at":"` + ends + `"}`
	made := s.AddToken(jetontest.NewToken{User: "diane", Name: "old", Services: []string{"vault"}})

	both := map[string]string{own: body, own + "/" + made.Accessor + "/rotate": ""}
	for address, body := range both {
		a := call(address, body)
		if a.Code() != "forbidden" || !strings.Contains(a.Body, "add an authenticator app or a passkey") {
			t.Errorf("POST %s with one factor: got %d %s, want forbidden and what to do", address, a.Status, a.Body)
		}
	}

	secret, _ := b.enrol(c.now())
	a := call(own, body)
	if a.Code() != "recent_proof_required" || !strings.Contains(a.Body, "the user was proved by pwd") {
		t.Errorf("with a second factor that was not shown: got %d %s, want recent_proof_required", a.Status, a.Body)
	}

	// A program that has the session gives both in the request. The session is as before.
	c.move(2 * time.Minute)
	code := otp(t, secret, c.now())
	given := `"current_password":"` + right + `","code":"` + code + `"`
	for _, step := range []struct {
		name, address, body string
		want                int
	}{
		{"a wrong code", own, strings.Replace(body, "{", `{"current_password":"`+right+`","code":"000000",`, 1), 403},
		{"password and code", own, strings.Replace(body, "{", "{"+given+",", 1), 201},
		{"the same code again", own + "/" + made.Accessor + "/rotate", "{" + given + "}", 403},
		{"nothing more", own, body, 403},
	} {
		if a := call(step.address, step.body); a.Status != step.want {
			t.Errorf("%s: got %d %s, want %d", step.name, a.Status, a.Body, step.want)
		}
	}

	c.move(2 * time.Minute)
	given = `{"current_password":"` + right + `","code":"` + otp(t, secret, c.now()) + `"}`
	if a := call(own+"/"+made.Accessor+"/rotate", given); a.Status >= 300 {
		t.Errorf("rotate with password and code: got %d %s, want a token", a.Status, a.Body)
	}

	c.move(2 * time.Minute)
	if a := b.post("/prove", "password", right, "code", otp(t, secret, c.now())); a.Status != http.StatusSeeOther {
		t.Fatalf("the proof: got %d %s, want 303", a.Status, a.Body)
	}
	for address, body := range both {
		if a := call(address, body); a.Status >= 300 {
			t.Errorf("POST %s with two factors: got %d %s, want a token", address, a.Status, a.Body)
		}
	}
}
