package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// relying has relying parties of each kind. Their ID tokens have ES256: a key for RS256 takes a second.
const relying = `
issuer:
  url: "https://localhost:${ISSUER_PORT}"
  listen: "localhost:${ISSUER_PORT}"
  require_par: ${REQUIRE_PAR:-false}
clients:
  - name: bank
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://bank.example/done"], require_par: true, id_token_algorithm: ES256}
  - name: clinic
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid:
      redirect_uris: ["https://clinic.example/done"]
      backchannel_logout_uri: ${WIKI_LOGOUT:-}
      private_network: true
      id_token_algorithm: ES256
      subject: pairwise
  - name: lab
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid:
      redirect_uris: ["https://lab.example/done"]
      id_token_algorithm: ES256
      subject: pairwise
      sector_identifier: clinic.example
  - name: drugs
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://drugs.example/done"], id_token_algorithm: ES256, subject: pairwise}
  - name: vault
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid:
      redirect_uris: ["https://vault.example/done"]
      id_token_algorithm: ES256
      max_uses: 2
      refresh_max_uses: 2
      activation_delay: 5s
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid:
      redirect_uris: ["https://wiki.example/done?app=1", "https://wiki.example/done"]
      post_logout_redirect_uris: ["https://wiki.example/bye", "https://wiki.example/bye?app=1"]
      backchannel_logout_uri: ${WIKI_LOGOUT:-}
      private_network: true
      device_grant: true
      id_token_algorithm: ES256
  - name: cli
    openid: {redirect_uris: ["http://127.0.0.1/done"], public: true, device_grant: true, id_token_algorithm: EdDSA}
  - name: old
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid:
      redirect_uris: ["https://old.example/done"]
      require_pkce: false
      device_grant: true
      id_token_algorithm: ES256
      id_token_claims: true
      allow: {groups: [staff]}
  - name: stranger
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid:
      redirect_uris: ["https://stranger.example/done"]
      ask_consent: ${STRANGER_ASKS:-true}
      device_grant: true
      id_token_algorithm: ES256
  - name: brief
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://brief.example/done"], refresh_lifetime: 10m, id_token_algorithm: ES256}
  - name: short
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://short.example/done"], refresh_lifetime: 10m, device_grant: true}
services: []
`

const (
	wikiDone = "https://wiki.example/done"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
)

func startRelying(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	s := jetontest.Start(t, relying, options...)
	s.AddUser("diane", right, "staff")
	s.AddUser("max", right)

	return s
}

// heldClock is a time that only the test moves. It begins now, for the certificate of the server.
type heldClock struct{ at atomic.Int64 }

func newHeldClock() *heldClock {
	c := &heldClock{}
	c.at.Store(time.Now().UnixMilli())

	return c
}

func (c *heldClock) now() time.Time       { return time.UnixMilli(c.at.Load()) }
func (c *heldClock) move(d time.Duration) { c.at.Add(d.Milliseconds()) }

// wikiAsks returns an authorization request of wiki, changed as authorization does.
func wikiAsks(s *jetontest.Server, changes ...string) string {
	return authorizationOf(s, "wiki", wikiDone, append([]string{
		"scope", "openid profile email groups",
		"nonce", "n-1",
	}, changes...)...)
}

// codeFor loads an authorization request and returns the code with which it redirects back.
func (b *browser) codeFor(address string) string {
	b.t.Helper()
	return b.redirected(address).Get("code")
}

// redirected loads an authorization request and returns the parameters with which it redirects back.
func (b *browser) redirected(address string) url.Values {
	b.t.Helper()
	a := b.get(address)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther || to.Host == "" || strings.HasPrefix(to.String(), b.s.Issuer()) {
		b.t.Fatalf("%s: got %d to %q, want 303 to the client", address, a.Status, a.Header.Get("Location"))
	}

	return to.Query()
}

// relied is an answer of the token endpoint.
type relied struct {
	Status  int    `json:"-"`
	Error   string `json:"error"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`

	NotBefore int64 `json:"nbf"`
}

// exchange sends a token request: a form, in which fields are changed in turn.
func exchange(t *testing.T, s *jetontest.Server, changes ...string) relied {
	t.Helper()
	return exchangeWith(t, s, nil, changes...)
}

