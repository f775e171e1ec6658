package move

import (
	"context"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Planned is a step that a declaration would take.
type Planned = statements.Planned

// PlanDeclared returns what declaring these users and clients would change in a database, which it
// only reads.
func PlanDeclared(
	ctx context.Context,
	from Source,
	users []account.Account,
	clients []client.Client,
) (plan statements.Plan, err error) {
	err = from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) (err error) {
		plan, err = statements.PlanDeclared(ctx, q, users, clients)
		return err
	})

	return plan, err
}

// Declarable returns all users and clients of a database.
func Declarable(ctx context.Context, from Source) (users []account.Account, clients []client.Client, err error) {
	err = from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) (err error) {
		users, clients, err = statements.Declarable(ctx, q)
		return err
	})

	return users, clients, err
}
