// Package invite lets users make accounts of their own, by the link of an invitation.
//
// An invitation is good for a limited number of accounts and a limited time. A use is counted in the step that adds the
// account: of any number of concurrent callers on all nodes, as many succeed as there are uses. The groups of the
// account are those that the inviter has given, and are given only as long as the inviter may give them. Only the hash
// of the secret of a link is stored. Looking at an invitation changes nothing.
//
// Package account has the rules for names and passwords, mail sends the link, and api decides who may invite.
package invite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
)

const (
	// DefaultLifetime is how long an invitation is valid unless the inviter says otherwise.
	DefaultLifetime = 30 * time.Minute
	// MaxLifetime bounds it.
	MaxLifetime = 7 * 24 * time.Hour
	// MinLifetime is the least.
	MinLifetime = time.Minute

	// MaxUses bounds the accounts of an invitation.
	MaxUses = 1000
	// MaxNote bounds a note, in bytes.
	MaxNote = 100
	// MaxKept bounds the invitations that are kept at the same time.
	MaxKept = 1000

	// keepEnded is how long an expired invitation is listed.
	keepEnded = 24 * time.Hour

	idPrefix = "i_"
)

// Invitation is an invitation as stored, without its secret.
type Invitation struct {
	ID      string // public handle
	Hash    secret.Hash
	Note    string
	Email   string   // address of the new user, to which the link was sent; "": none
	Groups  []string // of the new users
	Inviter int64    // number of the user who invites; 0: an operator
	Actor   string   // who invites, as in the audit log
	Most    int64    // uses
	Used    int64
	Created time.Time
	Expires time.Time
}

// ErrEmailTaken means that a user has had the address of an invitation since it was sent: it makes no account. It is a
// jeton.ErrConflict.
var ErrEmailTaken = jeton.WithDetail(jeton.ErrConflict, "there is a user of the address of the invitation")

// Store keeps invitations. Methods are safe for concurrent use, on many nodes. The invitations of a user end with it.
type Store interface {
	// AddInvitation adds an invitation, the mail that has its link unless nil, and the event. It returns
	// jeton.ErrConflict if a user has the address, or MaxKept are kept.
	AddInvitation(ctx context.Context, inv Invitation, m *mail.Mail, ev jeton.Event) error
	// FindInvitation returns the invitation of a hash, or jeton.ErrNotFound for one that has expired at that time, or
	// whose inviter is no Admin any more. It returns jeton.ErrSpent with one that has no use left.
	FindInvitation(ctx context.Context, h secret.Hash, now time.Time) (Invitation, error)
	// ListInvitations returns all invitations, newest first, also those that have expired.
	ListInvitations(ctx context.Context) ([]Invitation, error)
	// EndInvitation deletes the invitation of an id and adds the event, or returns jeton.ErrNotFound.
	EndInvitation(ctx context.Context, id string, ev jeton.Event) error
	// AcceptInvitation takes a use and adds the account with the groups and the address of the invitation, and the
	// event, in one step. It returns the errors of FindInvitation, ErrEmailTaken, and jeton.ErrConflict if the name is
	// taken; then it takes nothing.
	AcceptInvitation(ctx context.Context, h secret.Hash, a account.Account, now time.Time, ev jeton.Event) error
	// SweepInvitations deletes at most limit invitations that expired before a time, and returns how many.
	SweepInvitations(ctx context.Context, before time.Time, limit int) (int, error)
}

// Config is what New needs.
type Config struct {
	Store    Store
	Accounts *account.Accounts
	Audit    *audit.Log
	Links    mail.Links
	Path     func(secret jeton.Secret) string // of the page of an invitation
	Mailing  func() bool                      // reports whether mail is sent
	Wake     func()                           // has mails sent that were added
	Now      func() time.Time
	Rand     io.Reader
	Clock    *sweep.Clock
	Log      *slog.Logger
}

// Invites is the invitations of a server. It is safe for concurrent use.
type Invites struct {
	conf    Config
	limiter *limit.Limiter // of attempts that failed: each says whether a name is taken
}

// New returns the invitations of a server. Run deletes those that have expired.
func New(c Config) (*Invites, error) {
	l, err := limit.New(limit.Config{
		Pair:    limit.Rate{Burst: 20, Every: time.Minute},
		Account: limit.Rate{Burst: 50, Every: 10 * time.Second},
		Source:  limit.Rate{Burst: 50, Every: 10 * time.Second},
	})

	return &Invites{conf: c, limiter: l}, err
}

// Request is an invitation that a user or an operator makes.
type Request struct {
	Note     string
	Email    string // to send the link to; "": it is returned
	Language string // of the mail; "": that of the configuration
	Groups   []string
	Uses     int64
	Lifetime time.Duration
	Inviter  int64       // as in Invitation
	Event    jeton.Event // without what it is about
}

// Add adds an invitation and returns the secret of its link, or the zero Secret if the link is sent by mail. It returns
// jeton.ErrInvalid, or jeton.ErrConflict if a user has the address, no mail is sent, or too many invitations are kept.
func (i *Invites) Add(ctx context.Context, req Request) (Invitation, jeton.Secret, error) {
	inv, err := i.newInvitation(req)
	if err != nil {
		return Invitation{}, jeton.Secret{}, err
	}

	var text jeton.Secret
	var m *mail.Mail
	if inv.Email == "" {
		text, err = secret.New(secret.Ticket, i.conf.Rand)
	} else {
		text, m, err = i.letter(inv, req.Language)
	}
	if err != nil {
		return Invitation{}, jeton.Secret{}, err
	}
	inv.Hash = secret.HashOf(text.Reveal())

	ev := req.Event
	ev.Action, ev.Target = audit.InvitationAdd, "invitation:"+inv.ID
	ev.Reason = fmt.Sprintf("at most %d accounts, groups %s", inv.Most, strings.Join(inv.Groups, ","))
	if err := i.conf.Store.AddInvitation(ctx, inv, m, ev); err != nil {
		return Invitation{}, jeton.Secret{}, fmt.Errorf("add invitation: %w", err)
	}

	if m != nil {
		i.conf.Wake()
		return inv, jeton.Secret{}, nil
	}

	return inv, text, nil
}

