package gateway_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// moved is a clock that the test moves.
type moved struct{ at atomic.Int64 }

func newMoved(at time.Time) *moved {
	c := &moved{}
	c.set(at)
	return c
}

func (c *moved) now() time.Time   { return time.Unix(0, c.at.Load()) }
func (c *moved) set(at time.Time) { c.at.Store(at.UnixNano()) }

// logged keeps what a server logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// timed is a server of examples/future-tokens and the client that it knows.
type timed struct {
	*jetontest.Server
	key   *rsa.PrivateKey
	clock *moved
	log   *logged
}

var start = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func futureTokens(t *testing.T) timed {
	t.Helper()
	yaml, err := os.ReadFile("../../examples/future-tokens/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "client.key.pub"), publicPEM(t, key), 0o600); err != nil {
		t.Fatal(err)
	}

	c, l := newMoved(start), &logged{}
	s := jetontest.Start(
		t,
		string(yaml),
		jetontest.Clock(c.now),
		jetontest.DataDir(dir),
		jetontest.Log(l, slog.LevelInfo),
	)

	return timed{s, key, c, l}
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jws makes a JWT by hand (RFC 7515, section 7.1), so that anything can be wrong with it.
func jws(header, claims string, sign func(input []byte) []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	input := enc([]byte(header)) + "." + enc([]byte(claims))
	return input + "." + enc(sign([]byte(input)))
}

// rs256 signs as an RSA key does.
func rs256(key *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		h := sha256.Sum256(input)
		b, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, h[:])
		if err != nil {
			return nil
		}

		return b
	}
}

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, secret)
		m.Write(input)
		return m.Sum(nil)
	}
}

const headRS256 = `{"alg":"RS256","typ":"JWT"}`

func (s timed) login(body string) jetontest.Answer {
	return s.Send(s.Client(), "POST", s.URL("future-tokens")+"/login", body)
}

func (s timed) ask(body string) jetontest.Answer {
	return s.Send(s.Client(), "POST", s.URL("future-tokens")+"/", body)
}

// enter logs in as the teaching client of old does.
func (s timed) enter(t *testing.T) string {
	t.Helper()
	a := s.login(jws(headRS256, `{"iss":"client"}`, rs256(s.key)))
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/jwt" {
		t.Fatalf("login: %d %s %q", a.Status, a.Header.Get("Content-Type"), a.Body)
	}

	return a.Body
}

func TestATimedTokenSaysWhenItIsGood(t *testing.T) {
	s := futureTokens(t)
	parts := strings.Split(s.enter(t), ".")
	var head struct{ Alg, Typ string }
	var claims struct {
		Iss, Sub, Aud string
		Iat, Nbf, Exp int64
	}
	for i, into := range []any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatalf("part %d of the token is %q", i, parts[i])
		}
	}

	now := start.Unix()
	if head.Alg != "RS256" || claims.Iss != s.Issuer() || claims.Sub != "client" || claims.Iat != now ||
		claims.Nbf != now+10 ||
		claims.Exp != now+30 {
		t.Errorf("%+v %+v, want RS256 by %s for client, from %d to %d", head, claims, s.Issuer(), now+10, now+30)
	}

	for _, option := range []string{
		"teaching.iss_only",
		"teaching.assertion_login",
		"teaching.token_in_body",
		"plain_http",
		"keyserver",
	} {
		if !strings.Contains(s.log.String(), `"option":"`+option+":") {
			t.Errorf("the start-up log does not name %s", option)
		}
	}
}

