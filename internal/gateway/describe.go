package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/web"
)

// describe answers GET /.well-known/jeton: what a wallet needs to know to log in.
func (g *Gateway) describe(w *web.Reply, _ *http.Request) error {
	d := map[string]string{
		"service":        g.conf.Name,
		"logout":         g.conf.Logout,
		"username_field": g.conf.Login.UsernameField,
		"password_field": g.conf.Login.PasswordField,
	}
	if len(g.conf.Login.Paths) > 0 {
		d["login"] = g.conf.Login.Paths[0]
	}
	if g.conf.Tokens != nil {
		d["issuer"], d["audience"] = g.issuer, g.conf.Tokens.Audience
	}

	return web.JSON(w, http.StatusOK, d)
}
