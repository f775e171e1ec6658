package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// vector reads a file of test vectors that others have written.
func vector(t *testing.T, name string, into any) {
	t.Helper()

	b, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}

	err = json.Unmarshal(b, into)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// wycheproof is a file of Project Wycheproof.
type wycheproof struct {
	Groups []struct {
		Comment string
		Public  json.RawMessage // absent where the key is symmetric
		Private json.RawMessage
		Tests   []struct {
			ID      int `json:"tcId"`
			Comment string
			Result  string
			JWS     json.RawMessage
			JWE     json.RawMessage
		}
	} `json:"testGroups"`
}

// text returns a token as it is sent: a JSON string says it, an object is it.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// secretOf returns the key in a symmetric JWK, which the package itself does not read.
func secretOf(jwk json.RawMessage) (jose.Key, bool) {
	var j struct{ Kty, Alg, K string }
	if json.Unmarshal(jwk, &j) != nil || j.Kty != "oct" || !strings.HasPrefix(j.Alg, "HS") {
		return jose.Key{}, false
	}

	secret, err := base64.RawURLEncoding.DecodeString(j.K)
	return jose.Symmetric(jose.Alg(j.Alg), secret), err == nil
}

// judge reads and checks a token, and says no more than in which step it was refused.
func judge(token string, k jose.Key) string {
	s, err := jose.Parse(token)
	if err == nil {
		err = s.Verify(k)
	}

	for _, kind := range []error{jose.ErrMalformed, jose.ErrAlgorithm, jose.ErrSignature, jose.ErrKey} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}

	return fmt.Sprint(err) // <nil>, or what no token should meet
}

const accepted = "<nil>"

// Of the 401 tokens the 46 valid ones are accepted but for six, and the 355 invalid ones are
// refused but for two: 367 and 370 should have padding and have lost it, so that they are,
// byte by byte, the valid token 357 of the same key. What they were meant to be is in the
// table of attacks. The counts say in which step tokens were refused: none by accident.
func TestWycheproofSignatures(t *testing.T) {
	exceptions := map[int]string{
		346: jose.ErrAlgorithm.Error(), // the key is for PS256, the token PS384
		350: jose.ErrAlgorithm.Error(), // the same
		347: jose.ErrKey.Error(),       // the key is for ES521, which there is not
		351: jose.ErrKey.Error(),       // the same
		372: jose.ErrMalformed.Error(), // "?" in the middle of base64url
		373: jose.ErrMalformed.Error(), // the same
	}

	var file wycheproof
	vector(t, "wycheproof/json_web_signature_test.json", &file)
	got := map[string]int{}
	for _, g := range file.Groups {
		valid := map[string]int{} // tokens of this key
		for _, tc := range g.Tests {
			if tc.Result == "valid" {
				valid[text(tc.JWS)] = tc.ID
			}
		}

		key, symmetric := secretOf(g.Private)
		var keyErr error
		if !symmetric {
			key, keyErr = jose.ParseJWK(g.Public)
		}

		for _, tc := range g.Tests {
			verdict := judge(text(tc.JWS), key)
			if keyErr != nil {
				verdict = jose.ErrKey.Error()
				if !errors.Is(keyErr, jose.ErrKey) {
					t.Errorf("%d: key error = %v, want ErrKey", tc.ID, keyErr)
				}
			}

			if tc.Result == "invalid" && valid[text(tc.JWS)] != 0 {
				t.Logf(
					"%d (%s, %s) is called invalid and is the valid token %d",
					tc.ID, g.Comment, tc.Comment, valid[text(tc.JWS)],
				)
				if tc.ID != 367 && tc.ID != 370 {
					t.Errorf("%d is a copy, want only 367 and 370", tc.ID)
				}

				got["invalid, but a copy of a valid one: "+verdict]++
				continue
			}

			got[tc.Result+": "+verdict]++
			want, exceptional := exceptions[tc.ID]
			switch {
			case exceptional && (verdict != want || tc.Result != "valid"):
				t.Errorf("%d (%s, %s): %s, want %s", tc.ID, g.Comment, tc.Comment, verdict, want)
			case !exceptional && (verdict == accepted) != (tc.Result == "valid"):
				t.Errorf("%d (%s, %s): want %s, got %s %v", tc.ID, g.Comment, tc.Comment, tc.Result, verdict, keyErr)
			}
		}
	}

	want := map[string]int{
		"valid: " + accepted:                              40,
		"valid: " + jose.ErrAlgorithm.Error():             2,
		"valid: " + jose.ErrKey.Error():                   2,
		"valid: " + jose.ErrMalformed.Error():             2,
		"invalid: " + jose.ErrSignature.Error():           302,
		"invalid: " + jose.ErrMalformed.Error():           36,
		"invalid: " + jose.ErrAlgorithm.Error():           11,
		"invalid: " + jose.ErrKey.Error():                 4, // keys for encryption
		"invalid, but a copy of a valid one: " + accepted: 2,
	}
	if !maps.Equal(got, want) {
		t.Errorf("verdicts %v, want %v", got, want)
	}
}

