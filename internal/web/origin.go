package web

import (
	"net/http"

	"github.com/jeton-auth/jeton"
)

// SameOrigin refuses a request that a browser sends on behalf of another site. Such a request
// could log a user in under another name, log a user out, or change something with the user's cookie.
func SameOrigin(r *http.Request) error {
	var protection http.CrossOriginProtection
	if err := protection.Check(r); err != nil {
		return jeton.WithDetail(jeton.ErrForbidden, "the request comes from another origin")
	}
	return nil
}
