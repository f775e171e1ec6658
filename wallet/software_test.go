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

const issued = `
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
  - name: people
    listen: localhost:0
    login: {paths: [/login]}
    routes: [{match: GET /who, respond: {json: {name: "{{.Name}}"}}}]
`

// scene is where a test plays: a server, a clock that both sides read, and what the wallets sent.
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

// begin is now, for TLS judges certificates; on a whole second, as tokens do.
var begin = time.Now().Truncate(time.Second)

func (s *scene) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past += d
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	s.Server = jetontest.Start(t, issued, jetontest.Clock(s.now))
	s.spy = &spy{t: t, next: s.Client().Transport, seen: map[string]bool{}}
	return s
}

// wallet opens a wallet in home; several of one home are like processes.
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

// keep writes a private key as software has it.
func (s *scene) keep(file string, k *jose.Signer) string {
	path := filepath.Join(s.dir, file)
	file600(s.t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(k.MarshalPKCS8())})))
	return path
}

// ci registers a client for every service and returns how it logs in at one.
func (s *scene) ci(service string) Login {
	k := s.AddClient("ci", "reports", "shop", "twice", "later")
	return Login{URL: s.URL(service), As: "ci", Key: s.keep("ci.key", k.Signer)}
}

// spy notes what the wallets send, and no assertion may be sent twice.
type spy struct {
	t    *testing.T
	next http.RoundTripper

	mu     sync.Mutex
	tokens int                         // requests for one
	auth   map[string]map[string]bool  // Authorization headers, by host
	seen   map[string]bool             // assertions
	down   func(r *http.Request) error // when set: what does not arrive
}

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

// asked returns how many tokens were asked for since it was called last.
func (s *spy) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tokens
	s.tokens = 0
	return n
}

func (s *spy) lose(down func(r *http.Request) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// ask returns the status of GET /who, what it said, and why a login is needed.
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
		s.t.Errorf("GET /who as %s = %d %s, %v", name, code, body, why)
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
		t.Errorf("Info = %+v", got)
	}

	again := must(s.wallet(home).Identity(t.Context(), in.URL, "ci"))
	s.mustAsk(again, "ci")
	n := s.spy.asked()
	if n != 1 {
		t.Errorf("%d tokens were asked for, want 1: the next process has it from the wallet", n)
	}

	for host, values := range s.spy.auth {
		for value := range values {
			if value != "" && "https://"+host != in.URL {
				t.Errorf("%s got an Authorization header", host)
			}
		}
	}

	mustLogin(t, s.wallet(home), Login{URL: in.URL, As: "ci"}) // the key is known
	if _, err := s.wallet(t.TempDir()).Login(t.Context(), Login{
		URL: s.URL("people"),
		As:  "ci",
		Key: in.Key,
	}); !errors.Is(err, jeton.ErrNotFound) || !strings.Contains(err.Error(), "accepts no tokens") {
		t.Errorf("a service without tokens: %v, want ErrNotFound", err)
	}

	in.Scope = []string{"admin"}
	if _, err := s.wallet(t.TempDir()).Login(t.Context(), in); !errors.Is(err, jeton.ErrScope) {
		t.Errorf("a scope that the client may not have: %v, want ErrScope", err)
	}
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	for _, tc := range []struct {
		name    string
		service string
		after   time.Duration
		want    int
	}{
		{"an hour: a tenth and a second are left", "reports", 54*time.Minute - time.Second, 0},
		{"an hour: a tenth is left", "reports", 54 * time.Minute, 0},
		{"an hour: less than a tenth is left", "reports", 54*time.Minute + time.Second, 1},
		{"an hour: it has ended", "reports", time.Hour, 1},
		{"20 s: ten are left", "shop", 10 * time.Second, 0},
		{"20 s: nine are left", "shop", 11 * time.Second, 1},
		{"counted: a second is left", "twice", time.Hour - time.Second, 0},
		{"counted: it has ended", "twice", time.Hour, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			id := mustLogin(t, s.wallet(t.TempDir()), s.ci(tc.service))
			s.spy.asked()
			s.pass(tc.after)
			s.mustAsk(id, "ci")

			n := s.spy.asked()
			if n != tc.want {
				t.Errorf("%d tokens were asked for, want %d", n, tc.want)
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
		{"no token", entry{Key: &software{Ends: noon}}, time.Hour, true},
		{"no end", entry{Key: &software{Token: "t", Got: at(time.Hour)}}, time.Second, false},
		{
			"an hour, at the edge",
			entry{Key: &software{Token: "t", Got: at(time.Hour), Ends: noon}},
			6 * time.Minute,
			false,
		},
		{
			"an hour, past it",
			entry{Key: &software{Token: "t", Got: at(time.Hour), Ends: noon}},
			6*time.Minute - 1,
			true,
		},
		{
			"a minute: ten seconds, not six",
			entry{Key: &software{Token: "t", Got: at(time.Minute), Ends: noon}},
			9 * time.Second,
			true,
		},
		{
			"four seconds: not in the first half",
			entry{Key: &software{Token: "t", Got: at(4 * time.Second), Ends: noon}},
			3 * time.Second,
			false,
		},
		{
			"four seconds: in the second half",
			entry{Key: &software{Token: "t", Got: at(4 * time.Second), Ends: noon}},
			time.Second,
			true,
		},
		{
			"one that was waited for",
			entry{Key: &software{
				Token: "t",
				Got:   at(time.Hour),
				Opens: at(50 * time.Minute),
				Ends:  noon,
			}},
			1,
			false,
		},
		{
			"one that is counted",
			entry{Uses: new(int64), Key: &software{Token: "t", Got: at(time.Hour), Ends: noon}},
			1,
			false,
		},
		{
			"one that is counted and over",
			entry{Uses: new(int64), Key: &software{Token: "t", Got: at(time.Hour), Ends: noon}},
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

func TestOneRenewalForAll(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(s *scene)
	}{
		{"the token has ended", func(s *scene) { s.pass(time.Hour) }},
		{"it will soon", func(s *scene) { s.pass(time.Hour - time.Second) }},
		{"it was revoked", func(s *scene) { s.MustControl("POST", "/api/v1/clients/ci/end-tokens", nil, nil) }},
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

			s.spy.asked()
			tc.end(s)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() { s.mustAsk(ids[i%len(ids)], "ci") })
			}

			wg.Wait()
			if n := s.spy.asked(); n != 1 {
				t.Errorf("%d tokens were asked for by 50 requests in 5 wallets, want 1", n)
			}

			for _, id := range ids { // a wallet that slept has the newer one's word, if that is good
				s.pass(time.Hour)
				s.mustAsk(id, "ci")
			}

			if n := s.spy.asked(); n != len(ids) {
				t.Errorf("%d tokens were asked for, want one for each hour, %d", n, len(ids))
			}
		})
	}
}

