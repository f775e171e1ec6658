package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
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

	name, address, err := p.Logins.Verifiable(r.Context(), gate.From(w).Session(), r.PathValue("ticket"))
	if err != nil {
		return p.notVerified(w, r, err)
	}

	return p.show(w, r, http.StatusOK, "sign-in/verify", verifyView{
		Action:  r.URL.Path,
		Name:    name,
		Address: address,
	})
}

// verify answers POST /verify/{ticket}: the address is that of the user from then on.
func (p *Pages) verify(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.Logins.VerifyAddress(r.Context(), signin.VerifyRequest{
		Live:    gate.From(w).Session(),
		Secret:  r.PathValue("ticket"),
		Source:  w.Source,
		Request: w.ID,
	})
	if err != nil {
		return p.notVerified(w, r, err)
	}

	return see(w, verifyDonePath)
}

// notVerified answers for a link that does not make an address that of the user of the session. That of another user
// leads to the sign-in and back: a stranger who got the link by mistake sees nothing of the account.
func (p *Pages) notVerified(w *web.Reply, r *http.Request, err error) error {
	switch {
	case errors.Is(err, jeton.ErrForbidden):
		return see(w, pathWith("/sign-in", url.Values{
			otherParam: {"1"},
			"done":     {"other"},
			toParam:    {r.URL.Path},
		}))
	case errors.Is(err, jeton.ErrConflict):
		return p.dead(w, r, text("verify.taken.do"))
	}

	return p.deadLink(w, r, err, text("verify.dead.do"))
}

// verifyDone answers GET /verify, after an address was confirmed.
func (p *Pages) verifyDone(w *web.Reply, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "sign-in/verify", verifyView{})
}
