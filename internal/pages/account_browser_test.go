package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// right is the password of every user of these tests.
const right = "correct horse battery"

// accountConf has two services that accept tokens and sessions of the authorization server.
const accountConf = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}", brand: {name: Acme}}
services:
  - name: reports
    listen: localhost:0
    host: reports.example
    accept: [session, token]
    tokens: {}
    login: {sign_in: true}
    users_api: {}
    user_scopes: [{allow: {groups: [staff]}, scopes: [reports:read]}]
    routes:
      - {match: GET /reports/, respond: {template: 'reports of {{.Name}}'}}
      - {match: POST /exports, scopes: [reports:write], respond: {text: exported}}
  - name: wiki
    listen: localhost:0
    host: wiki.example
    tokens: {}
    login: {sign_in: true}
    routes: [{match: GET /, respond: {template: 'wiki of {{.Name}}'}}]
`

// clock is the time of a server, which a test can set forward.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.at = c.at.Add(d)
}

// visitor is a browser without scripts at a server: it keeps cookies, sends forms,
// and follows no redirect by itself.
type visitor struct {
	t        *testing.T
	s        *jetontest.Server
	clock    *clock
	client   *http.Client
	language string
	agent    string
}

// newVisitor returns a browser of a server that has the user diane, who is signed in.
func newVisitor(t *testing.T) *visitor {
	t.Helper()
	c := &clock{at: time.Now()}
	s := jetontest.Start(t, accountConf, jetontest.Clock(c.now))
	s.AddUser("diane", right, "staff")
	v := &visitor{
		t:        t,
		s:        s,
		clock:    c,
		client:   s.Client(jetontest.Jar()),
		language: "en",
		agent:    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}
	v.signIn()

	return v
}

// another returns another browser at the same server, in which diane is signed in, too.
func (v *visitor) another(agent string) *visitor {
	v.t.Helper()
	other := *v
	other.client = v.s.Client(jetontest.Jar())
	other.agent = agent
	other.signIn()

	return &other
}

func (v *visitor) signIn() {
	v.t.Helper()
	v.post("/sign-in", 303, "username", "diane", "password", right)
}

// send sends a request as a browser does that loads a page.
func (v *visitor) send(method, address, body string) jetontest.Answer {
	v.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.s.Issuer() + address
	}

	header := []string{
		"Accept", "text/html,*/*;q=0.8",
		"Accept-Language", v.language,
		"User-Agent", v.agent,
		"Sec-Fetch-Mode", "navigate",
		"Sec-Fetch-Dest", "document",
	}
	if method == http.MethodPost {
		header = append(header,
			"Content-Type", "application/x-www-form-urlencoded",
			"Origin", v.s.Issuer(),
			"Sec-Fetch-Site", "same-origin",
		)
	}

	return v.s.Send(v.client, method, address, body, header...)
}

// get loads a page and returns it.
func (v *visitor) get(address string, status int) string {
	v.t.Helper()
	a := v.send(http.MethodGet, address, "")
	if a.Status != status {
		v.t.Fatalf("GET %s: got %d %s, want %d", address, a.Status, a.Header.Get("Location"), status)
	}

	return a.Body
}

// post sends a form, whose fields alternate names and values, and returns the answer.
func (v *visitor) post(address string, status int, fields ...string) jetontest.Answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}

	a := v.send(http.MethodPost, address, form.Encode())
	if a.Status != status {
		v.t.Fatalf("POST %s: got %d, want %d\n%s", address, a.Status, status, a.Body)
	}

	return a
}

// leadsTo checks where an answer redirects to.
func (v *visitor) leadsTo(a jetontest.Answer, want string) {
	v.t.Helper()
	if got := a.Header.Get("Location"); got != want {
		v.t.Errorf("the answer leads to %q, want %q", got, want)
	}
}

// has checks that a page contains texts.
func (v *visitor) has(page string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			v.t.Errorf("the page has no %q\n%s", text, page)
		}
	}
}

// lacks checks that a page contains none of some texts.
func (v *visitor) lacks(page string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			v.t.Errorf("the page has %q\n%s", text, page)
		}
	}
}

// one returns what the group of an expression matches first in a page.
func (v *visitor) one(page, expression string) string {
	v.t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(page)
	if m == nil {
		v.t.Fatalf("nothing in the page matches %s\n%s", expression, page)
	}

	return m[1]
}

// token creates a token and returns its accessor and its secret.
func (v *visitor) token(fields ...string) (accessor, secret string) {
	v.t.Helper()
	a := v.post("/account/tokens/new", 200, append([]string{"name", "job", "lasts", "30d"}, fields...)...)
	page := a.Body

	return v.one(page, `href="/account/tokens/([^/"]+)"`), v.one(page, `<code id="secret">([^<]+)</code>`)
}

// use sends a request with a token to a service and returns the status.
func (v *visitor) use(service, path, secret string) int {
	v.t.Helper()
	return v.s.Send(v.s.Client(), http.MethodGet, v.s.URL(service)+path, "", "Authorization", "Bearer "+secret).Status
}
