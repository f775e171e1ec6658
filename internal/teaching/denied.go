package teaching

import (
	"net/http"
	"net/url"
	"strings"
	"text/template"

	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/web"
)

// denied answers every refusal of a service with one text.
type denied struct {
	text       *template.Template
	nameCookie string // cookie with the name of the user, or ""
}

// refuse is a refuser.
func (d *denied) refuse(w *web.Reply, r *http.Request, err error) bool {
	if !isDenial(err) {
		return false
	}

	web.Mark(w, err)

	var text strings.Builder
	if err := d.text.Execute(&text, map[string]string{"Name": d.claimedName(r)}); err != nil {
		web.Fail(w, r, err)
		return true
	}

	writeText(w, http.StatusForbidden, text.String())

	return true
}

// claimedName returns the name that a request claims, true or not, if it is a valid name.
func (d *denied) claimedName(r *http.Request) string {
	const none = "None"

	if d.nameCookie == "" {
		return none
	}

	value, count := web.FindCookie(r.Header, d.nameCookie)
	if count != 1 {
		return none
	}

	claimed, err := url.PathUnescape(value)
	if err != nil {
		return none
	}

	// Anything else from a cookie would be text of the attacker's in our response.
	name, _, err := naming.User(claimed)
	if err != nil {
		return none
	}

	return name
}
