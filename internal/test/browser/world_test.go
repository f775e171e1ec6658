package browser

import (
	"crypto/tls"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// passphrase is the password of the users of the tests.
const passphrase = "correct horse battery staple"

// twoShops is an authorization server and two services. Each is a site of its own: they share no
// registrable domain, so that a cookie of one is a third party's for the others.
const twoShops = `
issuer:
  url: https://login.example:${ISSUER_PORT}
  listen: 127.0.0.1:${LISTEN_PORT}
  upstreams:
    - name: guild
      issuer: github
      github_url: "${UPSTREAM}"
      label: Guild
      client_id: jeton
      client_secret_file: "${GUILD_SECRET}"
      private_network: true

mail: {from: jeton@login.example, directory: mails}

# The tests fail more often than users do.
throttle:
  pair_burst: 10000
  account_burst: 10000
  source_burst: 10000

services:
  - name: shop
    listen: 127.0.0.1:${SHOP_PORT}
    host: shop.example
    logout: /logout
    login: {sign_in: true}
    tokens: {}
    routes:
      - match: GET /open/{page}
        open: true
        upstream: {url: "${UPSTREAM}"}
      - match: /{rest...}
        upstream: {url: "${UPSTREAM}"}
      - match: GET /voucher
        max_uses: 3
        respond: {text: a voucher}
  - name: near
    listen: 127.0.0.1:${NEAR_PORT}
    host: near.login.example
    login: {sign_in: true}
    routes:
      - match: /{rest...}
        upstream: {url: "${UPSTREAM}"}
  - name: books
    listen: 127.0.0.1:${BOOKS_PORT}
    host: books.test
    logout: /logout
    login: {sign_in: true, allow: {users: [diane, root]}}
    routes:
      - match: GET /{rest...}
        respond: {template: "read by {{.Name}}"}
`

// world is a server with twoShops, and what is behind and around it.
type world struct {
	*jetontest.Server
	issuer, shop, books, near string // origins
	behind                    *upstream
}

// newWorld starts the server, with the users diane, bob, and root who is an administrator.
func newWorld(t *testing.T) *world {
	t.Helper()
	issuer := freePort(t)
	w := newNode(t, "", newUpstream(t), jetontest.Env("ISSUER_PORT", issuer), jetontest.Env("LISTEN_PORT", issuer))

	w.AddUser("diane", passphrase)
	w.AddUser("bob", passphrase)
	w.AddUser("root", passphrase, "admin")

	return w
}

// newNode starts a server. before goes before twoShops; the options set its ISSUER_PORT and LISTEN_PORT.
func newNode(t *testing.T, before string, behind *upstream, options ...jetontest.Option) *world {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "guild")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	s := serve(t, before+twoShops, append(options,
		jetontest.Env("UPSTREAM", behind.url),
		jetontest.Env("GUILD_SECRET", secret),
		jetontest.Env("SHOP_PORT", freePort(t)),
		jetontest.Env("BOOKS_PORT", freePort(t)),
		jetontest.Env("NEAR_PORT", freePort(t)),
	)...)

	return &world{
		Server: s,
		issuer: s.Issuer(),
		shop:   address(t, s, "shop", "shop.example"),
		books:  address(t, s, "books", "books.test"),
		near:   address(t, s, "near", "near.login.example"),
		behind: behind,
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	return port
}

// signIn fills in the sign-in page, to which the tab has been sent.
func (w *world) signIn(p *Page, name string) {
	p.t.Helper()
	p.Wait("location.pathname === '/sign-in' && document.readyState === 'complete'")
	p.Fill("input[name=username]", name)
	p.Fill("input[name=password]", passphrase)
	p.Press("Enter")
}

// account opens the account page as a user.
func (w *world) account(p *Page, name string) {
	p.t.Helper()
	p.Open(w.issuer + "/account")
	w.signIn(p, name)
	p.Arrive(w.issuer + "/account")
}

// logins returns how many logins of the kind succeeded at a service.
func (w *world) logins(service string) int {
	n := 0
	for _, e := range w.Events() {
		if e.Action == "login" && e.Service == service && e.Outcome == "ok" {
			n++
		}
	}

	return n
}

// newest returns the number of the newest event of the audit log.
func (w *world) newest() int64 {
	var newest int64
	for _, e := range w.Events() {
		newest = max(newest, e.Seq)
	}

	return newest
}

// waitRefused waits until the server has refused a request for a path after an event, and thus has
// received it.
func (w *world) waitRefused(t *testing.T, after int64, path string) {
	t.Helper()
	refused := func(e jeton.Event) bool {
		return e.Seq > after && e.Outcome != "ok" && strings.HasSuffix(e.Target, " "+path)
	}

	await(t, "refusal of "+path, func() bool { return slices.ContainsFunc(w.Events(), refused) })
}

// await waits until something has come.
func await(t *testing.T, what string, come func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()

	for !come() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s in %v, want one", what, patience)
		}
	}
}

