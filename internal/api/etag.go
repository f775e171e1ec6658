package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

// etag names the state of an account (RFC 9110, section 8.8.3) without revealing anything of it.
func etag(a account.Account) string {
	// The version changes with the password too, which the response does not show.
	b, err := json.Marshal([]any{a.UUID, a.Version, a.Updated.UnixMilli(), a.User()})
	if err != nil {
		return `""` // strings and numbers always encode
	}

	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// ifMatch returns the condition of If-Match (RFC 9110, section 13.1.1), or nil.
func ifMatch(r *http.Request) func(account.Account) error {
	lines := r.Header["If-Match"]
	if len(lines) == 0 {
		return nil
	}

	// Package account calls it in the transaction of the change: no other change comes in between.
	return func(current account.Account) error {
		for tag := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || tag == etag(current) {
				return nil
			}
		}

		return jeton.ErrChanged
	}
}
