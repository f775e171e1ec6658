package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// asksAddress gives a new address on the page of the account, and returns the path of the link that is sent to it.
func (b *browser) asksAddress(server *smtptest.Server, address string) string {
	b.t.Helper()

	a := b.post("/account", "email", address, "current", right)
	if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/account?done=address-sent" {
		b.t.Fatalf("a new address: got %d to %q, want that a mail is sent: %s", a.Status, to, a.Body)
	}

	m := mailAbout(b.t, server, "Confirm your new e-mail address at Example")
	if m.To != address {
		b.t.Errorf("the link goes to %s, want %s", m.To, address)
	}

	return linkIn(b.t, b.s, m)
}

// addressOf returns the e-mail address of a user.
func addressOf(s *jetontest.Server, name string) string {
	var user jeton.User
	s.MustControl(http.MethodGet, "/api/v1/users/"+name, nil, &user)

	return user.Email
}

func TestANewAddressCountsOnceItsLinkIsUsed(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	b := newBrowser(t, s)
	b.signIn("diane")
	path := b.asksAddress(server, "new@example.org")

	// Programs that check mail, and browsers, follow links.
	lookAt(t, s, path, b.client)
	if got := addressOf(s, "diane"); got != "diane@example.org" {
		t.Errorf("the address is %s before the link is used, want the one before", got)
	}

	if a := b.post(path); a.Status != http.StatusSeeOther {
		t.Fatalf("the link: got %d, want 303: %s", a.Status, a.Body)
	}
	if got := addressOf(s, "diane"); got != "new@example.org" {
		t.Errorf("the address is %s after the link was used, want the new one", got)
	}
	if m := mailAbout(t, server, "Your e-mail address at Example was changed"); m.To != "diane@example.org" {
		t.Errorf("the notice goes to %s, want the address before", m.To)
	}
	if a := b.post(path); a.Status == http.StatusSeeOther {
		t.Error("the link works twice, want once")
	}
}

// TestTheLinkOfANewAddressHasTheLanguageOfThePage asks for it at a page in either language, and by the API, which has
// that of the configuration.
func TestTheLinkOfANewAddressHasTheLanguageOfThePage(t *testing.T) {
	const english, german = "Hello diane,", "Guten Tag diane,"

	for _, tc := range []struct {
		name string
		ask  func(b *browser)
		want string // in the text
	}{
		{"a page in German", func(b *browser) {
			b.post("/account?lang=de", "email", "new@example.org", "current", right)
		}, german},
		{"a page in English", func(b *browser) {
			b.post("/account", "email", "new@example.org", "current", right)
		}, english},
		{"the API, whatever the program speaks", func(b *browser) {
			b.s.Send(b.client, http.MethodPut, b.s.Issuer()+"/api/v1/users/me",
				fmt.Sprintf(`{"email": "new@example.org", "current_password": %q}`, right),
				"Content-Type", "application/json", "Origin", b.s.Issuer(), "Accept-Language", "de")
		}, english},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, smtptest.Options{})
			b := newBrowser(t, startMailing(t, mailOptions(t, server)...))
			b.signIn("diane")

			tc.ask(b)
			m := server.Next(t)
			for m.To != "new@example.org" {
				m = server.Next(t)
			}
			if !strings.Contains(m.Text, tc.want) {
				t.Errorf("got %s, want %q in it", m.Text, tc.want)
			}
		})
	}
}

// again returns another browser in which the user has signed in.
func (b *browser) again() *browser {
	b.t.Helper()
	next := newBrowser(b.t, b.s)
	next.signIn("diane")

	return next
}

func TestALinkThatConfirmsAnAddressIsForASessionOfItsUser(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	s.AddUser("mallory", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	path := b.asksAddress(server, "stranger@example.net")

	signedOut, other := newBrowser(t, s), newBrowser(t, s)
	other.signIn("mallory")
	for who, stranger := range map[string]*browser{"without a session": signedOut, "another user": other} {
		page := stranger.get(s.Issuer() + path)
		if to := page.Header.Get("Location"); !strings.HasPrefix(to, "/sign-in?") {
			t.Errorf("%s: the page: got %d to %q, want to the sign-in", who, page.Status, to)
		}
		if shown := stranger.open(s.Issuer() + path).Body; strings.Contains(shown, "diane") {
			t.Errorf("%s: the page names the user of the link: %s", who, shown)
		}

		stranger.post(path)
		if got := addressOf(s, "diane"); got != "diane@example.org" {
			t.Fatalf("%s: the address is %s, want the one before", who, got)
		}
	}

	// The sign-in leads back to the link.
	if a := other.signInHere("diane"); a.Status != http.StatusOK || !strings.Contains(a.Body, "stranger@example.net") {
		t.Errorf("after the sign-in: got %d %s, want the page of the link", a.Status, a.Body)
	}
	other.post(path)
	if got := addressOf(s, "diane"); got != "stranger@example.net" {
		t.Errorf("the address is %s after its user has confirmed it, want the new one", got)
	}
}

func TestALinkThatConfirmsAnAddressDies(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(b *browser, server *smtptest.Server, c *heldClock)
	}{
		{"by a newer one", func(b *browser, server *smtptest.Server, _ *heldClock) {
			b.asksAddress(server, "newer@example.org")
		}},
		{"by another password", func(b *browser, _ *smtptest.Server, _ *heldClock) {
			setPassword(b.s, right+" 2")
			setPassword(b.s, right)
		}},
		{"by another address that is removed again", func(b *browser, _ *smtptest.Server, _ *heldClock) {
			for _, email := range []string{"admin@example.org", "diane@example.org"} {
				b.s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": email}, nil)
			}
		}},
		{"by a cancellation", func(b *browser, _ *smtptest.Server, _ *heldClock) {
			b.s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"pending_email": ""}, nil)
		}},
		{"after a day", func(_ *browser, _ *smtptest.Server, c *heldClock) { c.move(25 * time.Hour) }},
		{"as another user has the address", func(b *browser, _ *smtptest.Server, _ *heldClock) {
			b.s.AddUser("eric", right)
			b.s.MustControl(http.MethodPut, "/api/v1/users/eric", map[string]string{"email": "New@example.org"}, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, smtptest.Options{})
			c := newHeldClock()
			s := startMailing(t, mailOptions(t, server, jetontest.Clock(c.now))...)
			b := newBrowser(t, s)
			b.signIn("diane")
			path := b.asksAddress(server, "new@example.org")

			tc.then(b, server, c)
			if a := b.again().post(path); a.Status == http.StatusSeeOther {
				t.Errorf("the link: got %d, want it refused", a.Status)
			}
			if got := addressOf(s, "diane"); got != "diane@example.org" {
				t.Errorf("the address is %s, want the one before", got)
			}
		})
	}
}

