package password

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton"

	"go.uber.org/goleak"
)

// TestMain runs this binary as a hasher, right or wrong, when the environment asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			role()
			os.Exit(0)
		}
	}

	goleak.VerifyTestMain(m)
}

// cheap is the cost of hashes in tests that are not about the cost.
var cheap = Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

// running returns a pool of cheap hashes that runs until the test ends.
func running(t testing.TB, cfg Config) *Pool {
	t.Helper()
	cfg.Params = cheap
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})

	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})

	return p
}

// twice runs a test with hashing in this process and in a child.
func twice(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("in this process", func(t *testing.T) { test(t, Config{Workers: 2, Queue: 10}) })
	t.Run("in a child", func(t *testing.T) { test(t, Config{Workers: 2, Queue: 10, Command: as("hasher")}) })
}

func TestParams(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in, want Params // the zero want: refused
	}{
		{"none given", Params{}, Default},
		{"a cheap hash", cheap, cheap},
		{"too little memory", Params{MemoryKiB: 1, Passes: 1, Lanes: 1}, Params{}},
		{"no passes", Params{MemoryKiB: 64, Lanes: 1}, Params{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := New(Config{Params: tc.in})
			if (err != nil) != (tc.want == Params{}) {
				t.Fatalf("New = %v, want an error: %t", err, tc.want == Params{})
			}
			if err == nil && p.params != tc.want {
				t.Errorf("params = %+v, want %+v", p.params, tc.want)
			}
		})
	}
}

func TestKnownAnswers(t *testing.T) {
	twice(t, func(t *testing.T, cfg Config) {
		p := running(t, cfg)
		for _, k := range known {
			t.Run(k.name, func(t *testing.T) {
				ok, _, err := p.Verify(t.Context(), k.phc, jeton.NewSecret(k.password))
				if !ok || err != nil {
					t.Errorf("Verify = %v, %v, want true", ok, err)
				}

				ok, _, err = p.Verify(t.Context(), k.phc, jeton.NewSecret(k.password+" "))
				if ok || err != nil {
					t.Errorf("Verify with a blank more = %v, %v, want false", ok, err)
				}
			})
		}
	})
}

func TestHashThenVerify(t *testing.T) {
	twice(t, func(t *testing.T, cfg Config) {
		p := running(t, cfg)
		for _, pw := range []string{"12345678", " \x00\xff pässwörd\n", strings.Repeat("x", Max)} {
			phc, err := p.Hash(t.Context(), jeton.NewSecret(pw))
			if err != nil {
				t.Fatalf("Hash: %v", err)
			}
			if _, err := Parse(phc); err != nil {
				t.Errorf("Parse what Hash returned: %v", err)
			}

			again, err := p.Hash(t.Context(), jeton.NewSecret(pw))
			if err != nil || again == phc {
				t.Errorf("Hash again = %q, %v, want another salt", again, err)
			}

			ok, rehash, err := p.Verify(t.Context(), phc, jeton.NewSecret(pw))
			if !ok || rehash || err != nil {
				t.Errorf("Verify = %v, %v, %v, want true, false", ok, rehash, err)
			}
		}
	})
}

