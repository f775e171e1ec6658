package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// newAddress is the data of a ticket that makes an e-mail address that of a user.
type newAddress struct {
	recovery         // of the user, the credential and the address before; a change of either ends the ticket
	Address  string  `json:"address"`
	Before   *string `json:"before"` // the address that it replaces
}

// check returns jeton.ErrBadCredential if the credential or the address has changed since, or the account is disabled.
func (n newAddress) check(acct account.Account) error {
	if n.Before == nil || *n.Before != acct.Email {
		return jeton.ErrBadCredential
	}

	return n.recovery.check(acct)
}

// AddressRequest is a user's request for a new e-mail address of its own.
type AddressRequest struct {
	Address  string // that is valid
	Language string // of the mail
	Source   netip.Addr
	Request  string // ID of the request
}

// VerifiesAddresses reports whether a new address counts only after the user has followed the link of a mail.
func (l *Logins) VerifiesAddresses() bool { return l.mails.On != nil && l.mails.On() }

// AskAddress has a link sent to a new address of a user. The address before counts until the link is used. An earlier
// link ends. The caller has proved the user, and has limited the requests.
func (l *Logins) AskAddress(ctx context.Context, acct account.Account, req AddressRequest) error {
	now := l.now()
	m, err := mail.New(mail.Verify, now)
	if err != nil {
		return err
	}
	m.Account = acct.ID
	m.To = req.Address
	m.Language = req.Language
	m.Facts = mail.Facts{
		Name:    acct.Name,
		User:    acct.UUID,
		Action:  audit.UserVerify,
		Source:  web.AddressText(req.Source),
		Request: req.Request,
		At:      now,
	}

	err = l.mails.Store.AddMail(ctx, m, jeton.Event{
		Time:    now,
		Request: req.Request,
		Actor:   "user:" + acct.Name,
		Action:  audit.UserVerify,
		Target:  "user:" + acct.Name,
		Outcome: audit.OK,
		Reason:  "a link to confirm a new e-mail address is sent",
		Source:  web.AddressText(req.Source),
	})
	if err != nil {
		return err
	}

	// Now and not when the mail is sent: a new password in between has to end the link. If this node stops here, the
	// sender adds it.
	if _, err := l.addressLink(ctx, m, acct); err != nil {
		return err
	}
	l.WakeMails()

	return nil
}

// CancelAddress ends the link of a new address that a user has not opened.
func (l *Logins) CancelAddress(ctx context.Context, acct account.Account) error {
	return l.tickets.End(ctx, ticket.Verify, acct.ID)
}

// addressLink stores the ticket of the link of a mail, and returns the path of the link. It returns jeton.ErrNotFound
// for a link that has ended since.
func (l *Logins) addressLink(ctx context.Context, m mail.Mail, acct account.Account) (string, error) {
	text, err := l.mails.Links.Secret(m.ID)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(newAddress{recovery{User: acct.UUID, Version: acct.Version}, m.To, &acct.Email})
	if err != nil {
		return "", err
	}

	return l.mails.Verify(text), l.mails.Store.AddMailLink(ctx, m.ID, secret.HashOf(text.Reveal()), ticket.Ticket{
		Purpose: ticket.Verify,
		Subject: acct.ID,
		Data:    data,
		Expires: m.Expires,
	})
}

// addressLetter returns the letter of a link that makes an address that of a user.
func (l *Logins) addressLetter(ctx context.Context, m mail.Mail, acct account.Account) (mail.Letter, error) {
	link, err := l.addressLink(ctx, m, acct)
	if errors.Is(err, jeton.ErrNotFound) {
		return mail.Letter{}, mail.ErrDrop // another address or password has ended it
	}

	return mail.Letter{
		Facts: m.Facts,
		To:    m.To,
		Link:  link,
		Until: m.Expires,
	}, err
}

// Verifiable returns the name and the address of a link of the user of a session. It does not use the link up. It
// returns jeton.ErrBadCredential or jeton.ErrSpent for a link that has ended or was used, and jeton.ErrForbidden for
// a link of another user: a stranger who got it by a mistake learns no name.
func (l *Logins) Verifiable(ctx context.Context, live *session.Live, text string) (name, address string, err error) {
	acct, of, err := l.verifiable(ctx, live, text)
	if err != nil {
		return "", "", err
	}

	return acct.Name, of.Address, nil
}

// verifiable returns the account of a link, with its ticket's data.
func (l *Logins) verifiable(ctx context.Context, live *session.Live, text string) (account.Account, newAddress, error) {
	var of newAddress

	t, err := l.tickets.Look(ctx, ticket.Verify, text)
	if err != nil {
		return account.Account{}, of, err
	}
	if err := json.Unmarshal(t.Data, &of); err != nil {
		return account.Account{}, of, err
	}

	acct, err := l.accounts.FindID(ctx, of.User)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return account.Account{}, of, &refused{UnknownUser}
	case err != nil:
		return account.Account{}, of, err
	case acct.ID != live.User:
		return acct, of, jeton.WithDetail(jeton.ErrForbidden, "the link is that of another user")
	}

	return acct, of, of.check(acct)
}

// VerifyRequest is the use of a link that makes an address that of a user.
type VerifyRequest struct {
	Live    *session.Live // of the user who has opened the link
	Secret  string        // of the link
	Source  netip.Addr
	Request string // ID of the request
}

// VerifyAddress makes the address of a link that of its user, who has shown that mail to it arrives. The address before
// gets a notice. It needs a session of that user: a stranger who got the link, by mistake or on purpose, must not make
// the own address that of the account. Of concurrent calls with one link, one succeeds. It returns the errors of
// Verifiable, and jeton.ErrConflict for an address that another user has taken meanwhile.
func (l *Logins) VerifyAddress(ctx context.Context, req VerifyRequest) error {
	trail := auditTrail{
		action:  audit.UserVerify,
		source:  req.Source,
		request: req.Request,
	}

	trail.actor = "user:" + req.Live.Name
	acct, of, err := l.verifiable(ctx, req.Live, req.Secret)
	err = trail.check("link", "", err)
	if err == nil {
		// The step that changes the address ends the link: it compares the address before, so that of concurrent uses
		// one succeeds, and a step that fails uses nothing up.
		_, err = l.accounts.Update(ctx, trail.actor, acct, account.Update{
			Email:   &of.Address,
			Reached: of.Address,
			Check:   of.check,
			Origin: account.Origin{
				Request: req.Request,
				Source:  web.AddressText(req.Source),
				Checks:  trail.checks,
			},
		})
	}
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
	}

	return err
}
