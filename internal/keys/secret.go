package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secretfile"
)

// Secret seals private keys in the store: 256 bits in a file outside the database. Printed,
// it shows none of them.
type Secret struct {
	path string
	key  jeton.Secret // the bytes
}

// secretSize is the length of a secret, in bytes.
const secretSize = 32

// LoadSecret reads the secret from a file, which it makes when it is missing. It refuses a
// file that other users can read or that is not a secret. The caller holds the lock of the
// folder, so that two processes do not both make the file.
func LoadSecret(path string) (Secret, error) {
	// The mode is checked before the content: a secret that others can read is a leaked one.
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(path); err != nil {
			return Secret{}, fmt.Errorf(
				"make the secret of the signing keys: %w (the server must be able to write there)",
				err,
			)
		}
		info, err = os.Stat(path)
	}

	if err != nil {
		return Secret{}, fmt.Errorf("secret of the signing keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Secret{}, fmt.Errorf(
			"the secret of the signing keys, %s, is not a file; restore it from the backup",
			path,
		)
	}
	if err := secretfile.Check(path, info); err != nil {
		return Secret{}, fmt.Errorf("secret of the signing keys: %w", err)
	}

	text, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("secret of the signing keys: %w (the server must be able to read it)", err)
	}
	defer clear(text)

	key := make([]byte, secretSize)
	defer clear(key)

	// An editor adds a line break.
	digits := strings.TrimRight(string(text), "\r\n")
	if hex.DecodedLen(len(digits)) != secretSize {
		return Secret{}, notSecret(path)
	}
	if _, err := hex.Decode(key, []byte(digits)); err != nil {
		return Secret{}, notSecret(path) // the error of the decoder shows a part of it
	}

	return Secret{path, jeton.NewSecret(string(key))}, nil
}

// Derive returns a separate key for a purpose. It reveals nothing of the secret.
func (s Secret) Derive(purpose string) []byte {
	m := hmac.New(sha256.New, []byte(s.key.Reveal()))
	m.Write([]byte("jeton " + purpose))
	return m.Sum(nil)
}

// notSecret is the error for a file with other content. It does not show the content.
func notSecret(path string) error {
	return fmt.Errorf(
		"%s is not the secret of the signing keys: want a line of %d hexadecimal digits; restore it from the backup",
		path, 2*secretSize,
	)
}

// makeSecret writes the file so that a crash leaves all of it or none: a key that is sealed
// with a part of a secret would be lost.
func makeSecret(path string) error {
	key := make([]byte, secretSize)
	_, _ = rand.Read(key) // never fails

	tmp := path + ".new"
	// A crash may have left it.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	f, err := secretfile.Create(tmp)
	if err != nil {
		return err
	}

	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(tmp)
		return err
	}

	// A rename is atomic: the next start finds no file or all of it.
	if err := os.Rename(tmp, path); err != nil {
		return err
	}

	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot sync a folder
	}

	d, err := os.Open(path)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}

// sealForm is the first byte of a sealed key, so that the form can change.
const sealForm = 1

// aead returns AES-256-GCM with a random nonce in front of each message.
func (s Secret) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher([]byte(s.key.Reveal()))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is the associated data of a sealed key. The key does not open with another kid, kind
// of token or algorithm.
func bound(k *Record) []byte {
	return []byte(strings.Join([]string{"jeton signing key", k.ID, string(k.Kind), string(k.Alg)}, "\x00"))
}

// seal encrypts a private key. Two seals of one key differ, as each has a random nonce.
func (s Secret) seal(k *Record, der []byte) ([]byte, error) {
	a, err := s.aead()
	if err != nil {
		return nil, err
	}
	// The form stands in front, in clear: signer must know it before it can open the rest.
	return a.Seal([]byte{sealForm}, nil, der, bound(k)), nil
}

// Opens returns why a sealed key does not open with the secret, or nil.
func (s Secret) Opens(k *Record) error {
	_, err := s.signer(k)
	return err
}

// signer opens a sealed key and checks that it is the key of its record.
func (s Secret) signer(k *Record) (*jose.Signer, error) {
	if len(k.Sealed) == 0 || k.Sealed[0] != sealForm {
		return nil, errors.New("it is sealed in an unknown form")
	}

	a, err := s.aead()
	if err != nil {
		return nil, err
	}

	der, err := a.Open(nil, nil, k.Sealed[1:], bound(k))
	if err != nil {
		return nil, errors.New("it does not open")
	}
	defer clear(der)

	// The pair is authenticated by the seal, but a newer version may have sealed a kind that
	// this one does not know.
	if err := k.pair().check(); err != nil {
		return nil, err
	}

	signer, err := jose.ParsePKCS8(der, k.Alg, "")
	if err != nil {
		return nil, err
	}

	// Compared by thumbprint: another version may write the JWK differently.
	public, err := jose.ParseJWK([]byte(k.Public))
	if err != nil || public.Thumbprint() != k.ID || signer.Key().ID != k.ID {
		return nil, errors.New("its public key is another one")
	}

	return signer, nil
}
