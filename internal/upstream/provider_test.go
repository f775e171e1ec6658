package upstream

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/outbound"
)

var noon = time.Date(2026, time.December, 1, 12, 0, 0, 0, time.UTC)

const browser = "cookie of the browser"

// provider is a provider whose answers a test changes. Fields must not change while requests run.
type provider struct {
	t    *testing.T
	http *httptest.Server
	key  *jose.Signer

	metadata  map[string]any
	claims    map[string]any // of the ID token; nonce and iat are added
	userinfo  map[string]any
	typ       string // of the ID token
	signer    *jose.Signer
	sign      func(claims []byte) string // nil: with signer
	token     func(w http.ResponseWriter, r *http.Request) bool
	discovers atomic.Int64
	form      atomic.Pointer[url.Values] // of the last token request
	nonce     atomic.Pointer[string]
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}

	p := &provider{t: t, key: key, signer: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.discovers.Add(1)
		answerJSON(w, p.metadata)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(jose.MarshalSet([]jose.Key{p.key.Key()}))
	})
	mux.HandleFunc("POST /token", p.answerToken)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, p.userinfo) })
	p.http = httptest.NewServer(mux)
	t.Cleanup(p.http.Close)

	p.metadata = map[string]any{
		"issuer":                 p.http.URL,
		"authorization_endpoint": p.http.URL + "/authorize?tenant=1",
		"token_endpoint":         p.http.URL + "/token",
		"userinfo_endpoint":      p.http.URL + "/userinfo",
		"jwks_uri":               p.http.URL + "/keys",
	}
	p.claims = map[string]any{
		"iss":                p.http.URL,
		"sub":                "248289761001",
		"aud":                "jeton",
		"exp":                noon.Add(5 * time.Minute).Unix(),
		"iat":                noon.Unix(),
		"preferred_username": "diane",
		"email":              "diane@example.org",
		"email_verified":     true,
		"roles":              []string{"staff"},
	}
	p.userinfo = map[string]any{"sub": "248289761001"}

	return p
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (p *provider) answerToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.form.Store(&r.Form)
	if p.token != nil && p.token(w, r) {
		return
	}

	claims := maps.Clone(p.claims)
	if claims["nonce"] == nil {
		claims["nonce"] = *p.nonce.Load()
	}
	text, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}

	signed := ""
	if p.sign != nil {
		signed = p.sign(text)
	} else {
		signed, err = p.signer.Sign(p.typ, text)
		if err != nil {
			p.t.Error(err)
		}
	}

	answerJSON(w, map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": signed})
}

// open returns our side of the provider.
func (p *provider) open(change ...func(*Config)) *Provider {
	p.t.Helper()
	c := Config{
		Name:        "company",
		Issuer:      p.http.URL,
		ClientID:    "jeton",
		Secret:      jeton.NewSecret("s3cr:t%"),
		Scopes:      []string{"openid", "email"},
		GroupsClaim: "roles",
		Redirect:    "https://auth.example/sign-in/with/company/callback",
		Target:      outbound.Target{Private: true},
		Key:         []byte(strings.Repeat("k", 32)),
		Now:         func() time.Time { return noon },
		Log:         slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}

	out, err := New(c)
	if err != nil {
		p.t.Fatal(err)
	}

	return out
}

// begin begins a sign-in and returns what came of it when the browser comes back.
func (p *provider) begin(ours *Provider, fresh bool) (Pending, url.Values) {
	p.t.Helper()
	to, err := ours.Authorize(p.t.Context(), Pending{Purpose: SignIn, Query: "to=%2Fadmin", Fresh: fresh}, browser)
	if err != nil {
		p.t.Fatal(err)
	}

	u, err := url.Parse(to)
	if err != nil {
		p.t.Fatal(err)
	}
	in, err := ours.Open(u.Query().Get("state"), browser)
	if err != nil {
		p.t.Fatal(err)
	}
	p.nonce.Store(&in.Nonce)

	return in, u.Query()
}

// rawToken returns a token with a header of its own and a signature that is none.
func rawToken(header string) func([]byte) string {
	return func(claims []byte) string {
		return encode([]byte(header)) + "." + encode(claims) + "." + encode([]byte("signature"))
	}
}

