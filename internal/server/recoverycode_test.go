package server_test

import (
	"net/http"
	"testing"

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
