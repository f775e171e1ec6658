package wallet

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

const issuerConfig = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: reports
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {lifetime: 1h}
    routes: [{match: /who, respond: {json: {name: "{{.Name}}"}}}]
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {lifetime: 20s, format: opaque}
    routes: [{match: GET /who, respond: {json: {name: "{{.Name}}"}}}]
  - name: twice
    listen: localhost:0
    tokens: {lifetime: 1h, format: opaque, max_uses: 2}
    routes: [{match: GET /who, respond: {json: {name: "{{.Name}}"}}}]
  - name: later
    listen: localhost:0
    tokens: {lifetime: 1h, activation_delay: 10s}
    routes: [{match: GET /who, respond: {json: {name: "{{.Name}}"}}}]
  - name: site
    listen: localhost:0
    login: {paths: [/login]}
    routes: [{match: GET /who, respond: {json: {name: "{{.Name}}"}}}]
`

// scene is a server, the clock of the server and the wallets, and a record of the wallets' requests.
type scene struct {
	*jetontest.Server
	t   *testing.T
	spy *spy
	dir string // of key files

	mu     sync.Mutex
	past   time.Duration
	waited []time.Duration
}

func (s *scene) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return begin.Add(s.past)
}

// begin is now, because TLS checks certificates, in whole seconds, as in tokens.
var begin = time.Now().Truncate(time.Second)

func (s *scene) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past += d
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	s.Server = jetontest.Start(t, issuerConfig, jetontest.Clock(s.now))
	s.spy = &spy{t: t, next: s.Client().Transport, seen: map[string]bool{}}
	return s
}

// wallet opens the wallet in home. Several wallets of one home act like processes.
func (s *scene) wallet(home string) *Wallet {
	return openWallet(s.t, home, func(c *Config) {
		c.Now, c.Transport = s.now, s.spy
		c.Wait = func(_ context.Context, d time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.waited = append(s.waited, d)
			s.past += d
			return nil
		}
	})
}

// keep writes a private key to a file.
func (s *scene) keep(file string, k *jose.Signer) string {
	path := filepath.Join(s.dir, file)
	file600(s.t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(k.MarshalPKCS8())})))
	return path
}

// ci registers a client for every service and returns its login at one of them.
func (s *scene) ci(service string) Login {
	k := s.AddClient("ci", "reports", "shop", "twice", "later")
	return Login{URL: s.URL(service), As: "ci", Key: s.keep("ci.key", k.Signer.(*jose.Signer))}
}

// spy records what the wallets send. It fails the test if an assertion is sent twice.
type spy struct {
	t    *testing.T
	next http.RoundTripper

	mu     sync.Mutex
	tokens int                         // token requests
	auth   map[string]map[string]bool  // Authorization headers, by host
	seen   map[string]bool             // assertions
	down   func(r *http.Request) error // if set: returns the error of a lost request
}

// RoundTrip notes which credential goes to which host, and fails the test when an assertion
// is sent twice: servers accept it once.
func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	var form url.Values
	if r.Body != nil && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}

		r.Body = io.NopCloser(bytes.NewReader(b))
		form, _ = url.ParseQuery(string(b))
	}

	s.mu.Lock()
	if s.auth == nil {
		s.auth = map[string]map[string]bool{}
	}
	if s.auth[r.URL.Host] == nil {
		s.auth[r.URL.Host] = map[string]bool{}
	}

	s.auth[r.URL.Host][r.Header.Get("Authorization")] = true
	if strings.HasSuffix(r.URL.Path, "/token") {
		s.tokens++
	}

	for _, name := range []string{"client_assertion", "proof"} {
		a := form.Get(name)
		if a != "" && s.seen[a] {
			s.t.Errorf("an assertion was sent twice")
		} else if a != "" {
			s.seen[a] = true
		}
	}

	down := s.down
	s.mu.Unlock()

	if down != nil {
		if err := down(r); err != nil {
			return nil, err
		}
	}

	return s.next.RoundTrip(r)
}

// tokenRequests returns the number of token requests since its last call.
func (s *spy) tokenRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tokens
	s.tokens = 0
	return n
}

// lose makes requests fail before they are sent.
func (s *spy) lose(down func(r *http.Request) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// ask returns the status and the body of GET /who, and the reason for a needed login.
func (s *scene) ask(id *Identity) (int, string, error) {
	s.t.Helper()
	resp, body := get(s.t, id, string(id.Origin())+"/who")
	why, _ := NeedsLogin(resp)
	return resp.StatusCode, body, why
}

func (s *scene) mustAsk(id *Identity, name string) {
	s.t.Helper()
	code, body, why := s.ask(id)
	if code != http.StatusOK || body != `{"name": "`+name+`"}` {
		s.t.Errorf("GET /who as %s = %d %s, %v; want 200", name, code, body, why)
	}
}

func TestSoftwareLogsInByItsKey(t *testing.T) {
	s := newScene(t)
	in, home := s.ci("reports"), t.TempDir()
	id := mustLogin(t, s.wallet(home), in)
	s.mustAsk(id, "ci")
	got := id.Info()
	if got.Kind != KindKey || !got.SignedIn || !got.Auto || got.Issuer != s.Issuer() || got.KeyFile != in.Key ||
		len(got.KeyID) != 43 ||
		!got.Expires.Equal(begin.Add(time.Hour)) {
		t.Errorf("Info = %+v, want a key with a token of an hour", got)
	}

	again := must(s.wallet(home).Identity(t.Context(), in.URL, "ci"))
	s.mustAsk(again, "ci")
	n := s.spy.tokenRequests()
	if n != 1 {
		t.Errorf("%d token requests, want 1: the second process reads the token from the wallet", n)
	}

	for host, values := range s.spy.auth {
		for value := range values {
			if value != "" && "https://"+host != in.URL {
				t.Errorf("%s got an Authorization header, want none", host)
			}
		}
	}

	mustLogin(t, s.wallet(home), Login{URL: in.URL, As: "ci"}) // with the known key

	_, err := s.wallet(t.TempDir()).Login(t.Context(), Login{URL: s.URL("site"), As: "ci", Key: in.Key})
	if !errors.Is(err, jeton.ErrNotFound) || !strings.Contains(err.Error(), "accepts no tokens") {
		t.Errorf("a service without tokens: Login = %v, want ErrNotFound", err)
	}

	in.Scope = []string{"admin"}
	if _, err := s.wallet(t.TempDir()).Login(t.Context(), in); !errors.Is(err, jeton.ErrScope) {
		t.Errorf("a scope that is not allowed: Login = %v, want ErrScope", err)
	}
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	for _, tc := range []struct {
		name    string
		service string
		after   time.Duration
		want    int
	}{
		{"an hour: a tenth and a second are left", "reports", 54*time.Minute - time.Second, 0},
		{"an hour: a tenth is left", "reports", 54 * time.Minute, 0},
		{"an hour: less than a tenth is left", "reports", 54*time.Minute + time.Second, 1},
		{"an hour: expired", "reports", time.Hour, 1},
		{"20 s: ten are left", "shop", 10 * time.Second, 0},
		{"20 s: nine are left", "shop", 11 * time.Second, 1},
		{"counted: a second is left", "twice", time.Hour - time.Second, 0},
		{"counted: expired", "twice", time.Hour, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			id := mustLogin(t, s.wallet(t.TempDir()), s.ci(tc.service))
			s.spy.tokenRequests()
			s.pass(tc.after)
			s.mustAsk(id, "ci")

			n := s.spy.tokenRequests()
			if n != tc.want {
				t.Errorf("%d token requests, want %d", n, tc.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	at := func(left time.Duration) time.Time { return noon.Add(-left) }
	for _, tc := range []struct {
		name string
		e    entry
		left time.Duration
		want bool
	}{
		{"no token", entry{Key: &software{issued: issued{Ends: noon}}}, time.Hour, true},
		{"no expiry", entry{Key: &software{issued: issued{Token: "t", Got: at(time.Hour)}}}, time.Second, false},
		{
			"an hour, at the edge",
			entry{Key: &software{issued: issued{Token: "t", Got: at(time.Hour), Ends: noon}}},
			6 * time.Minute,
			false,
		},
		{
			"an hour, past it",
			entry{Key: &software{issued: issued{Token: "t", Got: at(time.Hour), Ends: noon}}},
			6*time.Minute - 1,
			true,
		},
		{
			"a minute: ten seconds, not six",
			entry{Key: &software{issued: issued{Token: "t", Got: at(time.Minute), Ends: noon}}},
			9 * time.Second,
			true,
		},
		{
			"four seconds: not in the first half",
			entry{Key: &software{issued: issued{Token: "t", Got: at(4 * time.Second), Ends: noon}}},
			3 * time.Second,
			false,
		},
		{
			"four seconds: in the second half",
			entry{Key: &software{issued: issued{Token: "t", Got: at(4 * time.Second), Ends: noon}}},
			time.Second,
			true,
		},
		{
			"after a wait for nbf",
			entry{Key: &software{issued: issued{
				Token: "t",
				Got:   at(time.Hour),
				Opens: at(50 * time.Minute),
				Ends:  noon,
			}}},
			1,
			false,
		},
		{
			"counted",
			entry{Uses: new(int64), Key: &software{issued: issued{Token: "t", Got: at(time.Hour), Ends: noon}}},
			1,
			false,
		},
		{
			"counted, expired",
			entry{Uses: new(int64), Key: &software{issued: issued{Token: "t", Got: at(time.Hour), Ends: noon}}},
			0,
			true,
		},
	} {
		got := tc.e.due(at(tc.left))
		if got != tc.want {
			t.Errorf("%s: due with %v left = %v, want %v", tc.name, tc.left, got, tc.want)
		}
	}
}

// TestOneRenewalForAll has many requests meet a token that is due: each renewal of its own
// would be an assertion of its own, and the last token would win.
func TestOneRenewalForAll(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(s *scene)
	}{
		{"the token has expired", func(s *scene) { s.pass(time.Hour) }},
		{"the token expires soon", func(s *scene) { s.pass(time.Hour - time.Second) }},
		{"the token was revoked", func(s *scene) { s.MustControl("POST", "/api/v1/clients/ci/end-tokens", nil, nil) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, home := newScene(t), t.TempDir()
			in := s.ci("reports")
			ids := []*Identity{mustLogin(t, s.wallet(home), in)}
			for range 4 {
				ids = append(ids, must(s.wallet(home).Identity(t.Context(), in.URL, "ci")))
			}

			for _, id := range ids {
				s.mustAsk(id, "ci")
			}

			s.spy.tokenRequests()
			tc.end(s)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() { s.mustAsk(ids[i%len(ids)], "ci") })
			}

			wg.Wait()
			if n := s.spy.tokenRequests(); n != 1 {
				t.Errorf("%d token requests for 50 requests in 5 wallets, want 1", n)
			}

			for _, id := range ids { // a wallet uses a newer token of another process
				s.pass(time.Hour)
				s.mustAsk(id, "ci")
			}

			if n := s.spy.tokenRequests(); n != len(ids) {
				t.Errorf("%d token requests, want one per hour, %d", n, len(ids))
			}
		})
	}
}

func TestUsersAndSoftwareNeverMix(t *testing.T) {
	s := newScene(t)
	s.AddUser("diane", "correct horse battery")
	w, in := s.wallet(t.TempDir()), s.ci("reports")
	var ids []*Identity
	for _, service := range []string{"reports", "shop"} {
		in.URL = s.URL(service)
		ids = append(ids, mustLogin(t, w, in), mustLogin(t, w, Login{
			URL:      in.URL,
			As:       "diane",
			Password: jeton.NewSecret("correct horse battery"),
		}))
	}

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for _, id := range ids {
				s.mustAsk(id, id.Name())
			}
		})
	}

	wg.Wait()

	for _, id := range ids {
		if id.view().e.Key != nil && len(id.view().e.Cookies) > 0 {
			t.Errorf("%s has a cookie stored with its token, want none", id.Name())
		}
	}

	for host, values := range s.spy.auth {
		if len(values) > 2 { // none for diane, and the token of ci
			t.Errorf("%s got %d Authorization headers, want at most 2", host, len(values))
		}
	}
}

// TestSpentTokenIsNotReplaced checks that the wallet does not get around a limit: the terms
// say how many uses there are, and a new token would have as many again.
func TestSpentTokenIsNotReplaced(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("twice"))
	if n := id.Info().Uses; n == nil || *n != 2 {
		t.Errorf("Uses after the login = %v, want 2", n)
	}

	s.mustAsk(id, "ci")
	s.mustAsk(id, "ci")
	s.spy.tokenRequests()

	for range 3 {
		_, _, why := s.ask(id)
		if !errors.Is(why, jeton.ErrSpent) {
			t.Errorf("the third use: %v, want ErrSpent", why)
		}
	}

	if n := s.spy.tokenRequests(); n != 0 {
		t.Errorf("%d token requests, want 0", n)
	}

	mustLogin(t, id.w, Login{URL: s.URL("twice"), As: "ci"})
	s.mustAsk(id, "ci")
}

func TestTheWalletWaitsForATokenThatIsNotValidYet(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("later"))
	short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	_, err := id.RoundTrip(must(http.NewRequestWithContext(short, "GET", s.URL("later")+"/who", nil)))
	wait, ok := jeton.RetryAfter(err)
	if !errors.Is(err, jeton.ErrTooEarly) || !ok || wait != 10*time.Second || len(s.waited) != 0 {
		t.Errorf("a deadline in 5 s: %v, retry after %v, waited %v; want ErrTooEarly, 10s", err, wait, s.waited)
	}

	tok, err := id.Token(t.Context())
	if err != nil || !tok.Opens.Equal(begin.Add(10*time.Second)) {
		t.Errorf("Token = %+v, %v; want one valid in 10 s", tok, err)
	}

	s.mustAsk(id, "ci")
	if len(s.waited) != 1 || s.waited[0] != 10*time.Second {
		t.Errorf("waited %v, want once 10 s", s.waited)
	}

	s.mustAsk(id, "ci")
	if len(s.waited) != 1 {
		t.Errorf("waited %v, want once", s.waited)
	}

	e := id.view().e
	e.Key = &software{issued: issued{Token: "t", Opens: s.now().Add(openWait + 1), Ends: s.now().Add(time.Hour)}}

	if err := id.await(t.Context(), e); !errors.Is(err, jeton.ErrTooEarly) {
		t.Errorf("without a deadline, more than %v: await = %v, want ErrTooEarly", openWait, err)
	}

	cancelled, cancelNow := context.WithCancel(t.Context())
	cancelNow()

	if err := sleep(cancelled, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("sleep with a cancelled context = %v, want Canceled", err)
	}
}

func TestIssuerThatDoesNotAnswer(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("reports"))
	s.spy.lose(func(r *http.Request) error {
		if strings.HasPrefix(r.URL.Path, "/oauth2/") {
			return errors.New("no route to host")
		}
		return nil
	})

	s.spy.tokenRequests()
	s.pass(55 * time.Minute)

	for range 3 {
		s.mustAsk(id, "ci")
	}

	n := s.spy.tokenRequests()
	if n != 1 {
		t.Errorf("%d token requests while the token is valid, want one in %v", n, renewPause)
	}

	s.pass(5 * time.Minute)
	_, _, why := s.ask(id)
	if why == nil || !strings.Contains(why.Error(), "no route to host") {
		t.Errorf("expired, without an issuer: %v, want its error", why)
	}

	if err := id.w.Logout(t.Context(), s.URL("reports"), "ci"); err != nil {
		t.Errorf("Logout with an expired token = %v, want nil", err)
	}
}

// TestARefusedKeyIsNotRetriedAtOnce keeps a wallet with a retired key from filling the
// audit log of the issuer.
func TestARefusedKeyIsNotRetriedAtOnce(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("reports"))

	disable := func(yes bool) {
		s.MustControl("PUT", "/api/v1/clients/ci/disabled", api.Disabled{Disabled: yes}, nil)
	}

	disable(true)
	s.spy.tokenRequests()

	for range 3 {
		code, _, why := s.ask(id)
		if code != http.StatusUnauthorized || !errors.Is(why, jeton.ErrBadCredential) {
			t.Errorf("a disabled client: %d, %v; want 401, ErrBadCredential", code, why)
		}
	}

	n := s.spy.tokenRequests()
	if n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}

	disable(false)
	s.pass(holdWait)
	s.mustAsk(id, "ci") // without another login
}

func TestLogoutRevokesTheToken(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	w := s.wallet(t.TempDir())
	id := mustLogin(t, w, in)
	tok := must(id.Token(t.Context())).Text.Reveal()
	use := func() int { return s.Ask("GET", "reports", "/who", "Authorization", "Bearer "+tok).Status }
	if code := use(); code != http.StatusOK {
		t.Fatalf("the token before: %d, want 200", code)
	}

	s.spy.lose(func(r *http.Request) error {
		if r.URL.Path == "/oauth2/revoke" {
			return errors.New("no route to host")
		}
		return nil
	})

	if err := w.Logout(t.Context(), in.URL, "ci"); err == nil || !id.Info().SignedIn {
		t.Errorf("Logout without an issuer = %v, signed in %v; want an error and true", err, id.Info().SignedIn)
	}

	s.spy.lose(nil)
	if err := w.Logout(t.Context(), in.URL, "ci"); err != nil {
		t.Fatalf("Logout: %v", err)
	}
	if code := use(); code != http.StatusUnauthorized {
		t.Errorf("the token after: %d, want 401", code)
	}

	s.spy.tokenRequests()
	if code, _, why := s.ask(id); code != http.StatusUnauthorized || why == nil {
		t.Errorf("after Logout: %d, %v; want 401 and a reason", code, why)
	}
	if _, err := id.Token(t.Context()); !errors.Is(err, jeton.ErrNoCredential) {
		t.Errorf("Token after Logout: %v, want ErrNoCredential", err)
	}

	n := s.spy.tokenRequests()
	if n != 0 {
		t.Errorf("%d requests after Logout, want 0: no login", n)
	}

	d := must(w.file.read(t.Context()))
	e := d.find(id.Origin(), "ci")
	if e.Key == nil || e.Key.Token != "" || e.Key.File != in.Key {
		t.Errorf("stored key = %+v, want the file without a token", e.Key)
	}

	mustLogin(t, w, Login{URL: in.URL, As: "ci"})
	s.mustAsk(id, "ci")
}

// TestWalletNeverHoldsThePrivateKey searches the decrypted document for the key, of which a
// wallet needs the path only.
func TestWalletNeverHoldsThePrivateKey(t *testing.T) {
	s := newScene(t)
	in, w := s.ci("reports"), s.wallet(t.TempDir())
	mustLogin(t, w, in)

	if err := w.RotateKey(t.Context(), in.URL, "ci", s.keep("next.key", must(jose.Generate(jose.ES256)))); err != nil {
		t.Fatal(err)
	}

	_, plain, err := w.file.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	for _, file := range []string{"ci.key", "next.key"} {
		b, _ := pem.Decode(must(os.ReadFile(filepath.Join(s.dir, file))))
		secret := b.Bytes[len(b.Bytes)-16:]
		line := strings.Split(string(pem.EncodeToMemory(b)), "\n")[1]
		if bytes.Contains(plain, []byte(line)) || bytes.Contains(plain, secret) ||
			bytes.Contains(plain, []byte("PRIVATE")) {
			t.Errorf("the wallet has the key of %s, want no key", file)
		}
	}

	if !bytes.Contains(plain, []byte(`"version":2`)) {
		t.Errorf("document = %s, want version 2, which an older program refuses", plain)
	}
}

// TestARequestWithAuthorizationIsNotSent checks that a request never carries two
// credentials: which of them counts would be up to the server.
func TestARequestWithAuthorizationIsNotSent(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("reports"))
	r := must(http.NewRequestWithContext(t.Context(), "GET", s.URL("reports")+"/who", nil))
	r.Header.Set("Authorization", "Basic ZGlhbmU6cHc=")

	if _, err := id.RoundTrip(r); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("RoundTrip: %v, want ErrInvalid", err)
	}

	r.Header.Del("Authorization")
	resp, err := id.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}

	_ = resp.Body.Close()
	if r.Header.Get("Authorization") != "" || resp.Request.Header.Get("Authorization") != "" {
		t.Error("the request of the caller has Authorization, want it unchanged")
	}
}

func TestAnIdentityHasOneCredential(t *testing.T) {
	s := newScene(t)
	in, w := s.ci("reports"), s.wallet(t.TempDir())
	s.AddUser("diane", "correct horse battery")
	user := Login{
		URL:      in.URL,
		As:       "ci",
		Username: "diane",
		Password: jeton.NewSecret("correct horse battery"),
		Save:     true,
	}
	both := in
	both.Password = user.Password

	kid := user
	kid.KeyID = "x"
	for name, bad := range map[string]Login{
		"a key and a password": both,
		"a password and a kid": kid,
		"a kid without a key":  {URL: in.URL, As: "new", KeyID: "x"},
	} {
		if _, err := w.Login(t.Context(), bad); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}

	e := entry{Username: "x", Source: source{Password: "pw"}, Cookies: jar{{Name: "s"}}}
	if err := (Login{
		As:  "x",
		Key: in.Key,
	}).apply(&e); err != nil || e.Source.kind() != SourceNone || e.Cookies != nil {
		t.Errorf("apply = %v, source %v and %d cookies left; want none", err, e.Source.kind(), len(e.Cookies))
	}

	id := mustLogin(t, w, user)
	s.mustAsk(id, "diane")
	in.Username = "ci"
	mustLogin(t, w, in)
	s.mustAsk(id, "ci")

	if e := id.view().e; e.Source.kind() != SourceNone || len(e.Cookies) > 0 || id.Info().Kind != KindKey {
		t.Errorf("Info = %+v, want a key without session and password", id.Info())
	}

	mustLogin(t, w, user)
	s.mustAsk(id, "diane")

	if id.Info().Kind != KindSession || id.view().e.Key != nil {
		t.Errorf("Info = %+v, want a session without a key", id.Info())
	}
	if _, err := id.Token(t.Context()); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("Token of a session: %v, want ErrInvalid", err)
	}
	if err := w.RotateKey(t.Context(), in.URL, "ci", in.Key); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("RotateKey of a session: %v, want ErrInvalid", err)
	}
}
