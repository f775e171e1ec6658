package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Challenge is what a refused caller may prove itself with (RFC 9110, section 11.6.1). Its strings
// are written into a header as they are: they must have no quote and no control character.
type Challenge struct {
	Realm    string       // name of the service
	Schemes  policy.Kinds // sessions, tokens and passwords that are accepted
	Login    string       // path of the login that sets the session cookie, or ""
	Metadata string       // address of the metadata of the resource (RFC 9728, section 5.1), or ""
}

// Set sets WWW-Authenticate where err is a 401, or where a token lacks a scope (RFC 6750,
// section 3). Every 401 has a challenge, whatever the schemes.
func (c Challenge) Set(w *Reply, r *http.Request, err error) {
	if Problem(err).Status != http.StatusUnauthorized && !errors.Is(err, jeton.ErrScope) {
		return
	}

	var list []string
	if c.Schemes&policy.ByPassword != 0 && !fromScript(r) {
		list = append(list, BasicChallenge(c.Realm))
	}

	var unmet *policy.Unmet
	errors.As(err, &unmet)
	if unmet != nil && unmet.Factors > 1 {
		list = nil // the right password would be refused again
	}

	if len(list) > 0 && fromRegistryClient(r) {
		// Docker before version 23 gives up unless the refusal names the registry's API.
		w.Header()["Docker-Distribution-Api-Version"] = []string{"registry/2.0"}
	} else if c.Schemes&policy.ByToken != 0 || unmet != nil {
		// RFC 9470 defines its answer for this scheme alone; it helps scripts with a session, too.
		list = append(list, c.bearer(w.Scopes, err))
	}

	// RFC 9110, section 15.5.2: a 401 must have a challenge.
	if c.Schemes&policy.BySession != 0 || len(list) == 0 {
		list = append(list, c.cookie())
	}

	w.Header()["Www-Authenticate"] = list
}

// BasicChallenge asks for a name and a password (RFC 7617, sections 2 and 2.1).
func BasicChallenge(realm string) string {
	return `Basic realm="` + realm + `", charset="UTF-8"`
}

// bearer asks for a token with scopes, with the code of RFC 6750, section 3.1, where one was sent.
func (c Challenge) bearer(scopes []string, err error) string {
	challenge := `Bearer realm="` + c.Realm + `"`

	// RFC 6750, section 3.1: without any credential there should be no error code.
	switch {
	case errors.Is(err, jeton.ErrScope):
		challenge += `, error="insufficient_scope"`
	case errors.Is(err, jeton.ErrFactor): // RFC 9470, section 3
		challenge += `, error="insufficient_user_authentication"` + required(err)
	case !errors.Is(err, jeton.ErrNoCredential):
		challenge += `, error="invalid_token"`
	}

	if len(scopes) > 0 {
		challenge += `, scope="` + strings.Join(scopes, " ") + `"`
	}
	if c.Metadata != "" {
		challenge += `, resource_metadata="` + c.Metadata + `"`
	}

	return challenge
}

// required returns the parameters that say how the user has to be proved (RFC 9470, section 3).
func required(err error) string {
	var unmet *policy.Unmet
	if !errors.As(err, &unmet) {
		return ""
	}

	text := ""
	if unmet.ACR != "" {
		text += `, acr_values="` + unmet.ACR + `"`
	}
	if unmet.MaxAge > 0 {
		text += `, max_age="` + strconv.FormatInt(int64(unmet.MaxAge/time.Second), 10) + `"`
	}

	return text
}

// cookie asks for a session. There is no registered scheme for a login form and a cookie.
func (c Challenge) cookie() string {
	challenge := `Cookie realm="` + c.Realm + `"`
	if c.Login != "" {
		challenge += `, login="` + c.Login + `"`
	}
	return challenge
}

// fromScript reports whether a script in a page sent the request. A Basic challenge would
// make the browser open a dialog of its own.
func fromScript(r *http.Request) bool {
	// Browsers set Sec-Fetch-Mode themselves; older ones do not, but libraries set the other.
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode != "" && mode != "navigate" || r.Header.Get("X-Requested-With") != ""
}

// fromRegistryClient reports whether a client of a container registry sent the request, without
// a Bearer token. It takes the realm of a Bearer challenge for the URL of a token server
// (distribution, token authentication) and gives up if it is not one, so it gets Basic alone.
func fromRegistryClient(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/v2/") {
		return false
	}

	_, bearer, err := Authorization(r.Header, "Bearer")
	return err == nil && !bearer
}
