package invite

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// Acceptance is a stranger's attempt to make an account.
type Acceptance struct {
	Secret   string // of the link
	Name     string
	Password jeton.Secret
	Source   netip.Addr
	Request  string // ID of the request
}

// Accept makes an account by a link, and returns its name. It starts no session: the new user signs in as always. A
// name or a password that is refused takes no use. It returns the errors of Look, jeton.ErrInvalid, ErrEmailTaken,
// jeton.ErrConflict for a name that is taken, jeton.ErrTooMany or jeton.ErrBusy.
func (i *Invites) Accept(ctx context.Context, a Acceptance) (string, error) {
	ev := jeton.Event{
		Time:    i.conf.Now(),
		Request: a.Request,
		Source:  web.AddressText(a.Source),
		Outcome: audit.OK,
	}

	name, err := i.accept(ctx, a, &ev)
	if err != nil {
		// Under an action of its own: no user was added.
		ev.Action, ev.Outcome = audit.InvitationUse, jeton.Code(err)
		i.conf.Audit.Record(ev)
	}

	return name, err
}

// accept makes the account, and fills in its event.
func (i *Invites) accept(ctx context.Context, a Acceptance, ev *jeton.Event) (string, error) {
	inv, err := i.Look(ctx, a.Secret)
	if err != nil {
		return "", err
	}
	ev.Target = "invitation:" + inv.ID

	attempt, err := i.limiter.Begin(ev.Time, inv.ID, a.Source, false)
	if err != nil {
		return "", err
	}

	acct, err := i.conf.Accounts.Prepare(ctx, account.NewUser{
		Name:     a.Name,
		Password: a.Password,
		Email:    inv.Email,
	})
	if err != nil {
		return "", err
	}
	// An invitation with an address is in a mail alone.
	acct.Verified = inv.Email != ""

	added := *ev
	added.Action = audit.UserAdd
	added.Actor, added.Target = "user:"+acct.Name, "user:"+acct.Name
	added.Reason = fmt.Sprintf("invitation %s of %s, groups %s", inv.ID, inv.Actor, strings.Join(inv.Groups, ","))

	err = i.conf.Store.AcceptInvitation(ctx, secret.HashOf(a.Secret), acct, ev.Time, added)
	if errors.Is(err, jeton.ErrNotFound) {
		return "", jeton.ErrBadCredential
	}
	if err != nil {
		return "", err
	}
	attempt.Succeeded()

	return acct.Name, nil
}
