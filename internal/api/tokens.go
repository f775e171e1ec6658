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
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// NewToken describes the personal access token to create.
type NewToken struct {
	User      string    `json:"user,omitempty" jsonschema:"Owner: a user. Only for operators"`
	Client    string    `json:"client,omitempty" jsonschema:"Owner: a client. Only for operators"`
	Parent    string    `json:"parent,omitempty" jsonschema:"Accessor of the parent token. Only for operators"`
	Name      string    `json:"name" jsonschema:"What the token is for"`
	Services  []string  `json:"services,omitempty" jsonschema:"Services that accept it. Operators must give them"`
	Scopes    []string  `json:"scopes,omitempty" jsonschema:"Scopes that the owner has (user_scopes)"`
	Allows    []string  `json:"allows,omitempty" jsonschema:"Methods and paths, as in GET /reports/*. Default: all"`
	Networks  []string  `json:"networks,omitempty" jsonschema:"Addresses and networks that may use it. Default: all"`
	MaxUses   int64     `json:"max_uses,omitempty" jsonschema:"How many requests it is valid for. 0: not counted"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires_at"`
	Proof
}

// Draft returns the token to create. audiences turns names of services into their audiences, and
// fails for an unknown name.
func (n NewToken) Draft(audiences func(services []string) ([]string, error)) (d token.Draft, err error) {
	d = token.Draft{
		Name:      n.Name,
		Scopes:    n.Scopes,
		MaxUses:   n.MaxUses,
		NotBefore: n.NotBefore,
		Expires:   n.Expires,
	}

	d.Limits.Allows, err = policy.ParseRules(n.Allows)
	if err != nil {
		return d, err
	}

	for _, text := range n.Networks {
		network, err := parseNetwork(text)
		if err != nil {
			return d, err
		}
		d.Limits.Networks = append(d.Limits.Networks, network)
	}

	d.Audience, err = audiences(n.Services)

	return d, err
}

// parseNetwork reads an address or a CIDR.
func parseNetwork(text string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(text)
	network := netip.PrefixFrom(addr, addr.BitLen())
	if err != nil {
		network, err = netip.ParsePrefix(text)
	}

	// Addresses of requests are unmapped and have no zone, so these would match nothing.
	if err != nil || addr.Zone() != "" || network.Addr().Is4In6() {
		const want = "want an address or a CIDR, as in 10.0.0.7, 10.0.0.0/8 or fd00::/8"
		return network, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid network %.60q: %s", text, want))
	}

	return network.Masked(), nil
}

// MadeToken is a token with its secret, which is returned only once.
type MadeToken struct {
	jeton.Token
	Secret string `json:"token" jsonschema:"The secret, returned only here"`
}

// createToken answers POST /tokens, which only operators reach.
func (a *API) createToken(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewToken](r)
	if err != nil {
		return err
	}

	owner, err := a.tokenOwner(r.Context(), in)
	if err != nil {
		return err
	}

	draft, err := in.Draft(a.Audiences)
	if err != nil {
		return err
	}

	if in.Parent != "" {
		draft.Parent, err = a.Tokens.FindParent(r.Context(), in.Parent)
		if err != nil {
			return err
		}
	}

	return a.answerCreated(w, r, c, owner, draft)
}

// tokenOwner returns the user or the client that a token is for.
func (a *API) tokenOwner(ctx context.Context, in NewToken) (token.Owner, error) {
	switch {
	case (in.User == "") == (in.Client == ""):
		return token.Owner{}, jeton.WithDetail(jeton.ErrInvalid, "invalid owner: want either user or client")
	case in.Client != "":
		return a.clientOwner(ctx, in)
	}

	acct, err := a.Accounts.Find(ctx, in.User)
	if err != nil {
		return token.Owner{}, err
	}

	if err := checkServices(acct, in.Services); err != nil {
		return token.Owner{}, err
	}

	return token.UserOwner(acct), a.checkScopes(acct, in)
}

// checkServices returns jeton.ErrForbidden if a user is not valid at one of the services.
func checkServices(acct account.Account, services []string) error {
	for _, name := range services {
		if !acct.ValidAt(name) {
			return jeton.WithDetail(jeton.ErrForbidden, "the user is valid at service "+acct.Service+" only")
		}
	}

	return nil
}

// checkScopes returns jeton.ErrScope, which names the scope, if a user asks for one that it does
// not have. Whether it has them is judged again at each request: this is the early refusal.
func (a *API) checkScopes(acct account.Account, in NewToken) error {
	user := jeton.Principal{Kind: jeton.KindUser, Name: acct.Name, Groups: acct.Groups}
	lacking := policy.Lacking(a.Scopes(in.Services, user), in.Scopes)
	if lacking == "" {
		return nil
	}

	return jeton.WithDetail(jeton.ErrScope, fmt.Sprintf(
		"%s does not have the scope %.60q at %s; see services[].user_scopes in the configuration",
		acct.Name, lacking, strings.Join(in.Services, ", "),
	))
}

