package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestAWrongRecoveryCodeReplacesNoWaitingApp confirms an app that was added before recovery codes were tried.
func TestAWrongRecoveryCodeReplacesNoWaitingApp(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b, other := newBrowser(t, s), newBrowser(t, s)
	b.signIn("diane")
	_, codes := b.enrol(c.now())

	other.await("diane")
	if a := other.post("/sign-in/recovery", "code", codes[0]); a.Status != http.StatusSeeOther {
		t.Fatalf("a recovery code: got %d, want 303", a.Status)
	}

	a := b.post("/account/security/app")
	key, form := appKey.FindStringSubmatch(a.Body), appForm.FindStringSubmatch(a.Body)
	if key == nil || form == nil {
		t.Fatalf("add an app: got %d %s, want its page", a.Status, a.Body)
	}

	other = newBrowser(t, s)
	other.await("diane")
	for name, code := range map[string]string{
		"a wrong code":         "abcdef-ghjkmn-pqrstu-vwxyz2",
		"a code that was used": codes[0],
	} {
		if a := other.post("/sign-in/recovery", "code", code); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, a.Status)
		}
	}

	if a := b.post(form[1], "code", otp(t, key[1], c.now())); a.Status != http.StatusSeeOther {
		t.Errorf("the app that was added before: got %d, want 303", a.Status)
	}
}

// TestOneSignInUsesOneRecoveryCode sends codes of one user at once: each code is used by one sign-in, and each sign-in
// uses one code.
func TestOneSignInUsesOneRecoveryCode(t *testing.T) {
	for _, tc := range []struct {
		name     string
		browsers int
		codes    int // of each browser in turn
		used     int
	}{
		{"one code in four sign-ins", 4, 1, 1},
		{"four codes in one sign-in", 1, 4, 1},
		{"a code of its own in each of two sign-ins", 2, 2, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newHeldClock()
			s := startRelying(t, jetontest.Clock(c.now))
			b := newBrowser(t, s)
			b.signIn("diane")
			_, codes := b.enrol(c.now())
			c.move(time.Minute)

			browsers := make([]*browser, tc.browsers)
			for i := range browsers {
				browsers[i] = newBrowser(t, s)
				browsers[i].await("diane")
			}

			var wg sync.WaitGroup
			answers := make([]jetontest.Answer, max(tc.browsers, tc.codes))
			for i := range answers {
				wg.Go(func() {
					answers[i] = browsers[i%tc.browsers].post("/sign-in/recovery", "code", codes[i%tc.codes])
				})
			}
			wg.Wait()

			used := 0
			for _, a := range answers {
				if a.Header.Get("Location") == "/sign-in/factor" {
					used++
				}
			}
			left := 10 - used
			shown := b.get(s.Issuer() + "/account/security").Body
			if used != tc.used || !strings.Contains(shown, "Recovery codes left: "+fmt.Sprint(left)) {
				t.Errorf("%d codes led to a new app, want %d; want %d left on %s", used, tc.used, left, shown)
			}

			// Who used one can finish, and the sign-in of another code that was used cannot.
			finished := 0
			for _, b := range browsers {
				key := appKey.FindStringSubmatch(b.get(s.Issuer() + "/sign-in/factor").Body)
				if key == nil {
					continue
				}
				if b.post("/sign-in/factor", "code", otp(t, key[1], c.now())); b.signedIn() {
					finished++
				}
			}
			if finished != 1 {
				t.Errorf("%d sign-ins have finished, want 1", finished)
			}
		})
	}
}
