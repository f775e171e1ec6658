package forward_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// attacked has the same service four times: at the gateway, and behind each proxy.
const attacked = `
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
`

// attackedRoutes are the routes of each; UPSTREAM is what the gateway has beside.
const attackedRoutes = `
    plain_http: true
    login: {sign_in: true}
    logout: /logout
    tokens: {}
    routes:
      - {match: '/{rest...}'UPSTREAM}
      - {match: 'GET /open/{rest...}', open: true UPSTREAM}
      - {match: /twice, max_uses: 2 UPSTREAM}
      - {match: /staff/, allow: {groups: [staff]} UPSTREAM}
`

// front is a proxy, or the gateway, before a backend.
type front struct {
	proxyProgram // its kind is "" for the gateway

	host    string // Host of the service, with a port
	address string
	frames  string // address for HTTP/2; "": the front has none
	trust   *x509.CertPool
	asked   *wire // what Jeton is asked; nil: the gateway judges what it passes on
	backend *wire
}

// judged returns the method and the target about which Jeton was asked, if it was asked once.
func (f front) judged(t *testing.T, sent head) (method, target string) {
	t.Helper()
	if f.asked == nil {
		return sent.method, sent.target
	}

	list := f.asked.heads()
	if len(list) != 1 {
		t.Errorf("Jeton was asked %d times, want once", len(list))
		return "", ""
	}
	if f.kind != "nginx" {
		return one(list[0].get("X-Forwarded-Method")), one(list[0].get("X-Forwarded-Uri"))
	}

	_, rest, _ := strings.Cut(one(list[0].get("X-Original-URL")), "://")
	_, target, _ = strings.Cut(rest, "/")

	return one(list[0].get("X-Original-Method")), "/" + target
}

// one returns the value of a header that was sent once.
func one(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return fmt.Sprintf("%d values", len(values))
}

// startFronts starts a server with a service at the gateway and one behind each proxy, and returns the token of a user.
func startFronts(t *testing.T) (fronts []front, token string) {
	t.Helper()
	fronts = []front{
		{proxyProgram: proxyProgram{name: "gateway"}},
		{proxyProgram: proxyProgram{name: "secured"}},
	}
	for _, p := range programs(t) {
		fronts = append(fronts, front{proxyProgram: p})
	}

	text := attacked
	services := []string{}

	for i := range fronts {
		f := &fronts[i]
		f.backend = rawBackend(t)
		services = append(services, f.name)
		port, err := jetontest.FreePort()
		if err != nil {
			t.Fatal(err)
		}

		f.address = "127.0.0.1:" + port
		f.host = f.name + ".example:" + port
		upstream := ""
		place := "\n    url: http://" + f.host
		routes := attackedRoutes
		if f.kind == "" {
			upstream = ", upstream: {url: 'http://" + f.backend.address + "'}"
			place = "\n    host: " + f.name + ".example\n    listen: 127.0.0.1:0"
		}
		if f.name == "secured" {
			routes = strings.Replace(routes, "plain_http: true", "plain_http: false", 1)
		}
		text += "  - name: " + f.name + place + strings.ReplaceAll(routes, "UPSTREAM", upstream)
	}

	s := jetontest.Start(t, text)
	s.AddUser("diane", right)
	token = s.AddToken(jetontest.NewToken{Name: "job", User: "diane", Services: services}).Secret

	for i := range fronts {
		f := &fronts[i]
		switch {
		case f.kind != "":
			f.start(t, s)
		case f.name == "secured":
			// HTTP/2 alone: the rest is that of the gateway without TLS.
			f.address, f.frames, f.trust = "", s.Addr(f.name), s.TLS().RootCAs
		default:
			f.address = s.Addr(f.name)
		}
	}

	return fronts, token
}

