package wallet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// pair is a service and an authorization server with responses that a test sets.
type pair struct {
	service, issuer *httptest.Server
	wellKnown       string // of the service
	metadata        string // of the issuer
	token           string // response of its token endpoint
	status          int    // of that response; 0: 200
	code            string // its Jeton-Error
	moved           bool   // the issuer redirects every request
	path            string // path of its metadata

	asserted atomic.Int64 // requests with an assertion
	reached  atomic.Int64 // requests to the issuer
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{path: wellKnownIssuer}

	p.issuer = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.reached.Add(1)
		if r.PostFormValue("client_assertion") != "" {
			p.asserted.Add(1)
		}

		switch {
		case p.moved:
			http.Redirect(w, r, p.issuer.URL+"/moved"+r.URL.Path, http.StatusTemporaryRedirect)
		case r.URL.Path == p.path:
			_, _ = io.WriteString(w, p.metadata)
		case r.URL.Path == "/.well-known/jeton":
			_, _ = io.WriteString(w, p.wellKnown)
		case r.URL.Path == "/t":
			if p.code != "" {
				w.Header().Set(jeton.HeaderError, p.code)
			}
			w.WriteHeader(max(p.status, 200))
			_, _ = io.WriteString(w, p.token)
		default:
			http.NotFound(w, r)
		}
	}))

	t.Cleanup(p.issuer.Close)
	p.service = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/jeton":
			_, _ = io.WriteString(w, p.wellKnown)
		case "/to":
			w.Header().Set("Location", r.URL.Query().Get("url"))
			w.WriteHeader(http.StatusTemporaryRedirect)
		default:
			http.SetCookie(w, &http.Cookie{Name: "s", Value: "1", Path: "/"})
			fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), r.Header.Get("Cookie"))
		}
	}))

	t.Cleanup(p.service.Close)
	p.wellKnown = fmt.Sprintf(`{"service":"app","issuer":%q,"audience":"app"}`, p.issuer.URL)
	p.metadata = fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, p.issuer.URL, p.issuer.URL+"/t")
	p.token = `{"access_token":"canary-token","token_type":"bearer","expires_in":3600}`

	return p
}

// login returns a wallet that trusts both servers, and the login of ci at the service.
func (p *pair) login(t *testing.T) (*Wallet, Login) {
	k := must(jose.Generate(jose.EdDSA))
	s := &scene{t: t, dir: t.TempDir()}
	w := openWallet(t, t.TempDir(), func(c *Config) { c.Transport = p.issuer.Client().Transport })
	return w, Login{URL: p.service.URL, As: "ci", Key: s.keep("ci.key", k)}
}

