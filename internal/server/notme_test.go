package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// deviceSubject is the subject of the notice of a sign-in with a device that was not known.
const deviceSubject = "A new sign-in to your account at Example"

func TestASignInWithANewDeviceSendsANotice(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)

	b := newBrowser(t, s)
	b.signIn("diane")
	m := server.Next(t)
	if m.To != "diane@example.org" || m.Header.Get("Subject") != deviceSubject {
		t.Fatalf("got %q to %s, want the notice, to diane", m.Header.Get("Subject"), m.To)
	}

	// The browser is known after its session has ended; another one is not.
	s.Send(b.client, http.MethodPost, s.Issuer()+"/sign-out", "", "Origin", s.Issuer())
	b.signIn("diane")
	server.None(t)

	newBrowser(t, s).signIn("diane")
	mailAbout(t, server, deviceSubject)
}

// TestAPasswordFromANewNetworkSendsANotice is about programs, which start no session.
func TestAPasswordFromANewNetworkSendsANotice(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := jetontest.Start(t, mailing+`
services:
  - name: shop
    listen: localhost:0
    login: {token: /token}
    tokens: {}
    accept: [token, basic]
    routes:
      - {match: GET /about, respond: {text: about}}
`, mailOptions(t, server)...)

	for _, tc := range []struct{ name, path string }{
		{"basic", "/about"},
		{"token", "/token"},
	} {
		s.AddUser(tc.name, right)
		address := tc.name + "@example.org"
		s.MustControl(http.MethodPut, "/api/v1/users/"+tc.name, map[string]string{"email": address}, nil)

		for range 2 {
			a := s.Send(s.Client(), http.MethodGet, s.URL("shop")+tc.path, "", "Authorization", basic(tc.name, right))
			if a.Status != http.StatusOK {
				t.Fatalf("%s: got %d, want 200: %s", tc.path, a.Status, a.Body)
			}
		}

		if m := server.Next(t); m.To != address || m.Header.Get("Subject") != deviceSubject {
			t.Errorf("%s: got %q to %s, want the notice, to %s", tc.path, m.Header.Get("Subject"), m.To, address)
		}
	}

	// The network is known now, also where a session starts.
	server.None(t)
}

// TestTheLinkOfANoticeEndsEverything is the way of a user who reads a notice of what an attacker did.
func TestTheLinkOfANoticeEndsEverything(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	c := newHeldClock()
	s := startMailing(t, mailOptions(t, server, jetontest.Clock(c.now))...)

	b := newBrowser(t, s)
	b.signIn("diane")
	path := linkIn(t, s, mailAbout(t, server, deviceSubject))

	lookAt(t, s, path)
	if a := s.Send(b.client, http.MethodGet, s.Issuer()+"/account", ""); a.Status != http.StatusOK {
		t.Fatalf("the session after looks at the link: got %d, want 200", a.Status)
	}

	a := submit(s, path, nil)
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/not-me?done=ended" ||
		len(a.Header["Set-Cookie"]) != 0 {
		t.Errorf("got %d to %q with cookies %v, want 303 to /not-me?done=ended and no cookie",
			a.Status, a.Header.Get("Location"), a.Header["Set-Cookie"])
	}
	if a := s.Send(b.client, http.MethodGet, s.Issuer()+"/account", ""); a.Status == http.StatusOK {
		t.Error("the session goes on, want it ended")
	}
	for page, want := range map[string]bool{"/not-me?done=ended": true, "/not-me": false} {
		a := s.Send(s.Client(), http.MethodGet, s.Issuer()+page, "")
		if a.Status != http.StatusOK || strings.Contains(a.Body, `href="/recover"`) != want {
			t.Errorf("%s: got %d, want 200 and the way to a new password: %t", page, a.Status, want)
		}
	}
	if a := submit(s, path, nil); a.Status != http.StatusGone {
		t.Errorf("the link again: got %d, want 410", a.Status)
	}

	// The browser is no longer known, and the link of the notice about it expires after a week.
	b.signIn("diane")
	path = linkIn(t, s, mailAbout(t, server, deviceSubject))
	c.move(7*24*time.Hour + time.Second)
	if a := submit(s, path, nil); a.Status != http.StatusGone {
		t.Errorf("after a week: got %d, want 410", a.Status)
	}
	checkNotMe(t, s)
}

// checkNotMe checks the events of the links that were used.
func checkNotMe(t *testing.T, s *jetontest.Server) {
	t.Helper()

	var got []string
	for _, e := range s.Events() {
		if e.Action != "user.not-me" {
			continue
		}
		got = append(got, e.Outcome+" "+e.Target)

		isLink := func(c jeton.Check) bool { return c.Name == "link" }
		if e.Actor != "" || e.Source == "" || e.Request == "" || !slices.ContainsFunc(e.Checks, isLink) {
			t.Errorf("got event %+v, want no actor, the address, the request and the check", e)
		}
	}

	want := []string{"ok user:diane", "spent ", "bad_credential "}
	if !slices.Equal(got, want) {
		t.Errorf("got events %v, want %v", got, want)
	}
}
