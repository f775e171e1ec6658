package jose_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

func TestKeysAreReadWithAByteOrderMarkAndTextAround(t *testing.T) {
	signer := newSigner(t, jose.ES256)
	public := string(signer.Key().PEM())

	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"alone", public, true},
		{"a byte order mark", "\xef\xbb\xbf" + public, true},
		{"text before", "Key of ci\nBag Attributes\n" + public, true},
		{"text after", public + "\nsent by mail\n", true},
		{"a byte order mark, and text around", "\xef\xbb\xbfKey of ci\n" + public + "sent by mail", true},
		{"a JWK with a byte order mark", "\xef\xbb\xbf" + string(signer.Key().JWK()), true},
		{"a second block", public + public, false},
		{"a damaged second block", public + "-----BEGIN PUBLIC KEY-----\nAA", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := jose.ParseKey([]byte(tc.text), jose.ES256, "")
			if (err == nil) != tc.ok {
				t.Fatalf("ParseKey: %v, want it read: %t", err, tc.ok)
			}
			if tc.ok && key.Thumbprint() != signer.Key().Thumbprint() {
				t.Errorf("ParseKey = key %s, want %s", key.Thumbprint(), signer.Key().Thumbprint())
			}
		})
	}
}
