package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// RecoveryLifetime is how long a link that sets a password is valid.
const RecoveryLifetime = 30 * time.Minute

// MailStore is what links in mails need of the store.
type MailStore interface {
	// AddMail is that of mail.Store.
	AddMail(ctx context.Context, m mail.Mail, ev jeton.Event) error
	// AddMailLink stores the ticket of the link of a mail, and deletes the earlier ones of its purpose and user that
	// were not taken. Those of notices stay; a user has ticket.MaxPerUser of them, and jeton.ErrTooMany is returned for
	// another one. A second call changes nothing. It returns jeton.ErrNotFound if the mail no longer exists, or if its
	// ticket has ended since the first call.
	AddMailLink(ctx context.Context, mailID string, h secret.Hash, t ticket.Ticket) error
	// EndByNotice takes the ticket of the link of a notice and ends all sessions, tokens and links of its user, what
	// devices are known, and the identities that were connected since the event of the notice, which is
	// mail.LinkLifetime before the ticket expires, in one step with the event. The tickets of later notices end, too,
	// as who took over the account may have them; the earlier ones stay. It returns the errors of ticket.Store for a
	// ticket that cannot be taken.
	EndByNotice(ctx context.Context, h secret.Hash, now time.Time, ev jeton.Event) error
}

// Mails is what mails need.
type Mails struct {
	Store   MailStore
	Links   mail.Links
	Path    func(secret jeton.Secret) string // of the page that sets a password
	NotMe   func(secret jeton.Secret) string // of the page that ends all sessions and tokens
	Verify  func(secret jeton.Secret) string // of the page that makes an address that of its user
	On      func() bool                      // whether mail is sent
	Limiter *limit.Limiter                   // of requests for a link, and of new addresses
	Wake    func()                           // has mails sent that were added
}

// NewRecoveryLimiter limits requests for links, and new addresses: each may send a mail.
func NewRecoveryLimiter() (*limit.Limiter, error) {
	return limit.New(limit.Config{
		Pair:    limit.Rate{Burst: 3, Every: 10 * time.Minute},
		Account: limit.Rate{Burst: 5, Every: 10 * time.Minute},
		Source:  limit.Rate{Burst: 20, Every: time.Minute},
	})
}

// LimitAddress counts a change of a user's own e-mail address. It returns jeton.ErrTooMany for one too many: each sends
// a mail to the new address or to the one before, which may be that of a stranger. The limits are those of requests for
// a link.
func (l *Logins) LimitAddress(acct account.Account, source netip.Addr) error {
	if acct.Email == "" && !l.VerifiesAddresses() {
		return nil // no mail is sent
	}
	_, err := l.mails.Limiter.Begin(l.now(), "address of "+acct.UUID, source, false)

	return err
}

// recovery is the data of a ticket that sets a password.
type recovery struct {
	User    string `json:"user"`    // public id
	Version int64  `json:"version"` // of the credential that it replaces
	Sent    string `json:"sent"`    // address to which a mail had it; "": none
	granted bool   // an administrator or an operator passed the link on
}

// RecoveryRequest is a stranger's request for a link that sets a password.
type RecoveryRequest struct {
	Name     string // as it was typed: a user name or an e-mail address
	Language string // of the mail
	Source   netip.Addr
	Request  string // ID of the request
}

// AskRecovery has a link sent to the user of a name, if there is one with an address. It looks at no account, so that
// its answer and its time are those of any other name. It returns jeton.ErrInvalid, jeton.ErrTooMany or jeton.ErrBusy.
func (l *Logins) AskRecovery(ctx context.Context, req RecoveryRequest) error {
	name := strings.TrimSpace(req.Name)
	if name == "" || len(name) > mail.MaxAddress {
		return jeton.ErrInvalid
	}

	now := l.now()
	if _, err := l.mails.Limiter.Begin(now, name, req.Source, false); err != nil {
		return err
	}

	m, err := mail.New(mail.Recovery, now)
	if err != nil {
		return err
	}
	m.To = name
	m.Language = req.Language
	m.Expires = now.Add(RecoveryLifetime)
	m.Facts = mail.Facts{
		Source:  web.AddressText(req.Source),
		Request: req.Request,
		At:      now,
	}

	// What was typed is not recorded: it may be a password, by mistake.
	err = l.mails.Store.AddMail(ctx, m, jeton.Event{
		Time:    now,
		Request: req.Request,
		Action:  audit.UserRecover,
		Outcome: audit.OK,
		Reason:  "a link to set a password was asked for",
		Source:  web.AddressText(req.Source),
	})
	if err == nil {
		l.WakeMails()
	}

	return err
}

