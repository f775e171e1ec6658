package forward_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// admitted is the status of every route at the gateway. Nothing else has it.
const admitted = 234

// sameRoutes are the routes of a service at the gateway; without respond they are those of one behind a proxy.
const sameRoutes = `
    plain_http: true
    login: {paths: [/login], allow: {users: [diane, max]}}
    logout: /logout
    tokens: {}
    user_scopes: [{scopes: [read]}]
    routes:
      - {match: '/{rest...}', respond: {status: 234, text: ''}}
      - {match: 'GET /open/{rest...}', open: true, respond: {status: 234, text: ''}}
      - {match: 'POST /open/form', open: true, respond: {status: 234, text: ''}}
      - {match: '/admin/', allow: {users: [diane]}, respond: {status: 234, text: ''}}
      - {match: 'GET /admin/public', open: true, respond: {status: 234, text: ''}}
      - {match: '/staff/{name}', allow: {groups: [staff], clients: [robot]}, respond: {status: 234, text: ''}}
      - {match: 'GET /read', scopes: [read], respond: {status: 234, text: ''}}
      - {match: 'GET /cookie', accept: [session], respond: {status: 234, text: ''}}
      - {match: 'GET /counted', max_uses: 20, respond: {status: 234, text: ''}}
      - {match: '/counted/{rest...}', max_uses: 30, respond: {status: 234, text: ''}}
`

// sameServices returns a configuration of one service at the gateway and the same behind a proxy.
func sameServices() string {
	routes := strings.ReplaceAll(sameRoutes, ", respond: {status: 234, text: ''}", "")
	return `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: gate
    listen: 127.0.0.1:0
` + sameRoutes + `
  - name: behind
    url: http://behind.example
` + routes
}

// caller is one credential at both services.
type caller struct {
	name          string
	atGate        []string // lines of a header
	behindTheGate []string
}

