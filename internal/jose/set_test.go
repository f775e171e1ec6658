package jose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// TestAnUnusualEntryDisablesNoOther reads sets with one usable key, a, and an unusual entry.
func TestAnUnusualEntryDisablesNoOther(t *testing.T) {
	named := func(jwk, kid string) string { return strings.Replace(jwk, "{", `{"kid":"`+kid+`",`, 1) }
	a := named(ecOfA3, "a")
	rsa := func(alg string) string {
		return `{"kid":"r","alg":"` + alg + `",` + rsaJWK(modulus(2048), "AQAB")[1:]
	}
	otherRSA := strings.Replace(rsaOf31, "2011-04-29", "r", 1)

	for _, tc := range []struct {
		name, entry string
		want        string // kid and algorithm of the keys
		why         string // part of the note; "": none
	}{
		{"null", `null`, "a ES256", "not a JSON object"},
		{"a text", `"x"`, "a ES256", "not a JSON object"},
		{"a member twice", `{"kid":"b",` + named(edOfA, "b")[1:], "a ES256", "twice"},
		{"a secret", `{"kty":"oct","alg":"HS256","k":"AAAA"}`, "a ES256", "private member k"},
		{"an unknown kty", `{"kty":"AKP","alg":"ML-DSA-44","pub":"x"}`, "a ES256", "AKP"},
		{"a private key of an unknown kty", `{"kty":"AKP","priv":"AAAA"}`, "a ES256", "private member priv"},
		{"a private key", edOwner, "a ES256", "private member d"},
		{"a private key and its public half", edOwner + "," + named(edOfA, "b"), "a ES256", "private half"},
		{
			"one key for three algorithms",
			rsa("RS512") + "," + rsa("RS256") + "," + rsa("PS256"),
			"a ES256, r RS512, r RS256, r PS256",
			"",
		},
		{
			"a key for JWTs of a SPIFFE bundle",
			`{"use":"jwt-svid",` + named(edOfA, "b")[1:],
			"a ES256, b EdDSA",
			"",
		},
		{"a key for certificates of a SPIFFE bundle", `{"use":"x509-svid",` + named(edOfA, "b")[1:], "a ES256", "use"},
		{"two keys of one kid, for two algorithms", named(edOfA, "a"), "a ES256, a EdDSA", ""},
		{"two keys of one kid and algorithm", rsa("RS256") + "," + otherRSA, "a ES256", "another key"},
		{"the same key again", a, "a ES256", "twice"},
		{"the same key again, its kid in disguise", named(ecOfA3, `\u0061`), "a ES256", "twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, skipped, err := jose.ParseSet([]byte(`{"keys":[` + a + `,` + tc.entry + `]}`))

			var got []string
			for _, k := range keys {
				got = append(got, k.ID+" "+string(k.Alg))
			}

			if err != nil || strings.Join(got, ", ") != tc.want {
				t.Errorf("ParseSet = %q, %v, want %q", got, err, tc.want)
			}

			noted := slices.ContainsFunc(skipped, func(note string) bool { return strings.Contains(note, tc.why) })
			if tc.why == "" && len(skipped) > 0 || tc.why != "" && !noted {
				t.Errorf("notes %q, want one with %q", skipped, tc.why)
			}
		})
	}
}