// clientOwner returns a client that may have tokens for the services with the scopes.
func (a *API) clientOwner(ctx context.Context, in NewToken) (token.Owner, error) {
	c, err := a.Clients.Find(ctx, in.Client)
	if err != nil {
		return token.Owner{}, err
	}

	for _, name := range in.Services {
		if !slices.Contains(c.Services, name) {
			return token.Owner{}, jeton.WithDetail(
				jeton.ErrForbidden,
				"the client may have tokens only for "+strings.Join(c.Services, ", ")+"; see 'jeton client terms'",
			)
		}
	}

	lacking := policy.Lacking(c.Scopes, in.Scopes)
	if lacking != "" {
		return token.Owner{}, jeton.WithDetail(
			jeton.ErrScope,
			fmt.Sprintf("the client does not have the scope %.60q; see 'jeton client terms'", lacking),
		)
	}

	return token.ClientOwner(c), nil
}

// answerCreated creates a token and answers with it and its secret.
func (a *API) answerCreated(w *web.Reply, r *http.Request, c caller, owner token.Owner, draft token.Draft) error {
	ev := a.event(w, c, audit.TokenCreate, "")
	draft.Source = ev.Source

	created, secret, err := a.Tokens.Create(r.Context(), owner, draft, ev)
	if err != nil {
		return err
	}
	a.Logins.WakeMails()

	return web.JSON(w, http.StatusCreated, MadeToken{created, secret.Reveal()})
}

// createOwnToken answers POST /users/me/tokens. The token derives from the credential of the request: a child of a
// token is never wider.
func (a *API) createOwnToken(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewToken](r)
	if err != nil {
		return err
	}

	// A user makes tokens only for itself.
	if in.User != "" || in.Client != "" || in.Parent != "" {
		return jeton.WithDetail(jeton.ErrInvalid, "user, client and parent are only for operators")
	}

	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	if len(in.Services) == 0 && !a.Issuer {
		in.Services = []string{a.Service.Name}
	}
	if err := checkServices(acct, in.Services); err != nil {
		return err
	}

	draft, err := in.Draft(a.Audiences)
	if err != nil {
		return err
	}
	if err := a.checkScopes(acct, in); err != nil {
		return err
	}

	c.shown, err = a.requireProof(w, r, c, acct, in.Proof)
	if err != nil {
		return err
	}
	if err := a.requireFactors(w, r, c, acct, in.Services); err != nil {
		return err
	}

	// A token that is made with a token is revoked with it.
	origin, err := c.decision.Origin()
	if err != nil {
		return err
	}

	draft.Parent = origin.Token
	draft.Login = origin.Login

	owner := token.UserOwner(acct)
	// The user as it was when the password was checked.
	if origin.Owner != nil {
		owner = *origin.Owner
	}

	return a.answerCreated(w, r, c, owner, draft)
}

// listTokens answers GET /tokens?user=&client=&parent=&kind=&limit=&cursor=: the stored tokens.
func (a *API) listTokens(w *web.Reply, r *http.Request, _ caller) error {
	q := r.URL.Query()
	return a.pageOfTokens(w, r, "/tokens", token.Which{Client: q.Get("client"), User: q.Get("user")})
}

// listOwnTokens answers GET /users/me/tokens?parent=&kind=&limit=&cursor=.
func (a *API) listOwnTokens(w *web.Reply, r *http.Request, c caller) error {
	return a.pageOfTokens(w, r, "/users/me/tokens", token.Which{User: c.Name})
}

// pageOfTokens answers with a page of tokens, and the header Link leads to the next.
func (a *API) pageOfTokens(w *web.Reply, r *http.Request, path string, which token.Which) error {
	which.Parent = r.URL.Query().Get("parent")
	kinds := r.URL.Query()["kind"]
	for _, kind := range kinds {
		if err := token.CheckKind(kind); err != nil {
			return err
		}
		which.Kinds = append(which.Kinds, token.Kind(kind))
	}

	list := strings.Join(slices.Concat([]string{"tokens", which.User, which.Client, which.Parent}, kinds), "\x00")
	limit, before, err := a.readPageOf(r, list)
	if err != nil {
		return err
	}

	which.Before = before
	page, next, err := a.Tokens.List(r.Context(), which, limit)
	if err != nil {
		return err
	}

	a.linkNext(w, r, path, next, list)

	return web.JSON(w, http.StatusOK, page)
}

// OneToken is a token, with what is revoked with it.
type OneToken struct {
	jeton.Token
	Derived int64 `json:"derived" jsonschema:"Stored tokens that derive from it, and are revoked with it"`
}

