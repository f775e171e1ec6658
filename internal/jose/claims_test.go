package jose_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

func TestParseClaims(t *testing.T) {
	got, err := jose.ParseClaims([]byte(accessToken))
	if err != nil {
		t.Fatal(err)
	}

	want := jose.Claims{
		Issuer:     "https://login.example.org",
		Subject:    "diane",
		Audience:   []string{"https://files.example.org"},
		Expires:    time.Unix(1763800600, 0),
		NotBefore:  time.Unix(1763800000, 0),
		IssuedAt:   time.Unix(1763800000, 0),
		ID:         "jtn_a_0123456789abcdefghijkl",
		ClientID:   "backup-job",
		Scope:      "files:read files:write",
		Generation: "7c3f",
		MaxUses:    3,
	}
	if !same(got, want) {
		t.Errorf("ParseClaims = %+v, want %+v", got, want)
	}
}

func same(a, b jose.Claims) bool {
	return a.Issuer == b.Issuer && a.Subject == b.Subject && slices.Equal(a.Audience, b.Audience) &&
		a.Expires.Equal(b.Expires) && a.NotBefore.Equal(b.NotBefore) && a.IssuedAt.Equal(b.IssuedAt) &&
		a.ID == b.ID && a.ClientID == b.ClientID && a.Scope == b.Scope && a.Generation == b.Generation &&
		a.MaxUses == b.MaxUses
}