// start starts the proxy of a front.
func (f *front) start(t *testing.T, s *jetontest.Server) {
	t.Helper()
	f.asked = relay(t, s.Forward())
	host, port, _ := strings.Cut(f.host, ":")
	f.frames = f.address
	second := port
	if f.kind == "nginx" {
		var err error
		second, err = jetontest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		f.frames = "127.0.0.1:" + second
	}

	// HAProxy and Traefik know HTTP/2 by its first bytes.
	speaks := strings.NewReplacer(
		"\n    listen "+port+";", "\n    listen "+port+";\n    listen "+second+" http2;",
		"\tadmin off\n", "\tadmin off\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n",
	)

	startProxy(t, need.Program(t, f.names...), f.kind, forward.Proxied{
		Service: f.name,
		Scheme:  "http",
		Host:    host,
		Port:    ":" + port,
		Listen:  port,
		Jeton:   f.asked.address,
		Backend: f.backend.address,
		Own:     []string{"/logout"},
	}, speaks.Replace)
	waitFor(t, f.name, port)
}

// What a vector does at every front.
const (
	refused = "refused" // it reaches no backend
	cleaned = "cleaned" // it reaches the backend, without what the client says of itself
	either  = "either"
)

// vector is an attack that was found in some proxy or authentication server.
type vector struct {
	name string
	text string // method and target, then lines of the header; HOST and TOKEN are replaced
	want string
}

// bearer is the line of a caller who may use every route but /staff/.
const bearer = "\nAuthorization: Bearer TOKEN"

