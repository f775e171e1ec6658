package server_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of TOTP
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

// factoring has a service of each kind of credential beside the authorization server.
const factoring = signingIn + `
  - name: files
    listen: localhost:0
    host: files.example
    login: {paths: [/login]}
    tokens: {}
    routes:
      - {match: GET /me, accept: [session, basic, token], respond: {template: '{{.Name}}'}}
`

// otp returns the code of an authenticator app at a time (RFC 6238).
func otp(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(secret, " ", ""))
	if err != nil {
		t.Fatal(err)
	}

	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, at.Unix()/30)
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&15:]) & (1<<31 - 1)

	return fmt.Sprintf("%06d", n%1_000_000)
}

// post sends a form to a page of the authorization server.
func (b *browser) post(path string, fields ...string) jetontest.Answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", b.s.Issuer()}, loading...)

	return b.s.Send(b.client, http.MethodPost, b.s.Issuer()+path, form.Encode(), header...)
}

var (
	appKey  = regexp.MustCompile(`<code>((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})</code>`)
	appForm = regexp.MustCompile(`action="(/account/security/app/f_[^"]+)"`)
	oneCode = regexp.MustCompile(`<code>([a-z0-9]{6}(?:-[a-z0-9]{6}){3})</code>`)
)

// enrol adds an authenticator app to the user of the browser, and returns its secret and the recovery codes.
func (b *browser) enrol(now time.Time) (secret string, codes []string) {
	b.t.Helper()
	a := b.post("/account/security/app")
	key, form := appKey.FindStringSubmatch(a.Body), appForm.FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || key == nil || form == nil || !strings.Contains(a.Body, "<svg") {
		b.t.Fatalf("add an app: got %d %s, want the page with the QR code", a.Status, a.Body)
	}

	if a := b.post(form[1], "code", "000000"); a.Status != http.StatusForbidden {
		b.t.Fatalf("confirm with a wrong code: got %d, want 403", a.Status)
	}

	a = b.post(form[1], "code", otp(b.t, key[1], now))
	for _, m := range oneCode.FindAllStringSubmatch(a.Body, -1) {
		codes = append(codes, m[1])
	}
	if a.Status != http.StatusOK || len(codes) != 10 {
		b.t.Fatalf("confirm: got %d with %d codes, want 200 with 10", a.Status, len(codes))
	}

	return key[1], codes
}

// await signs in with the password alone, and fails unless that leads to the page of the second factor.
func (b *browser) await(name string) {
	b.t.Helper()
	if to := b.send(b.s.Issuer()+"/sign-in", name); to != "/sign-in/factor" {
		b.t.Fatalf("sign in as %s: got to %q, want the page of the second factor", name, to)
	}
}

// signedIn reports whether the browser has a session at the authorization server.
func (b *browser) signedIn() bool {
	b.t.Helper()
	return b.get(b.s.Issuer()+"/account").Status == http.StatusOK
}

func TestASecondFactorIsAskedForAtEverySignIn(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	first, other := newBrowser(t, s), newBrowser(t, s)
	first.signIn("diane")
	other.signIn("diane")
	secret, _ := first.enrol(c.now())

	if other.signedIn() {
		t.Error("a session from before the factor is open, want it ended")
	}
	if !first.signedIn() {
		t.Error("the session that added the factor has ended, want it open")
	}

	b := newBrowser(t, s)
	b.await("diane")
	if a := b.post("/sign-in/factor", "code", otp(t, secret, c.now())); a.Status != http.StatusUnauthorized {
		t.Errorf("the code of the enrolment: got %d, want 401", a.Status)
	}

	c.move(2 * time.Minute)
	for _, wrong := range []string{
		"", "000000", otp(t, secret, c.now().Add(-time.Minute)), otp(t, secret, c.now().Add(time.Minute)),
	} {
		if a := b.post("/sign-in/factor", "code", wrong); a.Status != http.StatusUnauthorized {
			t.Errorf("code %q: got %d, want 401", wrong, a.Status)
		}
		if b.signedIn() {
			t.Fatalf("code %q signed in, want a refusal", wrong)
		}
	}

	c.move(2 * time.Minute) // five attempts have failed
	code := otp(t, secret, c.now())
	a := b.post("/sign-in/factor", "code", " "+code[:3]+"-"+code[3:]+"\n")
	if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/account" || !b.signedIn() {
		t.Fatalf("the code: got %d to %q, want 303 to the account", a.Status, to)
	}

	again := newBrowser(t, s)
	again.await("diane")
	if a := again.post("/sign-in/factor", "code", code); a.Status != http.StatusUnauthorized || again.signedIn() {
		t.Errorf("the code again: got %d, want 401", a.Status)
	}

	got := claimsOf(t, redeem(t, s, b.codeFor(wikiAsks(s))).ID)
	now := c.now().Unix()
	if amr := fmt.Sprint(got["amr"]); amr != "[pwd otp mfa]" || got["auth_time"] != float64(now) {
		t.Errorf("ID token has amr %s and auth_time %v, want [pwd otp mfa] and %d", amr, got["auth_time"], now)
	}
}

