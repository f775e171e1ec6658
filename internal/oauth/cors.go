package oauth

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// anyOrigin lets the scripts of every site read a public document.
var anyOrigin = []string{"*"}

// preflightRoutes returns the routes that answer a browser before a script of a public client sends a request.
func (s *Server) preflightRoutes() []web.Route {
	var routes []web.Route
	for _, path := range []string{pathToken, pathDevice, pathPush, pathRevoke, pathUserinfo} {
		routes = append(routes, web.Route{
			Pattern: "OPTIONS " + path,
			Access:  policy.Open,
			Handle:  preflight,
		})
	}

	return routes
}

// preflight permits the request itself, whose client is not known yet (Fetch standard, CORS-preflight request). Whether
// the script may read the answer is decided with that: see readableBy. No credentials of the browser are permitted.
func preflight(w *web.Reply, r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		h.Add("Vary", "Origin")
	}

	return web.NoContent(w)
}

// readableBy lets a script read the answer to a request of a public client, if its page has the origin of one of the
// redirect addresses. Other clients have a server that sends their requests.
func readableBy(w *web.Reply, r *http.Request, c client.Client) {
	origin := r.Header.Get("Origin")
	if origin == "" || c.OpenID == nil || !c.OpenID.Public {
		return
	}
	if !slices.ContainsFunc(c.OpenID.RedirectURIs, isAt(origin)) {
		return
	}

	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Add("Vary", "Origin")
}

// readable is readableBy for the name of a client.
func (s *Server) readable(w *web.Reply, r *http.Request, name string) error {
	if r.Header.Get("Origin") == "" || name == "" {
		return nil
	}

	c, err := s.clients.FindForLogin(r.Context(), name)
	if err == nil {
		readableBy(w, r, c)
	}

	return err
}

// isAt returns a function that reports whether an address has an origin.
func isAt(origin string) func(string) bool {
	return func(address string) bool {
		u, err := url.Parse(address)
		return err == nil && u.Host != "" && u.Scheme+"://"+u.Host == origin
	}
}
