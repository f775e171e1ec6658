package forward_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

const right = "correct horse battery"

// behind has services that another proxy serves.
const behind = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    url: http://app.example:${PROXY_PORT}
    plain_http: true
    login: {sign_in: true, allow: {users: [diane]}}
    logout: /logout
    tokens: {}
    routes:
      - {match: '/{rest...}'}
      - {match: 'GET /open/{rest...}', open: true}
      - {match: /twice, max_uses: 2}
      - {match: /staff, allow: {groups: [staff]}}
      - {match: GET /read, scopes: [read]}
`

// backend is a service behind a proxy. It remembers the requests that reached it.
type backend struct {
	mu   sync.Mutex
	seen []*http.Request
}

// startBackend starts a backend, and returns its address.
func startBackend(t *testing.T) (*backend, string) {
	t.Helper()
	b := &backend{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	server := &http.Server{Handler: b}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })

	return b, l.Addr().String()
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.seen = append(b.seen, r.Clone(context.WithoutCancel(r.Context())))
	b.mu.Unlock()

	_, _ = fmt.Fprintf(w, "%s %s as %s", r.Method, r.RequestURI, r.Header.Get("Remote-User"))
}

// last returns the requests since the last call.
func (b *backend) last() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil

	return seen
}

// proxied is a server with a proxy in front of a backend.
type proxied struct {
	*jetontest.Server
	t       *testing.T
	kind    string // of the proxy
	host    string // of the service
	port    string // of the proxy
	backend *backend
	guard   *guard.Guard // of the backend
}

// startBehind starts a server, and a proxy with the configuration that Jeton prints.
func startBehind(t *testing.T, proxy proxyProgram) *proxied {
	t.Helper()
	kind := proxy.kind
	found := need.Program(t, proxy.names...)
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	s := jetontest.Start(t, behind, jetontest.Env("PROXY_PORT", port))
	s.AddUser("diane", right)
	s.AddUser("max", right)
	b, address := startBackend(t)

	described := forward.Proxied{
		Service: "app",
		Scheme:  "http",
		Host:    "app.example",
		Port:    ":" + port,
		Listen:  port,
		Jeton:   s.Forward(),
		Backend: address,
		Own:     []string{"/logout"},
	}
	startProxy(t, found, kind, described)

	e2e.Wait(t, kind+" to answer", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	return &proxied{
		Server:  s,
		t:       t,
		kind:    kind,
		host:    "app.example",
		port:    port,
		backend: b,
		guard:   guardOf(t, s, time.Now),
	}
}

// startProxy starts a proxy with the configuration that Jeton prints, after each edit of it.
func startProxy(t *testing.T, program, kind string, described forward.Proxied, edits ...func(string) string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, kind+".conf")
	args := []string{program, "run", "--adapter", "caddyfile", "--config", file}
	files := map[string]string{file: kind}

	switch kind {
	case "nginx":
		args = []string{program, "-p", ".", "-c", file, "-e", "stderr"}
	case "traefik":
		file += ".yaml" // by which it knows the form
		files = map[string]string{file: kind}
		args = []string{program, "--entrypoints.web.address=127.0.0.1:" + described.Listen,
			"--providers.file.filename=" + file, "--global.checknewversion=false", "--global.sendanonymoususage=false"}
	case "haproxy":
		args = []string{program, "-db", "-f", file}
		files[filepath.Join(dir, "jeton.lua")] = "haproxy-lua"
	}

	for name, printed := range files {
		text, err := forward.Configuration(printed, described)
		if err != nil {
			t.Fatal(err)
		}
		text = framed(printed, text)
		for _, edit := range edits {
			text = edit(text)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	proxy := e2e.Run(t, e2e.Command{Args: args, Dir: dir})
	t.Cleanup(func() {
		proxy.Signal(t, syscall.SIGTERM)
		proxy.Code(t)
		if t.Failed() {
			t.Logf("%s: %s", kind, proxy.Err)
		}
	})
	if kind == "traefik" {
		waitForRoutes(t, described)
	}
}

// waitForRoutes waits until Traefik has read its file: it listens before that, and answers 404.
func waitForRoutes(t *testing.T, described forward.Proxied) {
	t.Helper()
	waitFor(t, "traefik", described.Listen)
	e2e.Wait(t, "traefik to read its file", func() bool {
		text := "GET / HTTP/1.1\r\nHost: " + described.Host + described.Port + "\r\n\r\n"
		resp := exchange(t, "127.0.0.1:"+described.Listen, text)
		return resp != nil && resp.StatusCode != http.StatusNotFound
	})
}

// framed returns the whole configuration of a proxy, with the printed part in it.
func framed(kind, text string) string {
	switch kind {
	case "caddy":
		return "{\n\tadmin off\n}\n" + text
	case "haproxy", "haproxy-lua", "traefik":
		return text
	}

	frame := "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		frame += name + "_temp_path tmp-" + name + ";\n"
	}

	return frame + text + "}\n"
}

// at returns the address of a path of the service.
func (p *proxied) at(path string) string { return "http://" + p.host + ":" + p.port + path }

// client returns a client that finds the service at the proxy, keeps cookies and follows no redirect.
func (p *proxied) client() *http.Client {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}

	to := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: p.TLS().RootCAs},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			var d net.Dialer
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}

	return &http.Client{
		Jar:           jar,
		Transport:     to,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// loading are the headers of a browser that loads a page.
var loading = []string{"Accept", "text/html,*/*;q=0.8", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}

// open loads a page and follows redirects, at most 20. It returns the addresses on the way.
func (p *proxied) open(c *http.Client, address string) (a jetontest.Answer, hops []string) {
	p.t.Helper()
	for range 20 {
		a = p.Send(c, http.MethodGet, address, "", loading...)
		next := a.Header.Get("Location")
		if next == "" {
			next = strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
		}
		if next == "" {
			return a, hops
		}

		address = resolve(p.t, address, next)
		hops = append(hops, address)
	}

	p.t.Fatalf("more than 20 redirects: %q", hops)
	return a, hops
}

func resolve(t *testing.T, page, link string) string {
	t.Helper()
	at, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	to, err := at.Parse(link)
	if err != nil {
		t.Fatal(err)
	}

	return to.String()
}

// signIn opens a page of the service and signs in where that leads.
func (p *proxied) signIn(c *http.Client, path, name string) jetontest.Answer {
	p.t.Helper()
	a, hops := p.open(c, p.at(path))
	if len(hops) == 0 || !strings.HasPrefix(hops[len(hops)-1], p.Issuer()+"/sign-in?") {
		p.t.Fatalf("%s: got %d %s after %q, want the sign-in page", path, a.Status, a.Body, hops)
	}

	page := hops[len(hops)-1]
	form := url.Values{"username": {name}, "password": {right}}.Encode()
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
	a = p.Send(c, http.MethodPost, page, form, header...)
	if a.Status != http.StatusSeeOther {
		p.t.Fatalf("sign in as %s: got %d %s, want 303", name, a.Status, a.Body)
	}

	a, _ = p.open(c, resolve(p.t, page, a.Header.Get("Location")))

	return a
}

func TestABrowserSignsInBehindAProxy(t *testing.T) {
	behindEach(t, programs(t), signsIn)
}

func signsIn(t *testing.T, p *proxied) {
	t.Helper()
	c := p.client()
	const page = "/reports/7%20b?a=b&c=%2f;d&e"

	a := p.signIn(c, page, "diane")
	want := "GET " + page + " as diane"
	if p.kind == "traefik" {
		want = strings.Replace(want, ";", "&", 1) // as it does with every query
	}
	if a.Status != http.StatusOK || a.Body != want {
		t.Fatalf("got %d %q, want 200 %q", a.Status, a.Body, want)
	}

	// The cookie of the session is not for the backend; other cookies are.
	p.backend.last()
	at, _ := url.Parse(p.at("/"))
	c.Jar.SetCookies(at, []*http.Cookie{{Name: "theme", Value: "dark"}})
	p.Send(c, http.MethodGet, p.at("/x"), "")
	seen := p.backend.last()
	if len(seen) != 1 || seen[0].Header.Get("Cookie") != "theme=dark" || seen[0].Header.Get("Remote-User") != "diane" {
		t.Errorf("the backend got %v, want one request of diane with the cookie theme alone", seen)
	}

	a = p.Send(c, http.MethodPost, p.at("/logout"), "")
	if a.Status != http.StatusOK {
		t.Errorf("logout: got %d %s, want 200", a.Status, a.Body)
	}
	a = p.Send(c, http.MethodGet, p.at("/x"), "")
	if a.Status != http.StatusUnauthorized {
		t.Errorf("after logout: got %d %s, want 401", a.Status, a.Body)
	}
}

func TestNginxKeepsStrangersOut(t *testing.T) {
	p := startBehind(t, installed["nginx"])
	p.AddClient("robot", "app")
	token := p.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	bearer := []string{"Authorization", "Bearer " + token.Secret}
	signIn := regexp.MustCompile(`^` + regexp.QuoteMeta(p.at("/.jeton/start")) + `\?to=`)

	for _, tc := range []struct {
		name   string
		method string
		path   string
		header []string
		want   int
		back   bool // it reaches the backend
	}{
		{"a script without a credential", "GET", "/", nil, 401, false},
		{"a browser", "GET", "/", loading, 303, false},
		{"a browser with a form", "POST", "/", loading, 401, false},
		{"an open route", "GET", "/open/a", nil, 200, true},
		{"an open route with another method", "POST", "/open/a", nil, 401, false},
		{"a token", "GET", "/a", bearer, 200, true},
		{"a token with a method that is not a usual one", "PROPFIND", "/a", bearer, 200, true},
		{"a token with DELETE", "DELETE", "/a", bearer, 200, true},
		{"a wrong token", "GET", "/a", []string{"Authorization", "Bearer nothing"}, 401, false},
		{"a token that lacks a scope", "GET", "/read", bearer, 403, false},
		{"a token of a client that is not in the group", "GET", "/staff", bearer, 403, false},
		{"an unknown host", "GET", "/open/a", []string{"Host", "other.example"}, 403, false},
		{"what Jeton itself would answer, and nginx would pass on", "OPTIONS", "/twice", nil, 403, false},
		{"a path with a dot segment", "GET", "/open/%2e%2e/admin", bearer, 403, false},
		{"a path with an encoded slash", "GET", "/open/..%2fadmin", bearer, 403, false},
		{"a path with two slashes", "GET", "//open/a", bearer, 403, false},
		{"a path in a header", "GET", "/", []string{"X-Forwarded-Uri", "/open/a"}, 401, false},
		{"a forged address", "GET", "/", []string{"X-Original-Url", p.at("/open/a")}, 401, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.backend.last()
			forged := []string{
				"Remote-User", "eve", "Remote-Groups", "eve", "Remote-Name", "Eve", "Remote-Email", "eve@example.org",
			}
			a := p.Send(p.client(), tc.method, p.at(tc.path), "", append(forged, tc.header...)...)
			if a.Status != tc.want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.want)
			}
			if a.Status == http.StatusSeeOther && !signIn.MatchString(a.Header.Get("Location")) {
				t.Errorf("got to %q, want the sign-in", a.Header.Get("Location"))
			}
			if a.Status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
				t.Error("got 401 without WWW-Authenticate")
			}

			seen := p.backend.last()
			if len(seen) > 0 != tc.back {
				t.Errorf("the backend got %d requests, want some: %t", len(seen), tc.back)
			}
			for _, r := range seen {
				checkIdentity(t, r.Header)
				p.checkAssertion(t, r)
			}
		})
	}
}

// checkAssertion checks that a request proves to the service that Jeton has admitted it, with this method and path.
func (p *proxied) checkAssertion(t *testing.T, r *http.Request) {
	t.Helper()
	c, err := p.guard.CheckAssertion(r)
	if err != nil || c.Principal.Name != r.Header.Get("Remote-User") {
		t.Errorf("the backend got an assertion of %+v, %v, want one of %q", c, err, r.Header.Get("Remote-User"))
	}
}

// checkIdentity checks that nothing of what a client says of itself reached a backend.
func checkIdentity(t *testing.T, h http.Header) {
	t.Helper()
	for name := range h {
		value := strings.Join(h[name], "|")
		forged := strings.HasPrefix(name, "Remote") && strings.Contains(strings.ToLower(value), "eve")
		if forged || name == "Authorization" {
			t.Errorf("the backend got %s: %s, want nothing of the client", name, value)
		}
	}
}

func TestUsesBehindAProxyAreCounted(t *testing.T) {
	behindEach(t, programs(t), counts)
}

func counts(t *testing.T, p *proxied) {
	t.Helper()
	c := p.client()
	p.signIn(c, "/", "diane")

	for i, tc := range []struct {
		method string
		want   int
	}{
		// A HEAD reaches the backend, so it takes a use.
		{"HEAD", 200},
		{"GET", 200},
		{"GET", 403},
		{"HEAD", 403},
	} {
		a := p.Send(c, tc.method, p.at("/twice"), "")
		if a.Status != tc.want {
			t.Errorf("request %d: got %d, want %d", i+1, a.Status, tc.want)
		}
	}
}
