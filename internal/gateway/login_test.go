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

// easy keeps guessing limits out of tests that are about something else.
const easy = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
`

const door = `
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

// people makes those that the login door is tried with.
func people(s *jetontest.Server) {
	s.AddUser("diane", right, "staff")
	s.AddUser("gone", right, "staff")
	s.MustControl("PUT", "/api/v1/users/gone/disabled", api.Disabled{Disabled: true}, nil)
}

// TestUniformFailure checks that a stranger learns nothing about who exists.
func TestUniformFailure(t *testing.T) {
	s := jetontest.Start(t, easy+door)
	people(s)

	strip := func(a jetontest.Answer) string {
		a.Header.Del("Date")
		text := strings.ReplaceAll(a.Body, a.Request(), "ID")
		a.Header.Del("X-Request-Id")
		return fmt.Sprintf("%d %v %s", a.Status, a.Header, text)
	}

	want := strip(s.TryEnter("shop", "diane", "wrong password"))
	if !strings.HasPrefix(want, "401 ") || !strings.Contains(want, "bad_credential") {
		t.Fatalf("a wrong password is answered %s", want)
	}

	for _, tc := range []struct{ name, user, password string }{
		{"a name that nobody has", "nobody", right},
		{"a name that nobody can have", "no body", right},
		{"a name with a colon", "diane:x", right},
		{"a name that begins like a token", "jtn_s_x", right},
		{"a name that is too long", strings.Repeat("n", 4000), right},
		{"a name that is no UTF-8", "\xff\xfe", right},
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
				t.Errorf("answer\n%s, want\n%s", got, want)
			}
		})
	}

	t.Run("somebody who may not log in here is told only after the password", func(t *testing.T) {
		s.AddUser("guest", right)
		if got := strip(s.TryEnter("shop", "guest", "wrong password")); got != want {
			t.Errorf("wrong password: %s", got)
		}
		if a := s.TryEnter("shop", "guest", right); a.Status != 403 || a.Code() != "forbidden" || a.Cookies() != "" {
			t.Errorf("right password: %d %s, want 403 forbidden", a.Status, a.Code())
		}
	})
}

// TestLongPassword checks that a password which is too long to be one is refused as a
// wrong one is. That it takes the same work is package password's to prove.
func TestLongPassword(t *testing.T) {
	s := jetontest.Start(t, easy+door)
	people(s)
	short := s.TryEnter("shop", "diane", "wrong password")
	long := s.TryEnter("shop", "diane", strings.Repeat("p", 15<<10))
	if short.Status != 401 || long.Status != short.Status || long.Code() != short.Code() {
		t.Errorf(
			"a wrong password: %d %s; a long one: %d %s; want 401 and the same",
			short.Status,
			short.Code(),
			long.Status,
			long.Code(),
		)
	}
}

func TestLoginBodies(t *testing.T) {
	s := jetontest.Start(t, easy+door)
	people(s)
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
				t.Errorf("the answer shows what was sent: %s", a.Body)
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
				t.Errorf("%d, cookies %q", a.Status, a.Cookies())
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
			t.Errorf("/sub/: %d", a.Status)
		}
		if a := s.Send(s.Client(), "POST", s.URL("shop")+"/sub/x", good, "Content-Type", form); a.Status != 404 {
			t.Errorf("/sub/x: %d", a.Status)
		}
	})

	t.Run("JSON for who asks for it", func(t *testing.T) {
		a := s.Send(
			s.Client(),
			"POST",
			s.URL("shop")+"/login",
			good,
			"Content-Type",
			form,
			"Accept",
			"application/json",
		)

		_, secret, _ := strings.Cut(a.Cookies(), "=")
		if a.Status != 200 || !strings.Contains(a.Body, `"user":"diane"`) || strings.Contains(a.Body, secret) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// TestOtherOrigins checks that a page of another site can neither log a browser in nor out.
func TestOtherOrigins(t *testing.T) {
	s := jetontest.Start(t, easy+door)
	people(s)
	own := s.URL("shop")
	for _, tc := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"no browser", nil, true},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, true},
		{"typed by the user", []string{"Sec-Fetch-Site", "none"}, true},
		{"our own page, an old browser", []string{"Origin", own}, true},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"a neighbouring host", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://x.localhost"}, false},
		{"another site, an old browser", []string{"Origin", "https://evil.example"}, false},
		{"a page without an origin", []string{"Origin", "null"}, false},
		{"another site that says it is ours", []string{"Sec-Fetch-Site", "cross-site", "Origin", own}, false},
		{"another port", []string{"Origin", "https://localhost:1"}, false},
		{"our name within another", []string{"Origin", own + ".evil.example"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.Enter("shop", "diane", right)
			in := s.TryEnter("shop", "diane", right, tc.header...)
			out := s.Ask("POST", "shop", "/logout", append(tc.header, "Cookie", c)...)
			after := s.Ask("GET", "shop", "/me", "Cookie", c)

			if tc.ok != (in.Status == 200) || tc.ok != (in.Cookies() != "") || !tc.ok && in.Code() != "forbidden" {
				t.Errorf("login: %d %s, cookies %q", in.Status, in.Code(), in.Cookies())
			}

			if tc.ok != (out.Status == 200) || tc.ok == (after.Status == 200) ||
				!tc.ok && len(out.Header["Set-Cookie"]) > 0 {
				t.Errorf("logout: %d %s; afterwards the session is answered %d", out.Status, out.Code(), after.Status)
			}
		})
	}
}

