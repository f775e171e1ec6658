package server_test

import (
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// mailing is a server with pages that sends mail.
const mailing = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}", brand: {name: Example}}
mail:
  from: Example <jeton@example.org>
  smtp:
    host: localhost
    port: ${SMTP_PORT}
    ca: ${SMTP_CA}
`

// mailOptions returns the options of a server that sends mail to a mail server.
func mailOptions(t *testing.T, to *smtptest.Server, options ...jetontest.Option) []jetontest.Option {
	t.Helper()

	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: to.Certificate})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}

	return append(options, jetontest.Env("SMTP_PORT", strconv.Itoa(to.Port)), jetontest.Env("SMTP_CA", ca))
}

// startMailing starts a server with diane, who has an address.
func startMailing(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	s := jetontest.Start(t, mailing, options...)
	s.AddUser("diane", right)
	s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "diane@example.org"}, nil)

	return s
}

// setPassword sets the password of diane, as an operator.
func setPassword(s *jetontest.Server, password string) {
	s.MustControl(http.MethodPut, "/api/v1/users/diane/password", map[string]string{"password": password}, nil)
}

func TestANoticeReachesTheUser(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)

	setPassword(s, right+" 2")
	m := server.Next(t)
	if m.To != "diane@example.org" || m.Header.Get("Subject") != "Your password at Example was changed" {
		t.Errorf("got %q to %s, want that the password was changed, to diane", m.Header.Get("Subject"), m.To)
	}

	in := map[string]string{"email": "mallory@example.org"}
	s.MustControl(http.MethodPut, "/api/v1/users/diane", in, nil)
	m = server.Next(t)
	if m.To != "diane@example.org" || !strings.Contains(m.Text, "diane@example.org") {
		t.Errorf("got %q to %s, want the address before the change", m.Text, m.To)
	}

	for _, e := range s.Events() {
		if strings.Contains(e.Reason, "example.org") {
			t.Errorf("got event %+v, want no address in the audit log", e)
		}
	}
}

// TestAMailThatMayHaveArrivedComesAgainAsTheSame closes the connection before the response of the mail server, and
// restarts the server before it tries again.
func TestAMailThatMayHaveArrivedComesAgainAsTheSame(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{DieOnce: true})
	c := newHeldClock()
	options := mailOptions(t, server, jetontest.Clock(c.now), jetontest.DataDir(t.TempDir()))
	s := startMailing(t, options...)

	setPassword(s, right+" 2")
	first := server.Next(t)
	s.Stop()
	c.move(2 * time.Minute)
	jetontest.Start(t, mailing, options...)

	second := server.Next(t)
	before, after := first.Header.Get("Message-Id"), second.Header.Get("Message-Id")
	if before == "" || before != after {
		t.Errorf("got Message-ID %q, then %q, want one", before, after)
	}
}

func TestAMailIsGivenUp(t *testing.T) {
	for _, tc := range []struct {
		name   string
		refuse string
		step   time.Duration // between the tries
		want   string        // in the audit log
	}{
		// Before the last try or after it, as the clock moves on meanwhile.
		{"after a day", "450 <diane@example.org> later", 5 * time.Hour, "was given up"},
		{"when it is refused for good", "550 <diane@example.org> unknown here", 0, "unknown here"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, smtptest.Options{Refuse: tc.refuse})
			c := newHeldClock()
			s := startMailing(t, mailOptions(t, server, jetontest.Clock(c.now))...)

			setPassword(s, right+" 2")
			e := eventAfter(s, "mail.send", func() { c.move(tc.step) })
			if e.Target != "user:diane" || e.Outcome != "unavailable" || !strings.Contains(e.Reason, tc.want) ||
				strings.Contains(e.Reason, "@example.org") {
				t.Errorf("got %+v, want %q, without the address", e, tc.want)
			}
			server.None(t)
		})
	}
}

// eventAfter repeats a step until the audit log has an event of an action.
func eventAfter(s *jetontest.Server, action string, step func()) jeton.Event {
	for {
		events := s.Events()
		i := slices.IndexFunc(events, func(e jeton.Event) bool { return e.Action == action })
		if i >= 0 {
			return events[i]
		}

		step()
		// A change that is no mail makes the server look for what is due.
		s.MustControl(http.MethodPut, "/api/v1/users/diane/groups", map[string][]string{"groups": {}}, nil)
	}
}

func TestTheOperatorSendsAMailToTryItOut(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server smtptest.Options
		want   string // in the refusal; "": sent
	}{
		{"it arrives", smtptest.Options{}, ""},
		{"the refusal has the words of the mail server", smtptest.Options{Refuse: "550 no relaying"}, "no relaying"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, tc.server)
			s := jetontest.Start(t, mailing, mailOptions(t, server)...)

			err := s.Control(http.MethodPost, "/api/v1/mail/test", map[string]string{"to": "max@example.org"}, nil)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}

			m := server.Next(t)
			if m.To != "max@example.org" || !strings.HasPrefix(m.Header.Get("Subject"), "A test of") {
				t.Errorf("got %q to %s, want a test to max", m.Header.Get("Subject"), m.To)
			}
		})
	}
}