// noticeLink waits for the mail of a sign-in, and returns the path of its link. No other mail may have one.
func (w *world) noticeLink(t *testing.T) string {
	t.Helper()
	var path string
	await(t, "mail with a link that ends everything", func() bool {
		files, err := filepath.Glob(filepath.Join(w.Dir(), "mails", "*.eml"))
		if err != nil {
			t.Fatal(err)
		}

		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Lines of a mail are short: the longer ones go on after "=" (RFC 2045, section 6.7).
			path = notMePath.FindString(strings.ReplaceAll(string(b), "=\r\n", ""))
			if path != "" {
				return true
			}
		}

		return false
	})

	return path
}

// notMePath is the path of the link of a notice.
var notMePath = regexp.MustCompile(`/not-me/[\w-]+`)

// upstream is the server behind the shop, and the provider Guild. It records the requests that reach it.
type upstream struct {
	url string

	mu   sync.Mutex
	seen []string // method and path
}

// openPages are the pages that need no session, by name. They ask for protected ones.
var openPages = map[string]string{
	"prefetch": `<link rel="prefetch" href="/orders/prefetch"><p>prefetch</p>`,
	"rules": `<script type="speculationrules">{
		"prefetch": [{"urls": ["/orders/rules"], "eagerness": "immediate"}],
		"prerender": [{"urls": ["/orders/prerender"], "eagerness": "immediate"}]}</script>
		<p><a id="order" href="/orders/7">your order</a></p>`,
	"frame": `<iframe title="order" src="/orders/framed"></iframe>`,
	"form": `<form method="post" action="/orders/7"><input type="hidden" name="amount" value="1000">
		<button>Buy</button></form>`,
}

// ordered is a protected page: the request, its user, and a way to log out.
const ordered = `<p>%s %s for %s</p><form method="post" action="/logout"><button>Log out</button></form>`

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}

	mux := http.NewServeMux()
	guild(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r.Method+" "+r.URL.Path)
		u.mu.Unlock()

		body := openPages[strings.TrimPrefix(r.URL.Path, "/open/")]
		if body == "" {
			body = fmt.Sprintf(ordered, r.Method, html.EscapeString(r.URL.RequestURI()),
				r.Header.Get("Remote-User"))
		}

		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// It says nothing of caches, as most applications do.
		fmt.Fprintf(w, sound, body)
	})

	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	u.url = s.URL

	return u
}

// guild adds what stands for GitHub, with one user, who is always signed in.
func guild(mux *http.ServeMux) {
	mux.HandleFunc("GET /login/oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		back := url.Values{"code": {"one"}, "state": {query.Get("state")}}
		http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})

	for path, body := range map[string]string{
		"/login/oauth/access_token": `{"access_token":"gho","token_type":"bearer"}`,
		"/api/v3/user":              `{"id":1,"login":"octocat"}`,
		"/api/v3/user/emails":       `[]`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		})
	}
}

// requests returns the requests below a path, as in "GET /orders/7".
func (u *upstream) requests(below string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()

	var list []string
	for _, line := range u.seen {
		if strings.Contains(line, " "+below) {
			list = append(list, line)
		}
	}

	return list
}

// forget begins a new record.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()

	u.seen = nil
}

// evil starts a site of an attacker that serves a body at /, with TLS that browsers accept or without.
func evil(t *testing.T, secure bool, body string) string {
	t.Helper()
	return site(t, secure, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, sound, body)
	}))
}

// site starts another site, with TLS that browsers accept or without.
func site(t *testing.T, secure bool, handler http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)

	scheme := "http"
	if secure {
		scheme = "https"
		pair := Certificate(t)
		loaded, err := tls.X509KeyPair(pair.cert, pair.key)
		if err != nil {
			t.Fatal(err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{loaded}}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)

	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	return scheme + "://" + net.JoinHostPort("evil.test", port)
}

// clean fails the test if a page of the tab broke its policy, threw an error, or asked another site
// for anything.
func (w *world) clean(p *Page) {
	p.t.Helper()
	for _, line := range p.Violations() {
		p.t.Errorf("%s: a page violates its policy: %s", p.browser, line)
	}
	for _, line := range p.Errors() {
		p.t.Errorf("%s: a page throws %s", p.browser, line)
	}

	ours := []string{w.issuer, w.shop, w.books, w.near, w.behind.url}
	for _, line := range p.Requests() {
		if !slices.ContainsFunc(ours, func(origin string) bool { return strings.HasPrefix(line, origin+"/") }) {
			p.t.Errorf("%s: a page requests %s, want only addresses of %v", p.browser, line, ours)
		}
	}
}
