package mail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// newLetter returns a mail with its letter.
func newLetter(t *testing.T, k Kind) (Mail, Letter) {
	t.Helper()
	m, err := New(k, noon)
	if err != nil {
		t.Fatal(err)
	}

	return m, Letter{
		Facts: Facts{
			Name:   "diane",
			Source: "192.0.2.7",
			At:     noon,
			Email:  "old@example.org",
		},
		To:    "diane@example.org",
		Link:  "/recover/jtn_t_x?a=1&b=2",
		Until: noon.Add(30 * time.Minute),
	}
}

// mailerOf returns a mailer to a server.
func mailerOf(s *smtptest.Server) (*Mailer, SMTP) {
	to := SMTP{
		Host:        "localhost",
		Port:        s.Port,
		TLS:         StartTLS,
		Authorities: s.Authorities,
	}

	return newMailer(to), to
}

// newMailer returns a mailer with a transport.
func newMailer(to Transport) *Mailer {
	return &Mailer{
		Transport: to,
		From:      "Example <jeton@example.org>",
		Language:  "en",
		Site:      "Example",
		Host:      "login.example.org",
		Issuer:    "https://login.example.org",
	}
}

func TestAMailArrivesWithItsHeader(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	mailer, _ := mailerOf(s)
	m, l := newLetter(t, Recovery)

	if err := mailer.Send(t.Context(), m, l); err != nil {
		t.Fatal(err)
	}

	got := s.Next(t)
	for name, want := range map[string]string{
		"Message-Id":     "<" + m.ID + "@login.example.org>",
		"Subject":        "Set a new password at Example",
		"To":             "<diane@example.org>",
		"From":           `"Example" <jeton@example.org>`,
		"Auto-Submitted": "auto-generated",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	alone := "\n\nhttps://login.example.org" + l.Link + "\n\n"
	if !strings.Contains(got.Text, alone) || !strings.Contains(got.Text, "2026-03-01 12:30 UTC") {
		t.Errorf("got text %s, want the link on a line of its own, and its end", got.Text)
	}
}

func TestWhatTheMailServerSays(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server smtptest.Options
		change func(*SMTP)
		want   string // in the error; "": sent
	}{
		{"TLS and no password", smtptest.Options{}, nil, ""},
		{"a server without STARTTLS gets nothing", smtptest.Options{NoTLS: true}, nil, "STARTTLS"},
		{"no TLS where the operator wants none", smtptest.Options{NoTLS: true}, func(s *SMTP) { s.TLS = NoTLS }, ""},
		{"a certificate of a stranger", smtptest.Options{}, func(s *SMTP) { s.Authorities = nil }, "certificate"},
		{"a certificate of another name", smtptest.Options{}, func(s *SMTP) { s.Host = "127.0.0.1" }, "certificate"},
		{"TLS from the first byte", smtptest.Options{TLS: true}, implicit(nil), ""},
		{
			"a certificate of a stranger from the first byte",
			smtptest.Options{TLS: true},
			implicit(func(s *SMTP) { s.Authorities = nil }),
			"certificate",
		},
		{
			"a certificate of another name from the first byte",
			smtptest.Options{TLS: true},
			implicit(func(s *SMTP) { s.Host = "127.0.0.1" }),
			"certificate",
		},
		{
			"a password over TLS from the first byte",
			smtptest.Options{TLS: true, Login: "jeton open"},
			implicit(password("open")),
			"",
		},
		{"the right password", smtptest.Options{Login: "jeton open"}, password("open"), ""},
		{"a wrong password", smtptest.Options{Login: "jeton open"}, password("shut"), "wrong password"},
		{"a refused recipient", smtptest.Options{Refuse: "550 no such user"}, nil, "no such user"},
		{"a recipient to try later", smtptest.Options{Refuse: "450 busy"}, nil, "busy"},
		{"a server that is away", smtptest.Options{}, func(s *SMTP) { s.Port = 1 }, "connect"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mailer, to := mailerOf(smtptest.Start(t, tc.server))
			if tc.change != nil {
				tc.change(&to)
			}
			mailer.Transport = to

			m, l := newLetter(t, Test)
			err := mailer.Send(t.Context(), m, l)
			if tc.want == "" && err != nil {
				t.Errorf("got %v, want it sent", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "shut") {
				t.Errorf("got %v, want no password in it", err)
			}

			final := strings.HasPrefix(tc.server.Refuse, "5")
			if errors.Is(err, ErrRefused) != final {
				t.Errorf("got %v, want final %t", err, final)
			}
		})
	}
}

