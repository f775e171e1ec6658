package wallet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
)

func TestKeyRotation(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	w := s.wallet(t.TempDir())
	id := mustLogin(t, w, in)
	next := must(jose.Generate(jose.ES256))
	file := s.keep("next.key", next)

	if err := w.RotateKey(t.Context(), in.URL, "ci", in.Key); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("RotateKey to the same key = %v, want ErrInvalid", err)
	}

	s.spy.lose(func(r *http.Request) error {
		if r.URL.Path == "/oauth2/token" {
			return errors.New("no route to host")
		}
		return nil
	})

	if err := w.RotateKey(t.Context(), in.URL, "ci", file); err == nil || id.Info().KeyFile != in.Key {
		t.Errorf("RotateKey without a token = %v, key %s; want an error", err, id.Info().KeyFile)
	}

	s.spy.lose(nil)
	// The new key is already registered, which is not an error.
	if err := w.RotateKey(t.Context(), in.URL, "ci", file); err != nil {
		t.Fatalf("RotateKey: %v", err)
	}

	got := id.Info()
	if got.KeyFile != file || got.KeyID != next.Key().ID {
		t.Errorf("Info = %+v, want key %s in %s", got, next.Key().ID, file)
	}

	s.mustAsk(id, "ci")
	old := string(must(os.ReadFile(in.Key)))
	s.MustControl("DELETE", "/api/v1/clients/ci/keys/"+must(jose.ParseSigner([]byte(old), "", "")).Key().ID, nil, nil)
	s.pass(time.Hour)
	s.mustAsk(id, "ci") // without the old key

	err := w.RotateKey(t.Context(), in.URL, "ci", in.Key)
	if !errors.Is(err, jeton.ErrConflict) || id.Info().KeyFile != file {
		t.Errorf("RotateKey to a retired key = %v, key %s; want ErrConflict", err, id.Info().KeyFile)
	}

	unknown := must(jose.Generate(jose.EdDSA))
	s.keep("next.key", unknown) // another key in the same file
	s.pass(time.Hour)
	_, _, why := s.ask(id)
	if !errors.Is(why, jeton.ErrBadCredential) {
		t.Errorf("a key that is not registered: %v, want ErrBadCredential", why)
	}

	s.MustControl("POST", "/api/v1/clients/ci/keys", api.NewClientKey{Key: string(unknown.Key().PEM())}, nil)
	s.pass(holdWait)
	s.mustAsk(id, "ci")
}

func TestWrongKeyIsABadCredential(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	in.Key = s.keep("wrong.key", must(jose.Generate(jose.EdDSA)))

	_, err := s.wallet(t.TempDir()).Login(t.Context(), in)
	if !errors.Is(err, jeton.ErrBadCredential) || !strings.Contains(err.Error(), "authenticate client ci with key ") {
		t.Errorf("Login = %v, want ErrBadCredential with the key", err)
	}
}

