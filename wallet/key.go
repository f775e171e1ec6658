package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"
	"github.com/zalando/go-keyring"

	"github.com/jeton-auth/jeton"
)

const (
	keyName = "wallet.key"

	keyringService = "jeton-wallet"
	keyringUser    = "age-identity"

	// workFactor is the scrypt cost of one guess at a passphrase, as a power of two.
	// 15 takes about 32 MiB and a tenth of a second.
	workFactor = 15

	maxSecretFile = 64 << 10
)

// key decrypts and encrypts the wallet.
type key struct {
	recipient age.Recipient
	identity  age.Identity
}

// keys finds the key: a passphrase, else the keyring, else the key file.
type keys struct {
	passphrase     func(ctx context.Context, first bool) (jeton.Secret, error)
	passphraseFile string
	keyring        bool
	dir            string

	mu   sync.Mutex
	have *key // obtained once: the user does not type the passphrase for each change
}

// get returns the key. Only if first is set, because there is no wallet yet, a key is
// created: a new key cannot decrypt an existing wallet.
func (k *keys) get(ctx context.Context, first bool) (*key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.have != nil {
		return k.have, nil
	}

	var got *key
	var err error
	switch {
	case k.passphrase != nil || k.passphraseFile != "":
		got, err = k.fromPassphrase(ctx, first)
	case k.keyring:
		got, err = k.fromKeyring(first)
	default:
		got, err = k.fromFile(first)
	}

	if err != nil {
		return nil, err
	}

	// Only on success: after an error, the next call asks again.
	k.have = got

	return got, nil
}

// forget drops a key that did not decrypt the wallet, so that the next call asks again.
func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.have = nil
}

// where describes where the key came from.
func (k *keys) where() string {
	switch {
	case k.passphrase != nil || k.passphraseFile != "":
		return "a passphrase; the wallet has a different one, or none"
	case k.keyring:
		return "the key in the system's keyring; the wallet was created with a different one"
	default:
		return filepath.Join(k.dir, keyName) + "; the wallet was created with a different key, or with a passphrase"
	}
}

// fromPassphrase derives the key from the passphrase: the caller's function, or the file that
// the environment names.
func (k *keys) fromPassphrase(ctx context.Context, first bool) (*key, error) {
	var pass jeton.Secret
	var err error
	if k.passphrase != nil {
		pass, err = k.passphrase(ctx, first)
	} else {
		pass, err = readSecret(k.passphraseFile)
	}

	if err != nil {
		return nil, fmt.Errorf("passphrase of the wallet: %w", err)
	}
	if pass.IsZero() {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the passphrase of the wallet is empty")
	}

	r, err := age.NewScryptRecipient(pass.Reveal())
	if err != nil {
		return nil, fmt.Errorf("passphrase of the wallet: %w", err)
	}

	r.SetWorkFactor(workFactor)
	id, err := age.NewScryptIdentity(pass.Reveal())
	if err != nil {
		return nil, fmt.Errorf("passphrase of the wallet: %w", err)
	}

	// Allow two stronger settings, but a forged file must not cost minutes.
	id.SetMaxWorkFactor(workFactor + 2)

	return &key{r, id}, nil
}

// fromKeyring returns the key in the system's keyring, and creates it only for the first
// wallet. All wallets of the user share it.
func (k *keys) fromKeyring(first bool) (*key, error) {
	text, err := keyring.Get(keyringService, keyringUser)
	switch {
	case errors.Is(err, keyring.ErrNotFound) && first:
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, fmt.Errorf("create wallet key: %w", err)
		}
		if err := keyring.Set(keyringService, keyringUser, id.String()); err != nil {
			return nil, fmt.Errorf("store wallet key in the system's keyring: %w", err)
		}

		// Another wallet may have stored its key meanwhile: use what the keyring holds.
		if text, err = keyring.Get(keyringService, keyringUser); err != nil {
			return nil, fmt.Errorf("read wallet key from the system's keyring: %w", err)
		}

		return parseKey(text, "the system's keyring")
	case errors.Is(err, keyring.ErrNotFound):
		return nil, fmt.Errorf("%w: the system's keyring has no key %s", ErrKey, keyringService)
	case err != nil:
		return nil, fmt.Errorf("read wallet key from the system's keyring: %w", err)
	}

	return parseKey(text, "the system's keyring")
}

// fromFile returns the key in wallet.key. It is the default, and protects a copy or a backup
// of the wallet's directory alone: the key is in another one.
func (k *keys) fromFile(first bool) (*key, error) {
	path := filepath.Join(k.dir, keyName)
	text, err := readPrivate(path, maxSecretFile)
	if errors.Is(err, fs.ErrNotExist) {
		if !first {
			return nil, fmt.Errorf("%w: %s does not exist", ErrKey, path)
		}
		if err := makeKeyFile(k.dir); err != nil {
			return nil, fmt.Errorf("create wallet key: %w", err)
		}

		// Read again, as another process may have created it first.
		text, err = readPrivate(path, maxSecretFile)
	}

	if err != nil {
		return nil, fmt.Errorf("read wallet key: %w", err)
	}

	return parseKey(string(text), path)
}

// makeKeyFile creates wallet.key in dir. Of several processes one creates it and the others
// find it complete: it gets its name by link, which never replaces a file.
func makeKeyFile(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}

	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}

	temp, err := os.CreateTemp(dir, keyName+".*")
	if err != nil {
		return err
	}
	// Also after success: the file then has its second name.
	defer os.Remove(temp.Name())

	_, err = fmt.Fprintf(temp,
		"# Decrypts wallet.age. Keep it secret, and out of backups that hold wallet.age.\n%s\n", id)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}

	err = os.Link(temp.Name(), filepath.Join(dir, keyName))
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		// A file system without links: create the file, then write it.
		err = writeNew(filepath.Join(dir, keyName), []byte(id.String()+"\n"))
	}

	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}

	return syncDir(dir)
}

// parseKey parses an age identity. Its errors do not contain the text, which is secret.
func parseKey(text, from string) (*key, error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}

		id, err := age.ParseX25519Identity(line)
		if err != nil {
			break
		}

		return &key{id.Recipient(), id}, nil
	}

	return nil, fmt.Errorf("%w: %s holds no valid key", ErrKey, from)
}

// readSecret reads the first line of a file. It does not check the mode: secret files of
// containers are readable by all users inside.
func readSecret(path string) (jeton.Secret, error) {
	r, err := os.Open(path)
	if err != nil {
		return jeton.Secret{}, err
	}
	defer r.Close()

	return firstLine(r)
}

// firstLine returns the first line of r, as git and ssh read the output of their helpers:
// password managers print notes below the password.
func firstLine(r io.Reader) (jeton.Secret, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSecretFile+1))
	if err != nil {
		return jeton.Secret{}, err
	}
	if len(text) > maxSecretFile {
		return jeton.Secret{}, jeton.WithDetail(jeton.ErrTooLarge, "over 64 KiB")
	}

	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return jeton.Secret{}, jeton.WithDetail(jeton.ErrInvalid, "the first line is empty")
	}

	return jeton.NewSecret(line), nil
}
