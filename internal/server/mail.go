package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/sweep"

	"github.com/prometheus/client_golang/prometheus"
)

// openMail opens the sender of mail. It sends nothing before setMailer.
func (k *core) openMail(c Config) {
	k.mailCount = newMailCounter()
	k.mails = mail.NewSender(mail.SenderConfig{
		Store:   k.db,
		Prepare: k.letter,
		Audit:   k.audit,
		Now:     c.Now,
		Log:     c.Log,
		Count:   func(outcome string) { k.mailCount.WithLabelValues(outcome).Inc() },
	})
}

// letter returns the letter of a mail.
func (k *core) letter(ctx context.Context, m mail.Mail) (mail.Letter, error) {
	if m.Kind == mail.Invitation {
		return k.invites.Letter(ctx, m)
	}

	return k.logins.Letter(ctx, m)
}

// links returns what derives the secrets of links in mails.
func (k *core) links() mail.Links { return mail.NewLinks(k.secret.Derive("links in mails")) }

// linkMails returns what the links in mails need. limiter is of requests for them.
func (k *core) linkMails(limiter *limit.Limiter) signin.Mails {
	return signin.Mails{
		Store:   k.db,
		Links:   k.links(),
		Path:    pages.RecoverPath,
		NotMe:   pages.NotMePath,
		Verify:  pages.VerifyPath,
		On:      k.mails.On,
		Limiter: limiter,
		Wake:    k.mails.Wake,
	}
}

// openInvites opens the invitations, which may be sent by mail.
func (k *core) openInvites(c Config) (err error) {
	k.invites, err = invite.New(invite.Config{
		Store:    k.db,
		Accounts: k.accounts,
		Audit:    k.audit,
		Links:    k.links(),
		Path:     pages.InvitePath,
		Mailing:  k.mails.On,
		Wake:     k.mails.Wake,
		Now:      c.Now,
		Rand:     rand.Reader,
		Clock:    sweep.NewClock(k.db),
		Log:      c.Log,
	})

	return err
}

// mailer returns how a configuration sends mail, or nil.
func (k *core) mailer(conf *config.Config) (*mail.Mailer, error) {
	m := conf.Mail
	if m == nil || conf.Issuer == nil {
		return nil, nil
	}

	issuer, err := url.Parse(conf.Issuer.URL)
	if err != nil {
		return nil, fmt.Errorf("issuer.url: %w", err)
	}

	mailer := &mail.Mailer{
		From:     m.From,
		Language: m.Language,
		Site:     conf.Issuer.Brand.Name,
		Host:     issuer.Hostname(),
		Issuer:   conf.Issuer.URL,
	}

	switch {
	case m.SMTP != nil:
		mailer.Transport, err = k.smtp(m.SMTP, issuer.Hostname())
	case m.Directory != "":
		mailer.Transport = mail.Directory(k.dir.file(m.Directory))
	default:
		mailer.Transport = mail.NewConsole(os.Stderr)
	}

	return mailer, err
}

// setMailer lets mail be sent as a configuration says. Also where no server runs: what a command changes reaches the
// user, too, by the next server.
func (k *core) setMailer(conf *config.Config) error {
	mailer, err := k.mailer(conf)
	if err == nil {
		k.mails.SetMailer(mailer)
	}

	return err
}

// smtp returns the transport to a mail server.
func (k *core) smtp(s *config.SMTP, hello string) (mail.Transport, error) {
	target := outbound.Target{}
	if s.CA != "" {
		target.CA = k.dir.file(s.CA)
	}

	authorities, err := target.Authorities()
	if err != nil {
		return nil, fmt.Errorf("mail.smtp.ca: %w", err)
	}

	return mail.SMTP{
		Host:        s.Host,
		Port:        s.Port,
		TLS:         s.TLS,
		Authorities: authorities,
		User:        s.User,
		Password:    s.Password(),
		Hello:       hello,
	}, nil
}

// testMail sends a mail at once, so that the operator reads what the mail server says.
func (k *core) testMail(ctx context.Context, conf *config.Config, now time.Time, to string) error {
	mailer, err := k.mailer(conf)
	if err != nil {
		return err
	}
	if mailer == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "no mail is sent; configure mail")
	}

	m, err := mail.New(mail.Test, now)
	if err != nil {
		return err
	}
	m.To = to

	err = mailer.Send(ctx, m, mail.Letter{Facts: mail.Facts{At: now}, To: to})
	if err != nil {
		return jeton.WithDetail(jeton.ErrUnavailable, "the mail was not sent: "+err.Error())
	}

	return nil
}

// newMailCounter counts mails.
func newMailCounter() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jeton_mails_total",
		Help: "Mails, by outcome: sent; failed, and tried again for a day; given_up; dropped, as there is no user.",
	}, []string{"outcome"})
	for _, outcome := range []string{mail.Sent, mail.Failed, mail.GivenUp, mail.Dropped} {
		c.WithLabelValues(outcome)
	}

	return c
}

// newMailQueue measures how many mails wait.
func newMailQueue(waiting func(context.Context) (int64, error)) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jeton_mail_queue",
		Help: "Mails that wait to be sent, of all nodes; -1 while the database does not answer.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()

		n, err := waiting(ctx)
		if err != nil {
			return -1
		}

		return float64(n)
	})
}