// TestOneCodeIsAcceptedOnce sends one code 64 times at once to two nodes, for several sign-ins and as a proof in a
// session.
func TestOneCodeIsAcceptedOnce(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + relying
	c := newHeldClock()
	nodes := []*jetontest.Server{
		jetontest.Start(t, conf, jetontest.Clock(c.now)),
		jetontest.Start(t, conf, jetontest.Clock(c.now)),
	}
	nodes[0].AddUser("diane", right)

	in := newBrowser(t, nodes[0])
	in.signIn("diane")
	key, codes := in.enrol(c.now())
	c.move(time.Minute)
	code := otp(t, key, c.now())

	browsers := make([]*browser, 8)
	for i := range browsers {
		browsers[i] = newBrowser(t, nodes[i%2])
		browsers[i].await("diane")
	}

	var wg sync.WaitGroup
	var accepted, busy atomic.Int64
	for i := range 64 {
		wg.Go(func() {
			b := browsers[i%8]
			var a jetontest.Answer
			switch {
			case i < 4:
				a = in.post("/prove", "password", right, "code", code)
			case i%3 == 0:
				a = b.post("/sign-in/factor", "code", code[:3]+" "+code[3:])
			default:
				a = b.post("/sign-in/factor", "code", code)
			}
			switch {
			case a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/account":
				accepted.Add(1)
			case a.Status == http.StatusServiceUnavailable:
				busy.Add(1)
			}
		})
	}
	wg.Wait()

	// On a busy machine the one that would have been accepted may wait too long for the others.
	n := accepted.Load()
	if n > 1 || n == 0 && busy.Load() == 0 {
		t.Errorf("the code was accepted %d times, and %d answers were 503; want it accepted once", n, busy.Load())
	}

	c.move(time.Hour) // the attempts that have failed are over
	for i, b := range browsers[:2] {
		b.await("diane")
		a := b.post("/sign-in/recovery", "code", codes[0])
		if ok := a.Header.Get("Location") == "/sign-in/factor"; ok != (i == 0) {
			t.Errorf("one recovery code at node %d: got %d, want it accepted by the first alone", i, a.Status)
		}
	}
}

// TestARecoveryCodeOnlyReplacesTheFactor uses a code twice, and the app that it replaces.
func TestARecoveryCodeOnlyReplacesTheFactor(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")
	lost, codes := b.enrol(c.now())
	thief := b
	c.move(time.Minute)

	b = newBrowser(t, s)
	b.await("diane")
	if a := b.post("/sign-in/recovery", "code", "abcdefg-hjkmnpq"); a.Status != http.StatusUnauthorized {
		t.Errorf("a wrong recovery code: got %d, want 401", a.Status)
	}
	a := b.post("/sign-in/recovery", "code", strings.ToUpper(strings.ReplaceAll(codes[3], "-", " ")))
	if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/sign-in/factor" {
		t.Fatalf("a recovery code: got %d to %q, want the page that replaces the app", a.Status, to)
	}
	if b.signedIn() {
		t.Error("a recovery code alone signed in, want a refusal")
	}

	page := b.get(s.Issuer() + "/sign-in/factor")
	key := appKey.FindStringSubmatch(page.Body)
	if key == nil {
		t.Fatalf("the page shows %s, want a new key", page.Body)
	}
	if a := b.post("/sign-in/factor", "code", otp(t, lost, c.now())); a.Status != http.StatusUnauthorized {
		t.Errorf("the lost app: got %d, want 401", a.Status)
	}
	a = b.post("/sign-in/factor", "code", otp(t, key[1], c.now()))
	if a.Status != http.StatusSeeOther || !b.signedIn() {
		t.Errorf("the new app: got %d, want 303 and a session", a.Status)
	}
	if thief.signedIn() {
		t.Error("a session of the lost app is open, want it ended")
	}

	c.move(time.Minute)
	again := newBrowser(t, s)
	again.await("diane")
	if a := again.post("/sign-in/recovery", "code", codes[3]); a.Status != http.StatusUnauthorized {
		t.Errorf("the recovery code again: got %d, want 401", a.Status)
	}
	if a := again.post("/sign-in/factor", "code", otp(t, lost, c.now())); a.Status != http.StatusUnauthorized {
		t.Errorf("the lost app at the next sign-in: got %d, want 401", a.Status)
	}

	shown := b.get(s.Issuer() + "/account/security").Body
	if !strings.Contains(shown, "Recovery codes left: 9") {
		t.Errorf("the page shows %s, want 9 codes left", shown)
	}
}

