package parties

import (
	"context"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// proxyClient is the client that oauth2-proxy is.
const proxyClient = `
  - name: proxy
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid:
      redirect_uris: ["http://127.0.0.1:${PROXY_PORT}/oauth2/callback"]
      post_logout_redirect_uris: ["http://127.0.0.1:9/bye"]
`

// TestOAuth2Proxy has oauth2-proxy sign a user in, answer for nginx, and sign her out. scripts/proxies.sh builds it in
// minutes. Its library for OpenID Connect is that of TestRelyingParties/go-oidc.
func TestOAuth2Proxy(t *testing.T) {
	need.Soak(t)
	program := need.Program(t, "oauth2-proxy-7.15.6")
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := jetontest.Start(t, provider+proxyClient, jetontest.Env("PROXY_PORT", port))
	proxy := "http://127.0.0.1:" + port
	startOAuth2Proxy(t, s, program, port)

	u := newUser(t, s)
	get := func(address string) jetontest.Answer {
		t.Helper()
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.send(http.MethodGet, at, "")
	}

	back := u.open(leads(get(proxy + "/reports?a=b")))
	if to := leads(get(back)); to != "/reports?a=b" {
		t.Fatalf("after the sign-in: got to %q, want the page that was asked for", to)
	}

	a := get(proxy + "/oauth2/auth")
	for name, want := range map[string]string{
		"X-Auth-Request-Preferred-Username": "diane",
		"X-Auth-Request-Email":              "diane@example.org",
		"X-Auth-Request-Groups":             "sales,staff",
	} {
		if got := a.Header.Get(name); a.Status != http.StatusAccepted || got != want {
			t.Errorf("/oauth2/auth = %d with %s: %q, want 202 with %q", a.Status, name, got, want)
		}
	}

	end := s.Issuer() + "/oauth2/logout?" + url.Values{
		"client_id":                {"proxy"},
		"post_logout_redirect_uri": {"http://127.0.0.1:9/bye"},
	}.Encode()
	out := leads(get(proxy + "/oauth2/sign_out?rd=" + url.QueryEscape(end)))
	if to := u.open(out); to != "http://127.0.0.1:9/bye" {
		t.Errorf("after the sign-out: got to %q, want the address that is registered", to)
	}
	if a := get(proxy + "/oauth2/auth"); a.Status != http.StatusUnauthorized {
		t.Errorf("/oauth2/auth after the sign-out = %d, want 401", a.Status)
	}
	if to := leads(get(proxy + "/")); !strings.HasPrefix(leads(get(to)), "/sign-in?") {
		t.Errorf("a page after the sign-out leads to %q, and not to the sign-in page", to)
	}
}

// startOAuth2Proxy starts the proxy and waits until it answers.
func startOAuth2Proxy(t *testing.T, s *jetontest.Server, program, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)

	cmd := exec.CommandContext(ctx, program,
		"--provider=oidc",
		"--oidc-issuer-url="+s.Issuer(),
		"--provider-ca-file="+filepath.Join(s.Dir(), "pubkey.pem"),
		"--client-id=proxy",
		"--client-secret=s3cret",
		"--scope=openid profile email groups",
		"--allowed-group=staff",
		"--code-challenge-method=S256",
		"--redirect-url=http://127.0.0.1:"+port+"/oauth2/callback",
		"--http-address=127.0.0.1:"+port,
		"--cookie-secret=0123456789abcdef0123456789abcdef",
		"--cookie-secure=false",
		"--email-domain=*",
		"--upstream=static://200",
		"--set-xauthrequest",
		"--skip-provider-button",
		"--whitelist-domain="+strings.TrimPrefix(s.Issuer(), "https://"),
	)
	var log strings.Builder
	cmd.Stdout = &log
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or its log says why
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("oauth2-proxy: %s", log.String())
		}
	})

	for {
		resp, err := http.Get("http://127.0.0.1:" + port + "/ping")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("oauth2-proxy has ended instead of answering")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
