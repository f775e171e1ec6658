package web

import (
	"net/http"

	"github.com/jeton-auth/jeton"
)

// SameOrigin returns jeton.ErrForbidden for a request that a browser sends on behalf of another site.
// Such a request could log a user in under another name, log a user out, or change something with
// the user's cookie. GET, HEAD and OPTIONS pass, and so does a client that is not a browser.
func SameOrigin(r *http.Request) error {
	// Without trusted origins: it compares Sec-Fetch-Site, or else Origin with Host.
	var protection http.CrossOriginProtection
	if err := protection.Check(r); err != nil {
		return jeton.WithDetail(jeton.ErrForbidden, "the request comes from another origin")
	}
	return nil
}
