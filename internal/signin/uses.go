package signin

import (
	"context"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

// signInUses is the name of the budget of sign-ins at a relying party.
const signInUses = "sign-in"

// SignInLeft returns jeton.ErrSpent if the sign-in session of a login has signed its user in at a client as often as it
// may. It takes no use.
func (l *Logins) SignInLeft(ctx context.Context, login int64, c client.Client) error {
	budget, err := l.signInBudget(ctx, c)
	if err != nil || budget == nil {
		return err
	}

	_, err = l.counts.Left(ctx, &count.Key{Login: login}, budget)

	return err
}

// spendSignIn takes a use of a sign-in session at a client, durably. A code that is never redeemed costs none.
func (l *Logins) spendSignIn(ctx context.Context, login int64, c client.Client, trail *auditTrail) error {
	budget, err := l.signInBudget(ctx, c)
	if err != nil || budget == nil {
		return err
	}

	_, err = l.counts.Spend(ctx, &count.Key{Login: login}, budget)

	return trail.check("sign-in uses", "", err)
}

// signInBudget returns how often a sign-in session may sign its user in at a client; nil: without limit.
func (l *Logins) signInBudget(ctx context.Context, c client.Client) ([]policy.Budget, error) {
	if c.OpenID.MaxUses == 0 {
		return nil, nil
	}

	id, err := l.counts.BudgetID(ctx, token.ServiceOfClient(c.Name), signInUses)
	if err != nil {
		return nil, err
	}

	return []policy.Budget{{ID: id, Name: signInUses, Max: c.OpenID.MaxUses}}, nil
}