// TestAskedEveryFiveSeconds has a client ask from the moment of its login on, wherever in a
// second that is.
func TestAskedEveryFiveSeconds(t *testing.T) {
	s := futureTokens(t)
	for _, fraction := range []time.Duration{0, time.Nanosecond, 400 * time.Millisecond, 999_999_999} {
		at := s.clock.now().Truncate(time.Second).Add(time.Minute + fraction)
		s.clock.set(at)
		tok, got := s.enter(t), ""
		for n := range 8 {
			s.clock.set(at.Add(time.Duration(n) * 5 * time.Second))
			a := s.ask(tok)
			switch {
			case a.Status == 200 && len(a.Body) > 20 && a.Header.Get("Content-Type") == "text/plain; charset=utf-8":
				got += "w"
			case a.Status == 403 && a.Body == "The token is not yet valid (nbf)":
				got += "e"
			case a.Status == 403 && a.Body == "Signature has expired":
				got += "x"
			default:
				t.Errorf("%d s after %v: %d %q", 5*n, fraction, a.Status, a.Body)
			}
		}

		if got != "eewwwwxx" {
			t.Errorf(
				"asked every 5 s from %v into a second on: %s, want early twice, wisdom four times, then expired",
				fraction,
				got,
			)
		}
	}

	// Wisdom of more than one kind.
	at := s.clock.now()
	tok, lines := s.enter(t), map[string]bool{}
	s.clock.set(at.Add(15 * time.Second))

	for range 100 {
		lines[s.ask(tok).Body] = true
	}

	if len(lines) < 3 {
		t.Errorf("100 answers are %d different ones: %v", len(lines), lines)
	}
}

func TestEdgesOfATimedToken(t *testing.T) {
	s := futureTokens(t)
	tok := s.enter(t)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
		text  string
	}{
		{"just made", 0, 403, "The token is not yet valid (nbf)"},
		{"the last moment before", 10*time.Second - 1, 403, "The token is not yet valid (nbf)"},
		{"as it opens", 10 * time.Second, 200, ""},
		{"the last moment", 30*time.Second - 1, 200, ""},
		{"as it closes", 30 * time.Second, 403, "Signature has expired"},
		{"a day later", 24 * time.Hour, 403, "Signature has expired"},
		{"the clock has jumped back into the window", 20 * time.Second, 200, ""},
		{"the clock has jumped back before the login", -time.Hour, 403, "The token is not yet valid (nbf)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.clock.set(start.Add(tc.after))
			a := s.ask(tok)
			if a.Status != tc.want || tc.want != 200 && a.Body != tc.text {
				t.Errorf("%d %q, want %d %q", a.Status, a.Body, tc.want, tc.text)
			}
		})
	}
}

// listening returns the address of a listener that nobody should connect to, and how many did.
func listening(t *testing.T) (address string, reached *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	reached = &atomic.Int64{}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}

			reached.Add(1)
			_ = c.Close()
		}
	}()

	return l.Addr().String(), reached
}

