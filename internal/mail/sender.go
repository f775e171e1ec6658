package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/outbox"

	gomail "github.com/wneessen/go-mail"
)

const (
	// atOnce bounds the mails that a node sends at the same time.
	atOnce = 16
	// maxError bounds what the log and the audit log get of the answer of a mail server, in bytes.
	maxError = 300
)

// retry returns how long after a try the next one begins: from a minute, twice as long each time, up to 4 hours. A
// random part of up to a quarter keeps the mails of an outage from all coming back at once.
func retry(tries int) time.Duration {
	const first, longest = time.Minute, 4 * time.Hour
	wait := min(first<<min(tries-1, 10), longest)

	return wait + rand.N(wait/4)
}

// Mailer is how mail is sent now.
type Mailer struct {
	Transport Transport
	From      string // address of the sender, perhaps with a name
	Language  string // of notices
	Site      string // name of the organisation
	Host      string // of this server, for the Message-ID
	Issuer    string // URL of the authorization server, with which every link begins
}

// Sender sends the mails of a store. It is safe for concurrent use.
type Sender struct {
	conf   SenderConfig
	box    *outbox.Box[Mail]
	mailer atomic.Pointer[Mailer]
}

// SenderConfig is what NewSender needs.
type SenderConfig struct {
	Store Store
	// Prepare returns the letter of a mail, and stores the ticket of its link. It returns ErrDrop for a mail that is
	// not to be sent.
	Prepare func(ctx context.Context, m Mail) (Letter, error)
	Audit   *audit.Log
	Now     func() time.Time
	Log     *slog.Logger
	Count   func(outcome string) // of each try
}

// The outcomes of a try.
const (
	Sent    = "sent"
	Failed  = "failed" // and tried again
	GivenUp = "given_up"
	Dropped = "dropped" // not to be sent
)

// NewSender returns a sender. Run sends.
func NewSender(c SenderConfig) *Sender {
	s := &Sender{conf: c}
	s.box = outbox.New(outbox.Config[Mail]{
		Feed: c.Store,
		Next: c.Store.NextMail,
		Claim: func(ctx context.Context, now time.Time, limit int) ([]Mail, error) {
			return c.Store.ClaimMails(ctx, now, limit, retry)
		},
		Do:     s.deliver,
		AtOnce: atOnce,
		Ready:  func() bool { return s.mailer.Load() != nil },
		Failed: func(err error) { c.Log.Warn("send mail", "error", err) },
		Now:    c.Now,
	})

	return s
}

// SetMailer sets how mail is sent from now on. Without a mailer nothing is sent, and no notices are stored.
func (s *Sender) SetMailer(m *Mailer) {
	s.mailer.Store(m)
	s.conf.Store.SendNotices(m != nil)
	s.box.Wake()
}

// On reports whether there is a mailer.
func (s *Sender) On() bool { return s.mailer.Load() != nil }

// Wake makes Run look for what is due.
func (s *Sender) Wake() { s.box.Wake() }

// Run sends what is due until ctx ends.
func (s *Sender) Run(ctx context.Context) error { return s.box.Run(ctx) }

// deliver sends one mail, or gives it up.
func (s *Sender) deliver(ctx context.Context, m Mail) {
	mailer := s.mailer.Load()
	if mailer == nil {
		return // a reload removed it after the mail was claimed: it stays due
	}

	letter, err := s.send(ctx, mailer, m)

	switch {
	case err == nil:
		s.conf.Count(Sent)
	case ctx.Err() != nil:
		return // the server stops: this node or another one tries again
	case errors.Is(err, ErrDrop):
		s.conf.Count(Dropped)
	case !errors.Is(err, ErrRefused) && s.conf.Now().Before(m.Expires):
		s.conf.Count(Failed)
		why := clipped(err, letter.To)
		s.conf.Log.Warn("mail was not sent", "mail", m.ID, "kind", m.Kind, "try", m.Tries, "error", why)

		return
	default:
		s.giveUp(m, letter, err)
	}

	// Also while the server stops: what was sent must not be sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.conf.Store.DropMail(ctx, m.ID); err != nil {
		s.conf.Log.Warn("delete mail that was sent", "mail", m.ID, "error", err)
	}
}

// send sends a mail once, and returns its letter. After a mail expired it returns errExpired and prepares nothing: its
// link would be dead.
func (s *Sender) send(ctx context.Context, mailer *Mailer, m Mail) (Letter, error) {
	if !s.conf.Now().Before(m.Expires) {
		return Letter{Facts: m.Facts}, errExpired
	}

	letter, err := s.conf.Prepare(ctx, m)
	if err != nil {
		return letter, err
	}

	return letter, mailer.Send(ctx, m, letter)
}

// errExpired is why a mail is given up that no mail server accepted in time.
var errExpired = errors.New("it expired before the mail server accepted it")

// giveUp records that a mail did not arrive.
func (s *Sender) giveUp(m Mail, l Letter, err error) {
	s.conf.Count(GivenUp)
	why := clipped(err, l.To)

	target := ""
	if l.Name != "" {
		target = "user:" + l.Name
	}
	s.conf.Audit.Record(jeton.Event{
		Time:    s.conf.Now(),
		Actor:   "system",
		Action:  audit.MailSend,
		Target:  target,
		Outcome: jeton.Code(jeton.ErrUnavailable),
		Reason:  fmt.Sprintf("mail %s about %s was given up after %d tries: %s", m.ID, m.Kind, m.Tries, why),
	})
}

// clipped returns the text of an error, which has words of the mail server, without the address of the user.
func clipped(err error, to string) string {
	text, _, _ := strings.Cut(err.Error(), ", affected recipient")
	if to != "" {
		text = strings.ReplaceAll(text, to, "[address]")
	}

	return strings.ToValidUTF8(text[:min(len(text), maxError)], "")
}

// Send sends a mail at once.
func (m *Mailer) Send(ctx context.Context, mail Mail, l Letter) error {
	language := mail.Language
	if language == "" {
		language = m.Language
	}
	l.Site = m.Site
	if l.Link != "" {
		l.Link = m.Issuer + l.Link
	}

	c, err := compose(mail.Kind, language, l)
	if err != nil {
		return err
	}

	msg, err := m.message(mail, l.To, c)
	if err != nil {
		return err
	}

	return m.Transport.Send(ctx, mail.ID, msg)
}

// message returns a mail as it is sent. It has the same Message-ID and date at each try, so that one that arrives twice
// is recognised (RFC 5322, section 3.6.4).
func (m *Mailer) message(mail Mail, to string, c Content) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(asciiDomain(m.From)); err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	// AddTo refuses what has a line break or is not one address.
	if err := msg.AddTo(asciiDomain(to)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}

	msg.Subject(c.Subject)
	msg.SetMessageIDWithValue(mail.ID + "@" + m.Host)
	msg.SetDateWithValue(mail.Created)
	// No program answers: strangers would learn that the user is away (RFC 3834, section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, c.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, c.HTML)

	return msg, nil
}
