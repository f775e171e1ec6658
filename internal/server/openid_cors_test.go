package server_test

import (
	"net/http"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestThePageOfAPublicClientReadsItsAnswers sends what a script of a page sends. Pages of other sites read nothing, and
// no page sends the cookies of the browser.
func TestThePageOfAPublicClientReadsItsAnswers(t *testing.T) {
	const page = "https://page.example"
	s := jetontest.Start(t, `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
clients:
  - {name: page, openid: {redirect_uris: ["https://page.example/done"], public: true, id_token_algorithm: ES256}}
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid: {redirect_uris: ["https://page.example/wiki"], id_token_algorithm: ES256}
`)
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	_, back := b.shown(wikiAsks(s, "client_id", "page", "redirect_uri", page+"/done"))
	b.signIn("diane")
	changes := []string{"client_id", "page", "client_secret", "", "redirect_uri", page + "/done"}
	token := redeem(t, s, b.codeFor(back), changes...).Access

	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name    string
		method  string
		path    string
		body    string
		origin  string
		allowed string
	}{
		{"the token endpoint", "POST", "/oauth2/token", "grant_type=authorization_code&client_id=page", page, page},
		{"of another site", "POST", "/oauth2/token", "grant_type=authorization_code&client_id=page", page + "x", ""},
		{"of a client with a secret", "POST", "/oauth2/token", "grant_type=refresh_token&client_id=wiki", page, ""},
		{"of no client", "POST", "/oauth2/token", "grant_type=refresh_token&client_id=else", page, ""},
		{"userinfo", "GET", "/oauth2/userinfo", "", page, page},
		{"userinfo of another site", "GET", "/oauth2/userinfo", "", "https://evil.example", ""},
		{"revocation", "POST", "/oauth2/revoke", "client_id=page&token=x", page, page},
		{"revocation of another site", "POST", "/oauth2/revoke", "client_id=page&token=x", "null", ""},
		{"discovery", "GET", "/.well-known/openid-configuration", "", "https://any.example", "*"},
		{"keys", "GET", "/.well-known/jwks.json", "", "https://any.example", "*"},
		{"the page of the authorization request", "GET", "/oauth2/authorize", "", page, ""},
		{"introspection", "POST", "/oauth2/introspect", "client_id=page&token=x", page, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := []string{"Origin", tc.origin, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}
			if tc.method == "POST" {
				header = append(header, "Content-Type", form)
			} else {
				header = append(header, "Authorization", "Bearer "+token)
			}

			a := s.Send(s.Client(), tc.method, s.Issuer()+tc.path, tc.body, header...)
			got := a.Header.Get("Access-Control-Allow-Origin")
			if got != tc.allowed {
				t.Errorf("Access-Control-Allow-Origin = %q, want %q (%d)", got, tc.allowed, a.Status)
			}
			cookies := a.Header.Get("Access-Control-Allow-Credentials")
			if cookies != "" {
				t.Errorf("Access-Control-Allow-Credentials = %q, want none", cookies)
			}
		})
	}

	a := s.Send(s.Client(), http.MethodOptions, s.Issuer()+"/oauth2/userinfo", "",
		"Origin", page, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	allowed := a.Header.Get("Access-Control-Allow-Headers")
	if a.Status != http.StatusNoContent || allowed != "Authorization, Content-Type" {
		t.Errorf("preflight = %d %v, want 204 and the headers", a.Status, a.Header)
	}
}