// implicit makes a transport use TLS from the first byte, and changes it further.
func implicit(change func(*SMTP)) func(*SMTP) {
	return func(s *SMTP) {
		s.TLS = ImplicitTLS
		if change != nil {
			change(s)
		}
	}
}

// password makes a transport prove itself.
func password(text string) func(*SMTP) {
	return func(s *SMTP) { s.User, s.Password = "jeton", jeton.NewSecret(text) }
}

func TestAnAddressIsNotAHeader(t *testing.T) {
	for _, to := range []string{
		"diane@example.org\r\nBcc: mallory@example.org",
		"diane@example.org, mallory@example.org",
		"diane",
		"",
	} {
		s := smtptest.Start(t, smtptest.Options{})
		mailer, _ := mailerOf(s)
		m, l := newLetter(t, Test)
		l.To = to

		if err := mailer.Send(t.Context(), m, l); !errors.Is(err, ErrRefused) {
			t.Errorf("to %q: got %v, want it refused", to, err)
		}
		s.None(t)
	}
}

func TestEveryMailHasATemplateInEveryLanguage(t *testing.T) {
	for _, kind := range []Kind{Recovery, Password, Address, Factor, Device, Token, Identity, Verify, Test} {
		for _, language := range []string{"en", "de"} {
			_, l := newLetter(t, kind)
			l.Site = "Beispiel & Söhne"
			l.Name = `<b>"di`

			c, err := compose(kind, language, l)
			if err != nil {
				t.Errorf("%s in %s: %v", kind, language, err)
				continue
			}
			if c.Subject == "" || strings.Contains(c.Subject, "\n") || len(c.Text) < 40 {
				t.Errorf("%s in %s: got subject %q and text %q, want both", kind, language, c.Subject, c.Text)
			}
			if strings.Contains(c.HTML, "<b>") {
				t.Errorf("%s in %s: got HTML %s, want names escaped", kind, language, c.HTML)
			}

			links := strings.Count(c.HTML, "<a ")
			if want := min(strings.Count(c.Text, l.Link), 1); links != want {
				t.Errorf("%s in %s: %d links in the HTML, want %d", kind, language, links, want)
			}
			// The text of the same kind without a link names another way.
			l.Link = ""
			if without, err := compose(kind, language, l); err != nil || strings.Contains(without.Text, "http") {
				t.Errorf("%s in %s without a link: got %q, %v, want none", kind, language, without.Text, err)
			}
		}
	}
}

func TestANoticeSaysWhatWasDone(t *testing.T) {
	for _, tc := range []struct {
		kind             Kind
		action, language string
		want             string // part of the text
	}{
		{Token, audit.TokenCreate, "en", "was made on"},
		{Token, audit.TokenCreate, "de", "erzeugt"},
		{Token, audit.TokenRotate, "en", "the previous one is refused"},
		{Token, audit.TokenRotate, "de", "das bisherige wird abgelehnt"},
		{Factor, audit.FactorAdd, "en", "a passkey was added"},
		{Factor, audit.FactorAdd, "de", "ein Passkey hinzugefügt"},
		{Factor, audit.FactorCodes, "en", "new recovery codes were made"},
		{Factor, audit.FactorCodes, "de", "wurden neue Wiederherstellungscodes erzeugt"},
		{Factor, audit.FactorUse, "en", "a recovery code of your account"},
		{Factor, audit.FactorUse, "de", "ein Wiederherstellungscode Ihres Kontos"},
		{Factor, audit.FactorRemove, "en", "were removed"},
		{Factor, audit.FactorRemove, "de", "wurden entfernt"},
	} {
		t.Run(tc.action+" in "+tc.language, func(t *testing.T) {
			_, l := newLetter(t, tc.kind)
			l.Action = tc.action
			c, err := compose(tc.kind, tc.language, l)
			if err != nil || !strings.Contains(c.Text, tc.want) {
				t.Errorf("got %q, %v, want %q in it", c.Text, err, tc.want)
			}
		})
	}
}