func TestInvalidIssuersAreRefused(t *testing.T) {
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()

	for _, tc := range []struct {
		name   string
		change func(p *pair)
		want   error
		text   string
	}{
		{
			// The two must be identical, character by character (RFC 8414, section 3.3).
			"metadata of another issuer",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, p.issuer.URL, "https://auth.example", 1) },
			jeton.ErrInvalid,
			"names another issuer",
		},
		{
			"an issuer that differs by a slash",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, p.issuer.URL, p.issuer.URL+"/", 1) },
			jeton.ErrInvalid,
			"names another issuer",
		},
		{
			"an issuer that differs by case",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, "https", "HTTPS", 1) },
			jeton.ErrInvalid,
			"names another issuer",
		},
		{
			"the service names the issuer with a slash",
			func(p *pair) { p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, p.issuer.URL+"/", 1) },
			jeton.ErrInvalid,
			"names another issuer",
		},
		{
			"no issuer in the metadata",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, `"issuer"`, `"x"`, 1) },
			jeton.ErrInvalid,
			"names another issuer",
		},
		// An assertion would go to a stranger.
		{"token endpoint at another origin", func(p *pair) {
			p.metadata = strings.Replace(p.metadata, p.issuer.URL+"/t", other.URL+"/t", 1)
		}, jeton.ErrInvalid, "is at another origin"},
		{"the token endpoint is plain http", func(p *pair) {
			p.metadata = strings.Replace(
				p.metadata, p.issuer.URL+"/t", strings.Replace(p.issuer.URL, "https", "http", 1)+"/t", 1,
			)
		}, jeton.ErrInvalid, "is at another origin"},
		{"token endpoint with a user name", func(p *pair) {
			p.metadata = strings.Replace(p.metadata, p.issuer.URL+"/t", "https://x@"+p.issuer.URL[8:]+"/t", 1)
		}, jeton.ErrInvalid, "user name"},
		{
			"the token endpoint is missing",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, "token_endpoint", "x", 1) },
			jeton.ErrInvalid,
			"endpoint",
		},
		{
			"the token endpoint is a path",
			func(p *pair) { p.metadata = strings.Replace(p.metadata, p.issuer.URL+"/t", "/t", 1) },
			jeton.ErrInvalid,
			"endpoint",
		},
		{"revocation endpoint at another origin", func(p *pair) {
			p.metadata = strings.Replace(p.metadata, "{", fmt.Sprintf(`{"revocation_endpoint":%q,`, other.URL), 1)
		}, jeton.ErrInvalid, "is at another origin"},
		{"no metadata", func(p *pair) { p.path = "/elsewhere" }, jeton.ErrNotFound, "status 404"},
		{"an HTML page", func(p *pair) { p.metadata = "<html>" }, jeton.ErrInvalid, "cannot be parsed"},
		{"over 64 KiB", func(p *pair) {
			p.metadata = strings.Replace(p.metadata, "{", `{"x":"`+strings.Repeat("x", maxAnswer)+`",`, 1)
		}, jeton.ErrTooLarge, "64 KiB"},
		{"a redirect", func(p *pair) { p.moved = true }, jeton.ErrNotFound, "status 307"},
		{
			"an issuer with a query",
			func(p *pair) { p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, p.issuer.URL+"?a", 1) },
			jeton.ErrInvalid,
			"invalid issuer",
		},
		{
			"an issuer with a fragment",
			func(p *pair) { p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, p.issuer.URL+"#a", 1) },
			jeton.ErrInvalid,
			"invalid issuer",
		},
		{
			"an issuer at plain http",
			func(p *pair) { p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, "http://auth.example", 1) },
			jeton.ErrInvalid,
			"plain http",
		},
		{
			"an issuer with another scheme",
			func(p *pair) { p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, "file:///etc/passwd", 1) },
			jeton.ErrInvalid,
			"https://",
		},
		{"no issuer", func(p *pair) { p.wellKnown = "{}" }, jeton.ErrNotFound, "accepts no tokens"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			tc.change(p)
			w, in := p.login(t)
			if _, err := w.Login(t.Context(), in); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Login = %v, want %v with %q", err, tc.want, tc.text)
			}

			n := p.asserted.Load()
			if n != 0 {
				t.Errorf("%d assertions were sent, want 0", n)
			}

			list := must(w.Identities(t.Context()))
			if len(list) != 0 {
				t.Errorf("Identities = %+v, want none", list)
			}
		})
	}
}

func TestIssuerWithAPath(t *testing.T) {
	p := newPair(t)
	p.path = wellKnownIssuer + "/tenant"
	p.wellKnown = strings.Replace(p.wellKnown, p.issuer.URL, p.issuer.URL+"/tenant", 1)
	p.metadata = strings.Replace(p.metadata, p.issuer.URL, p.issuer.URL+"/tenant", 1)
	w, in := p.login(t)
	id := mustLogin(t, w, in)
	if id.Info().Issuer != p.issuer.URL+"/tenant" {
		t.Errorf("Info = %+v, want issuer %s/tenant", id.Info(), p.issuer.URL)
	}
}

