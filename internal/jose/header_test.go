package jose_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// A token's own key, or its URL, is reported and never used: the package makes no requests.
func TestKeysInsideATokenAreIgnored(t *testing.T) {
	ed := newSigner(t, jose.EdDSA)
	thief, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, member string
		foreign      []string
	}{
		{"the key itself", `"jwk":` + string(thief.Key().JWK()), []string{"jwk"}},
		{"where a set of keys is", `"jku":"http://127.0.0.1/keys"`, []string{"jku"}},
		{"where a certificate is", `"x5u":"http://127.0.0.1/certificate"`, []string{"x5u"}},
		{"a certificate", `"x5c":["MIIB"]`, []string{"x5c"}},
		{
			"all of them, and no key in any",
			`"x5c":1,"jwk":null,"x5u":{},"jku":[]`,
			[]string{"x5c", "jwk", "x5u", "jku"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := `{"alg":"EdDSA","kid":"` + ed.Key().ID + `",` + tc.member + `}`
			for by, want := range map[*jose.Signer]error{thief: jose.ErrSignature, ed: nil} {
				s, err := jose.Parse(sign(t, by, header, jobClaims))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(s.Header.Foreign, tc.foreign) {
					t.Errorf("Foreign = %q, want %q", s.Header.Foreign, tc.foreign)
				}

				if err := s.Verify(ed.Key()); !errors.Is(err, want) {
					t.Errorf("Verify = %v, want %v", err, want)
				}
			}
		})
	}
}

// A kid is only a name to look up: Parse returns it unchanged.
func TestKidMayBeAnyText(t *testing.T) {
	ed := newSigner(t, jose.EdDSA)
	for _, tc := range []struct{ name, json, want string }{
		{"a path", `../../../../dev/null`, "../../../../dev/null"},
		{"quotes", `' OR '1'='1`, "' OR '1'='1"},
		{"a zero byte", `k\u0000ey`, "k\x00ey"},
		{"a line break", `k\r\ney`, "k\r\ney"},
		{"a command", `|/bin/true`, "|/bin/true"},
		{"a smile, as a pair", `\ud83d\ude00`, "\U0001f600"},
		{"a smile, as it is", "\U0001f600", "\U0001f600"},
		{"escapes of all kinds", `\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.Parse(sign(t, ed, `{"alg":"EdDSA","kid":"`+tc.json+`"}`, jobClaims))
			if err != nil || s.Header.KeyID != tc.want || s.Verify(ed.Key()) != nil {
				t.Errorf("Parse = %q, %v, want %q", s.Header.KeyID, err, tc.want)
			}
		})
	}
}

// A refusal by shape alone allocates next to nothing (CVE-2025-30204, CVE-2025-27144).
func TestManyDotsCostNothing(t *testing.T) {
	for _, token := range []string{
		strings.Repeat(".", 1<<20),
		strings.Repeat(".", 8<<10),
		strings.Repeat("a", 1<<20),
		strings.Repeat("a.", 4<<10),
	} {
		n := testing.AllocsPerRun(10, func() { _, _ = jose.Parse(token) })
		if n > 8 {
			t.Errorf("%.4s… of %d bytes: %v allocations, want at most 8", token, len(token), n)
		}
	}
}

func TestTyp(t *testing.T) {
	for _, tc := range []struct {
		name, typ, kind string
		want            bool
	}{
		{"the same", "at+jwt", "at+jwt", true},
		{"with its prefix", "application/at+jwt", "at+jwt", true},
		{"with a prefix on the other side", "at+jwt", "application/at+jwt", true},
		{"in another case", "AT+JWT", "at+jwt", true},
		{"with its prefix in another case", "Application/AT+JWT", "at+jwt", true},
		{"another", "JWT", "at+jwt", false},
		{"none", "", "at+jwt", false},
		{"no typ, and none wanted", "", "", false},
		{"of another tree", "text/at+jwt", "at+jwt", false},
		{"the prefix twice", "application/application/at+jwt", "at+jwt", false},
		{"of another tree behind the prefix", "application/text/plain", "text/plain", false},
		{"with a parameter", "at+jwt;x=1", "at+jwt", false},
		{"a sign that is k only to some", "to\u212aen", "token", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := (jose.Header{Type: tc.typ}).Typ(tc.kind)
			if got != tc.want {
				t.Errorf("Typ(%q) of %q = %t, want %t", tc.kind, tc.typ, got, tc.want)
			}
		})
	}
}
