package factor

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"strings"
	"unicode"

	"github.com/jeton-auth/jeton"
)

// sealForm is the first byte of a sealed secret, so that the form can change.
const sealForm = 1

// seal encrypts the secrets of authenticator apps, with AES-256-GCM.
type seal struct{ aead cipher.AEAD }

// newSeal returns the seal of a key of 32 bytes.
func newSeal(key []byte) (seal, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}

	aead, err := cipher.NewGCMWithRandomNonce(block)

	return seal{aead}, err
}

// bound is the associated data of a sealed secret: it does not open for another factor or user.
func bound(id string, user int64) []byte {
	return fmt.Appendf(nil, "jeton factor\x00%s\x00%d", id, user)
}

// close encrypts a secret.
func (s seal) close(id string, user int64, key []byte) []byte {
	return s.aead.Seal([]byte{sealForm}, nil, key, bound(id, user))
}

// open decrypts the secret of a factor. Its error says what to do.
func (s seal) open(one Factor) ([]byte, error) {
	if len(one.Secret) > 1 && one.Secret[0] == sealForm {
		key, err := s.aead.Open(nil, nil, one.Secret[1:], bound(one.ID, one.User))
		if err == nil {
			return key, nil
		}
	}

	return nil, fmt.Errorf(
		"%w: the secret of the authenticator app %s does not open with the file keys.secret: "+
			"restore that file from the backup, or reset the factors of the user (jeton user factors reset)",
		jeton.ErrUnavailable, one.ID,
	)
}

// printable reports whether a text has no control characters.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
