package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"aead.dev/minisign"
)

// keyVariable is the environment variable with the text of the key, for a machine that should have no file with it.
const keyVariable = "JETON_RELEASE_KEY"

// sums writes the checksums of all files, which 'sha256sum -c' reads, and signs them: 'minisign -V -m SHA256SUMS'.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}

	var b bytes.Buffer
	for _, e := range entries { // in the order of their names
		content, err := os.ReadFile(r.file(e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	if err := write(r.file("SHA256SUMS"), b.Bytes(), 0o644); err != nil {
		return err
	}

	return r.sign(b.Bytes())
}

// sign signs the checksums, if there is a key.
func (r *release) sign(sums []byte) error {
	key, err := r.signingKey()
	if errors.Is(err, errNoKey) {
		fmt.Fprintf(r.log, "checksums: not signed; name a key with --key or %s\n", keyVariable)
		return nil
	}
	if err != nil {
		return err
	}

	// Of the hash, as minisign does since version 0.10; it deprecates the other kind.
	hashed := minisign.NewReader(bytes.NewReader(sums))
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return err
	}

	// The comment is signed, too. Minisign puts the time there; that of the commit gives the same bytes on another day.
	trusted := fmt.Sprintf("timestamp:%d file:SHA256SUMS jeton:%s", r.time.Unix(), r.version)
	signature := hashed.SignWithComments(key, trusted, "signature of a Jeton release")

	return write(r.file("SHA256SUMS.minisig"), signature, 0o644)
}

// errNoKey is a release without a key.
var errNoKey = errors.New("no key")

// signingKey returns the key from the file of --key, or from the environment.
func (r *release) signingKey() (key minisign.PrivateKey, err error) {
	from, text := "--key: "+r.key, []byte(os.Getenv(keyVariable))
	switch {
	case r.key != "":
		text, err = os.ReadFile(r.key)
		if err != nil {
			return key, fmt.Errorf("--key: %w", err)
		}
	case len(text) == 0:
		return key, errNoKey
	default:
		from = keyVariable
	}

	if err := key.UnmarshalText(text); err != nil {
		return key, fmt.Errorf("%s: %w; want a key without a password (minisign -G -W)", from, err)
	}

	return key, nil
}
