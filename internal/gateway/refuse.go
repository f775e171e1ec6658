package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// refuseLogin phrases a failed login.
func (g *Gateway) refuseLogin(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	t := g.conf.Teaching
	if status != http.StatusUnauthorized || t == nil || !t.RevealLoginFailure {
		// Not the challenge of Basic, for which a browser opens a dialog of its own.
		g.challenge(policy.BySession).Set(w, r, err)
		web.Fail(w, r, err)
		return
	}

	realm := "Login required"

	switch signin.ReasonOf(err) {
	case signin.UnknownUser:
		realm = "No such user"
	case signin.WrongPassword, signin.Disabled:
		realm, status = "Password incorrect", http.StatusForbidden
	}

	web.Mark(w, err)
	w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
	plain(w, status, "Verification failed")
}

// challenge is what a refused caller may prove itself with.
func (g *Gateway) challenge(schemes policy.Kinds) web.Challenge {
	c := web.Challenge{Realm: g.conf.Name, Schemes: schemes}
	if len(g.conf.Login.Paths) > 0 {
		c.Login = g.conf.Login.Paths[0]
	}
	return c
}

// schemes are those that some route of the service accepts, and that a client can act on.
func (g *Gateway) schemes() policy.Kinds {
	var schemes policy.Kinds
	if g.takesBasic {
		schemes |= policy.ByPassword
	}
	if g.conf.Tokens != nil {
		schemes |= policy.ByToken
	}
	if len(g.conf.Login.Paths) > 0 {
		schemes |= policy.BySession
	}
	return schemes
}

func plain(w *web.Reply, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// refuse phrases the refusal of a route.
func (g *Gateway) refuse(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	denial := status == http.StatusUnauthorized || status == http.StatusForbidden || errors.Is(err, jeton.ErrAmbiguous)
	if denial && teaching(g.conf).TokenInBody {
		refuseBody(w, r, err)
		return
	}

	if g.denied == nil || !denial {
		g.challenge(g.schemes()).Set(w, r, err)
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	var text strings.Builder
	if terr := g.denied.Execute(&text, map[string]string{"Name": g.claimed(r)}); terr != nil {
		web.Fail(w, r, terr)
		return
	}

	plain(w, http.StatusForbidden, text.String())
}

// claimed returns the name that a request says it is of, believed or not, if it can be
// a name at all.
func (g *Gateway) claimed(r *http.Request) string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		value, count := web.FindCookie(r.Header, t.Cookies.Name)
		claimed, err := url.PathUnescape(value)
		if err == nil && count == 1 {
			name, _, err := naming.User(claimed)
			if err == nil {
				return name
			}
		}
	}

	return "None"
}

// refuseBasic phrases the refusal of a row that takes a password alone.
func (g *Gateway) refuseBasic(w *web.Reply, r *http.Request, err error) {
	if web.Problem(err).Status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = []string{web.BasicChallenge(g.conf.Name)}
	}
	web.Fail(w, r, err)
}