func TestVerify(t *testing.T) {
	p := running(t, Config{Workers: 1})
	p.params = Params{MemoryKiB: 64, Passes: 2, Lanes: 1}
	pw := "correct horse"

	phc := func(c Params, pw string) string {
		h := Hash{Params: c, salt: bytes.Repeat([]byte{1}, saltSize), key: make([]byte, keySize)}
		h.key = h.derive([]byte(pw))
		return h.PHC()
	}

	tooLong := strings.Repeat("x", Max+1)
	for _, tc := range []struct {
		name       string
		phc, pw    string
		ok, rehash bool
		err        string
	}{
		{"the password", phc(p.params, pw), pw, true, false, ""},
		{"the password under a weaker hash", phc(cheap, pw), pw, true, true, ""},
		{"the password under a stronger hash", phc(Params{128, 2, 2}, pw), pw, true, false, ""},
		{"another password", phc(p.params, pw), "correct horsf", false, false, ""},
		{"another password under a weaker hash", phc(cheap, pw), "correct horsf", false, false, ""},
		{"no such user", "", pw, false, false, ""},
		{"no such user and no password", "", "", false, false, ""},
		{"no password, although its hash is stored", phc(p.params, ""), "", false, false, ""},
		{"too long, although its hash is stored", phc(p.params, tooLong), tooLong, false, false, ""},
		{"a stored hash that is none", "plain text", pw, false, false, "not a password hash"},
		{"a stored hash that is none, and too long", "plain text", tooLong, false, false, "not a password hash"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, rehash, err := p.Verify(t.Context(), tc.phc, jeton.NewSecret(tc.pw))
			if ok != tc.ok || rehash != tc.rehash {
				t.Errorf("Verify = %v, %v, want %v, %v", ok, rehash, tc.ok, tc.rehash)
			}
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("Verify: %v, want %q", err, tc.err)
			}

			if err != nil && jeton.Outcome(err) != nil {
				t.Errorf("the error is the outcome %v; a bad record is none", jeton.Outcome(err))
			}
		})
	}
}

func TestEveryRefusalIsTheSameWork(t *testing.T) {
	p, err := New(Config{Workers: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}

	right := known[0].phc
	for _, tc := range []struct{ name, phc, pw string }{
		{"another password", right, "not that one"},
		{"no such user", "", "not that one"},
		{"no such user and too long", "", strings.Repeat("x", Max+1)},
		{"too long", right, strings.Repeat("x", Max+1)},
		{"too long for a cheap hash", known[2].phc, strings.Repeat("x", Max+1)},
		{"no password", right, ""},
		{"a stored hash that is none", "plain text", "not that one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var wg sync.WaitGroup
			wg.Go(func() { _, _, _ = p.Verify(t.Context(), tc.phc, jeton.NewSecret(tc.pw)) })
			j := <-p.jobs
			if j.hash.Params != Default || len(j.hash.salt) != saltSize || len(j.hash.key) != keySize {
				t.Errorf(
					"work is %v with %d bytes of salt and %d of key, want that of a default hash",
					j.hash, len(j.hash.salt), len(j.hash.key),
				)
			}

			n := len(j.pw.Reveal())
			if n > Max {
				t.Errorf("Hash accepts %d bytes of password, want an error", n)
			}

			// The key of the dummy hash itself must not be a way in.
			p.end(j, answer{key: make([]byte, keySize)})
			wg.Wait()
		})
	}

	t.Run("a key that equals the dummy's", func(t *testing.T) {
		var wg sync.WaitGroup
		wg.Go(func() {
			if ok, _, err := p.Verify(t.Context(), "", jeton.NewSecret("x")); ok || err != nil {
				t.Errorf("Verify = %v, %v, want false", ok, err)
			}
		})

		p.end(<-p.jobs, answer{key: make([]byte, keySize)})
		wg.Wait()
	})
}

func TestHashRefusesWhatCouldNotBeChecked(t *testing.T) {
	p := running(t, Config{Workers: 1})
	for _, n := range []int{0, Max + 1} {
		if _, err := p.Hash(t.Context(), jeton.NewSecret(strings.Repeat("x", n))); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("Hash of %d bytes: %v, want ErrInvalid", n, err)
		}
	}
}

func TestSaltComesFromRand(t *testing.T) {
	p := running(t, Config{Workers: 1, Rand: strings.NewReader("0123456789abcdef")})
	phc, err := p.Hash(t.Context(), jeton.NewSecret("12345678"))
	if err != nil || !strings.Contains(phc, "$MDEyMzQ1Njc4OWFiY2RlZg$") {
		t.Errorf("Hash = %q, %v", phc, err)
	}

	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err == nil {
		t.Error("Hash without randomness succeeded")
	}
}

func TestNew(t *testing.T) {
	for _, cfg := range []Config{{Workers: -1}, {Queue: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeded", cfg)
		}
	}

	p, err := New(Config{})
	if err != nil || p.workers < 1 {
		t.Errorf("New of nothing: %v workers, %v", p.workers, err)
	}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) log() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
