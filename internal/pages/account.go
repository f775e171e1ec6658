package pages

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// accountRoutes returns the routes of the pages of an account. Each needs a session.
func (p *Pages) accountRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /account", Access: policy.Session, Handle: p.profile},
	}
}

// profileView is the view of account/profile.
type profileView struct {
	Name   string
	Groups []string
}

// profile answers GET /account.
func (p *Pages) profile(w *web.Reply, r *http.Request) error {
	who := gate.From(w).Principal()

	return p.show(w, r, http.StatusOK, "account/profile", profileView{Name: who.Name, Groups: who.Groups})
}