// newInvitation checks a request and returns the invitation, without its hash.
func (i *Invites) newInvitation(req Request) (Invitation, error) {
	groups, err := account.Groups(req.Groups)
	if err != nil {
		return Invitation{}, err
	}

	profile, err := account.NewProfile(req.Email, "", "")
	if err != nil {
		return Invitation{}, err
	}

	invalid := func(format string, args ...any) (Invitation, error) {
		return Invitation{}, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case len(req.Note) > MaxNote || !utf8.ValidString(req.Note) || strings.ContainsFunc(req.Note, isControl):
		return invalid("invalid note: want at most %d bytes of text", MaxNote)
	case req.Lifetime < MinLifetime || req.Lifetime > MaxLifetime:
		return invalid("invalid lifetime %v: want %v to %v", req.Lifetime, MinLifetime, MaxLifetime)
	case req.Uses < 1 || req.Uses > MaxUses:
		return invalid("invalid number of uses %d: want 1 to %d", req.Uses, MaxUses)
	case profile.Email != "" && req.Uses != 1:
		return invalid("an invitation that is sent to an address is for one account")
	case profile.Email != "" && !i.conf.Mailing():
		return Invitation{}, jeton.WithDetail(
			jeton.ErrConflict, "no mail is sent; configure mail, or invite without an address and pass the link on",
		)
	}

	now := i.conf.Now().Truncate(time.Millisecond) // as stores keep it
	id, err := secret.ID(idPrefix, now, i.conf.Rand)

	return Invitation{
		ID:      id,
		Note:    req.Note,
		Email:   profile.Email,
		Groups:  groups,
		Inviter: req.Inviter,
		Actor:   req.Event.Actor,
		Most:    req.Uses,
		Created: now,
		Expires: now.Add(req.Lifetime),
	}, err
}

// isControl reports whether a character is a control character.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// letter returns the secret of an invitation that is sent by mail, and the mail. The secret is derived from the id of
// the mail: no row has it.
func (i *Invites) letter(inv Invitation, language string) (jeton.Secret, *mail.Mail, error) {
	m, err := mail.New(mail.Invitation, inv.Created)
	if err != nil {
		return jeton.Secret{}, nil, err
	}

	m.To = inv.Email
	m.Language = language
	m.Facts.Actor, m.Facts.At = inv.Actor, inv.Created
	// A mail with a dead link is of no use.
	if inv.Expires.Before(m.Expires) {
		m.Expires = inv.Expires
	}
	text, err := i.conf.Links.Secret(m.ID)

	return text, &m, err
}

// Letter returns the letter of a mail that invites. It returns mail.ErrDrop if the invitation has ended.
func (i *Invites) Letter(ctx context.Context, m mail.Mail) (mail.Letter, error) {
	text, err := i.conf.Links.Secret(m.ID)
	if err != nil {
		return mail.Letter{}, err
	}

	inv, err := i.conf.Store.FindInvitation(ctx, secret.HashOf(text.Reveal()), i.conf.Now())
	if errors.Is(err, jeton.ErrNotFound) || errors.Is(err, jeton.ErrSpent) {
		return mail.Letter{}, mail.ErrDrop
	}

	return mail.Letter{
		Facts: m.Facts,
		To:    m.To,
		Link:  i.conf.Path(text),
		Until: inv.Expires,
	}, err
}

// List returns all invitations, newest first, also those that have expired lately.
func (i *Invites) List(ctx context.Context) ([]Invitation, error) {
	list, err := i.conf.Store.ListInvitations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}

	return list, nil
}

// End ends the invitation of an id, or returns jeton.ErrNotFound. Accounts that were made by it stay.
func (i *Invites) End(ctx context.Context, id string, ev jeton.Event) error {
	ev.Action, ev.Target = audit.InvitationEnd, "invitation:"+id
	if err := i.conf.Store.EndInvitation(ctx, id, ev); err != nil {
		return fmt.Errorf("end invitation: %w", err)
	}

	return nil
}

// Look returns the invitation of a link, and takes no use. It returns jeton.ErrBadCredential or jeton.ErrSpent for one
// that makes no account any more.
func (i *Invites) Look(ctx context.Context, text string) (Invitation, error) {
	// What does not have the form costs no query.
	if !secret.Is(secret.Ticket, text) {
		return Invitation{}, jeton.ErrBadCredential
	}

	inv, err := i.conf.Store.FindInvitation(ctx, secret.HashOf(text), i.conf.Now())
	if errors.Is(err, jeton.ErrNotFound) {
		return Invitation{}, jeton.ErrBadCredential
	}

	return inv, err
}

// Run deletes invitations that expired a while ago, until ctx ends.
func (i *Invites) Run(ctx context.Context) error {
	sweep.Loop(ctx, sweep.Interval, func(ctx context.Context) {
		err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
			before, err := i.conf.Clock.Before(ctx, i.conf.Now(), keepEnded)
			if err != nil {
				return 0, err
			}

			return i.conf.Store.SweepInvitations(ctx, before, limit)
		})
		if err != nil {
			i.conf.Log.Warn("delete expired invitations", "error", err)
		}
	})

	return nil
}