// readToken answers GET /tokens/{accessor}.
func (a *API) readToken(w *web.Reply, r *http.Request, _ caller) error {
	return a.writeToken(w, r, token.Which{Accessor: r.PathValue("accessor")})
}

// readOwnToken answers GET /users/me/tokens/{accessor}.
func (a *API) readOwnToken(w *web.Reply, r *http.Request, c caller) error {
	return a.writeToken(w, r, token.Which{Accessor: r.PathValue("accessor"), User: c.Name})
}

// writeToken answers with the token that which selects.
func (a *API) writeToken(w *web.Reply, r *http.Request, which token.Which) error {
	list, _, err := a.Tokens.List(r.Context(), which, 1)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return jeton.WithDetail(jeton.ErrNotFound, "there is no such token, or it is not stored")
	}

	derived, err := a.Tokens.Derived(r.Context(), which.Accessor)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, OneToken{list[0], derived})
}

// revokeToken answers DELETE /tokens/{accessor}. A signed token that is not counted is not stored, so it cannot
// be looked up; the accessor is refused from now on.
func (a *API) revokeToken(w *web.Reply, r *http.Request, c caller) error {
	accessor := r.PathValue("accessor")
	ev := a.event(w, c, audit.TokenRevoke, "token:"+accessor)

	err := a.Tokens.RevokeAccessor(r.Context(), accessor, ev)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// revokeOwnToken answers DELETE /users/me/tokens/{accessor}.
func (a *API) revokeOwnToken(w *web.Reply, r *http.Request, c caller) error {
	ev := a.event(w, c, audit.TokenRevoke, "")

	err := a.Tokens.RevokeOwn(r.Context(), c.Name, r.PathValue("accessor"), ev)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// endOwnTokens answers DELETE /users/me/tokens?kind=: all tokens of the user, also one that the request shows, or those
// of a kind.
func (a *API) endOwnTokens(w *web.Reply, r *http.Request, c caller) error {
	return a.endTokensOf(w, r, c, c.Name)
}

// endTokens answers POST /users/{id}/end-tokens?kind=, also for declared users.
func (a *API) endTokens(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}
	return a.endTokensOf(w, r, c, acct.Name)
}

func (a *API) endTokensOf(w *web.Reply, r *http.Request, c caller, user string) error {
	ev := a.event(w, c, audit.UserEndTokens, "user:"+user)
	ev.Reason = "all tokens ended"

	// An empty kind, as of a script whose variable is not set, must not end all tokens, nor two kinds those of one.
	kinds, given := r.URL.Query()["kind"]
	if given && (len(kinds) != 1 || kinds[0] == "") {
		return jeton.WithDetail(
			jeton.ErrInvalid, "invalid kind: want one, as in ?kind=leased, or none, which ends all tokens",
		)
	}

	if given {
		kind := kinds[0]
		ev.Reason = "all " + kind + " tokens ended"
		if err := a.Tokens.RevokeKind(r.Context(), user, token.Kind(kind), ev); err != nil {
			return err
		}
		return web.NoContent(w)
	}

	if err := a.Accounts.EndTokens(r.Context(), user, ev); err != nil {
		return err
	}

	return web.NoContent(w)
}

// rotateToken answers POST /tokens/{accessor}/rotate.
func (a *API) rotateToken(w *web.Reply, r *http.Request, c caller) error {
	return a.rotate(w, r, c, nil, nil)
}

// rotateOwnToken answers POST /users/me/tokens/{accessor}/rotate. A token that could rotate another would get the
// secret of one that may be wider than itself.
func (a *API) rotateOwnToken(w *web.Reply, r *http.Request, c caller) error {
	if c.Token != "" && c.Token != r.PathValue("accessor") {
		return jeton.WithDetail(jeton.ErrForbidden, "a token can rotate only itself")
	}

	proof, err := readOptional[Proof](r)
	if err != nil {
		return err
	}

	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}
	c.shown, err = a.requireProof(w, r, c, acct, proof)
	if err != nil {
		return err
	}

	if err := a.requireFactorsOf(w, r, c, acct); err != nil {
		return err
	}

	origin, err := c.decision.Origin()
	if err != nil {
		return err
	}

	owner := token.UserOwner(acct)

	return a.rotate(w, r, c, &owner, origin.Token)
}

// rotate replaces the secret of a token and answers with it. The old secret is refused from then on.
func (a *API) rotate(w *web.Reply, r *http.Request, c caller, owner *token.Owner, shown *token.Live) error {
	ev := a.event(w, c, audit.TokenRotate, "")

	rotated, secret, err := a.Tokens.Rotate(r.Context(), r.PathValue("accessor"), owner, shown, ev)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, MadeToken{rotated, secret.Reveal()})
}
