package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// easy lifts the limits on guessing, for tests that are about something else.
const easy = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
`

const shop = `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login, /sub/], allow: {groups: [staff]}}
    logout: /logout
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

const (
	form  = "application/x-www-form-urlencoded"
	right = "correct horse battery"
)

// addUsers adds the users that log in: one is disabled.
func addUsers(s *jetontest.Server) {
	s.AddUser("diane", right, "staff")
	s.AddUser("gone", right, "staff")
	s.MustControl("PUT", "/api/v1/users/gone/disabled", api.Disabled{Disabled: true}, nil)
}

// TestUniformFailure checks that a failed login does not show which names exist.
func TestUniformFailure(t *testing.T) {
	s := jetontest.Start(t, easy+shop)
	addUsers(s)

	strip := func(a jetontest.Answer) string {
		a.Header.Del("Date")
		text := strings.ReplaceAll(a.Body, a.Request(), "ID")
		a.Header.Del("X-Request-Id")
		return fmt.Sprintf("%d %v %s", a.Status, a.Header, text)
	}

	want := strip(s.TryEnter("shop", "diane", "wrong password"))
	if !strings.HasPrefix(want, "401 ") || !strings.Contains(want, "bad_credential") {
		t.Fatalf("login with a wrong password is %s, want 401 bad_credential", want)
	}

	for _, tc := range []struct{ name, user, password string }{
		{"an unknown name", "unknown", right},
		{"an invalid name", "un known", right},
		{"a name with a colon", "diane:x", right},
		{"a name that begins like a token", "jtn_s_x", right},
		{"a name that is too long", strings.Repeat("n", 4000), right},
		{"a name with a NUL", "diane\x00", right},
		{"a name with a space after it", "diane ", right},
		{"a disabled account with its password", "gone", right},
		{"a disabled account with another", "gone", "wrong password"},
		{"the password in other case", "diane", strings.ToUpper(right)},
		{"the password and a space", "diane", right + " "},
		{"the password and a NUL", "diane", right + "\x00"},
		{"the password cut short", "diane", right[:8]},
		{"a password of 1025 bytes", "diane", strings.Repeat("p", 1025)},
		{"a password of 12 KiB", "diane", strings.Repeat("p", 12<<10)},
		{"the stored form of a password", "diane", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strip(s.TryEnter("shop", tc.user, tc.password)); got != want {
				t.Errorf("login is\n%s, want\n%s", got, want)
			}
		})
	}

	t.Run("a user who may not log in here gets 403 only with the right password", func(t *testing.T) {
		s.AddUser("guest", right)
		if got := strip(s.TryEnter("shop", "guest", "wrong password")); got != want {
			t.Errorf("login with a wrong password is\n%s, want\n%s", got, want)
		}
		if a := s.TryEnter("shop", "guest", right); a.Status != 403 || a.Code() != "forbidden" || a.Cookies() != "" {
			t.Errorf("login with the right password is %d %s, want 403 forbidden", a.Status, a.Code())
		}
	})
}

// TestLongPassword checks that a password which is too long is refused like a wrong one. The
// tests of package password check that it takes the same work.
func TestLongPassword(t *testing.T) {
	s := jetontest.Start(t, easy+shop)
	addUsers(s)
	short := s.TryEnter("shop", "diane", "wrong password")
	long := s.TryEnter("shop", "diane", strings.Repeat("p", 15<<10))
	if short.Status != 401 || long.Status != short.Status || long.Code() != short.Code() {
		t.Errorf(
			"a wrong password: %d %s; a long one: %d %s; want 401 and the same",
			short.Status, short.Code(), long.Status, long.Code(),
		)
	}
}