// TestARecoveryCodeThatReplacesNothingStays uses a code of a user who has as many apps as there can be.
func TestARecoveryCodeThatReplacesNothingStays(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")
	_, codes := b.enrol(c.now())
	for range 19 {
		a := b.post("/account/security/app")
		key, form := appKey.FindStringSubmatch(a.Body), appForm.FindStringSubmatch(a.Body)
		if a := b.post(form[1], "code", otp(t, key[1], c.now())); a.Status != http.StatusSeeOther {
			t.Fatalf("another app: got %d %s, want 303", a.Status, a.Body)
		}
	}

	other := newBrowser(t, s)
	other.await("diane")
	if a := other.post("/sign-in/recovery", "code", codes[0]); a.Status != http.StatusConflict {
		t.Errorf("a recovery code: got %d, want 409", a.Status)
	}
	if shown := b.get(s.Issuer() + "/account/security").Body; !strings.Contains(shown, "Recovery codes left: 10") {
		t.Errorf("the page shows %s, want 10 codes left", shown)
	}
}

// TestAPasswordAloneIsNotEnough tries the paths of a password of a user with a second factor.
func TestAPasswordAloneIsNotEnough(t *testing.T) {
	s := jetontest.Start(t, factoring)
	s.AddUser("diane", right)
	files := s.URL("files")
	basic := func() jetontest.Answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, files+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("diane", right)

		return s.Send(s.Client(), http.MethodGet, files+"/me", "", "Authorization", r.Header.Get("Authorization"))
	}
	if a := basic(); a.Status != http.StatusOK {
		t.Fatalf("Basic before: got %d %s, want 200", a.Status, a.Body)
	}

	b := newBrowser(t, s)
	b.signIn("diane")
	b.enrol(time.Now())

	const want = "insufficient_user_authentication"
	if a := basic(); a.Status != http.StatusUnauthorized || a.Header.Get("Jeton-Error") != want {
		t.Errorf("Basic: got %d %q, want 401 %s", a.Status, a.Header.Get("Jeton-Error"), want)
	}

	form := url.Values{"username": {"diane"}, "password": {right}}.Encode()
	a := s.Send(
		s.Client(), http.MethodPost, files+"/login", form, "Content-Type", "application/x-www-form-urlencoded",
	)
	if a.Status != http.StatusUnauthorized || a.Header.Get("Jeton-Error") != want {
		t.Errorf("login at the service: got %d %q, want 401 %s", a.Status, a.Header.Get("Jeton-Error"), want)
	}
	a = s.Send(
		s.Client(), http.MethodPost, s.Issuer()+"/api/v1/auth_session/login",
		`{"name":"diane","password":"`+right+`"}`, "Content-Type", "application/json",
	)
	if a.Status != http.StatusUnauthorized || a.Header.Get("Jeton-Error") != want || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("login by the API: got %d %q, want 401 %s", a.Status, a.Header.Get("Jeton-Error"), want)
	}
	if !strings.Contains(a.Body, "or use a token") {
		t.Errorf("login by the API: got %s, want what to do", a.Body)
	}
}