// exchangeWith is exchange with a header.
func exchangeWith(t *testing.T, s *jetontest.Server, header []string, changes ...string) relied {
	t.Helper()
	form := url.Values{"client_id": {"wiki"}, "client_secret": {"s3cret"}}
	for i := 0; i+1 < len(changes); i += 2 {
		form.Del(changes[i])
		if changes[i+1] != "" {
			form.Set(changes[i], changes[i+1])
		}
	}

	a := s.Send(
		s.Client(), http.MethodPost, s.Issuer()+"/oauth2/token", form.Encode(),
		append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...,
	)

	out := relied{Status: a.Status}
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Errorf("token endpoint: %d %q: %v", a.Status, a.Body, err)
	}
	if a.Header.Get("Cache-Control") != "no-store" && a.Status == http.StatusOK {
		t.Errorf("Cache-Control = %q, want no-store", a.Header.Get("Cache-Control"))
	}

	return out
}

// redeem exchanges a code of wiki.
func redeem(t *testing.T, s *jetontest.Server, code string, changes ...string) relied {
	t.Helper()
	return exchange(t, s, append([]string{
		"grant_type", "authorization_code",
		"code", code,
		"redirect_uri", wikiDone,
		"code_verifier", verifier,
	}, changes...)...)
}

// refresh exchanges a refresh token of wiki.
func refresh(t *testing.T, s *jetontest.Server, token string, changes ...string) relied {
	t.Helper()
	return exchange(t, s, append([]string{"grant_type", "refresh_token", "refresh_token", token}, changes...)...)
}

// userinfo returns the claims that an access token leads to, and the status.
func userinfo(s *jetontest.Server, method, token string) (map[string]any, jetontest.Answer) {
	a := s.Send(s.Client(), method, s.Issuer()+"/oauth2/userinfo", "", "Authorization", "Bearer "+token)

	claims := map[string]any{}
	_ = json.Unmarshal([]byte(a.Body), &claims) // an answer without claims has none

	return claims, a
}

// claimsOf returns the claims of a JWT. Its signature is for others to verify.
func claimsOf(t *testing.T, text string) map[string]any {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("ID token = %q, want a JWT", text)
	}

	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	claims := map[string]any{}
	if err == nil {
		err = json.Unmarshal(b, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}

	return claims
}

func TestARelyingPartySignsAUserIn(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)

	a := b.open(wikiAsks(s))
	if a.Status != http.StatusOK || !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Fatalf("got %d at %s, want the sign-in page", a.Status, b.at())
	}
	b.send(b.at(), "diane")

	back := b.redirected(wikiAsks(s))
	if back.Get("state") != "xyz" || back.Get("iss") != s.Issuer() {
		t.Errorf("redirect = %v, want the state and iss", back)
	}

	got := redeem(t, s, back.Get("code"))
	if got.Status != http.StatusOK || got.Refresh != "" || got.Scope != "email groups openid profile" {
		t.Fatalf("got %+v, want tokens without a refresh token", got)
	}

	id := claimsOf(t, got.ID)
	for name, want := range map[string]any{"iss": s.Issuer(), "aud": "wiki", "nonce": "n-1"} {
		if id[name] != want {
			t.Errorf("%s = %v, want %v", name, id[name], want)
		}
	}
	if id["auth_time"] == nil || id["sid"] == nil || id["at_hash"] == nil || id["preferred_username"] != nil {
		t.Errorf("ID token = %v, want auth_time, sid and at_hash, and no profile", id)
	}

	for _, method := range []string{http.MethodGet, http.MethodPost} {
		claims, a := userinfo(s, method, got.Access)
		groups, _ := claims["groups"].([]any)
		if a.Status != http.StatusOK || claims["sub"] != id["sub"] || claims["preferred_username"] != "diane" ||
			!slices.Equal(groups, []any{"staff"}) {
			t.Errorf("%s userinfo = %d %v, want the claims of diane", method, a.Status, claims)
		}
	}

	// An ID token is no access token, and an access token of a relying party opens nothing else.
	if _, a := userinfo(s, http.MethodGet, got.ID); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo with an ID token = %d, want 401", a.Status)
	}
}

