//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// upgradeConfig has what is under load while versions change: sessions, tokens with counted uses, logins, and refresh
// tokens of a relying party. Everything has one address, behind a balancer that terminates TLS.
const upgradeConfig = `
admin: {listen: "127.0.0.1:0"}
trusted_proxies: [127.0.0.1/32]
shutdown: {delay: 5s, timeout: 15m}
throttle: {pair_burst: 10000, account_burst: 10000, source_burst: 10000}
issuer: {url: "https://id.example", listen: "127.0.0.1:${PORT}", host: id.example, plain_http: true}
users:
  - name: crash
    password_hash: $argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$emnsGCvSMvEhynHpN/kQLguF314Dp4WxmhBLVwYEtTM
clients:
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid: {redirect_uris: ["https://wiki.example/done"], require_pkce: false}
services:
  - name: counted
    listen: 127.0.0.1:${PORT}
    host: counted.example
    plain_http: true
    count_by: credential
    login: {paths: [/login]}
    logout: /logout
    tokens: {}
    accept: [session, token]
    users_api: {}
    routes:
      - match: /many
        max_uses: 100000000
        respond: {text: used}
      - match: /free
        respond: {text: "not counted"}
`

// loadPatience is how long one request may take. Passwords are hashed with the lowest priority: on a busy machine they
// wait long.
const loadPatience = 10 * time.Minute

// balancer sends requests to the nodes that are ready, in turn. While there is none, a request waits: so does a
// balancer that holds back what it has not sent yet.
type balancer struct {
	mu    sync.Mutex
	nodes []*backend
	turn  int

	// again counts requests that were repeated after a 503, as the guide wants it; on a busy machine the database may
	// be slower than its limit. lost counts those of them that may have taken a use.
	again, lost atomic.Int64
}

// backend is a server behind the balancer.
type backend struct {
	url      string
	client   *http.Client
	ready    atomic.Bool
	answered atomic.Int64
}

// join puts a server on a port behind the balancer.
func (b *balancer) join(t *testing.T, port string) *backend {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	n := &backend{
		url: "http://127.0.0.1:" + port,
		client: &http.Client{
			Transport:     transport,
			Timeout:       loadPatience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, n)

	return n
}

// watch keeps asking whether a server is ready, until it has ended.
func (n *backend) watch(s *Server) {
	check := &http.Client{Timeout: Patience}
	for {
		answer, err := check.Get(s.Admin + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
		}
		n.ready.Store(err == nil && answer.StatusCode == http.StatusOK)

		select {
		case <-s.Ended():
			n.ready.Store(false)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pick returns the next server that is ready, or nil if there is none.
func (b *balancer) pick() *backend {
	b.mu.Lock()
	defer b.mu.Unlock()

	for range b.nodes {
		b.turn++
		if n := b.nodes[b.turn%len(b.nodes)]; n.ready.Load() {
			return n
		}
	}

	return nil
}

// send sends a request, again after a 503. body is a form, or JSON if it begins with a brace.
func (b *balancer) send(method, host, path, body string, header ...string) (a Answer, err error) {
	for deadline := time.Now().Add(Patience); ; time.Sleep(50 * time.Millisecond) {
		a, err = b.once(method, host, path, body, header...)
		if err != nil || a.Status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return a, err
		}

		b.again.Add(1)
		if path == "/many" {
			b.lost.Add(1)
		}
	}
}

// once sends a request once.
func (b *balancer) once(method, host, path, body string, header ...string) (Answer, error) {
	n := b.pick()
	for deadline := time.Now().Add(loadPatience); n == nil; n = b.pick() {
		if time.Now().After(deadline) {
			return Answer{}, errors.New("no server was ready in time")
		}
		time.Sleep(5 * time.Millisecond)
	}

	r, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}

	r.Host = host
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}

	a, err := (&Client{http: n.client}).Send(r)
	n.answered.Add(1)

	return a, err
}

// want is send, with an error unless the response has a status.
func (b *balancer) want(status int, method, host, path, body string, header ...string) (Answer, error) {
	a, err := b.send(method, host, path, body, header...)
	if err == nil && a.Status != status {
		err = fmt.Errorf("got %v, want %d", a, status)
	}
	if err != nil {
		err = fmt.Errorf("%s %s%s: %w", method, host, path, err)
	}

	return a, err
}

const (
	appHost    = "counted.example"
	issuerHost = "id.example"
	formLogin  = "username=crash&password=crash_pw"
)

// cookies returns the cookies that a response sets, as a request sends them.
func (a Answer) cookies() string {
	var pairs []string
	for _, line := range a.Header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}

	return strings.Join(pairs, "; ")
}

