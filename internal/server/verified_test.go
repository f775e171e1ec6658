package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestAnAddressIsVerifiedByALinkInAMail checks the claim email_verified.
func TestAnAddressIsVerifiedByALinkInAMail(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	s.MustControl(http.MethodPost, "/api/v1/clients", api.NewClient{
		Name:   "wiki",
		OpenID: &jeton.RelyingParty{RedirectURIs: []string{"https://wiki.example/done"}, Public: true},
	}, nil)
	is := func(when, user string, want bool) {
		t.Helper()
		got := preview(t, s, "wiki", "user="+user+"&scope=openid+email").UserInfo["email_verified"]
		if got != want {
			t.Errorf("%s: email_verified of %s = %v, want %t", when, user, got, want)
		}
	}
	setAddress := func(to string) {
		s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": to}, nil)
	}

	is("an address that an operator has set", "diane", false)

	setByALinkOfAnOperator(t, s)
	is("after a link that an operator passed on", "diane", false)

	askLink(t, s, "diane")
	setsPassword(t, s, nextLink(t, s, server))
	is("after a link by mail", "diane", true)

	setAddress("d@example.org")
	is("another address", "diane", false)

	askLink(t, s, "diane")
	sent := nextLink(t, s, server)
	setAddress("other@example.org")
	if status := setByLink(s, sent, right+" 3"); status != http.StatusGone {
		t.Errorf("a link that went to the address before: got %d, want 410", status)
	}
	is("a link that went to the address before", "diane", false)

	inviting(s, map[string]any{"email": "fay@example.org"})
	makeAccount(s, linkIn(t, s, mailAbout(t, server, "You are invited to Example")), "fay", right)
	is("an invitation by mail", "fay", true)

	b := newBrowser(t, s)
	b.signIn("fay")
	own := b.asksAddress(server, "f@example.org")
	is("while another address of the user's own is not confirmed", "fay", true)
	b.post(own)
	is("another address of the user's own, which was confirmed", "fay", true)
}

// setByALinkOfAnOperator sets the password of diane by a link that an operator has made.
func setByALinkOfAnOperator(t *testing.T, s *jetontest.Server) {
	t.Helper()
	var link struct{ URL string }
	s.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	setsPassword(t, s, strings.TrimPrefix(link.URL, s.Issuer()))
}

// setsPassword fails the test unless a link sets the password.
func setsPassword(t *testing.T, s *jetontest.Server, path string) {
	t.Helper()
	if status := setByLink(s, path, right+" 2"); status != http.StatusSeeOther {
		t.Fatalf("the link: got %d, want 303", status)
	}
}