// TestANewAddressIsShownAndCancelled looks at an address that waits for its link, on the page and in the API.
func TestANewAddressIsShownAndCancelled(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	b := newBrowser(t, s)
	b.signIn("diane")
	pending := func() string {
		var user api.UserDetails
		s.MustControl(http.MethodGet, "/api/v1/users/diane", nil, &user)
		return user.Pending
	}

	path := b.asksAddress(server, "new@example.org")
	page := b.get(s.Issuer() + "/account").Body
	if got := pending(); got != "new@example.org" || !strings.Contains(page, "new@example.org") {
		t.Errorf("pending_email is %q, want new@example.org, and on the page: %s", got, page)
	}

	// A change that is refused cancels nothing.
	a := b.post("/account", "email", "diane@example.org", "first_name", strings.Repeat("n", 2000))
	if got := pending(); a.Status != http.StatusBadRequest || got != "new@example.org" {
		t.Errorf("a refused change: got %d and pending_email %q, want 400 and that it stays", a.Status, got)
	}

	// The form has the current address among its fields, and an administrator may send it, too.
	a = b.post("/account", "email", "diane@example.org", "first_name", "Diane")
	if to := a.Header.Get("Location"); to != "/account?done=profile-changed" {
		t.Errorf("another name: got %d to %q, want that it is changed: %s", a.Status, to, a.Body)
	}
	s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "diane@example.org"}, nil)
	if got := pending(); got != "new@example.org" {
		t.Errorf("after another name and the current address: pending_email is %q, want that it stays", got)
	}

	// A new address is never given by pending_email: it would not be verified.
	given := map[string]string{"pending_email": "other@example.org"}
	if err := s.Control(http.MethodPut, "/api/v1/users/diane", given, nil); jeton.Outcome(err) != jeton.ErrInvalid {
		t.Errorf("pending_email other@example.org = %v, want %v", err, jeton.ErrInvalid)
	}

	a = b.post("/account/cancel-address")
	if to := a.Header.Get("Location"); to != "/account?done=address-cancelled" {
		t.Fatalf("to cancel: got %d to %q, want that it is cancelled: %s", a.Status, to, a.Body)
	}
	if got := pending(); got != "" || strings.Contains(b.get(s.Issuer()+"/account").Body, "new@example.org") {
		t.Errorf("after it was cancelled: pending_email is %q, want none, also on the page", got)
	}
	if a := b.post(path); a.Status == http.StatusSeeOther || addressOf(s, "diane") != "diane@example.org" {
		t.Errorf("the link of a cancelled address: got %d, want it refused", a.Status)
	}
}

// TestEveryUsersAPIVerifiesANewAddress changes the address at a service, and with the password.
func TestEveryUsersAPIVerifiesANewAddress(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := jetontest.Start(t, mailing+`
services:
  - name: shop
    listen: localhost:0
    host: shop.example
    login: {paths: [/login]}
    accept: [session, basic]
    users_api: {}
    routes: [{match: GET /about, respond: {text: about}}]
`, mailOptions(t, server)...)
	s.AddUser("diane", right)
	s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "diane@example.org"}, nil)

	const change = `{"email": %q, "password": %q, "current_password": %q}`
	password := right
	for i, want := range []int{202, 202, 202, 429} {
		next := fmt.Sprintf("%s %d", right, i)
		body := fmt.Sprintf(change, fmt.Sprintf("stranger%d@example.net", i), next, password)
		a := s.Send(
			s.Client(), http.MethodPut, s.URL("shop")+"/api/v1/users/me", body, "Content-Type", "application/json",
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("diane:"+password)),
		)
		if a.Status != want || addressOf(s, "diane") != "diane@example.org" {
			t.Fatalf("change %d = %d %s, address %s, want %d and the address before", i, a.Status, a.Body,
				addressOf(s, "diane"), want)
		}
		password = next
	}
}