func TestAnAuthorizationRequestOfARelyingPartyGoesBackToIt(t *testing.T) {
	s := startRelying(t)
	in, out := newBrowser(t, s), newBrowser(t, s)
	in.signIn("diane")
	hint := redeem(t, s, in.codeFor(wikiAsks(s))).ID
	other := newBrowser(t, s)
	other.signIn("max")

	for _, tc := range []struct {
		name    string
		by      *browser
		changes []string
		want    string // error, or "" for a code
	}{
		{"a valid request", in, nil, ""},
		{"no state", in, []string{"state", ""}, ""},
		{"no nonce", in, []string{"nonce", ""}, ""},
		{"an unknown parameter", in, []string{"extra", "foobar"}, ""},
		{"an unknown scope", in, []string{"scope", "openid phone"}, ""},
		{"another order of scopes", in, []string{"scope", "email openid"}, ""},
		{"hints", in, []string{"login_hint", "max", "ui_locales", "de fr", "display", "popup", "acr_values", "1"}, ""},
		{"a claims parameter", in, []string{"claims", `{"userinfo":{"name":{"essential":true}}}`}, ""},
		{"prompt none with a session", in, []string{"prompt", "none"}, ""},
		{"prompt none with a recent session", in, []string{"prompt", "none", "max_age", "10000"}, ""},
		{"prompt none with a hint of the user", in, []string{"prompt", "none", "id_token_hint", hint}, ""},
		{"a registered address with a query", in, []string{"redirect_uri", wikiDone + "?app=1"}, ""},
		{"an invalid hint", in, []string{"id_token_hint", "x"}, ""},
		{"a client without PKCE", in, []string{
			"client_id", "old", "redirect_uri", "https://old.example/done",
			"code_challenge", "", "code_challenge_method", "",
		}, ""},

		{"no scope openid", in, []string{"scope", "profile"}, "invalid_scope"},
		{"no response type", in, []string{"response_type", ""}, "unsupported_response_type"},
		{"a token in the address", in, []string{"response_type", "id_token"}, "unsupported_response_type"},
		{"another response mode", in, []string{"response_mode", "fragment"}, "invalid_request"},
		{"no PKCE", in, []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		{"half of PKCE", in, []string{
			"client_id", "old", "redirect_uri", "https://old.example/done", "code_challenge", "",
		}, "invalid_request"},
		{"a request object", in, []string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		{"an address of one", in, []string{"request_uri", "https://wiki.example/r"}, "request_uri_not_supported"},
		{"an invalid max_age", in, []string{"max_age", "-1"}, "invalid_request"},
		{"prompt none with another", in, []string{"prompt", "none login"}, "invalid_request"},
		{"prompt none without a session", out, []string{"prompt", "none"}, "login_required"},
		{"prompt none with max_age 0", in, []string{"prompt", "none", "max_age", "0"}, "login_required"},
		{
			"prompt none with a hint of another user", other,
			[]string{"prompt", "none", "id_token_hint", hint}, "login_required",
		},
		{"prompt none for a user who is not allowed", other, []string{
			"client_id", "old", "redirect_uri", "https://old.example/done", "prompt", "none",
		}, "access_denied"},
		{"prompt none with an invalid hint", in, []string{"prompt", "none", "id_token_hint", "x"}, "login_required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.by.redirected(wikiAsks(s, tc.changes...))
			if got.Get("error") != tc.want || got.Has("code") != (tc.want == "") || got.Get("iss") != s.Issuer() {
				t.Errorf("got %v, want error %q and iss", got, tc.want)
			}
		})
	}

	if got := in.redirected(wikiAsks(s, "redirect_uri", wikiDone+"?app=1")); got.Get("app") != "1" {
		t.Errorf("got %v, want the query of the address", got)
	}

	a := in.get(wikiAsks(s, "redirect_uri", "https://wiki.example/other"))
	if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
		t.Errorf("another address: got %d to %q, want a page with 400", a.Status, a.Header.Get("Location"))
	}

	a = other.get(wikiAsks(s, "client_id", "old", "redirect_uri", "https://old.example/done"))
	if a.Status != http.StatusForbidden || a.Header.Get("Location") != "" {
		t.Errorf("a user who is not allowed: got %d to %q, want a page with 403", a.Status, a.Header.Get("Location"))
	}

	form := strings.TrimPrefix(wikiAsks(s), s.Issuer()+"/oauth2/authorize?")
	a = s.Send(
		in.client, http.MethodPost, s.Issuer()+"/oauth2/authorize", form, "Content-Type",
		"application/x-www-form-urlencoded",
	)
	if at := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.HasPrefix(at, "/oauth2/authorize?") {
		t.Errorf("POST: got %d to %q, want the same request by GET", a.Status, at)
	}
}