func TestAnIdentity(t *testing.T) {
	p := newProvider(t)
	ours := p.open()
	in, query := p.begin(ours, false)

	for name, want := range map[string]string{
		"tenant":                "1",
		"response_type":         "code",
		"client_id":             "jeton",
		"scope":                 "openid email",
		"redirect_uri":          ours.Redirect,
		"nonce":                 in.Nonce,
		"code_challenge_method": "S256",
		"prompt":                "",
	} {
		if got := query.Get(name); got != want {
			t.Errorf("authorization request: %s = %q, want %q", name, got, want)
		}
	}

	got, err := ours.Redeem(t.Context(), in, "code", "")
	want := Identity{
		Issuer:    p.http.URL,
		Subject:   "248289761001",
		Preferred: "diane",
		Email:     "diane@example.org",
		Verified:  true,
		Groups:    []string{"staff"},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Redeem = %+v, %v, want %+v", got, err, want)
	}

	form := *p.form.Load()
	if form.Get("code_verifier") != in.Verifier || form.Get("code") != "code" || form.Has("client_secret") {
		t.Errorf("token request = %v, want the code and its verifier, and the secret in the header", form)
	}
}

// TestAnAnswerThatIsNotForTheSignIn has a row for each thing that an answer has to be.
func TestAnAnswerThatIsNotForTheSignIn(t *testing.T) {
	other, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}

	claim := func(name string, value any) func(*provider) {
		return func(p *provider) { p.claims[name] = value }
	}
	without := func(name string) func(*provider) { return func(p *provider) { delete(p.claims, name) } }

	for _, tc := range []struct {
		name   string
		change func(*provider)
		iss    string // parameter of the answer
		fresh  bool
		want   string // part of the reason; "": it is accepted
	}{
		{"all is right", func(*provider) {}, "", false, ""},
		{"iss of another issuer", claim("iss", "https://evil.example"), "", false, "iss of the ID token"},
		{"iss with a slash more", func(p *provider) { p.claims["iss"] = p.http.URL + "/" }, "", false, "iss of the ID"},
		{"no iss", without("iss"), "", false, "iss of the ID token"},
		{"aud of another client", claim("aud", "wiki"), "", false, "aud of the ID token"},
		{"aud of several without azp", claim("aud", []string{"jeton", "wiki"}), "", false, "no azp"},
		{"no aud", without("aud"), "", false, "aud of the ID token"},
		{"azp of another client", claim("azp", "wiki"), "", false, "azp of the ID token"},
		{"azp that is ours", claim("azp", "jeton"), "", false, ""},
		{"another nonce", claim("nonce", "another"), "", false, "nonce"},
		{"an empty nonce", claim("nonce", ""), "", false, "nonce"},
		{"a nonce that is no text", claim("nonce", 1), "", false, "nonce"},
		{"expired beyond the skew", claim("exp", noon.Add(-time.Minute).Unix()), "", false, "has expired"},
		{"expired within the skew", claim("exp", noon.Add(-59*time.Second).Unix()), "", false, ""},
		{"no exp", without("exp"), "", false, "no exp"},
		{"no iat", without("iat"), "", false, "no exp or no iat"},
		{"issued in the future", claim("iat", noon.Add(61*time.Second).Unix()), "", false, "of the future"},
		{"not valid yet", claim("nbf", noon.Add(2*time.Minute).Unix()), "", false, "of the future"},
		{"issued long ago", claim("iat", noon.Add(-12*time.Minute).Unix()), "", false, "is old"},
		{"no sub", without("sub"), "", false, "sub of the ID token"},
		{"an empty sub", claim("sub", ""), "", false, "claim sub"},
		{"a sub with a line break", claim("sub", "a\nb"), "", false, "sub of the ID token"},
		{"a long sub", claim("sub", strings.Repeat("x", 256)), "", false, "sub of the ID token"},
		{"groups that are no list", claim("roles", map[string]any{"a": 1}), "", false, "claim roles"},

		{"alg none", func(p *provider) { p.sign = rawToken(`{"alg":"none"}`) }, "", false, "no key"},
		{"a symmetric algorithm", func(p *provider) { p.sign = rawToken(`{"alg":"HS256"}`) }, "", false, "no key"},
		{
			"a key in the header",
			func(p *provider) { p.sign = rawToken(`{"alg":"ES256","jwk":{}}`) },
			"", false, "no key",
		},
		{"another key", func(p *provider) { p.signer = other }, "", false, "no key"},
		{"a token of another kind", func(p *provider) { p.typ = "at+jwt" }, "", false, "typ"},
		{"a logout token", func(p *provider) { p.typ = "logout+jwt" }, "", false, "typ"},
		{"a typ in another case", func(p *provider) { p.typ = "jwt" }, "", false, ""},
		{"no token", func(p *provider) { p.sign = func([]byte) string { return "" } }, "", false, "ID token"},
		{
			"a member twice",
			func(p *provider) {
				p.sign = func(b []byte) string {
					text, _ := p.key.Sign("", append([]byte(`{"sub":"1",`), b[1:]...))
					return text
				}
			},
			"", false, "ID token",
		},

		{"iss of the answer is another", func(*provider) {}, "https://evil.example", false, "iss of the answer"},
		{
			"iss of the answer is missing, and announced",
			func(p *provider) { p.metadata["authorization_response_iss_parameter_supported"] = true },
			"", false, "the answer has no iss",
		},
		{"userinfo of another user", func(p *provider) {
			delete(p.claims, "email")
			p.userinfo = map[string]any{"sub": "2", "email": "root@example.org"}
		}, "", false, "sub of userinfo"},

		{"a fresh proof without auth_time", func(*provider) {}, "", true, "no auth_time"},
		{"a proof before the sign-in", claim("auth_time", noon.Add(-time.Hour).Unix()), "", true, "auth_time"},
		{"a fresh proof", claim("auth_time", noon.Unix()), "", true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			tc.change(p)
			ours := p.open()
			in, _ := p.begin(ours, tc.fresh)

			_, err := ours.Redeem(t.Context(), in, "code", tc.iss)
			got := string(ReasonOf(err))
			if (err == nil) != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("Redeem = %v, reason %q, want %q", err, got, tc.want)
			}
			if tc.want != "" && jeton.Outcome(err) != jeton.ErrBadCredential {
				t.Errorf("Redeem = %v, want ErrBadCredential", err)
			}
		})
	}
}

