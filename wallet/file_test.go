package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/zalando/go-keyring"

	"github.com/jeton-auth/jeton"
)

func TestExposedFilesAreRefused(t *testing.T) {
	s := newService(t, "app1")
	for _, tc := range []struct {
		path string
		mode os.FileMode
		hint string
	}{
		{"data", 0o755, "chmod 700"},
		{"data", 0o770, "chmod 700"},
		{"data/wallet.age", 0o644, "chmod 600"},
		{"data/wallet.age", 0o620, "chmod 600"},
		{"config/wallet.key", 0o640, "chmod 600"},
	} {
		home := t.TempDir()
		mustLogin(t, openWallet(t, home), s.as("diane"))
		path := filepath.Join(home, tc.path)
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}

		w, err := Open(Config{Dir: filepath.Join(home, "data"), KeyDir: filepath.Join(home, "config")})
		if err == nil {
			_, err = w.Identities(t.Context())
		}
		if !errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), tc.hint+" "+path) {
			t.Errorf("%s with mode %o: %v, want ErrExposed and %s", tc.path, tc.mode, err, tc.hint)
		}
	}
}

// seal encrypts text as the document of the wallet in home.
func seal(t *testing.T, home, text string) {
	t.Helper()
	w := openWallet(t, home)
	if err := makeDir(w.file.dir); err != nil {
		t.Fatal(err)
	}

	if err := w.file.store(t.Context(), []byte(text), true); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFileIsLeftAlone checks that a file which cannot be read is never replaced by
// an empty wallet: another version or a repair may still read it.
func TestDamagedFileIsLeftAlone(t *testing.T) {
	s := newService(t, "app1")
	for _, tc := range []struct {
		name   string
		damage func(home string, encrypted []byte) []byte
		want   error
	}{
		{"empty", func(string, []byte) []byte { return nil }, ErrCorrupt},
		{"truncated in the header", func(_ string, b []byte) []byte { return b[:60] }, ErrCorrupt},
		{"truncated in the text", func(_ string, b []byte) []byte { return b[:len(b)-20] }, ErrCorrupt},
		{"one bit flipped", func(_ string, b []byte) []byte { b[len(b)-30] ^= 1; return b }, ErrCorrupt},
		{"trailing data", func(_ string, b []byte) []byte { return append(b, 'x') }, ErrCorrupt},
		{"not an age file", func(string, []byte) []byte { return []byte("{}") }, ErrCorrupt},
		{"over 16 MiB", func(string, []byte) []byte { return make([]byte, maxFile+1) }, jeton.ErrTooLarge},
		{"a newer document", func(home string, _ []byte) []byte {
			seal(t, home, `{"version":6,"users":[]}`)
			return must(os.ReadFile(filepath.Join(home, "data", fileName)))
		}, ErrNewer},
		{"an unknown member", func(home string, _ []byte) []byte {
			seal(t, home, `{"version":1,"revision":1,"identities":[],"users":[]}`)
			return must(os.ReadFile(filepath.Join(home, "data", fileName)))
		}, ErrCorrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			mustLogin(t, openWallet(t, home), s.as("diane"))
			path := filepath.Join(home, "data", fileName)
			bad := tc.damage(home, must(os.ReadFile(path)))
			file600(t, path, string(bad))

			w := openWallet(t, home)
			if _, err := w.Identities(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("Identities = %v, want %v", err, tc.want)
			}
			if _, err := w.Login(t.Context(), s.as("eshana")); !errors.Is(err, tc.want) {
				t.Errorf("Login = %v, want %v", err, tc.want)
			}

			if !bytes.Equal(must(os.ReadFile(path)), bad) {
				t.Error("the file has other bytes, want it unchanged")
			}
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newService(t, "app1")
	keyring.MockInit()

	phrase := func(text string) func(*Config) {
		return func(c *Config) {
			c.Passphrase = func(context.Context, bool) (jeton.Secret, error) { return jeton.NewSecret(text), nil }
		}
	}

	env := func(name, value string) func(*Config) {
		return func(c *Config) {
			c.Getenv = func(n string) string { return map[string]string{name: value, "HOME": "/nowhere"}[n] }
		}
	}

	file := filepath.Join(t.TempDir(), "passphrase")
	file600(t, file, "open sesame\n")

	for _, tc := range []struct {
		name       string
		good, bad  func(*Config)
		hasKeyFile bool
	}{
		{"a passphrase", phrase("open sesame"), phrase("wrong"), false},
		{"a passphrase from a file", env("JETON_WALLET_PASSPHRASE_FILE", file), phrase("wrong"), false},
		{"the keyring", env("JETON_WALLET_KEYRING", "1"), phrase("wrong"), false},
		{"a key file", func(*Config) {}, phrase("wrong"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			mustLogin(t, openWallet(t, home, tc.good), s.as("diane"))

			if infos, err := openWallet(t, home, tc.good).Identities(t.Context()); err != nil || len(infos) != 1 {
				t.Errorf("Identities with the key = %v, %v; want one", infos, err)
			}
			_, err := openWallet(t, home, tc.bad).Identities(t.Context())
			if !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("Identities with another key = %v, want ErrKey", err)
			}
			if _, err := os.Stat(filepath.Join(home, "config", keyName)); (err == nil) != tc.hasKeyFile {
				t.Errorf("Stat(key file) = %v, want a key file: %t", err, tc.hasKeyFile)
			}
		})
	}

	home := t.TempDir()
	mustLogin(t, openWallet(t, home, phrase("open sesame")), s.as("diane"))
	header := must(os.ReadFile(filepath.Join(home, "data", fileName)))
	line := strings.Split(string(header), "\n")[1]
	if !strings.HasPrefix(line, "-> scrypt ") || !strings.HasSuffix(line, fmt.Sprint(" ", workFactor)) {
		t.Errorf("stanza %q, want scrypt with work factor %d", line, workFactor)
	}
}

func TestOneKeyFileForAll(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup

	got := make([]string, 20)
	for i := range got {
		wg.Go(func() {
			k, err := (&keys{dir: dir}).get(context.Background(), true)
			if err != nil {
				t.Errorf("get: %v", err)
				return
			}

			got[i] = k.identity.(*age.X25519Identity).String()
		})
	}

	wg.Wait()

	for _, k := range got {
		if k != got[0] {
			t.Fatal("two keys were created, want one")
		}
	}

	names := must(os.ReadDir(dir))
	if len(names) != 1 {
		t.Errorf("%d files, want only the key", len(names))
	}
}

func TestFolders(t *testing.T) {
	for _, tc := range []struct {
		name      string
		env       map[string]string
		data, key string
	}{
		{"home", map[string]string{"HOME": "/h"}, "/h/.local/share/jeton", "/h/.config/jeton"},
		{
			"XDG",
			map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"},
			"/d/jeton",
			"/c/jeton",
		},
		{
			"XDG that is not absolute",
			map[string]string{"HOME": "/h", "XDG_DATA_HOME": "d"},
			"/h/.local/share/jeton",
			"/h/.config/jeton",
		},
		{
			"JETON_HOME before all",
			map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d", "JETON_HOME": "/j"},
			"/j/wallet",
			"/j",
		},
		{"none", nil, "", ""},
	} {
		w, err := Open(Config{Getenv: func(n string) string { return tc.env[n] }})
		if (err != nil) != (tc.data == "") {
			t.Errorf("%s: Open = %v, want an error: %t", tc.name, err, tc.data == "")
		}
		if err == nil && (w.file.dir != tc.data || w.file.keys.dir != tc.key) {
			t.Errorf("%s: %s and %s, want %s and %s", tc.name, w.file.dir, w.file.keys.dir, tc.data, tc.key)
		}
	}
}

func TestLockWaitsAsLongAsTheCaller(t *testing.T) {
	s, home := newService(t, "app1"), t.TempDir()
	w, other := openWallet(t, home), openWallet(t, home)
	mustLogin(t, w, s.as("diane"))
	unlock, err := other.file.lock(t.Context(), lockName)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if err := w.Forget(ctx, s.URL, "diane"); !errors.Is(err, context.Canceled) {
		t.Errorf("Forget under a lock = %v, want Canceled", err)
	}
}

// FuzzDecode checks that no wallet file makes the program crash, and that what it accepts
// is written back unchanged.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"revision":3,"identities":[]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":2,"revision":3,"identities":[` +
		`{"origin":"https://app.example","name":"ci","username":"ci",` +
		`"epoch":"x","created":"2026-03-01T12:00:00Z","auto":true,` +
		`"key":{"file":"/run/ci.key","issuer":"https://auth.example",` +
		`"token_endpoint":"https://auth.example/oauth2/token","audience":"app","token":"abc",` +
		`"got":"2026-03-01T12:00:00Z","ends":"2026-03-01T13:00:00Z"}}]}`))

	f.Add([]byte(`{"version":3,"revision":3,"identities":[` +
		`{"origin":"https://app.example","name":"job","username":"job",` +
		`"epoch":"x","created":"2026-03-01T12:00:00Z","handed":{"token":"abc"}}]}`))

	f.Add([]byte(`{"version":1,"revision":3,"identities":[` +
		`{"origin":"https://app.example","name":"diane","username":"d",` +
		`"login_path":"/login","logout_path":"/logout","username_field":"u","password_field":"p",` +
		`"cookies":[{"name":"s","value":"1","path":"/",` +
		`"created":"2026-03-01T12:00:00Z","set":"2026-03-01T12:00:00Z"}],` +
		`"epoch":"x","created":"2026-03-01T12:00:00Z","uses":3,"source":{"password":"pw"},"held":{"code":"spent"}}]}`))

	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := decode(text)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Errorf("decode: %v, want ErrCorrupt or ErrNewer", err)
			}
			return
		}

		out, err := encode(d)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}

		again, err := decode(out)
		if err != nil {
			t.Fatalf("decode what encode wrote: %v", err)
		}
		if out2, err := encode(again); err != nil || !bytes.Equal(out, out2) {
			t.Errorf("after a second round: got %s, %v; want %s", out2, err, out)
		}

		for i := range d.Identities {
			_ = d.Identities[i].info(noon)
			_ = d.Identities[i].Cookies.send(d.Identities[i].Origin, "/", noon)
			_ = d.Identities[i].Held.err(noon)
		}
	})
}

// TestInfoHoldsNoSecretByConstruction looks at the names of all fields, and so at those
// that are added later.
func TestInfoHoldsNoSecretByConstruction(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Info]()) {
		for _, word := range []string{"password", "cookie", "command", "cert"} {
			if strings.Contains(strings.ToLower(f.Name), word) {
				t.Errorf("Info.%s sounds like a secret, want none", f.Name)
			}
		}
	}
}