// vectors are those that a client can send. That an answer is short, that a failing store admits no request, that two
// requests share no cached decision, and that a start without its secret fails is tested where those are.
var vectors = []vector{
	{"a caller with a token", "GET /a?b=c" + bearer, cleaned},
	{"an open route", "GET /open/a", cleaned},
	{"no credential", "GET /a", refused},
	{"1: a path in X-Forwarded-Uri", "GET /a\nX-Forwarded-Uri: /open/a", refused},
	{"2: an open path in the query", "GET /a?x=/open/a", refused},
	{"3: an open path after #", "GET /a#/open/a", refused},
	{"3: an open path after %23", "GET /a%23/open/a", refused},
	{"3: a path of others after #", "GET /open/#/../../a", refused},
	{"4: the agent of a health check", "GET /a\nUser-Agent: kube-probe/1.29", refused},
	{"4: the agent of a load balancer", "GET /a\nUser-Agent: GoogleHC/1.0", refused},
	{"5: X_Forwarded_User", "GET /open/a\nX_Forwarded_User: eve", either},
	{"5: Remote_User", "GET /a\nRemote_User: eve" + bearer, either},
	{"6: a cookie that is none of a session", "GET /a\nCookie: jeton-nginx=x; jeton-caddy=x; jeton-haproxy=x", refused},
	{"7: two @ in the host", "GET /open/a\nHost: HOST@good@evil.example", either},
	{"8: X-Forwarded-Prefix", "GET /a\nX-Forwarded-Prefix: /open", refused},
	{"8: X-Forwarded-Prefix with a token", "GET /a\nX-Forwarded-Prefix: /eve" + bearer, cleaned},
	{"9: the port of another scheme", "GET /open/a\nX-Forwarded-Proto: https\nX-Forwarded-Port: eve", cleaned},
	{"10: X_Forwarded_Proto", "GET /open/a\nX_Forwarded_Proto: eve", either},
	{"10: X_Forwarded_Host", "GET /open/a\nX_Forwarded_Host: eve", either},
	{"11: the user with one underscore", "GET /a\nRemote-User_: eve\nremote_User: eve" + bearer, either},
	{"12: the user in other letters", "GET /a\nREMOTE-user: eve\nremote-GROUPS: eve" + bearer, cleaned},
	{"13: Connection names X-Forwarded-Host", "GET /a\nConnection: close, X-Forwarded-Host" + bearer, either},
	{"14: connection names x-real-ip", "GET /a\nconnection: close, x-real-ip\nx-real-ip: eve" + bearer, either},
	{"15: Connection names X-Forwarded-For", "GET /a\nConnection: X-Forwarded-For", refused},
	{"16: Connection names Remote-User", "GET /a\nConnection: Remote-User\nRemote-User: eve" + bearer, either},
	{"16: Connection twice", "GET /a\nConnection: close\nConnection: Remote-User" + bearer, either},
	{"17: a prefix that is a host", "GET /a\nX-Forwarded-Prefix: //evil.example\n" + page, refused},
	{"19: an encoded dot", "GET /open%2e/a", refused},
	{"19: an encoded dot segment", "GET /open/%2e/../a", refused},
	{"20: two dots in a name", "GET /open../a", refused},
	{"20: encoded dots in a name", "GET /open%2e%2e/a", refused},
	{"21: a traversal", "GET /open/../a", refused},
	{"22: a traversal out of a rewrite", "GET /open/x/../../a", refused},
	{"23: %2f", "GET /open/..%2fa", refused},
	{"23: %2F", "GET /open/..%2Fa", refused},
	{"23: %5c", "GET /open/..%5ca", refused},
	{"23: %5C", "GET /open%5C..%5Ca", refused},
	{"23: a backslash", `GET /open/..\a`, refused},
	{"23: %00", "GET /open/%00/a", refused},
	{"23: %3f", "GET /open%3f/a", refused},
	{"23: a percent sign that is encoded", "GET /open/%252e%252e/a", either},
	{"24: a slash in lower case", "GET /open%2fa", refused},
	{"25: a traversal to a user", "GET /open/%2e%2e%2fuser/x", refused},
	{"26: the host in other letters", "GET /a\nHost: UPPER", refused},
	{"26: the host with a dot at its end", "GET /a\nHost: DOT", refused},
	{"26: the host with another port", "GET /open/a\nHost: NAME:0443", either},
	{"27: a host below the host", "GET /open/a\nHost: a.B.HOST", either},
	{"28: a letter that is encoded", "GET /%73taff/a" + bearer, refused},
	{"28: the route itself", "GET /staff/a" + bearer, refused},
	{"29: a question mark that is encoded", "GET /staff/a%3fx" + bearer, refused},
	{"30: two slashes at the beginning", "GET //open/a", refused},
	{"30: two slashes to a route of others", "GET //staff/a" + bearer, refused},
	{"31: a target without a slash", "GET open/a", refused},
	{"32: a traversal to an open route", "GET /open/../staff/a" + bearer, refused},
	{"33: the scheme, from anyone", "GET /a\nX-Forwarded-Proto: https", refused},
	{"36: two users", "GET /a\nRemote-User: eve\nRemote-User: eve" + bearer, cleaned},
	{"36: a list of groups", "GET /open/a\nRemote-Groups: eve,admin", cleaned},
	{"37: names that the caller has not", "GET /a\nRemote-Name: eve\nRemote-Email: eve" + bearer, cleaned},
	{"38: Remote_Groups", "GET /open/a\nRemote_Groups: eve", either},
	{"39: a placeholder", "GET /a\nRemote-Groups: {http.request.header.eve}" + bearer, cleaned},
	{"42: a page of errors", "GET /a\n" + page, refused},
	{"45: a path in the host", "GET /a\nHost: HOST/open/a?x=", refused},
	{"another path, and another address", "GET /open/a\nX-Rewrite-URL: /eve\nX-Real-IP: eve", cleaned},
	{"46: X-Forwarded-Host chooses", "GET /open/a\nX-Forwarded-Host: eve", cleaned},
	{"46: two X-Forwarded-Host", "GET /a\nX-Forwarded-Host: eve\nX-Forwarded-Host: HOST", refused},
	{"48: a list of addresses", "GET /open/a\nX-Forwarded-For: eve, 1.2.3.4:80, [::1]", cleaned},
	{"48: an address in quotes", "GET /open/a\nForwarded: for=\"eve\"", cleaned},
	{"49: a quote in the host", "GET /open/a\nHost: HOST\";proto=eve", either},
	{"51: CONNECT", "CONNECT /open/a", refused},
	{"51: CONNECT with a token", "CONNECT /a" + bearer, refused},
	{"52: a body in chunks", "POST /open/a\nTransfer-Encoding: chunked", refused},
	{"52: two lengths", "POST /a\nContent-Length: 0\nTransfer-Encoding: chunked", refused},
	{"54: a service in the query", "GET /a?service=other", refused},
	{"54: an open route with a query", "GET /open/a?service=other&to=eve", cleaned},
	{"55: an unknown host", "GET /a\nHost: evil.example", refused},
	{"56: X-Original-URL", "GET /a\nX-Original-URL: http://HOST/open/a\nX-Original-Method: GET", refused},
	{"56: X-Original-URL of another method", "POST /open/a\nContent-Length: 0\nX-Original-Method: GET", refused},
	{"57: X-HTTP-Method-Override", "GET /open/a\nX-HTTP-Method-Override: EVE", cleaned},
	{"57: a method in the query", "GET /open/a?_method=DELETE", cleaned},
	{"58: two hosts", "GET /open/a\nHost: HOST\nHost: evil.example", refused},
	{"58: another host in the target", "GET http://evil.example/open/a\nHost: HOST", either},
	{"58: a path of others in the target", "GET http://HOST/a\nHost: HOST", refused},
	{"59: a page that is fetched ahead", "GET /twice\nSec-Purpose: prefetch" + bearer, refused},
	{"59: a page that is rendered ahead", "GET /twice\nSec-Purpose: prefetch;prerender" + bearer, refused},
	{"TRACE", "TRACE /open/a", refused},
	{"a method in small letters", "get /a", refused},
	{"a space before the colon", "GET /a\nRemote-User : eve" + bearer, either},
	{"a line that is folded", "GET /a\nRemote-User:\n eve" + bearer, either},
	{"two upgrades", "GET /open/a\nConnection: Upgrade\nUpgrade: h2c\nUpgrade: websocket", either},
	{"an upgrade to HTTP/2", "GET /open/a\nConnection: Upgrade\nUpgrade: h2c\nHTTP2-Settings: AAMA", either},
}

