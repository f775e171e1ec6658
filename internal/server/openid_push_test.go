package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

const bankDone = "https://bank.example/done"

// bankAsks returns an authorization request of the client that must push each.
func bankAsks(s *jetontest.Server, changes ...string) string {
	return wikiAsks(s, append([]string{"client_id", "bank", "redirect_uri", bankDone}, changes...)...)
}

// pushAnswer is an answer to a pushed request.
type pushAnswer struct {
	Status     int    `json:"-"`
	Error      string `json:"error"`
	RequestURI string `json:"request_uri"`
	Expires    int    `json:"expires_in"`
}

// push sends an authorization request as its client does, changed in turn.
func push(t *testing.T, s *jetontest.Server, asks string, changes ...string) pushAnswer {
	t.Helper()
	u, err := url.Parse(asks)
	if err != nil {
		t.Fatal(err)
	}

	form := u.Query()
	form.Set("client_secret", "s3cret")
	for i := 0; i+1 < len(changes); i += 2 {
		form.Del(changes[i])
		if changes[i+1] != "" {
			form.Set(changes[i], changes[i+1])
		}
	}
	a := s.Send(
		s.Client(), http.MethodPost, s.Issuer()+"/oauth2/par", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
	)

	out := pushAnswer{Status: a.Status}
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("pushed request: %d %q: %v", a.Status, a.Body, err)
	}

	return out
}

// pushed pushes a request and returns the one that the browser makes of it.
func pushed(t *testing.T, s *jetontest.Server, client, asks string) string {
	t.Helper()
	got := push(t, s, asks)
	if got.Status != http.StatusCreated || got.Expires != 60 {
		t.Fatalf("pushed request: got %+v, want 201 and 60 seconds", got)
	}

	return s.Issuer() + "/oauth2/authorize?" +
		url.Values{"client_id": {client}, "request_uri": {got.RequestURI}}.Encode()
}

// bankRedeems exchanges a code of the client that must push.
func bankRedeems(t *testing.T, s *jetontest.Server, code string) relied {
	t.Helper()
	return redeem(t, s, code, "client_id", "bank", "redirect_uri", bankDone)
}

// wantRefused fails the test unless a request is answered with a page, and no redirect.
func (b *browser) wantRefused(address string) {
	b.t.Helper()
	a := b.get(address)
	if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
		b.t.Errorf("%s: got %d to %q, want a page with 400", address, a.Status, a.Header.Get("Location"))
	}
}

func TestAPushedRequestSignsAUserIn(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)

	// With the sign-in page between: what comes back from it counts as pushed, in this browser alone.
	page, back := b.shown(pushed(t, s, "bank", bankAsks(s)))
	b.send(page, "diane")
	got := bankRedeems(t, s, b.codeFor(back))
	if got.Status != http.StatusOK || claimsOf(t, got.ID)["nonce"] != "n-1" {
		t.Errorf("after the sign-in page: got %+v, want tokens with the nonce", got)
	}

	other := newBrowser(t, s)
	other.signIn("max")
	if got := other.redirected(back).Get("error"); got != "invalid_request" {
		t.Errorf("the same in another browser: got %q, want invalid_request", got)
	}

	// What the browser brings beside the reference does not count.
	asks := pushed(t, s, "bank", bankAsks(s))
	asks += "&redirect_uri=" + url.QueryEscape(wikiDone) + "&scope=openid&state=other"
	to := b.get(asks).Header.Get("Location")
	if !strings.HasPrefix(to, bankDone+"?") || !strings.Contains(to, "state=xyz") {
		t.Errorf("got to %q, want the address and the state that were pushed", to)
	}
	b.wantRefused(asks) // used

	// Of many browsers at once, one gets a code.
	asks = pushed(t, s, "bank", bankAsks(s))
	var codes [8]string
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() { codes[i] = b.get(asks).Header.Get("Location") })
	}
	all.Wait()
	if got := slices.DeleteFunc(codes[:], func(to string) bool { return to == "" }); len(got) != 1 {
		t.Errorf("8 uses of one reference at once: got %d answers at the client, want 1", len(got))
	}

	asks = pushed(t, s, "bank", bankAsks(s))
	c.move(59 * time.Second)
	b.codeFor(asks)
	asks = pushed(t, s, "bank", bankAsks(s))
	c.move(time.Minute)
	b.wantRefused(asks)
}

