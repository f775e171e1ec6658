package pages

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/upstream"
	"github.com/jeton-auth/jeton/internal/web"
)

// securityPath is the page with the ways in which a user signs in.
const securityPath = "/account/security"

// connectionRoutes returns the routes for accounts at other providers. Each needs a session.
func (p *Pages) connectionRoutes() []web.Route {
	return []web.Route{
		{Pattern: "POST " + securityPath + "/connect/{name}", Access: policy.Session, Handle: p.connect},
		{Pattern: "POST " + securityPath + "/disconnect", Access: policy.Session, Handle: p.disconnect},
		{Pattern: "POST /prove/with/{name}", Access: policy.Session, Handle: p.proveWith},
	}
}

// identity is the account of a user at another provider, as the API shows it.
type identity struct {
	Issuer   string    `json:"issuer"`
	Label    string    `json:"label"`
	Provider string    `json:"provider"`
	Created  time.Time `json:"created_at"`
}

// connection is a provider, and the account that the user has connected there.
type connection struct {
	Provider string // what pages call it
	Account  string // what it calls the user, or "" if there is none
	Issuer   string
	Since    time.Time
	Action   string // where the form that connects it goes, or ""
}

// connections returns the providers, in their order, and those accounts of the user whose provider is not configured
// any more.
func (p *Pages) connections(w *web.Reply, r *http.Request) ([]connection, error) {
	var identities []identity
	if err := p.API.Call(w, r, http.MethodGet, ownAPI+"/identities", nil, &identities); err != nil {
		return nil, err
	}

	return connectionsOf(p.Upstreams, identities), nil
}

// connectionsOf joins the two lists.
func connectionsOf(providers []Upstream, identities []identity) []connection {
	var list []connection
	for _, u := range providers {
		c := connection{Provider: u.Label, Issuer: u.Issuer}
		at := slices.IndexFunc(identities, func(i identity) bool { return i.Issuer == u.Issuer })
		if at < 0 {
			c.Action = securityPath + "/connect/" + u.Name
		} else {
			c.Account, c.Since = identities[at].Label, identities[at].Created
		}

		list = append(list, c)
	}

	for _, i := range identities {
		if !slices.ContainsFunc(providers, func(u Upstream) bool { return u.Issuer == i.Issuer }) {
			list = append(list, connection{
				Provider: i.Issuer,
				Account:  i.Label,
				Issuer:   i.Issuer,
				Since:    i.Created,
			})
		}
	}

	return list
}

// connect answers POST /account/security/connect/{name}: it sends a user who is there to the provider. Another site
// could otherwise connect an account of its own, which then opens this one.
func (p *Pages) connect(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	u, err := p.upstream(r)
	if err != nil {
		return err
	}

	live := gate.From(w).Session()
	err = p.provedNow(w, r)
	if jeton.Outcome(err) == jeton.ErrProof && u.Invited {
		err = p.invitedNow(w, r, live, err)
	}
	if jeton.Outcome(err) == jeton.ErrProof {
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	}
	if err != nil {
		return err
	}

	return p.leaveByForm(w, r, u, upstream.Pending{Purpose: upstream.Connect, Login: live.Login})
}

// invitedNow returns cause unless the session began with a one-time link a short time ago: an operator who sends one
// invites its user to choose how to sign in.
func (p *Pages) invitedNow(w *web.Reply, r *http.Request, live *session.Live, cause error) error {
	list, _, err := p.Sessions.List(r.Context(), session.Which{Login: live.Login}, 1)
	if err != nil {
		return err
	}
	if len(list) == 0 || !slices.Contains(list[0].AMR, "link") || w.Start.Sub(live.Created).Abs() > proofAge {
		return cause
	}

	return nil
}

// disconnect answers POST /account/security/disconnect.
func (p *Pages) disconnect(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	target := pathWith(ownAPI+"/identities", url.Values{"issuer": {form.Get("issuer")}})
	err = p.API.Call(w, r, http.MethodDelete, target, nil, nil)

	switch jeton.Outcome(err) {
	case jeton.ErrProof:
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	case jeton.ErrConflict:
		v, viewErr := p.securityView(w, r)
		if viewErr != nil {
			return viewErr
		}
		v.Note = p.noteOf(w, err)
		v.Note.Text, v.Note.More = text("connections.last"), text("connections.last.do")
		v.Note.Detail = ""

		return p.again(w, r, "account/security", v, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(securityPath, "disconnected"))
}

// proveLinks returns the providers at which the user can be proved again, with where their forms go.
func (p *Pages) proveLinks(w *web.Reply, r *http.Request, to string) ([]Link, error) {
	if len(p.Upstreams) == 0 {
		return nil, nil
	}

	list, err := p.connections(w, r)
	if err != nil {
		return nil, err
	}

	var links []Link
	for _, u := range p.Upstreams {
		isHere := func(c connection) bool { return c.Issuer == u.Issuer && c.Account != "" }
		if u.CanProve() && slices.ContainsFunc(list, isHere) {
			action := "/prove/with/" + u.Name + "?" + url.Values{toParam: {to}}.Encode()
			links = append(links, Link{Text: text("prove.with", u.Label), URL: action})
		}
	}

	return links, nil
}

// proveWith answers POST /prove/with/{name}: it sends the user to the provider for a new proof.
func (p *Pages) proveWith(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	u, err := p.upstream(r)
	if err != nil {
		return err
	}

	return p.leaveByForm(w, r, u, upstream.Pending{
		Purpose: upstream.Prove,
		Query:   url.Values{toParam: {localPage(r.URL.Query().Get(toParam))}}.Encode(),
		Login:   gate.From(w).Session().Login,
		Fresh:   true,
	})
}