// traffic is what callers do all the time while versions change. No request of theirs may fail.
type traffic struct {
	*balancer
	t       *testing.T
	session string // cookies of a session of the first version
	token   string // with counted uses
	used    atomic.Int64
	refresh string // token, that is exchanged all the time
	done    atomic.Bool
	callers sync.WaitGroup
	calls   [5]atomic.Int64
}

// tokenUses are the uses that the token has.
const tokenUses = 50_000_000

// begin logs in, makes the token, signs in for the relying party, and starts the callers.
func (l *traffic) begin() {
	l.t.Helper()
	a, err := l.want(http.StatusOK, http.MethodPost, appHost, "/login", formLogin)
	l.must(err)
	l.session = a.cookies()

	wish := fmt.Sprintf(`{"name": "a token", "expires_at": %q, "max_uses": %d}`,
		time.Now().Add(24*time.Hour).Format(time.RFC3339), tokenUses)
	a, err = l.want(http.StatusCreated, http.MethodPost, appHost, "/api/v1/users/me/tokens", wish, "Cookie", l.session)
	l.must(err)
	var made struct{ Token string }
	l.must(json.Unmarshal([]byte(a.Body), &made))
	l.token = "Bearer " + made.Token

	l.signIn()
	for i, call := range []func() error{l.check, l.use, l.use, l.visit, l.exchange} {
		l.callers.Go(func() {
			for !l.done.Load() {
				if err := call(); err != nil {
					l.t.Error(err)
					return
				}
				l.calls[i].Add(1)
				time.Sleep(2 * time.Millisecond) // other tests want the processor, too
			}
		})
	}
}

// visits is the number of the caller that logs in and out.
const visits = 3

// must fails the test for an error before the load.
func (l *traffic) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// signIn signs in with a browser, and redeems the code of the relying party.
func (l *traffic) signIn() {
	l.t.Helper()
	a, err := l.want(http.StatusSeeOther, http.MethodPost, issuerHost, "/sign-in", formLogin,
		"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html")
	l.must(err)

	ask := url.Values{
		"response_type": {"code"},
		"client_id":     {"wiki"},
		"redirect_uri":  {"https://wiki.example/done"},
		"scope":         {"openid offline_access"},
		"state":         {"xyz"},
		"nonce":         {"n-1"},
	}
	a, err = l.want(http.StatusSeeOther, http.MethodGet, issuerHost, "/oauth2/authorize?"+ask.Encode(), "",
		"Cookie", a.cookies(), "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html")
	l.must(err)
	to, err := url.Parse(a.Header.Get("Location"))
	l.must(err)

	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {to.Query().Get("code")},
		"redirect_uri":  {"https://wiki.example/done"},
		"client_id":     {"wiki"},
		"client_secret": {"s3cret"},
	}
	l.must(l.redeem(form))
}

// redeem sends a token request, and keeps the refresh token of the answer.
func (l *traffic) redeem(form url.Values) error {
	a, err := l.want(http.StatusOK, http.MethodPost, issuerHost, "/oauth2/token", form.Encode())
	if err != nil {
		return err
	}

	var got struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got.Refresh == "" || got.Refresh == l.refresh {
		return fmt.Errorf("token request: got %v, want a new refresh token", a)
	}
	l.refresh = got.Refresh

	return nil
}

