package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// leaseRoutes returns the routes of tokens for one job, or none for a service that accepts no tokens. They are at the
// service: the caller's credential is not shown anywhere else.
func (g *Gateway) leaseRoutes() []web.Route {
	if g.conf.Tokens == nil {
		return nil
	}

	// As for every token that a session creates. While its job runs, its user need not be there for a recent proof.
	makes := g.leaseAccess()
	makes.Require = RequireAnywhere(g.conf)

	return []web.Route{
		{
			Pattern: "POST " + config.LeasePath,
			Access:  makes,
			Handle:  g.makeLease,
			Refuse:  g.refuse,
		},
		{
			Pattern: "POST " + config.LeaseRenewPath,
			Access:  g.leaseAccess(),
			Handle:  g.renewLease,
			Refuse:  g.refuse,
		},
		{
			Pattern: "POST " + config.TokenEndPath,
			Access:  policy.Open,
			Handle:  g.endToken,
			Refuse:  g.refuse,
		},
	}
}

// leaseAccess returns which credentials make and renew tokens. A password is not enough: it would be sent with each
// renewal.
func (g *Gateway) leaseAccess() policy.Access {
	access := policy.Authenticated(g.Accepts() & (policy.BySession | policy.ByToken))
	access.AboutItself = true
	access.Require.Factors = RequireAnywhere(g.conf).Factors
	access.Managers = g.service.Managers != nil

	return access
}

// makeLease answers POST /.jeton/leases: a token for one job, which derives from the credential of the request and ends
// unless that credential renews it.
func (g *Gateway) makeLease(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	in, err := web.Read[jeton.LeaseRequest](r)
	if err != nil {
		return err
	}

	maker, err := g.leaseMaker(w, r)
	if err != nil {
		return err
	}

	draft := token.LeaseDraft{
		Name:    in.Name,
		MaxUses: in.MaxUses,
		Shared:  in.SharedUses,
		For:     seconds(in.Seconds),
		Source:  web.AddressText(w.Source),
	}

	draft.Scopes, err = g.leaseScopes(gate.From(w).Principal(), maker, in.Scopes)
	if err != nil {
		return err
	}

	draft.Allows, err = policy.ParseRules(in.Allows)
	if err != nil {
		return err
	}

	lease, err := g.tokens.Lease(r.Context(), maker, draft, g.tokenEvent(w, audit.TokenCreate))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, lease)
}

// countsEach reports whether a token for a job would have uses that its maker lacks: those of a route that counts each
// credential of the owner by itself.
func (g *Gateway) countsEach(owner token.Owner) bool {
	ofUser := owner.Kind == jeton.KindUser
	if ofUser && g.countsPerUser() {
		return false
	}

	counted := func(r config.Route) bool { return r.MaxUses != nil }

	return slices.ContainsFunc(g.conf.Routes, counted) || ofUser && g.conf.Session.MaxUses != nil
}

// seconds returns a length of time, whose range is checked where it is used. No number of a caller overflows it.
func seconds(n int64) time.Duration {
	return time.Duration(max(0, min(n, int64(token.MaxLease/time.Second)+1))) * time.Second
}

// leaseMaker returns the credential of a request, which makes or renews a token.
func (g *Gateway) leaseMaker(w *web.Reply, r *http.Request) (token.Maker, error) {
	// It may have ended while the body was on its way.
	if err := g.gate.Recheck(r.Context(), w, r, g.service, g.leaseAccess()); err != nil {
		return token.Maker{}, err
	}

	decision := gate.From(w)
	origin, err := decision.Origin()
	if err != nil {
		return token.Maker{}, err
	}

	maker := token.Maker{Service: g.conf.Tokens.Audience, Token: origin.Token}
	if origin.Token != nil {
		maker.Owner = origin.Token.Owner
	} else if err := g.leaseSession(r.Context(), decision, &maker); err != nil {
		return token.Maker{}, err
	}

	if g.countsEach(maker.Owner) {
		return token.Maker{}, jeton.WithDetail(
			jeton.ErrForbidden,
			"this service counts the uses of each token by itself; a token for a job would begin a count of its own",
		)
	}

	maker.Login = origin.Login

	return maker, nil
}

