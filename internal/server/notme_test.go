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
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/not-me" || len(a.Header["Set-Cookie"]) != 0 {
		t.Errorf("got %d to %q with cookies %v, want 303 to /not-me and no cookie",
			a.Status, a.Header.Get("Location"), a.Header["Set-Cookie"])
	}
	if a := s.Send(b.client, http.MethodGet, s.Issuer()+"/account", ""); a.Status == http.StatusOK {
		t.Error("the session goes on, want it ended")
	}
	if a := s.Send(s.Client(), http.MethodGet, s.Issuer()+"/not-me", ""); !strings.Contains(a.Body, `href="/recover"`) {
		t.Error("the page afterwards leads to no new password")
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
