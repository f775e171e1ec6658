package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// recoverySubject is the subject of a mail with a link that sets a password.
const recoverySubject = "Set a new password at Example"

// submit sends a form of the pages.
func submit(s *jetontest.Server, path string, fields url.Values, header ...string) jetontest.Answer {
	header = append(header, "Content-Type", "application/x-www-form-urlencoded", "Origin", s.Issuer())
	return s.Send(s.Client(), http.MethodPost, s.Issuer()+path, fields.Encode(), header...)
}

// askLink asks for a link as a stranger.
func askLink(t *testing.T, s *jetontest.Server, name string, header ...string) {
	t.Helper()
	a := submit(s, "/recover", url.Values{"username": {name}}, header...)
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/recover?done=sent" {
		t.Fatalf("got %d to %q, want 303 to the page that says so", a.Status, a.Header.Get("Location"))
	}
}

// linkIn returns the path of the link in a mail.
func linkIn(t *testing.T, s *jetontest.Server, m smtptest.Mail) string {
	t.Helper()
	for line := range strings.Lines(m.Text) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), s.Issuer())
		if ok {
			return path
		}
	}
	t.Fatalf("got %s, want a link that begins with %s", m.Text, s.Issuer())

	return ""
}

// lookAt follows a link as programs that check mail do, and as browsers and scripts of pages do, and sends its form
// from another site; without a session, or as a client that has one. The caller checks that nothing has changed.
func lookAt(t *testing.T, s *jetontest.Server, path string, as ...*http.Client) {
	t.Helper()
	client := append(as, s.Client())[0]
	for _, look := range [][]string{
		{http.MethodGet},
		{http.MethodHead},
		{http.MethodGet, "HX-Request", "true"},
		{http.MethodGet, "Sec-Purpose", "prefetch"},
	} {
		if a := s.Send(client, look[0], s.Issuer()+path, "", look[1:]...); a.Status != http.StatusOK {
			t.Errorf("%v: got %d, want 200", look, a.Status)
		}
	}

	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://mallory.example"}
	if a := s.Send(client, http.MethodPost, s.Issuer()+path, "", form...); a.Status != http.StatusForbidden {
		t.Errorf("from another site: got %d, want 403", a.Status)
	}
}

// mailAbout returns the next mail with a subject. Others may come before it.
func mailAbout(t *testing.T, server *smtptest.Server, subject string) smtptest.Mail {
	t.Helper()
	for {
		m := server.Next(t)
		if m.Header.Get("Subject") == subject {
			return m
		}
	}
}

// nextLink returns the path of the next link that sets a password.
func nextLink(t *testing.T, s *jetontest.Server, server *smtptest.Server) string {
	t.Helper()
	return linkIn(t, s, mailAbout(t, server, recoverySubject))
}

// entered reports whether a user signs in with a password.
func entered(s *jetontest.Server, name, password string) bool {
	a := submit(s, "/sign-in", url.Values{"username": {name}, "password": {password}})
	return a.Status == http.StatusSeeOther
}

// setByLink sets a password by a link and returns the status.
func setByLink(s *jetontest.Server, path, password string) int {
	return submit(s, path, url.Values{"password": {password}}).Status
}

func TestALinkSetsAPasswordOnce(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	b := newBrowser(t, s)
	b.signIn("diane")

	// A proxy is not trusted: what a stranger writes into its headers leads no link elsewhere.
	askLink(t, s, "Diane@example.org", "X-Forwarded-Host", "mallory.example", "Forwarded", "host=mallory.example")
	m := mailAbout(t, server, recoverySubject)
	path := linkIn(t, s, m)
	if m.To != "diane@example.org" || strings.Contains(m.Raw, "mallory") {
		t.Errorf("got %s to %s, want a link of the issuer, to diane", m.Raw, m.To)
	}

	lookAt(t, s, path)
	if status := setByLink(s, path, "short"); status != http.StatusBadRequest {
		t.Errorf("a short password: %d, want 400", status)
	}
	if !entered(s, "diane", right) {
		t.Error("the password is another one after a look at the link, want it unchanged")
	}

	if status := setByLink(s, path, right+" 2"); status != http.StatusSeeOther {
		t.Fatalf("got %d, want 303", status)
	}
	if entered(s, "diane", right) || !entered(s, "diane", right+" 2") {
		t.Error("want the new password accepted, and no longer the one before")
	}
	if a := s.Send(b.client, http.MethodGet, s.Issuer()+"/account", ""); a.Status == http.StatusOK {
		t.Error("the session from before goes on, want it ended")
	}
	if status := setByLink(s, path, right+" 3"); status != http.StatusGone {
		t.Errorf("the link again: %d, want 410", status)
	}
	checkResets(t, s)
}

