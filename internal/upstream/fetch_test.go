package upstream

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestATokenEndpointThatRefuses distinguishes a code that is not accepted from a provider that cannot be used.
func TestATokenEndpointThatRefuses(t *testing.T) {
	answer := func(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	const asJSON = "application/json"

	for _, tc := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		want   error
	}{
		{"a code that was used", answer(400, asJSON, `{"error":"invalid_grant"}`), jeton.ErrBadCredential},
		{"as GitHub says it", answer(200, asJSON, `{"error":"bad_verification_code"}`), jeton.ErrBadCredential},
		{"a client that it does not know", answer(401, asJSON, `{"error":"invalid_client"}`), jeton.ErrUpstream},
		{"a fault of its own", answer(500, asJSON, `{}`), jeton.ErrUpstream},
		{"a redirect", answer(307, asJSON, `{"access_token":"a","token_type":"Bearer"}`), jeton.ErrUpstream},
		{"a page", answer(200, "text/html", `{"access_token":"a"}`), jeton.ErrUpstream},
		{"no JSON", answer(200, asJSON, `<html>`), jeton.ErrUpstream},
		{"no token", answer(200, asJSON, `{"token_type":"Bearer"}`), jeton.ErrUpstream},
		{"a token of another type", answer(200, asJSON, `{"access_token":"a","token_type":"mac"}`), jeton.ErrUpstream},
		{"far too much", answer(200, asJSON, `{"x":"`+strings.Repeat("x", maxBody)+`"}`), jeton.ErrUpstream},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			p.token = tc.answer
			ours := p.open()
			in, _ := p.begin(ours, false)

			_, err := ours.Redeem(t.Context(), in, "code", "")
			if jeton.Outcome(err) != tc.want {
				t.Errorf("Redeem = %v, want %v", err, tc.want)
			}
		})
	}
}

// TestASecretGoesWhereTheProviderReadsIt has the ways in which this server proves itself.
func TestASecretGoesWhereTheProviderReadsIt(t *testing.T) {
	const basic = "jeton s3cr%3At%25"
	for _, tc := range []struct {
		name       string
		methods    []string
		secret     string
		wantHeader string
		wantForm   string
	}{
		{"nothing is said", nil, "s3cr:t%", basic, ""},
		{"both are possible", []string{"client_secret_post", "client_secret_basic"}, "s3cr:t%", basic, ""},
		{"in the form alone", []string{"client_secret_post"}, "s3cr:t%", "", "jeton s3cr:t%"},
		{"there is none", nil, "", "", "jeton "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			if tc.methods != nil {
				p.metadata["token_endpoint_auth_methods_supported"] = tc.methods
			}

			header := ""
			p.token = func(_ http.ResponseWriter, r *http.Request) bool {
				name, secret, ok := r.BasicAuth()
				if ok {
					header = name + " " + secret
				}
				return false
			}

			ours := p.open(func(c *Config) { c.Secret = jeton.NewSecret(tc.secret) })
			in, _ := p.begin(ours, false)
			if _, err := ours.Redeem(t.Context(), in, "code", ""); err != nil {
				t.Fatal(err)
			}

			form, got := *p.form.Load(), ""
			if form.Has("client_id") {
				got = form.Get("client_id") + " " + form.Get("client_secret")
			}
			if header != tc.wantHeader || got != tc.wantForm {
				t.Errorf("header %q, form %q, want %q and %q", header, got, tc.wantHeader, tc.wantForm)
			}
		})
	}
}

// TestADiscoveryDocumentThatIsNotUsed has documents that would send users or secrets elsewhere.
func TestADiscoveryDocumentThatIsNotUsed(t *testing.T) {
	for _, tc := range []struct{ name, member, value string }{
		{"of another issuer", "issuer", "https://evil.example"},
		{"without an authorization endpoint", "authorization_endpoint", ""},
		{"with an endpoint that is a script", "authorization_endpoint", "javascript:alert(1)"},
		{"with an endpoint without TLS", "authorization_endpoint", "http://evil.example/"},
		{"with a token endpoint without TLS", "token_endpoint", "http://192.0.2.1/token"},
		{"with a token endpoint that is a path", "token_endpoint", "/token"},
		{"with a user name in an address", "jwks_uri", "https://a@evil.example/"},
		{"with a fragment", "userinfo_endpoint", "https://login.example/#x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			p.metadata[tc.member] = tc.value
			_, err := p.open().Authorize(t.Context(), Pending{Purpose: SignIn}, browser)
			if jeton.Outcome(err) != jeton.ErrUpstream {
				t.Errorf("Authorize = %v, want ErrUpstream", err)
			}
		})
	}
}

