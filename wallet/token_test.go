package wallet

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
)

// personal creates a token of diane for the service reports.
func (s *scene) personal(set ...func(*api.NewToken)) api.MadeToken {
	s.t.Helper()
	in := api.NewToken{
		User:     "diane",
		Name:     "job",
		Services: []string{"reports"},
		Expires:  s.now().Add(time.Hour),
	}
	for _, f := range set {
		f(&in)
	}

	var token api.MadeToken
	s.MustControl("POST", "/api/v1/tokens", in, &token)

	return token
}

// userScene returns a scene with the user diane.
func userScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	s.AddUser("diane", "diane-good-password")
	return s
}

// job returns the login of the identity job with a token made elsewhere.
func (s *scene) job(token string) Login {
	return Login{URL: s.URL("reports"), As: "job", Token: jeton.NewSecret(token)}
}

func TestTokenMadeElsewhereIsStoredAndSent(t *testing.T) {
	s, home := userScene(t), t.TempDir()
	made := s.personal()
	w := s.wallet(home)
	id := mustLogin(t, w, s.job(made.Secret))
	s.mustAsk(id, "diane")

	again := must(s.wallet(home).Identity(t.Context(), s.URL("reports"), "job"))
	s.mustAsk(again, "diane")

	if got := again.Info(); got.Kind != KindToken || !got.SignedIn || got.Auto || !got.Expires.IsZero() ||
		got.Service != "reports" {
		t.Errorf("Info = %+v, want a token for reports", got)
	}

	got, err := again.Token(t.Context())
	if err != nil || got.Text.Reveal() != made.Secret || !got.Opens.IsZero() || !got.Expires.IsZero() {
		t.Errorf("Token = %+v, %v; want the token of the login", got, err)
	}

	for host, values := range s.spy.auth {
		for value := range values {
			if value != "" && ("https://"+host != s.URL("reports") || value != "Bearer "+made.Secret) {
				t.Errorf("%s got an Authorization header, want it only at the origin of the token", host)
			}
		}
	}

	_, plain, err := w.file.load(t.Context())
	if err != nil || !bytes.Contains(plain, []byte(`"version":3`)) {
		t.Errorf("document = %s, %v; want version 3, which an older program refuses", plain, err)
	}

	n := len(must(w.Identities(t.Context())))
	if n != 1 {
		t.Errorf("%d identities, want 1", n)
	}
}

// TestLogoutRemovesATokenMadeElsewhereAndDoesNotRevokeIt checks that other programs which
// have the token go on working.
func TestLogoutRemovesATokenMadeElsewhereAndDoesNotRevokeIt(t *testing.T) {
	s, home := userScene(t), t.TempDir()
	made := s.personal()
	w := s.wallet(home)
	id := mustLogin(t, w, s.job(made.Secret))

	if err := w.Logout(t.Context(), s.URL("reports"), "job"); err != nil {
		t.Fatal(err)
	}

	_, plain, err := w.file.load(t.Context())
	if err != nil || bytes.Contains(plain, []byte(made.Secret)) {
		t.Errorf("read the wallet: %v, want the token gone", err)
	}

	code, _, why := s.ask(id)
	if code != http.StatusUnauthorized || !errors.Is(why, jeton.ErrNoCredential) {
		t.Errorf("after the logout: %d, %v; want 401, ErrNoCredential", code, why)
	}
	if _, err := id.Token(t.Context()); !errors.Is(err, jeton.ErrNoCredential) {
		t.Errorf("Token: %v, want ErrNoCredential", err)
	}

	if _, err := w.Login(t.Context(), Login{URL: s.URL("reports"), As: "job"}); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("Login without a credential = %v, want ErrInvalid", err)
	}

	// The token is not revoked: a login with it works again.
	s.mustAsk(mustLogin(t, s.wallet(home), s.job(made.Secret)), "diane")
	s.mustAsk(id, "diane") // and the first process finds it
}

func TestTokenMadeElsewhereCannotBeRenewed(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*api.NewToken)
		end  func(*scene, *Identity, api.MadeToken)
		want error
	}{
		{"revoked", func(*api.NewToken) {}, func(s *scene, _ *Identity, m api.MadeToken) {
			s.MustControl("DELETE", "/api/v1/tokens/"+m.Accessor, nil, nil)
		}, jeton.ErrBadCredential},
		{
			"expired",
			func(*api.NewToken) {},
			func(s *scene, _ *Identity, _ api.MadeToken) { s.pass(time.Hour) },
			jeton.ErrExpired,
		},
		{
			"spent",
			func(n *api.NewToken) { n.MaxUses = 1 },
			func(s *scene, id *Identity, _ api.MadeToken) { s.mustAsk(id, "diane") },
			jeton.ErrSpent,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, home := userScene(t), t.TempDir()
			made := s.personal(tc.set)
			id := mustLogin(t, s.wallet(home), s.job(made.Secret))
			tc.end(s, id, made)
			_, _, why := s.ask(id)
			if !errors.Is(why, tc.want) || !strings.Contains(why.Error(), "the wallet cannot renew it") {
				t.Errorf("NeedsLogin = %v, want %v with the reason", why, tc.want)
			}

			mustLogin(t, s.wallet(home), s.job(s.personal().Secret))
			s.mustAsk(id, "diane") // another process has logged in with a new token
		})
	}
}

