package mail_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

func TestAClaimedMailIsSentOnlyWhileThatIsOfUse(t *testing.T) {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

	for _, tc := range []struct {
		name     string
		mailer   *mail.Mailer
		now      time.Time
		prepared bool
		waiting  int64
	}{
		{"it is sent in time", console(), noon, true, 0},
		{"it stays due after a reload removed the mailer", nil, noon, false, 1},
		{"it is given up once it expired, and no ticket is stored", console(), noon.Add(mail.Lifetime), false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()

			prepared := false
			s := mail.NewSender(mail.SenderConfig{
				Store: db,
				Prepare: func(_ context.Context, m mail.Mail) (mail.Letter, error) {
					prepared = true
					return mail.Letter{To: m.To}, nil
				},
				Audit: audit.New(audit.Config{Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler)}),
				Now:   func() time.Time { return tc.now },
				Log:   slog.New(slog.DiscardHandler),
				Count: func(string) {},
			})
			s.SetMailer(tc.mailer)

			m := added(t, db, noon)
			mail.Deliver(s, t.Context(), m)

			waiting, err := db.CountMails(t.Context())
			if prepared != tc.prepared || waiting != tc.waiting || err != nil {
				t.Errorf("prepared %t, %d waiting, %v, want %t and %d", prepared, waiting, err, tc.prepared, tc.waiting)
			}
		})
	}
}

// console returns a mailer that prints nowhere.
func console() *mail.Mailer {
	return &mail.Mailer{
		Transport: mail.NewConsole(io.Discard),
		From:      "jeton@example.org",
		Language:  "en",
		Host:      "login.example.org",
	}
}

// added returns a mail that a store has.
func added(t *testing.T, db mail.Store, now time.Time) mail.Mail {
	t.Helper()
	m, err := mail.New(mail.Test, now)
	if err != nil {
		t.Fatal(err)
	}
	m.To = "diane@example.org"

	if err := db.AddMail(t.Context(), m, jeton.Event{Time: now, Action: audit.UserRecover}); err != nil {
		t.Fatal(err)
	}

	return m
}
