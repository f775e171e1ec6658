package teaching_test

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
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// testClock is a clock that the test sets.
type testClock struct{ at atomic.Int64 }

func newTestClock(at time.Time) *testClock {
	c := &testClock{}
	c.set(at)
	return c
}

func (c *testClock) now() time.Time   { return time.Unix(0, c.at.Load()) }
func (c *testClock) set(at time.Time) { c.at.Store(at.UnixNano()) }

// futureTokens is a server of examples/future-tokens with its client.
type futureTokens struct {
	*jetontest.Server
	key   *rsa.PrivateKey
	clock *testClock
	log   *lines
}

var start = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// startFutureTokens starts the example, with texts of its configuration replaced (old, new).
func startFutureTokens(t *testing.T, replace ...string) futureTokens {
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

	c, l := newTestClock(start), &lines{}
	s := jetontest.Start(
		t, strings.NewReplacer(replace...).Replace(string(yaml)), jetontest.Clock(c.now),
		jetontest.DataDir(dir), jetontest.Log(l, slog.LevelInfo),
	)

	return futureTokens{
		Server: s,
		key:    key,
		clock:  c,
		log:    l,
	}
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jws returns a JWT made by hand (RFC 7515, section 7.1), so that any part can be wrong.
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

// hs256 signs with a symmetric key. With the PEM of a public key as that key it is the
// attack of algorithm confusion (RFC 8725, section 2.1).
func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, secret)
		m.Write(input)
		return m.Sum(nil)
	}
}

const headRS256 = `{"alg":"RS256","typ":"JWT"}`

// replaceClaims returns a JWT with other claims and the same signature.
func replaceClaims(token, claims string) string {
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(claims))
	return strings.Join(parts, ".")
}

func (s futureTokens) login(body string) jetontest.Answer {
	return s.Send(s.Client(), "POST", s.URL("future-tokens")+"/login", body)
}

func (s futureTokens) request(body string) jetontest.Answer {
	return s.Send(s.Client(), "POST", s.URL("future-tokens")+"/", body)
}

// enter logs in as the teaching client does, and returns the token.
func (s futureTokens) enter(t *testing.T) string {
	t.Helper()
	a := s.login(jws(headRS256, `{"iss":"client"}`, rs256(s.key)))
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/jwt" {
		t.Fatalf("login = %d %s %q, want 200 application/jwt", a.Status, a.Header.Get("Content-Type"), a.Body)
	}

	return a.Body
}

func TestTokenClaims(t *testing.T) {
	s := startFutureTokens(t)
	parts := strings.Split(s.enter(t), ".")
	var head struct{ Alg, Typ string }
	var claims struct {
		Iss, Sub, Aud string
		Iat, Nbf, Exp int64
	}
	for i, into := range []any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatalf("part %d of the token = %q, want JSON in base64url", i, parts[i])
		}
	}

	now := start.Unix()
	if head.Alg != "RS256" || claims.Iss != s.Issuer() || claims.Sub != "client" || claims.Iat != now ||
		claims.Nbf != now+10 ||
		claims.Exp != now+30 {
		t.Errorf("token is %+v %+v, want RS256 by %s for client, from %d to %d",
			head, claims, s.Issuer(), now+10, now+30)
	}

	for _, option := range []string{
		"teaching.iss_only",
		"teaching.assertion_login",
		"teaching.token_in_body",
		"teaching.whole_seconds",
		"plain_http",
		"keyserver",
	} {
		if !strings.Contains(s.log.String(), `"option":"`+option+":") {
			t.Errorf("the start-up log does not name option %s", option)
		}
	}
}

// TestTokenEveryFiveSeconds sends a request every 5 s from the login on, at any point of a second.
func TestTokenEveryFiveSeconds(t *testing.T) {
	s := startFutureTokens(t)
	for _, fraction := range []time.Duration{0, time.Nanosecond, 400 * time.Millisecond, 999_999_999} {
		at := s.clock.now().Truncate(time.Second).Add(time.Minute + fraction)
		s.clock.set(at)
		tok := s.enter(t)
		got := ""
		for n := range 8 {
			s.clock.set(at.Add(time.Duration(n) * 5 * time.Second))
			a := s.request(tok)
			switch {
			case a.Status == 200 && len(a.Body) > 20 && !strings.Contains(a.Body, "\n") &&
				a.Header.Get("Content-Type") == "text/plain; charset=utf-8":
				got += "w"
			case a.Status == 403 && a.Body == "The token is not yet valid (nbf)":
				got += "e"
			case a.Status == 403 && a.Body == "Signature has expired":
				got += "x"
			default:
				t.Errorf("request %d s after %v = %d %q, want 200 or a refusal", 5*n, fraction, a.Status, a.Body)
			}
		}

		if got != "eewwwwwx" {
			t.Errorf(
				"requests every 5 s from %v into a second: %s, want early twice, valid five times, then expired",
				fraction, got,
			)
		}
	}

	// The response is picked at random.
	at := s.clock.now()
	tok, texts := s.enter(t), map[string]bool{}
	s.clock.set(at.Add(15 * time.Second))

	for range 100 {
		texts[s.request(tok).Body] = true
	}

	if len(texts) < 3 {
		t.Errorf("100 responses have %d different texts %v, want at least 3", len(texts), texts)
	}
}