func TestLoginBodies(t *testing.T) {
	s := jetontest.Start(t, easy+shop)
	addUsers(s)
	good := url.Values{"username": {"diane"}, "password": {right}}.Encode()
	object := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	for _, tc := range []struct {
		name, kind, body string
		status           int
		code             string
	}{
		{"a form", form, good, 200, ""},
		{"a form with a charset", form + "; charset=utf-8", good, 200, ""},
		{"a form with other fields", form, good + "&remember=1&x=", 200, ""},
		{"JSON", "application/json", object(map[string]string{"username": "diane", "password": right}), 200, ""},
		{
			"JSON with other members",
			"application/json",
			object(map[string]any{
				"username": "diane",
				"password": right,
				"a":        []int{1},
				"b":        nil,
			}),
			200,
			"",
		},
		{"nothing", form, "", 401, "no_credential"},
		{"nothing, of no type", "", "", 401, "no_credential"},
		{"an empty object", "application/json", "{}", 401, "no_credential"},
		{"a name alone", form, "username=diane", 401, "no_credential"},
		{"a password alone", form, "password=" + url.QueryEscape(right), 401, "no_credential"},
		{"an empty password", form, "username=diane&password=", 401, "no_credential"},
		{"fields in other case", form, "Username=diane&PASSWORD=" + url.QueryEscape(right), 401, "no_credential"},
		{
			"a password that is a number",
			"application/json",
			`{"username": "diane", "password": 42}`,
			401,
			"no_credential",
		},
		{
			"a password that is a list",
			"application/json",
			`{"username": "diane", "password": ["` + right + `"]}`,
			401,
			"no_credential",
		},
		{
			"a password that is true",
			"application/json",
			`{"username": "diane", "password": true}`,
			401,
			"no_credential",
		},
		{"two names", form, "username=gone&" + good, 400, "invalid_request"},
		{"two passwords", form, good + "&password=x", 400, "invalid_request"},
		{
			"two names in JSON",
			"application/json",
			`{"username": "gone", "username": "diane", "password": "` + right + `"}`,
			400,
			"invalid_request",
		},
		{
			"two passwords in JSON, one a number",
			"application/json",
			`{"username": "diane", "password": 1, "password": "` + right + `"}`,
			400,
			"invalid_request",
		},
		{"a broken escape", form, "username=diane&password=%zz", 400, "invalid_request"},
		{"a semicolon between fields", form, "username=diane;password=x", 400, "invalid_request"},
		{"a hundred and two fields", form, good + strings.Repeat("&a=b", 100), 400, "invalid_request"},
		{"half an object", "application/json", `{"username": "diane"`, 400, "invalid_request"},
		{"two objects", "application/json", `{"username": "diane"} {}`, 400, "invalid_request"},
		{"a list", "application/json", `["diane", "x"]`, 400, "invalid_request"},
		{"null", "application/json", `null`, 400, "invalid_request"},
		{
			"deep JSON",
			"application/json",
			strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000),
			413,
			"too_large",
		},
		{
			"deep lists",
			"application/json",
			`{"a":` + strings.Repeat("[", 8000) + strings.Repeat("]", 7000) + "}",
			400,
			"invalid_request",
		},
		{"16 KiB and a byte", form, good + "&a=" + strings.Repeat("x", 16<<10), 413, "too_large"},
		{
			"JSON called a form",
			form,
			object(map[string]string{"username": "diane", "password": right}),
			401,
			"no_credential",
		},
		{"a form called JSON", "application/json", good, 400, "invalid_request"},
		{"plain text", "text/plain", good, 415, "unsupported_media_type"},
		{"no type", "", good, 415, "unsupported_media_type"},
		{"a type that is none", "///", good, 415, "unsupported_media_type"},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--", 415, "unsupported_media_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(s.Client(), "POST", s.URL("shop")+"/login", tc.body, "Content-Type", tc.kind)
			if a.Status != tc.status || a.Code() != tc.code || (a.Cookies() != "") != (tc.status == 200) {
				t.Errorf("%d %s, cookies %q, want %d %s", a.Status, a.Code(), a.Cookies(), tc.status, tc.code)
			}
			if strings.Contains(a.Body, right) || strings.Contains(a.Body, "%zz") {
				t.Errorf("answer = %s, want nothing of what was sent", a.Body)
			}
		})
	}

	for _, tc := range []struct{ name, method, path string }{
		{"in the query", "POST", "/login?" + good},
		{"in the query of a GET", "GET", "/login?" + good},
		{"half in the query", "POST", "/login?password=" + url.QueryEscape(right)},
	} {
		t.Run("a password "+tc.name+" is not looked at", func(t *testing.T) {
			a := s.Send(s.Client(), tc.method, s.URL("shop")+tc.path, "username=diane", "Content-Type", form)
			if a.Status < 400 || a.Cookies() != "" {
				t.Errorf("%d, cookies %q, want a refusal and none", a.Status, a.Cookies())
			}
		})
	}

	t.Run("Basic credentials are not looked at", func(t *testing.T) {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL("shop")+"/login", nil)
		r.SetBasicAuth("diane", right)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}

		if resp.Body.Close(); resp.StatusCode != 401 {
			t.Errorf("%d, want 401", resp.StatusCode)
		}
	})

	t.Run("a login path that ends in a slash is only itself", func(t *testing.T) {
		if a := s.Send(s.Client(), "POST", s.URL("shop")+"/sub/", good, "Content-Type", form); a.Status != 200 {
			t.Errorf("POST /sub/ is %d, want 200", a.Status)
		}
		if a := s.Send(s.Client(), "POST", s.URL("shop")+"/sub/x", good, "Content-Type", form); a.Status != 404 {
			t.Errorf("POST /sub/x is %d, want 404", a.Status)
		}
	})

	t.Run("JSON for a client that accepts only JSON", func(t *testing.T) {
		a := s.Send(
			s.Client(), "POST", s.URL("shop")+"/login", good, "Content-Type", form,
			"Accept", "application/json",
		)

		_, secret, _ := strings.Cut(a.Cookies(), "=")
		if a.Status != 200 || !strings.Contains(a.Body, `"user":"diane"`) || strings.Contains(a.Body, secret) {
			t.Errorf("%d %s, want 200 with the user, without the secret", a.Status, a.Body)
		}
	})
}