// exchange exchanges the refresh token for the next one.
func (l *traffic) exchange() error {
	return l.redeem(url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {l.refresh},
		"client_id":     {"wiki"},
		"client_secret": {"s3cret"},
	})
}

// check shows the session where uses are not counted.
func (l *traffic) check() error {
	_, err := l.want(http.StatusOK, http.MethodGet, appHost, "/free", "", "Cookie", l.session)
	return err
}

// use takes a use of the token.
func (l *traffic) use() error {
	_, err := l.want(http.StatusOK, http.MethodPost, appHost, "/many", "", "Authorization", l.token)
	if err == nil {
		l.used.Add(1)
	}

	return err
}

// visit logs in, shows the session, logs out, and shows it once more: whichever nodes answer, it is revoked.
func (l *traffic) visit() error {
	a, err := l.want(http.StatusOK, http.MethodPost, appHost, "/login", formLogin)
	if err != nil {
		return err
	}

	cookies := a.cookies()
	if _, err := l.want(http.StatusOK, http.MethodGet, appHost, "/free", "", "Cookie", cookies); err != nil {
		return err
	}
	if err := l.logOut(cookies); err != nil {
		return err
	}
	_, err = l.want(http.StatusUnauthorized, http.MethodGet, appHost, "/free", "", "Cookie", cookies)

	return err
}

// logOut ends a session. One that was repeated after a 503 may have been ended before: it gets 401.
func (l *traffic) logOut(cookies string) error {
	before := l.again.Load()
	a, err := l.send(http.MethodPost, appHost, "/logout", "", "Cookie", cookies)
	switch {
	case err != nil:
		return fmt.Errorf("log out: %w", err)
	case a.Status == http.StatusUnauthorized && l.again.Load() > before:
		return nil
	case a.Status >= http.StatusBadRequest:
		return fmt.Errorf("log out: got %v, want it done", a)
	}

	return nil
}

// goOn waits until every caller has gone on: the second call that ends has begun since. Logins may take longer than
// that on a busy machine; a node that is stopped waits for them.
func (l *traffic) goOn(what string) {
	l.t.Helper()
	for i := range l.calls {
		if i == visits {
			continue
		}
		for range 2 {
			from := l.calls[i].Load()
			Wait(l.t, what, func() bool { return l.calls[i].Load() > from || l.t.Failed() })
		}
	}
}

// terminate stops a server as a supervisor does, and waits until its requests are answered.
func (l *traffic) terminate(s *Server) {
	l.t.Helper()
	s.Signal(l.t, syscall.SIGTERM)
	select {
	case <-s.Ended():
	case <-time.After(loadPatience):
	}

	if code := s.Code(l.t); code != 0 {
		l.t.Errorf("a server that was stopped exited with %d, want 0:\n%s", code, s.Err)
	}
}

// end stops the callers and checks the uses: each accepted one was counted, and no other but those that were
// answered 503, which may have been.
func (l *traffic) end() {
	l.t.Helper()
	l.done.Store(true)
	l.callers.Wait()

	if l.calls[visits].Load() == 0 {
		l.t.Error("no login and logout was complete, want some")
	}

	a, err := l.want(http.StatusOK, http.MethodPost, appHost, "/many", "", "Authorization", l.token)
	l.must(err)
	most := tokenUses - int(l.used.Load()) - 1
	if least := most - int(l.lost.Load()); a.Left() < least || a.Left() > most {
		l.t.Errorf("uses left = %d, want %d to %d after %d accepted ones", a.Left(), least, most, l.used.Load()+1)
	}
	l.t.Logf("%d checks, %d uses, %d logins and logouts, %d refreshes; %d repeated after a 503",
		l.calls[0].Load(), l.used.Load(), l.calls[visits].Load(), l.calls[4].Load(), l.again.Load())
}