// TestTheDecisionIsThatOfTheGateway sends generated requests to a service at the gateway, and asks about the same
// requests to a service with the same routes behind a proxy. The uses of both are counted, too.
func TestTheDecisionIsThatOfTheGateway(t *testing.T) {
	s := jetontest.Start(t, sameServices())
	callers := callersOf(t, s)
	r := rand.New(rand.NewPCG(14, 2)) // the same requests in each run
	outcomes := map[int]int{}

	for range 4000 {
		method := pick(r, "GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "OPTIONS", "PROPFIND")
		target := someTarget(r)
		who := callers[r.IntN(len(callers))]
		proxy := pick(r, "nginx", "caddy", "traefik", "haproxy", "envoy")

		want := status(t, s.Addr("gate"), method, target, append([]string{"Host: 127.0.0.1"}, who.atGate...))
		got := decide(t, s, proxy, method, target, who.behindTheGate)
		outcomes[want]++
		if got != expected(proxy, want) {
			t.Errorf("%s %s of %s: the gateway answers %d, and %s gets %d, want %d",
				method, target, who.name, want, proxy, got, expected(proxy, want))
		}
	}

	for _, outcome := range []int{admitted, 204, 307, 400, 401, 403} {
		if outcomes[outcome] < 5 {
			t.Errorf("%d of the requests had status %d at the gateway, want at least 5", outcomes[outcome], outcome)
		}
	}
}

// expected returns what a proxy gets for a status of the gateway.
func expected(proxy string, status int) int {
	switch {
	case status == admitted:
		return http.StatusOK
	case proxy == "nginx" && status != http.StatusUnauthorized, status < http.StatusMultipleChoices:
		return http.StatusForbidden
	}

	return status
}

// callersOf returns credentials of several kinds, good and bad.
func callersOf(t *testing.T, s *jetontest.Server) []caller {
	t.Helper()
	for _, name := range []string{"diane", "max", "eve"} {
		s.AddUser(name, right)
	}
	s.AddClient("robot", "gate", "behind")

	list := []caller{
		{"no caller", nil, nil},
		{"an invalid token", []string{"Authorization: Bearer x"}, []string{"Authorization: Bearer x"}},
		{"an invalid cookie", []string{"Cookie: jeton-gate=x"}, []string{"Cookie: jeton-behind=x"}},
		{
			"two credentials",
			[]string{"Authorization: Bearer x", "Authorization: Bearer y"},
			[]string{"Authorization: Bearer x", "Authorization: Bearer y"},
		},
	}
	for _, name := range []string{"diane", "max"} {
		list = append(list, caller{
			name,
			[]string{"Cookie: " + s.Enter("gate", name, right)},
			[]string{"Cookie: " + enterBehind(t, s, name)},
		})
	}

	for _, terms := range []jetontest.NewToken{
		{Name: "job", Client: "robot", Services: []string{"gate", "behind"}},
		{Name: "of eve", User: "eve", Services: []string{"gate", "behind"}},
		{
			Name:     "reads",
			User:     "max",
			Services: []string{"gate", "behind"},
			Scopes:   []string{"read"},
		},
	} {
		header := []string{"Authorization: Bearer " + s.AddToken(terms).Secret}
		list = append(list, caller{"the token " + terms.Name, header, header})
	}

	return list
}

// enterBehind logs in at the service behind the proxy, which passes the login on to Jeton.
func enterBehind(t *testing.T, s *jetontest.Server, name string) string {
	t.Helper()
	a := s.Send(&http.Client{}, http.MethodPost, "http://"+s.Forward()+"/login",
		url.Values{"username": {name}, "password": {right}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
		"X-Forwarded-Proto", "http", "X-Forwarded-Host", "behind.example", "X-Forwarded-For", "192.0.2.9")
	if a.Status != http.StatusOK {
		t.Fatalf("log in as %s: got %d %s, want 200", name, a.Status, a.Body)
	}

	return a.Cookies()
}

// someTarget returns a path as a client could send it, with a query now and then.
func someTarget(r *rand.Rand) string {
	target := ""
	for range 1 + r.IntN(3) {
		target += "/" + pick(r,
			"open", "open", "admin", "admin", "public", "staff", "x", "read", "cookie", "counted", "counted", "form",
			"", ".", "..", "%2e%2e", "%2E", "a%2fb", "%2F", "%5c", "a\\b", "a;b", "admin;x", "..;", "%3b", "Admin",
			"%41dmin",
			"%61dmin", "op%65n", "%c3%a9", "é", "%ff", "%00", "%zz", "%", "%2561", "#", "a#b", "%23", "a:b", "a+b", "~",
			".jeton", ".well-known",
		)
	}
	if target[1:] == "" || r.IntN(6) == 0 {
		target += "/"
	}

	return target + pick(r, "", "", "", "?", "?a=/open/x", "?a=b#c", "?%zz", "?service=gate")
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// decide asks about a request as a proxy does, and returns the status.
func decide(t *testing.T, s *jetontest.Server, proxy, method, target string, header []string) int {
	t.Helper()
	const host = "behind.example"

	id := fmt.Sprintf("X-Request-Id: same-request-%d", lastID.Add(1))
	header = append([]string{"X-Forwarded-For: 192.0.2.9", id}, header...)
	switch proxy {
	case "envoy":
		return status(t, s.Forward(), method, "/authz/envoy"+target, append(header, "Host: "+host))
	case "nginx":
		header = append(header, "Host: jeton", "X-Original-URL: http://"+host+target, "X-Original-Method: "+method)
	default:
		header = append(header, "Host: "+host, "X-Forwarded-Method: "+method, "X-Forwarded-Proto: http",
			"X-Forwarded-Host: "+host, "X-Forwarded-Uri: "+target)
	}

	return status(t, s.Forward(), http.MethodGet, "/authz/"+proxy+"?service=behind", header)
}

// status sends a request byte for byte and returns the status.
func status(t *testing.T, address, method, target string, header []string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	lines := strings.Join(append(header, "Connection: close"), "\r\n")
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\n\r\n", method, target, lines)
	if err != nil {
		t.Fatal(err)
	}

	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	_ = resp.Body.Close()

	return resp.StatusCode
}
