package server_test

import (
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const expiring = `
issuer: {url: 'http://localhost:${ISSUER_PORT}', listen: 'localhost:${ISSUER_PORT}', plain_http: true}
services:
  - name: shop
    listen: localhost:0
    plain_http: true
    tokens: {lifetime: 30s}
    login: {token: /token}
    users_api: {}
    teaching: {token_in_body: true, assertion_login: /assert}
    routes: [{match: POST /ask, respond: {text: ok}}]
clients:
  - name: guard
    secret_hash: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b # secret
    introspects: [shop]
`

// TestATokenThatExpiresWhileTheBodyArrivesIsRefused sends requests whose body comes after the expiry. Each endpoint
// judges a token when it has the whole request.
func TestATokenThatExpiresWhileTheBodyArrivesIsRefused(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	start := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	now.Store(start.UnixNano())

	s := jetontest.Start(t, expiring, jetontest.Clock(clock))
	s.AddUser("diane", "correct horse battery")

	for _, tc := range []struct {
		name, method, path string
		header, body       func(token string) string
		accepted, refused  string // text of the response
	}{
		{
			name:     "a token in the body, at the gateway",
			method:   "POST",
			path:     s.URL("shop") + "/ask",
			body:     func(token string) string { return token },
			accepted: "ok",
			refused:  "Signature has expired",
		},
		{
			name:     "a token in the header, at the API",
			method:   "PUT",
			path:     s.URL("shop") + "/api/v1/users/me",
			header:   func(token string) string { return "Bearer " + token },
			body:     func(string) string { return `{"first_name": "Diane"}` },
			accepted: `"first_name":"Diane"`,
			refused:  `"expired"`,
		},
		{
			name:     "introspection",
			method:   "POST",
			path:     s.Issuer() + "/oauth2/introspect",
			header:   func(string) string { return "Basic Z3VhcmQ6c2VjcmV0" }, // guard:secret
			body:     func(token string) string { return "token=" + token },
			accepted: `"active":true`,
			refused:  `"active":false`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now.Store(start.UnixNano())
			a := s.Ask("GET", "shop", "/token", "Authorization", "Basic ZGlhbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5")
			tok := strings.Split(a.Body, `"`)[3]

			for _, at := range []struct {
				after time.Duration
				want  string
			}{
				{30*time.Second - 1, tc.accepted},
				{30 * time.Second, tc.refused},
			} {
				now.Store(start.UnixNano())
				c := &http.Client{Transport: waiting{func() { now.Store(start.Add(at.after).UnixNano()) }}}

				header := []string{
					"Content-Type", "application/json",
					"Expect", "100-continue",
				}
				if strings.HasPrefix(tc.body(tok), "token=") {
					header[1] = "application/x-www-form-urlencoded"
				}
				if tc.header != nil {
					header = append(header, "Authorization", tc.header(tok))
				}

				a := s.Send(c, tc.method, tc.path, tc.body(tok), header...)
				if !strings.Contains(a.Body, at.want) {
					t.Errorf("body after %v: %d %s, want %s", at.after, a.Status, a.Body, at.want)
				}
			}
		})
	}
}

// waiting sends the body once the server reads it (100 Continue), after calling before.
type waiting struct{ before func() }

// RoundTrip implements http.RoundTripper.
func (w waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got100Continue: w.before})
	to := &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true}

	return to.RoundTrip(r.WithContext(ctx))
}
