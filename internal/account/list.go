package account

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Count returns the number of accounts: with a service, of those that are valid only there.
func (a *Accounts) Count(ctx context.Context, service string) (int64, error) {
	n, err := a.store.CountUsers(ctx, service)
	if err != nil {
		return 0, fmt.Errorf("count users: %w", err)
	}

	return n, nil
}

// Page chooses accounts to list.
type Page struct {
	After   int64  // number of the account before the first of the page; 0: start with the first
	Search  string // part of a name, an address, a first or a last name; "": all
	Service string // only users that are valid there and nowhere else; "": all
	Limit   int    // maximum number of accounts
}

// Page returns the users of a page, and the After of the next page: 0 when this is the last.
func (a *Accounts) Page(ctx context.Context, p Page) ([]jeton.User, int64, error) {
	accounts, next, err := a.page(ctx, p)
	if err != nil {
		return nil, 0, fmt.Errorf("list users: %w", err)
	}

	return usersOf(accounts), next, nil
}

// PrefixPage chooses accounts whose name, or whose address, begins with a text. Unlike Page.Search it reads no other
// accounts, however many there are.
type PrefixPage struct {
	Prefix string // of a name or an address with its case folded
	// ByEmail chooses by the address, and leaves out accounts whose name begins with the text, too.
	ByEmail bool
	After   string // folded name, or address, before the first of the page
	Limit   int    // maximum number of accounts
}

// Place is a place in the list that Prefix returns. Its zero value is the start.
type Place struct {
	ByEmail bool
	After   string
}

// Prefix returns users whose name begins with a text, by name, and then those whose address does, by address. Case does
// not count. next is the place of the next page, nil when this is the last.
func (a *Accounts) Prefix(ctx context.Context, text string, from Place, limit int) ([]jeton.User, *Place, error) {
	users := []jeton.User{}
	p := PrefixPage{Prefix: naming.FoldEmail(text), ByEmail: from.ByEmail, After: from.After}

	for {
		p.Limit = limit - len(users) + 1 // one more shows whether there is a next page
		accounts, err := a.store.PrefixUsers(ctx, p)
		if err != nil {
			return nil, nil, fmt.Errorf("list users: %w", err)
		}

		for _, acct := range accounts {
			if len(users) == limit {
				return users, &Place{p.ByEmail, p.After}, nil
			}

			users = append(users, acct.User())
			p.After = acct.Folded
			if p.ByEmail {
				p.After = acct.EmailFolded
			}
		}

		if p.ByEmail {
			return users, nil, nil
		}
		p.ByEmail, p.After = true, ""
	}
}

// page returns the accounts of a page, and the After of the next page or 0.
func (a *Accounts) page(ctx context.Context, p Page) ([]Account, int64, error) {
	limit := p.Limit
	p.Limit++ // one more shows whether there is a next page

	accounts, err := a.store.PageUsers(ctx, p)
	if err != nil || len(accounts) <= limit {
		return accounts, 0, err
	}

	// By number and not by offset: users that are added or removed meanwhile shift nothing.
	return accounts[:limit], accounts[limit-1].ID, nil
}
