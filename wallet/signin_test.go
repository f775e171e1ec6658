package wallet

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton"
)

// openID is an OpenID provider and the API that accepts its tokens, written by the standards alone.
type openID struct {
	*httptest.Server
	asked url.Values // the last authorization request

	mu        sync.Mutex
	outcome   error  // of refusals, as a server of ours names it
	turn      int    // number of tokens
	accepts   string // the access token that the API accepts
	refreshes int    // that were asked for
	revoked   string // the last token that was revoked
	lifetime  int    // of access tokens, in seconds

	pages chan shownPage // that browsers have shown at the end

	answer func(url.Values)         // changes the answer to the authorization request
	claims func(map[string]any)     // changes the ID token
	meta   func(map[string]any)     // changes the metadata
	codes  func(map[string]any)     // changes the device codes
	token  func(url.Values) *string // error of the token endpoint, nil: none
}

// shownPage is a page of the wallet in a browser.
type shownPage struct {
	status int
	text   string
}

func newOpenID(t *testing.T) *openID {
	t.Helper()
	p := &openID{
		lifetime: 3600,
		pages:    make(chan shownPage, 10),
		answer:   func(url.Values) {},
		claims:   func(map[string]any) {},
		meta:     func(map[string]any) {},
		codes:    func(map[string]any) {},
		token:    func(url.Values) *string { return nil },
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		m := map[string]any{
			"issuer":                 p.URL,
			"authorization_endpoint": p.URL + "/auth?tenant=1",
			"token_endpoint":         p.URL + "/token",
			"revocation_endpoint":    p.URL + "/revoke",
		}
		p.meta(m)
		writeJSON(w, m)
	})
	mux.HandleFunc("POST /token", p.tokens)
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = r.ParseForm()
		p.asked = r.PostForm
		codes := map[string]any{
			"device_code":      "device-1",
			"user_code":        "BCDF-GHJK",
			"verification_uri": p.URL + "/enter",
			"interval":         1,
		}
		p.codes(codes)
		writeJSON(w, codes)
	})
	mux.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.revoked = r.FormValue("token")
	})
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.accepts == "" || r.Header.Get("Authorization") != "Bearer "+p.accepts {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "ada")
	})

	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)

	return p
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// tokens answers a code and each refresh token once.
func (p *openID) tokens(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()

	refused := p.token(r.PostForm)
	switch {
	case refused != nil:
	case r.PostForm.Get("client_id") != "cli":
		refused = new("invalid_client")
	case r.PostForm.Get("grant_type") == "refresh_token":
		p.refreshes++
		if r.PostForm.Get("refresh_token") != fmt.Sprintf("refresh-%d", p.turn) {
			refused = new("invalid_grant")
		}
	case r.PostForm.Get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code":
		if r.PostForm.Get("device_code") != "device-1" {
			refused = new("invalid_grant")
		}
	case r.PostForm.Get("code") != "code-1" || r.PostForm.Get("redirect_uri") != p.asked.Get("redirect_uri"):
		refused = new("invalid_grant")
	}
	if refused != nil {
		if p.outcome != nil {
			w.Header().Set(jeton.HeaderError, jeton.Code(p.outcome))
		}
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]string{"error": *refused})
		return
	}

	p.turn++
	p.accepts = fmt.Sprintf("access-%d", p.turn)
	claims := map[string]any{
		"iss":                p.URL,
		"aud":                []string{"cli"},
		"sub":                "42",
		"nonce":              p.asked.Get("nonce"),
		"preferred_username": "ada",
	}
	p.claims(claims)
	body, _ := json.Marshal(claims)

	writeJSON(w, map[string]any{
		"access_token":  p.accepts,
		"token_type":    "bearer",
		"expires_in":    p.lifetime,
		"refresh_token": fmt.Sprintf("refresh-%d", p.turn),
		"id_token":      "e30." + base64.RawURLEncoding.EncodeToString(body) + ".c2ln",
	})
}

