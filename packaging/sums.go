package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"

	"aead.dev/minisign"
)

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
	if r.key == "" {
		return nil
	}

	text, err := os.ReadFile(r.key)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	var key minisign.PrivateKey
	if err := key.UnmarshalText(text); err != nil {
		return fmt.Errorf("--key: %s: %w; want a key without a password (minisign -G -W)", r.key, err)
	}

	// The comment is signed, too. Minisign puts the time there; that of the commit gives the same bytes on another day.
	trusted := fmt.Sprintf("timestamp:%d file:SHA256SUMS jeton:%s", r.time.Unix(), r.version)
	signature := minisign.SignWithComments(key, b.Bytes(), trusted, "signature of a Jeton release")

	return write(r.file("SHA256SUMS.minisig"), signature, 0o644)
}