// TestDiscoveryIsAskedSeldom counts the requests that strangers cause.
func TestDiscoveryIsAskedSeldom(t *testing.T) {
	p := newProvider(t)
	now := noon
	ours := p.open(func(c *Config) { c.Now = func() time.Time { return now } })
	issuer := p.metadata["issuer"]
	step := func(name string, at time.Duration, broken bool, wantAsked int64, wantErr error) {
		t.Helper()
		now = noon.Add(at)
		p.metadata["issuer"] = issuer
		if broken {
			p.metadata["issuer"] = "broken"
		}

		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := ours.Authorize(t.Context(), Pending{Purpose: SignIn}, browser)
				if jeton.Outcome(err) != wantErr {
					t.Errorf("%s: Authorize = %v, want %v", name, err, wantErr)
				}
			})
		}
		wg.Wait()

		if got := p.discovers.Swap(0); got != wantAsked {
			t.Errorf("%s: %d requests, want %d", name, got, wantAsked)
		}
	}

	step("broken at first", 0, true, 1, jeton.ErrUpstream)
	step("a moment later", 9*time.Second, false, 0, jeton.ErrUpstream)
	step("after the pause", 11*time.Second, false, 1, nil)
	step("within the hour", time.Hour, false, 0, nil)
	step("broken after the hour", time.Hour+time.Minute, true, 1, nil)
	step("after the next pause", time.Hour+2*time.Minute, false, 1, nil)
}

func TestNoMoreThanSomeCodesAreRedeemedAtOnce(t *testing.T) {
	p := newProvider(t)
	hold, entered := make(chan struct{}), make(chan struct{}, maxRedeeming)
	p.token = func(http.ResponseWriter, *http.Request) bool {
		entered <- struct{}{}
		<-hold
		return false
	}
	ours := p.open()
	in, _ := p.begin(ours, false)

	var wg sync.WaitGroup
	for range maxRedeeming {
		wg.Go(func() { _, _ = ours.Redeem(t.Context(), in, "code", "") })
	}
	for range maxRedeeming {
		<-entered
	}

	_, err := ours.Redeem(t.Context(), in, "code", "")
	if jeton.Outcome(err) != jeton.ErrBusy {
		t.Errorf("one more: %v, want ErrBusy", err)
	}
	close(hold)
	wg.Wait()
}

func TestGitHub(t *testing.T) {
	for _, tc := range []struct {
		name, user, emails string
		want               Identity
		wantErr            error
	}{
		{
			"a user with a verified address",
			`{"id":583231,"login":"octocat","email":"shown@evil.example"}`,
			`[{"email":"old@example.org","verified":true},{"email":"cat@example.org","primary":true,"verified":true}]`,
			Identity{
				Subject:   "583231",
				Preferred: "octocat",
				Email:     "cat@example.org",
				Verified:  true,
			},
			nil,
		},
		{
			"an address that is not verified",
			`{"id":1,"login":"mallory"}`,
			`[{"email":"root@example.org","primary":true,"verified":false}]`,
			Identity{Subject: "1", Preferred: "mallory", Email: "root@example.org"},
			nil,
		},
		{"no address", `{"id":2,"login":"x"}`, `[]`, Identity{Subject: "2", Preferred: "x"}, nil},
		{"no id", `{"login":"x"}`, `[]`, Identity{}, jeton.ErrUpstream},
		{"an error in place of the user", `{"message":"Bad credentials"}`, `[]`, Identity{}, jeton.ErrUpstream},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mux := http.NewServeMux()
			write := func(text string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/login/oauth/access_token" && r.Header.Get("Authorization") != "Bearer gho" {
						w.WriteHeader(http.StatusUnauthorized)
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(text))
				}
			}
			mux.HandleFunc("POST /login/oauth/access_token", write(`{"access_token":"gho","token_type":"bearer"}`))
			mux.HandleFunc("GET /api/v3/user", write(tc.user))
			mux.HandleFunc("GET /api/v3/user/emails", write(tc.emails))

			p := newProvider(t)
			p.http.Config.Handler = mux
			ours := p.open(func(c *Config) { c.GitHub = true })
			in, query := p.begin(ours, false)
			if query.Has("nonce") || query.Get("code_challenge") == "" {
				t.Errorf("authorization request = %v, want PKCE and no nonce", url.Values(query))
			}

			got, err := ours.Redeem(t.Context(), in, "code", "")
			tc.want.Issuer = p.http.URL
			if tc.wantErr != nil {
				tc.want.Issuer = ""
			}
			if jeton.Outcome(err) != tc.wantErr || got.Label() != tc.want.Label() || got.Subject != tc.want.Subject ||
				got.Verified != tc.want.Verified || got.Issuer != tc.want.Issuer {
				t.Errorf("Redeem = %+v, %v, want %+v, %v", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func TestAFreshProofOfGitHubIsRefused(t *testing.T) {
	p := newProvider(t)
	ours := p.open(func(c *Config) { c.GitHub = true })
	_, err := ours.Authorize(t.Context(), Pending{Purpose: Prove, Fresh: true}, browser)
	if jeton.Outcome(err) != jeton.ErrInvalid {
		t.Errorf("Authorize = %v, want ErrInvalid", err)
	}
}