// judgeSet is judge with the key of a set that the token names. The second result is why
// a set or its keys were refused.
func judgeSet(t *testing.T, set json.RawMessage, token string) (verdict, why string) {
	t.Helper()
	keys, skipped, err := jose.ParseSet(set)
	if err != nil {
		return jose.ErrKey.Error(), err.Error()
	}

	if len(keys) == 0 {
		return jose.ErrKey.Error(), strings.Join(skipped, "; ")
	}

	s, err := jose.Parse(token)
	if err != nil {
		return jose.ErrMalformed.Error(), err.Error()
	}

	for _, k := range keys {
		if k.ID == s.Header.KeyID {
			return judge(token, k), ""
		}
	}

	return "no such key", strings.Join(skipped, "; ")
}

// Sets with symmetric keys are refused by policy, also the four that Wycheproof calls
// valid: there are none here. All else is as it says, and for the reason that it says.
func TestWycheproofKeys(t *testing.T) {
	policy := map[int]bool{
		1:  true,
		2:  true,
		3:  true,
		4:  true,
		10: true,
		11: true,
		12: true,
		13: true,
		14: true,
		15: true,
		16: true,
		17: true,
		18: true,
		25: true,
		26: true,
	}
	reasons := map[int]string{
		6:  "its use is not sig",
		7:  "ROCA",
		8:  "1024 bits",
		9:  "the exponent 1",
		19: `no algorithm "ES521"`,
		20: `no algorithm "ES224"`,
		21: "its use is not sig",
		22: "not on curve",
		23: "not a coordinate",
		24: "n: not the number",
	}

	var file wycheproof
	vector(t, "wycheproof/json_web_key_test.json", &file)
	counts := map[string]int{}
	for _, g := range file.Groups {
		set := g.Public
		if set == nil {
			set = g.Private
		}

		for _, tc := range g.Tests {
			verdict, why := judgeSet(t, set, text(tc.JWS))
			switch {
			case policy[tc.ID]:
				counts["refused by policy, called "+tc.Result]++
				t.Logf("%d (%s, %s) is refused by policy: %s", tc.ID, g.Comment, tc.Comment, why)
				if !strings.Contains(why, "private member k") {
					t.Errorf("%d (%s): %s %s, want that it shows a secret", tc.ID, tc.Comment, verdict, why)
				}
			case tc.Result == "valid":
				counts["accepted"]++
				if verdict != accepted {
					t.Errorf("%d (%s): %s %s, want it accepted", tc.ID, tc.Comment, verdict, why)
				}
			default:
				counts["refused for what it is"]++
				if verdict != jose.ErrKey.Error() || reasons[tc.ID] == "" || !strings.Contains(why, reasons[tc.ID]) {
					t.Errorf("%d (%s): %s because of %q, want %q", tc.ID, tc.Comment, verdict, why, reasons[tc.ID])
				}
			}
		}
	}

	want := map[string]int{
		"accepted":                          1,
		"refused for what it is":            10,
		"refused by policy, called valid":   4,
		"refused by policy, called invalid": 11,
	}
	if !maps.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

// Of the file with signatures and encryption the signatures are judged, and what is
// encrypted is refused before anything of it is believed.
func TestWycheproofCrypto(t *testing.T) {
	var file wycheproof
	vector(t, "wycheproof/json_web_crypto_test.json", &file)
	counts := map[string]int{}
	for _, g := range file.Groups {
		for _, tc := range g.Tests {
			if tc.JWS == nil {
				counts["encrypted"]++
				if _, err := jose.Parse(text(tc.JWE)); !errors.Is(err, jose.ErrMalformed) {
					t.Errorf("%d (%s): Parse = %v, want ErrMalformed", tc.ID, tc.Comment, err)
				}
				continue
			}

			if strings.Contains(g.Comment, "eyset") {
				counts["symmetric sets, refused by policy"]++
				if verdict, why := judgeSet(t, g.Private, text(tc.JWS)); !strings.Contains(why, "private member k") {
					t.Errorf("%d (%s): %s %s, want that it shows a secret", tc.ID, tc.Comment, verdict, why)
				}
				continue
			}

			key, symmetric := secretOf(g.Private)
			var err error
			if !symmetric {
				key, err = jose.ParseJWK(g.Public)
			}

			verdict := judge(text(tc.JWS), key)
			if err != nil {
				verdict = err.Error()
			}

			counts[tc.Result]++
			if (verdict == accepted) != (tc.Result == "valid") {
				t.Errorf("%d (%s): want %s, got %s", tc.ID, tc.Comment, tc.Result, verdict)
			}
			if (err != nil) != (g.Comment == "jws_rsa_roca_key") {
				t.Errorf("%d (%s): key: %v, want an error only for the weak one", tc.ID, tc.Comment, err)
			}
		}
	}

	want := map[string]int{
		"valid":                             3,
		"invalid":                           43,
		"symmetric sets, refused by policy": 3,
		"encrypted":                         34,
	}
	if !maps.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

// cookbook is an example of RFC 7520.
type cookbook struct {
	Title string
	Input struct {
		Payload string
		Key     json.RawMessage
		Alg     json.RawMessage // of some examples a list
	}
	Output struct {
		Compact string
		JSON    json.RawMessage
		Flat    json.RawMessage `json:"json_flat"`
	}
}

func TestCookbookSignatures(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		compact    string // the verdict on that form, where there is one
		forms      int    // of JSON
	}{
		{"RSA", "jws/4_1.rsa_v15_signature.json", accepted, 2},
		{"RSA-PSS", "jws/4_2.rsa-pss_signature.json", accepted, 2},
		{"ECDSA on P-521", "jws/4_3.ecdsa_signature.json", accepted, 2},
		{"HMAC, with a key that only tests have", "jws/4_4.hmac-sha2_integrity_protection.json", accepted, 2},
		{"a payload that is elsewhere", "jws/4_5.signature_with_detached_content.json", jose.ErrSignature.Error(), 2},
		{"a header outside of the signature", "jws/4_6.protecting_specific_header_fields.json", "", 2},
		{"all of the header outside of it", "jws/4_7.protecting_content_only.json", "", 2},
		{"many signatures", "jws/4_8.multiple_signatures.json", "", 1},
		{"Ed25519 (RFC 8037, appendix A.4)", "curve25519/jws.json", accepted, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c cookbook
			vector(t, "jose-cookbook/"+tc.file, &c)
			forms := 0
			for _, form := range []json.RawMessage{c.Output.JSON, c.Output.Flat} {
				if form == nil {
					continue
				}

				forms++
				if _, err := jose.Parse(string(form)); !errors.Is(err, jose.ErrMalformed) {
					t.Errorf("Parse(%.40s…) = %v, want ErrMalformed", form, err)
				}
			}

			if forms != tc.forms || (c.Output.Compact == "") != (tc.compact == "") {
				t.Fatalf("%d forms of JSON, compact %q; want %d, %q", forms, c.Output.Compact, tc.forms, tc.compact)
			}
			if tc.compact == "" {
				return
			}

			key, symmetric := secretOf(c.Input.Key)
			if !symmetric {
				// The examples give the private key; what is sent is the public one.
				signer, err := jose.ParseSigner(c.Input.Key, jose.Alg(text(c.Input.Alg)), "")
				if err != nil {
					t.Fatal(err)
				}

				key = signer.Key()
			}

			got := judge(c.Output.Compact, key)
			if got != tc.compact {
				t.Errorf("the verdict is %s, want %s", got, tc.compact)
			}
			if s, err := jose.Parse(c.Output.Compact); tc.compact == accepted &&
				(err != nil || string(s.Payload) != c.Input.Payload) {
				t.Errorf("the payload is %q, %v, want %q", s.Payload, err, c.Input.Payload)
			}
		})
	}
}