func TestInvalidTokensAreRefused(t *testing.T) {
	s := userScene(t)
	good := s.personal().Secret
	swapped := strings.Replace(good, good[6:8], "zz", 1)
	for _, tc := range []struct {
		name string
		in   Login
		want error
		text string
	}{
		{"only blanks", s.job("   "), jeton.ErrInvalid, "invalid token"},
		{"two lines", s.job(good + "\n" + good), jeton.ErrInvalid, "invalid token"},
		{"a token that is too long", s.job(strings.Repeat("a", maxToken+1)), jeton.ErrInvalid, "16 KiB"},
		{"a truncated token", s.job(good[:40]), jeton.ErrInvalid, "mistyped"},
		{"a mistyped token", s.job(swapped), jeton.ErrInvalid, "mistyped"},
		{"the secret of a session", s.job("jtn_s_" + strings.Repeat("a", 43)), jeton.ErrInvalid, "not a token"},
		{"the secret of a client", s.job("jtn_c_" + good[6:]), jeton.ErrInvalid, "not a token"},
		{
			"a token and a password",
			Login{
				URL:      s.URL("reports"),
				As:       "job",
				Token:    jeton.NewSecret(good),
				Password: jeton.NewSecret("x"),
			},
			jeton.ErrInvalid,
			"one of them",
		},
		{
			"a token and a key",
			Login{
				URL:   s.URL("reports"),
				As:    "job",
				Token: jeton.NewSecret(good),
				Key:   "ci.key",
			},
			jeton.ErrInvalid,
			"one of them",
		},
		{
			"a token and scopes",
			Login{
				URL:   s.URL("reports"),
				As:    "job",
				Token: jeton.NewSecret(good),
				Scope: []string{"read"},
			},
			jeton.ErrInvalid,
			"Scope",
		},
		{
			"a service without tokens",
			Login{URL: s.URL("site"), As: "job", Token: jeton.NewSecret(good)},
			jeton.ErrNotFound,
			"accepts no tokens",
		},
		{
			"plain http to another machine",
			Login{URL: "http://app.example", As: "job", Token: jeton.NewSecret(good)},
			jeton.ErrInvalid,
			"plain http",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.wallet(t.TempDir()).Login(t.Context(), tc.in)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Login = %v, want %v with %q", err, tc.want, tc.text)
			}
			if err != nil && (strings.Contains(err.Error(), good[6:]) || strings.Contains(err.Error(), swapped)) {
				t.Errorf("error = %v, want no part of the token", err)
			}
		})
	}

	for path := range s.spy.auth {
		if len(s.spy.auth[path]) != 1 || !s.spy.auth[path][""] {
			t.Errorf("Authorization at %s = %v, want none: the token was refused", path, s.spy.auth[path])
		}
	}
}

func TestAnIdentityChangesItsCredential(t *testing.T) {
	s, home := userScene(t), t.TempDir()
	w := s.wallet(home)
	byPassword := Login{
		URL:      s.URL("reports"),
		As:       "job",
		Username: "diane",
		Password: jeton.NewSecret("diane-good-password"),
	}
	mustLogin(t, w, byPassword)
	id := mustLogin(t, w, s.job(s.personal().Secret))
	s.mustAsk(id, "diane")

	if got := id.Info(); got.Kind != KindToken {
		t.Errorf("after a token: kind %s, want a token", got.Kind)
	}

	mustLogin(t, w, byPassword)
	if got := id.Info(); got.Kind != KindSession || !got.SignedIn {
		t.Errorf("after a password: Info = %+v, want a session", got)
	}

	mustLogin(t, w, s.job(s.personal().Secret))
	in := s.ci("reports")
	in.As, in.Username = "job", "ci"
	mustLogin(t, w, in)
	s.mustAsk(id, "ci")

	if got := id.Info(); got.Kind != KindKey {
		t.Errorf("after a key: kind %s, want a key", got.Kind)
	}
}

func TestTokenMadeElsewhereIsSentOnlyToItsOrigin(t *testing.T) {
	leaked := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked <- r.Header.Get("Authorization")
	}))
	defer other.Close()

	// A token can be for any server, not only for a Jeton service.
	s := newService(t, "git", func(s *service) { s.plain = true })
	w := newWallet(t)
	id := mustLogin(t, w, Login{
		URL:    s.URL,
		As:     "job",
		Token:  jeton.NewSecret("some-token-of-another-maker"),
		CACert: s.ca(),
	})
	for _, status := range []string{"302", "307", "308"} {
		resp, err := id.Client().Get(s.URL + "/to?status=" + status + "&url=" + url.QueryEscape(other.URL+"/"))
		if err != nil || resp.Header.Get("Location") == "" {
			t.Errorf("redirect: %v, %v; want the redirect itself", resp, err)
		}
	}

	if _, err := id.Client().Get(other.URL); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("GET at another origin = %v, want ErrInvalid", err)
	}

	r := must(http.NewRequestWithContext(t.Context(), "GET", s.URL+"/whoami", nil))
	r.Header.Set("Authorization", "Basic ZGlhbmU6cHc=")

	if _, err := id.Client().Do(r); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("a request with Authorization = %v, want ErrInvalid", err)
	}
	if len(leaked) > 0 {
		t.Errorf("another origin got Authorization %q, want none", <-leaked)
	}
}

func TestNoCookieIsStoredWithATokenMadeElsewhere(t *testing.T) {
	cookies := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies += len(r.Cookies())
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "of-the-token", Path: "/"})
	}))
	defer s.Close()

	w := newWallet(t)
	id := mustLogin(t, w, Login{URL: s.URL, As: "job", Token: jeton.NewSecret("some-token")})
	for range 3 {
		get(t, id, s.URL+"/")
	}

	_, plain, err := w.file.load(t.Context())
	if err != nil || cookies > 0 || bytes.Contains(plain, []byte("of-the-token")) {
		t.Errorf("%d cookies sent, want 0 and none stored: a session would be a second credential; %v", cookies, err)
	}
}
