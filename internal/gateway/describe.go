package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/web"
)

// describe answers GET /.well-known/jeton: what a wallet needs to know to log in.
func (g *Gateway) describe(w *web.Reply, r *http.Request) error {
	d := map[string]string{
		"service":        g.conf.Name,
		"logout":         g.conf.Logout,
		"username_field": g.conf.Login.UsernameField,
		"password_field": g.conf.Login.PasswordField,
	}
	if len(g.conf.Login.Paths) > 0 {
		d["login"] = g.conf.Login.Paths[0]
	}
	// Only with a name of its own: on another one, a front may have replaced the Host of the request.
	if g.conf.Host != "" && !g.conf.PlainHTTP {
		d["resource"] = "https://" + r.Host
	}
	if g.conf.Tokens != nil {
		d["issuer"], d["audience"] = g.issuer, g.conf.Tokens.Audience
	}

	return web.JSON(w, http.StatusOK, d)
}
