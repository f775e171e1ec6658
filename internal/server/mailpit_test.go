package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// mailpitConf is a server that sends mail to Mailpit, in a language.
const mailpitConf = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}", brand: {name: Example}}
mail:
  from: Example <jeton@example.org>
  language: ${MAIL_LANGUAGE}
  smtp:
    host: localhost
    port: ${SMTP_PORT}
    tls: "off"
`

// mailpit is Mailpit, a mail server that shows what it got by an API.
type mailpit struct {
	t    *testing.T
	url  string
	smtp string // port
}

// startMailpit starts Mailpit and stops it at the end of the test.
func startMailpit(t *testing.T) *mailpit {
	t.Helper()
	need.Soak(t)
	program := need.Program(t, "mailpit-1.33.1", "mailpit")

	var ports [2]string
	for i := range ports {
		port, err := jetontest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = port
	}

	ctx, stop := context.WithCancel(context.Background())
	c := exec.CommandContext(
		ctx, program, "--listen", "127.0.0.1:"+ports[0], "--smtp", "127.0.0.1:"+ports[1], "--disable-version-check",
		"--allow-internal-http-requests", "--allow-untrusted-tls", "--smtp-strict-rfc-headers", "--smtp-disable-rdns",
	)
	if err := c.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = c.Wait()
	})

	p := &mailpit{
		t:    t,
		url:  "http://127.0.0.1:" + ports[0],
		smtp: ports[1],
	}
	p.await("Mailpit is ready", func() bool { return p.get("/readyz", nil) })

	return p
}

// get reads a document of the API, and reports whether there is one.
func (p *mailpit) get(path string, into any) bool {
	p.t.Helper()
	r, err := http.Get(p.url + path)
	if err != nil {
		return false
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && into != nil && r.StatusCode == http.StatusOK {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		p.t.Fatalf("%s: %v: %s", path, err, b)
	}

	return r.StatusCode == http.StatusOK
}

// await waits until something has come.
func (p *mailpit) await(what string, come func() bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !come(); {
		if time.Now().After(end) {
			p.t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pitMail is a mail as Mailpit shows it.
type pitMail struct {
	ID        string
	MessageID string
	Subject   string
	Text      string
	HTML      string
}

// next returns the mail to an address that is not among those already seen.
func (p *mailpit) next(to string, seen map[string]bool) pitMail {
	p.t.Helper()
	var found pitMail

	p.await("a mail to "+to, func() bool {
		var list struct {
			Messages []struct {
				ID string
				To []struct{ Address string }
			}
		}
		p.get("/api/v1/messages", &list)
		for _, m := range list.Messages {
			if !seen[m.ID] && len(m.To) == 1 && m.To[0].Address == to {
				seen[m.ID] = true
				return p.get("/api/v1/message/"+m.ID, &found)
			}
		}

		return false
	})

	return found
}

// TestMailpitFindsNoFaultInAMail sends what users get in both languages. Mailpit follows every link, as programs that
// check mail do, and the link works after that.
func TestMailpitFindsNoFaultInAMail(t *testing.T) {
	p := startMailpit(t)
	seen, ids := map[string]bool{}, map[string]bool{}

	for _, tc := range []struct{ language, invited, changed, recover string }{
		{"en", "You are invited to Example", "Your password at Example was changed", recoverySubject},
		{
			"de",
			"Sie sind zu Example eingeladen",
			"Ihr Passwort bei Example wurde geändert",
			"Ein neues Passwort bei Example",
		},
	} {
		t.Run(tc.language, func(t *testing.T) {
			s := jetontest.Start(
				t, mailpitConf, jetontest.Env("SMTP_PORT", p.smtp), jetontest.Env("MAIL_LANGUAGE", tc.language),
			)
			fay, diane := "fay-"+tc.language+"@example.org", "diane-"+tc.language+"@example.org"
			s.AddUser("diane", right)
			s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": diane}, nil)

			inviting(s, map[string]any{"email": fay})
			invited := p.next(fay, seen)
			p.check(t, s, invited, tc.invited, ids)
			if a := makeAccount(s, pitLink(t, s, invited), "fay", right); a.Status != http.StatusSeeOther {
				t.Errorf("the link of the invitation = %d, want 303", a.Status)
			}

			setPassword(s, right+" 2")
			p.check(t, s, p.next(diane, seen), tc.changed, ids)

			askLink(t, s, diane, "Accept-Language", tc.language)
			asked := p.next(diane, seen)
			p.check(t, s, asked, tc.recover, ids)
			if status := setByLink(s, pitLink(t, s, asked), right+" 3"); status != http.StatusSeeOther {
				t.Errorf("the link that sets a password = %d, want 303", status)
			}
			p.check(t, s, p.next(diane, seen), tc.changed, ids)
		})
	}
}

// pitLink returns the path of the link in a mail.
func pitLink(t *testing.T, s *jetontest.Server, m pitMail) string {
	t.Helper()
	for line := range strings.Lines(m.Text) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), s.Issuer())
		if ok {
			return path
		}
	}
	t.Fatalf("got %s, want a link", m.Text)

	return ""
}

// check fails unless a mail has the subject, two parts, the headers, and nothing that Mailpit finds fault with.
func (p *mailpit) check(t *testing.T, s *jetontest.Server, m pitMail, subject string, ids map[string]bool) {
	t.Helper()
	if m.Subject != subject || m.Text == "" || !strings.Contains(m.HTML, "<html lang=") {
		t.Errorf("got the subject %q, text %q and HTML %q, want %q and both parts", m.Subject, m.Text, m.HTML, subject)
	}
	if ids[m.MessageID] || !strings.HasSuffix(m.MessageID, "@localhost") {
		t.Errorf("Message-ID = %q, want one of this server alone", m.MessageID)
	}
	ids[m.MessageID] = true

	var headers map[string][]string
	p.get("/api/v1/message/"+m.ID+"/headers", &headers)
	if !slices.Equal(headers["Auto-Submitted"], []string{"auto-generated"}) || len(headers["Date"]) != 1 {
		t.Errorf("headers = %v, want one date, and that no user sent it", headers)
	}

	var links struct {
		Errors int
		Links  []struct {
			URL        string
			StatusCode int
		}
	}
	p.get("/api/v1/message/"+m.ID+"/link-check?follow=true", &links)
	if links.Errors != 0 || len(links.Links) != 1 || !strings.HasPrefix(links.Links[0].URL, s.Issuer()+"/") {
		t.Errorf("links = %+v, want one, of the issuer, that works", links)
	}

	var html struct {
		Total struct{ Nodes, Supported, Unsupported float64 }
	}
	p.get("/api/v1/message/"+m.ID+"/html-check", &html)
	if html.Total.Nodes == 0 || html.Total.Supported < 90 || html.Total.Unsupported > 5 {
		t.Errorf("HTML check = %+v, want what nearly all programs show", html.Total)
	}
}
