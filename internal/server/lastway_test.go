package server_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/authenticator"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
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

// TestAUserWhoseLastWayInANoticeEndedIsRecovered has a user without a password, whose only way in was connected after
// the event of a notice. The link of the notice ends it, and an operator's link sets a password.
func TestAUserWhoseLastWayInANoticeEndedIsRecovered(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	c := newHeldClock()
	f := startFederation(t, "create", "", jetontest.Clock(c.now))
	ca := filepath.Join(f.below.Dir(), "mail.pem")
	f.write(ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate})))
	smtp := fmt.Sprintf("smtp: {host: localhost, port: %d, ca: '%s'}", server.Port, ca)
	err := f.below.Reload(fmt.Sprintf(below, "create", "") + "mail: {from: jeton@example.org, " + smtp + "}\n")
	if err != nil {
		t.Fatal(err)
	}

	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")
	f.below.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "diane@example.org"}, nil)
	f.visitor(t, "diane").with("/sign-in/with/company")
	path := linkIn(t, f.below, mailAbout(t, server, "A new sign-in to your account at Jeton"))

	c.move(2 * time.Minute) // what is connected with the account stays
	v.viaForm("/prove/with/company?to="+url.QueryEscape("/account/security"), "diane")
	a := v.post("/account/security/connect/github")
	state := mustQuery(t, strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")).Get("state")
	v.open(f.below.Issuer() + "/sign-in/with/github/callback?code=c&state=" + state)
	a = v.post("/account/security/disconnect", "issuer", f.above.Issuer())
	if a.Header.Get("Location") != "/account/security?done=disconnected" {
		t.Fatalf("disconnect the first = %d %s, want success", a.Status, plain(a.Body))
	}

	if a := submit(f.below, path, nil); a.Status != http.StatusSeeOther {
		t.Fatalf("the link of the notice: got %d, want 303", a.Status)
	}
	var left []struct{ Issuer string }
	f.below.MustControl(http.MethodGet, "/api/v1/users/diane/identities", nil, &left)
	if v.signedIn() || len(left) != 0 {
		t.Fatalf("after the link diane has the identities %v, want none and no session", left)
	}

	var link struct{ URL string }
	f.below.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	status := setByLink(f.below, strings.TrimPrefix(link.URL, f.below.Issuer()), right)
	if status != http.StatusSeeOther {
		t.Errorf("the link of the operator: got %d, want 303", status)
	}
	if !entered(f.below, "diane", right) {
		t.Error("diane does not sign in with the new password, want the account recovered")
	}
}
