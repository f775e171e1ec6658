package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// listMost bounds the lists of one's own sessions and tokens.
const listMost = 1000

// ownSession is one's session, and whether it is the one that asks.
type ownSession struct {
	jeton.Session
	Current bool `json:"current"`
}

// listSessions answers GET /users/me/sessions.
func (a *Users) listSessions(w *web.Reply, r *http.Request) error {
	who := gate.From(w).Principal()
	sessions, err := a.sessions.List(r.Context(), session.Which{User: who.Name}, listMost)
	if err != nil {
		return err
	}

	list := []ownSession{}
	for _, s := range sessions {
		list = append(list, ownSession{s, s.ID == who.Session})
	}

	return web.JSON(w, http.StatusOK, list)
}

// endSession answers DELETE /users/me/sessions/{session}.
func (a *Users) endSession(w *web.Reply, r *http.Request) error {
	id := r.PathValue("session")
	n, err := a.sessions.End(r.Context(), session.Which{
		ID:   id,
		User: gate.From(w).Principal().Name,
	}, a.event(w, audit.SessionEnd, "session:"+id))
	if err == nil && n == 0 {
		err = jeton.ErrNotFound
	}

	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// endOtherSessions answers DELETE /users/me/sessions.
func (a *Users) endOtherSessions(w *web.Reply, r *http.Request) error {
	who := gate.From(w).Principal()
	if _, err := a.sessions.End(r.Context(), session.Which{
		User: who.Name,
		Not:  who.Session,
	}, a.event(w, audit.LogoutAll, "user:"+who.Name)); err != nil {
		return err
	}
	return web.NoContent(w)
}

// listTokens answers GET /users/me/tokens.
func (a *Users) listTokens(w *web.Reply, r *http.Request) error {
	list, err := a.tokens.List(r.Context(), token.Which{User: gate.From(w).Principal().Name}, listMost)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

// newToken asks for a personal token.
type newToken struct {
	Name      string    `json:"name" jsonschema:"By which one knows what it is for"`
	Services  []string  `json:"services,omitempty" jsonschema:"Services that it is for; this one where they are left out"`
	Scopes    []string  `json:"scopes,omitempty"`
	Allows    []string  `json:"allows,omitempty" jsonschema:"Methods and paths that it is good for, as in GET /reports or * /reports/*; none: all"`
	Networks  []string  `json:"networks,omitempty" jsonschema:"Addresses that it may come from; none: all"`
	MaxUses   int64     `json:"max_uses,omitempty" jsonschema:"How many requests it is good for; 0: not counted"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires_at"`
}

// draft makes of it what internal/token wants.
func (n newToken) draft() (token.Draft, error) {
	d := token.Draft{
		Name:      n.Name,
		Scopes:    n.Scopes,
		MaxUses:   n.MaxUses,
		NotBefore: n.NotBefore,
		Expires:   n.Expires,
	}
	for _, text := range n.Allows {
		rule, err := policy.ParseRule(text)
		if err != nil {
			return d, err
		}
		d.Limits.Allows = append(d.Limits.Allows, rule)
	}

	for _, text := range n.Networks {
		p, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); aerr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return d, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf("%.60q is no address and no CIDR; write it as in 10.0.0.7, 10.0.0.0/8 or fd00::/8", text),
			)
		}

		d.Limits.Networks = append(d.Limits.Networks, p.Masked())
	}

	return d, nil
}

// madeToken is a token with its secret, which is told this once.
type madeToken struct {
	jeton.Token
	Secret string `json:"token" jsonschema:"The secret, told this once"`
}

// createToken answers POST /users/me/tokens. A token makes narrower ones alone.
func (a *Users) createToken(w *web.Reply, r *http.Request) error {
	in, err := web.Read[newToken](r)
	if err != nil {
		return err
	}

	me, err := a.me(w, r)
	if err != nil {
		return err
	}

	d, err := in.draft()
	if err != nil {
		return err
	}
	if len(in.Services) == 0 {
		in.Services = []string{a.conf.Name}
	}

	d.Audience, err = a.audiences(in.Services)
	if err != nil {
		return err
	}

	ev := a.event(w, audit.TokenCreate, "")
	origin, err := gate.From(w).Origin()
	if err != nil {
		return err
	}

	owner := token.UserOwner(me)
	if origin.Owner != nil {
		owner = *origin.Owner
	}

	d.Parent, d.Login = origin.Token, origin.Login
	d.Source = ev.Source
	made, text, err := a.tokens.Create(r.Context(), owner, d, ev)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, madeToken{made, text.Reveal()})
}

// revokeToken answers DELETE /users/me/tokens/{accessor}.
func (a *Users) revokeToken(w *web.Reply, r *http.Request) error {
	if err := a.tokens.RevokeOwn(
		r.Context(),
		gate.From(w).Principal().Name,
		r.PathValue("accessor"),
		a.event(w, audit.TokenRevoke, ""),
	); err != nil {
		return err
	}
	return web.NoContent(w)
}

// rotateToken answers POST /users/me/tokens/{accessor}/rotate. A token that could rotate
// another would be told the secret of one that is wider than itself.
func (a *Users) rotateToken(w *web.Reply, r *http.Request) error {
	accessor := r.PathValue("accessor")
	who := gate.From(w).Principal()
	if who.Token != "" && who.Token != accessor {
		return jeton.WithDetail(jeton.ErrForbidden, "a token rotates itself alone")
	}

	me, err := a.me(w, r)
	if err != nil {
		return err
	}

	owner := token.UserOwner(me)
	origin, err := gate.From(w).Origin()
	if err != nil {
		return err
	}

	made, text, err := a.tokens.Rotate(r.Context(), accessor, &owner, origin.Token, a.event(w, audit.TokenRotate, ""))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, madeToken{made, text.Reveal()})
}
