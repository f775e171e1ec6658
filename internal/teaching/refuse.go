package teaching

import (
	"errors"
	"io"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// refuser answers an error as a teaching server does, or returns false and writes nothing.
type refuser func(w *web.Reply, r *http.Request, err error) bool

// refuseWith returns a route whose refusals are answered by f where f answers them.
func refuseWith(route web.Route, f refuser) web.Route {
	refuse := route.Refuse
	if refuse == nil {
		refuse = web.Fail
	}

	route.Refuse = func(w *web.Reply, r *http.Request, err error) {
		if !f(w, r, err) {
			refuse(w, r, err)
		}
	}

	return route
}

// isDenial reports whether an error means that the caller may not make the request.
func isDenial(err error) bool {
	// Not 503 and 429: they say nothing about the caller's credential.
	status := web.Problem(err).Status
	return status == http.StatusUnauthorized || status == http.StatusForbidden || errors.Is(err, jeton.ErrAmbiguous)
}

// writeText writes a response with a plain text.
func writeText(w *web.Reply, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// revealLoginFailure answers a failed login with whether the name or the password was wrong.
func revealLoginFailure(w *web.Reply, _ *http.Request, err error) bool {
	if web.Problem(err).Status != http.StatusUnauthorized {
		return false
	}

	realm, status := "Login required", http.StatusUnauthorized

	switch signin.ReasonOf(err) {
	case signin.UnknownUser:
		realm = "No such user"
	// Disabled is only found out with the right password, and then must look like a wrong one.
	case signin.WrongPassword, signin.Disabled:
		realm, status = "Password incorrect", http.StatusForbidden
	}

	web.Mark(w, err)
	w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
	writeText(w, status, "Verification failed")

	return true
}

// refuseToken answers the refusal of a token that is the body of a request.
func refuseToken(w *web.Reply, _ *http.Request, err error) bool {
	if !isDenial(err) {
		return false
	}

	text := "A valid token is required"
	switch {
	case errors.Is(err, jeton.ErrTooEarly):
		text = "The token is not yet valid (nbf)"
	case errors.Is(err, jeton.ErrExpired):
		text = "Signature has expired"
	case errors.Is(err, jeton.ErrSpent):
		text = "No uses are left"
	}

	web.Mark(w, err)
	writeText(w, http.StatusForbidden, text)

	return true
}
