package forward_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// row is what a proxy sends: names and values of headers in turn.
type row []string

// with returns the row with a header changed. Without a value the header is removed.
func (r row) with(name string, values ...string) row {
	var changed row
	for i := 0; i+1 < len(r); i += 2 {
		if r[i] != name {
			changed = append(changed, r[i], r[i+1])
		}
	}
	for _, v := range values {
		changed = append(changed, name, v)
	}

	return changed
}

// nginxRow is what nginx sends for GET /open/a.
var nginxRow = row{
	"X-Original-Url", "https://app.example/open/a",
	"X-Original-Method", "GET",
	"X-Forwarded-For", "192.0.2.9",
}

// nginxAt is nginxRow for another address.
func nginxAt(address string) row { return nginxRow.with("X-Original-Url", address) }

// otherRow is what Caddy, Traefik and HAProxy send for GET /open/a.
var otherRow = row{
	"X-Forwarded-Method", "GET",
	"X-Forwarded-Proto", "https",
	"X-Forwarded-Host", "app.example",
	"X-Forwarded-Uri", "/open/a",
	"X-Forwarded-For", "192.0.2.9",
}

// envoyRow is what Envoy sends in headers; the rest is the request itself.
var envoyRow = row{"Host", "app.example"}

// replayed has a service whose proxy is replayed.
const replayed = `
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    url: https://app.example
    login: {sign_in: true}
    tokens: {}
    routes:
      - {match: '/{rest...}'}
      - {match: 'GET /open/{rest...}', open: true}
      - {match: /twice, max_uses: 2}
  - name: other
    url: https://other.example:8443
    tokens: {}
    routes: [{match: /}]
`

// identityNames are the headers that every answer has.
var identityNames = []string{"Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email", "Jeton-Cookie"}

// lastID numbers the ids of requests.
var lastID atomic.Int64

// askAt asks for a decision about a request with an id of its own, unless the header has one.
func askAt(s *jetontest.Server, path string, header row) jetontest.Answer {
	if !slices.Contains(header, "X-Request-Id") {
		header = header.with("X-Request-Id", fmt.Sprintf("replayed-%d", lastID.Add(1)))
	}

	return s.Send(s.Client(), http.MethodGet, "http://"+s.Forward()+"/authz/"+path, "", header...)
}

