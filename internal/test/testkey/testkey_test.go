package testkey_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/test/testkey"
)

func TestKeysSignAndDiffer(t *testing.T) {
	seen := map[string]bool{}

	for _, alg := range []jose.Alg{jose.RS256, jose.PS256, jose.RS256, jose.RS256, jose.ES256, jose.EdDSA} {
		s, err := testkey.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}

		if seen[s.Key().ID] {
			t.Errorf("key %s a second time, want another", s.Key().ID)
		}
		seen[s.Key().ID] = true

		der, err := s.MarshalPKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jose.ParsePKCS8(der, alg, "")
		if err != nil {
			t.Fatalf("parse the %s key again: %v", alg, err)
		}

		tok, err := again.Sign("JWT", []byte(`{"sub":"maria"}`))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.Parse(tok)
		if err == nil {
			err = parsed.Verify(s.Key())
		}
		if err != nil {
			t.Errorf("verify the signature of the %s key = %v, want nil", alg, err)
		}
	}
}

func TestUnknownAlgorithmMakesNoKey(t *testing.T) {
	if s, err := testkey.Generate("HS256"); err == nil {
		t.Errorf("Generate(HS256) = %v, want an error", s)
	}
}