// TestThrottle guesses from many addresses behind a trusted proxy.
func TestThrottle(t *testing.T) {
	var offset atomic.Int64
	s := jetontest.Start(t, "trusted_proxies: [127.0.0.1]\nthrottle: {pair_burst: 3, pair_every: 90s, account_burst: 6, account_every: 60s, source_burst: 5, source_every: 15s}\n"+
		door,
		jetontest.Clock(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }))

	people(s)
	s.AddUser("eshana", right, "staff")

	try := func(from, name, password string) jetontest.Answer {
		return s.TryEnter("shop", name, password, "X-Forwarded-For", from)
	}
	if a := try("192.0.2.1", "diane", right); a.Status != 200 {
		t.Fatalf("the owner cannot log in: %d", a.Status)
	}

	t.Run("one account from one address", func(t *testing.T) {
		for i, name := range []string{"diane", "Diane", "DIANE", "diane"} {
			a := try("198.51.100.1", name, "wrong")
			if i < 3 && a.Status != 401 || i == 3 && (a.Status != 429 || a.Code() != "too_many_attempts") {
				t.Errorf("attempt %d: %d %s", i+1, a.Status, a.Code())
			}

			wait := a.Header.Get("Retry-After")
			if i == 3 && wait != "90" && wait != "89" {
				t.Errorf("Retry-After %q, want some 90 seconds", wait)
			}
		}

		if a := try("198.51.100.1", "diane", right); a.Status != 429 {
			t.Errorf("the right password, too early: %d, want 429", a.Status)
		}
	})

	t.Run("one account from many addresses, and the owner still gets in", func(t *testing.T) {
		var last jetontest.Answer
		for i := range 8 {
			last = try(fmt.Sprintf("203.0.113.%d", i+1), "diane", "wrong")
		}

		if last.Status != 429 {
			t.Errorf("the last of the strangers: %d, want 429", last.Status)
		}
		if a := try("203.0.113.200", "diane", right); a.Status != 429 {
			t.Errorf("a stranger with the right password: %d, want 429", a.Status)
		}
		if a := try("192.0.2.1", "diane", right); a.Status != 200 {
			t.Errorf("the owner from home: %d %s, want 200", a.Status, a.Code())
		}

		if a := try("192.0.2.9", "eshana", right); a.Status != 200 {
			t.Errorf("somebody else: %d %s, want 200", a.Status, a.Code())
		}
	})

	t.Run("many accounts from one address, whether they exist or not", func(t *testing.T) {
		for i := range 6 {
			a := try("198.51.100.77", fmt.Sprintf("made-up-%d", i), "wrong")
			want := map[bool]int{true: 401, false: 429}[i < 5]
			if a.Status != want {
				t.Errorf("attempt %d: %d, want %d", i+1, a.Status, want)
			}
		}
	})

	t.Run("an address of one's own choice in front of the proxy's does not help", func(t *testing.T) {
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

// TestHashingQueue logs in more people at once than there is room for.
func TestHashingQueue(t *testing.T) {
	s := jetontest.Start(t, easy+"hashing: {workers: 1, queue: 1}\n"+door, jetontest.FullHash())
	people(s)
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
		t.Errorf("a session during the flood: %d, want 200", a.Status)
	}
	if wg.Wait(); in.Load() == 0 || busy.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d logged in, %d told to wait, %d answered otherwise", in.Load(), busy.Load(), other.Load())
	}
	if a := s.TryEnter("shop", "diane", right); a.Status != 200 {
		t.Errorf("afterwards: %d, want 200", a.Status)
	}
}
