package jose_test

import (
	"encoding/base64"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// Keys of RFC 7515, appendix A, of RFC 8037, appendix A, and of RFC 7638, section 3.1.
const (
	rsaOfA2 = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26` +
		`mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9` +
		`wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb` +
		`3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpo` +
		`Q"}`
	ecOfA3 = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x` +
		`_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	ecOfA4 = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5E` +
		`OnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WD` +
		`hjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`
	edOfA   = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	edOwner = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x"` +
		`:"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rsaOf31 = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z` +
		`wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4` +
		`QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-` +
		`bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQA` +
		`B","alg":"RS256","kid":"2011-04-29"}`

	payloadOfA = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19" +
		"yb290Ijp0cnVlfQ"
)

func TestExamplesOfTheStandards(t *testing.T) {
	secret, err := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr" +
		"_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name  string
		key   jose.Key
		token string
	}{
		{
			"HS256 (RFC 7515, A.1), with a key that only tests have", jose.Symmetric("HS256", secret),
			"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payloadOfA + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		},
		{
			"RS256 (RFC 7515, A.2)", read(t, rsaOfA2),
			"eyJhbGciOiJSUzI1NiJ9." + payloadOfA +
				".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_l" +
				"F5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvk" +
				"SjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI" +
				"2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		},
		{
			"ES256 (RFC 7515, A.3)", read(t, ecOfA3),
			"eyJhbGciOiJFUzI1NiJ9." + payloadOfA +
				".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		},
		{
			"ES512 (RFC 7515, A.4)", read(t, ecOfA4),
			"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1" +
				"bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vc" +
				"nwNrmxYbSW9ERBXukOXolLzeO_Jn",
		},
		{
			"EdDSA (RFC 8037, A.4)", read(t, edOfA),
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7" +
				"-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := judge(tc.token, tc.key); got != accepted {
				t.Errorf("verdict = %s, want %s", got, accepted)
			}
		})
	}

	t.Run("an unsecured token (RFC 7515, A.5) is for no key", func(t *testing.T) {
		for _, k := range []jose.Key{{}, read(t, ecOfA3)} {
			if got := judge("eyJhbGciOiJub25lIn0."+payloadOfA+".", k); got != jose.ErrAlgorithm.Error() {
				t.Errorf("verdict = %s, want %v", got, jose.ErrAlgorithm)
			}
		}
	})

	t.Run("the claims of RFC 7515, A.1", func(t *testing.T) {
		payload, err := base64.RawURLEncoding.DecodeString(payloadOfA)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := jose.ParseClaims(payload); err != nil || c.Issuer != "joe" || c.Expires.Unix() != 1300819380 {
			t.Errorf("ParseClaims = %+v, %v; want joe until 1300819380", c, err)
		}
	})

	t.Run("the signature of RFC 8037, A.4, is the one that we make", func(t *testing.T) {
		s, err := jose.ParseSigner([]byte(edOwner), "", "")
		if err != nil {
			t.Fatal(err)
		}

		got, err := s.SignHead("eyJhbGciOiJFZERTQSJ9.", []byte("Example of Ed25519 signing"))
		want := "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1P" +
			"POt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
		if err != nil || got != want {
			t.Errorf("SignHead = %s, %v; want %s", got, err, want)
		}
	})
}

func TestThumbprintsOfTheStandards(t *testing.T) {
	for _, tc := range []struct{ name, jwk, want string }{
		{"RFC 7638, section 3.1", rsaOf31, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037, A.3", edOfA, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{"the key of RFC 7515, A.3, as others print it", ecOfA3, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := read(t, tc.jwk).Thumbprint(); got != tc.want {
				t.Errorf("Thumbprint = %s, want %s", got, tc.want)
			}
		})
	}

	if got := read(t, edOfA).ID; got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("a key without a kid is called %s, want its thumbprint", got)
	}
}

// read parses a JWK that is known to be valid.
func read(t testing.TB, jwk string) jose.Key {
	t.Helper()
	k, err := jose.ParseJWK([]byte(jwk))
	if err != nil {
		t.Fatal(err)
	}

	return k
}