// browser is the browser of a user who signs in: it loads where the provider sends it.
func (p *openID) browser(ctx context.Context, address string) error {
	at, err := url.Parse(address)
	if err != nil {
		return err
	}
	p.asked = at.Query()

	back := url.Values{"code": {"code-1"}, "state": {p.asked.Get("state")}}
	p.answer(back)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.asked.Get("redirect_uri")+"?"+back.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	p.pages <- shownPage{resp.StatusCode, string(text)}

	return err
}

// login returns a login with a browser.
func (p *openID) login() Login {
	return Login{
		URL:    p.URL,
		Issuer: p.URL,
		SignIn: &SignIn{ClientID: "cli", Open: p.browser},
		CACert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}),
	}
}

// TestAUserSignsInAtAnyOpenIDProvider refreshes a token, many requests at once, and logs out.
func TestAUserSignsInAtAnyOpenIDProvider(t *testing.T) {
	p := newOpenID(t)
	home := t.TempDir()
	w := openWallet(t, home)
	id := mustLogin(t, w, p.login())

	in := id.Info()
	if id.Name() != "ada" || in.Kind != KindSignIn || !in.Auto || in.Issuer != p.URL {
		t.Errorf("Info = %+v, want the sign-in of ada at %s", in, p.URL)
	}
	if p.asked.Get("code_challenge_method") != "S256" || p.asked.Get("tenant") != "1" || p.asked.Has("resource") {
		t.Errorf("authorization request = %v, want PKCE, the query of the endpoint, and no resource", p.asked)
	}
	mustGet(t, id, p.URL+"/api", "ada")

	// The token has ended at the issuer: of many requests, in two wallets on one directory, one refreshes it.
	p.mu.Lock()
	p.accepts = ""
	p.mu.Unlock()

	second, err := openWallet(t, home).Identity(t.Context(), p.URL, "ada")
	if err != nil {
		t.Fatal(err)
	}

	var all sync.WaitGroup
	for i := range 20 {
		one := []*Identity{id, second}[i%2]
		all.Go(func() { mustGet(t, one, p.URL+"/api", "ada") })
	}
	all.Wait()
	if p.refreshes != 1 {
		t.Errorf("got %d refreshes of one token, want 1", p.refreshes)
	}

	if err := w.Logout(t.Context(), p.URL, "ada"); err != nil {
		t.Fatal(err)
	}
	if p.revoked != "refresh-2" {
		t.Errorf("revoked %q, want the refresh token", p.revoked)
	}
}