// TestAnEndpointRefusesWhatItsProxyDoesNotSend checks each rule of a row, and that the audit log has the reason.
func TestAnEndpointRefusesWhatItsProxyDoesNotSend(t *testing.T) {
	s := jetontest.Start(t, replayed)

	for _, tc := range []struct {
		name   string
		path   string
		header row
		want   int
		reason string // "": admitted
	}{
		{"as nginx sends it", "nginx", nginxRow, 200, ""},
		{"with the service that nginx names", "nginx?service=app", nginxRow, 200, ""},
		{
			"the host of another service",
			"nginx?service=other",
			nginxRow,
			403,
			"another service than the proxy names",
		},
		{"a query of the client", "nginx?service=app&x=1", nginxRow, 403, "service and its name alone"},
		{"the service twice", "nginx?service=app&service=app", nginxRow, 403, "service and its name alone"},
		{"no address", "nginx", nginxRow.with("X-Original-Url"), 403, "X-Original-Url is sent 0 times"},
		{
			"two addresses",
			"nginx",
			nginxRow.with("X-Original-Url", "https://app.example/open/a", "https://app.example/open/a"),
			403,
			"X-Original-Url is sent 2 times",
		},
		{"no method", "nginx", nginxRow.with("X-Original-Method"), 403, "X-Original-Method is sent 0 times"},
		{"no client", "nginx", nginxRow.with("X-Forwarded-For"), 403, "X-Forwarded-For is sent 0 times"},
		{"an id that is none", "nginx", nginxRow.with("X-Request-Id", "a b"), 403, "X-Request-Id is not 8 to"},
		{"an upgrade to HTTP/2", "nginx", nginxRow.with("Upgrade", "h2c"), 403, "another protocol than websocket"},
		{"two ids", "nginx", nginxRow.with("X-Request-Id", "replayed-1", "replayed-2"), 403, "Id is sent 2 times"},
		{"a header of Caddy", "nginx", nginxRow.with("X-Forwarded-Uri", "/open/a"), 403, "not of this proxy"},
		{"an underscore", "nginx", nginxRow.with("X-Original_url", "/open/a"), 403, "in another spelling"},
		{"the user with an underscore", "nginx", nginxRow.with("Remote_user", "eve"), 403, "in another spelling"},
		{"another host", "nginx", nginxAt("https://evil.example/open/a"), 403, "no service has this url"},
		{"another port", "nginx", nginxAt("https://app.example:8443/open/a"), 403, "no service"},
		{"another scheme", "nginx", nginxAt("http://app.example/open/a"), 403, "no service has this url"},
		{"no scheme", "nginx", nginxAt("app.example/open/a"), 403, "is not scheme://host/path"},
		{"a scheme that is none", "nginx", nginxAt("ftp://app.example/open/a"), 403, "neither http nor"},
		{"a host in other letters", "nginx", nginxAt("https://APP.Example.:443/open/a"), 200, ""},
		{"a port with a zero", "nginx", nginxAt("https://app.example:0443/open/a"), 403, "not a name"},
		{"a name before the host", "nginx", nginxAt("https://a@app.example/open/a"), 403, "not a name"},
		{"no host", "nginx", nginxAt("https:///open/a"), 403, "has no host"},
		{"a fragment", "nginx", nginxAt("https://app.example/open/#/admin"), 403, "# in it"},
		{"CONNECT", "nginx", nginxRow.with("X-Original-Method", "CONNECT"), 403, "Method not allowed"},
		{"a method that is none", "nginx", nginxRow.with("X-Original-Method", "GET /"), 403, "not a token"},
		{"as Caddy sends it", "caddy?service=app", otherRow, 200, ""},
		{"Caddy without the service", "caddy", otherRow, 400, "service and its name alone"},
		{"Caddy with the client's query", "caddy?a=b", otherRow, 400, "service and its name alone"},
		{"Caddy with another service", "caddy?service=other", otherRow, 421, "another service than the proxy names"},
		{"Caddy with a path of nginx", "caddy?service=app", otherRow.with("X-Original-Url", "/x"), 400, "not of this"},
		{
			"Caddy with an underscore",
			"caddy?service=app",
			otherRow.with("X-Forwarded_uri", "/x"),
			400,
			"another spelling",
		},
		{
			"as Traefik sends it",
			"traefik",
			append(otherRow, "X-Forwarded-Port", "443", "X-Real-Ip", "192.0.2.9"),
			200,
			"",
		},
		{"Traefik with an underscore", "traefik", otherRow.with("Remote_user", "eve"), 400, "another spelling"},
		{
			"Traefik without a host",
			"traefik",
			otherRow.with("X-Forwarded-Host"),
			400,
			"X-Forwarded-Host is sent 0 times",
		},
		{"Traefik without a method", "traefik", otherRow.with("X-Forwarded-Method"), 400, "Method is sent 0 times"},
		{"Traefik with two paths", "traefik", otherRow.with("X-Forwarded-Uri", "/a", "/b"), 400, "Uri is sent 2 times"},
		{"Traefik with two hosts", "traefik", otherRow.with("X-Forwarded-Host", "a", "b"), 400, "Host is sent 2 times"},
		{
			"Traefik with a list of hosts",
			"traefik",
			otherRow.with("X-Forwarded-Host", "app.example, b"),
			400,
			"not a name",
		},
		{"Traefik with wss", "traefik", otherRow.with("X-Forwarded-Proto", "wss"), 400, "neither http nor https"},
		{"Traefik with an empty scheme", "traefik", otherRow.with("X-Forwarded-Proto", ""), 400, "Proto is empty"},
		{"Traefik with another host", "traefik", otherRow.with("X-Forwarded-Host", "evil.example"), 421, "no service"},
		{
			"Traefik with an address",
			"traefik",
			otherRow.with("X-Forwarded-Uri", "https://app.example/"),
			400,
			"not a path",
		},
		{"as HAProxy sends it", "haproxy", otherRow, 200, ""},
		{"HAProxy without a client", "haproxy", otherRow.with("X-Forwarded-For"), 400, "For is sent 0 times"},
		{"as Envoy sends it", "envoy/open/a", envoyRow, 200, ""},
		{"Envoy with a query", "envoy/open/a?service=other", envoyRow, 200, ""},
		{"Envoy with the scheme", "envoy/open/a", envoyRow.with("X-Forwarded-Proto", "https"), 200, ""},
		{"Envoy with another scheme", "envoy/open/a", envoyRow.with("X-Forwarded-Proto", "http"), 421, "no service"},
		{
			"Envoy with two schemes",
			"envoy/open/a",
			envoyRow.with("X-Forwarded-Proto", "http", "https"),
			400,
			"more than",
		},
		{
			"Envoy with a path in a header",
			"envoy/open/a",
			envoyRow.with("X-Forwarded-Uri", "/x"),
			400,
			"not of this proxy",
		},
		{"Envoy with another host", "envoy/open/a", envoyRow.with("Host", "evil.example"), 421, "no service"},
		{"a proxy that is unknown", "apache", row{}, 404, "no proxy asks at this path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := askAt(s, tc.path, tc.header)
			if a.Status != tc.want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.want)
			}

			// Envoy applies no empty value; the headers that it removes have names in another header.
			if a.Status != http.StatusOK || !strings.HasPrefix(tc.path, "envoy") {
				for _, name := range identityNames {
					if !slices.Equal(a.Header.Values(name), []string{""}) {
						t.Errorf("%s = %q, want it once and empty", name, a.Header.Values(name))
					}
				}
			}

			// A request that was admitted proves it to the service, also on an open route.
			assertions := a.Header.Values("Jeton-Assertion")
			if len(assertions) != 1 || (assertions[0] != "") != (a.Status == http.StatusOK) {
				t.Errorf("Jeton-Assertion = %q, want it once, and empty in a refusal", assertions)
			}

			reasons := reasonsOf(s, a.Request())
			if tc.reason == "" && len(reasons) > 0 || tc.reason != "" &&
				(len(reasons) != 1 || !strings.Contains(strings.ToLower(reasons[0]), strings.ToLower(tc.reason))) {
				t.Errorf("the audit log has %q, want one with %q", reasons, tc.reason)
			}
		})
	}
}