func TestAPushedRequestIsBoundToItsClient(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	asks := pushed(t, s, "bank", bankAsks(s))
	b.wantRefused(strings.Replace(asks, "client_id=bank", "client_id=wiki", 1))
	b.wantRefused(strings.Replace(asks, "client_id=bank", "", 1))
	if code := b.codeFor(asks); code == "" {
		t.Error("after the attempts of others: got no code, want one")
	}

	for _, tc := range []struct {
		name    string
		asks    string
		changes []string
		want    string
	}{
		{"a wrong secret", bankAsks(s), []string{"client_secret", "wrong"}, "invalid_client"},
		{"no secret", bankAsks(s), []string{"client_secret", ""}, "invalid_client"},
		{"an address that is not registered", bankAsks(s), []string{"redirect_uri", wikiDone}, "invalid_request"},
		{"a reference to another request", bankAsks(s), []string{
			"request_uri", "urn:ietf:params:oauth:request_uri:x",
		}, "invalid_request"},
		{"a request object", bankAsks(s), []string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		{"no PKCE", bankAsks(s), []string{"code_challenge", ""}, "invalid_request"},
		{"no scope openid", bankAsks(s), []string{"scope", "email"}, "invalid_scope"},
		{"an unknown resource", bankAsks(s), []string{"resource", "https://shop.example"}, "invalid_target"},
		{"a state of 5000 bytes", bankAsks(s), []string{"state", strings.Repeat("x", 5000)}, "invalid_request"},
		{"a public client", cliAsks(s), []string{"client_secret", ""}, ""},
		{"a client that need not push", wikiAsks(s), nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := push(t, s, tc.asks, tc.changes...)
			if got.Error != tc.want || (got.RequestURI != "") != (tc.want == "") {
				t.Errorf("got %+v, want %q", got, tc.want)
			}
		})
	}

	recorded := func(e jeton.Event) bool { return e.Action == audit.RequestPush && e.Outcome == "bad_credential" }
	if events := s.Events(); !slices.ContainsFunc(events, recorded) {
		t.Errorf("got events %v, want a refused %s", events, audit.RequestPush)
	}
}

func TestARequestThatMustBePushedIsRefusedOtherwise(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"by the browser alone", nil, "invalid_request"},
		{"with the mark of one that was pushed", []string{"pushed", "1"}, "invalid_request"},
		{"by a reference to a site", []string{"request_uri", "https://bank.example/r"}, "request_uri_not_supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := b.redirected(bankAsks(s, tc.changes...)).Get("error"); got != tc.want {
				t.Errorf("got %q, want %s", got, tc.want)
			}
		})
	}

	// The mark of a request that was not pushed is not one of a request that was.
	_, back := b.shown(wikiAsks(s, "prompt", "login", "pushed", ""))
	b.send(b.at(), "diane")
	b.codeFor(back)
	if a := b.open(back + "&pushed=1"); !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Errorf("a sealed request with pushed=1: got %d at %s, want the sign-in page again", a.Status, b.at())
	}

	all := startRelying(t, jetontest.Env("REQUIRE_PAR", "true"))
	in := newBrowser(t, all)
	in.signIn("diane")
	if got := in.redirected(wikiAsks(all)).Get("error"); got != "invalid_request" {
		t.Errorf("issuer.require_par: got %q, want invalid_request", got)
	}
	in.codeFor(pushed(t, all, "wiki", wikiAsks(all)))

	a := all.Send(all.Client(), http.MethodGet, all.Issuer()+"/.well-known/openid-configuration", "")
	var m struct {
		Endpoint string `json:"pushed_authorization_request_endpoint"`
		Required bool   `json:"require_pushed_authorization_requests"`
	}
	err := json.Unmarshal([]byte(a.Body), &m)
	if err != nil || m.Endpoint != all.Issuer()+"/oauth2/par" || !m.Required {
		t.Errorf("metadata = %+v, %v; want the endpoint, and that it is required", m, err)
	}
}
