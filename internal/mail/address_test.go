package mail

import (
	"errors"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/smtptest"
)

func TestAnAddressBeyondASCIIArrivesOrIsRefusedForGood(t *testing.T) {
	for _, tc := range []struct {
		name    string
		utf8    bool // the server offers SMTPUTF8
		to      string
		arrives string // in the envelope; "": it is refused
	}{
		{"a domain", false, "diane@bücher.example", "diane@xn--bcher-kva.example"},
		{"a domain in capital letters", false, "diane@BÜCHER.example", "diane@xn--bcher-kva.example"},
		{"a domain, with SMTPUTF8", true, "diane@bücher.example", "diane@xn--bcher-kva.example"},
		{"a local part", false, "dürer@example.org", ""},
		{"a local part, with SMTPUTF8", true, "dürer@example.org", "dürer@example.org"},
		{"both", false, "dürer@bücher.example", ""},
		{"both, with SMTPUTF8", true, "dürer@bücher.example", "dürer@xn--bcher-kva.example"},
		{"ASCII", false, "diane@example.org", "diane@example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Options{UTF8: tc.utf8})
			mailer, _ := mailerOf(s)
			mailer.From = "Bücher <jeton@bücher.example>"
			m, l := newLetter(t, Test)
			l.To = tc.to

			err := mailer.Send(t.Context(), m, l)

			if tc.arrives == "" {
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "offers no SMTPUTF8") {
					t.Errorf("got %v, want it refused for good, as the server offers no SMTPUTF8", err)
				}
				s.None(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := s.Next(t)
			if got.To != tc.arrives || !strings.Contains(got.Header.Get("From"), "<jeton@xn--bcher-kva.example>") {
				t.Errorf("got it to %q from %q, want %q", got.To, got.Header.Get("From"), tc.arrives)
			}
		})
	}
}

// TestASenderBeyondASCIIIsTriedAgain has a mistake of the operator, who can mend it while the mail waits.
func TestASenderBeyondASCIIIsTriedAgain(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	mailer, _ := mailerOf(s)
	mailer.From = "dürer@example.org"
	m, l := newLetter(t, Test)

	err := mailer.Send(t.Context(), m, l)
	if err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "mail.from: it has letters") {
		t.Errorf("got %v, want an error that names mail.from, after which the mail is tried again", err)
	}
	s.None(t)
}

func TestNoNameIsAHeader(t *testing.T) {
	const evil = "Example\r\nBcc: mallory@example.org\n\nanother text"

	for _, tc := range []struct {
		name   string
		change func(*Mailer, *Letter)
	}{
		{"the site", func(m *Mailer, _ *Letter) { m.Site = evil }},
		{"the sender", func(m *Mailer, _ *Letter) { m.From = `"` + evil + `" <jeton@example.org>` }},
		{"the host", func(m *Mailer, _ *Letter) { m.Host = evil }},
		{"the user", func(_ *Mailer, l *Letter) { l.Name = evil }},
		{"the address before", func(_ *Mailer, l *Letter) { l.Email = evil }},
		{"the source", func(_ *Mailer, l *Letter) { l.Source = evil }},
	} {
		for _, kind := range []Kind{Recovery, Verify, Address, Test} {
			t.Run(tc.name+" in "+string(kind), func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Options{})
				mailer, _ := mailerOf(s)
				m, l := newLetter(t, kind)
				tc.change(mailer, &l)

				// A name that cannot be sent may be refused, as long as nothing is sent.
				if err := mailer.Send(t.Context(), m, l); err != nil {
					s.None(t)
					return
				}
				got := s.Next(t)
				if got.Header.Get("Bcc") != "" || got.To != l.To || got.Header.Get("Auto-Submitted") == "" {
					t.Errorf("got the header %v, want none of the name's", got.Header)
				}
				if got.Text == "" {
					t.Errorf("got %s, want the whole header before the text", got.Raw)
				}
			})
		}
	}
}
