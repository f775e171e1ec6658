package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// BenchmarkSignInAtAService signs a browser that has a sign-in session in at a service: three requests over open
// connections, without a hash of a password.
func BenchmarkSignInAtAService(b *testing.B) {
	s := jetontest.Start(b, signingIn)
	s.AddUser("diane", right)

	c := s.Client(jetontest.Jar())
	// The cookie that stops loops does not come back.
	c.Jar = &leakyJar{c.Jar.(*cookiejar.Jar), "__Host-jeton-shop.rounds"}
	resp, err := c.PostForm(s.Issuer()+"/sign-in", map[string][]string{"username": {"diane"}, "password": {right}})
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		b.Fatalf("sign in = %v, %v; want 303", resp, err)
	}
	_ = resp.Body.Close()

	follow := func(address string) string {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")

		resp, err := c.Do(r)
		if err != nil || resp.StatusCode != http.StatusSeeOther {
			b.Fatalf("GET %s = %v, %v; want 303", address, resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()

		return resp.Header.Get("Location")
	}

	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		follow(follow(follow(s.URL("shop") + "/.jeton/start?to=/me")))
		took = append(took, time.Since(began))
	}

	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
}
