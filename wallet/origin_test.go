package wallet

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParseOrigin(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"https://app.example/login?x=1#y", "https://app.example"},
		{"HTTPS://App.EXAMPLE:443", "https://app.example"},
		{"https://app.example:0443/", "https://app.example"},
		{"http://app.example:80/", "http://app.example"},
		{"http://app.example:443/", "http://app.example:443"},
		{"https://app.example:8443", "https://app.example:8443"},
		{"https://Bücher.example/", "https://xn--bcher-kva.example"},
		{"https://[::1]:8443/", "https://[::1]:8443"},
		{"https://[0:0::0:1]/", "https://[::1]"},
		{"https://[::ffff:127.0.0.1]/", "https://127.0.0.1"},
		{"https://my_host:1", "https://my_host:1"},
		{"https://diane:pw@app.example", ""},
		{"https://diane@app.example", ""},
		{"ftp://app.example", ""},
		{"app.example", ""},
		{"localhost:8443", ""},
		{"//app.example", ""},
		{"https://", ""},
		{"https:app.example", ""},
		{"https://app.example./", ""},
		{"https://app..example/", ""},
		{"https://-app.example/", ""},
		{"https://127.1/", ""},
		{"https://2130706433/", ""},
		{"https://0x7f000001/", ""},
		{"https://[fe80::1%25eth0]/", ""},
		{"https://app.example:0/", ""},
		{"https://app.example:65536/", ""},
		{"https://app。example/", ""},
		{"https://app.example\\@evil.example/", ""},
		{"https://app example/", ""},
	} {
		got, err := ParseOrigin(tc.url)
		if string(got) != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("ParseOrigin(%q) = %q, %v, want %q", tc.url, got, err, tc.want)
		}
		if err != nil && (!errors.Is(err, jeton.ErrInvalid) || strings.Contains(err.Error(), "pw")) {
			t.Errorf("ParseOrigin(%q): %v, want ErrInvalid without the URL", tc.url, err)
		}
	}
}

// FuzzParseOrigin checks that an origin has one form: two forms of one server would be two
// identities, and one form of two servers would send a secret to the wrong one.
func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{
		"https://app.example:8443/x",
		"http://[::1]",
		"https://bücher.example",
		"https://a:b@c",
		"https://0x7f.1",
		"https://xn--",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseOrigin(text)
		if err != nil {
			return
		}
		if again, err := ParseOrigin(string(o)); err != nil || again != o {
			t.Errorf("ParseOrigin(%q) = %q, and of that %q, %v; want its normal form", text, o, again, err)
		}

		u, err := url.Parse(string(o))
		if err != nil || u.Host != o.hostport() || u.Scheme != o.scheme() || u.Path != "" || u.User != nil {
			t.Errorf("url.Parse of origin %q = %#v, %v; want its scheme and host only", o, u, err)
		}
		if strings.ToLower(string(o)) != string(o) {
			t.Errorf("origin = %q, want lower case", o)
		}
	})
}

func TestPlainHTTP(t *testing.T) {
	for _, tc := range []struct {
		origin Origin
		plain  bool
		ok     bool
	}{
		{"https://app.example", false, true},
		{"http://app.example", false, false},
		{"http://app.example", true, true},
		{"http://localhost:8080", false, true},
		{"http://127.3.2.1", false, true},
		{"http://[::1]:8080", false, true},
		{"http://localhost.example", false, false},
		{"http://10.0.0.1", false, false},
	} {
		if err := tc.origin.allow(tc.plain); (err == nil) != tc.ok {
			t.Errorf("allow(%s, plain HTTP %v) = %v, want nil: %t", tc.origin, tc.plain, err, tc.ok)
		}
	}

	_, err := newWallet(t).Login(t.Context(), Login{
		URL:      "http://app.example",
		As:       "diane",
		Password: jeton.NewSecret("x"),
	})
	if !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("Login over plain http = %v, want ErrInvalid", err)
	}
}

