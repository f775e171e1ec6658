package signin

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/openid"
)

// Preview is what a client would learn of a user who signs in there.
type Preview struct {
	Client   client.Client
	User     account.Account
	Scopes   []string      // of the request, those that a user can grant
	Checks   []jeton.Check // whether the user may sign in at the client
	Refused  error         // the check that failed; nil: none
	IDToken  openid.Claims // of the user in the ID token
	UserInfo openid.Claims // in the answer of the userinfo endpoint
}

// Preview returns what a client would learn of a user who grants scopes; scope openid is always among them. It signs
// no user in, and leaves nothing in the audit log. It returns jeton.ErrNotFound for an unknown client or user, and
// jeton.ErrInvalid for a client that signs no users in.
func (l *Logins) Preview(ctx context.Context, clientName, userName string, scopes []string) (Preview, error) {
	c, err := l.clients.Find(ctx, clientName)
	if err != nil {
		return Preview{}, fmt.Errorf("preview claims: %w", err)
	}
	if c.OpenID == nil {
		return Preview{}, errNoRelying
	}

	acct, err := l.accounts.Find(ctx, userName)
	if err != nil {
		return Preview{}, fmt.Errorf("preview claims: %w", err)
	}

	subject, err := l.subjects.Of(ctx, c, acct.UUID)
	if err != nil {
		return Preview{}, fmt.Errorf("preview claims: %w", err)
	}

	granted := UserScopes(append([]string{openid.ScopeOpenID}, scopes...), nil)
	var trail auditTrail
	refused := l.maySignIn(c, acct, &trail)

	return Preview{
		Client:   c,
		User:     acct,
		Scopes:   granted,
		Checks:   trail.checks,
		Refused:  refused,
		IDToken:  openid.IDTokenClaims(c.OpenID, subject, acct, granted),
		UserInfo: openid.ClaimsOf(subject, acct, granted),
	}, nil
}

// maySignIn checks what must hold for a user to sign in at a client, beside what the user proves.
func (l *Logins) maySignIn(c client.Client, acct account.Account, trail *auditTrail) error {
	if c.Disabled {
		return trail.fail("client", "", Reason(client.Disabled))
	}
	trail.pass("client", c.Name)

	switch {
	case acct.Disabled:
		return trail.fail("user", "", Disabled)
	case !acct.ValidAt(config.IssuerName):
		return trail.fail("user", "", UnknownUser)
	}
	trail.pass("user", acct.Name)

	return l.mayUse(c, acct, trail)
}
