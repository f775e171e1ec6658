package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
)

func TestSecretFile(t *testing.T) {
	right := strings.Repeat("0f", 32) + "\n"
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		want       string // in the error; "" for none
	}{
		{"a right one", right, 0o600, ""},
		{"read only", right, 0o400, ""},
		{"without a line end", right[:64], 0o600, ""},
		{"with the line end of Windows", right[:64] + "\r\n", 0o600, ""},
		{"its group can read it", right, 0o640, ""},
		{"everybody can read it", right, 0o604, "can be read by other users (mode 0604): run chmod 600 "},
		{"everybody can write it", right, 0o602, "chmod 600 "},
		{"empty", "", 0o600, "64 hexadecimal digits; restore it from the backup"},
		{"too short", right[:62], 0o600, "64 hexadecimal digits"},
		{"a digit too many", right[:64] + "0\n", 0o600, "64 hexadecimal digits"},
		{"two lines", right + right, 0o600, "64 hexadecimal digits"},
		{"not hexadecimal", strings.Repeat("0g", 32), 0o600, "64 hexadecimal digits"},
		{"32 bytes as they are", strings.Repeat("\x07", 32), 0o600, "64 hexadecimal digits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.secret")
			must(t, os.WriteFile(path, []byte(tc.text), 0o600))
			must(t, os.Chmod(path, tc.mode))
			_, err := keys.LoadSecret(path)

			if tc.want == "" {
				must(t, err)
				return
			}

			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("LoadSecret: %v, want %q and the path", err, tc.want)
			}
			if strings.Contains(err.Error(), "0f0f") || strings.Contains(err.Error(), "0g0g") {
				t.Errorf("LoadSecret = %q, want an error without the secret", err)
			}
			if text, _ := os.ReadFile(path); string(text) != tc.text {
				t.Errorf("file after LoadSecret = %q, want %q", text, tc.text)
			}
		})
	}

	t.Run("none: it is made once, whole and private", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "keys.secret")
		_, err := keys.LoadSecret(path)
		must(t, err)
		text, err := os.ReadFile(path)
		must(t, err)

		info, err := os.Stat(path)
		must(t, err)
		raw, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
		if err != nil || len(raw) != 32 || bytes.Equal(
			raw,
			make([]byte, 32),
		) || len(text) != 65 || info.Mode() != 0o600 {
			t.Errorf("the file has %d bytes, mode %v: %v", len(text), info.Mode(), err)
		}

		_, err = keys.LoadSecret(path)
		must(t, err)
		again, _ := os.ReadFile(path)
		if !bytes.Equal(again, text) {
			t.Errorf("file after the second LoadSecret = %q, want that of the first", again)
		}

		files, _ := os.ReadDir(dir)
		if len(files) != 1 {
			t.Errorf("%d files are left, want one", len(files))
		}
	})

	t.Run("half a file of a crash is not taken for one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.secret")
		must(t, os.WriteFile(path+".new", []byte("0f0f"), 0o600))
		_, err := keys.LoadSecret(path)
		must(t, err)

		if text, _ := os.ReadFile(path); len(text) != 65 || strings.HasPrefix(string(text), "0f0f") {
			t.Errorf("the file has %d bytes, want 65 that are new", len(text))
		}
	})

	t.Run("a folder", func(t *testing.T) {
		path := t.TempDir()
		if _, err := keys.LoadSecret(path); err == nil || !strings.Contains(err.Error(), path+", is not a file") {
			t.Errorf("LoadSecret: %v", err)
		}
	})

	t.Run("a folder that is not there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "no", "keys.secret")
		if _, err := keys.LoadSecret(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("LoadSecret: %v", err)
		}
	})
}

// shown is every way in which a value may end up in a log.
func shown(v any) string {
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	b, _ := json.Marshal(v)
	return out.String() + string(b) + fmt.Sprintf("%v %+v %#v %s %q %x %X %d", v, v, v, v, v, v, v, v)
}

// TestMakingTheSecretWritesThroughNoLink has a link in place of the incomplete file.
func TestMakingTheSecretWritesThroughNoLink(t *testing.T) {
	dir := t.TempDir()
	planted := filepath.Join(dir, "planted")
	must(t, os.WriteFile(planted, []byte("before"), 0o644))
	path := filepath.Join(dir, "keys.secret")
	must(t, os.Symlink(planted, path+".new"))

	_, err := keys.LoadSecret(path)
	must(t, err)

	text, err := os.ReadFile(planted)
	must(t, err)
	if string(text) != "before" {
		t.Errorf("the file behind the link has %d bytes, want it left alone", len(text))
	}

	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want a regular file with 0600", info.Mode())
	}
}