func TestClaimsOneByOne(t *testing.T) {
	bad := func(jose.Claims) bool { return false } // it must not come so far
	none := func(c jose.Claims) bool { return same(c, jose.Claims{}) }

	at := func(seconds, nanoseconds int64) func(jose.Claims) bool {
		return func(c jose.Claims) bool {
			return c.Expires.Equal(time.Unix(seconds, nanoseconds)) && !c.Expires.IsZero()
		}
	}

	audience := func(want ...string) func(jose.Claims) bool {
		return func(c jose.Claims) bool { return slices.Equal(c.Audience, want) }
	}

	for _, tc := range []struct {
		name, payload string
		ok            bool
		check         func(jose.Claims) bool
	}{
		{"no claims", `{}`, true, none},
		{"claims of others", `{"x":{"iss":"x"},"ISS":"x","Iss":"x","cnf":{"jkt":"x"},"exp ":1}`, true, none},
		{"a text in disguise", `{"i\u0073s":"\u0062ob"}`, true, func(c jose.Claims) bool { return c.Issuer == "bob" }},

		{"nothing", ``, false, bad},
		{"a text", `"iss"`, false, bad},
		{"a list", `[{"iss":"x"}]`, false, bad},
		{"null", `null`, false, bad},
		{"no JSON", `iss=x`, false, bad},
		{"something behind", `{}x`, false, bad},
		{"another object behind", `{"iss":"x"}{"iss":"y"}`, false, bad},
		{"a line break behind", "{}\n", true, none},
		{"a byte order mark", "\ufeff{}", false, bad},
		{"not UTF-8", "{\"iss\":\"\xc3\"}", false, bad},
		{"not UTF-8 in an unknown claim", "{\"x\":\"\xed\xa0\x80\"}", false, bad},
		{"half a surrogate pair", `{"sub":"\udc00"}`, false, bad},
		{"the halves in the wrong order", `{"sub":"\udc00\ud800"}`, false, bad},
		{"half a pair in an unknown claim", `{"x":["\ud800x"]}`, false, bad},
		{"a pair", `{"sub":"\ud83d\ude00"}`, true, func(c jose.Claims) bool { return c.Subject == "\U0001f600" }},

		{"a claim twice", `{"sub":"a","sub":"b"}`, false, bad},
		{"a claim twice and the same", `{"sub":"a","sub":"a"}`, false, bad},
		{"a claim twice, the first in disguise", `{"s\u0075b":"a","sub":"b"}`, false, bad},
		{"a claim of others twice", `{"x":1,"x":1}`, false, bad},
		{"twice inside an unknown claim", `{"x":{"y":1,"y":2}}`, true, none},

		{"a name that is empty", `{"sub":""}`, false, bad},
		{"a name that is null", `{"sub":null}`, false, bad},
		{"a name that is a number", `{"iss":1}`, false, bad},
		{"a name that is a list", `{"iss":["a"]}`, false, bad},
		{"a name that is an object", `{"client_id":{}}`, false, bad},
		{"a name that is true", `{"jti":true}`, false, bad},
		{"a generation that is a number", `{"gen":1}`, false, bad},
		{"no scope", `{"scope":""}`, true, none},
		{"a scope that is null", `{"scope":null}`, false, bad},
		{"a scope that is a list", `{"scope":["a","b"]}`, false, bad},

		{"an audience", `{"aud":"a"}`, true, audience("a")},
		{"a list of one", `{"aud":["a"]}`, true, audience("a")},
		{"a list of two, with spaces", `{"aud": [ "a" , "b" ] }`, true, audience("a", "b")},
		{"one in disguise", `{"aud":["\u0061"]}`, true, audience("a")},
		{"no audience", `{"aud":""}`, false, bad},
		{"a list of nothing", `{"aud":[]}`, false, bad},
		{"a list with an empty one", `{"aud":["a",""]}`, false, bad},
		{"a list with null", `{"aud":["a",null]}`, false, bad},
		{"a list with a number", `{"aud":["a",1]}`, false, bad},
		{"a list in a list", `{"aud":[["a"]]}`, false, bad},
		{"an audience that is null", `{"aud":null}`, false, bad},
		{"an audience that is a number", `{"aud":1}`, false, bad},
		{"an audience that is an object", `{"aud":{"a":1}}`, false, bad},
		{"an audience that is true", `{"aud":true}`, false, bad},

		{"a date", `{"exp":1763800600}`, true, at(1763800600, 0)},
		{"a date with a fraction", `{"exp":1.5}`, true, at(1, 5e8)},
		{"a date with a fraction of nothing", `{"exp":1.0}`, true, at(1, 0)},
		{"a date with an exponent", `{"exp":1e10}`, true, at(1e10, 0)},
		{"a date with a negative exponent", `{"exp":15e-1}`, true, at(1, 5e8)},
		{"the beginning is a date, and not none", `{"exp":0}`, true, at(0, 0)},
		{"the last second of the year 9999", `{"exp":253402300799}`, true, at(253402300799, 0)},
		{"a second later", `{"exp":253402300800}`, false, bad},
		{"half a second later", `{"exp":253402300799.5}`, false, bad},
		{"more than a number holds", `{"exp":1e400}`, false, bad},
		{"more than 64 bits hold", `{"exp":18446744073709551617}`, false, bad},
		{"before the beginning", `{"exp":-1}`, false, bad},
		{"a little before the beginning", `{"exp":-0.5}`, false, bad},
		{"minus nothing", `{"exp":-0}`, false, bad},
		{"a date that is a text", `{"exp":"1"}`, false, bad},
		{"a date that is null", `{"exp":null}`, false, bad},
		{"a date that is a list", `{"nbf":[1]}`, false, bad},
		{"a date that is true", `{"iat":true}`, false, bad},
		{"a date of base 16", `{"exp":0x10}`, false, bad},
		{"a date with a zero before it", `{"exp":01}`, false, bad},
		{"a date with a plus", `{"exp":+1}`, false, bad},
		{"a date with underlines", `{"exp":1_000}`, false, bad},
		{"a date that ends with a point", `{"exp":1.}`, false, bad},
		{"not a number", `{"exp":NaN}`, false, bad},
		{"without end", `{"exp":Infinity}`, false, bad},
		{"a date of many digits", `{"exp":1.` + strings.Repeat("0", 4000) + `}`, true, at(1, 0)},

		{"one use", `{"max_uses":1}`, true, func(c jose.Claims) bool { return c.MaxUses == 1 }},
		{"no use", `{"max_uses":0}`, false, bad},
		{"less than no use", `{"max_uses":-1}`, false, bad},
		{"half a use", `{"max_uses":0.5}`, false, bad},
		{"uses that are a text", `{"max_uses":"3"}`, false, bad},
		{"uses that are null", `{"max_uses":null}`, false, bad},
		{"uses with an exponent", `{"max_uses":1e2}`, false, bad},
		{"more uses than 64 bits hold", `{"max_uses":9223372036854775808}`, false, bad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := jose.ParseClaims([]byte(tc.payload))
			if !tc.ok {
				if !errors.Is(err, jose.ErrMalformed) || !same(c, jose.Claims{}) {
					t.Errorf("ParseClaims(%s) = %+v, %v, want ErrMalformed", tc.payload, c, err)
				}
				return
			}

			if err != nil || !tc.check(c) {
				t.Errorf("ParseClaims(%s) = %+v, %v; want its claims", tc.payload, c, err)
			}
		})
	}
}

func TestDatesAreInUTC(t *testing.T) {
	c, err := jose.ParseClaims([]byte(`{"exp":1,"nbf":1.5}`))
	if err != nil || c.Expires.Location() != time.UTC || c.NotBefore.Location() != time.UTC {
		t.Errorf("ParseClaims = %v, %v, %v; want times in UTC", c.Expires, c.NotBefore, err)
	}
}
