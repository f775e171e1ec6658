package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// consentView is the view of sign-in/consent.
type consentView struct {
	Action string // where the form goes
	Client Strong
	Name   string // who is signed in
	Scopes []consentScope
	// Of a client that a document describes.
	Described bool
	Host      Strong // of the document
	Return    Strong // host to which the browser returns; "": the user's machine
}

// describe adds what is known of a client that a document describes. redirect is where the browser returns.
func (v *consentView) describe(c client.Client, redirect string) {
	if !c.Described() {
		return
	}

	v.Described = true
	host, err := naming.Document(c.Name)
	if err == nil {
		v.Host = Strong(host)
	}

	// As package oauth judges it: no other address is shown, and none leads on.
	u, err := url.Parse(redirect)
	if err == nil && client.Redirects(c.OpenID.RedirectURIs, redirect) && !outbound.Loopback(u.Hostname()) {
		v.Return = Strong(u.Host)
	}
}

// consentScope is one thing that a client may learn or do.
type consentScope struct {
	Text Text
	Code string // of a scope that has no text, or ""
}

// consentScopes returns scopes as a user reads them, the user's identity first.
func consentScopes(scopes []string) []consentScope {
	var list []consentScope
	for _, s := range scopes {
		service, scope := signin.ConsentService(s)
		switch {
		case service != "" && scope == "":
			list = append(list, consentScope{Text: text("consent.service", Strong(service))})
		case s == openid.ScopeOpenID:
			list = slices.Insert(list, 0, consentScope{Text: text("consent.openid")})
		case slices.Contains(openid.Scopes(), s):
			list = append(list, consentScope{Text: text("consent." + s)})
		default:
			list = append(list, consentScope{Text: text("consent.scope"), Code: scope})
		}
	}

	return list
}

// consentOf returns the session of the user, the client that asks, and what for. Without a session it returns none.
func (p *Pages) consentOf(
	w *web.Reply,
	r *http.Request,
) (live *session.Live, c client.Client, scopes []string, err error) {
	live, err = p.live(w, r)
	if err != nil || live == nil {
		return nil, c, nil, err
	}

	query := r.URL.Query()
	if p.Clients != nil {
		c, err = p.Clients.FindForLogin(r.Context(), query.Get("client_id"))
	}
	if err != nil {
		return nil, c, nil, err
	}
	if c.OpenID == nil || c.Disabled {
		return nil, c, nil, jeton.WithDetail(jeton.ErrNotFound, "there is no such application")
	}

	// As package oauth reads them: what is shown is what the user agrees to.
	asked := strings.Fields(query.Get("scope"))
	scopes = openid.Known(asked)
	service := query.Get("resource")
	// Any other text would be stored and shown as if it were a service.
	if service != "" && !slices.Contains(c.Services, service) {
		return nil, c, nil, jeton.WithDetail(jeton.ErrNotFound, "the application has no tokens for this service")
	}
	if service != "" {
		scopes = append(scopes, slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool {
			return !slices.Contains(asked, s) || slices.Contains(scopes, s)
		})...)
		slices.Sort(scopes)
	}

	return live, c, signin.ConsentScopes(scopes, service), nil
}

// consentPage answers GET /consent: what a client asks for.
func (p *Pages) consentPage(w *web.Reply, r *http.Request) error {
	live, c, scopes, err := p.consentOf(w, r)
	if err != nil {
		return err
	}
	if live == nil {
		return see(w, destination(r.URL.Query())) // which leads to the sign-in page
	}

	view := consentView{
		Action: pathWith("/consent", carried(r.URL.Query())),
		Client: Strong(c.Name),
		Name:   live.Principal().Name,
		Scopes: consentScopes(scopes),
	}
	view.describe(c, r.URL.Query().Get("redirect_uri"))

	return p.show(w, r, http.StatusOK, "sign-in/consent", view)
}

// consent answers POST /consent.
func (p *Pages) consent(w *web.Reply, r *http.Request) error {
	// Another site could agree in place of the user.
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	live, c, scopes, err := p.consentOf(w, r)
	if err != nil {
		return err
	}

	query := carried(r.URL.Query())
	switch {
	case live == nil:
	case form.Get("answer") == "allow":
		err = p.Logins.Consent(r.Context(), signin.ConsentRequest{
			Live:    live,
			Client:  c,
			Scopes:  scopes,
			Source:  w.Source,
			Request: w.ID,
		})
		if err != nil {
			return err
		}
	default:
		query.Set("consent", "denied")
	}

	return see(w, goOnPath(query))
}

// applicationsView is the view of account/applications.
type applicationsView struct {
	Applications []applicationRow
	Empty        Empty
}

// applicationRow is an application at which the user signs in.
type applicationRow struct {
	jeton.Application
	URL     string // where its form goes
	Learns  []consentScope
	Consent bool
}

// newApplications returns applications as they are shown.
func newApplications(list []jeton.Application) applicationsView {
	v := applicationsView{Empty: Empty{Text: text("applications.empty")}}
	for _, a := range list {
		v.Applications = append(v.Applications, applicationRow{
			Application: a,
			URL:         "/account/applications/" + url.PathEscape(naming.ClientInPath(a.Client)),
			Learns:      consentScopes(a.Scopes),
			Consent:     !a.Agreed.IsZero(),
		})
	}

	return v
}

// applications answers GET /account/applications.
func (p *Pages) applications(w *web.Reply, r *http.Request) error {
	var list []jeton.Application
	err := p.API.Call(w, r, http.MethodGet, ownAPI+"/applications", nil, &list)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/applications", newApplications(list))
}

// endApplication answers POST /account/applications/{client}.
func (p *Pages) endApplication(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	target := ownAPI + "/applications/" + url.PathEscape(r.PathValue("client"))
	err := p.API.Call(w, r, http.MethodDelete, target, nil, nil)
	// It has ended meanwhile, which is what was wanted.
	if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
		return err
	}

	return see(w, "/account/applications?done=application-ended")
}
