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

// VerifiesAddresses reports whether a new address counts only after the user has followed the link of a mail.
func (l *Logins) VerifiesAddresses() bool { return l.mails.On != nil && l.mails.On() }

// NewAddress returns a new address of a user, which has to be valid. account.Update stores it and adds a mail with its
// link; WakeMails then sends the mail, in the language of ctx. The address before counts until the link is used. The
// caller has proved the user, and has limited the requests.
func (l *Logins) NewAddress(ctx context.Context, address string) (*account.Pending, error) {
	m, err := mail.New(mail.Verify, l.now())
	if err != nil {
		return nil, err
	}
	text, err := l.mails.Links.Secret(m.ID)
	if err != nil {
		return nil, err
	}

	return &account.Pending{
		Email:    address,
		Mail:     m.ID,
		Language: mail.LanguageOf(ctx),
		Link:     secret.HashOf(text.Reveal()),
		Expires:  m.Expires,
		Data:     func(acct account.Account) ([]byte, error) { return addressData(acct, address) },
	}, nil
}

// addressData returns the data of the ticket of a link that makes an address that of a user.
func addressData(acct account.Account, address string) ([]byte, error) {
	return json.Marshal(newAddress{recovery{User: acct.UUID, Version: acct.Version}, address, &acct.Email})
}

// PendingAddress returns the address of a user that counts once its link was used, or "".
func (l *Logins) PendingAddress(ctx context.Context, acct account.Account) (string, error) {
	list, err := l.tickets.List(ctx, ticket.Verify, acct.ID)
	if err != nil {
		return "", err
	}

	for _, t := range list {
		var of newAddress
		if err := json.Unmarshal(t.Data, &of); err != nil {
			return "", err
		}
		if of.check(acct) == nil {
			return of.Address, nil
		}
	}

	return "", nil
}

// addressLink returns the path of the link of a mail. It stores the ticket if the mail is of an earlier version, which
// did not store both in one step. It returns jeton.ErrNotFound for a link that has ended since.
func (l *Logins) addressLink(ctx context.Context, m mail.Mail, acct account.Account) (string, error) {
	text, err := l.mails.Links.Secret(m.ID)
	if err != nil {
		return "", err
	}
	data, err := addressData(acct, m.To)
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

	// The step that changes the address ends the link: it compares the address before, so that of concurrent uses one
	// succeeds, and a step that fails uses nothing up.
	return l.useLink(ctx, &trail, acct, err, account.Update{
		Email:   &of.Address,
		Reached: of.Address,
		Check:   of.check,
	})
}

// useLink makes the change of a link that was looked at, with refused as the outcome, and records why it is not made.
func (l *Logins) useLink(
	ctx context.Context,
	trail *auditTrail,
	acct account.Account,
	refused error,
	change account.Update,
) error {
	err := trail.check("link", "", refused)
	if err == nil {
		change.Origin = account.Origin{
			Request: trail.request,
			Source:  web.AddressText(trail.source),
			Checks:  trail.checks,
		}
		_, err = l.accounts.Update(ctx, trail.actor, acct, change)
	}
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
	}

	return err
}
