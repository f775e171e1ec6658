package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestParallelRefreshesOverTwoNodesAreOneFamily sends one refresh token 200 times at once to two nodes: each gets the
// same successor, which goes on.
func TestParallelRefreshesOverTwoNodesAreOneFamily(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}

	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + relying
	c := newHeldClock() // the grace does not end, however busy the machine is
	a := jetontest.Start(t, conf, jetontest.Clock(c.now))
	b := jetontest.Start(t, conf, jetontest.Clock(c.now))
	a.AddUser("diane", right)

	in := newBrowser(t, a)
	in.signIn("diane")
	first := redeem(t, a, in.codeFor(wikiAsks(a, "scope", "openid offline_access")))

	var all [200]relied
	var wg sync.WaitGroup
	slots := make(chan struct{}, 20) // connections at once
	for i := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()

			// A node that finds the grant refreshed too often in one moment says so, and is asked again.
			for all[i].Status = http.StatusServiceUnavailable; all[i].Status == http.StatusServiceUnavailable; {
				all[i] = refresh(t, []*jetontest.Server{a, b}[i%2], first.Refresh)
			}
		})
	}
	wg.Wait()

	for i, got := range all {
		if got.Status != http.StatusOK || got.Refresh != all[0].Refresh || got.Refresh == first.Refresh {
			t.Fatalf("refresh %d: got %d %q, want the successor that all others got", i, got.Status, got.Error)
		}
	}
	if got := refresh(t, b, all[0].Refresh); got.Status != http.StatusOK {
		t.Errorf("the successor: got %d %q, want 200", got.Status, got.Error)
	}
}
