package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/authenticator"
)

// wantLastWay checks that a change of an operator was refused, and that the error says what to do.
func wantLastWay(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, jeton.ErrConflict) || !strings.Contains(err.Error(), "set a password by a link first") {
		t.Errorf("%s = %v, want a conflict that says what to do", what, err)
	}
}

// TestAUserWhoLostTheOnlyPasskeyIsRecovered has a user without a password. The passkey is removed only when there is
// another way to sign in, and opens nothing from then on.
func TestAUserWhoLostTheOnlyPasskeyIsRecovered(t *testing.T) {
	f := startFederation(t, "create", "")
	f.below.AddUser("root", right, "admin")
	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")
	issuer := "/api/v1/users/diane/identities?issuer=" + url.QueryEscape(f.above.Issuer())
	wantLastWay(t, "removing the only identity", f.below.Control(http.MethodDelete, issuer, nil, nil))

	// The passkey becomes the only way.
	lost, found := authenticator.New(t), authenticator.New(t)
	v.viaForm("/prove/with/company?to="+url.QueryEscape("/account/security"), "diane")
	v.addKey(lost)
	f.below.MustControl(http.MethodDelete, issuer, nil, nil)

	const reset = "/api/v1/users/diane/factors?reason=lost"
	wantLastWay(t, "a reset by an operator", f.below.Control(http.MethodDelete, reset, nil, nil))
	var diane struct{ ID string }
	f.below.MustControl(http.MethodGet, "/api/v1/users/diane", nil, &diane)
	admin := newBrowser(t, f.below)
	admin.signIn("root")
	a := admin.post("/admin/users/"+diane.ID+"/reset-factors", "reason", "lost")
	wantShown(t, "a reset by an administrator", a, http.StatusConflict, "the only way in which the user can sign in")

	var link struct{ URL string }
	f.below.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	path := strings.TrimPrefix(link.URL, f.below.Issuer())
	if status := setByLink(f.below, path, right); status != http.StatusSeeOther {
		t.Fatalf("the link: got %d, want 303", status)
	}
	f.below.MustControl(http.MethodDelete, reset, nil, nil)

	thief := newBrowser(t, f.below)
	a = thief.answer(keySignIn, lost.Get(t, thief.options(keySignIn), f.below.Issuer(), nil))
	wantReason(t, f.below, a, "login", "the passkey is not registered, or has been removed")

	owner := newBrowser(t, f.below)
	owner.signIn("diane")
	owner.addKey(found)
	again := newBrowser(t, f.below)
	a = again.answer(keySignIn, found.Get(t, again.options(keySignIn), f.below.Issuer(), nil))
	if a.Status != http.StatusSeeOther || !again.signedIn() {
		t.Errorf("the new passkey: got %d, want a sign-in", a.Status)
	}
}