func TestTokenWindow(t *testing.T) {
	s := startFutureTokens(t)
	tok := s.enter(t)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
		text  string
	}{
		{"at the login", 0, 403, "The token is not yet valid (nbf)"},
		{"the last moment before it opens", 10*time.Second - 1, 403, "The token is not yet valid (nbf)"},
		{"as it opens", 10 * time.Second, 200, ""},
		{"in the second of the expiry", 30 * time.Second, 200, ""},
		{"the last moment of it", 31*time.Second - 1, 200, ""},
		{"a second after the expiry", 31 * time.Second, 403, "Signature has expired"},
		{"a day later", 24 * time.Hour, 403, "Signature has expired"},
		{"the clock has jumped back into the window", 20 * time.Second, 200, ""},
		{"the clock has jumped back before the login", -time.Hour, 403, "The token is not yet valid (nbf)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.clock.set(start.Add(tc.after))
			a := s.request(tok)
			if a.Status != tc.want || tc.want != 200 && a.Body != tc.text {
				t.Errorf("request is %d %q, want %d %q", a.Status, a.Body, tc.want, tc.text)
			}
		})
	}
}

// TestTokenWindowWithoutWholeSeconds checks that the option alone makes the second of the expiry count, and the delay
// short.
func TestTokenWindowWithoutWholeSeconds(t *testing.T) {
	s := startFutureTokens(t, "      whole_seconds: true", "")
	s.clock.set(start.Add(999 * time.Millisecond))
	tok := s.enter(t)

	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"less than the delay after the login", 10999*time.Millisecond - 1, 403},
		{"as it opens", 11 * time.Second, 200},
		{"the last moment", 30*time.Second - 1, 200},
		{"as it closes", 30 * time.Second, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.clock.set(start.Add(tc.after))
			a := s.request(tok)
			if a.Status != tc.want {
				t.Errorf("request is %d %q, want %d", a.Status, a.Body, tc.want)
			}
		})
	}
}

// TestATokenInTheBodyIsATokenWhereFactorsAreRequired has a token of a user, who showed the factors as it was created.
func TestATokenInTheBodyIsATokenWhereFactorsAreRequired(t *testing.T) {
	s := startFutureTokens(t, "    teaching:", "    require: {factors: 2}\n    teaching:")
	s.AddUser("diane", "a long enough password")
	made := s.AddToken(jetontest.NewToken{User: "diane", Name: "ci", Services: []string{"future-tokens"}})

	if a := s.request(made.Secret); a.Status != 200 {
		t.Errorf("request is %d %q, want 200", a.Status, a.Body)
	}
}

// forbiddenListener returns the address of a listener that no test should connect to, and the
// number of connections.
func forbiddenListener(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	connections = &atomic.Int64{}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}

			connections.Add(1)
			_ = c.Close()
		}
	}()

	return l.Addr().String(), connections
}