// TestAForcedSignInCannotBeRemoved sends the browser back without a sign-in, and with one.
func TestAForcedSignInCannotBeRemoved(t *testing.T) {
	for _, changes := range [][]string{{"prompt", "login"}, {"max_age", "0"}} {
		t.Run(changes[0], func(t *testing.T) {
			c := newHeldClock()
			s := startRelying(t, jetontest.Clock(c.now))
			b := newBrowser(t, s)
			b.signIn("diane")
			c.move(time.Minute)

			first := claimsOf(t, redeem(t, s, b.codeFor(wikiAsks(s))).ID)["auth_time"]
			asks := wikiAsks(s, changes...)

			b.open(asks)
			page := b.at()
			if !strings.HasPrefix(page, s.Issuer()+"/sign-in?") {
				t.Fatalf("got to %s, want the sign-in page", page)
			}

			back := strings.Replace(page, "/sign-in?", "/oauth2/authorize?", 1)
			if a := b.get(back); !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?") {
				t.Errorf("without a sign-in: got to %q, want the sign-in page", a.Header.Get("Location"))
			}

			c.move(time.Second)
			b.send(page, "diane")
			c.move(2 * time.Second)

			second := claimsOf(t, redeem(t, s, b.codeFor(back)).ID)["auth_time"]
			if second.(float64) <= first.(float64) {
				t.Errorf("auth_time = %v after %v, want a later one", second, first)
			}

			// The mark of one request is none for another.
			other := strings.Replace(back, "n-1", "n-2", 1)
			c.move(time.Minute)
			if a := b.get(other); !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?") {
				t.Errorf("another request: got to %q, want the sign-in page", a.Header.Get("Location"))
			}
		})
	}
}

func TestACodeIsForItsClientAlone(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name    string
		changes []string
		status  int
		want    string
	}{
		{"the client", nil, http.StatusOK, ""},
		{"another client", []string{"client_id", "old"}, http.StatusBadRequest, "invalid_grant"},
		{"another address", []string{"redirect_uri", wikiDone + "?app=1"}, http.StatusBadRequest, "invalid_grant"},
		{"no address", []string{"redirect_uri", ""}, http.StatusBadRequest, "invalid_request"},
		{"another verifier", []string{"code_verifier", verifier + "x"}, http.StatusBadRequest, "invalid_grant"},
		{"a short verifier", []string{"code_verifier", verifier[:42]}, http.StatusBadRequest, "invalid_request"},
		{"a long verifier", []string{
			"code_verifier", strings.Repeat("a", 129),
		}, http.StatusBadRequest, "invalid_request"},
		{"a verifier with a space", []string{
			"code_verifier", verifier + " ",
		}, http.StatusBadRequest, "invalid_request"},
		{"no verifier", []string{"code_verifier", ""}, http.StatusBadRequest, "invalid_grant"},
		{"no secret", []string{"client_secret", ""}, http.StatusUnauthorized, "invalid_client"},
		{"a wrong secret", []string{"client_secret", "x"}, http.StatusUnauthorized, "invalid_client"},
		{"an unknown client", []string{"client_id", "x"}, http.StatusUnauthorized, "invalid_client"},
		{"a code that is none", []string{"code", "x"}, http.StatusBadRequest, "invalid_grant"},
		{"a public client", []string{"client_id", "cli", "client_secret", ""}, http.StatusBadRequest, "invalid_grant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := redeem(t, s, b.codeFor(wikiAsks(s)), tc.changes...)
			if got.Status != tc.status || got.Error != tc.want || (got.Access != "") != (tc.want == "") {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Error, tc.status, tc.want)
			}
		})
	}

	// The verifier of a code without a challenge is refused: someone may have removed the challenge.
	asks := wikiAsks(
		s, "client_id", "old", "redirect_uri", "https://old.example/done", "code_challenge", "",
		"code_challenge_method", "",
	)
	old := []string{"client_id", "old", "redirect_uri", "https://old.example/done"}
	if got := redeem(t, s, b.codeFor(asks), old...); got.Error != "invalid_grant" {
		t.Errorf("a verifier without a challenge: got %d %q, want invalid_grant", got.Status, got.Error)
	}
	got := redeem(t, s, b.codeFor(asks), append(old, "code_verifier", "")...)
	if claimsOf(t, got.ID)["preferred_username"] != "diane" {
		t.Errorf("ID token = %v, want the claims of the user, as the client wants them", claimsOf(t, got.ID))
	}

	_, back := b.shown(wikiAsks(s, "client_id", "cli", "redirect_uri", "http://127.0.0.1:7/done"))
	got = redeem(
		t, s, b.codeFor(back),
		"client_id", "cli", "client_secret", "", "redirect_uri", "http://127.0.0.1:7/done",
	)
	if got.Status != http.StatusOK || got.ID == "" {
		t.Errorf("a public client: got %d %q, want tokens", got.Status, got.Error)
	}

	readLogInGerman(t, s)
}