func TestWrongTeachingAssertions(t *testing.T) {
	s := futureTokens(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}

	address, reached := listening(t)
	mine, theirs := rs256(s.key), rs256(other)

	iss := func(name string) string {
		b, err := json.Marshal(map[string]string{"iss": name})
		if err != nil {
			t.Fatal(err)
		}
		return jws(headRS256, string(b), mine)
	}

	head := func(more string) string { return jws(`{"alg":"RS256",`+more+`}`, `{"iss":"client"}`, mine) }
	good := iss("client")
	now := start.Unix()
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"an issuer that nobody knows", iss("nobody"), 401},
		{"an issuer in another case", iss("Client"), 401},
		{"an issuer that would be another parameter", iss("client&identity=nobody"), 401},
		{"an issuer that would be another path", iss("../client"), 401},
		{"an issuer that is an address", iss("http://" + address + "/client"), 401},
		{"an issuer that is nobody's, signed by nobody", jws(headRS256, `{"iss":"nobody"}`, theirs), 401},
		{"a good one, once more: that is what iss_only means", good, 200},
		{"spaces and an end of line around", " " + good + "\r\n", 200},
		{"the signature of another key", jws(headRS256, `{"iss":"client"}`, theirs), 403},
		{"one bit of the signature", good[:len(good)-2] + string(good[len(good)-2]^1) + good[len(good)-1:], 403},
		{
			"claims changed after signing",
			strings.Split(
				good,
				".",
			)[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"client","x":1}`)) + "." + strings.Split(
				good,
				".",
			)[2],
			403,
		},
		{
			"HS256 with the public key for a secret",
			jws(`{"alg":"HS256"}`, `{"iss":"client"}`, hs256(publicPEM(t, s.key))),
			403,
		},
		{"HS256 with a secret", jws(`{"alg":"HS256"}`, `{"iss":"client"}`, hs256([]byte("secret"))), 403},
		{"none", jws(`{"alg":"none"}`, `{"iss":"client"}`, func([]byte) []byte { return nil }), 403},
		{"None", jws(`{"alg":"None"}`, `{"iss":"client"}`, func([]byte) []byte { return nil }), 403},
		{"RS512 said, RS256 signed", jws(`{"alg":"RS512"}`, `{"iss":"client"}`, mine), 403},
		{"a key to be fetched (jku)", head(`"jku":"http://` + address + `/jwks.json"`), 403},
		{"a certificate to be fetched (x5u)", head(`"x5u":"http://` + address + `/cert.pem"`), 403},
		{"a key identifier that is an address", head(`"kid":"http://` + address + `/key"`), 403},
		{"a key identifier that is a path", head(`"kid":"../../../dev/null"`), 403},
		{"an expiry that is over", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now-1), mine), 403},
		{"an expiry that is now", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now), mine), 403},
		{"an expiry to come", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now+30), mine), 200},
		{"not before much later", jws(headRS256, fmt.Sprintf(`{"iss":"client","nbf":%d}`, now+3600), mine), 403},
		{"for somebody else", jws(headRS256, `{"iss":"client","aud":"https://elsewhere.example"}`, mine), 403},
		{"about somebody else", jws(headRS256, `{"iss":"client","sub":"admin"}`, mine), 403},
		{"no issuer", jws(headRS256, `{}`, mine), 403},
		{"an issuer that is a number", jws(headRS256, `{"iss":1}`, mine), 403},
		{"an issuer twice", jws(headRS256, `{"iss":"client","iss":"nobody"}`, mine), 403},
		{"claims that are a list", jws(headRS256, `["iss"]`, mine), 403},
		{"nothing", "", 403},
		{"spaces", "  \n", 403},
		{"garbage", "\x00\xff..", 403},
		{"a form", "iss=client", 403},
		{"JSON", `{"iss":"client"}`, 403},
		{"two of them", good + "." + good, 403},
		{"a short tail", good + ".x", 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.login(tc.body)
			if a.Status != tc.status {
				t.Fatalf("%d %q, want %d", a.Status, a.Body, tc.status)
			}

			kind := a.Header.Get("Content-Type")
			if a.Status != 200 && (kind != "text/plain; charset=utf-8" || len(a.Body) == 0 || strings.Contains(
				a.Body,
				"{",
			)) {
				t.Errorf("refused with %s %q, want a plain text", kind, a.Body)
			}
		})
	}

	if a := s.login(strings.Repeat("x", 1<<20)); a.Status < 400 || a.Status >= 500 {
		t.Errorf("a mebibyte: %d %q", a.Status, a.Body)
	}

	n := reached.Load()
	if n != 0 {
		t.Errorf("what assertions name was connected to %d times", n)
	}
}

func TestWrongTimedTokens(t *testing.T) {
	s, elsewhere := futureTokens(t), futureTokens(t)
	tok, foreign := s.enter(t), elsewhere.enter(t)

	for _, c := range []*moved{s.clock, elsewhere.clock} {
		c.set(start.Add(15 * time.Second))
	}

	if a, b := s.ask(tok), elsewhere.ask(foreign); a.Status != 200 || b.Status != 200 {
		t.Fatalf("where they belong: %d %q, %d %q", a.Status, a.Body, b.Status, b.Body)
	}

	parts := strings.Split(tok, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}

	longer := base64.RawURLEncoding.EncodeToString(bytes.Replace(claims, []byte(`"exp":`), []byte(`"exp":9`), 1))
	for _, tc := range []struct{ name, body string }{
		{"missing", ""},
		{"garbage", "let me in"},
		{"another server's", foreign},
		{"the assertion in place of the token", jws(headRS256, `{"iss":"client"}`, rs256(s.key))},
		{"its claims, signed by the client", jws(headRS256, string(claims), rs256(s.key))},
		{"its claims, signed by nobody", jws(`{"alg":"none"}`, string(claims), func([]byte) []byte { return nil })},
		{"a longer life", parts[0] + "." + longer + "." + parts[2]},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"a signature cut short", tok[:len(tok)-4]},
		{"one bit of the signature", tok[:len(tok)-2] + string(tok[len(tok)-2]^1) + tok[len(tok)-1:]},
		{"twice", tok + tok},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := s.ask(tc.body); a.Status != 403 || a.Body != "A valid token is required" {
				t.Errorf("%d %q, want 403 and that a token is required", a.Status, a.Body)
			}
		})
	}

	if a := s.ask(" " + tok + "\n"); a.Status != 200 {
		t.Errorf("with an end of line: %d %q", a.Status, a.Body)
	}
}

const user, pass = "Lorenzo", "Udacity"

func basicAndToken(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	yaml, err := os.ReadFile("../../examples/basic-and-token/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	return jetontest.Start(t, easy+string(yaml), options...)
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

const basicService = "basic-and-token"

// short returns the token that a name and a password get.
func short(t *testing.T, s *jetontest.Server, name, password string) string {
	t.Helper()
	a := s.Ask("GET", basicService, "/token", "Authorization", basic(name, password))
	var out map[string]string
	if a.Status != 200 || json.Unmarshal(
		[]byte(a.Body),
		&out,
	) != nil || len(out) != 1 || out["token"] == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("GET /token: %d %s", a.Status, a.Body)
	}

	return out["token"]
}

func TestBasicAndToken(t *testing.T) {
	s := basicAndToken(t)
	tok := short(t, s, user, pass)
	for _, tc := range []struct {
		name, path, header string
		status             int
	}{
		{"the password", "/protected-resource", basic(user, pass), 200},
		{"the token as the name", "/protected-resource", basic(tok, "blank"), 200},
		{"the token as the name, without a password", "/protected-resource", basic(tok, ""), 200},
		{"the token as the password", "/protected-resource", basic("x", tok), 200},
		{"the token as a bearer", "/protected-resource", "Bearer " + tok, 200},
		{"the other route", "/api/resource", basic(tok, "blank"), 200},
		{"the scheme in another case", "/protected-resource", "bASIC" + basic(user, pass)[5:], 200},
		{"a wrong password", "/protected-resource", basic(user, "udacity"), 401},
		{"an unknown name", "/protected-resource", basic("Giuliano", pass), 401},
		{
			"an altered token",
			"/protected-resource",
			basic(tok[:len(tok)-2]+string(tok[len(tok)-2]^1)+tok[len(tok)-1:], "blank"),
			401,
		},
		{
			"a token without its signature",
			"/protected-resource",
			basic(tok[:strings.LastIndex(tok, ".")+1], "blank"),
			401,
		},
		{"nothing", "/protected-resource", "", 401},
		{"an empty name", "/protected-resource", basic("", ""), 401},
		{"not base64", "/protected-resource", "Basic %%%", 401},
		{"a token where tokens are made, as the name", "/token", basic(tok, "blank"), 401},
		{"a token where tokens are made, as the password", "/token", basic(user, tok), 401},
		{"a token where tokens are made, as a bearer", "/token", "Bearer " + tok, 401},
		{"nothing where tokens are made", "/token", "", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			if tc.header != "" {
				header = []string{"Authorization", tc.header}
			}

			a := s.Ask("GET", basicService, tc.path, header...)
			if a.Status != tc.status || tc.status == 200 && a.Body != "{\"data\": \"Hello, Lorenzo!\"}\n" {
				t.Errorf("%d %s, want %d", a.Status, a.Body, tc.status)
			}

			got := strings.Join(a.Header["Www-Authenticate"], ", ")
			if a.Status == 401 && !strings.HasPrefix(got, `Basic realm="basic-and-token"`) {
				t.Errorf("the challenge is %q", got)
			}
		})
	}
}

func TestAShortTokenLastsTenMinutes(t *testing.T) {
	c := newMoved(start.Add(300 * time.Millisecond))
	s := basicAndToken(t, jetontest.Clock(c.now))
	tok := short(t, s, user, pass)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"at once", 300 * time.Millisecond, 200},
		{"the last moment", 600*time.Second - 1, 200},
		{"ten minutes", 600 * time.Second, 401},
		{"a year", 365 * 24 * time.Hour, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.set(start.Add(tc.after))
			a := s.Ask("GET", basicService, "/protected-resource", "Authorization", basic(tok, "blank"))
			if a.Status != tc.want {
				t.Errorf("%d %s, want %d", a.Status, a.Body, tc.want)
			}
		})
	}
}

func TestRegistering(t *testing.T) {
	s := basicAndToken(t)
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"a name and a password", `{"username":"Ginevra","password":"Benci"}`, 201},
		{"a name that is taken", `{"username":"Ginevra","password":"other"}`, 409},
		{"a name that is taken, in another case", `{"username":"ginevra","password":"other"}`, 409},
		{"a name that is declared", `{"username":"Lorenzo","password":"other"}`, 409},
		{"no name", `{"password":"Benci"}`, 400},
		{"no password", `{"username":"Simonetta"}`, 400},
		{"an empty password", `{"username":"Simonetta","password":""}`, 400},
		{"a number for a password", `{"username":"Simonetta","password":5}`, 400},
		{"something more", `{"username":"Simonetta","password":"x","groups":["admin"]}`, 400},
		{"a name that would pass for a token", `{"username":"jtn_a_x","password":"x"}`, 400},
		{"nothing", ``, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(s.Client(), "POST", s.URL(basicService)+"/users", tc.body, "Content-Type", "application/json")
			if a.Status != tc.status || strings.Contains(a.Body, "Benci") {
				t.Errorf("%d %s, want %d", a.Status, a.Body, tc.status)
			}
		})
	}

	tok := short(t, s, "Ginevra", "Benci")
	for _, header := range []string{basic("Ginevra", "Benci"), basic(tok, "blank")} {
		if a := s.Ask(
			"GET",
			basicService,
			"/api/resource",
			"Authorization",
			header,
		); a.Status != 200 || a.Body != "{\"data\": \"Hello, Ginevra!\"}\n" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}

	if a := s.Ask("GET", basicService, "/api/resource", "Authorization", basic("Lorenzo", "other")); a.Status != 401 {
		t.Errorf("the password of a refused registration: %d", a.Status)
	}
}

// TestWhatEndsAShortToken has each change tried on the very next request, by token and by
// password, after both have been good.
func TestWhatEndsAShortToken(t *testing.T) {
	s := basicAndToken(t)
	for _, tc := range []struct {
		name, method, path string
		in                 any
	}{
		{"another password", "PUT", "/password", api.NewPassword{Password: "another password"}},
		{"the same password, set anew", "PUT", "/password", api.NewPassword{Password: right}},
		{"disabling", "PUT", "/disabled", api.Disabled{Disabled: true}},
		{"removal", "DELETE", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := strings.ReplaceAll(tc.name, " ", "-")
			name = strings.Trim(strings.ReplaceAll(name, ",", ""), "-")
			s.AddUser(name, right)
			tok := short(t, s, name, right)

			ask := func(header string) int {
				return s.Ask("GET", basicService, "/api/resource", "Authorization", header).Status
			}

			for range 2 { // the second is answered from memory
				if a, b := ask(basic(tok, "")), ask(basic(name, right)); a != 200 || b != 200 {
					t.Fatalf("before: %d by token, %d by password", a, b)
				}
			}

			s.MustControl(tc.method, "/api/v1/users/"+name+tc.path, tc.in, nil)
			wantPassword := 401
			if tc.name == "the same password, set anew" {
				wantPassword = 200
			}

			for range 2 {
				if a, b := ask(basic(tok, "")), ask(basic(name, right)); a != 401 || b != wantPassword {
					t.Errorf("after: %d by token, want 401; %d by password, want %d", a, b, wantPassword)
				}
			}
		})
	}
}

func TestAShortTokenSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := basicAndToken(t, jetontest.DataDir(dir))
	s.AddUser("diane", right)
	tok, ended := short(t, s, user, pass), short(t, s, "diane", right)
	s.MustControl("PUT", "/api/v1/users/diane/password", api.NewPassword{Password: "another password"}, nil)

	s.Stop()
	s = basicAndToken(t, jetontest.DataDir(dir))
	for tok, want := range map[string]int{tok: 200, ended: 401} {
		a := s.Ask("GET", basicService, "/protected-resource", "Authorization", basic(tok, "blank"))
		if a.Status != want {
			t.Errorf("%d %s, want %d", a.Status, a.Body, want)
		}
	}
}