func TestClaimsOfTwoPlaces(t *testing.T) {
	for _, tc := range []struct {
		name             string
		token, userinfo  map[string]any
		address          string
		verified         bool
		preferred, group string
	}{
		{
			"userinfo has what the token lacks",
			map[string]any{},
			map[string]any{
				"email":              "a@example.org",
				"email_verified":     true,
				"preferred_username": "ann",
				"roles":              "staff",
			},
			"a@example.org", true, "ann", "[staff]",
		},
		{
			"the address of one is not verified by the other",
			map[string]any{"email": "a@example.org"},
			map[string]any{"email": "b@example.org", "email_verified": true},
			"a@example.org", false, "", "[]",
		},
		{
			"nor the other way round",
			map[string]any{"email_verified": true},
			map[string]any{"email": "b@example.org"},
			"b@example.org", false, "", "[]",
		},
		{
			"a text is not true",
			map[string]any{
				"email":              "a@example.org",
				"email_verified":     "true",
				"preferred_username": 7,
				"roles":              []string{},
			},
			map[string]any{},
			"a@example.org", false, "", "[]",
		},
		{
			"names in another case are others",
			map[string]any{"email": "a@example.org", "Email_Verified": true, "ROLES": []string{"admin"}},
			map[string]any{},
			"a@example.org", false, "", "[]",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			for _, name := range []string{"email", "email_verified", "preferred_username", "roles"} {
				delete(p.claims, name)
			}
			maps.Copy(p.claims, tc.token)
			maps.Copy(p.userinfo, tc.userinfo)
			ours := p.open()
			in, _ := p.begin(ours, false)

			got, err := ours.Redeem(t.Context(), in, "code", "")
			if err != nil || got.Email != tc.address || got.Verified != tc.verified || got.Preferred != tc.preferred ||
				fmt.Sprint(got.Groups) != tc.group {
				t.Errorf("Redeem = %+v, %v, want %+v", got, err, tc)
			}
		})
	}
}

// TestAPendingSignInIsOfOneBrowserAndOneProvider opens states where they do not belong.
func TestAPendingSignInIsOfOneBrowserAndOneProvider(t *testing.T) {
	p := newProvider(t)
	now := noon
	clock := func(c *Config) { c.Now = func() time.Time { return now } }
	ours := p.open(clock)
	_, query := p.begin(ours, false)
	state := query.Get("state")

	for _, tc := range []struct {
		name    string
		at      *Provider
		state   string
		browser string
		after   time.Duration
		ok      bool
	}{
		{"where it began", ours, state, browser, 0, true},
		{"at another provider", p.open(func(c *Config) { c.Name = "other" }), state, browser, 0, false},
		{"on a node with another key", p.open(func(c *Config) { c.Key = make([]byte, 32) }), state, browser, 0, false},
		{"in another browser", ours, state, "another", 0, false},
		{"in a browser without the cookie", ours, state, "", 0, false},
		{"a state that was made up", ours, "xyz", browser, 0, false},
		{"no state", ours, "", browser, 0, false},
		{"in time", ours, state, browser, Lifetime - time.Second, true},
		{"too late", ours, state, browser, Lifetime, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now = noon.Add(tc.after)
			_, err := tc.at.Open(tc.state, tc.browser)
			if (err == nil) != tc.ok {
				t.Errorf("Open = %v, want success: %t", err, tc.ok)
			}
		})
	}
}