// TestASignInThatIsNotOursIsRefused keeps answers of others from being taken for those of the issuer.
func TestASignInThatIsNotOursIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*openID)
		want   string // in the error
	}{
		{"an error", func(p *openID) {
			p.answer = func(v url.Values) { v.Set("error", "access_denied") }
		}, "access_denied"},
		{"another issuer", func(p *openID) {
			p.answer = func(v url.Values) { v.Set("iss", "https://evil.example") }
		}, "not of " /* RFC 9207 */},
		{"no issuer of one that promises it", func(p *openID) {
			p.meta = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }
		}, "not of "},
		{"an ID token of another sign-in", func(p *openID) {
			p.claims = func(c map[string]any) { c["nonce"] = "x" }
		}, "not one for this sign-in"},
		{"an ID token for another client", func(p *openID) {
			p.claims = func(c map[string]any) { c["aud"] = "else" }
		}, "not one for this sign-in"},
		{"a code that is refused", func(p *openID) {
			p.token = func(url.Values) *string { return new("invalid_grant") }
		}, "invalid_grant"},
		{"metadata of another issuer", func(p *openID) {
			p.meta = func(m map[string]any) { m["issuer"] = "https://evil.example" }
		}, "names another issuer"},
		{"a page without TLS", func(p *openID) {
			p.meta = func(m map[string]any) { m["authorization_endpoint"] = "http://evil.example/" }
		}, "plain http"},
		{"a script as the page", func(p *openID) {
			p.meta = func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" }
		}, "must begin with https"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newOpenID(t)
			tc.change(p)
			_, err := newWallet(t).Login(t.Context(), p.login())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Login = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestOnlyTheAnswerEndsTheWait sends what other programs and pages can send to the address of the wait.
func TestOnlyTheAnswerEndsTheWait(t *testing.T) {
	p := newOpenID(t)
	in := p.login()
	in.SignIn.Open = func(ctx context.Context, address string) error {
		at, err := url.Parse(address)
		if err != nil {
			return err
		}
		to := at.Query().Get("redirect_uri")
		state := at.Query().Get("state")

		for _, tc := range []struct{ name, method, path, host string }{
			{"no state", "GET", "?code=x", ""},
			{"another state", "GET", "?code=x&state=y", ""},
			{"another path", "GET", "x?code=x&state=" + state, ""},
			{"another method", "POST", "?code=x&state=" + state, ""},
			{"another host", "GET", "?code=x&state=" + state, "evil.example"},
		} {
			r, err := http.NewRequestWithContext(ctx, tc.method, to+tc.path, nil)
			if err != nil {
				return err
			}
			r.Host = tc.host
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", tc.name, resp.StatusCode)
			}
		}

		return p.browser(ctx, address)
	}
	mustLogin(t, newWallet(t), in)
}

// TestThePageOfTheBrowserSaysWhatHasComeOfTheSignIn reads it, also if the issuer refuses the code.
func TestThePageOfTheBrowserSaysWhatHasComeOfTheSignIn(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*openID)
		status int
		want   string
	}{
		{"the code is good", func(*openID) {}, http.StatusOK, "You are signed in."},
		{"an error in place of a code", func(p *openID) {
			p.answer = func(v url.Values) { v.Set("error", "access_denied") }
		}, http.StatusBadRequest, "You are not signed in."},
		{"the code is refused", func(p *openID) {
			p.token = func(url.Values) *string { return new("invalid_grant") }
		}, http.StatusBadRequest, "You are not signed in."},
		{"the ID token is of another sign-in", func(p *openID) {
			p.claims = func(c map[string]any) { c["nonce"] = "x" }
		}, http.StatusBadRequest, "You are not signed in."},
		{"the identity cannot be stored", func(p *openID) {
			p.claims = func(c map[string]any) { c["preferred_username"] = "a\nb" }
		}, http.StatusBadRequest, "You are not signed in."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newOpenID(t)
			tc.change(p)
			_, err := newWallet(t).Login(t.Context(), p.login())
			shown := <-p.pages
			worked := err == nil
			if shown.status != tc.status || !strings.Contains(shown.text, tc.want) || worked != (tc.status == 200) {
				t.Errorf("page = %d %q for Login = %v, want %d %q", shown.status, shown.text, err, tc.status, tc.want)
			}
		})
	}
}

// TestASignInWithoutANameReplacesOnlyItsOwnIdentity has users of the issuer whose names are taken.
func TestASignInWithoutANameReplacesOnlyItsOwnIdentity(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first func(p *openID, in *Login)
		want  error
	}{
		{"the same user", func(*openID, *Login) {}, nil},
		{"the same user under the same name", func(_ *openID, in *Login) { in.As = "ada" }, nil},
		{"another user under this name", func(p *openID, in *Login) {
			in.As = "ada"
			p.claims = func(c map[string]any) { c["preferred_username"] = "max" }
		}, jeton.ErrConflict},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, w := newOpenID(t), newWallet(t)
			in := p.login()
			tc.first(p, &in)
			mustLogin(t, w, in)
			p.claims = func(map[string]any) {}

			_, err := w.Login(t.Context(), p.login())
			id, ierr := w.Identity(t.Context(), p.URL, "ada")
			if !errors.Is(err, tc.want) || ierr != nil {
				t.Fatalf("second Login = %v, identity ada: %v, want %v and the identity", err, ierr, tc.want)
			}
			if tc.want == nil {
				mustGet(t, id, p.URL+"/api", "ada")
				return
			}

			if got := id.Info().Username; got != "max" || p.revoked != "refresh-2" {
				t.Errorf("identity of %q, revoked %q, want that of max and the new tokens revoked", got, p.revoked)
			}
		})
	}
}

