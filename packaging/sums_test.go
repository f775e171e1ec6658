package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

// signed is a release with one file, for its checksums.
func signed(t *testing.T) *release {
	t.Helper()
	r := &release{
		version: "v0.1.0",
		out:     t.TempDir(),
		time:    time.Unix(1e9, 0),
		log:     os.Stderr,
	}
	if err := write(r.file("jeton.deb"), []byte("a few bytes"), 0o600); err != nil {
		t.Fatal(err)
	}

	return r
}

// newKey returns a key, and the text of its file. Minisign makes it where it is installed.
func newKey(t *testing.T) (public minisign.PublicKey, private string) {
	t.Helper()
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Log("without the program minisign: the library makes the key, and checks its own signatures")
		public, key, err := minisign.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.MarshalText()
		if err != nil {
			t.Fatal(err)
		}

		return public, string(text)
	}

	dir := t.TempDir()
	names := []string{filepath.Join(dir, "pub"), filepath.Join(dir, "key")}
	out, err := exec.Command(program, "-G", "-W", "-p", names[0], "-s", names[1]).CombinedOutput()
	if err != nil {
		t.Fatalf("minisign -G: %v\n%s", err, out)
	}
	if err := public.UnmarshalText(read(t, names[0])); err != nil {
		t.Fatal(err)
	}

	return public, string(read(t, names[1]))
}

// TestTheChecksumsAreSigned gives the key in a file and in the environment. Where minisign is installed, it agrees.
func TestTheChecksumsAreSigned(t *testing.T) {
	public, private := newKey(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := write(file, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct{ name, file, variable string }{
		{"a file", file, ""},
		{"the environment", "", private},
		{"a file, which comes before the environment", file, "no key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv(keyVariable, tc.variable)
			r := signed(t)
			r.key = tc.file
			if err := r.sums(); err != nil {
				t.Fatal(err)
			}

			sums, signature := read(t, r.file("SHA256SUMS")), read(t, r.file("SHA256SUMS.minisig"))
			if !minisign.Verify(public, sums, signature) {
				t.Errorf("the signature does not verify:\n%s", signature)
			}
			if minisign.Verify(public, append(sums, '\n'), signature) {
				t.Error("the signature verifies other checksums")
			}
			comment := "\ntrusted comment: timestamp:1000000000 file:SHA256SUMS jeton:v0.1.0\n"
			if !bytes.Contains(signature, []byte(comment)) {
				t.Errorf("signature = %s, want the time of the commit and the version in it", signature)
			}
			agrees(t, r, public)
		})
	}
}

// agrees has the program minisign check a signature, if it is installed.
func agrees(t *testing.T, r *release, public minisign.PublicKey) {
	t.Helper()
	program, err := exec.LookPath("minisign")
	if err != nil {
		return
	}

	text := strings.Split(public.String(), "\n")
	// -H: only of the hash. Minisign wants to give the other kind up.
	cmd := exec.Command(program, "-V", "-H", "-P", text[len(text)-1], "-m", r.file("SHA256SUMS"))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("verified")) {
		t.Errorf("minisign -V: %v\n%s", err, out)
	}
}

func TestWithoutAKeyTheChecksumsAreNotSigned(t *testing.T) {
	t.Setenv(keyVariable, "")
	r := signed(t)
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.file("SHA256SUMS.minisig")); !os.IsNotExist(err) {
		t.Errorf("a signature without a key: %v, want no file", err)
	}
}

// TestAnInvalidKeyStopsARelease holds that it does so before anything is built.
func TestAnInvalidKeyStopsARelease(t *testing.T) {
	_, plain := newKey(t)

	for _, tc := range []struct{ name, file, variable, want string }{
		{"a file that is missing", filepath.Join(t.TempDir(), "key"), "", "--key: open "},
		{"a text that is no key", "", "a key", keyVariable + ": minisign: invalid private key"},
		{"a key with a password", "", withPassword(t, plain), "want a key without a password (minisign -G -W)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv(keyVariable, tc.variable)
			r := signed(t)
			r.key = tc.file
			err := r.prepare()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

// withPassword returns the text of a key as if it had a password. To make such a key takes a minute and a gigabyte.
func withPassword(t *testing.T, private string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(private), "\n")
	b, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	copy(b[2:], "Sc") // its function for passwords: scrypt

	return base64.StdEncoding.EncodeToString(b)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	return text
}
