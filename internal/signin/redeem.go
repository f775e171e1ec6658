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

// redeem takes an authorization code. Its second use revokes the tokens of the first (RFC 6749, section 4.1.2).
func (l *Logins) redeem(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	trail *auditTrail,
) (Relied, error) {
	// The grant step takes the code, for one commit and not two. Where sign-ins are counted, the code is taken before:
	// of two requests at once, only one may spend a sign-in.
	find, takeWithGrant := l.tickets.Look, true
	if c.OpenID.MaxUses != 0 {
		find, takeWithGrant = l.tickets.Take, false
	}

	code, err := find(ctx, ticket.Code, req.Code)
	used := errors.Is(err, jeton.ErrSpent)
	if errors.Is(err, jeton.ErrBadCredential) {
		// A code that has expired is unknown, and the tokens of its use may be valid for weeks.
		usedBefore, findErr := l.tokens.CodeUsed(ctx, secret.HashOf(req.Code))
		if findErr != nil {
			err = findErr
		}
		used = usedBefore
	}
	if used {
		return Relied{}, l.revokeByCode(ctx, secret.HashOf(req.Code), trail)
	}
	if err := trail.check("code", "", err); err != nil {
		return Relied{}, err
	}

	out, err := l.redeemFor(ctx, c, req, code, takeWithGrant, trail)
	if err != nil && takeWithGrant {
		err = l.refuseCode(ctx, req.Code, err, trail)
	}

	return out, err
}

// refuseCode uses up the code of a request that is refused, and returns the refusal.
func (l *Logins) refuseCode(ctx context.Context, code string, refusal error, trail *auditTrail) error {
	switch {
	case errors.Is(refusal, errCodeTaken):
		return l.revokeByCode(ctx, secret.HashOf(code), trail)
	case errors.Is(refusal, jeton.ErrUnavailable), errors.Is(refusal, jeton.ErrBusy):
		// The store may have committed; taking the code again would look like reuse.
		return refusal
	}

	_, err := l.tickets.Take(ctx, ticket.Code, code)
	switch {
	case errors.Is(err, jeton.ErrSpent):
		return l.revokeByCode(ctx, secret.HashOf(code), trail)
	case err != nil && !errors.Is(err, jeton.ErrBadCredential):
		return trail.check("store", "", err)
	}

	return refusal
}

// redeemFor adds the grant of a code. With takeWithGrant, the grant step takes the code.
func (l *Logins) redeemFor(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	code ticket.Ticket,
	takeWithGrant bool,
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
	grant.Code, grant.TakeCode = secret.HashOf(req.Code), takeWithGrant
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

// grant returns the grant of a code to a client.
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
	if err != nil {
		return Relied{}, err
	}

	return Relied{
		User:     acct,
		Subject:  subject,
		Session:  session,
		SignedIn: signedInAt(parent),
		Methods:  parent.AMR,
	}, nil
}

// revokeByCode revokes the tokens of the first use of a code, also of one still in progress.
func (l *Logins) revokeByCode(ctx context.Context, code secret.Hash, trail *auditTrail) error {
	refusal := trail.fail("code", "", CodeUsed)

	event := trail.event(l.now(), refusal)
	event.Action, event.Outcome = audit.TokenRevoke, audit.OK
	if err := l.tokens.RevokeByCode(ctx, code, event); err != nil {
		return err
	}

	return refusal
}
