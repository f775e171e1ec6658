package jose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/jeton-auth/jeton/internal/jose"
)

// go-jose reads RSA keys of at most 4096 bits by default. To judge us it must read the
// keys that we read.
func TestMain(m *testing.M) {
	gojose.MaxRSAModulusBits = 16384
	os.Exit(m.Run())
}

var objects = []string{
	`{}`, ` { } `, `{"a":1}`, `{"a" : [1, {"b":[]}, "}", "\"", "\\"] , "c":{"d":{}}}`, `{"a\u006cg":"x"}`,
	`{"a":-0.5e+10,"b":true,"c":false,"d":null,"e":""}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`,
	`{"a":"\udc00\ud800"}`, `{"\ud800":1,"\udc00":2}`,
	`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":1}`, `{"a":01}`, `{"a":1.}`, `{"a":.1}`, `{"a":1e}`,
	`{"a":+1}`, `{"a":-}`, `{"a":tru}`, `{"a":nul}`, `{"a":truex}`,
	`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[,]}`, `{"a":[1 2]}`,
	`{"a":{]}`, `{"a":[}`, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"\`, `{"a":"\u12`, `{"a":"\x"}`,
	`[]`, `"a"`, `1`, `null`, ``, ` `, `{}x`, `{} {}`, "\ufeff{}", "{\"a\":\"\xff\"}", "{\"a\":\"\x1f\"}",
	"{\"a\":\"\x7f\"}", "{\"a\":1}\x00", "{\x0b}", "{\"a\":\"\ufffd\"}", `{"a":"\ufffd"}`,
	`{"a":` + nested(15) + `}`, `{"a":` + nested(16) + `}`, many(128), many(129), accessToken, rsaOfA2,
}

func TestObject(t *testing.T) {
	got, err := jose.Object([]byte(" {\"a\\u006cg\" : [ 1 , \"]\\\"\" ] ,\n" +
		"\"\": {\"x\":{}}, \"n\":-1.5e+3 ,\"s\":\"\"} "))
	want := []jose.Member{
		{Name: "alg", Value: `[ 1 , "]\"" ]`},
		{Name: "", Value: `{"x":{}}`},
		{Name: "n", Value: "-1.5e+3"},
		{Name: "s", Value: `""`},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("Object = %q, %v; want %d members", got, err, len(want))
	}

	for i := range want {
		if got[i] != want[i] {
			t.Errorf("member %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// FuzzObject compares our reader of JSON with encoding/json. Ours refuses more, and only
// for reasons that can be named.
func FuzzObject(f *testing.F) {
	for _, s := range objects {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := jose.Object(data)
		var want map[string]json.RawMessage
		theirs := json.Unmarshal(data, &want)
		isObject := theirs == nil && want != nil

		if err == nil {
			if !isObject || !utf8.Valid(data) {
				t.Fatalf("Object takes %q, want a refusal as by encoding/json: %v", data, theirs)
			}
			if len(got) != len(want) {
				t.Fatalf("Object sees %d members in %q; encoding/json sees %d", len(got), data, len(want))
			}

			for _, m := range got {
				if v, ok := want[m.Name]; !ok || string(v) != m.Value {
					t.Fatalf("Object of %q: %q = %s, want %s as in encoding/json", data, m.Name, m.Value, v)
				}
			}

			return
		}

		if !isObject {
			return
		}

		var again any

		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()

		if err := d.Decode(&again); err != nil {
			t.Fatal(err)
		}

		out, err2 := json.Marshal(again) // mended halves of pairs show as what they became
		if err2 != nil {
			t.Fatal(err2)
		}

		named := map[string]bool{
			"not UTF-8":               !utf8.Valid(data),
			"it nests too deep":       bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > jose.MaxDepth,
			"it has too many members": bytes.Count(data, []byte(":")) > jose.MaxMembers,
			"a member is there twice": len(want) < bytes.Count(data, []byte(":")),
			"not a JSON object": bytes.ContainsRune(
				out,
				utf8.RuneError,
			) && bytes.Contains(data, []byte(`\u`)) || bytes.Contains(bytes.ToLower(data), []byte(`\ud`)),
		}
		if !named[err.Error()] {
			t.Fatalf("Object(%q) = %v, want one of the errors that are known", data, err)
		}
	})
}

// FuzzParse signs whatever header and payload it is given, as an enemy with a key of his
// own can, and breaks texts besides.
func FuzzParse(f *testing.F) {
	for _, s := range objects {
		f.Add([]byte(s), []byte(jobClaims), "")
		f.Add([]byte(strings.Replace(s, "{", `{"alg":"EdDSA",`, 1)), []byte(s), "a.b.c")
	}

	signer := newSigner(f, jose.EdDSA)
	good := sign(f, signer, `{"alg":"EdDSA"}`, jobClaims)
	for _, s := range []string{
		good,
		good + ".",
		"..",
		strings.Repeat(".", 100),
		`{"payload":"e30","protected":"e30","signature":""}`,
		strings.Replace(good, ".", "=.", 1),
	} {
		f.Add([]byte(`{"alg":"EdDSA"}`), []byte(jobClaims), s)
	}

	key := signer.Key()
	f.Fuzz(func(t *testing.T, header, payload []byte, text string) {
		if s, err := jose.Parse(text); err == nil {
			if s.Header.Alg == "" || strings.Count(text, ".") != 2 || len(text) > jose.MaxToken {
				t.Fatalf("Parse(%q) = %+v, want alg, three parts and no more than MaxToken bytes", text, s)
			}
			if s.Verify(key) == nil && text != good {
				t.Fatalf("Verify of %q = nil, want an error: it has no signature of a key", text)
			}
		} else if !errors.Is(err, jose.ErrMalformed) {
			t.Fatalf("Parse(%q) = %v, want ErrMalformed", text, err)
		}

		token, err := signer.SignHead(b64(string(header))+".", payload)
		if err != nil {
			return // too long
		}

		s, err := jose.Parse(token)
		if err != nil {
			if !errors.Is(err, jose.ErrMalformed) {
				t.Fatalf("Parse = %v, want ErrMalformed", err)
			}
			return
		}

		if string(s.Payload) != string(payload) {
			t.Fatalf("the payload is %q, want %q", s.Payload, payload)
		}
		if got, want := s.Verify(key), s.Header.Alg == jose.EdDSA; (got == nil) != want {
			t.Fatalf("Verify of a token for %q = %v, want nil: %t", s.Header.Alg, got, want)
		}
		if s.Verify(key) != nil || s.Header.Foreign != nil {
			return
		}

		theirs, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.EdDSA})
		if err != nil {
			if strings.Contains(err.Error(), "nonce") { // theirs alone, of RFC 8555
				return
			}
			t.Fatalf("go-jose refuses the header %q: %v", header, err)
		}

		h := theirs.Signatures[0].Protected
		if h.Algorithm != string(s.Header.Alg) || h.KeyID != s.Header.KeyID {
			t.Fatalf("Header = %+v, want as in go-jose %+v", s.Header, h)
		}
		if got, err := theirs.Verify(key.Public()); err != nil || string(got) != string(payload) {
			t.Fatalf("go-jose verifies %q = %v, want nil and the payload", token, err)
		}
	})
}

func FuzzParseClaims(f *testing.F) {
	for _, s := range objects {
		f.Add([]byte(s))
	}

	for _, s := range []string{
		`{"aud":"a"}`, `{"aud":["a","b"]}`, `{"aud":[]}`, `{"aud":null}`, `{"exp":1.5}`,
		`{"exp":1e10,"nbf":0,"iat":-1}`, `{"exp":1e400}`, `{"exp":-0}`,
		`{"iss":"\ud83d\ude00","sub":"\u0000"}`, `{"scope":"","gen":"x","client_id":"c","jti":"j"}`,
		`{"max_uses":9223372036854775807}`, `{"iss":null}`,
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := jose.ParseClaims(payload)
		if err != nil {
			if !errors.Is(err, jose.ErrMalformed) || !same(c, jose.Claims{}) {
				t.Fatalf("ParseClaims(%q) = %+v, %v; want no claims, ErrMalformed", payload, c, err)
			}
			return
		}

		var m map[string]any

		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber() // in unknown claims a number may be too large

		if err := d.Decode(&m); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", payload, err)
		}

		for name, got := range map[string]string{
			"iss":       c.Issuer,
			"sub":       c.Subject,
			"jti":       c.ID,
			"client_id": c.ClientID,
			"scope":     c.Scope,
			"gen":       c.Generation,
		} {
			if want, _ := m[name].(string); got != want {
				t.Fatalf("%s of %q is %q, want %q", name, payload, got, want)
			}
		}

		for name, got := range map[string]float64{
			"exp": float64(c.Expires.UnixNano()) / 1e9,
			"nbf": float64(c.NotBefore.UnixNano()) / 1e9,
			"iat": float64(c.IssuedAt.UnixNano()) / 1e9,
		} {
			number, ok := m[name].(json.Number)
			if !ok {
				continue
			}

			want, err := number.Float64()
			if err != nil || want < 9e9 && (got-want > 1e-6 || want-got > 1e-6) {
				t.Fatalf("%s of %q is %v, want %v, %v", name, payload, got, want, err)
			}
		}

		if _, ok := m["exp"]; ok == c.Expires.IsZero() {
			t.Fatalf("exp of %q = %v, want one: %t", payload, c.Expires, ok)
		}

		var audience []string
		switch aud := m["aud"].(type) {
		case string:
			audience = []string{aud}
		case []any:
			for _, a := range aud {
				audience = append(audience, a.(string))
			}
		}

		if strings.Join(
			audience,
			"\x00",
		) != strings.Join(c.Audience, "\x00") || (m["aud"] != nil) != (len(c.Audience) > 0) {
			t.Fatalf("aud of %q = %q, want %q", payload, c.Audience, audience)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{
		ecOfA3, ecOfA4, edOfA, edOwner, rsaOfA2, rsaOf31, rsaJWK(
			modulus(8192),
			"AQAB",
		), rsaJWK(modulus(1024), "AQAB"), rsaJWK(roca(), "AQAB"),
		`{"kty":"oct","k":"AAAA"}`, `{"kty":"EC"}`, `{"kty":"RSA","n":"","e":""}`, `{"use":"enc"}`,
		`{"key_ops":["verify"],` +
			edOfA[1:], `{"alg":"ES384",` + ecOfA3[1:],
		`{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"-----BEGIN PUBLIC KEY-----", "", "{",
	} {
		f.Add([]byte(s), "", "")
		f.Add([]byte(s), "RS256", "k")
	}

	for _, alg := range []jose.Alg{jose.EdDSA, jose.ES256, jose.ES384, jose.ES512, jose.RS256} {
		f.Add(newSigner(f, alg).Key().PEM(), string(alg), "k")
		f.Add([]byte(newSigner(f, alg).Key().JWK()), "", "")
	}

	f.Fuzz(func(t *testing.T, text []byte, alg, id string) {
		k, err := jose.ParseKey(text, jose.Alg(alg), id)
		if err != nil {
			if !errors.Is(err, jose.ErrKey) || !k.IsZero() || len(err.Error()) > 2000 {
				t.Fatalf("ParseKey(%q) = %v, %v; want no key, a short ErrKey", text, k, err)
			}
			return
		}

		if k.IsZero() || !k.Alg.Known() || k.ID == "" || alg != "" && k.Alg != jose.Alg(alg) {
			t.Fatalf("ParseKey(%q, %q, %q) = %+v, want a key with an ID for that algorithm", text, alg, id, k)
		}
		if back, err := jose.ParseJWK(k.JWK()); err != nil || !equal(back, k) {
			t.Fatalf("ParseJWK of %s from %q: %v, want the same key", k.JWK(), text, err)
		}
		if back, err := jose.ParsePEM(k.PEM(), k.Alg, k.ID); err != nil || !equal(back, k) {
			t.Fatalf("ParsePEM of %s from %q: %v, want the same key", k.PEM(), text, err)
		}

		if bytes.IndexByte(text, '{') < 0 || !json.Valid(text) || bytes.Contains(text, []byte("x5")) {
			return // go-jose reads certificates, we do not
		}

		var theirs gojose.JSONWebKey
		if err := theirs.UnmarshalJSON(bytes.TrimSpace(text)); err != nil {
			t.Fatalf("go-jose refuses %q: %v", text, err)
		}
		if other, err := jose.NewKey(theirs.Key, k.Alg, k.ID); err != nil || !equal(other, k) || !theirs.IsPublic() {
			t.Fatalf("go-jose reads %q as %+v, %v; want the same public key", text, theirs.Key, err)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{
		`{"keys":[]}`, `{"keys":[` + ecOfA3 + `,` + edOfA +
			`]}`, `{"keys":[` + edOwner + `]}`, `{"keys":[{"kty":"x"},` + rsaOf31 + `]}`, `{"keys":[null]}`,
		`{"keys":{}}`, `{"keys":[1,2]}`, `{}`, ``, `{"keys":[{"kid":"a",` + ecOfA3[1:] + `,{"kid":"\u0061",` +
			edOfA[1:] +
			`]}`, `{"keys":[` + ecOfA3, `{"keys":[{"\u0064":1}]}`,
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, err := jose.ParseSet(text)
		if err != nil {
			if !errors.Is(err, jose.ErrKey) || keys != nil {
				t.Fatalf("ParseSet(%q) = %d keys, %v; want none, ErrKey", text, len(keys), err)
			}
			return
		}

		seen := map[string]bool{}
		for _, k := range keys {
			name := k.ID + "\x00" + string(k.Alg)
			if seen[name] || k.IsZero() {
				t.Fatalf("ParseSet(%q): got key %q, want it once", text, k.ID)
			}
			seen[name] = true
		}

		var set struct{ Keys []any }
		if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) < len(keys) || len(keys) > jose.MaxKeys {
			t.Fatalf("ParseSet(%q) = %d keys, want at most %d, %v", text, len(keys), len(set.Keys), err)
		}

		if back, _, err := jose.ParseSet(jose.MarshalSet(keys)); err != nil || len(back) != len(keys) {
			t.Fatalf("ParseSet of the keys of %q = %d keys, %v; want %d", text, len(back), err, len(keys))
		}
	})
}

func FuzzParseSigner(f *testing.F) {
	der, err := newSigner(f, jose.ES256).MarshalPKCS8()
	if err != nil {
		f.Fatal(err)
	}

	f.Add([]byte(edOwner), "")
	f.Add([]byte(edOfA), "Ed25519")
	f.Add([]byte(`{"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",`+ecOfA3[1:]), "ES256")
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB","p":"AQAB","q":"AQAB"}`), "")
	f.Add(der, "ES256")

	f.Fuzz(func(t *testing.T, text []byte, alg string) {
		for _, parse := range []func([]byte, jose.Alg, string) (*jose.Signer, error){
			jose.ParseSigner,
			jose.ParsePKCS8,
		} {
			s, err := parse(text, jose.Alg(alg), "")
			if err != nil {
				if !errors.Is(err, jose.ErrKey) || s != nil {
					t.Fatalf("ParseSigner(%q) = %v, %v; want nil, ErrKey", text, s, err)
				}
				continue
			}

			token, err := s.Sign("", []byte(jobClaims))
			if err != nil {
				t.Fatalf("%q: Sign: %v", text, err)
			}

			got := judge(token, s.Key())
			if got != accepted {
				t.Fatalf("signature by %q: got %s, want %s", text, got, accepted)
			}
		}
	})
}