// page is what a browser sends that loads a page.
const page = "Accept: text/html\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"

// textFor returns the bytes of a vector at a front.
func (v vector) textFor(f front, token string) string {
	first, rest, _ := strings.Cut(v.text, "\n")
	lines := []string{first + " HTTP/1.1"}
	if !strings.Contains(v.text, "\nHost:") {
		lines = append(lines, "Host: HOST")
	}
	if rest != "" {
		lines = append(lines, strings.Split(rest, "\n")...)
	}

	name, port, _ := strings.Cut(f.host, ":")
	text := strings.NewReplacer(
		"HOST", f.host, "TOKEN", token, "NAME", name, "UPPER", strings.ToUpper(f.host), "DOT", name+".:"+port,
	).Replace(strings.Join(lines, "\r\n"))
	if strings.Contains(text, "chunked") {
		return text + "\r\n\r\n0\r\n\r\n"
	}

	return text + "\r\n\r\n"
}

// TestNoAttackReachesTheBackend sends each vector and generated targets to the gateway and through proxies with the
// configurations that are printed, and reads what the backend got byte for byte.
func TestNoAttackReachesTheBackend(t *testing.T) {
	fronts, token := startFronts(t)

	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			if f.frames != "" {
				t.Run("frames of HTTP/2", func(t *testing.T) { f.attackFrames(t, token) })
			}
			if f.address == "" {
				return
			}

			for _, v := range vectors {
				t.Run(v.name, func(t *testing.T) { f.attack(t, v.want, v.textFor(f, token)) })
			}
			t.Run("generated targets", func(t *testing.T) { f.attackTargets(t, token) })
		})
	}
}

// attackTargets sends generated targets with a token that opens nearly every route.
func (f front) attackTargets(t *testing.T, token string) {
	n := 250
	if need.Soaking() {
		n = 20_000
	}

	r := rand.New(rand.NewPCG(14, 5)) // the same targets in each run
	reached := 0
	for range n {
		method := pick(r, "GET", "GET", "POST", "DELETE", "OPTIONS", "PROPFIND")
		v := vector{text: method + " " + someTarget(r) + bearer + "\nContent-Length: 0"}
		if f.attack(t, either, v.textFor(f, token)) {
			reached++
		}
	}

	if reached < n/20 {
		t.Errorf("%d of %d targets reached the backend, want more than a few", reached, n)
	}
}

// attack sends a request, checks what the backend got, and reports whether it got anything.
func (f front) attack(t *testing.T, want, text string) bool {
	t.Helper()
	sent := headOf(strings.TrimSuffix(text, "\r\n\r\n"))
	return f.compare(t, want, text, sent, func() string {
		resp := exchange(t, f.address, text)
		if resp == nil {
			return ""
		}
		return resp.Header.Get("Location")
	})
}