func TestSecretShowsNothing(t *testing.T) {
	b := empty(t)
	text, err := os.ReadFile(filepath.Join(b.dir, "keys.secret"))
	must(t, err)
	digits := strings.TrimSpace(string(text))
	raw, err := hex.DecodeString(digits)
	must(t, err)

	for name, out := range map[string]string{
		"secret":  shown(b.secret),
		"pointer": shown(&b.secret),
		"ring":    fmt.Sprintf("%+v %#v", b.Ring, b.Ring),
	} {
		for _, leak := range []string{
			digits,
			strings.ToUpper(digits),
			string(raw),
			strings.Trim(fmt.Sprint(raw), "[]"),
			base64.StdEncoding.EncodeToString(raw),
			fmt.Sprintf("%x", digits),
		} {
			if strings.Contains(out, leak) {
				t.Errorf("%s = %s, want it without the secret", name, out)
			}
		}
	}
}

// TestDatabaseHoldsNoPrivateKey looks for private keys in every file of the database, in
// every spelling.
func TestDatabaseHoldsNoPrivateKey(t *testing.T) {
	b := with(t, ec, ed)
	var leaks [][]byte
	for _, p := range []keys.Pair{ec, ed} {
		s, err := b.Signer(p.Kind, p.Alg)
		must(t, err)
		der, err := s.Signer.MarshalPKCS8()
		must(t, err)
		key, err := x509.ParsePKCS8PrivateKey(der)
		must(t, err)

		switch k := key.(type) {
		case *ecdsa.PrivateKey:
			d, err := k.Bytes()
			must(t, err)
			leaks = append(leaks, d)
		case ed25519.PrivateKey:
			leaks = append(leaks, k.Seed())
		}
	}

	text, err := os.ReadFile(filepath.Join(b.dir, "keys.secret"))
	must(t, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	must(t, err)
	leaks = append(leaks, raw)
	if len(leaks) != 3 {
		t.Fatalf("%d secrets to look for, want 3", len(leaks))
	}

	files, err := filepath.Glob(filepath.Join(b.dir, "jeton.db*"))
	must(t, err)
	found := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		found += strings.Count(string(content), signs(t, b.Ring, ec))

		for i, leak := range leaks {
			half := leak[:len(leak)/2]
			for _, spelling := range [][]byte{
				half,
				[]byte(hex.EncodeToString(half)),
				[]byte(base64.StdEncoding.EncodeToString(leak)[:20]),
				[]byte(base64.RawURLEncoding.EncodeToString(leak)[:20]),
			} {
				if bytes.Contains(content, spelling) {
					t.Errorf("%s holds secret %d, want it encrypted", file, i)
				}
			}
		}
	}

	if found == 0 {
		t.Error("no file holds the kid, want one, or the test looks in the wrong place")
	}
}

func TestWrongSecret(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, path string)
	}{
		{"another one", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("07", 32)+"\n"), 0o600))
		}},
		{"lost, and made again", func(t *testing.T, path string) { must(t, os.Remove(path)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := with(t, ec, ed)
			path := filepath.Join(b.dir, "keys.secret")
			kids := []string{signs(t, b.Ring, ec), signs(t, b.Ring, ed)}
			old, err := os.ReadFile(path)
			must(t, err)

			before := b.stored(t)
			tc.change(t, path)
			secret, err := keys.LoadSecret(path)
			must(t, err)
			r := b.ring(t, secret)

			refuses := func(what string, err error) {
				t.Helper()

				for _, want := range []string{
					path,
					kids[0],
					kids[1],
					"restore the file from the backup",
					"'jeton keys revoke KID'",
				} {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v, want %q", what, err, want)
					}
				}
			}

			refuses("Configure", r.Configure(t.Context(), needs(ec, ed)))
			refuses("Configure of other pairs", r.Configure(t.Context(), needs()))
			_, err = r.Rotate(t.Context(), "operator", "", true)
			refuses("Rotate", err)

			if _, err := r.Signer(
				keys.Access,
				jose.ES256,
			); err == nil || len(published(t, r)) != 0 || checks(r, kids[0]) {
				t.Errorf("Signer = %v, published = %v, want an error and none", err, published(t, r))
			}

			after := b.stored(t)
			if fmt.Sprint(after) != fmt.Sprint(before) {
				t.Fatalf("stored keys = %v, want %v as before", after, before)
			}
			if got := listed(t, r); got[kids[0]] != "current" {
				t.Errorf("listed are %v: an operator must see what to revoke", got)
			}

			t.Run("restored", func(t *testing.T) {
				now, err := os.ReadFile(path)
				must(t, err)
				must(t, os.WriteFile(path, old, 0o600))

				if got := signs(t, b.restarted(t, ec, ed), ec); got != kids[0] {
					t.Errorf("key %s signs, want the old one", got)
				}

				must(t, os.WriteFile(path, now, 0o600))
			})

			// The way out for an operator without a backup.
			t.Run("given up", func(t *testing.T) {
				for _, kid := range kids {
					must(t, b.ring(t, secret).Revoke(t.Context(), "operator", kid, ""))
				}

				r := b.restarted(t, ec, ed)
				must(t, signAndCheck(r, ec))
				must(t, signAndCheck(r, ed))

				if checks(r, kids[0]) || checks(r, kids[1]) {
					t.Errorf("one of the old keys %v checks, want neither", kids)
				}
			})
		})
	}
}

