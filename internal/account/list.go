package account

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
)

// List returns all accounts by name.
func (a *Accounts) List(ctx context.Context) ([]jeton.User, error) {
	accounts, err := a.store.ListUsers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}

	users := make([]jeton.User, len(accounts))
	for i, acct := range accounts {
		users[i] = acct.User()
	}

	return users, nil
}

// Page chooses accounts to list.
type Page struct {
	After  int64  // number of the account before the first of the page; 0: from the beginning
	Search string // part of a name, an address, a first or a last name; "": all
	Limit  int    // at most so many
}

// Page returns the accounts of a page, and the number that the next one begins after: 0
// when this is the last.
func (a *Accounts) Page(ctx context.Context, p Page) ([]jeton.User, int64, error) {
	limit := p.Limit
	p.Limit++ // whether there is a next one
	accounts, err := a.store.PageUsers(ctx, p)
	if err != nil {
		return nil, 0, fmt.Errorf("list users: %w", err)
	}

	next := int64(0)
	if len(accounts) > limit {
		accounts = accounts[:limit]
		next = accounts[limit-1].ID
	}

	users := make([]jeton.User, len(accounts))
	for i, acct := range accounts {
		users[i] = acct.User()
	}

	return users, next, nil
}

// Count returns how many accounts there are.
func (a *Accounts) Count(ctx context.Context) (int64, error) {
	n, err := a.store.CountUsers(ctx)
	if err != nil {
		return 0, fmt.Errorf("count users: %w", err)
	}
	return n, nil
}