func TestCookbookKeys(t *testing.T) {
	for _, tc := range []struct {
		name, file      string
		public, private bool // how it can be read
	}{
		{"a public EC key", "3_1.ec_public_key.json", true, false},
		{"a private EC key", "3_2.ec_private_key.json", false, true},
		{"a public RSA key", "3_3.rsa_public_key.json", true, false},
		{"a private RSA key", "3_4.rsa_private_key.json", false, true},
		{"a secret for HMAC", "3_5.symmetric_key_mac_computation.json", false, false},
		{"a secret for encryption", "3_6.symmetric_key_encryption.json", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var raw json.RawMessage
			vector(t, "jose-cookbook/jwk/"+tc.file, &raw)
			const id = "bilbo.baggins@hobbiton.example"

			k, err := jose.ParseJWK(raw)
			if (err == nil) != tc.public || err != nil && !errors.Is(err, jose.ErrKey) || err == nil && k.ID != id {
				t.Errorf("ParseJWK = %q, %v; want %q: %t", k.ID, err, id, tc.public)
			}

			s, err := jose.ParseSigner(raw, "", "")
			if (err == nil) != tc.private || err != nil && !errors.Is(
				err,
				jose.ErrKey,
			) || err == nil && s.Key().ID != id {
				t.Errorf("ParseSigner = %v, %v; want %q: %t", s, err, id, tc.private)
			}
		})
	}
}
