package gateway_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const leasePassword = "correct horse battery"

const leasesYAML = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: reports
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {lifetime: 30m}
    user_scopes: [{scopes: [read, write]}]
    routes:
      - {match: "GET /reports/{id}", respond: {text: report}}
      - {match: "POST /reports", scopes: [write], respond: {text: posted}}
  - name: other
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    user_scopes: [{scopes: [read, write]}]
    routes: [{match: GET /, respond: {text: other}}]
`

// leaseClient asks for leases at a service.
type leaseClient struct {
	*jetontest.Server
	clock *testClock
}

func startLeases(t *testing.T) leaseClient {
	t.Helper()
	clock := newTestClock(start)
	s := jetontest.Start(t, leasesYAML, jetontest.Clock(clock.now))
	s.AddUser("diane", leasePassword)
	s.AddUser("eshana", leasePassword)

	return leaseClient{s, clock}
}

// post sends a document with a credential, which is a token or a cookie.
func (c leaseClient) post(path, credential string, in any) jetontest.Answer {
	return c.postTo("reports", path, credential, in)
}

func (c leaseClient) postTo(service, path, credential string, in any) jetontest.Answer {
	body, err := json.Marshal(in)
	if err != nil {
		return jetontest.Answer{Body: err.Error()}
	}

	name, value := "Authorization", "Bearer "+credential
	if strings.Contains(credential, "=") {
		name, value = "Cookie", credential
	}

	return c.Send(
		c.Client(), "POST", c.URL(service)+path, string(body), name, value, "Content-Type", "application/json",
	)
}

// make returns a lease, which has to be granted.
func (c leaseClient) make(t *testing.T, credential string, in jeton.LeaseRequest) jeton.Lease {
	t.Helper()
	in.Name = "job"
	if in.Seconds == 0 {
		in.Seconds = 60
	}

	var lease jeton.Lease
	a := c.post("/.jeton/leases", credential, in)
	if err := json.Unmarshal([]byte(a.Body), &lease); err != nil || a.Status != 201 || lease.Secret == "" {
		t.Fatalf("POST /.jeton/leases = %d %s, want 201 and a token", a.Status, a.Body)
	}

	return lease
}

// status returns the status of a request with a token.
func (c leaseClient) status(method, path, token string) int {
	return c.Ask(method, "reports", path, "Authorization", "Bearer "+token).Status
}

// credentials returns one credential of diane of each kind that makes leases.
func (c leaseClient) credentials(t *testing.T) map[string]string {
	t.Helper()
	key := c.AddClient("ci", "reports")

	return map[string]string{
		"a session": c.Enter("reports", "diane", leasePassword),
		"a personal token": c.AddToken(jetontest.NewToken{
			User:     "diane",
			Name:     "nightly",
			Services: []string{"reports"},
		}).Secret,
		"a token that is limited to paths": c.AddToken(jetontest.NewToken{
			User:     "diane",
			Name:     "narrow",
			Services: []string{"reports"},
			Allows:   []string{"GET /reports/*"},
		}).Secret,
		"a signed token of a client": c.Token(key),
	}
}

func TestALeaseEndsUnlessItIsRenewed(t *testing.T) {
	c := startLeases(t)
	for name, credential := range c.credentials(t) {
		t.Run(name, func(t *testing.T) {
			began := c.clock.now()
			lease := c.make(t, credential, jeton.LeaseRequest{})
			at := func(after time.Duration, want int) {
				t.Helper()
				c.clock.set(began.Add(after))
				if got := c.status("GET", "/reports/1", lease.Secret); got != want {
					t.Errorf("GET /reports/1 after %v = %d, want %d", after, got, want)
				}
			}
			renew := func(want int) {
				t.Helper()
				in := jeton.LeaseRenewal{Accessor: lease.Accessor, Seconds: 60}
				a := c.post("/.jeton/leases/renew", credential, in)
				if a.Status != want {
					t.Errorf("renewal = %d %s, want %d", a.Status, a.Body, want)
				}
			}

			at(59*time.Second, 200) // it is cached with its first end now
			renew(200)
			at(61*time.Second, 200)
			at(118*time.Second, 200)
			at(119*time.Second, 401)
			renew(404)
			at(120*time.Second, 401)
		})
	}
}

func TestALeaseIsNeverWiderThanItsMaker(t *testing.T) {
	c := startLeases(t)
	narrow := c.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "narrow",
		Services: []string{"reports"},
		Scopes:   []string{"read"},
		Allows:   []string{"GET /reports/*"},
		Expires:  c.clock.now().Add(30 * time.Second),
	}).Secret
	counted := c.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "counted",
		Services: []string{"reports"},
		MaxUses:  1,
	})
	elsewhere := c.AddToken(jetontest.NewToken{User: "diane", Name: "other", Services: []string{"other"}}).Secret
	session := c.Enter("reports", "diane", leasePassword)

	rules := slices.Repeat([]string{"GET /reports/*"}, 101)

	withScope := func(scope string) jeton.LeaseRequest {
		return jeton.LeaseRequest{Scopes: []string{scope}, Seconds: 20}
	}

	for _, tc := range []struct {
		name       string
		credential string
		in         jeton.LeaseRequest
		want       int
		code       string
	}{
		{"a path of its own", narrow, jeton.LeaseRequest{Allows: []string{"GET /reports/1"}, Seconds: 20}, 201, ""},
		{"another method", narrow, jeton.LeaseRequest{Allows: []string{"* /reports/*"}, Seconds: 20}, 403, "forbidden"},
		{"another scope", narrow, withScope("write"), 403, "insufficient_scope"},
		{"a later end is cut", narrow, jeton.LeaseRequest{Seconds: 600}, 201, ""},
		{"a counted maker", counted.Secret, jeton.LeaseRequest{Seconds: 20}, 403, "forbidden"},
		{"a token of another service", elsewhere, jeton.LeaseRequest{Seconds: 20}, 401, "bad_credential"},
		{"too short", session, jeton.LeaseRequest{Seconds: 9}, 400, "invalid_request"},
		{"too long", session, jeton.LeaseRequest{Seconds: 601}, 400, "invalid_request"},
		{"a length that overflows", session, jeton.LeaseRequest{Seconds: -1 << 62}, 400, "invalid_request"},
		{"a scope that the user lacks", session, withScope("x"), 403, "insufficient_scope"},
		{"a bad rule", session, jeton.LeaseRequest{Allows: []string{"reports"}, Seconds: 20}, 400, "invalid_request"},
		{"too many rules", session, jeton.LeaseRequest{Allows: rules, Seconds: 20}, 400, "invalid_request"},
		{"a negative number of uses", session, jeton.LeaseRequest{MaxUses: -1, Seconds: 20}, 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Name = "job"
			a := c.post("/.jeton/leases", tc.credential, tc.in)
			if a.Status != tc.want || a.Code() != tc.code {
				t.Fatalf("POST /.jeton/leases = %d %s %s, want %d %s", a.Status, a.Code(), a.Body, tc.want, tc.code)
			}
			if a.Status != 201 {
				return
			}

			var lease jeton.Lease
			if err := json.Unmarshal([]byte(a.Body), &lease); err != nil {
				t.Fatal(err)
			}
			if lease.Expires.After(c.clock.now().Add(30 * time.Second)) {
				t.Errorf("lease ends %v, after its maker", lease.Expires)
			}
			if got := c.status("POST", "/reports", lease.Secret); got != 403 {
				t.Errorf("POST /reports = %d, want 403 as for its maker", got)
			}
		})
	}

	// The refusals have taken none of its uses.
	if got := c.status("GET", "/reports/1", counted.Secret); got != 200 {
		t.Errorf("the only use of the counted token = %d, want 200", got)
	}
}

func TestALeaseMakesOnlyNarrowerOnesAndEndsWithWhatMadeIt(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	outer := c.make(t, session, jeton.LeaseRequest{})
	inner := c.make(t, outer.Secret, jeton.LeaseRequest{Scopes: []string{"read"}, Seconds: 30})

	if got := c.status("POST", "/reports", outer.Secret); got != 200 {
		t.Errorf("POST /reports with the scopes of the user = %d, want 200", got)
	}
	if got := c.status("POST", "/reports", inner.Secret); got != 403 {
		t.Errorf("POST /reports with the scope read alone = %d, want 403", got)
	}

	for _, tc := range []struct {
		name, credential, accessor string
		seconds                    int64
		want                       int
	}{
		{"the inner one by the outer", outer.Secret, inner.Accessor, 30, 200},
		{"the inner one by the session, which did not make it", session, inner.Accessor, 30, 404},
		{"the inner one by itself", inner.Secret, inner.Accessor, 30, 404},
		{"the outer one by the inner", inner.Secret, outer.Accessor, 30, 403},
		{"the outer one by itself", outer.Secret, outer.Accessor, 30, 404},
		{"by another user", c.Enter("reports", "eshana", leasePassword), outer.Accessor, 30, 404},
		{"an unknown one", session, "t_none", 30, 404},
		{"for too long", session, outer.Accessor, 601, 400},
	} {
		in := jeton.LeaseRenewal{Accessor: tc.accessor, Seconds: tc.seconds}
		a := c.post("/.jeton/leases/renew", tc.credential, in)
		if a.Status != tc.want {
			t.Errorf("renew %s = %d %s, want %d", tc.name, a.Status, a.Body, tc.want)
		}
	}

	c.post("/.jeton/token/end", outer.Secret, nil)
	for name, token := range map[string]string{"outer": outer.Secret, "inner": inner.Secret} {
		if got := c.status("GET", "/reports/1", token); got != 401 {
			t.Errorf("GET with the %s token after the outer one ended itself = %d, want 401", name, got)
		}
	}
}

// TestALeaseIsRenewedAtItsOwnServiceAlone: another service has a session lifetime and requirements of its own.
func TestALeaseIsRenewedAtItsOwnServiceAlone(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	both := c.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "both",
		Services: []string{"other", "reports"},
	}).Secret
	ofSession := c.make(t, session, jeton.LeaseRequest{}).Accessor
	ofToken := c.make(t, both, jeton.LeaseRequest{}).Accessor
	elsewhere := c.Enter("other", "diane", leasePassword)
	later := c.Enter("reports", "diane", leasePassword)

	for _, tc := range []struct {
		name, service, credential, accessor string
		want                                int
	}{
		{"by a session of another service", "other", elsewhere, ofSession, 404},
		{"by a later session of the service", "reports", later, ofSession, 200},
		{"by its token at another service", "other", both, ofToken, 404},
		{"by its token at the service", "reports", both, ofToken, 200},
	} {
		in := jeton.LeaseRenewal{Accessor: tc.accessor, Seconds: 60}
		a := c.postTo(tc.service, "/.jeton/leases/renew", tc.credential, in)
		if a.Status != tc.want {
			t.Errorf("renewal %s = %d %s, want %d", tc.name, a.Status, a.Body, tc.want)
		}
	}
}

func TestASessionRenewsNoScopeThatItsUserHasLost(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	wide := c.make(t, session, jeton.LeaseRequest{})
	narrow := c.make(t, session, jeton.LeaseRequest{Scopes: []string{"read"}})
	if err := c.Reload(strings.Replace(leasesYAML, "[read, write]", "[read]", 1)); err != nil {
		t.Fatal(err)
	}

	for accessor, want := range map[string]int{wide.Accessor: 403, narrow.Accessor: 200} {
		a := c.post("/.jeton/leases/renew", session, jeton.LeaseRenewal{Accessor: accessor, Seconds: 60})
		if a.Status != want {
			t.Errorf("renewal = %d %s, want %d", a.Status, a.Body, want)
		}
	}
}

func TestAnOwnerHasALimitOfTokensOfJobs(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	for range 300 {
		c.make(t, session, jeton.LeaseRequest{})
	}

	a := c.post("/.jeton/leases", session, jeton.LeaseRequest{Name: "job", Seconds: 60})
	if a.Status != 403 || a.Code() != "tokens_full" {
		t.Errorf("one more = %d %s, want 403 tokens_full", a.Status, a.Body)
	}

	c.clock.set(start.Add(time.Minute))
	c.make(t, session, jeton.LeaseRequest{})
}

func TestATokenEndsItself(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	counted := c.make(t, session, jeton.LeaseRequest{MaxUses: 2, Allows: []string{"GET /reports/*"}})
	spent := c.make(t, session, jeton.LeaseRequest{MaxUses: 1})
	expired := c.make(t, session, jeton.LeaseRequest{Seconds: 10})
	personal := c.AddToken(jetontest.NewToken{User: "diane", Name: "nightly", Services: []string{"reports"}}).Secret
	signed := c.Token(c.AddClient("ci", "reports"))
	elsewhere := c.AddToken(jetontest.NewToken{User: "diane", Name: "other", Services: []string{"other"}}).Secret

	c.status("GET", "/reports/1", counted.Secret)
	c.status("POST", "/reports", counted.Secret)
	c.status("GET", "/reports/1", spent.Secret)
	c.clock.set(start.Add(11 * time.Second))

	for _, tc := range []struct {
		name, token, want string
	}{
		{"a counted one", counted.Secret, `{"max_uses":2,"uses":1,"refused":1}`},
		{"again", counted.Secret, `{"refused":0}`},
		{"one that is spent", spent.Secret, `{"max_uses":1,"uses":1,"refused":0}`},
		{"one that has expired", expired.Secret, `{"refused":0}`},
		{"a personal one", personal, `{"refused":0}`},
		{"a signed one", signed, `{"refused":0}`},
		{"none", "nonsense", `{"refused":0}`},
		{"one of another service", elsewhere, `{"refused":0}`},
	} {
		a := c.post("/.jeton/token/end?refused=true", tc.token, nil)
		if a.Status != 200 || strings.TrimSpace(a.Body) != tc.want {
			t.Errorf("end of %s = %d %s, want 200 %s", tc.name, a.Status, a.Body, tc.want)
		}
		if got := c.status("GET", "/reports/1", tc.token); got != 401 {
			t.Errorf("GET with %s after its end = %d, want 401", tc.name, got)
		}
	}

	c.clock.set(start.Add(5 * time.Second))
	if got := c.status("GET", "/reports/1", expired.Secret); got != 401 {
		t.Errorf("the token that had expired, before its expiry = %d, want 401: it is revoked too", got)
	}

	if got := c.Ask("GET", "other", "/", "Authorization", "Bearer "+elsewhere).Status; got != 200 {
		t.Errorf("the token of another service = %d there, want 200: a service ends only its own", got)
	}
	if a := c.Ask("POST", "reports", "/.jeton/token/end"); a.Status != 401 {
		t.Errorf("end without a token = %d, want 401", a.Status)
	}
}

func TestAPageOfAnotherSiteMakesNoLease(t *testing.T) {
	c := startLeases(t)
	session := c.Enter("reports", "diane", leasePassword)
	for _, path := range []string{"/.jeton/leases", "/.jeton/leases/renew", "/.jeton/token/end"} {
		a := c.Send(
			c.Client(), "POST", c.URL("reports")+path, `{}`, "Cookie", session, "Content-Type", "application/json",
			"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site",
		)
		if a.Status != 403 {
			t.Errorf("POST %s from another site = %d, want 403", path, a.Status)
		}
	}
}

// TestALeaseHasNoUsesThatItsMakerLacks asks for leases where a route admits one use.
func TestALeaseHasNoUsesThatItsMakerLacks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		section string // of the service
		client  bool   // makes the lease, otherwise a session of a user
		uses    int64  // of the lease
		want    int
	}{
		{"a user has one count for all credentials", "tokens: {}", false, 0, 201},
		{"each credential of a user has a count", "tokens: {}\n    count_by: credential", false, 0, 403},
		{"each token of a client has a count", "tokens: {}", true, 0, 403},
		{"tokens are counted, and it is not", "tokens: {max_uses: 2}", false, 0, 403},
		{"tokens are counted, and it has more", "tokens: {max_uses: 2}", false, 3, 403},
		{"tokens are counted, and it has as many", "tokens: {max_uses: 2}", false, 2, 201},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := jetontest.Start(t, `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: reports
    listen: localhost:0
    login: {paths: [/login]}
    `+tc.section+`
    routes: [{match: "GET /reports/{id}", max_uses: 1, respond: {text: report}}]
`)
			c := leaseClient{s, newTestClock(start)}

			var credential string
			if tc.client {
				credential = c.Token(c.AddClient("ci", "reports"))
			} else {
				c.AddUser("diane", leasePassword)
				credential = c.Enter("reports", "diane", leasePassword)
			}

			a := c.post("/.jeton/leases", credential, jeton.LeaseRequest{
				Name:    "job",
				MaxUses: tc.uses,
				Seconds: 20,
			})
			if a.Status != tc.want {
				t.Fatalf("POST /.jeton/leases = %d %s, want %d", a.Status, a.Body, tc.want)
			}
			if a.Status != 201 {
				return
			}

			var lease jeton.Lease
			if err := json.Unmarshal([]byte(a.Body), &lease); err != nil {
				t.Fatal(err)
			}
			if got := c.status("GET", "/reports/1", lease.Secret); got != 200 {
				t.Errorf("the use of the lease = %d, want 200", got)
			}
			if got := c.Ask("GET", "reports", "/reports/1", "Cookie", credential).Status; got != 403 {
				t.Errorf("a use of its maker after that = %d, want 403: they share one", got)
			}
		})
	}
}
