package gateway

import (
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

func (g *Gateway) setCookies(w *web.Reply, s session.Started, who jeton.Principal) {
	lifetime := s.Ends.Sub(s.At)
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		g.cookie(t.Cookies.Name).Set(w, url.PathEscape(who.Name), lifetime)
		g.cookie(t.Cookies.Token).Set(w, s.Secret.Reveal(), lifetime)
		g.cookie(t.Cookies.LoginTime).Set(w, s.At.UTC().Format(time.RFC3339), lifetime)
		return
	}

	g.cookie(g.conf.Session.Cookie).Set(w, s.Secret.Reveal(), lifetime)
}

func (g *Gateway) cookie(name string) web.Cookie {
	return web.Cookie{Name: name, PlainHTTP: g.conf.PlainHTTP}
}

// cookieNames are the names that are ours in this service.
func (g *Gateway) cookieNames() []string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		return []string{t.Cookies.Name, t.Cookies.Token, t.Cookies.LoginTime}
	}
	return []string{g.conf.Session.Cookie}
}