func TestPeopleAndSoftwareNeverMix(t *testing.T) {
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
			t.Errorf("%s keeps a cookie next to its token", id.Name())
		}
	}

	for host, values := range s.spy.auth {
		if len(values) > 2 { // none for diane, and ci's one token
			t.Errorf("%s got %d Authorization headers", host, len(values))
		}
	}
}

func TestSpentTokenIsNotReplaced(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("twice"))
	if n := id.Info().Uses; n == nil || *n != 2 {
		t.Errorf("Uses after the login = %v, want 2", n)
	}

	s.mustAsk(id, "ci")
	s.mustAsk(id, "ci")
	s.spy.asked()

	for range 3 {
		_, _, why := s.ask(id)
		if !errors.Is(why, jeton.ErrSpent) {
			t.Errorf("the third use: %v, want ErrSpent", why)
		}
	}

	if n := s.spy.asked(); n != 0 {
		t.Errorf("%d tokens were asked for, want 0", n)
	}

	mustLogin(t, id.w, Login{URL: s.URL("twice"), As: "ci"})
	s.mustAsk(id, "ci")
}

func TestTokenThatIsNotValidYetIsWaitedFor(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("later"))
	short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	_, err := id.RoundTrip(must(http.NewRequestWithContext(short, "GET", s.URL("later")+"/who", nil)))
	if wait, ok := jeton.RetryAfter(err); !errors.Is(
		err,
		jeton.ErrTooEarly,
	) || !ok || wait != 10*time.Second || len(s.waited) != 0 {
		t.Errorf("5 s to wait for 10: %v, after %v, waited %v", err, wait, s.waited)
	}

	tok, err := id.Token(t.Context())
	if err != nil || !tok.Opens.Equal(begin.Add(10*time.Second)) {
		t.Errorf("Token = %+v, %v, want one that opens in 10 s", tok, err)
	}

	s.mustAsk(id, "ci")
	if len(s.waited) != 1 || s.waited[0] != 10*time.Second {
		t.Errorf("waited %v, want 10 s", s.waited)
	}

	s.mustAsk(id, "ci")
	if len(s.waited) != 1 {
		t.Errorf("waited again: %v", s.waited)
	}

	e := id.view().e
	e.Key = &software{Token: "t", Opens: s.now().Add(openWait + 1), Ends: s.now().Add(time.Hour)}

	if err := id.await(t.Context(), e); !errors.Is(err, jeton.ErrTooEarly) {
		t.Errorf("without a deadline, more than %v: %v, want ErrTooEarly", openWait, err)
	}

	gone, end := context.WithCancel(t.Context())
	end()

	if err := sleep(gone, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who leaves: %v", err)
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

	s.spy.asked()
	s.pass(55 * time.Minute)

	for range 3 {
		s.mustAsk(id, "ci")
	}

	n := s.spy.asked()
	if n != 1 {
		t.Errorf("a token that is still good was asked for %d times, want once in %v", n, renewPause)
	}

	s.pass(5 * time.Minute)
	_, _, why := s.ask(id)
	if why == nil || !strings.Contains(why.Error(), "no route to host") {
		t.Errorf("over, and nobody to ask: %v", why)
	}

	if err := id.w.Logout(t.Context(), s.URL("reports"), "ci"); err != nil {
		t.Errorf("Logout of a token that has ended: %v", err)
	}
}

