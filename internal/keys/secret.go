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
)

// Secret is what private keys are sealed with in the store: 256 bits in a file that is
// not in the database. It shows nothing of itself when it is printed.
type Secret struct {
	path string
	key  jeton.Secret // the bytes
}

// secretSize is the length of a secret, in bytes.
const secretSize = 32

// LoadSecret reads the secret from a file, and makes the file when it is not there. It
// refuses a file that others can read, and one that is something else. Whoever calls it
// holds the folder: two processes must not make one file.
func LoadSecret(path string) (Secret, error) {
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
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return Secret{}, fmt.Errorf(
			"the secret of the signing keys, %s, can be read by others (mode %04o): chmod 600 %s",
			path,
			info.Mode().Perm(),
			path,
		)
	}

	text, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("secret of the signing keys: %w (the server must be able to read it)", err)
	}
	defer clear(text)

	key := make([]byte, secretSize)
	defer clear(key)

	digits := strings.TrimRight(string(text), "\r\n")
	if hex.DecodedLen(len(digits)) != secretSize {
		return Secret{}, notSecret(path)
	}
	if _, err := hex.Decode(key, []byte(digits)); err != nil {
		return Secret{}, notSecret(path) // the words of the decoder show some of it
	}

	return Secret{path, jeton.NewSecret(string(key))}, nil
}

// Derive returns a key of its own for a purpose, which tells nothing of the secret.
func (s Secret) Derive(purpose string) []byte {
	m := hmac.New(sha256.New, []byte(s.key.Reveal()))
	m.Write([]byte("jeton " + purpose))
	return m.Sum(nil)
}

func notSecret(path string) error {
	return fmt.Errorf(
		"%s is not the secret of the signing keys, which is a line of %d hexadecimal digits; restore it from the backup",
		path,
		2*secretSize,
	)
}

// makeSecret writes the file so that a crash leaves a whole one or none: a key sealed
// with half a secret would be lost.
func makeSecret(path string) error {
	key := make([]byte, secretSize)
	_, _ = rand.Read(key) // it never fails
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}

	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(tmp)
		return err
	}

	if err := os.Rename(tmp, path); err != nil {
		return err
	}

	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // where a folder cannot be synced
	}

	d, err := os.Open(path)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}

// sealForm begins what seal returns, so that another form can come after this one.
const sealForm = 1

// aead returns AES-256-GCM that makes a nonce for each message and puts it in front.
func (s Secret) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher([]byte(s.key.Reveal()))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what a sealed key is bound to: it opens as no other key, for no other kind of
// token and under no other algorithm.
func bound(k *Record) []byte {
	return []byte(strings.Join([]string{"jeton signing key", k.ID, string(k.Kind), string(k.Alg)}, "\x00"))
}

func (s Secret) seal(k *Record, der []byte) ([]byte, error) {
	a, err := s.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal([]byte{sealForm}, nil, der, bound(k)), nil
}

// signer opens a sealed key and checks that it is the key that its record says.
func (s Secret) signer(k *Record) (*jose.Signer, error) {
	if len(k.Sealed) == 0 || k.Sealed[0] != sealForm {
		return nil, errors.New("it is sealed in a form that is not known")
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

	if err := k.pair().check(); err != nil {
		return nil, err
	}

	signer, err := jose.ParsePKCS8(der, k.Alg, "")
	if err != nil {
		return nil, err
	}

	// Compared by thumbprint: how a JWK is written may change from version to version.
	public, err := jose.ParseJWK([]byte(k.Public))
	if err != nil || public.Thumbprint() != k.ID || signer.Key().ID != k.ID {
		return nil, errors.New("its public key is another's")
	}

	return signer, nil
}
