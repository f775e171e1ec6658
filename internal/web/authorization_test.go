package web_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestAuthorization(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  string
		found bool
		err   error
	}{
		{"no header", nil, "", false, nil},
		{"the scheme", []string{"Bearer x"}, "x", true, nil},
		{"the scheme in another case", []string{"bEARER x"}, "x", true, nil},
		{"spaces around the credentials", []string{"Bearer   x "}, "x", true, nil},
		{"more than one word", []string{"Bearer x y"}, "x y", true, nil},
		{"another scheme", []string{"Basic x"}, "", false, nil},
		{"a longer scheme", []string{"BearerX x"}, "", false, nil},
		{"the scheme alone", []string{"Bearer"}, "", false, nil},
		{"a tab in place of the space", []string{"Bearer\tx"}, "", false, nil},
		{"an empty header", []string{""}, "", false, nil},
		{"two headers", []string{"Bearer x", "Bearer x"}, "", false, jeton.ErrAmbiguous},
		{"two headers, one of another scheme", []string{"Bearer x", "Basic x"}, "", false, jeton.ErrAmbiguous},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, found, err := web.Authorization(http.Header{"Authorization": tc.lines}, "Bearer")
			if got != tc.want || found != tc.found || !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("Authorization = %q, %t, %v, want %q, %t, %v", got, found, err, tc.want, tc.found, tc.err)
			}
		})
	}
}

func TestParseBasic(t *testing.T) {
	encode := func(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }

	for _, tc := range []struct {
		name, credentials string
		user, password    string
		ok                bool
	}{
		{"a name and a password", encode("diane:secret"), "diane", "secret", true},
		{"a colon in the password", encode("diane:a:b"), "diane", "a:b", true},
		{"UTF-8", encode("zoë:pä"), "zoë", "pä", true},
		{"nothing but a colon", encode(":"), "", "", true},
		{"no colon", encode("diane"), "", "", false},
		{"a control character", encode("diane:a\nb"), "", "", false},
		{"DEL", encode("diane:a\x7fb"), "", "", false},
		{"not UTF-8", encode("diane:\xff"), "", "", false},
		{"not base64", "diane:secret", "", "", false},
		{"no padding", strings.TrimRight(encode("diane:x"), "="), "", "", false},
		{"a second encoding of the same bytes", "ZGlhbmU6eB==", "", "", false},
		{"a line break", encode("diane:secret")[:4] + "\n" + encode("diane:secret")[4:], "", "", false},
		{"over 16 KiB", encode("diane:" + strings.Repeat("x", 16<<10)), "", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			user, password, err := web.ParseBasic(tc.credentials)
			if user != tc.user || password != tc.password || (err == nil) != tc.ok {
				t.Errorf(
					"ParseBasic = %q, %q, %v, want %q, %q, ok: %t",
					user, password, err, tc.user, tc.password, tc.ok,
				)
			}

			if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("ParseBasic: %v, want %v", err, jeton.ErrBadCredential)
			}
		})
	}
}