func TestResponsesOfTheTokenEndpoint(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		code   string
		text   string
		want   error
	}{
		{
			"a standard error code",
			401,
			"",
			`{"error":"invalid_client","error_description":"canary"}`,
			jeton.ErrBadCredential,
		},
		{"a Jeton error code", 401, "bad_credential", `{"error":"invalid_client"}`, jeton.ErrBadCredential},
		{"a target that is not allowed", 400, "", `{"error":"invalid_target"}`, jeton.ErrForbidden},
		{"a scope that is not allowed", 400, "", `{"error":"invalid_scope"}`, jeton.ErrScope},
		{"an unknown error code", 400, "", `{"error":"canary"}`, nil},
		{"no JSON", 500, "", "canary", nil},
		{"too many", 429, "", "", jeton.ErrTooMany},
		{"busy", 503, "", `{"error":"temporarily_unavailable"}`, jeton.ErrBusy},
		{"not there", 404, "", "", jeton.ErrNotFound},
		{"a redirect", 302, "", "", nil},
		{"no content", 204, "", "", nil},
		{"no token", 200, "", `{"token_type":"Bearer","expires_in":1}`, jeton.ErrInvalid},
		{"a token of another type", 200, "", `{"access_token":"canary","token_type":"DPoP"}`, jeton.ErrInvalid},
		{
			"a token with a line break",
			200,
			"",
			`{"access_token":"canary\r\nCookie: a","token_type":"Bearer"}`,
			jeton.ErrInvalid,
		},
		{
			"an expired token",
			200,
			"",
			`{"access_token":"canary","token_type":"Bearer","expires_in":0}`,
			jeton.ErrInvalid,
		},
		{
			"expires_in is not a number",
			200,
			"",
			`{"access_token":"canary","token_type":"Bearer","expires_in":"soon"}`,
			jeton.ErrInvalid,
		},
		{"two documents", 200, "", `{"access_token":"canary","token_type":"Bearer"}{}`, jeton.ErrInvalid},
		{
			"over 64 KiB",
			200,
			"",
			`{"access_token":"canary","token_type":"Bearer","x":"` + strings.Repeat("x", maxAnswer) + `"}`,
			jeton.ErrInvalid,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			p.status = tc.status
			p.code = tc.code
			p.token = tc.text
			w, in := p.login(t)
			_, err := w.Login(t.Context(), in)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("Login = %v, want %v without the response", err, tc.want)
			}
		})
	}
}

// TestTokenIsNotSentAcrossARedirect stands for an issuer or a service that is taken over in
// part: a redirect must not carry an assertion or a token to another host.
func TestTokenIsNotSentAcrossARedirect(t *testing.T) {
	p := newPair(t)
	var reached, shown atomic.Int64

	canary := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		if r.Header.Get("Authorization") != "" {
			shown.Add(1)
		}
	})

	elsewhere, plain := httptest.NewTLSServer(canary), httptest.NewServer(canary)
	defer elsewhere.Close()

	defer plain.Close()

	w, in := p.login(t)
	id := mustLogin(t, w, in)
	to := func(target string) string { return p.service.URL + "/to?url=" + url.QueryEscape(target) }
	down := strings.Replace(p.service.URL, "https://", "http://", 1)
	for _, target := range []string{
		elsewhere.URL,
		plain.URL,
		down,
		p.issuer.URL,
		"//" + strings.TrimPrefix(elsewhere.URL, "https://"),
	} {
		resp, err := id.Client().Get(to(target))
		if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("redirect to %s: %v, %v, want the redirect itself", target, resp, err)
		} else {
			_ = resp.Body.Close()
		}

		// A client that follows every redirect cannot send the token either.
		if resp, err := (&http.Client{Transport: id}).Get(to(target)); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("redirect to %s, followed = %v, want ErrInvalid", target, err)
			_ = resp.Body.Close()
		}
	}

	if reached.Load() != 0 || shown.Load() != 0 {
		t.Errorf("%d requests at another origin, %d with the token; want 0", reached.Load(), shown.Load())
	}

	for range 2 { // within the origin the token is sent, and never a cookie
		_, body := get(t, id, to("/here"))
		if body != "Bearer canary-token" {
			t.Errorf("within the origin: sent %q, want the token", body)
		}
	}

	n := len(id.view().e.Cookies)
	if n != 0 {
		t.Errorf("%d cookies stored with a token, want 0", n)
	}
}

