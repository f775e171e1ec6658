package pages

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// linkView is the view of sign-in/link.
type linkView struct {
	Action  string
	Name    string // user that the link signs in
	Current string // other user who is signed in here, or ""
}

// LinkPath returns the path of the page that signs a user in once, for the secret of a ticket.
func LinkPath(secret jeton.Secret) string { return "/link/" + secret.Reveal() }

// linkPage answers GET /link/{ticket} with a button. It uses nothing up: programs that check mail follow links.
func (p *Pages) linkPage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	name, err := p.Logins.LinkUser(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadLink(w, r, err, text("link.dead.do"))
	}

	live, err := p.live(w, r)
	if err != nil {
		return err
	}

	view := linkView{Action: r.URL.Path, Name: name}
	if live != nil && live.Principal().Name != name {
		view.Current = live.Principal().Name
	}

	return p.show(w, r, http.StatusOK, "sign-in/link", view)
}

// deadLink answers a link that does nothing any more. do has what the user can do instead.
func (p *Pages) deadLink(w *web.Reply, r *http.Request, err error, do Text) error {
	if !errors.Is(err, jeton.ErrBadCredential) && !errors.Is(err, jeton.ErrSpent) {
		return err
	}

	return p.dead(w, r, do)
}

// link answers POST /link/{ticket}: it uses the link up and signs the user in. The session was not proved by a
// password, so that nothing can be changed with it that needs one.
func (p *Pages) link(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	previous, err := p.previous(w, r)
	if err != nil {
		return err
	}

	started, _, err := p.Logins.Link(r.Context(), signin.LinkRequest{
		Secret:   r.PathValue("ticket"),
		Service:  config.IssuerName,
		Terms:    p.Terms(),
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
		Replaces: previous,
	})
	if p.awaitFactor(w, r.URL.Query(), err) {
		return nil
	}
	if err != nil {
		return p.deadLink(w, r, err, text("link.dead.do"))
	}

	p.keep(w, started)

	return see(w, defaultPage)
}
