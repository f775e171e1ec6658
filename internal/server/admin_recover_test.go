package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/smtptest"
)

// shownLink matches the link on the page that shows it once.
var shownLink = regexp.MustCompile(`<code id="secret">https://[^/<]+([^<]+)</code>`)

func TestAnAdministratorHelpsAUserOnAPage(t *testing.T) {
	s := startMailing(t, mailOptions(t, smtptest.Start(t, smtptest.Options{}))...)
	s.AddUser("root", right, "admin")
	keyOf(t, s, "diane")
	b := newBrowser(t, s)
	b.signIn("root")

	var diane struct{ ID string }
	s.MustControl(http.MethodGet, "/api/v1/users/diane", nil, &diane)
	page := "/admin/users/" + diane.ID
	send := func(path string, fields url.Values) (int, string) {
		a := s.Send(b.client, http.MethodPost, s.Issuer()+path, fields.Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Origin", s.Issuer())
		return a.Status, a.Body
	}

	confirm := b.get(s.Issuer() + page + "/reset-factors")
	if confirm.Status != http.StatusOK || !strings.Contains(confirm.Body, "1 authenticator app or passkey") {
		t.Errorf("GET of the confirmation: %d %s, want what ends", confirm.Status, confirm.Body)
	}
	if status, _ := send(page+"/reset-factors", url.Values{"reason": {""}}); status != http.StatusBadRequest {
		t.Errorf("without a reason: %d, want 400", status)
	}
	reason := url.Values{"reason": {"telephone lost"}}
	if status, body := send(page+"/reset-factors", reason); status != http.StatusSeeOther {
		t.Errorf("with a reason: %d %s, want 303", status, body)
	}

	status, body := send(page, url.Values{"do": {"recover"}})
	link := shownLink.FindStringSubmatch(body)
	if status != http.StatusOK || link == nil {
		t.Fatalf("got %d %s, want a link", status, body)
	}
	if status := setByLink(s, link[1], right+" 2"); status != http.StatusSeeOther {
		t.Errorf("the link: %d, want 303", status)
	}
	if !entered(s, "diane", right+" 2") {
		t.Error("diane does not sign in, want the password of the link, and no factor asked for")
	}
}