func TestOneCACertificateForServiceAndIssuer(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	w := openWallet(t, t.TempDir(), func(c *Config) { c.Now = s.now }) // the server's clock does not advance
	if _, err := w.Login(t.Context(), in); err == nil || !strings.Contains(err.Error(), "CA certificate") {
		t.Errorf("an unknown CA: Login = %v, want an error", err)
	}

	in.CACert = must(os.ReadFile(filepath.Join(s.Dir(), "pubkey.pem")))
	s.mustAsk(mustLogin(t, w, in), "ci")
}

// FuzzMetadata checks that no metadata sends an assertion to another origin, however its
// URL is spelled.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://auth.example"

	f.Add([]byte(`{"issuer":"https://auth.example","token_endpoint":"https://auth.example/t",` +
		`"revocation_endpoint":"https://auth.example/r"}`))
	f.Add([]byte(`{"issuer":"https://auth.example","token_endpoint":"https://auth.example@evil.example/t"}`))
	f.Add([]byte(`{"issuer":"https://auth.example","token_endpoint":"HTTPS://AUTH.example:443/t?a=b"}`))
	f.Add([]byte(`{"issuer":"https://auth.example","token_endpoint":"https://auth.example\\.evil.example/t"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMetadata(text, issuer)
		if err != nil {
			if m != (metadata{}) || jeton.Outcome(err) == nil {
				t.Errorf("parseMetadata = %+v, %v; want no metadata and an outcome", m, err)
			}
			return
		}

		if !strings.Contains(string(text), `"https:`) {
			t.Errorf("parseMetadata(%q) = nil, want an error: it has no https", text)
		}

		for _, endpoint := range []string{m.token, m.revoke} {
			if endpoint == "" && endpoint == m.revoke {
				continue
			}

			r, err := http.NewRequest(http.MethodPost, endpoint, nil)
			if err != nil || r.URL.Scheme != "https" || r.URL.User != nil ||
				!strings.EqualFold(r.URL.Hostname(), "auth.example") ||
				r.URL.Port() != "" && must(normalPort(r.URL.Port())) != "443" {
				t.Errorf("endpoint = %q, %v; want one of the issuer", endpoint, err)
			}
		}
	})
}

// FuzzTokenResponse checks that no token can add a header to a request, and that times stay
// in range.
func FuzzTokenResponse(f *testing.F) {
	f.Add([]byte(`{"access_token":"a.b-c","token_type":"Bearer","expires_in":300,"nbf":1772366410,"max_uses":3}`))
	f.Add([]byte(`{"access_token":"a","token_type":"bearer",` +
		`"expires_in":9223372036854775807,"nbf":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseToken(text, noon)
		if err != nil {
			if got != (granted{}) || !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("parseToken = %+v, %v; want no token and ErrInvalid", got, err)
			}
			return
		}

		r := &http.Request{
			Method: "GET",
			URL:    &url.URL{Scheme: "https", Host: "app.example"},
			Header: http.Header{"Authorization": {"Bearer " + got.text}},
		}
		var sent strings.Builder
		if err := r.Write(&sent); err != nil || strings.Count(sent.String(), "\r\n") != 5 {
			t.Errorf("request with token %q = %q, %v; want 5 lines", got.text, sent.String(), err)
		}

		for _, at := range []time.Time{got.opens, got.ends} {
			if !at.IsZero() && (!at.After(noon) || at.After(noon.Add(maxLife))) {
				t.Errorf("token = %+v, want it to expire later than noon, within maxLife", got)
			}
		}
	})
}