func TestACodeThatIsUsedTwiceEndsWhatCameOfIt(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")

	// Also once the code has expired, and was deleted.
	expired := b.codeFor(wikiAsks(s, "scope", "openid offline_access"))
	kept := redeem(t, s, expired)
	c.move(10 * time.Minute)
	if late := redeem(t, s, expired); late.Error != "invalid_grant" {
		t.Errorf("second use after ten minutes: got %d %q, want invalid_grant", late.Status, late.Error)
	}
	if got := refresh(t, s, kept.Refresh); got.Error != "invalid_grant" {
		t.Errorf("refresh after it: got %d %q, want invalid_grant", got.Status, got.Error)
	}

	code := b.codeFor(wikiAsks(s, "scope", "openid offline_access"))
	first := redeem(t, s, code)
	if _, a := userinfo(s, http.MethodGet, first.Access); a.Status != http.StatusOK {
		t.Fatalf("userinfo = %d, want 200", a.Status)
	}

	if second := redeem(t, s, code); second.Error != "invalid_grant" {
		t.Errorf("second use: got %d %q, want invalid_grant", second.Status, second.Error)
	}
	if _, a := userinfo(s, http.MethodGet, first.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after it = %d, want 401", a.Status)
	}
	if got := refresh(t, s, first.Refresh); got.Error != "invalid_grant" {
		t.Errorf("refresh after it: got %d %q, want invalid_grant", got.Status, got.Error)
	}

	// Of many at once, one at most gets tokens, and they are dead once all are answered.
	code = b.codeFor(wikiAsks(s))
	var all [16]relied
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = redeem(t, s, code) })
	}
	wg.Wait()

	won := 0
	for _, got := range all {
		if got.Access == "" {
			continue
		}
		won++
		if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
			t.Errorf("userinfo with the tokens of a code used 16 times = %d, want 401", a.Status)
		}
	}
	if won > 1 {
		t.Errorf("%d of 16 uses of one code got tokens, want 1 at most", won)
	}
}

func TestARefreshTokenIsReplaced(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")

	issue := func() relied {
		t.Helper()
		got := redeem(t, s, b.codeFor(wikiAsks(s, "scope", "openid profile offline_access")))
		if got.Refresh == "" {
			t.Fatalf("got %+v, want a refresh token", got)
		}
		return got
	}

	first := issue()
	second := refresh(t, s, first.Refresh)
	if second.Status != http.StatusOK || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Fatalf("refresh: got %d %q, want other tokens", second.Status, second.Error)
	}
	if claimsOf(t, second.ID)["auth_time"] != claimsOf(t, first.ID)["auth_time"] {
		t.Error("auth_time changed with a refresh, want that of the sign-in")
	}

	// The answer was lost: the same successor.
	c.move(5 * time.Second)
	if again := refresh(t, s, first.Refresh); again.Refresh != second.Refresh || again.Access == "" {
		t.Errorf("the same token within the grace: got %d %q, want the same successor", again.Status, again.Error)
	}
	if got := refresh(t, s, second.Refresh, "client_id", "old"); got.Error != "invalid_grant" {
		t.Errorf("another client: got %d %q, want invalid_grant", got.Status, got.Error)
	}
	if got := refresh(t, s, second.Refresh, "scope", "openid groups"); got.Error != "invalid_scope" {
		t.Errorf("more scopes: got %d %q, want invalid_scope", got.Status, got.Error)
	}

	// Reuse after the grace ends all of them.
	c.move(6 * time.Second)
	if got := refresh(t, s, first.Refresh); got.Error != "invalid_grant" {
		t.Errorf("the same token after the grace: got %d %q, want invalid_grant", got.Status, got.Error)
	}
	if got := refresh(t, s, second.Refresh); got.Error != "invalid_grant" {
		t.Errorf("its successor: got %d %q, want invalid_grant", got.Status, got.Error)
	}
	if _, a := userinfo(s, http.MethodGet, second.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after a reuse = %d, want 401", a.Status)
	}

	// It outlives the sign-in session, and not a change of the user.
	third := issue()
	session := redeem(t, s, b.codeFor(wikiAsks(s)))
	s.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
	if _, a := userinfo(s, http.MethodGet, session.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after the end of the session = %d, want 401", a.Status)
	}
	third = refresh(t, s, third.Refresh)
	if third.Status != http.StatusOK {
		t.Errorf("refresh after the end of the session: got %d %q, want 200", third.Status, third.Error)
	}

	s.MustControl(http.MethodPut, "/api/v1/users/diane/disabled", map[string]bool{"disabled": true}, nil)
	if got := refresh(t, s, third.Refresh); got.Error != "invalid_grant" {
		t.Errorf("refresh of a disabled user: got %d %q, want invalid_grant", got.Status, got.Error)
	}
	if _, a := userinfo(s, http.MethodGet, third.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo of a disabled user = %d, want 401", a.Status)
	}
}