// recoveryLetter returns the letter of a link that sets a password, for a user who has one and may sign in.
func (l *Logins) recoveryLetter(ctx context.Context, m mail.Mail) (mail.Letter, error) {
	acct, err := l.accounts.FindForLogin(ctx, m.To, strings.Contains(m.To, "@"), config.IssuerName)
	if err != nil {
		return mail.Letter{}, err
	}

	// An account without a password is one of another provider. A mail must not add a weaker way in.
	if acct.ID == 0 || acct.Disabled || acct.Declared || acct.Email == "" || acct.Password == "" {
		return mail.Letter{}, mail.ErrDrop
	}

	// The new password alone would open the account of a user who signs in with passkeys.
	list, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return mail.Letter{}, err
	}
	isPasskey := func(one factor.Factor) bool { return one.Kind == factor.Passkey }
	if !factor.Second(list) && slices.ContainsFunc(list, isPasskey) {
		return mail.Letter{}, mail.ErrDrop
	}

	text, err := l.mails.Links.Secret(m.ID)
	if err != nil {
		return mail.Letter{}, err
	}
	t, err := recoveryTicket(ticket.RecoverMail, acct, m.Expires)
	if err != nil {
		return mail.Letter{}, err
	}

	err = l.mails.Store.AddMailLink(ctx, m.ID, secret.HashOf(text.Reveal()), t)
	if errors.Is(err, jeton.ErrNotFound) {
		return mail.Letter{}, mail.ErrDrop
	}
	if err != nil {
		return mail.Letter{}, err
	}

	letter := mail.Letter{
		Facts: m.Facts,
		To:    acct.Email,
		Link:  l.mails.Path(text),
		Until: m.Expires,
	}
	letter.Name = acct.Name

	return letter, nil
}

// recoveryTicket returns the ticket that sets the password of an account. A link by mail has a purpose of its own, so
// that strangers, who can have a new one sent at any time, end no link of an administrator.
func recoveryTicket(p ticket.Purpose, acct account.Account, expires time.Time) (ticket.Ticket, error) {
	in := recovery{User: acct.UUID, Version: acct.Version}
	if p == ticket.RecoverMail {
		in.Sent = acct.Email
	}
	data, err := json.Marshal(in)

	return ticket.Ticket{
		Purpose: p,
		Subject: acct.ID,
		Data:    data,
		Expires: expires,
	}, err
}

// GrantRecovery issues the secret of a link that sets the password of a user. Earlier ones of the user end.
func (l *Logins) GrantRecovery(ctx context.Context, acct account.Account, expires time.Time) (jeton.Secret, error) {
	for _, p := range []ticket.Purpose{ticket.Recover, ticket.RecoverMail} {
		if err := l.tickets.End(ctx, p, acct.ID); err != nil {
			return jeton.Secret{}, err
		}
	}

	t, err := recoveryTicket(ticket.Recover, acct, expires)
	if err != nil {
		return jeton.Secret{}, err
	}

	return l.tickets.Issue(ctx, t)
}

// Recoverable returns the name of the user whose password a link sets. It does not use the link up. It returns
// jeton.ErrBadCredential or jeton.ErrSpent for a link that sets none any more.
func (l *Logins) Recoverable(ctx context.Context, text string) (string, error) {
	acct, _, err := l.recoverable(ctx, text)
	return acct.Name, err
}

// recoverable returns the account of a link, with its ticket's data.
func (l *Logins) recoverable(ctx context.Context, text string) (account.Account, recovery, error) {
	var of recovery

	t, err := l.tickets.Look(ctx, ticket.Recover, text)
	if errors.Is(err, jeton.ErrBadCredential) {
		t, err = l.tickets.Look(ctx, ticket.RecoverMail, text)
	}
	if err != nil {
		return account.Account{}, of, err
	}
	if err := json.Unmarshal(t.Data, &of); err != nil {
		return account.Account{}, of, err
	}
	of.granted = t.Purpose == ticket.Recover

	acct, err := l.accounts.FindID(ctx, of.User)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return account.Account{}, of, &refused{UnknownUser}
	case err != nil:
		return account.Account{}, of, err
	}

	return acct, of, of.check(acct)
}

// check returns jeton.ErrBadCredential if the credential has changed, or the address to which the link was sent, or the
// account is disabled.
func (r recovery) check(acct account.Account) error {
	if acct.Version != r.Version || r.Sent != "" && acct.Email != r.Sent {
		return jeton.ErrBadCredential
	}
	if acct.Disabled {
		return &refused{Disabled}
	}

	return nil
}

// ResetRequest is a user's attempt to set a password by a link.
type ResetRequest struct {
	Secret   string // of the link
	Password jeton.Secret
	Source   netip.Addr
	Request  string // ID of the request
}

// ResetPassword sets the password of a link's user, and ends all sessions, tokens and links of the user. It starts no
// session: the user signs in with the new password, and with a second factor where there is one. Of concurrent calls
// with one link, one succeeds. A password that is refused does not use the link up. It returns the name of the user.
func (l *Logins) ResetPassword(ctx context.Context, req ResetRequest) (string, error) {
	trail := auditTrail{
		action:  audit.UserRecover,
		source:  req.Source,
		request: req.Request,
	}

	acct, of, err := l.recoverable(ctx, req.Secret)
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}

	// The new password is another version of the credential. The step that sets it compares the version, so that it is
	// the one that uses the link up.
	err = l.useLink(ctx, &trail, acct, err, account.Update{
		Password: &req.Password,
		Reached:  of.Sent,
		EndLinks: of.granted,
		Check:    of.check,
	})

	return acct.Name, err
}