// TestASpentRefreshTokenIsNotTriedAgain leaves the next sign-in to the user.
func TestASpentRefreshTokenIsNotTriedAgain(t *testing.T) {
	p := newOpenID(t)
	id := mustLogin(t, newWallet(t), p.login())
	p.mu.Lock()
	p.turn, p.accepts = 5, ""
	p.mu.Unlock()

	for range 3 {
		resp, _ := get(t, id, p.URL+"/api")
		if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrBadCredential) {
			t.Errorf("NeedsLogin = %v, %t, want ErrBadCredential", why, ok)
		}
	}
	if p.refreshes != 1 {
		t.Errorf("got %d refreshes, want 1", p.refreshes)
	}
}

// TestACallerThatGivesUpDoesNotEndASignIn cancels a request while the refresh token is replaced.
func TestACallerThatGivesUpDoesNotEndASignIn(t *testing.T) {
	p := newOpenID(t)
	id := mustLogin(t, newWallet(t), p.login())

	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	p.mu.Lock()
	p.accepts = ""
	p.token = func(url.Values) *string {
		giveUp()
		return nil
	}
	p.mu.Unlock()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := id.Client().Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}

	mustGet(t, id, p.URL+"/api", "ada")
	if p.refreshes != 1 {
		t.Errorf("got %d refreshes, want 1", p.refreshes)
	}
}

// TestAServiceNamesOnlyAnIssuerThatBindsTokensToIt keeps a hostile service from naming an issuer whose tokens are valid
// elsewhere.
func TestAServiceNamesOnlyAnIssuerThatBindsTokensToIt(t *testing.T) {
	jetonServer := func(m map[string]any) { m["jeton_revocations_endpoint"] = "https://id.example/revocations" }
	naming := func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }

	for _, tc := range []struct {
		name   string
		meta   []func(map[string]any)
		device bool
		named  bool // by the login
		want   error
	}{
		{"another provider", nil, false, false, ErrUnconfirmed},
		{"another provider that the login names", nil, false, true, nil},
		{"another provider with iss", []func(map[string]any){naming}, false, false, ErrUnconfirmed},
		{"a server like Jeton without iss", []func(map[string]any){jetonServer}, false, false, ErrUnconfirmed},
		{"Jeton", []func(map[string]any){jetonServer, naming}, false, false, nil},
		{"Jeton, with a code for a page", []func(map[string]any){jetonServer, naming}, true, false, ErrUnconfirmed},
		{"Jeton that the login names, with a code", []func(map[string]any){jetonServer, naming}, true, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newOpenID(t)
			p.meta = func(m map[string]any) {
				for _, change := range tc.meta {
					change(m)
				}
			}
			p.answer = func(v url.Values) { v.Set("iss", p.URL) }

			service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, map[string]any{"service": "shop", "issuer": p.URL, "audience": "shop"})
			}))
			defer service.Close()

			in := p.login()
			if tc.device {
				meta := p.meta
				in = p.byDevice(&DeviceCode{})
				device := p.meta
				p.meta = func(m map[string]any) { meta(m); device(m) }
			}
			in.URL = service.URL
			if !tc.named {
				in.Issuer = ""
			}
			_, err := newWallet(t, func(c *Config) { c.Confirm = nil }).Login(t.Context(), in)
			if !errors.Is(err, tc.want) || (p.asked == nil) != (tc.want != nil) {
				t.Errorf("Login = %v with the authorization request %v, want %v", err, p.asked, tc.want)
			}
		})
	}
}
