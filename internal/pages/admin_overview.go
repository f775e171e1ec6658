package pages

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/web"
)

// overview answers GET /admin.
func (p *Pages) overview(w *web.Reply, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "admin/overview", struct{}{})
}
