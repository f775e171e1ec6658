package signin

import (
	"context"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// BeginPasskeyFactor returns the options for a passkey as the second factor of the sign-in of a ticket. It returns
// jeton.ErrBadCredential for a sign-in that has ended, and jeton.ErrNotFound if its user has no passkey, or has used a
// recovery code: that leads to a new factor alone.
func (l *Logins) BeginPasskeyFactor(ctx context.Context, p passkey.Party, text string) ([]byte, error) {
	acct, data, err := l.awaitingUser(ctx, text)
	if err != nil {
		return nil, err
	}

	list, err := l.passkeysOf(ctx, acct.ID)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || data.App != "" {
		return nil, jeton.ErrNotFound
	}

	// The sign-in stands for the browser, which has its ticket in a cookie.
	challenge, err := l.issueChallenge(ctx, ticket.PasskeyFactor, text, nil, bound{user: acct.ID})
	if err != nil {
		return nil, err
	}

	return p.Request(challenge, keysOf(list), false)
}

// PasskeyFactor accepts a passkey for the sign-in that awaits it, and starts its session. The authenticator need not
// have verified the user: the password was the first factor. It has the errors of Factor.
func (l *Logins) PasskeyFactor(
	ctx context.Context,
	req FactorRequest,
	response PasskeyRequest,
) (session.Started, jeton.Principal, error) {
	trail := req.trail()
	response.Browser = req.Ticket

	return l.logIn(&trail, "passkey", func() (session.Started, account.Account, error) {
		return l.finish(ctx, req, &trail, func(acct account.Account, data awaiting) (string, error) {
			if data.App != "" {
				return "", &refused{SignInEnded}
			}

			_, proof, err := l.usePasskey(ctx, response, ticket.PasskeyFactor, bound{user: acct.ID}, &trail)

			return factorMethod(proof), err
		})
	})
}

// factorMethod returns the methods of a passkey beside another factor, which withMethods calls multiple itself.
func factorMethod(proof passkey.Proof) string {
	return strings.TrimSuffix(strings.Join(proof.Methods(), " "), " "+ByMultiple)
}
