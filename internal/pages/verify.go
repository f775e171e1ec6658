package pages

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// verifyView is the view of sign-in/verify.
type verifyView struct {
	Action  string // where the form goes, or "" once the address counts
	Name    string // user whose address it becomes
	Address string
}

// VerifyPath returns the path of the page that makes an e-mail address that of a user, for the secret of a ticket.
func VerifyPath(secret jeton.Secret) string { return "/verify/" + secret.Reveal() }

// verifyDonePath is where the use of a link leads.
const verifyDonePath = "/verify"

// verifyPage answers GET /verify/{ticket} with a button. It changes nothing: programs that check mail follow links.
func (p *Pages) verifyPage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	name, address, err := p.Logins.Verifiable(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadLink(w, r, err, text("verify.dead.do"))
	}

	return p.show(w, r, http.StatusOK, "sign-in/verify", verifyView{
		Action:  r.URL.Path,
		Name:    name,
		Address: address,
	})
}

// verify answers POST /verify/{ticket}: the address is that of the user from then on. It starts no session, and one of
// another user in this browser goes on.
func (p *Pages) verify(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.Logins.VerifyAddress(r.Context(), signin.VerifyRequest{
		Secret:  r.PathValue("ticket"),
		Source:  w.Source,
		Request: w.ID,
	})
	if errors.Is(err, jeton.ErrConflict) {
		return p.dead(w, r, text("verify.taken.do"))
	}
	if err != nil {
		return p.deadLink(w, r, err, text("verify.dead.do"))
	}

	return see(w, verifyDonePath)
}

// verifyDone answers GET /verify, after an address was confirmed.
func (p *Pages) verifyDone(w *web.Reply, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "sign-in/verify", verifyView{})
}
