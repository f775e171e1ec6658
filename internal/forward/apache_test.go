package forward_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// behindApache has a service whose users Apache signs in.
const behindApache = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    url: http://localhost:${PROXY_PORT}
    plain_http: true
    login: {sign_in: true, allow: {users: [diane]}}
    tokens: {}
    routes: [{match: '/{rest...}'}]
  - name: other
    url: https://other.example
    tokens: {}
    routes: [{match: /}]
clients:
  - name: apache
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    introspects: [app]
    openid:
      redirect_uris: ["http://localhost:${PROXY_PORT}/.jeton/callback"]
      post_logout_redirect_uris: ["http://localhost:${PROXY_PORT}/bye"]
      backchannel_logout_uri: ${APACHE_LOGOUT:-}
      private_network: true
      allow: {users: [diane]}
`

// startBehindApache starts a server, and Apache with the configuration that Jeton prints, in which each first of two
// texts is replaced by the second. logout is the path at which Apache takes logout tokens, or "".
func startBehindApache(t *testing.T, logout string, changes ...string) *proxied {
	t.Helper()
	program := need.Program(t, "apache2", "/usr/sbin/apache2")
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	if logout != "" {
		logout = "http://localhost:" + port + logout
	}
	s := jetontest.Start(t, behindApache, jetontest.Env("PROXY_PORT", port), jetontest.Env("APACHE_LOGOUT", logout))
	s.AddUser("diane", right, "staff", "sales")
	s.AddUser("max", right)
	b, address := startBackend(t)

	// Apache started by root runs as another user, who must reach its files.
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(s.Dir(), "pubkey.pem"))
	if err != nil {
		t.Fatal(err)
	}

	text, err := forward.Configuration("apache", forward.Proxied{
		Service: "app",
		Scheme:  "http",
		Host:    "localhost",
		Port:    ":" + port,
		Listen:  port,
		Jeton:   s.Forward(),
		Backend: address,
		Party: &forward.Party{
			Issuer: s.Issuer(),
			CA:     filepath.Join(dir, "ca.pem"),
			Client: "apache",
			Tokens: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	// A test does not wait ten seconds for what ends sessions.
	text = strings.Replace(text, "OIDCUserInfoRefreshInterval  10\n", "OIDCUserInfoRefreshInterval  1\n", 1)
	text = strings.NewReplacer(changes...).Replace(text)
	write(t, filepath.Join(dir, "apache.conf"), apacheFrame(t, dir, port)+text)
	write(t, filepath.Join(dir, "app.secrets"),
		"OIDCClientSecret s3cret\nOIDCOAuthClientSecret s3cret\nOIDCCryptoPassphrase 0123456789abcdef\n")
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o644); err != nil {
		t.Fatal(err)
	}

	proxy := e2e.Run(t, e2e.Command{
		Args: []string{program, "-DFOREGROUND", "-d", dir, "-f", "apache.conf", "-E", "/dev/stderr"},
		Dir:  dir,
	})
	t.Cleanup(func() {
		proxy.Signal(t, syscall.SIGTERM)
		proxy.Code(t)
		if t.Failed() {
			t.Logf("apache: %s", proxy.Err)
		}
	})
	waitFor(t, "apache", port)

	return &proxied{
		Server:  s,
		t:       t,
		host:    "localhost",
		port:    port,
		backend: b,
	}
}

// apacheFrame returns what a configuration of Apache has around a site.
func apacheFrame(t *testing.T, dir, port string) string {
	t.Helper()
	const modules = "/usr/lib/apache2/modules/"
	text := "ServerName localhost\nListen 127.0.0.1:" + port + "\nPidFile " + dir + "/pid\nMutex pthread\n" +
		"ErrorLog /dev/stderr\nLogLevel warn\nHttpProtocolOptions Strict\n"
	if os.Geteuid() == 0 {
		text += "User daemon\nGroup daemon\n"
	}

	for _, name := range []string{
		"mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "headers", "proxy", "proxy_http",
		"rewrite",
	} {
		file := modules + "mod_" + name + ".so"
		if _, err := os.Stat(file); err != nil {
			need.Missing(t, file+" is not there; scripts/tools.sh installs it")
		}
		text += "LoadModule " + name + "_module " + file + "\n"
	}

	return text + "StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\n"
}

// TestApacheRefreshesTokensAndSignsUsersOut has mod_auth_openidc refresh its token at each request, start a sign-out,
// and take a logout token.
func TestApacheRefreshesTokensAndSignsUsersOut(t *testing.T) {
	p := startBehindApache(
		t, "/.jeton/callback?logout=backchannel",
		`groups"`, "groups offline_access\"\n    OIDCRefreshAccessTokenBeforeExpiry 3600",
	)
	c := p.client()

	p.signIn(c, "/x", "diane")
	if a := p.Send(c, http.MethodGet, p.at("/x"), ""); a.Body != "GET /x as diane" {
		t.Fatalf("got %d %q, want the page for diane", a.Status, a.Body)
	}
	if n := refreshes(p); n == 0 {
		t.Error("no grant was refreshed, want the one of the sign-in")
	}

	_, hops := p.open(c, p.at("/.jeton/callback?logout="+url.QueryEscape(p.at("/bye"))))
	if len(hops) < 2 || !strings.HasPrefix(hops[0], p.Issuer()+"/oauth2/logout?") || hops[1] != p.at("/bye") {
		t.Errorf("a sign-out leads to %q, want the issuer, and then the address that is registered", hops)
	}
	if a := p.Send(c, http.MethodGet, p.at("/x"), ""); a.Status != http.StatusUnauthorized {
		t.Errorf("a script after the sign-out: got %d, want 401", a.Status)
	}

	// The grant outlives the session here: without the logout token, Apache would go on.
	p.signIn(c, "/x", "diane")
	p.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
	e2e.Wait(t, "the end of the session at Apache", func() bool {
		return p.Send(c, http.MethodGet, p.at("/x"), "").Status == http.StatusUnauthorized
	})
}