// TestAnAnswerIsWhatTheProxyCanUse sends the same requests as each proxy.
func TestAnAnswerIsWhatTheProxyCanUse(t *testing.T) {
	s := jetontest.Start(t, replayed)
	s.AddUser("diane", right)
	token := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app"}})
	bearer := row{"Authorization", "Bearer " + token.Secret, "Cookie", "theme=dark; __Host-jeton-app=x"}
	const start = "https://app.example/.jeton/start?to=%2Fpage%3Fa%3Db"

	for _, tc := range []struct {
		name   string
		path   string
		header row
		want   int
		to     string // Location
		user   string
		cookie string
		remove string
	}{
		{
			"nginx: a token",
			"nginx",
			nginxAt("https://app.example/page").and(bearer),
			200,
			"",
			"diane",
			"theme=dark",
			"",
		},
		{"nginx: a browser", "nginx", nginxAt("https://app.example/page?a=b").and(loading), 401, start, "", "", ""},
		{"nginx: a script", "nginx", nginxAt("https://app.example/page"), 401, "", "", "", ""},
		{"nginx: a path with dots", "nginx", nginxAt("https://app.example/a/../b"), 403, "", "", "", ""},
		{"traefik: a token", "traefik", uri("/page").and(bearer), 200, "", "diane", "theme=dark", ""},
		{"traefik: a browser", "traefik", uri("/page?a=b").and(loading), 303, start, "", "", ""},
		{"traefik: a script", "traefik", uri("/page"), 401, "", "", "", ""},
		{"traefik: a path with dots", "traefik", uri("/a/../b"), 400, "", "", "", ""},
		{"traefik: OPTIONS", "traefik", uri("/twice").with("X-Forwarded-Method", "OPTIONS"), 403, "", "", "", ""},
		{"traefik: a slash is missing", "traefik", uri("/open"), 307, "https://app.example/open/", "", "", ""},
		{
			"envoy: a token",
			"envoy/page",
			envoyRow.and(bearer),
			200,
			"",
			"diane",
			"theme=dark",
			"authorization,remote-groups,remote-name,remote-email",
		},
		{"envoy: a browser", "envoy/page?a=b", envoyRow.and(loading), 303, start, "", "", ""},
		{"envoy: a script", "envoy/page", envoyRow, 401, "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := askAt(s, tc.path, tc.header)
			got := []string{
				a.Header.Get("Location"),
				a.Header.Get("Remote-User"),
				a.Header.Get("Jeton-Cookie"),
				own(a.Header.Get("X-Envoy-Auth-Headers-To-Remove")),
			}
			want := []string{tc.to, tc.user, tc.cookie, tc.remove}
			if a.Status != tc.want || !slices.Equal(got, want) {
				t.Errorf("got %d %q, want %d %q", a.Status, got, tc.want, want)
			}
			if len(a.Header.Values("Set-Cookie")) > 0 || len(a.Body) > 4<<10 {
				t.Errorf("got the cookies %q and %d bytes, want none and at most 4 KiB", a.Cookies(), len(a.Body))
			}
		})
	}
}