// TestTampered changes the database as an attacker with access to it might.
func TestTampered(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tamper func(t *testing.T, b *bench, list []keys.Record) keys.Record // list: one of ES256, two of EdDSA
		why    string
	}{
		{
			"the sealed key",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Sealed[40] ^= 1; return l[0] },
			"it does not open",
		},
		{
			"its first byte",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Sealed[0]++; return l[0] },
			"an unknown form",
		},
		{
			"its nonce",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Sealed[1]++; return l[0] },
			"it does not open",
		},
		{"its tag", func(_ *testing.T, _ *bench, l []keys.Record) keys.Record {
			l[0].Sealed[len(l[0].Sealed)-1]++
			return l[0]
		}, "it does not open"},
		{
			"cut short",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Sealed = l[0].Sealed[:5]; return l[0] },
			"it does not open",
		},
		{
			"nothing sealed",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Sealed = []byte{}; return l[0] },
			"an unknown form",
		},
		{
			"the kind",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Kind = "id"; return l[0] },
			"it does not open",
		},
		{
			"the algorithm",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].Alg = jose.RS256; return l[0] },
			"it does not open",
		},
		{
			"the algorithm by another name",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[1].Alg = jose.Ed25519; return l[1] },
			"it does not open",
		},
		{
			"the kid",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[0].ID = "mine"; return l[0] },
			"it does not open",
		},
		{
			"the private key of another",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[1].Sealed = l[2].Sealed; return l[1] },
			"it does not open",
		},
		{
			"the public key of another",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[1].Public = l[2].Public; return l[1] },
			"its public key is another one",
		},
		{
			"no public key",
			func(_ *testing.T, _ *bench, l []keys.Record) keys.Record { l[1].Public = "{}"; return l[1] },
			"its public key is another one",
		},
		{"a key of their own", func(t *testing.T, b *bench, _ []keys.Record) keys.Record {
			theirs := with(t, ed)
			return theirs.stored(t)[0]
		}, "it does not open"},
		{"a key of their own that has retired", func(t *testing.T, b *bench, _ []keys.Record) keys.Record {
			k := with(t, ed).stored(t)[0]
			k.Retires, k.Closes = noon, noon.Add(keep)
			return k
		}, "it does not open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := with(t, ec)
			b.forward(1e6)
			must(t, b.Configure(t.Context(), needs(ec, ed)))
			b.forward(1e6)
			next, err := b.Rotate(t.Context(), "operator", jose.EdDSA, true)
			must(t, err)

			if len(next) != 1 || len(b.stored(t)) != 3 {
				t.Fatalf("%d keys, %d of them next, want 3 and 1", len(b.stored(t)), len(next))
			}

			k := tc.tamper(t, b, b.stored(t))
			b.put(t, k)
			r := b.ring(t, b.secret)
			if err := r.Configure(
				t.Context(),
				needs(ec, ed),
			); err == nil || !strings.Contains(err.Error(), k.ID) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("Use: %v, want %s and that %s", err, k.ID, tc.why)
			}

			for _, r := range []*keys.Ring{r, b.Ring} { // at the start, and while it runs
				b.forward(1e9)
				must(t, r.Reload(t.Context()))

				if checks(r, k.ID) || strings.Contains(fmt.Sprint(published(t, r)), k.ID) {
					t.Errorf("key %s checks = %t, published = %v, want neither", k.ID, checks(r, k.ID), published(t, r))
				}
				if _, ok := r.Verifier(k.Kind, k.ID); ok {
					t.Errorf("Verifier(%v, %s) = true, want false", k.Kind, k.ID)
				}
				if s, err := r.Signer(k.Kind, k.Alg); err == nil && s.Signer.Key().ID == k.ID {
					t.Errorf("Signer(%v, %v) = key %s, want another or none", k.Kind, k.Alg, k.ID)
				}
			}
		})
	}
}