// TestAnOldSessionAndThePasswordNeedACode changes what outlives a session, with one that showed its factor a while ago.
func TestAnOldSessionAndThePasswordNeedACode(t *testing.T) {
	c := newHeldClock()
	s := jetontest.Start(t, factoring, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	key, _ := b.enrol(c.now())

	call := func(method, path, proof string) jetontest.Answer {
		path = s.Issuer() + "/api/v1/users/me" + path
		return s.Send(b.client, method, path, "{"+proof+"}", "Content-Type", "application/json", "Origin", s.Issuer())
	}
	expires := c.now().Add(time.Hour).UTC().Format(time.RFC3339)
	token := `"name":"x","services":["files"],"expires_at":"` + expires + `",`
	var made struct{ Accessor, Token string }
	a := call("POST", "/tokens", strings.TrimSuffix(token, ","))
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || a.Status != http.StatusCreated {
		t.Fatalf("a token right after the enrolment: got %d %s, want 201", a.Status, a.Body)
	}

	c.move(11 * time.Minute)
	a = b.post("/account/security", "current", right, "new", "another right one", "repeat", "another right one")
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, "/prove?") {
		t.Errorf("the page of the password: got %d to %q, want the page that asks for a code", a.Status, to)
	}
	a = b.post("/account", "email", "other@example.org", "current", right)
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, "/prove?") {
		t.Errorf("the page of the address: got %d to %q, want the page that asks for a code", a.Status, to)
	}

	for _, tc := range []struct{ name, method, path, change string }{
		{"a new token", "POST", "/tokens", token},
		{"a new secret of a token", "POST", "/tokens/" + made.Accessor + "/rotate", ""},
		{"another address", "PUT", "", `"email":"other@example.org",`},
		{"another password", "PUT", "", `"password":"another right password",`},
	} {
		c.move(time.Minute)
		given := tc.change + `"current_password":"` + right + `"`
		for _, step := range []struct {
			name, more, want string
			status           int
		}{
			{"no code", "", "recent_proof_required", http.StatusForbidden},
			{"a wrong code", `,"code":"000000"`, "forbidden", http.StatusForbidden},
			{"a code", `,"code":"` + otp(t, key, c.now()) + `"`, "", http.StatusOK},
		} {
			a := call(tc.method, tc.path, given+step.more)
			if a.Status/100 != step.status/100 || a.Code() != step.want {
				t.Errorf("%s, %s: got %d %s, want %d %s", tc.name, step.name, a.Status, a.Body, step.status, step.want)
			}
		}
	}
}

// TestASignInThatAwaitsItsFactorOpensNothing shows the ticket of such a sign-in to every route, in every place of a
// credential.
func TestASignInThatAwaitsItsFactorOpensNothing(t *testing.T) {
	s := jetontest.Start(t, factoring)
	s.AddUser("diane", right, "admin")
	b := newBrowser(t, s)
	b.signIn("diane")
	b.enrol(time.Now())

	b = newBrowser(t, s)
	b.await("diane")
	ticket := b.ticket()
	secret, issuerCookie := ticket.Value, strings.TrimSuffix(ticket.Name, ".factor")

	a := b.get(s.Issuer() + "/oauth2/authorize?client_id=shop")
	if strings.Contains(a.Header.Get("Location"), "code=") {
		t.Errorf("authorize: got to %q, want no code", a.Header.Get("Location"))
	}

	tried := 0
	for _, row := range tableOf(t, factoring) {
		method, path, ok := strings.Cut(row.Pattern, " ")
		if !ok || row.Access == "open" || row.Listen == "control" || row.Service == "admin" {
			continue
		}

		base, cookie := s.Issuer(), issuerCookie
		if row.Service != config.IssuerName && row.Service != "issuer" {
			base, cookie = s.URL(row.Service), "__Host-jeton-"+row.Service
		}
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x")

		for _, shown := range [][]string{
			{"Cookie", cookie + "=" + secret},
			{"Cookie", ticket.Name + "=" + secret},
			{"Authorization", "Bearer " + secret},
			{"Cookie", cookie + "=" + secret, "Connection", "Upgrade", "Upgrade", "websocket"},
		} {
			tried++
			a := s.Send(s.Client(), method, base+path, "", append(shown, "Origin", base)...)
			if a.Status < 300 && method != http.MethodOptions {
				t.Errorf("%s %s of %s with %s: got %d, want a refusal", method, path, row.Service, shown[0], a.Status)
			}
		}
	}
	if tried < 200 {
		t.Errorf("%d requests were sent, want at least 200: the table is not read as it is", tried)
	}
}

// tableOf returns the route table of a configuration.
func tableOf(t *testing.T, text string) []server.Row {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jeton.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	conf, err := config.Load(file, func(name string) (string, bool) { return "9443", name == "ISSUER_PORT" })
	if err != nil {
		t.Fatal(err)
	}
	rows, err := server.Table(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}

	return rows
}
