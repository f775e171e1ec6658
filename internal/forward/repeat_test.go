package forward_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestARepeatedRequestTakesOneUse asks about requests to a route with two uses as a proxy does that asks twice.
func TestARepeatedRequestTakesOneUse(t *testing.T) {
	clock := newTestClock()
	s := jetontest.Start(t, replayed, jetontest.Clock(clock.Now))
	s.AddClient("robot", "app")
	first := nginxAt("https://app.example/twice").with("X-Request-Id", "first-request")

	for _, tc := range []struct {
		name   string
		after  time.Duration
		path   string
		second row // which follows the first with its credential
		left   string
	}{
		{"the same id", 0, "nginx", first, "1"},
		{"the same id, as late as it can be", 10*time.Second - 1, "nginx", first, "1"},
		{"the same id after ten seconds", 10 * time.Second, "nginx", first, "0"},
		{"the same id after the clock was set back", -time.Second, "nginx", first, "0"},
		{"another id", 0, "nginx", first.with("X-Request-Id", "second-request"), "0"},
		{"another method", 0, "nginx", first.with("X-Original-Method", "POST"), "0"},
		{"another query", 0, "nginx", first.with("X-Original-Url", "https://app.example/twice?a=b"), "0"},
		{"the endpoint of Traefik, where the id is the client's", 0, "traefik", uri("/twice"), "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer clock.add(time.Minute)
			token := s.AddToken(jetontest.NewToken{
				Name:      tc.name,
				Client:    "robot",
				Services:  []string{"app"},
				NotBefore: clock.Now().Add(-time.Minute),
			})
			bearer := row{"Authorization", "Bearer " + token.Secret}

			a := askAt(s, "nginx", first.and(bearer))
			if a.Status != http.StatusOK || a.Left() != "1" {
				t.Fatalf("the first: got %d with %q uses left, want 200 with 1", a.Status, a.Left())
			}

			clock.add(tc.after)
			second := tc.second.and(bearer)
			if tc.path == "traefik" {
				second = second.with("X-Request-Id", "first-request")
			}
			a = askAt(s, tc.path, second)
			if a.Status != http.StatusOK || a.Left() != tc.left {
				t.Errorf("the second: got %d with %q uses left, want 200 with %s", a.Status, a.Left(), tc.left)
			}
		})
	}
}

// TestRepetitionsAtOnceTakeOneUse has no request but the first of an id take a use, and all others wait for it.
func TestRepetitionsAtOnceTakeOneUse(t *testing.T) {
	s := jetontest.Start(t, replayed)
	s.AddClient("robot", "app")
	token := s.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	asks := nginxAt("https://app.example/twice").with("Authorization", "Bearer "+token.Secret)

	var admitted atomic.Int64
	var wg sync.WaitGroup
	for _, id := range strings.Fields("request-1 request-2 request-3") {
		for range 8 {
			wg.Go(func() {
				if askAt(s, "nginx", asks.with("X-Request-Id", id)).Status == http.StatusOK {
					admitted.Add(1)
				}
			})
		}
	}
	wg.Wait()

	if admitted.Load() != 16 {
		t.Errorf("%d of 24 requests with 3 ids were admitted, want the 16 of 2 ids: there are 2 uses", admitted.Load())
	}
}

// TestNginxAsksTwiceAboutARequestThatTakesOneUse has nginx go on to a second server where the first one does not
// answer, and ask again before it does (error_page).
func TestNginxAsksTwiceAboutARequestThatTakesOneUse(t *testing.T) {
	program := need.Program(t, installed["nginx"].names...)
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	s := jetontest.Start(t, behind, jetontest.Env("PROXY_PORT", port))
	s.AddClient("robot", "app")
	token := s.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	b, address := startBackend(t)

	text, err := forward.Configuration("nginx", forward.Proxied{
		Service: "app",
		Scheme:  "http",
		Host:    "app.example",
		Port:    ":" + port,
		Listen:  port,
		Jeton:   s.Forward(),
		Backend: address,
		Own:     []string{"/logout"},
	})
	if err != nil {
		t.Fatal(err)
	}

	// Its server is away, so nginx goes on at another place, which asks again.
	text = strings.Replace(text,
		"proxy_pass         http://backend_app;", "error_page 502 = @second;\nproxy_pass http://unix:/nowhere;", 1)
	const second = "location @second {\nauth_request /.jeton-decision;\nproxy_pass http://backend_app;\n}\n"
	text = strings.Replace(text, "    location = /.jeton-decision {", second+"location = /.jeton-decision {", 1)

	dir := t.TempDir()
	write(t, filepath.Join(dir, "nginx.conf"), framed("nginx", text))
	proxy := e2e.Run(t, e2e.Command{Args: []string{program, "-p", ".", "-c", "nginx.conf", "-e", "stderr"}, Dir: dir})
	t.Cleanup(func() {
		proxy.Signal(t, syscall.SIGTERM)
		proxy.Code(t)
	})
	waitFor(t, "nginx", port)

	p := &proxied{
		Server:  s,
		t:       t,
		host:    "app.example",
		port:    port,
		backend: b,
	}
	for i, want := range []int{200, 200, 403} {
		// The id of the client pays for nothing.
		a := p.Send(p.client(), http.MethodGet, p.at("/twice"), "",
			"Authorization", "Bearer "+token.Secret, "X-Request-Id", "of-the-client")
		reached := len(b.last())
		if a.Status != want || (reached == 1) != (want == 200) {
			t.Errorf("request %d: got %d %s, and the backend %d, want %d", i+1, a.Status, a.Body, reached, want)
		}
	}
}
