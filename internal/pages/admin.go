package pages

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// forAdmins is the access of the pages of administrators.
func forAdmins() policy.Access {
	a := policy.Session
	a.Allow = &policy.Allow{Groups: []string{AdminGroup}}

	return a
}

// adminRoutes returns the routes of the pages of administrators.
func (p *Pages) adminRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin", Access: forAdmins(), Handle: p.overview},
	}
}

// overview answers GET /admin.
func (p *Pages) overview(w *web.Reply, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "admin/overview", struct{}{})
}