// exampleJWK is from RFC 8037, appendix A.1, with a kid.
const exampleJWK = `{"kty":"OKP","crv":"Ed25519","kid":"mine",` +
	`"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",` +
	`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

func TestKeyFormats(t *testing.T) {
	s := newScene(t)
	in := s.ci("reports")
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rs := must(rsa.GenerateKey(rand.Reader, 2048))

	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}

	for _, tc := range []struct {
		name, text, alg, given, kid string
	}{
		{"PKCS #8", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))), "", "", ""},
		{
			"SEC 1 with a kid of the operator",
			block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))),
			"",
			"2026-03",
			"2026-03",
		},
		{"PKCS #1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), "", "", ""},
		{"PKCS #1 with PS256", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), "PS256", "", ""},
		{"JWK with a kid", exampleJWK, "", "", "mine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := must(jose.ParseSigner([]byte(tc.text), jose.Alg(tc.alg), tc.given)).Key()
			name := "c" + strings.ToLower(rand.Text())
			s.MustControl("POST", "/api/v1/clients", api.NewClient{
				Name:     name,
				Services: []string{"reports"},
				Keys:     []api.NewClientKey{{Key: string(k.PEM()), Algorithm: string(k.Alg), ID: k.ID}},
			}, nil)
			file := filepath.Join(t.TempDir(), "a.key")
			file600(t, file, tc.text)

			id := mustLogin(t, s.wallet(t.TempDir()), Login{
				URL:       in.URL,
				As:        name,
				Key:       file,
				Algorithm: tc.alg,
				KeyID:     tc.given,
			})
			s.mustAsk(id, name)
			got := id.Info().KeyID
			if got != k.ID || tc.kid != "" && got != tc.kid {
				t.Errorf("kid = %q, want %q", got, k.ID)
			}
		})
	}
}

func TestInvalidKeyFilesAreRefused(t *testing.T) {
	s := newScene(t)
	in, w := s.ci("reports"), s.wallet(t.TempDir())
	id := mustLogin(t, w, in)
	whole := string(must(os.ReadFile(in.Key)))
	middle := strings.Split(whole, "\n")[1]

	as := func(kind string) string {
		return "-----BEGIN " + kind + "-----\n" + middle + "\n-----END " + kind + "-----\n"
	}

	legacy := strings.Replace(
		as("RSA PRIVATE KEY"), "\n",
		"\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1,
	)
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		want       error
		message    string
	}{
		{"others can read it", whole, 0o644, ErrExposed, "run: chmod 600 "},
		{"the group can read it", whole, 0o640, ErrExposed, "run: chmod 600 "},
		{"others can write it", whole, 0o602, ErrExposed, "run: chmod 600 "},
		{"encrypted", as("ENCRYPTED PRIVATE KEY"), 0o600, jeton.ErrInvalid, "is encrypted"},
		{"encrypted in the legacy PEM format", legacy, 0o600, jeton.ErrInvalid, "is encrypted"},
		{"not a key", "hello " + middle, 0o600, jeton.ErrInvalid, "no PEM block and no JWK"},
		{
			"a public key",
			string(must(jose.ParseSigner([]byte(whole), "", "")).Key().PEM()),
			0o600,
			jeton.ErrInvalid,
			"PRIVATE KEY is right",
		},
		{"a damaged key", as("PRIVATE KEY")[:60] + as("PRIVATE KEY")[64:], 0o600, jeton.ErrInvalid, "private key"},
		{"over 64 KiB", whole + strings.Repeat(" ", maxKeyFile), 0o600, jeton.ErrTooLarge, "65536"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.key")
			file600(t, path, tc.text)

			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}

			for what, do := range map[string]func() error{
				"Login": func() error {
					_, err := w.Login(t.Context(), Login{
						URL: in.URL,
						As:  "ci",
						Key: path,
					})
					return err
				},
				"RotateKey": func() error { return w.RotateKey(t.Context(), in.URL, "ci", path) },
			} {
				err := do()
				if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.message) {
					t.Errorf("%s = %v, want %v with %q", what, err, tc.want, tc.message)
				}
				if err != nil && strings.Contains(err.Error(), middle[len(middle)-12:]) {
					t.Errorf("%s: error = %v, want no part of the key", what, err)
				}
			}
		})
	}

	if err := os.Chmod(in.Key, 0o644); err != nil {
		t.Fatal(err)
	}

	s.pass(time.Hour)
	_, _, why := s.ask(id)
	if !errors.Is(why, ErrExposed) {
		t.Errorf("exposed after the login: %v, want ErrExposed", why)
	}

	for name, path := range map[string]string{
		"a folder":  t.TempDir(),
		"not there": filepath.Join(t.TempDir(), "none"),
	} {
		if _, err := w.Login(t.Context(), Login{URL: in.URL, As: "ci", Key: path}); err == nil {
			t.Errorf("%s: Login = nil, want an error", name)
		}
	}

	_, err := w.Login(t.Context(), Login{
		URL:   in.URL,
		As:    "x",
		Key:   privateFile(t, exampleJWK),
		KeyID: "yours",
	})
	if !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(err.Error(), `"mine"`) {
		t.Errorf("a key with another kid: Login = %v, want ErrInvalid", err)
	}
}

// privateFile writes a file that only its owner can read, and returns its path.
func privateFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "k.key")
	file600(t, file, text)
	return file
}