// TestOtherOrigins checks that a page of another site cannot log a browser in or out.
func TestOtherOrigins(t *testing.T) {
	s := jetontest.Start(t, easy+shop)
	addUsers(s)
	own := s.URL("shop")
	for _, tc := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"no browser", nil, true},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, true},
		{"an address typed by the user", []string{"Sec-Fetch-Site", "none"}, true},
		{"our own page, an old browser", []string{"Origin", own}, true},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"a neighbouring host", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://x.localhost"}, false},
		{"another site, an old browser", []string{"Origin", "https://evil.example"}, false},
		{"a page without an origin", []string{"Origin", "null"}, false},
		{"another site that claims our origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", own}, false},
		{"another port", []string{"Origin", "https://localhost:1"}, false},
		{"our name within another", []string{"Origin", own + ".evil.example"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.Enter("shop", "diane", right)
			in := s.TryEnter("shop", "diane", right, tc.header...)
			out := s.Ask("POST", "shop", "/logout", append(tc.header, "Cookie", c)...)
			after := s.Ask("GET", "shop", "/me", "Cookie", c)

			if tc.ok != (in.Status == 200) || tc.ok != (in.Cookies() != "") || !tc.ok && in.Code() != "forbidden" {
				t.Errorf("login is %d %s, cookies %q, want accepted: %t", in.Status, in.Code(), in.Cookies(), tc.ok)
			}

			if tc.ok != (out.Status == 200) || tc.ok == (after.Status == 200) ||
				!tc.ok && len(out.Header["Set-Cookie"]) > 0 {
				t.Errorf("logout is %d %s, and a request after it %d, want accepted: %t",
					out.Status, out.Code(), after.Status, tc.ok)
			}
		})
	}
}