// TestNginxMayAskWhereItAskedOAuth2Proxy asks at the path of oauth2-proxy, with the headers of nginx.
func TestNginxMayAskWhereItAskedOAuth2Proxy(t *testing.T) {
	s := jetontest.Start(t, replayed)
	s.AddUser("diane", right, "ops", "staff")
	token := s.AddToken(jetontest.NewToken{Name: "job", User: "diane", Services: []string{"app"}}).Secret
	bearer := row{"Authorization", "Bearer " + token}

	for i, tc := range []struct {
		name   string
		header row
		want   int
		user   string
		groups string
	}{
		{"a token", nginxAt("https://app.example/page").and(bearer), 202, "diane", "ops,staff"},
		{"an open route", nginxRow, 202, "", ""},
		{"a script", nginxAt("https://app.example/page"), 401, "", ""},
		{"a wrong token", nginxAt("https://app.example/page").and(row{"Authorization", "Bearer no"}), 401, "", ""},
		{"OPTIONS", nginxAt("https://app.example/twice").with("X-Original-Method", "OPTIONS"), 403, "", ""},
		{"no address", nginxRow.with("X-Original-Url").and(bearer), 403, "", ""},
		{"a forged user", nginxRow.and(row{"X-Auth-Request-User", "eve"}), 202, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := tc.header.with("X-Request-Id", fmt.Sprintf("migrated-%d", i))
			a := s.Send(s.Client(), http.MethodGet, "http://"+s.Forward()+"/oauth2/auth", "", header...)
			if a.Status != tc.want {
				t.Errorf("got %d, want %d", a.Status, tc.want)
			}

			for name, want := range map[string]string{
				"X-Auth-Request-User":               tc.user,
				"X-Auth-Request-Preferred-Username": tc.user,
				"X-Auth-Request-Groups":             tc.groups,
				"X-Auth-Request-Email":              "",
				"Remote-User":                       tc.user,
			} {
				if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s = %q, want %q once", name, got, want)
				}
			}
		})
	}
}

// own returns those of the headers that Envoy removes that it could otherwise get from Jeton.
func own(removed string) string {
	list := slices.DeleteFunc(strings.Split(removed, ","), func(name string) bool {
		return strings.Contains(name, "_") || strings.HasPrefix(name, "x-")
	})
	return strings.Join(list, ",")
}

// TestEnvoyRemovesWhatJetonCannotSee checks that Envoy over HTTP removes the headers that a server may take for the
// caller: it sends Jeton only those that it is configured to.
func TestEnvoyRemovesWhatJetonCannotSee(t *testing.T) {
	s := jetontest.Start(t, replayed)
	removed := strings.Split(askAt(s, "envoy/open/a", envoyRow).Header.Get("X-Envoy-Auth-Headers-To-Remove"), ",")

	for _, name := range []string{
		"remote-user", "remote_user", "remote_groups", "remote_name", "remote_email", "jeton_cookie", "jeton_assertion",
		"x-forwarded-user", "x_forwarded_user", "x-forwarded_user", "x_forwarded-user", "x-auth-request-user",
		"x_auth_request_user", "x-authentik-username", "authorization",
	} {
		if !slices.Contains(removed, name) {
			t.Errorf("%s is not removed", name)
		}
	}
	if slices.Contains(removed, "jeton-assertion") {
		t.Error("the assertion of Jeton is removed")
	}
}