// leaseSession adds what the session of a request may give to a token.
func (g *Gateway) leaseSession(ctx context.Context, by gate.Decision, m *token.Maker) error {
	acct, err := g.accounts.Find(ctx, by.Principal().Name)
	if err != nil {
		return fmt.Errorf("find user: %w", err)
	}

	m.Owner = token.UserOwner(acct)
	m.Ends = by.Session().Expires()
	m.Scopes = g.service.Grants.Of(by.Principal())
	m.MaxUses = policy.Unlimited
	if g.conf.Tokens.MaxUses != nil {
		m.MaxUses = *g.conf.Tokens.MaxUses
	}

	return nil
}

// leaseScopes returns the scopes of a token for a job: those that are asked for, or all that the caller has. It returns
// jeton.ErrScope, which names the scope, if the caller lacks one.
func (g *Gateway) leaseScopes(caller jeton.Principal, by token.Maker, asked []string) ([]string, error) {
	has := caller.Scopes
	if by.Token == nil {
		has = by.Scopes // a session has no list of its own
	}
	if len(asked) == 0 {
		return has, nil
	}

	lacking := policy.Lacking(has, asked)
	if lacking != "" {
		return nil, jeton.WithDetail(
			jeton.ErrScope, fmt.Sprintf("%s does not have the scope %.60q here", caller.Name, lacking),
		)
	}

	return asked, nil
}

// renewLease answers POST /.jeton/leases/renew.
func (g *Gateway) renewLease(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	in, err := web.Read[jeton.LeaseRenewal](r)
	if err != nil {
		return err
	}

	maker, err := g.leaseMaker(w, r)
	if err != nil {
		return err
	}

	renewed, err := g.tokens.RenewLease(r.Context(), maker, in.Accessor, seconds(in.Seconds))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, renewed)
}

// endToken answers POST /.jeton/token/end: the token in the header Authorization ends, with what derives from it.
// The secret is authority enough, also of a token that is spent or has expired (compare RFC 7009). The answer is the
// same for a token that has ended or never was one.
func (g *Gateway) endToken(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	text, found, err := web.Authorization(r.Header, "Bearer")
	if err != nil {
		return err
	}
	if !found {
		return jeton.ErrNoCredential
	}

	// Before it ends: its count ends with it.
	var end jeton.TokenEnd
	live, err := g.tokens.Find(r.Context(), text, g.conf.Tokens.Audience)
	if err == nil {
		end, err = g.usesOf(w, r, live)
	}
	if err != nil && jeton.Outcome(err) != jeton.ErrBadCredential {
		return err
	}

	event := g.tokenEvent(w, audit.TokenRevoke)
	if err := g.tokens.EndShown(r.Context(), live, event); err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, end)
}

// usesOf returns what was done with a token. The refusals cost a look into the audit log, so they are counted only if
// the request asks for them.
func (g *Gateway) usesOf(w *web.Reply, r *http.Request, live *token.Live) (jeton.TokenEnd, error) {
	var end jeton.TokenEnd

	key, own := live.Budgets()
	if len(own) > 0 {
		// The first budget is its own; the others are those that it shares.
		left, err := g.counts.Left(r.Context(), key, own[:1])
		if err != nil && jeton.Outcome(err) != jeton.ErrSpent {
			return end, fmt.Errorf("uses of token: %w", err)
		}

		end.MaxUses = live.MaxUses
		end.Uses = live.MaxUses - left
	}

	if r.URL.Query().Get("refused") != "true" {
		return end, nil
	}

	var err error
	end.Refused, err = g.gate.Refusals(r.Context(), live, g.conf.Name)

	return end, err
}

// tokenEvent returns an audit event about a token, without its actor: whom the credential proves, which is known where
// the event is recorded.
func (g *Gateway) tokenEvent(w *web.Reply, action string) jeton.Event {
	return jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Action:  action,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}
}