// TestAssertions has attacks on JWTs, such as those of RFC 8725 (section 2), beside what
// must be accepted.
func TestAssertions(t *testing.T) {
	s := startFutureTokens(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}

	address, connections := forbiddenListener(t)
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
		{"an unknown issuer", iss("unknown"), 401},
		{"an issuer in another case", iss("Client"), 401},
		{"an issuer that would be another parameter", iss("client&identity=other"), 401},
		{"an issuer that would be another path", iss("../client"), 401},
		{"an issuer that is an address", iss("http://" + address + "/client"), 401},
		{"an unknown issuer and an unknown key", jws(headRS256, `{"iss":"unknown"}`, theirs), 401},
		{"a valid one, used again: iss_only permits it", good, 200},
		{"spaces and an end of line around", " " + good + "\r\n", 200},
		{"the signature of another key", jws(headRS256, `{"iss":"client"}`, theirs), 403},
		{"one bit of the signature", good[:len(good)-2] + string(good[len(good)-2]^1) + good[len(good)-1:], 403},
		{"claims changed after signing", replaceClaims(good, `{"iss":"client","x":1}`), 403},
		{
			"HS256 with the public key for a secret",
			jws(`{"alg":"HS256"}`, `{"iss":"client"}`, hs256(publicPEM(t, s.key))),
			403,
		},
		{"HS256 with a secret", jws(`{"alg":"HS256"}`, `{"iss":"client"}`, hs256([]byte("secret"))), 403},
		{"none", jws(`{"alg":"none"}`, `{"iss":"client"}`, func([]byte) []byte { return nil }), 403},
		{"None", jws(`{"alg":"None"}`, `{"iss":"client"}`, func([]byte) []byte { return nil }), 403},
		{"RS512 in the header, RS256 in the signature", jws(`{"alg":"RS512"}`, `{"iss":"client"}`, mine), 403},
		{"a key to be fetched (jku)", head(`"jku":"http://` + address + `/jwks.json"`), 403},
		{"a certificate to be fetched (x5u)", head(`"x5u":"http://` + address + `/cert.pem"`), 403},
		{"a key identifier that is an address", head(`"kid":"http://` + address + `/key"`), 403},
		{"a key identifier that is a path", head(`"kid":"../../../dev/null"`), 403},
		{"an expiry in the past", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now-1), mine), 403},
		{"an expiry that is now", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now), mine), 403},
		{"an expiry in the future", jws(headRS256, fmt.Sprintf(`{"iss":"client","exp":%d}`, now+30), mine), 200},
		{"not before much later", jws(headRS256, fmt.Sprintf(`{"iss":"client","nbf":%d}`, now+3600), mine), 403},
		{"another audience", jws(headRS256, `{"iss":"client","aud":"https://elsewhere.example"}`, mine), 403},
		{"another subject", jws(headRS256, `{"iss":"client","sub":"admin"}`, mine), 403},
		{"no issuer", jws(headRS256, `{}`, mine), 403},
		{"an issuer that is a number", jws(headRS256, `{"iss":1}`, mine), 403},
		{"an issuer twice", jws(headRS256, `{"iss":"client","iss":"other"}`, mine), 403},
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
				t.Fatalf("login is %d %q, want %d", a.Status, a.Body, tc.status)
			}

			kind := a.Header.Get("Content-Type")
			isText := kind == "text/plain; charset=utf-8" && a.Body != "" && !strings.Contains(a.Body, "{")
			if a.Status != 200 && !isText {
				t.Errorf("the refusal is %s %q, want a plain text", kind, a.Body)
			}
		})
	}

	if a := s.login(strings.Repeat("x", 1<<20)); a.Status < 400 || a.Status >= 500 {
		t.Errorf("login with 1 MiB is %d %q, want 4xx", a.Status, a.Body)
	}

	n := connections.Load()
	if n != 0 {
		t.Errorf("the server connected %d times to an address in an assertion, want 0", n)
	}
}

func TestInvalidTokens(t *testing.T) {
	s, elsewhere := startFutureTokens(t), startFutureTokens(t)
	tok, foreign := s.enter(t), elsewhere.enter(t)

	for _, c := range []*testClock{s.clock, elsewhere.clock} {
		c.set(start.Add(15 * time.Second))
	}

	if a, b := s.request(tok), elsewhere.request(foreign); a.Status != 200 || b.Status != 200 {
		t.Fatalf("each token at its own server: %d %q, %d %q, want 200", a.Status, a.Body, b.Status, b.Body)
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
		{"its claims, without a signature", jws(`{"alg":"none"}`, string(claims), func([]byte) []byte { return nil })},
		{"a longer life", parts[0] + "." + longer + "." + parts[2]},
		{"an empty signature", parts[0] + "." + parts[1] + "."},
		{"a signature cut short", tok[:len(tok)-4]},
		{"one bit of the signature", tok[:len(tok)-2] + string(tok[len(tok)-2]^1) + tok[len(tok)-1:]},
		{"twice", tok + tok},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := s.request(tc.body); a.Status != 403 || a.Body != "A valid token is required" {
				t.Errorf("request is %d %q, want 403 \"A valid token is required\"", a.Status, a.Body)
			}
		})
	}

	if a := s.request(" " + tok + "\n"); a.Status != 200 {
		t.Errorf("request with a line break behind the token is %d %q, want 200", a.Status, a.Body)
	}
}
