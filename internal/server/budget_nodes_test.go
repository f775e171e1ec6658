package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/authenticator"
	"github.com/jeton-auth/jeton/jetontest"
)

// oneBudget lets nine attempts on an account fail, of any kind. A test chooses the address that it comes from.
const oneBudget = `
trusted_proxies: [127.0.0.1, "::1"]
throttle: {pair_burst: 1000000, source_burst: 1000000, account_burst: 9, account_every: 24h}
`

// triesFrom sends a password to the sign-in page of a node, from an address and in the browser of a jar, and returns
// the status.
func triesFrom(s *jetontest.Server, jar http.CookieJar, address, name, password string) int {
	form := url.Values{"username": {name}, "password": {password}}.Encode()
	header := append([]string{
		"Content-Type", "application/x-www-form-urlencoded",
		"X-Forwarded-For", address,
	}, loading...)
	client := s.Client(jetontest.Jar())
	if jar != nil {
		client.Jar = jar
	}

	return s.Send(client, http.MethodPost, s.Issuer()+"/sign-in", form, header...).Status
}

// TestFailuresOfAllKindsSpendOneBudgetOverTwoNodes has a stranger fail with whatever proves a user, at two nodes. Then
// no node checks a password of the account for strangers, and neither does one that starts later.
func TestFailuresOfAllKindsSpendOneBudgetOverTwoNodes(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(passkeys, "issuer:")
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}" + oneBudget +
		"issuer:" + rest
	c := newHeldClock()
	start := func() *jetontest.Server { return jetontest.Start(t, conf, jetontest.Clock(c.now)) }
	one, two := start(), start()
	one.AddUser("diane", right)

	const stranger, refused, wrong = "192.0.2.1", http.StatusTooManyRequests, http.StatusUnauthorized
	known, key := keyOf(t, one, "diane")
	known.enrol(c.now()) // with one wrong code
	knows := newBrowser(t, one)
	knows.await("diane")
	here := newBrowser(t, one)

	for i, fails := range []func() int{
		func() int { return triesFrom(one, nil, stranger, "diane", "wrong") },
		func() int { return triesFrom(two, nil, stranger, "diane", "wrong") },
		func() int { return triesFrom(two, nil, stranger, "Diane", "wrong") },
		func() int { return knows.post("/sign-in/factor", "code", "000000").Status },
		func() int { return knows.post("/sign-in/recovery", "code", strings.Repeat("a", 24)).Status },
		func() int {
			forged := func(r *authenticator.Response) { r.Handle = make([]byte, 32) }
			return here.answer(keySignIn, key.Get(t, here.options(keySignIn), one.Issuer(), forged)).Status
		},
		func() int { return triesFrom(one, nil, "192.0.2.2", "diane", "wrong") },
		func() int { return triesFrom(two, nil, "192.0.2.3", "diane", "wrong") },
	} {
		if got := fails(); got != wrong {
			t.Fatalf("failure %d: got %d, want %d", i, got, wrong)
		}
	}

	// No account has this name, and the answers are the same.
	for i := range 9 {
		if got := triesFrom([]*jetontest.Server{one, two}[i%2], nil, stranger, "absent", "wrong"); got != wrong {
			t.Fatalf("failure %d of no account: got %d, want %d", i, got, wrong)
		}
	}

	for i, s := range []*jetontest.Server{one, two, start()} {
		for what, got := range map[string]int{
			"a stranger":                      triesFrom(s, nil, stranger, "diane", "wrong"),
			"the right password":              triesFrom(s, nil, "192.0.2.9", "diane", right),
			"the name of no account":          triesFrom(s, nil, "192.0.2.9", "absent", "wrong"),
			"a known browser, of no account":  triesFrom(s, known.client.Jar, "192.0.2.9", "absent", right),
			"a known browser, wrong password": triesFrom(s, known.client.Jar, "192.0.2.9", "diane", "wrong"),
		} {
			if got != refused {
				t.Errorf("node %d, %s: got %d, want %d", i, what, got, refused)
			}
		}
		for what, got := range map[string]int{
			"a known browser": triesFrom(s, known.client.Jar, "192.0.2.9", "diane", right),
			"a known network": triesFrom(s, nil, "127.0.0.1", "diane", right),
		} {
			if got != http.StatusSeeOther {
				t.Errorf("node %d, %s with the right password: got %d, want 303", i, what, got)
			}
		}
	}

	// Strangers have used up what all share, and not the attempts with codes.
	knows.await("diane")
	if got := knows.post("/sign-in/factor", "code", "000000").Status; got != wrong {
		t.Errorf("a code of the owner: got %d, want %d: it is judged", got, wrong)
	}
	if e := newest(t, one, "login"); fmt.Sprint(e.Outcome) == "too_many" {
		t.Errorf("event of the code: %+v, want a wrong code", e)
	}
}
