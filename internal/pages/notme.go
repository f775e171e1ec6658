package pages

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// notMeView is the view of sign-in/not-me.
type notMeView struct {
	Action   string // where the form goes, or "" without a link
	Name     string // user whose sessions and tokens end
	Done     bool   // they have ended
	Recovery bool   // users can have a link sent that sets a password
}

// NotMePath returns the path of the page that ends all sessions and tokens of a user, for the secret of a ticket.
func NotMePath(secret jeton.Secret) string { return "/not-me/" + secret.Reveal() }

// notMePage answers GET /not-me/{ticket} with a button. It ends nothing: programs that check mail follow links.
func (p *Pages) notMePage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	name, err := p.Logins.NotMeUser(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadLink(w, r, err, text("not-me.dead.do"))
	}

	return p.show(w, r, http.StatusOK, "sign-in/not-me", notMeView{Action: r.URL.Path, Name: name})
}

// notMe answers POST /not-me/{ticket}: it ends all sessions and tokens of the user. It starts no session, and one of
// another user in this browser goes on.
func (p *Pages) notMe(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.Logins.NotMe(r.Context(), signin.NotMeRequest{
		Secret:  r.PathValue("ticket"),
		Source:  w.Source,
		Request: w.ID,
	})
	if err != nil {
		return p.deadLink(w, r, err, text("not-me.dead.do"))
	}

	return see(w, notMeDonePath)
}

// notMeDonePath is where the use of a link leads.
const notMeDonePath = "/not-me?done=ended"

// notMeDone answers GET /not-me: after all sessions and tokens of a user have ended, with what to do next, and else
// with where the link is.
func (p *Pages) notMeDone(w *web.Reply, r *http.Request) error {
	done := r.URL.Query().Get("done") == "ended"
	return p.show(w, r, http.StatusOK, "sign-in/not-me", notMeView{Done: done, Recovery: p.Mail})
}