func TestADirectoryHasOneFileForAMailThatIsSentTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mails")
	mailer := newMailer(Directory(dir))
	m, l := newLetter(t, Test)

	for range 2 {
		if err := mailer.Send(t.Context(), m, l); err != nil {
			t.Fatal(err)
		}
	}

	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != m.ID+".eml" {
		t.Fatalf("got files %v, %v, want %s.eml", entries, err, m.ID)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file that only the server's user reads", info.Mode(), err)
	}
}

func TestTheConsoleShowsTheText(t *testing.T) {
	var to bytes.Buffer
	mailer := newMailer(NewConsole(&to))
	m, l := newLetter(t, Recovery)
	m.Language = "de"

	if err := mailer.Send(t.Context(), m, l); err != nil {
		t.Fatal(err)
	}
	link := "https://login.example.org" + l.Link
	for _, want := range []string{"To: <diane@example.org>\n", "Guten Tag diane,", link} {
		if !strings.Contains(to.String(), want) {
			t.Errorf("got %s, want %q in it", to.String(), want)
		}
	}
}

func TestALinkIsDerivedAndNotStored(t *testing.T) {
	links := NewLinks([]byte("a key of 32 bytes, which is secret"))
	first, err := links.Secret("m_1")
	if err != nil || !secret.Is(secret.Ticket, first.Reveal()) {
		t.Fatalf("got %v, %v, want a ticket", first.Reveal(), err)
	}

	same, _ := links.Secret("m_1")
	other, _ := links.Secret("m_2")
	foreign, _ := NewLinks([]byte("another key")).Secret("m_1")
	if same.Reveal() != first.Reveal() || other.Reveal() == first.Reveal() || foreign.Reveal() == first.Reveal() {
		t.Error("want the same secret for the same mail and key alone")
	}
}

func TestRetriesBeginAfterAMinuteAndSpread(t *testing.T) {
	total := time.Duration(0)
	for tries := 1; total < Lifetime; tries++ {
		wait := retry(tries)
		least := min(time.Minute<<min(tries-1, 10), 4*time.Hour)
		if wait < least || wait > least*5/4 {
			t.Errorf("after try %d: %v, want %v and up to a quarter more", tries, wait, least)
		}
		total += wait
		if tries > 20 {
			t.Fatal("more than 20 tries in a day, want fewer")
		}
	}

	// No other node may send while one still waits for the mail server.
	if retry(1) <= sendTimeout {
		t.Errorf("the first retry is after %v, want it after %v", retry(1), sendTimeout)
	}
}

// TestAMailServerThatDoesNotAnswerIsLeft has a mail server that accepts connections and says nothing: the end of the
// server must not wait for the timeout of the connection.
func TestAMailServerThatDoesNotAnswerIsLeft(t *testing.T) {
	for _, tc := range []struct {
		name, tls string
		shakes    bool // the server completes the handshake of TLS
	}{
		{"before its greeting", StartTLS, false},
		{"in the handshake of implicit TLS", ImplicitTLS, false},
		{"before its greeting over implicit TLS", ImplicitTLS, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Options{})
			silent, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			ctx, cancel := context.WithCancel(t.Context())
			begun := time.Now()
			go func() {
				conn, err := silent.Accept()
				if err != nil {
					return
				}
				if tc.shakes {
					secure := s.Secure(conn)
					_ = secure.Handshake()
					conn = secure
				}
				cancel() // as a deadline does, and the end of the server
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()

			to := SMTP{
				Host:        "localhost",
				Port:        silent.Addr().(*net.TCPAddr).Port,
				TLS:         tc.tls,
				Authorities: s.Authorities,
			}
			m, l := newLetter(t, Test)
			if err := newMailer(to).Send(ctx, m, l); err == nil || errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want an error after which it is tried again", err)
			}
			if took := time.Since(begun); took >= sendTimeout {
				t.Errorf("it took %v, want less than the %v of a server that is waited for", took, sendTimeout)
			}
		})
	}
}
