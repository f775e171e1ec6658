package oauth_test

import (
	"strings"
	"testing"
)

// TestBearerHeaders sends a valid token in headers that are right, or nearly right.
func TestBearerHeaders(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	for _, service := range []string{"reports", "opaque"} {
		token, other := f.Token(ci, "audience", service), f.Token(ci, "audience", service)
		for _, tc := range []struct {
			name   string
			path   string
			header []string
			code   string // "": accepted
		}{
			{"valid", "/who", []string{"Authorization", "Bearer " + token}, ""},
			{"the scheme in small letters", "/who", []string{"Authorization", "bearer " + token}, ""},
			{"the scheme in mixed letters", "/who", []string{"Authorization", "bEaReR " + token}, ""},
			{"spaces after the scheme", "/who", []string{"Authorization", "Bearer   " + token}, ""},
			{
				"two valid tokens",
				"/who",
				[]string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + other},
				"ambiguous_credential",
			},
			{
				"the same one twice",
				"/who",
				[]string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
				"ambiguous_credential",
			},
			{
				"two in one line",
				"/who",
				[]string{"Authorization", "Bearer " + token + ", Bearer " + other},
				"bad_credential",
			},
			{"in the query", "/who?access_token=" + token, nil, "no_credential"},
			{"in a header of another name", "/who", []string{"X-Authorization", "Bearer " + token}, "no_credential"},
			{"in a cookie", "/who", []string{"Cookie", "access_token=" + token}, "no_credential"},
			{"without the scheme", "/who", []string{"Authorization", token}, "no_credential"},
			{"the scheme alone", "/who", []string{"Authorization", "Bearer"}, "no_credential"},
			{"a tab for the space", "/who", []string{"Authorization", "Bearer\t" + token}, "no_credential"},
			{"another scheme", "/who", []string{"Authorization", "DPoP " + token}, "no_credential"},
			{
				"a no-break space behind it",
				"/who",
				[]string{"Authorization", "Bearer " + token + "\u00a0"},
				"bad_credential",
			},
			{
				"a no-break space before it",
				"/who",
				[]string{"Authorization", "Bearer \u00a0" + token},
				"bad_credential",
			},
			{"quotes around it", "/who", []string{"Authorization", `Bearer "` + token + `"`}, "bad_credential"},
			{
				"all but its last character",
				"/who",
				[]string{"Authorization", "Bearer " + token[:len(token)-1]},
				"bad_credential",
			},
			{"a character more", "/who", []string{"Authorization", "Bearer " + token + "0"}, "bad_credential"},
			{"capitals", "/who", []string{"Authorization", "Bearer " + strings.ToUpper(token)}, "bad_credential"},
			{
				"another case of one letter",
				"/who",
				[]string{"Authorization", "Bearer " + swapCase(token)},
				"bad_credential",
			},
			{"itself twice", "/who", []string{"Authorization", "Bearer " + token + token}, "bad_credential"},
		} {
			t.Run(service+", "+tc.name, func(t *testing.T) {
				f := f.on(t)
				a := f.Ask("GET", service, tc.path, tc.header...)
				want := map[string]int{"": 200, "ambiguous_credential": 400}[tc.code]
				if want == 0 {
					want = 401
				}

				if a.Code() != tc.code || a.Status != want {
					t.Errorf("%d %s, want %d %q", a.Status, a.Code(), want, tc.code)
				}

				challenge := a.Header.Get("Www-Authenticate")
				if want == 401 && (!strings.HasPrefix(
					challenge,
					"Bearer realm=",
				) || strings.Contains(challenge, "invalid_token") != (tc.code == "bad_credential")) {
					t.Errorf("challenge %q, want Bearer, and invalid_token only for a bad one", challenge)
				}
				if strings.Contains(a.Body, token) || strings.Contains(challenge, token) {
					t.Errorf("body %q, challenge %q; want the token in neither", a.Body, challenge)
				}
			})
		}
	}
}

// swapCase changes the case of the last letter but one.
func swapCase(s string) string {
	for i := len(s) - 2; i >= 0; i-- {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return s[:i] + string(c^0x20) + s[i+1:]
		}
	}

	return s
}
