package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

// asking has a service at which programs ask for tokens, and one that requires two factors.
const asking = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: reports
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    user_scopes: [{scopes: [read]}]
    routes:
      - {match: "GET /reports/{id}", respond: {text: report}}
      - {match: "POST /reports", respond: {text: written}}
  - name: vault
    listen: localhost:0
    tokens: {}
    accept: [token]
    routes: [{match: GET /, require: {factors: 2}, respond: {text: open}}]
`

// startAsking starts the server with the users diane and eshana.
func startAsking(t *testing.T) (*jetontest.Server, *heldClock) {
	t.Helper()
	c := newHeldClock()
	s := jetontest.Start(t, asking, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	s.AddUser("eshana", right)

	return s, c
}

// program asks for tokens at a service with its credential, a token or a cookie.
type program struct {
	t          *testing.T
	s          *jetontest.Server
	service    string
	credential string
}

func (p program) post(path string, in any) jetontest.Answer {
	body, err := json.Marshal(in)
	if err != nil {
		return jetontest.Answer{Body: err.Error()}
	}

	name, value := "Authorization", "Bearer "+p.credential
	if strings.Contains(p.credential, "=") {
		name, value = "Cookie", p.credential
	}
	address := p.s.URL(p.service) + "/.jeton/token/requests" + path

	return p.s.Send(p.s.Client(), "POST", address, string(body), name, value, "Content-Type", "application/json")
}

// oneHour is a request for a token of an hour.
func oneHour() jeton.TokenRequest {
	in := jeton.TokenRequest{Name: "weekly report", Reason: "you asked me to write it"}
	in.Seconds = 3600

	return in
}

// ask makes a request, which has to be accepted.
func (p program) ask(in jeton.TokenRequest) jeton.TokenRequestPoll {
	p.t.Helper()
	a := p.post("", in)
	var asked jeton.TokenRequested
	if err := json.Unmarshal([]byte(a.Body), &asked); err != nil || a.Status != http.StatusCreated {
		p.t.Fatalf("request for a token = %d %s, want 201", a.Status, a.Body)
	}

	return jeton.TokenRequestPoll{ID: asked.ID, Secret: asked.Secret}
}

// polls asks for the token and checks the status of the answer.
func (p program) polls(poll jeton.TokenRequestPoll, want int) jeton.TokenHandedOut {
	p.t.Helper()
	a := p.post("/poll", poll)
	if a.Status != want {
		p.t.Errorf("poll = %d %s, want %d", a.Status, a.Body, want)
	}

	var out jeton.TokenHandedOut
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		p.t.Errorf("poll: %v", err)
	}

	return out
}

// session returns a program with a session of diane at the service reports.
func session(t *testing.T, s *jetontest.Server) program {
	return program{t, s, "reports", s.Enter("reports", "diane", right)}
}

// waiting returns the requests that the user of a browser sees.
func (b *browser) waiting() []jeton.WaitingRequest {
	b.t.Helper()
	a := b.s.Send(b.client, "GET", b.s.Issuer()+"/api/v1/users/me/token-requests", "", scripting...)
	var list []jeton.WaitingRequest
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || a.Status != http.StatusOK {
		b.t.Fatalf("requests = %d %s, want 200 and a list", a.Status, a.Body)
	}

	return list
}

// decide answers a request: approve or deny.
func (b *browser) decide(id, how, body string) jetontest.Answer {
	header := append([]string{"Content-Type", "application/json", "Origin", b.s.Issuer()}, scripting...)
	address := b.s.Issuer() + "/api/v1/users/me/token-requests/" + id + "/" + how

	return b.s.Send(b.client, "POST", address, body, header...)
}

// decides is decide, and checks the status of the answer.
func (b *browser) decides(id, how, body string, want int) {
	b.t.Helper()
	if a := b.decide(id, how, body); a.Status != want {
		b.t.Fatalf("%s = %d %s, want %d", how, a.Status, a.Body, want)
	}
}

func TestAProgramGetsATokenThatItsUserApproves(t *testing.T) {
	s, c := startAsking(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	narrow := s.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "agent",
		Services: []string{"reports"},
		Allows:   []string{"GET /reports/*"},
		MaxUses:  1,
	})
	for _, tc := range []struct{ name, credential, user, by, token string }{
		{"a session", session(t, s).credential, "", "user:diane", ""},
		{"a counted token of two methods", narrow.Secret, "", "user:diane", narrow.Accessor},
		{"a client", s.Token(s.AddClient("helper", "reports")), "diane", "client:helper", "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := program{t, s, "reports", tc.credential}
			in := oneHour()
			in.User = tc.user
			in.Allows = []string{"* /reports", "GET /reports/*"}
			poll := p.ask(in)

			list := b.waiting()
			if len(list) != 1 || list[0].By != tc.by || tc.token != "-" && list[0].Token != tc.token ||
				list[0].Reason != in.Reason || !slices.Equal(list[0].Allows, in.Allows) {
				t.Fatalf("the user sees %+v, want the request of %s", list, tc.by)
			}

			p.polls(poll, http.StatusAccepted)
			p.polls(poll, http.StatusTooManyRequests)
			narrower := `{"max_uses":1,"allows":["POST /reports"],"expires_in":600}`
			b.decides(poll.ID, "approve", narrower, http.StatusNoContent)
			if len(b.waiting()) != 0 {
				t.Error("an approved request waits still")
			}

			out := p.polls(poll, http.StatusOK)
			p.polls(poll, http.StatusConflict)
			if out.User != "diane" || out.Kind != "approved" || out.MaxUses != 1 ||
				!out.Expires.Equal(c.now().Add(10*time.Minute)) {
				t.Errorf("got %+v, want a token of diane with one use for ten minutes", out.Token)
			}
			for _, step := range []struct {
				method, path string
				want         int
			}{{"GET", "/reports/1", 403}, {"POST", "/reports", 200}, {"POST", "/reports", 403}} {
				a := s.Ask(step.method, "reports", step.path, "Authorization", "Bearer "+out.Secret)
				if a.Status != step.want {
					t.Errorf("%s %s = %d, want %d", step.method, step.path, a.Status, step.want)
				}
			}
			checkRequestEvents(t, s, poll.ID, tc.by, out.Accessor)
		})
	}
}

// checkRequestEvents checks that the audit log shows who asked for whom, and who approved which token.
func checkRequestEvents(t *testing.T, s *jetontest.Server, id, by, accessor string) {
	t.Helper()
	var got []string
	for _, e := range s.Events() {
		if strings.Contains(fmt.Sprint(e.Reason, e.Checks), id) {
			got = append(got, e.Action+" by "+e.Actor+" on "+e.Target)
		}
	}

	want := []string{
		audit.TokenRequest + " by " + by + " on user:diane",
		audit.TokenApprove + " by user:diane on user:diane",
		audit.TokenCreate + " by " + by + " on token:" + accessor,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("audit log has %q, want %q", got, want)
	}
}

func TestARequestForATokenIsRefused(t *testing.T) {
	s, c := startAsking(t)
	p := session(t, s)
	client := program{t, s, "reports", s.Token(s.AddClient("helper", "reports"))}

	long := oneHour()
	long.Reason = strings.Repeat("a", 301)
	other := oneHour()
	other.User = "eshana"
	short := oneHour()
	short.Seconds = 59
	hidden, control, scope, rule := oneHour(), oneHour(), oneHour(), oneHour()
	hidden.Reason = "backup\u202eputes"
	control.User = "\x1b[2Jdiane"
	scope.Scopes = []string{"read all"}
	rule.Allows = []string{"GET /a\u2066b"}
	many := oneHour()
	for i := range 21 {
		many.Allows = append(many.Allows, fmt.Sprint("GET /reports/", i))
	}
	spent := s.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "once",
		Services: []string{"reports"},
		MaxUses:  1,
	}).Secret
	if a := s.Ask("GET", "reports", "/reports/1", "Authorization", "Bearer "+spent); a.Status != http.StatusOK {
		t.Fatalf("use of a token = %d, want 200", a.Status)
	}
	for _, tc := range []struct {
		name string
		of   program
		in   jeton.TokenRequest
		want string
	}{
		{"a client that names no user", client, oneHour(), "invalid_request"},
		{"a user that asks another one", p, other, "forbidden"},
		{"a long reason", p, long, "invalid_request"},
		{"a lifetime that no user can answer in", p, short, "invalid_request"},
		{"a reason that turns the direction of the text", p, hidden, "invalid_request"},
		{"a rule that does", p, rule, "invalid_request"},
		{"more rules than a user reads", p, many, "invalid_request"},
		{"a scope that no service has", p, scope, "invalid_request"},
		{"a name that no user has", client, control, "invalid_request"},
		{"no name", p, jeton.TokenRequest{TokenTerms: oneHour().TokenTerms}, "invalid_request"},
		{"a token without uses left", program{t, s, "reports", spent}, oneHour(), "spent"},
		{"a stranger", program{t, s, "reports", "x"}, other, "bad_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := tc.of.post("", tc.in); a.Code() != tc.want {
				t.Errorf("request = %d %s %s, want %s", a.Status, a.Code(), a.Body, tc.want)
			}
		})
	}

	t.Run("for a user that there is not, as for one who does not answer", func(t *testing.T) {
		in := oneHour()
		in.User = "unknown"
		client.polls(client.ask(in), http.StatusAccepted)
	})

	t.Run("one that asks a sixth time at once", func(t *testing.T) {
		for range 5 {
			p.ask(oneHour())
		}
		if a := p.post("", oneHour()); a.Status != http.StatusTooManyRequests {
			t.Errorf("sixth request = %d, want 429", a.Status)
		}
	})

	t.Run("one that asks a sixth time while five wait", func(t *testing.T) {
		c.move(2 * time.Minute)
		if a := p.post("", oneHour()); a.Status != http.StatusTooManyRequests {
			t.Errorf("sixth request = %d, want 429", a.Status)
		}
	})
}

func TestAFullPageShowsNoMoreAndNoClientIsTold(t *testing.T) {
	s, c := startAsking(t)
	toDiane, toUnknown := oneHour(), oneHour()
	toDiane.User, toUnknown.User = "diane", "unknown"
	client := func(name string) program { return program{t, s, "reports", s.Token(s.AddClient(name, "reports"))} }
	wait := func(want int) {
		t.Helper()
		var list []jeton.WaitingRequest
		s.MustControl("GET", "/api/v1/token-requests?user=diane", nil, &list)
		if len(list) != want {
			t.Fatalf("%d requests wait, want %d", len(list), want)
		}
	}

	one := client("one")
	for range 5 {
		one.ask(toDiane)
		one.ask(toUnknown)
	}
	// Without a budget of its own, it would get around that of the name.
	other := toDiane
	other.User = "\uff44iane" // is prepared as diane
	for _, in := range []jeton.TokenRequest{toDiane, toUnknown, other} {
		if a := one.post("", in); a.Status != http.StatusTooManyRequests {
			t.Errorf("sixth request to %s = %d, want 429", in.User, a.Status)
		}
	}
	c.move(2 * time.Minute)
	one.polls(one.ask(toDiane), http.StatusAccepted)
	one.polls(one.ask(toUnknown), http.StatusAccepted)
	wait(5)

	for i := range 3 {
		crowd := client(fmt.Sprint("crowd", i))
		for range 5 {
			crowd.ask(toDiane)
		}
	}
	wait(approval.MaxWaiting)
	last := client("last")
	last.polls(last.ask(toDiane), http.StatusAccepted)
	last.polls(last.ask(toUnknown), http.StatusAccepted)
	wait(approval.MaxWaiting)
	if a := session(t, s).post("", oneHour()); a.Status != http.StatusTooManyRequests {
		t.Errorf("request of diane = %d, want 429", a.Status)
	}
}

func TestAClientThatAsksEverybodyIsRefused(t *testing.T) {
	s, _ := startAsking(t)
	p := program{t, s, "reports", s.Token(s.AddClient("helper", "reports"))}
	in := oneHour()
	for i := range 20 {
		in.User = fmt.Sprint("user", i)
		p.ask(in)
	}

	in.User = "another"
	if a := p.post("", in); a.Status != http.StatusTooManyRequests {
		t.Errorf("request to a twenty-first user = %d, want 429", a.Status)
	}
}

func TestAnApplicationAsksForNoToken(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(resources, ", max_uses: 3", "", 1))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	access := desktopRedeems(t, s, b.codeFor(desktopAsks(s))).Access

	lease := func(of string) string {
		a := s.Send(
			s.Client(), "POST", s.URL("notes")+"/.jeton/leases", `{"name":"job","lease_seconds":60}`,
			"Authorization", "Bearer "+of, "Content-Type", "application/json",
		)
		var out jeton.Lease
		if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusCreated {
			t.Fatalf("lease = %d %s, want 201", a.Status, a.Body)
		}

		return out.Secret
	}
	first := lease(access)
	for _, tc := range []struct{ name, credential, want string }{
		{"its access token", access, "forbidden"},
		{"a lease of that", first, "forbidden"},
		{"a lease of a lease of that", lease(first), "forbidden"},
		{"a lease of a token of the user", lease(s.AddToken(jetontest.NewToken{
			User:     "diane",
			Name:     "agent",
			Services: []string{"notes"},
		}).Secret), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := (program{t, s, "notes", tc.credential}).post("", oneHour()); a.Code() != tc.want {
				t.Errorf("request = %d %s, want %q", a.Status, a.Body, tc.want)
			}
		})
	}
}

func TestARequestForATokenGivesNone(t *testing.T) {
	s, c := startAsking(t)
	b, other := newBrowser(t, s), newBrowser(t, s)
	b.signIn("diane")
	other.signIn("eshana")

	asked := oneHour()
	asked.Allows = []string{"GET /reports/*"}
	asked.MaxUses = 10
	approve := func(p program, id string) {
		t.Helper()
		b.decides(id, "approve", "", http.StatusNoContent)
	}

	for _, tc := range []struct {
		name string
		do   func(p program, poll jeton.TokenRequestPoll)
		want int // of the poll after it
	}{
		{"that waits for another user", func(_ program, poll jeton.TokenRequestPoll) {
			other.decides(poll.ID, "approve", "", http.StatusNotFound)
			other.decides(poll.ID, "deny", "", http.StatusNotFound)
		}, http.StatusAccepted},
		{"for more uses than it asks for", func(_ program, poll jeton.TokenRequestPoll) {
			b.decides(poll.ID, "approve", `{"max_uses":11}`, http.StatusForbidden)
		}, http.StatusAccepted},
		{"for other paths than it asks for", func(_ program, poll jeton.TokenRequestPoll) {
			b.decides(poll.ID, "approve", `{"allows":["* /reports/*"]}`, http.StatusForbidden)
		}, http.StatusAccepted},
		{"for longer than it asks for", func(_ program, poll jeton.TokenRequestPoll) {
			b.decides(poll.ID, "approve", `{"expires_in":3601}`, http.StatusForbidden)
		}, http.StatusAccepted},
		{"that is denied", func(_ program, poll jeton.TokenRequestPoll) {
			b.decides(poll.ID, "deny", "", http.StatusNoContent)
			b.decides(poll.ID, "approve", "", http.StatusNotFound)
		}, http.StatusForbidden},
		{"that is approved and of another program", func(p program, poll jeton.TokenRequestPoll) {
			approve(p, poll.ID)
			thief := program{t, s, "reports", s.Enter("reports", "eshana", right)}
			thief.polls(poll, http.StatusNotFound)
			p.polls(jeton.TokenRequestPoll{ID: poll.ID, Secret: "x"}, http.StatusNotFound)
		}, http.StatusOK},
		{"that is approved again", func(p program, poll jeton.TokenRequestPoll) {
			approve(p, poll.ID)
			b.decides(poll.ID, "approve", "", http.StatusNotFound)
		}, http.StatusOK},
		{"whose session of the approval has ended", func(p program, poll jeton.TokenRequestPoll) {
			approve(p, poll.ID)
			b.post("/sign-out")
			b.signIn("diane")
		}, http.StatusNotFound},
		{"that is withdrawn", func(p program, poll jeton.TokenRequestPoll) {
			poll.Withdraw = true
			thief := program{t, s, "reports", s.Enter("reports", "eshana", right)}
			thief.polls(poll, http.StatusNotFound)
			p.polls(jeton.TokenRequestPoll{ID: poll.ID, Secret: "x", Withdraw: true}, http.StatusNotFound)
			p.polls(poll, http.StatusOK)
			p.polls(poll, http.StatusNotFound)
			b.decides(poll.ID, "approve", "", http.StatusNotFound)
		}, http.StatusNotFound},
		{"that is approved and withdrawn", func(p program, poll jeton.TokenRequestPoll) {
			approve(p, poll.ID)
			poll.Withdraw = true
			thief := program{t, s, "reports", s.Enter("reports", "eshana", right)}
			thief.polls(poll, http.StatusNotFound)
			p.polls(poll, http.StatusOK)
			p.polls(poll, http.StatusNotFound)
		}, http.StatusNotFound},
		{"that is withdrawn by another program", func(_ program, poll jeton.TokenRequestPoll) {
			poll.Withdraw = true
			program{t, s, "reports", s.Enter("reports", "eshana", right)}.polls(poll, http.StatusNotFound)
		}, http.StatusAccepted},
		{"that was not answered in time", func(_ program, poll jeton.TokenRequestPoll) {
			c.move(10 * time.Minute)
			b.decides(poll.ID, "approve", "", http.StatusNotFound)
		}, http.StatusNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.move(2 * time.Minute)
			b.post("/prove", "password", right)
			p := program{t, s, "reports", s.Enter("reports", "diane", right)}
			poll := p.ask(asked)
			tc.do(p, poll)
			p.polls(poll, tc.want)
		})
	}
}

func TestAnApprovalNeedsTheProofOfATokenThatIsCreated(t *testing.T) {
	s, c := startAsking(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	poll := session(t, s).ask(oneHour())
	in := oneHour()
	in.User = "diane"
	vault := program{t, s, "vault", s.Token(s.AddClient("helper", "vault"))}.ask(in)
	if a := b.decide(vault.ID, "approve", ""); a.Code() != "forbidden" || !strings.Contains(a.Body, "two factors") {
		t.Errorf("approval for a service that requires two factors = %d %s, want forbidden", a.Status, a.Body)
	}

	secret := s.AddToken(jetontest.NewToken{User: "diane", Name: "agent", Services: []string{"reports"}}).Secret
	a := s.Send(
		s.Client(), "POST", s.Issuer()+"/api/v1/users/me/token-requests/"+poll.ID+"/approve", "{}",
		"Authorization", "Bearer "+secret, "Content-Type", "application/json",
	)
	if a.Status < 400 {
		t.Errorf("approval with a token = %d %s, want a refusal", a.Status, a.Body)
	}

	c.move(9*time.Minute + 59*time.Second)
	c.move(2 * time.Second)
	fresh := session(t, s).ask(oneHour())
	if a := b.decide(fresh.ID, "approve", ""); a.Code() != "recent_proof_required" {
		t.Errorf("approval after ten minutes = %d %s, want recent_proof_required", a.Status, a.Body)
	}
	b.decides(fresh.ID, "approve", `{"current_password":"`+right+`"}`, http.StatusNoContent)
}

func TestThePageOfARequestAsksForTheFactorsOfItsService(t *testing.T) {
	s, c := startAsking(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	b.enrol(c.now())

	in := oneHour()
	in.User = "diane"
	poll := program{t, s, "vault", s.Token(s.AddClient("helper", "vault"))}.ask(in)
	a := b.post("/account/requests/"+poll.ID, "answer", "approve")
	if to := a.Header.Get("Location"); !strings.Contains(to, "factors=2") {
		t.Errorf("approval = %d to %q, want the page that asks for two factors", a.Status, to)
	}
}

func TestAnOperatorAnswersForAUser(t *testing.T) {
	s, _ := startAsking(t)
	p := session(t, s)
	granted, denied := p.ask(oneHour()), p.ask(oneHour())

	var list []jeton.WaitingRequest
	s.MustControl("GET", "/api/v1/token-requests?user=diane", nil, &list)
	if len(list) != 2 {
		t.Fatalf("requests of diane = %+v, want two", list)
	}

	s.MustControl("POST", "/api/v1/token-requests/"+granted.ID+"/approve", jeton.TokenApproval{MaxUses: 3}, nil)
	s.MustControl("POST", "/api/v1/token-requests/"+denied.ID+"/deny", nil, nil)
	if out := p.polls(granted, http.StatusOK); out.MaxUses != 3 || out.User != "diane" {
		t.Errorf("got %+v, want a token of diane with three uses", out.Token)
	}
	p.polls(denied, http.StatusForbidden)
}

// TestOneApprovalAndOneTokenOverTwoNodes approves at two nodes at once, and polls at both at once.
func TestOneApprovalAndOneTokenOverTwoNodes(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}

	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + asking
	c := newHeldClock()
	nodes := []*jetontest.Server{
		jetontest.Start(t, conf, jetontest.Clock(c.now)),
		jetontest.Start(t, conf, jetontest.Clock(c.now)),
	}
	nodes[0].AddUser("diane", right)

	users := []*browser{newBrowser(t, nodes[0]), newBrowser(t, nodes[1])}
	programs := make([]program, len(nodes))
	for i, u := range users {
		u.signIn("diane")
		programs[i] = session(t, nodes[i])
	}

	for range 3 {
		poll := programs[0].ask(oneHour())
		approved := together(func(i int) int { return users[i%2].decide(poll.ID, "approve", "").Status })
		if count(approved, http.StatusNoContent) != 1 || count(approved, http.StatusNotFound) != len(approved)-1 {
			t.Errorf("approvals at once: got %v, want one that counts", approved)
		}

		polled := together(func(i int) int { return programs[i%2].post("/poll", poll).Status })
		if count(polled, http.StatusOK) != 1 || count(polled, http.StatusConflict) != len(polled)-1 {
			t.Errorf("polls at once: got %v, want one token", polled)
		}
		c.move(2 * time.Minute)
	}

	// A request that is withdrawn while it is approved gives no token, whichever came first.
	for range 3 {
		poll := programs[0].ask(oneHour())
		withdrawal := poll
		withdrawal.Withdraw = true
		ended := together(func(i int) int {
			if i < 4 {
				return users[i%2].decide(poll.ID, "approve", "").Status
			}
			return programs[i%2].post("/poll", withdrawal).Status
		})
		if count(ended[:4], http.StatusNoContent) > 1 || count(ended[4:], http.StatusOK) == 0 {
			t.Errorf("approvals %v and withdrawals %v at once: want at most one and at least one", ended[:4], ended[4:])
		}

		polled := together(func(i int) int { return programs[i%2].post("/poll", poll).Status })
		if count(polled, http.StatusOK) != 0 {
			t.Errorf("polls of a request that was withdrawn: got %v, want no token", polled)
		}
		c.move(2 * time.Minute)
	}

	user := newBrowser(t, nodes[0]) // its login is recent
	user.signIn("diane")
	for range 3 {
		poll := programs[0].ask(oneHour())
		user.decides(poll.ID, "approve", "", http.StatusNoContent)
		pollOrWithdraw(t, programs, poll)
		c.move(2 * time.Minute)
	}
}

// pollOrWithdraw polls an approved request and withdraws it at once, at all nodes: it gives a token or is withdrawn,
// never both.
func pollOrWithdraw(t *testing.T, programs []program, poll jeton.TokenRequestPoll) {
	t.Helper()
	withdrawal := poll
	withdrawal.Withdraw = true
	ended := together(func(i int) int {
		in := poll
		if i%4 < 2 {
			in = withdrawal
		}
		return programs[i%2].post("/poll", in).Status
	})

	if count(ended, http.StatusOK) != 1 {
		t.Errorf("polls and withdrawals of an approved request at once: got %v, want one that succeeds", ended)
	}
}

// together calls a function eight times at once, again while a node is busy, and returns the statuses.
func together(do func(i int) int) []int {
	all := make([]int, 8)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for all[i] = do(i); all[i] == http.StatusServiceUnavailable; {
				all[i] = do(i)
			}
		})
	}
	wg.Wait()

	return all
}

// count returns how many numbers of a list are n.
func count(list []int, n int) int {
	return len(slices.DeleteFunc(slices.Clone(list), func(got int) bool { return got != n }))
}
