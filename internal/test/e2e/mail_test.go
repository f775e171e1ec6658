package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/smtptest"
)

// mailing is a server that sends mail to a mail server on this machine.
const mailing = `
admin: {listen: "127.0.0.1:0"}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services: [{name: site, listen: "localhost:0"}]
mail:
  from: jeton@example.org
  smtp:
    host: localhost
    port: ${SMTP_PORT}
    tls: off
`

// killer kills a server that sends mail, once that many of its mails have come to a stage.
type killer struct {
	mu     sync.Mutex
	server *Server // nil: none is to be killed
	stage  smtptest.Stage
	left   int
}

// aim has the next server killed.
func (k *killer) aim(s *Server, stage smtptest.Stage, after int) {
	k.mu.Lock()
	defer k.mu.Unlock()

	k.server, k.stage, k.left = s, stage, after
}

// at is called by the mail server. It answers the client only afterwards, which is dead then.
func (k *killer) at(stage smtptest.Stage) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.server == nil || stage != k.stage {
		return
	}

	k.left--
	if k.left == 0 {
		k.server.Kill()
		k.server = nil
	}
}

// TestNoMailIsLostWhenTheServerIsKilledWhileItSends kills the server after the mail server has a mail and before its
// answer, and after the answer and before the database knows of it: the two moments at which one side alone knows.
func TestNoMailIsLostWhenTheServerIsKilledWhileItSends(t *testing.T) {
	const mails = 6

	var k killer
	to := smtptest.Start(t, smtptest.Options{NoTLS: true, At: k.at})
	o := Options{
		Config:     file(t, mailing),
		DataDir:    filepath.Join(t.TempDir(), "data"),
		IssuerPort: FreePort(t),
		Env:        []string{"SMTP_PORT=" + strconv.Itoa(to.Port)},
	}
	Start(t, o).Stop(t)
	for i := range mails {
		o.Must(t, "", "user", "invite", fmt.Sprintf("user%d@example.org", i))
	}

	// No mail is removed before the first has passed Accepted, so that each round finds enough of them.
	for _, round := range []struct {
		stage smtptest.Stage
		after int
	}{
		{smtptest.Kept, 1},
		{smtptest.Accepted, 1},
		{smtptest.Kept, 2},
		{smtptest.Accepted, 2},
	} {
		s := Launch(t, o)
		k.aim(s, round.stage, round.after)
		if code := s.Code(t); code != -1 {
			t.Fatalf("the server exited with %d, want it killed while it sends", code)
		}
		alter(t, &o, "UPDATE mails SET due = 0") // the next try is due in a minute
	}

	s := Start(t, o)
	Wait(t, "no mail to be left", func() bool {
		return strings.Contains(body(t, s.Admin+"/metrics"), "\njeton_mail_queue 0\n")
	})
	s.Stop(t)
	checkCopies(t, to.All(), mails)
}

// checkCopies fails if a mail is missing, or if two copies of one differ in what a reader or a program compares.
func checkCopies(t *testing.T, all []smtptest.Mail, want int) {
	t.Helper()

	first := map[string]smtptest.Mail{}
	for _, m := range all {
		before, again := first[m.To]
		if !again {
			first[m.To] = m
			continue
		}

		for _, name := range []string{"Message-Id", "Date", "Subject"} {
			if a, b := before.Header.Get(name), m.Header.Get(name); a == "" || a != b {
				t.Errorf("%s: %s is %q, then %q; want one", m.To, name, a, b)
			}
		}
		if m.Text != before.Text {
			t.Errorf("%s: got the text\n%s\nthen\n%s\nwant one, with one link", m.To, before.Text, m.Text)
		}
	}

	if len(first) != want {
		t.Errorf("mails came to %d addresses, want each of %d", len(first), want)
	}
	// Those of the moments at which the server was killed.
	if len(all) < want+2 {
		t.Errorf("%d mails came, want some of them twice", len(all))
	}
}
