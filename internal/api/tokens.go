package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

func (a *API) tokenRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/tokens", Access: policy.Operator, Handle: a.listTokens},
		{Pattern: "POST /api/v1/tokens", Access: policy.Operator, Handle: a.createToken},
		{Pattern: "GET /api/v1/tokens/{accessor}", Access: policy.Operator, Handle: a.showToken},
		{Pattern: "POST /api/v1/tokens/{accessor}/rotate", Access: policy.Operator, Handle: a.rotateToken},
		{Pattern: "DELETE /api/v1/tokens/{accessor}", Access: policy.Operator, Handle: a.revokeToken},
	}
}

// listTokens answers GET /api/v1/tokens?user=&client=&limit=: the tokens that are kept.
func (a *API) listTokens(w *web.Reply, r *http.Request) error {
	limit, err := number(r, "limit", 1000)
	if err != nil {
		return err
	}

	list, err := a.Tokens.List(r.Context(), token.Which{
		Client: r.URL.Query().Get("client"),
		User:   r.URL.Query().Get("user"),
	}, limit)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// revokeToken answers DELETE /api/v1/tokens/{accessor}. A signed token that nobody counts
// is not kept, so it cannot be said whether there was one: it is refused from now on.
func (a *API) revokeToken(w *web.Reply, r *http.Request) error {
	accessor := r.PathValue("accessor")
	if err := a.Tokens.RevokeAccessor(
		r.Context(),
		accessor,
		a.event(audit.TokenRevoke, "token:"+accessor),
	); err != nil {
		return err
	}
	return web.NoContent(w)
}

// NewToken asks for a personal token.
type NewToken struct {
	User      string    `json:"user,omitempty"` // whose it is; or
	Client    string    `json:"client,omitempty"`
	Parent    string    `json:"parent,omitempty"` // accessor of the token that it is made of
	Name      string    `json:"name"`             // by which the owner knows what it is for
	Services  []string  `json:"services"`
	Scopes    []string  `json:"scopes,omitempty"`
	Allows    []string  `json:"allows,omitempty"`   // "GET /reports", "* /reports/*"; none: everything
	Networks  []string  `json:"networks,omitempty"` // addresses that it may come from; none: all
	MaxUses   int64     `json:"max_uses,omitempty"` // 0: not counted
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires_at"`
}

// Draft makes of it what internal/token wants. audiences translates names of services.
func (n NewToken) Draft(audiences func(names []string) ([]string, error)) (token.Draft, error) {
	d := token.Draft{
		Name:      n.Name,
		Scopes:    n.Scopes,
		MaxUses:   n.MaxUses,
		NotBefore: n.NotBefore,
		Expires:   n.Expires,
	}
	var err error
	d.Audience, err = audiences(n.Services)
	if err != nil {
		return d, err
	}

	for _, text := range n.Allows {
		rule, err := policy.ParseRule(text)
		if err != nil {
			return d, err
		}
		d.Limits.Allows = append(d.Limits.Allows, rule)
	}

	for _, text := range n.Networks {
		p, err := network(text)
		if err != nil {
			return d, err
		}
		d.Limits.Networks = append(d.Limits.Networks, p)
	}

	return d, nil
}

// network reads an address or a range of them.
func network(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, aerr := netip.ParseAddr(text); aerr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || p.Addr().Is4In6() {
		return p, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%.60q is no address and no CIDR; write it as in 10.0.0.7, 10.0.0.0/8 or fd00::/8", text),
		)
	}

	return p.Masked(), nil
}

// MadeToken is a token with its secret, which is told this once.
type MadeToken struct {
	jeton.Token
	Secret string `json:"token"`
}

// createToken answers POST /api/v1/tokens: an operator makes a token for a user or a client.
func (a *API) createToken(w *web.Reply, r *http.Request) error {
	in, err := web.Read[NewToken](r)
	if err != nil {
		return err
	}

	owner, err := a.owner(r.Context(), in)
	if err != nil {
		return err
	}

	d, err := in.Draft(a.Audiences)
	if err != nil {
		return err
	}

	if in.Parent != "" {
		d.Parent, err = a.Tokens.Accessor(r.Context(), in.Parent)
		if err != nil {
			return err
		}
	}

	d.Source = web.AddressText(w.Source)
	made, text, err := a.Tokens.Create(r.Context(), owner, d, a.event(audit.TokenCreate, ""))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, MadeToken{made, text.Reveal()})
}

// owner finds whose a token is to be.
func (a *API) owner(ctx context.Context, in NewToken) (token.Owner, error) {
	switch {
	case in.User != "" && in.Client != "" || in.User == "" && in.Client == "":
		return token.Owner{}, jeton.WithDetail(jeton.ErrInvalid, "say whose the token is: one user or one client")
	case in.User != "":
		u, err := a.Accounts.Find(ctx, in.User)
		return token.UserOwner(u), err
	}

	c, err := a.Clients.Find(ctx, in.Client)
	for _, name := range in.Services {
		if err == nil && !slices.Contains(c.Services, name) {
			err = jeton.WithDetail(
				jeton.ErrForbidden,
				"the client may have tokens for "+strings.Join(c.Services, ", ")+" alone; see 'jeton client terms'",
			)
		}
	}

	if err == nil {
		err = policy.CheckScopes(c.Scopes, in.Scopes)
	}

	return token.ClientOwner(c), err
}

func (a *API) showToken(w *web.Reply, r *http.Request) error {
	list, err := a.Tokens.List(r.Context(), token.Which{Accessor: r.PathValue("accessor")}, 1)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return jeton.WithDetail(jeton.ErrNotFound, "no such token is kept")
	}

	return web.JSON(w, http.StatusOK, list[0])
}

// rotateToken answers POST /api/v1/tokens/{accessor}/rotate: a personal token gets another
// secret; the old one is refused from then on.
func (a *API) rotateToken(w *web.Reply, r *http.Request) error {
	made, text, err := a.Tokens.Rotate(r.Context(), r.PathValue("accessor"), nil, nil, a.event(audit.TokenRotate, ""))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, MadeToken{made, text.Reveal()})
}
