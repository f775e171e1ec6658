package signin

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// notMeLink returns the path of the link of a notice, with which the user ends all sessions and tokens, and when it
// expires. It returns "" if the link has been used, or if too many notices have one: the notice is sent without it.
func (l *Logins) notMeLink(ctx context.Context, m mail.Mail, acct account.Account) (string, time.Time, error) {
	if l.mails.NotMe == nil {
		return "", time.Time{}, nil
	}

	text, err := l.mails.Links.Secret(m.ID)
	if err != nil {
		return "", time.Time{}, err
	}

	expires := m.Created.Add(mail.LinkLifetime)
	err = l.mails.Store.AddMailLink(ctx, m.ID, secret.HashOf(text.Reveal()), ticket.Ticket{
		Purpose: ticket.NotMe,
		Subject: acct.ID,
		Data:    []byte(acct.UUID),
		Expires: expires,
	})
	if errors.Is(err, jeton.ErrNotFound) || errors.Is(err, jeton.ErrTooMany) {
		return "", time.Time{}, nil
	}

	return l.mails.NotMe(text), expires, err
}

// NotMeUser returns the name of the user whose sessions and tokens the link of a notice ends. It does not use the link
// up. It returns jeton.ErrBadCredential or jeton.ErrSpent for a link that ends none any more.
func (l *Logins) NotMeUser(ctx context.Context, text string) (string, error) {
	t, err := l.tickets.Look(ctx, ticket.NotMe, text)
	if err != nil {
		return "", err
	}

	acct, err := l.linked(ctx, t)

	return acct.Name, err
}

// NotMeRequest is the use of the link of a notice.
type NotMeRequest struct {
	Secret  string // of the link
	Source  netip.Addr
	Request string // ID of the request
}

// NotMe ends all sessions, tokens and links of the user of a notice. It proves no user and starts no session: a reader
// of the mailbox can end things, and nothing else. Of concurrent calls with one link, one succeeds. It returns the
// errors of NotMeUser.
func (l *Logins) NotMe(ctx context.Context, req NotMeRequest) error {
	trail := auditTrail{
		action:  audit.UserNotMe,
		source:  req.Source,
		request: req.Request,
	}

	name, err := l.NotMeUser(ctx, req.Secret)
	if err == nil {
		ev := trail.event(l.now(), nil, passed("link", ""))
		ev.Target = "user:" + name
		ev.Reason = "all sessions and tokens ended"
		err = l.mails.Store.EndByNotice(ctx, secret.HashOf(req.Secret), l.now(), ev)
		if errors.Is(err, jeton.ErrNotFound) {
			err = jeton.ErrBadCredential
		}
	}
	if err != nil {
		_ = trail.check("link", "", err)
		l.audit.Record(trail.event(l.now(), err))
	}

	return err
}
