package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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

	redeemTwice(t, a, b, in)
	redeemDeviceOnce(t, a, b)
	redeemCodeOnce(t, a, b, in)
}

// redeemTwice redeems eight codes of one sign-in at once at two nodes, for a client that may sign in twice by it.
func redeemTwice(t *testing.T, a, b *jetontest.Server, in *browser) {
	t.Helper()
	var codes, errs [8]string
	for i := range codes {
		codes[i] = in.codeFor(vaultAsks(a))
	}

	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { errs[i] = vaultRedeems(t, []*jetontest.Server{a, b}[i%2], codes[i]).Error })
	}
	wg.Wait()

	slices.Sort(errs[:])
	refused := strings.Count(strings.Join(errs[:], " "), "invalid_grant")
	if refused != len(errs)-2 || errs[1] != "" {
		t.Errorf("8 codes of a sign-in that may be used twice: got %q, want 2 accepted", errs)
	}
}

// redeemDeviceOnce allows a device at two nodes at once, and asks both for its tokens at once: one attempt takes the
// code, and the others end what came of it, perhaps before it was answered.
func redeemDeviceOnce(t *testing.T, a, b *jetontest.Server) {
	t.Helper()
	users := []*browser{newBrowser(t, a), newBrowser(t, b)}
	for _, u := range users {
		u.signIn("diane")
	}

	begun := beginDevice(t, a, "scope", "openid offline_access")
	var answers [8]string
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			u := users[i%2]
			answers[i] = u.device(begun.UserCode, "allow", u.s.Issuer()).Header.Get("Location")
		})
	}
	wg.Wait()
	slices.Sort(answers[:])
	if answers[7] != "/device?done=allowed" || answers[6] != "" {
		t.Errorf("8 answers of the user at once: got %q, want one that is taken", answers)
	}
	// What one node has allowed, the other redeems.
	if got := poll(t, b, begun.Code); got.Status != http.StatusOK {
		t.Errorf("one attempt: got %d %q, want tokens", got.Status, got.Error)
	}

	for range 4 {
		begun := beginDevice(t, b, "scope", "openid offline_access")
		users[0].answers(begun.UserCode, "allow", "allowed")

		var all [16]relied
		for i := range all {
			wg.Go(func() { all[i] = pollUntilRead(t, []*jetontest.Server{a, b}[i%2], begun.Code) })
		}
		wg.Wait()
		checkRedeemedOnce(t, a, b, all[:])
	}
}

// pollUntilRead is poll, and asks a busy node again.
func pollUntilRead(t *testing.T, s *jetontest.Server, code string) relied {
	t.Helper()
	for {
		got := poll(t, s, code)
		if got.Status != http.StatusServiceUnavailable {
			return got
		}
	}
}

// checkRedeemedOnce checks that at most one attempt has tokens, which have ended.
func checkRedeemedOnce(t *testing.T, a, b *jetontest.Server, all []relied) {
	t.Helper()
	redeemed := 0
	for i, got := range all {
		if got.Error == "invalid_grant" {
			continue
		}
		redeemed++
		if got.Status != http.StatusOK || redeemed > 1 {
			t.Errorf("attempt %d: got %d %q, want invalid_grant, or tokens once", i, got.Status, got.Error)
		}

		for _, s := range []*jetontest.Server{a, b} {
			if _, info := userinfo(s, http.MethodGet, got.Access); info.Status != http.StatusUnauthorized {
				t.Errorf("userinfo after a second attempt: got %d, want 401", info.Status)
			}
			if next := refresh(t, s, got.Refresh); next.Error != "invalid_grant" {
				t.Errorf("refresh after a second attempt: got %d %q, want invalid_grant", next.Status, next.Error)
			}
		}
	}
}

// redeemCodeOnce redeems an authorization code 64 times at once, at two nodes.
func redeemCodeOnce(t *testing.T, a, b *jetontest.Server, in *browser) {
	t.Helper()
	code := in.codeFor(wikiAsks(a, "scope", "openid offline_access"))

	var all [64]relied
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for all[i].Status = http.StatusServiceUnavailable; all[i].Status == http.StatusServiceUnavailable; {
				all[i] = redeem(t, []*jetontest.Server{a, b}[i%2], code)
			}
		})
	}
	wg.Wait()

	checkRedeemedOnce(t, a, b, all[:])
}

// TestAnotherNodeRepeatsWhatWasSentBeforeAProof has a tab send a request to one node with the secret that a proof at
// the other one has just replaced.
func TestAnotherNodeRepeatsWhatWasSentBeforeAProof(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}

	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + relying
	c := newHeldClock()
	a := jetontest.Start(t, conf, jetontest.Clock(c.now))
	b := jetontest.Start(t, conf, jetontest.Clock(c.now))
	a.AddUser("diane", right)

	in := newBrowser(t, a)
	in.signIn("diane")
	tab := newBrowser(t, b)
	issuer, err := url.Parse(a.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	tab.client.Jar.SetCookies(issuer, in.client.Jar.Cookies(issuer))

	if got := in.post("/prove?to=%2Faccount", "password", right); got.Status != http.StatusSeeOther {
		t.Fatalf("the proof: got %d, want 303", got.Status)
	}

	var got jetontest.Answer
	for got.Status == 0 || got.Status == http.StatusServiceUnavailable { // a busy node is asked again
		got = tab.get(b.Issuer() + "/account/sessions")
	}
	to := got.Header.Get("Location")
	if got.Status != http.StatusTemporaryRedirect || to != "/account/sessions" {
		t.Errorf("the previous secret at the other node: got %d to %q, want 307 to /account/sessions", got.Status, to)
	}
}
