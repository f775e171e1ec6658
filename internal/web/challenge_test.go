package web_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestChallenge(t *testing.T) {
	const (
		basic  = `Basic realm="app", charset="UTF-8"`
		bearer = `Bearer realm="app"`
		cookie = `Cookie realm="app", login="/login"`
	)

	all := policy.ByPassword | policy.ByToken | policy.BySession

	for _, tc := range []struct {
		name    string
		schemes policy.Kinds
		path    string
		header  [2]string
		err     error
		want    []string
	}{
		{"nothing was sent", all, "/", [2]string{}, jeton.ErrNoCredential, []string{basic, bearer, cookie}},
		{
			"a bad token was sent",
			policy.ByToken,
			"/",
			[2]string{"Authorization", "Bearer x"},
			jeton.ErrBadCredential,
			[]string{bearer + `, error="invalid_token"`},
		},
		{
			"an expired token was sent",
			policy.ByToken,
			"/",
			[2]string{"Authorization", "Bearer x"},
			jeton.ErrExpired,
			[]string{bearer + `, error="invalid_token"`},
		},
		{
			"the token lacks a scope",
			policy.ByToken,
			"/",
			[2]string{"Authorization", "Bearer x"},
			jeton.ErrScope,
			[]string{bearer + `, error="insufficient_scope"`},
		},
		{"a refusal that is not a 401", all, "/", [2]string{}, jeton.ErrForbidden, nil},
		{"the server is down", all, "/", [2]string{}, jeton.ErrUnavailable, nil},
		{
			"a script sent the request",
			all,
			"/",
			[2]string{"Sec-Fetch-Mode", "cors"},
			jeton.ErrNoCredential,
			[]string{bearer, cookie},
		},
		{
			"a page was opened",
			all,
			"/",
			[2]string{"Sec-Fetch-Mode", "navigate"},
			jeton.ErrNoCredential,
			[]string{basic, bearer, cookie},
		},
		{
			"a registry client",
			policy.ByPassword | policy.ByToken,
			"/v2/",
			[2]string{},
			jeton.ErrNoCredential,
			[]string{basic},
		},
		{
			"a registry client with a Bearer token",
			policy.ByPassword | policy.ByToken,
			"/v2/",
			[2]string{"Authorization", "Bearer x"},
			jeton.ErrBadCredential,
			[]string{basic, bearer + `, error="invalid_token"`},
		},
		{
			"no scheme is left, and every 401 has a challenge",
			policy.ByPassword,
			"/",
			[2]string{"X-Requested-With", "XMLHttpRequest"},
			jeton.ErrNoCredential,
			[]string{cookie},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, rec := reply()
			r := httptest.NewRequest("GET", tc.path, nil)

			if tc.header[0] != "" {
				r.Header.Set(tc.header[0], tc.header[1])
			}

			web.Challenge{Realm: "app", Schemes: tc.schemes, Login: "/login"}.Set(w, r, tc.err)

			got := rec.Header()["Www-Authenticate"]
			if !slices.Equal(got, tc.want) {
				t.Errorf("WWW-Authenticate is %q, want %q", got, tc.want)
			}
		})
	}
}