// checkResets checks that the audit log says of each use of a link where it came from.
func checkResets(t *testing.T, s *jetontest.Server) {
	t.Helper()

	got := map[string]int{}
	for _, e := range s.Events() {
		if slices.ContainsFunc(e.Checks, func(c jeton.Check) bool { return c.Name == "link" }) {
			got[e.Action+" "+e.Outcome]++
			// A dead link belongs to no user any more.
			if (e.Actor == "") != (e.Outcome == "bad_credential") || e.Source == "" || e.Request == "" {
				t.Errorf("got event %+v, want the user, the address and the request", e)
			}
		}
	}

	want := map[string]int{
		"user.password ok":             1,
		"user.recover invalid_request": 1,
		"user.recover bad_credential":  1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got events %v, want %v", got, want)
	}
}

func TestALinkThatSetsAPasswordDies(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	c := newHeldClock()
	s := startMailing(t, mailOptions(t, server, jetontest.Clock(c.now))...)

	for _, tc := range []struct {
		name string
		end  func()
	}{
		{"after half an hour", func() { c.move(31 * time.Minute) }},
		{"after another password", func() { setPassword(s, right) }},
		{"after a newer link by mail", func() {
			askLink(t, s, "diane")
			nextLink(t, s, server)
		}},
		{"after a newer link of an administrator", func() {
			s.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, nil)
		}},
		{"after the user was disabled, and enabled", func() {
			for _, disabled := range []bool{true, false} {
				in := map[string]bool{"disabled": disabled}
				s.MustControl(http.MethodPut, "/api/v1/users/diane/disabled", in, nil)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The budget of a stranger comes back.
			c.move(time.Hour)
			askLink(t, s, "diane")
			path := nextLink(t, s, server)
			tc.end()

			if status := setByLink(s, path, right+" 2"); status != http.StatusGone {
				t.Errorf("got %d, want 410", status)
			}
			if a := s.Send(s.Client(), http.MethodGet, s.Issuer()+path, ""); a.Status != http.StatusGone {
				t.Errorf("GET: %d, want 410", a.Status)
			}
		})
	}
}

// TestStrangersEndNoLinkOfAnAdministrator asks for a link by mail, as any caller can, after one was passed on.
func TestStrangersEndNoLinkOfAnAdministrator(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)

	var link struct{ URL string }
	s.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	askLink(t, s, "diane")
	mailed := nextLink(t, s, server)

	if status := setByLink(s, strings.TrimPrefix(link.URL, s.Issuer()), right+" 2"); status != http.StatusSeeOther {
		t.Errorf("the link of the administrator: got %d, want 303", status)
	}
	if status := setByLink(s, mailed, right+" 3"); status != http.StatusGone {
		t.Errorf("the link by mail, after the password was set: got %d, want 410", status)
	}
}

func TestOfManyUsesOfALinkOneSetsThePassword(t *testing.T) {
	s := startMailing(t, mailOptions(t, smtptest.Start(t, smtptest.Options{}))...)
	var link struct{ URL string }
	s.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	path := strings.TrimPrefix(link.URL, s.Issuer())

	var all sync.WaitGroup
	var done atomic.Int32
	for range 8 {
		all.Go(func() {
			status := setByLink(s, path, right+" 2")
			if status == http.StatusSeeOther {
				done.Add(1)
			} else if status != http.StatusGone {
				t.Errorf("got %d, want 303 or 410", status)
			}
		})
	}
	all.Wait()

	if done.Load() != 1 {
		t.Errorf("%d set the password, want 1", done.Load())
	}
}

// TestARequestForALinkShowsNoUser compares the whole answers.
func TestARequestForALinkShowsNoUser(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	s.AddUser("eric", right) // has no address
	s.AddUser("fay", right)
	s.MustControl(http.MethodPut, "/api/v1/users/fay", map[string]string{"email": "fay@example.org"}, nil)
	keyOf(t, s, "fay")
	server.Next(t) // the notices of the sign-in and of the passkey
	server.Next(t)

	answers := map[string]bool{}
	for _, name := range []string{"unknown@example.org", "eric", "no such user", "fay", "diane@example.org"} {
		a := submit(s, "/recover", url.Values{"username": {name}})
		a.Header.Del("Date")
		a.Header.Del("X-Request-Id")
		answers[a.Header.Get("Location")+a.Body] = true
	}
	if len(answers) != 1 {
		t.Errorf("got %v, want one answer", answers)
	}

	// The mail to diane was asked for last, so that the others were sent before it or not at all.
	if m := server.Next(t); m.To != "diane@example.org" {
		t.Errorf("got a mail to %s, want one to diane alone", m.To)
	}
	server.None(t)

	for _, e := range s.Events() {
		if e.Action == "user.recover" && (e.Target != "" || strings.Contains(e.Reason, "diane")) {
			t.Errorf("got %+v, want nothing of what was typed", e)
		}
	}
}

func TestStrangersSendFewLinks(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)

	for range 3 {
		askLink(t, s, "diane@example.org")
	}
	for _, name := range []string{"diane@example.org", "DIANE@example.org"} {
		a := submit(s, "/recover", url.Values{"username": {name}})
		if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
			t.Errorf("for %s: %d, want 429 with the time to wait", name, a.Status)
		}
	}
	if !entered(s, "diane", right) {
		t.Error("diane does not sign in, want requests for links to keep no user out")
	}
}