func TestRefusedKeyIsNotTriedAtOnce(t *testing.T) {
	s := newScene(t)
	id := mustLogin(t, s.wallet(t.TempDir()), s.ci("reports"))

	disable := func(yes bool) {
		s.MustControl("PUT", "/api/v1/clients/ci/disabled", api.Disabled{Disabled: yes}, nil)
	}

	disable(true)
	s.spy.asked()

	for range 3 {
		code, _, why := s.ask(id)
		if code != http.StatusUnauthorized || !errors.Is(why, jeton.ErrBadCredential) {
			t.Errorf("a disabled client: %d, %v", code, why)
		}
	}

	n := s.spy.asked()
	if n != 1 {
		t.Errorf("%d tokens were asked for, want 1", n)
	}

	disable(false)
	s.pass(holdWait)
	s.mustAsk(id, "ci") // nobody had to log in by hand
}

func TestLogoutRevokesTheToken(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	w := s.wallet(t.TempDir())
	id := mustLogin(t, w, in)
	tok := must(id.Token(t.Context())).Text.Reveal()
	use := func() int { return s.Ask("GET", "reports", "/who", "Authorization", "Bearer "+tok).Status }
	if code := use(); code != http.StatusOK {
		t.Fatalf("the token before: %d", code)
	}

	s.spy.lose(func(r *http.Request) error {
		if r.URL.Path == "/oauth2/revoke" {
			return errors.New("no route to host")
		}
		return nil
	})

	if err := w.Logout(t.Context(), in.URL, "ci"); err == nil || !id.Info().SignedIn {
		t.Errorf("Logout that did not arrive: %v, signed in %v", err, id.Info().SignedIn)
	}

	s.spy.lose(nil)
	if err := w.Logout(t.Context(), in.URL, "ci"); err != nil {
		t.Fatalf("Logout: %v", err)
	}
	if code := use(); code != http.StatusUnauthorized {
		t.Errorf("the token after: %d, want 401", code)
	}

	s.spy.asked()
	if code, _, why := s.ask(id); code != http.StatusUnauthorized || why == nil {
		t.Errorf("after Logout: %d, %v", code, why)
	}
	if _, err := id.Token(t.Context()); !errors.Is(err, jeton.ErrNoCredential) {
		t.Errorf("Token after Logout: %v, want ErrNoCredential", err)
	}

	n := s.spy.asked()
	if n != 0 {
		t.Errorf("it logged in by itself after Logout")
	}

	d := must(w.file.read(t.Context()))
	e := d.find(id.Origin(), "ci")
	if e.Key == nil || e.Key.Token != "" || e.Key.File != in.Key {
		t.Errorf("what is kept: %+v", e.Key)
	}

	mustLogin(t, w, Login{URL: in.URL, As: "ci"})
	s.mustAsk(id, "ci")
}

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
		if bytes.Contains(
			plain,
			[]byte(strings.Split(string(pem.EncodeToMemory(b)), "\n")[1]),
		) || bytes.Contains(plain, secret) || bytes.Contains(plain, []byte("PRIVATE")) {
			t.Errorf("the wallet holds the key of %s", file)
		}
	}

	if !bytes.Contains(plain, []byte(`"version":2`)) {
		t.Errorf("an older program would not refuse the document")
	}
}

func TestRequestWithACredentialOfItsOwnIsNotSent(t *testing.T) {
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
		t.Error("the caller gets to see the token")
	}
}

func TestAnIdentityHasOneWayToProveItself(t *testing.T) {
	s := newScene(t)
	in, w := s.ci("reports"), s.wallet(t.TempDir())
	s.AddUser("diane", "correct horse battery")
	person := Login{
		URL:      in.URL,
		As:       "ci",
		Username: "diane",
		Password: jeton.NewSecret("correct horse battery"),
		Save:     true,
	}
	both := in
	both.Password = person.Password

	kid := person
	kid.KeyID = "x"
	for name, bad := range map[string]Login{
		"a key and a password": both,
		"a password and a kid": kid,
		"a kid of nothing":     {URL: in.URL, As: "new", KeyID: "x"},
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
		t.Errorf("apply = %v, left %v and %d cookies", err, e.Source.kind(), len(e.Cookies))
	}

	id := mustLogin(t, w, person)
	s.mustAsk(id, "diane")
	in.Username = "ci"
	mustLogin(t, w, in)
	s.mustAsk(id, "ci")

	if e := id.view().e; e.Source.kind() != SourceNone || len(e.Cookies) > 0 || id.Info().Kind != KindKey {
		t.Errorf("a session or a password is left: %+v", id.Info())
	}

	mustLogin(t, w, person)
	s.mustAsk(id, "diane")

	if id.Info().Kind != KindSession || id.view().e.Key != nil {
		t.Errorf("a key is left: %+v", id.Info())
	}
	if _, err := id.Token(t.Context()); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("Token of a session: %v, want ErrInvalid", err)
	}
	if err := w.RotateKey(t.Context(), in.URL, "ci", in.Key); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("RotateKey of a session: %v, want ErrInvalid", err)
	}
}