// refreshes returns how often grants were refreshed.
func refreshes(p *proxied) (n int) {
	seen := map[string]bool{}
	for _, e := range p.Events() {
		if e.Action == "token.issue" && e.Outcome == "ok" && seen[e.Target] {
			n++
		}
		seen[e.Target] = true
	}

	return n
}

// TestApacheSignsUsersIn signs a user in by the printed configuration, and ends the session at Jeton.
func TestApacheSignsUsersIn(t *testing.T) {
	p := startBehindApache(t, "")
	c := p.client()
	const page = "/reports/7%20b?a=b&c=%2f;d&e"

	a := p.signIn(c, page, "diane")
	if want := "GET " + page + " as diane"; a.Status != http.StatusOK || a.Body != want {
		t.Fatalf("got %d %q, want 200 %q", a.Status, a.Body, want)
	}
	p.backend.last()
	at, _ := url.Parse(p.at("/"))
	c.Jar.SetCookies(at, []*http.Cookie{{Name: "theme", Value: "dark"}})
	p.Send(c, http.MethodGet, p.at("/x"), "")
	seen := p.backend.last()
	if len(seen) != 1 || seen[0].Header.Get("Remote-User") != "diane" ||
		seen[0].Header.Get("Remote-Groups") != "sales,staff" || seen[0].Header.Get("Cookie") != "theme=dark" {
		t.Errorf("the backend got %d requests, the last with %v, want one of diane with the cookie theme alone",
			len(seen), seen[len(seen)-1].Header)
	}

	p.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
	e2e.Wait(t, "the end of the session at Apache", func() bool {
		a = p.Send(c, http.MethodGet, p.at("/x"), "")
		return a.Status != http.StatusOK
	})
	if a.Status != http.StatusUnauthorized {
		t.Errorf("a script after the end of the session: got %d, want 401", a.Status)
	}
	if _, hops := p.open(c, p.at("/x")); !strings.HasPrefix(hops[len(hops)-1], p.Issuer()+"/sign-in?") {
		t.Errorf("a page after the end of the session: got to %q, want the sign-in page", hops)
	}
}

// TestApacheKeepsStrangersOut sends to Apache what attackers send.
func TestApacheKeepsStrangersOut(t *testing.T) {
	p := startBehindApache(t, "")
	token := func(service string, uses int64) row {
		made := p.AddToken(jetontest.NewToken{
			Name:     service,
			User:     "diane",
			Services: []string{service},
			MaxUses:  uses,
		})
		return row{"Authorization", "Bearer " + made.Secret}
	}
	bearer, once := token("app", 0), token("app", 1)

	for _, tc := range []struct {
		name   string
		method string
		path   string
		header row
		want   int
	}{
		{"a script without a credential", "GET", "/", nil, 401},
		{"a browser", "GET", "/", loading, 302},
		{"a browser with a form", "POST", "/", loading, 401},
		{"a script of a page", "GET", "/", row{"Accept", "text/html", "Sec-Fetch-Mode", "cors"}, 401},
		{"a token", "GET", "/a", bearer, 200},
		{"a token with DELETE", "DELETE", "/a", bearer, 200},
		{"a wrong token", "GET", "/a", row{"Authorization", "Bearer nothing"}, 401},
		{"a token of another service", "GET", "/a", token("other", 0), 401},
		{"the one use of a token", "GET", "/a", once, 200},
		{"the same token again", "GET", "/a", once, 401},
		{"an unknown host", "GET", "/a", bearer.and(row{"Host", "other.example"}), 421},
		{"a header that Connection deletes", "GET", "/a", bearer.and(row{"Connection", "Remote-User"}), 400},
		{"TRACE", "TRACE", "/a", bearer, 405},
		{"the path of the sign-in", "GET", "/.jeton/other", bearer, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.backend.last()
			forged := row{
				"Remote-User", "eve", "Remote_groups", "eve", "Remote-Name", "Eve", "Remote_Email", "eve",
				"Jeton-Assertion", "eve", "X-Forwarded-For", "eve", "X-Forwarded_Uri", "eve",
				"X-HTTP_Method-Override", "EVE", "OIDC_CLAIM_sub", "eve", "X-Auth-Request_User", "eve",
				"Forwarded", "for=eve",
			}
			a := p.Send(p.client(), tc.method, p.at(tc.path), "", forged.and(tc.header)...)
			if a.Status != tc.want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.want)
			}

			seen := p.backend.last()
			if len(seen) > 0 != (tc.want == http.StatusOK) {
				t.Errorf("the backend got %d requests, and the client %d", len(seen), a.Status)
			}
			for _, r := range seen {
				checkNothingForged(t, r)
			}
		})
	}
}

// checkNothingForged checks that a request is one of diane, without anything that the client says of itself.
func checkNothingForged(t *testing.T, r *http.Request) {
	t.Helper()
	for name, values := range r.Header {
		if strings.Contains(strings.ToLower(strings.Join(values, "|")), "eve") || name == "Authorization" {
			t.Errorf("the backend got %s: %q, want nothing of the client", name, values)
		}
	}
	if r.Header.Get("Remote-User") != "diane" {
		t.Errorf("the backend got the user %q, want diane", r.Header.Get("Remote-User"))
	}
}
