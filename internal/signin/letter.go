package signin

import (
	"context"
	"errors"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/mail"
)

// WakeMails has pending mails sent now.
func (l *Logins) WakeMails() {
	if l.mails.Wake != nil {
		l.mails.Wake()
	}
}

// Letter returns the letter of a mail to a user. It returns mail.ErrDrop for a mail that is not to be sent.
func (l *Logins) Letter(ctx context.Context, m mail.Mail) (mail.Letter, error) {
	letter := mail.Letter{Facts: m.Facts, To: m.To}
	if m.Kind == mail.Test {
		return letter, nil
	}

	if m.Kind == mail.Recovery {
		return l.recoveryLetter(ctx, m)
	}

	acct, err := l.accounts.FindID(ctx, m.Facts.User)
	if errors.Is(err, jeton.ErrNotFound) {
		return mail.Letter{}, mail.ErrDrop
	}
	if err != nil {
		return mail.Letter{}, err
	}

	if m.Kind == mail.Verify {
		return l.addressLetter(ctx, m, acct)
	}

	letter.Name = acct.Name
	letter.Link, letter.Until, err = l.notMeLink(ctx, m, acct)

	return letter, err
}