func TestCookieRules(t *testing.T) {
	const (
		secure = Origin("https://app.example")
		plain  = Origin("http://app.example")
		loop   = Origin("http://localhost:1")
	)
	for _, tc := range []struct {
		name   string
		origin Origin
		set    string // at /a/login
		path   string
		after  time.Duration
		want   string
	}{
		{"is sent back", secure, "s=1; Path=/", "/x", 0, "s=1"},
		{"the default path is the folder", secure, "s=1", "/a/b", 0, "s=1"},
		{"another folder", secure, "s=1", "/b", 0, ""},
		{"a path matches whole segments", secure, "s=1; Path=/a", "/ab", 0, ""},
		{"a path matches itself", secure, "s=1; Path=/a", "/a", 0, "s=1"},
		{"Domain is ignored", secure, "s=1; Path=/; Domain=example", "/x", 0, "s=1"},
		{"Secure is not set by plain http", plain, "s=1; Path=/; Secure", "/x", 0, ""},
		{"Secure is set by localhost", loop, "s=1; Path=/; Secure", "/x", 0, "s=1"},
		{"a valid __Host-", secure, "__Host-s=1; Path=/; Secure", "/x", 0, "__Host-s=1"},
		{"__Host- without Secure", secure, "__Host-s=1; Path=/", "/x", 0, ""},
		{"__Host- with a path", secure, "__Host-s=1; Path=/a; Secure", "/a", 0, ""},
		{"__Host- with a domain", secure, "__host-s=1; Path=/; Secure; Domain=app.example", "/x", 0, ""},
		{"__Secure- without Secure", secure, "__Secure-s=1; Path=/", "/x", 0, ""},
		{"just before Max-Age", secure, "s=1; Path=/; Max-Age=10", "/x", 9 * time.Second, "s=1"},
		{"at Max-Age", secure, "s=1; Path=/; Max-Age=10", "/x", 10 * time.Second, ""},
		{
			"Max-Age overrides Expires",
			secure,
			"s=1; Path=/; Max-Age=10; Expires=Sun, 01 Mar 2020 12:00:00 GMT",
			"/x",
			0,
			"s=1",
		},
		{"after Expires", secure, "s=1; Path=/; Expires=Sun, 01 Mar 2026 12:00:10 GMT", "/x", 11 * time.Second, ""},
		{"a large Max-Age does not overflow", secure, "s=1; Path=/; Max-Age=9000000000", "/x", time.Hour, "s=1"},
		{"quotes are kept", secure, `s="1"; Path=/`, "/x", 0, `s="1"`},
		{"too large", secure, "s=" + strings.Repeat("x", 5000), "/a/x", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := &http.Response{Header: http.Header{"Set-Cookie": {tc.set}}}
			j, _ := jar(nil).learn(tc.origin, "/a/login", resp.Cookies(), noon)
			r := &http.Request{Header: http.Header{}}
			addTo(r, j.send(tc.origin, tc.path, noon.Add(tc.after)))
			got := r.Header.Get("Cookie")
			if got != tc.want {
				t.Errorf("sent %q, want %q", got, tc.want)
			}
		})
	}
}

func TestJarLearnsCookies(t *testing.T) {
	const o = Origin("https://app.example")
	learn := func(j jar, set string, at time.Time) (jar, change) {
		return j.learn(o, "/", (&http.Response{Header: http.Header{"Set-Cookie": {set}}}).Cookies(), at)
	}

	first, what := learn(nil, "s=1; Max-Age=60", noon)
	if what != changed || len(first) != 1 {
		t.Fatalf("a new cookie: %v, %v; want changed", first, what)
	}
	if j, what := learn(first, "s=1; Max-Age=60", noon); what != same || len(j) != 1 {
		t.Errorf("the same cookie: %v, %v, want same", j, what)
	}

	later, what := learn(first, "s=1; Max-Age=90", noon)
	if what != touched || !later.expires().Equal(noon.Add(90*time.Second)) {
		t.Errorf("a later expiry: %v, %v, want touched", later, what)
	}
	if j, what := learn(first, "s=; Max-Age=0", noon); what != changed || len(j) != 0 {
		t.Errorf("a removal: %v, %v, want an empty jar", j, what)
	}
	if len(first) != 1 || first[0].Value != "1" {
		t.Errorf("old jar = %v, want it unchanged", first)
	}

	full := first
	for i := range 2 * maxCookies {
		full, _ = learn(full, "n"+strings.Repeat("x", i)+"=1", noon.Add(time.Second))
	}

	if len(full) != maxCookies {
		t.Errorf("the jar holds %d cookies, want %d", len(full), maxCookies)
	}
}

// TestMergeKeepsTheLaterCookie merges what two processes got in one session, in either
// order.
func TestMergeKeepsTheLaterCookie(t *testing.T) {
	old := jar{{
		Name:  "s",
		Value: "old",
		Path:  "/",
		Set:   noon,
	}, {Name: "a", Path: "/", Set: noon}}
	late := jar{{
		Name:  "s",
		Value: "new",
		Path:  "/",
		Set:   noon.Add(time.Second),
	}}
	for _, j := range []jar{old.merge(late), late.merge(old)} {
		if len(j) != 2 || !j.equal(jar{late[0], old[1]}) {
			t.Errorf("merge = %v, want the later s, and a", j)
		}
	}
}