// and returns the row with further headers.
func (r row) and(more row) row { return append(slices.Clone(r), more...) }

// uri is otherRow for another path.
func uri(target string) row { return otherRow.with("X-Forwarded-Uri", target) }

// reasonsOf returns the reasons of the refusals of a request in the audit log.
func reasonsOf(s *jetontest.Server, request string) []string {
	var list []string
	for _, e := range s.Events() {
		if e.Request == request && e.Action == "request" && e.Outcome != "ok" {
			list = append(list, e.Reason)
		}
	}

	return list
}

func TestAnotherPeerThanTheProxiesIsRefused(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(replayed, "[127.0.0.1]", "[192.0.2.1]", 1))

	a := askAt(s, "nginx", nginxRow)
	reasons := reasonsOf(s, a.Request())
	if a.Status != http.StatusForbidden || len(reasons) != 1 || !strings.Contains(reasons[0], "trusted_proxies") {
		t.Errorf("a decision: got %d and the reasons %q, want 403 and trusted_proxies", a.Status, reasons)
	}

	a = s.Send(&http.Client{}, http.MethodGet, "http://"+s.Forward()+"/.jeton/start", "",
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example", "X-Forwarded-For", "192.0.2.9")
	if a.Status != http.StatusForbidden {
		t.Errorf("a page: got %d %s, want 403", a.Status, a.Body)
	}
}

func TestProxiesMayAskAtASocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "forward.sock")
	configuration := strings.Replace(replayed, "127.0.0.1:0", "unix:"+path, 1)
	configuration = strings.Replace(configuration, ", trusted_proxies: [127.0.0.1]", "", 1)

	// A server that was killed leaves the file.
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()

	s := jetontest.Start(t, configuration)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %v, %v, want 0660", info.Mode(), err)
	}

	c := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
	a := s.Send(c, http.MethodGet, "http://jeton/authz/nginx", "", nginxRow.with("X-Request-Id", "at-a-socket")...)
	if a.Status != http.StatusOK {
		t.Errorf("got %d %s, want 200", a.Status, a.Body)
	}
	if _, err := jetontest.TryStart(t, configuration); err == nil {
		t.Error("a second server took the socket of the first, want an error")
	}
}

// TestAnUpgradeTakesNoUse keeps a use from paying for all messages of a connection.
func TestAnUpgradeTakesNoUse(t *testing.T) {
	s := jetontest.Start(t, replayed)
	s.AddClient("robot", "app")
	token := s.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	asks := nginxAt("https://app.example/twice").with("Authorization", "Bearer "+token.Secret)

	for i, tc := range []struct {
		header row
		want   int
		left   string
	}{
		{asks.with("Upgrade", "websocket"), 403, ""},
		{asks, 200, "1"},
		{asks.with("X-Original-Method", "HEAD"), 200, "0"},
		{asks, 403, "0"},
	} {
		a := askAt(s, "nginx", tc.header)
		if a.Status != tc.want || a.Left() != tc.left {
			t.Errorf("request %d: got %d with %q uses left, want %d with %q", i+1, a.Status, a.Left(), tc.want, tc.left)
		}
	}
}

// TestADecisionFollowsAReload checks that a service can come and go behind a listener that stays open.
func TestADecisionFollowsAReload(t *testing.T) {
	s := jetontest.Start(t, replayed)
	other := nginxAt("https://new.example/open/a")
	if a := askAt(s, "nginx", other); a.Status != http.StatusForbidden {
		t.Fatalf("before: got %d, want 403", a.Status)
	}

	if err := s.Reload(strings.ReplaceAll(replayed, "app.example", "new.example")); err != nil {
		t.Fatal(err)
	}

	if a := askAt(s, "nginx", other); a.Status != http.StatusOK {
		t.Errorf("the new address: got %d, want 200", a.Status)
	}
	if a := askAt(s, "nginx", nginxRow); a.Status != http.StatusForbidden {
		t.Errorf("the former address: got %d, want 403", a.Status)
	}
}