// compare makes a request with send, which returns where its response leads, and compares what the backend got with
// what was sent and judged.
func (f front) compare(t *testing.T, want, text string, sent head, send func() string) bool {
	t.Helper()
	f.backend.heads()
	if f.asked != nil {
		f.asked.heads()
	}

	location := send()
	if strings.Contains(location, "evil") {
		t.Errorf("%q leads to %q", text, location)
	}

	// Traefik merges slashes itself, and asks about the path that it passes on.
	if f.kind == "traefik" && want == refused && strings.Contains(text, " //open/") {
		want = either
	}

	seen := f.backend.heads()
	if len(seen) > 1 || want == refused && len(seen) > 0 || want == cleaned && len(seen) == 0 {
		t.Errorf("%q: the backend got %q, want it %s", text, seen, want)
	}
	if len(seen) != 1 {
		return false
	}

	method, target := f.judged(t, sent)
	if seen[0].method != method || seen[0].target != target {
		t.Errorf("%q: judged was %q %q, and the backend got %q %q",
			text, method, target, seen[0].method, seen[0].target)
	}
	f.checkClean(t, text, seen[0])

	return true
}

// ours are the beginnings of the headers that a proxy sets, in every spelling.
var ours = []string{
	"remote", "jeton", "forwarded", "x-forwarded", "x-original", "x-rewrite", "x-real", "x-http-method",
}

// checkClean checks that the backend got nothing that the client says of itself, and no credential.
func (f front) checkClean(t *testing.T, text string, got head) {
	t.Helper()
	user := strings.Join(got.get("Remote-User"), "|")
	proved := strings.Contains(text, "\r\nAuthorization:")
	// An open route looks at no credential.
	if user != "" && (user != "diane" || !proved) {
		t.Errorf("%q: the backend got the user %q, want diane or none", text, user)
	}
	if user == "" && !strings.HasPrefix(strings.ReplaceAll(got.target, "%65", "e"), "/open/") {
		t.Errorf("%q: the backend got %q without a user", text, got.target)
	}

	if f.asked != nil {
		checkProof(t, text, got)
	}

	for _, line := range got.header {
		name := strings.ReplaceAll(strings.ToLower(line.name), "_", "-")
		if name == "jeton-assertion" {
			continue // checkProof has read it
		}
		if name == "upgrade" && !strings.EqualFold(line.value, "websocket") {
			t.Errorf("%q: the backend got an Upgrade to %s", text, line.value)
		}
		isOurs := slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(name, p) })
		forged := strings.Contains(strings.ToLower(line.value), "eve") || strings.Contains(line.value, "{")
		if isOurs && forged || name == "authorization" || name == "connection" && strings.Contains(line.value, "-") &&
			!strings.EqualFold(line.value, "keep-alive") {
			t.Errorf("%q: the backend got %s: %s", text, line.name, line.value)
		}
	}

	want := []string{"http://" + f.host, "http://" + f.backend.address}
	if host := got.get("Host"); len(host) != 1 || !slices.Contains(want, "http://"+host[0]) {
		t.Errorf("%q: the backend got the host %q, want one of %q", text, host, want)
	}
}

// waitFor waits until a proxy listens.
func waitFor(t *testing.T, kind, port string) {
	t.Helper()
	e2e.Wait(t, kind+" to answer", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// checkProof checks that the backend got one assertion, for the request that it got.
func checkProof(t *testing.T, text string, got head) {
	t.Helper()
	var claims struct {
		Subject string `json:"sub"`
		Request string `json:"req"`
	}

	lines := got.get("Jeton-Assertion")
	parts := strings.Split(strings.Join(lines, "|"), ".")
	if len(parts) != 3 {
		t.Errorf("%q: the backend got the assertions %q, want one", text, lines)
		return
	}

	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}

	path, _, _ := strings.Cut(got.target, "?")
	sum := sha256.Sum256([]byte(got.method + " " + path))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	user := strings.Join(got.get("Remote-User"), "|")
	if err != nil || claims.Request != want || claims.Subject != user {
		t.Errorf("%q: the backend got an assertion of %s, %v, want one of %q for %s", text, payload, err, user, want)
	}
}
