package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// doors are the rows that every service has.
func (g *Gateway) doors() []web.Route {
	rows := []web.Route{{Pattern: "GET /.well-known/jeton", Access: policy.Open, Handle: g.describe}}
	for _, path := range g.conf.Login.Paths {
		rows = append(rows, web.Route{
			Pattern: "POST " + exact(path),
			Access:  policy.Open,
			Handle:  g.login,
			Refuse:  g.refuseLogin,
		})
	}

	if path := g.conf.Login.Token; path != "" {
		// A password alone opens it: a token that makes tokens would never end.
		access := policy.Authenticated(policy.ByPassword)
		access.Allow = g.allow
		rows = append(rows, web.Route{
			Pattern: "GET " + exact(path),
			Access:  access,
			Handle:  g.shortToken,
			Refuse:  g.refuseBasic,
		})
	}

	if path := teaching(g.conf).Register; path != "" {
		rows = append(rows, web.Route{
			Pattern:    "POST " + exact(path),
			Access:     policy.Open,
			BufferBody: true,
			Handle:     g.register,
		})
	}
	if path := teaching(g.conf).AssertionLogin; path != "" {
		rows = append(rows, web.Route{
			Pattern: "POST " + exact(path),
			Access:  policy.Open,
			Handle:  g.assertionLogin,
			Refuse:  g.refuseAssertion,
		})
	}
	if g.conf.Logout != "" {
		rows = append(rows, web.Route{Pattern: "POST " + exact(g.conf.Logout), Access: policy.Open, Handle: g.logout})
	}

	return rows
}

// exact makes a path that ends in a slash match only itself.
func exact(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

func (g *Gateway) route(ctx context.Context, r config.Route, dataDir string) (web.Route, error) {
	row := web.Route{Pattern: r.Match, Access: policy.Authenticated(accepts(g.conf, r)), Refuse: g.refuse}
	if r.Open {
		row.Access = policy.Open
	}

	row.Access.Allow, row.Access.Audit = allow(r.Allow), r.Audit
	if !r.Open {
		budgets, err := g.budgets(ctx, r)
		if err != nil {
			return row, err
		}

		row.Access.SessionBudgets = budgets
		row.Access.Scopes = slices.Sorted(slices.Values(r.Scopes))
		// What is said of a login over all routes is about logins; a token has its own.
		row.Access.TokenBudgets = slices.DeleteFunc(slices.Clone(budgets), func(b policy.Budget) bool {
			return b.Name == "*"
		})
	}

	var err error
	if r.Upstream != nil {
		row.Handle, err = g.upstream(*r.Upstream, dataDir)
	} else {
		row.Handle, err = respond(*r.Respond)
	}

	return row, err
}

// budgets are what one request of the route costs: a use of the login, a use of the
// route, both, or nothing.
func (g *Gateway) budgets(ctx context.Context, r config.Route) ([]policy.Budget, error) {
	var list []policy.Budget
	for name, limit := range map[string]*int64{"*": g.conf.Session.MaxUses, r.Match: r.MaxUses} {
		if limit == nil {
			continue
		}

		id, err := g.counts.BudgetID(ctx, g.conf.Name, name)
		if err != nil {
			return nil, err
		}

		b := policy.Budget{ID: id, Name: name, Max: *limit}
		if name == "*" {
			list = append([]policy.Budget{b}, list...)
		} else {
			list = append(list, b)
		}
	}

	return list, nil
}
