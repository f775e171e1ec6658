package gateway

import (
	"context"
	"slices"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// builtinRoutes returns the routes that a service has beside the configured ones.
func (g *Gateway) builtinRoutes() []web.Route {
	routes := []web.Route{{Pattern: "GET /.well-known/jeton", Access: policy.Open, Handle: g.describe}}

	routes = append(routes, g.resourceRoutes()...)
	routes = append(routes, g.leaseRoutes()...)
	routes = append(routes, g.tokenRequestRoutes()...)

	for _, path := range g.conf.Login.Paths {
		routes = append(routes, web.Route{
			Pattern: "POST " + web.ExactPath(path),
			Access:  policy.Open,
			Handle:  g.login,
			Refuse:  g.refuseLogin,
		})
	}

	if g.conf.Login.Token != "" {
		routes = append(routes, web.Route{
			Pattern: "GET " + web.ExactPath(g.conf.Login.Token),
			Access:  g.shortTokenAccess(),
			Handle:  g.shortToken,
			Refuse:  g.refuseBasic,
		})
	}

	if g.conf.Logout != "" {
		routes = append(routes, web.Route{
			Pattern: "POST " + web.ExactPath(g.conf.Logout),
			Access:  policy.Open,
			Handle:  g.logout,
		})
	}

	if g.signIn != nil {
		routes = append(routes,
			web.Route{
				Pattern: "GET " + config.StartPath,
				Access:  policy.Open,
				Handle:  g.start,
				Refuse:  g.refuseSignIn,
			},
			web.Route{
				Pattern: "GET " + config.FinishPath,
				Access:  policy.Open,
				Handle:  g.finish,
				Refuse:  g.refuseSignIn,
			},
			web.Route{
				Pattern: "GET " + config.SignedOutPath,
				Access:  policy.Open,
				Handle:  g.signedOut,
				Refuse:  g.refuse,
			},
		)
	}

	return routes
}

// shortTokenAccess returns who gets a token for a password. A token is not enough: one that creates tokens would never
// end.
func (g *Gateway) shortTokenAccess() policy.Access {
	access := policy.Authenticated(policy.ByPassword)
	access.Require = RequireAnywhere(g.conf)
	access.Managers = g.service.Managers != nil

	return access
}

// route returns a configured route.
func (g *Gateway) route(ctx context.Context, r config.Route, dataDir string) (route web.Route, err error) {
	// Access is decided here in full: a route that forgot to set it would be closed, not open.
	route = web.Route{
		Pattern:    r.Match,
		Configured: true,
		Access:     policy.Authenticated(accepts(g.conf, r)),
		Refuse:     g.refuse,
	}
	if g.signIn != nil && route.Access.Accept&policy.BySession != 0 {
		route.Refuse = g.visit(g.require.And(require(r.Require)))
	}
	if r.Open {
		route.Access = policy.Open
	}

	route.Access.Allow = allow(r.Allow)
	route.Access.Audit = r.Audit

	if !r.Open {
		route.Access.Require = g.require.And(require(r.Require))
		route.Access.Scopes = slices.Sorted(slices.Values(r.Scopes))
		list, err := g.budgets(ctx, r)
		if err != nil {
			return route, err
		}
		g.count(&route.Access, list)
	}

	switch {
	case g.conf.Forwarded():
		route.Handle = g.pass
	case r.Upstream != nil:
		route.MaxBody = r.Upstream.MaxBody
		route.Handle, err = g.upstream(*r.Upstream, route.Access, dataDir)
	default:
		route.Handle, err = respond(*r.Respond)
	}

	return route, err
}

// count sets which credentials take from the budgets of a route. The one over all routes is of a
// user or of a login: a client has no logins, and each of its tokens has its own uses.
func (g *Gateway) count(a *policy.Access, list []policy.Budget) {
	ofLogin := func(b policy.Budget) bool { return b.Name == allRoutes }

	a.SessionBudgets = list
	a.ClientBudgets = slices.DeleteFunc(slices.Clone(list), ofLogin)
	a.TokenBudgets = a.ClientBudgets
	if g.countsPerUser() {
		a.TokenBudgets = list
	}
}

// countsPerUser reports whether all credentials of a user take from the same budgets.
func (g *Gateway) countsPerUser() bool { return g.conf.CountBy == config.CountByUser }

// allRoutes is the name of the budget that every counted route of a service takes from.
const allRoutes = "*"

// budgets returns the limits that a request of a route counts against: that of the service, that
// of the route, both or none.
func (g *Gateway) budgets(ctx context.Context, r config.Route) ([]policy.Budget, error) {
	type limited struct {
		name  string
		limit *int64
	}
	limits := []limited{
		{allRoutes, g.conf.Session.MaxUses},
		{r.Match, r.MaxUses},
	}

	var list []policy.Budget
	for _, b := range limits {
		if b.limit == nil {
			continue
		}

		id, err := g.counts.BudgetID(ctx, g.conf.Name, b.name)
		if err != nil {
			return nil, err
		}

		list = append(list, policy.Budget{
			ID:      id,
			Name:    b.name,
			Max:     *b.limit,
			PerUser: g.countsPerUser(),
		})
	}

	return list, nil
}
