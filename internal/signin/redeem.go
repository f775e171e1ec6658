package signin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// errCodeTaken is a code that another request has taken since it was found.
var errCodeTaken = errors.New("the code was taken by another request")

// redeem takes an authorization code. Its second use ends what came of the first (RFC 6749, section 4.1.2).
func (l *Logins) redeem(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	trail *auditTrail,
) (Relied, error) {
	// The code is taken in the step that adds the grant, for one commit and not two. Where sign-ins are counted, it is
	// taken before: of two requests at once, only one may spend a sign-in.
	find, takes := l.tickets.Look, true
	if c.OpenID.MaxUses != 0 {
		find, takes = l.tickets.Take, false
	}

	code, err := find(ctx, ticket.Code, req.Code)
	used := errors.Is(err, jeton.ErrSpent)
	if errors.Is(err, jeton.ErrBadCredential) {
		// A code that has expired is unknown, and what came of it may be valid for weeks.
		used, err = l.usedBefore(ctx, req.Code, err)
	}
	if used {
		return Relied{}, l.burn(ctx, secret.HashOf(req.Code), trail)
	}
	if err := trail.check("code", "", err); err != nil {
		return Relied{}, err
	}

	out, err := l.redeemFor(ctx, c, req, code, takes, trail)
	if err != nil && takes {
		err = l.refuseCode(ctx, req.Code, err, trail)
	}

	return out, err
}

// refuseCode uses up the code of a request that is refused, and returns the refusal.
func (l *Logins) refuseCode(ctx context.Context, code string, refusal error, trail *auditTrail) error {
	switch {
	case errors.Is(refusal, errCodeTaken):
		return l.burn(ctx, secret.HashOf(code), trail)
	case errors.Is(refusal, jeton.ErrUnavailable), errors.Is(refusal, jeton.ErrBusy):
		// The step may have taken it. Then a code that is taken here would look as if it was used twice.
		return refusal
	}

	_, err := l.tickets.Take(ctx, ticket.Code, code)
	switch {
	case errors.Is(err, jeton.ErrSpent):
		return l.burn(ctx, secret.HashOf(code), trail)
	case err != nil && !errors.Is(err, jeton.ErrBadCredential):
		return trail.check("store", "", err)
	}

	return refusal
}

// redeemFor adds the grant of a code, which it takes unless that was done.
func (l *Logins) redeemFor(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	code ticket.Ticket,
	takes bool,
	trail *auditTrail,
) (Relied, error) {
	data, err := boundCode(code, token.ServiceOfClient(c.Name), req.Redirect, req.Verifier, trail)
	if err != nil {
		return Relied{}, err
	}

	parent, acct, err := l.signedIn(ctx, code, "issuer", trail)
	if err != nil {
		return Relied{}, err
	}
	parent = data.proved(parent)
	if err := l.mayUse(c, acct, trail); err != nil {
		return Relied{}, err
	}

	terms, err := l.resource(ctx, c, acct, req, granted{data.Resource, parent.AMR}, trail)
	if err != nil {
		return Relied{}, err
	}

	out, err := l.relied(ctx, c, acct, parent)
	if err != nil {
		return Relied{}, trail.check("store", "", err)
	}
	out.Client = c
	out.Nonce = data.Nonce
	out.Level = factor.Level(parent.AMR, data.Levels)

	// Last, as a refusal costs no use.
	if err := l.spendSignIn(ctx, code.Login, c, trail); err != nil {
		return Relied{}, err
	}

	grant := out.grant(code, data, parent)
	grant.Code, grant.Takes = secret.HashOf(req.Code), takes
	grant.Source = web.AddressText(req.Source)

	trail.pass("client", c.Name)
	out.Issued, err = l.tokens.Grant(ctx, token.GrantRequest{
		Grant:    grant,
		Lifetime: client.RefreshLifetime(c.OpenID),
		Ends:     parent.Expires,
		Service:  data.Resource,
		Terms:    terms,
	}, trail.event(l.now(), nil))
	if errors.Is(err, jeton.ErrSpent) {
		return Relied{}, errCodeTaken
	}

	return out, trail.check("grant", "", err)
}

// grant returns what a code gave to a client, whose answer begins with r.
func (r Relied) grant(code ticket.Ticket, data codeData, parent jeton.Session) token.Grant {
	return token.Grant{
		Record: token.Record{
			Name:   r.Client.Name,
			Owner:  token.UserOwner(r.User),
			Scopes: data.Scopes,
		},
		Client:    r.Client.ID,
		Login:     code.Login,
		SessionID: r.Session,
		Subject:   r.Subject,
		Offline:   slices.Contains(data.Scopes, openid.ScopeOffline),
		SignedIn:  r.SignedIn,
		Methods:   strings.Join(parent.AMR, " "),
		Level:     r.Level,
	}
}

// relied returns what an ID token says of a user and a sign-in session to a client.
func (l *Logins) relied(
	ctx context.Context,
	c client.Client,
	acct account.Account,
	parent jeton.Session,
) (Relied, error) {
	subject, err := l.subjects.Of(ctx, c, acct.UUID)
	if err != nil {
		return Relied{}, err
	}
	session, err := l.subjects.SessionOf(ctx, c, parent.ID)

	return Relied{
		User:     acct,
		Subject:  subject,
		Session:  session,
		SignedIn: signedInAt(parent),
		Methods:  parent.AMR,
	}, err
}

// usedBefore reports whether a code that is unknown was used and has expired, or returns why it is refused.
func (l *Logins) usedBefore(ctx context.Context, code string, refusal error) (bool, error) {
	used, err := l.tokens.CodeUsed(ctx, secret.HashOf(code))
	if err != nil {
		return false, err
	}

	return used, refusal
}

// burn ends what came of the first use of a code, and of one that is still running.
func (l *Logins) burn(ctx context.Context, code secret.Hash, trail *auditTrail) error {
	refusal := trail.fail("code", "", CodeUsed)

	event := trail.event(l.now(), refusal)
	event.Action, event.Outcome = audit.TokenRevoke, audit.OK
	if err := l.tokens.BurnCode(ctx, code, event); err != nil {
		return err
	}

	return refusal
}