// TestThrottle guesses passwords from many addresses behind a trusted proxy.
func TestThrottle(t *testing.T) {
	var offset atomic.Int64
	s := jetontest.Start(t, `
trusted_proxies: [127.0.0.1]
throttle:
  pair_burst: 3
  pair_every: 90s
  account_burst: 6
  account_every: 60s
  source_burst: 5
  source_every: 15s
`+shop, jetontest.Clock(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }))

	addUsers(s)
	s.AddUser("eshana", right, "staff")

	try := func(from, name, password string) jetontest.Answer {
		return s.TryEnter("shop", name, password, "X-Forwarded-For", from)
	}
	if a := try("192.0.2.1", "diane", right); a.Status != 200 {
		t.Fatalf("login of the owner is %d, want 200", a.Status)
	}

	t.Run("one account from one address", func(t *testing.T) {
		for i, name := range []string{"diane", "Diane", "DIANE", "diane"} {
			a := try("198.51.100.1", name, "wrong")
			if i < 3 && a.Status != 401 || i == 3 && (a.Status != 429 || a.Code() != "too_many_attempts") {
				t.Errorf("attempt %d is %d %s, want 401 three times, then 429", i+1, a.Status, a.Code())
			}

			wait := a.Header.Get("Retry-After")
			if i == 3 && wait != "90" && wait != "89" {
				t.Errorf("Retry-After is %q, want 89 or 90", wait)
			}
		}

		if a := try("198.51.100.1", "diane", right); a.Status != 429 {
			t.Errorf("login with the right password before Retry-After is %d, want 429", a.Status)
		}
	})

	t.Run("one account from many addresses, and the owner can still log in", func(t *testing.T) {
		var last jetontest.Answer
		for i := range 8 {
			last = try(fmt.Sprintf("203.0.113.%d", i+1), "diane", "wrong")
		}

		if last.Status != 429 {
			t.Errorf("the last guess is %d, want 429", last.Status)
		}
		if a := try("203.0.113.200", "diane", right); a.Status != 429 {
			t.Errorf("login with the right password from a new address is %d, want 429", a.Status)
		}
		if a := try("192.0.2.1", "diane", right); a.Status != 200 {
			t.Errorf("login of the owner from a known address is %d %s, want 200", a.Status, a.Code())
		}

		if a := try("192.0.2.9", "eshana", right); a.Status != 200 {
			t.Errorf("login of another user is %d %s, want 200", a.Status, a.Code())
		}
	})

	t.Run("many accounts from one address, whether they exist or not", func(t *testing.T) {
		for i := range 6 {
			a := try("198.51.100.77", fmt.Sprintf("made-up-%d", i), "wrong")
			want := map[bool]int{true: 401, false: 429}[i < 5]
			if a.Status != want {
				t.Errorf("attempt %d is %d, want %d", i+1, a.Status, want)
			}
		}
	})

	t.Run("an address that the client puts in front of its own changes nothing", func(t *testing.T) {
		if a := try("1.2.3.4, 198.51.100.77", "made-up", "wrong"); a.Status != 429 {
			t.Errorf("%d, want 429", a.Status)
		}
	})

	t.Run("waiting helps", func(t *testing.T) {
		offset.Store(int64(91 * time.Second))
		if a := try("198.51.100.1", "diane", right); a.Status != 200 {
			t.Errorf("%d %s, want 200", a.Status, a.Code())
		}
	})
}

// TestHashingQueue logs in more users at once than the queue for password hashes holds.
func TestHashingQueue(t *testing.T) {
	s := jetontest.Start(t, easy+"hashing: {workers: 1, queue: 1}\n"+shop, jetontest.FullHash())
	addUsers(s)
	session := s.Enter("shop", "diane", right)
	c := s.Client()
	var in, busy, other atomic.Int64

	var wg sync.WaitGroup

	body := url.Values{"username": {"diane"}, "password": {right}}.Encode()
	for range 24 {
		wg.Go(func() {
			a := s.Send(c, "POST", s.URL("shop")+"/login", body, "Content-Type", form)
			switch {
			case a.Status == 200:
				in.Add(1)
			case a.Status == 503 && a.Code() == "busy" && a.Header.Get("Retry-After") != "" && a.Cookies() == "":
				busy.Add(1)
			default:
				other.Add(1)
			}
		})
	}

	if a := s.Ask("GET", "shop", "/me", "Cookie", session); a.Status != 200 {
		t.Errorf("request with a session during the flood is %d, want 200", a.Status)
	}

	wg.Wait()
	if in.Load() == 0 || busy.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d logins succeed, %d are 503 busy, %d are other, want some, some and none",
			in.Load(), busy.Load(), other.Load())
	}

	if a := s.TryEnter("shop", "diane", right); a.Status != 200 {
		t.Errorf("login after the flood is %d, want 200", a.Status)
	}
}
