package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/jetontest"
)

// withKeys returns a data directory in which a server has made a signing key for each algorithm.
func withKeys(t *testing.T, algs ...jose.Alg) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "jeton.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	secret, err := keys.LoadSecret(filepath.Join(dir, "keys.secret"))
	if err != nil {
		t.Fatal(err)
	}

	n := keys.Needs{RotateEvery: time.Hour, Keep: time.Hour}
	ring, err := keys.New(keys.Config{
		Store:  db,
		Secret: secret,
		Now:    time.Now,
		Log:    slog.New(slog.DiscardHandler),
		Keep:   n.Keep,
	})
	if err != nil {
		t.Fatal(err)
	}

	for _, alg := range algs {
		n.Pairs = append(n.Pairs, keys.Pair{Kind: keys.Access, Alg: alg})
	}

	if err := ring.Configure(t.Context(), n); err != nil {
		t.Fatal(err)
	}

	return dir
}

func TestSigningKeysOverTheAPI(t *testing.T) {
	s := jetontest.Start(t, shop(), jetontest.DataDir(withKeys(t, jose.ES256, jose.EdDSA)))
	list := func() map[string]jeton.SigningKey {
		t.Helper()
		var all []jeton.SigningKey
		s.MustControl("GET", "/api/v1/keys", nil, &all)
		found := map[string]jeton.SigningKey{}
		for _, k := range all {
			found[k.Algorithm+" "+k.Status] = k
		}

		return found
	}

	first := list()
	if len(first) != 2 || first["ES256 current"].Kind != "access" || first["EdDSA current"].ID == "" {
		t.Fatalf("keys = %v, want one of ES256 for access tokens and one of EdDSA, both current", first)
	}

	var next []jeton.SigningKey
	s.MustControl("POST", "/api/v1/keys/rotate", api.Rotation{Algorithm: "ES256"}, &next)

	if len(next) != 1 || next[0].Status != "next" || !list()["ES256 current"].Retires.Equal(next[0].Signs) ||
		next[0].Signs.Sub(next[0].Created) < time.Minute {
		t.Errorf("key after a rotation = %+v among %v, want one that signs when the current one retires", next, list())
	}

	for _, tc := range []struct {
		name, method, path string
		in                 any
		want               error
	}{
		{"rotating while one waits", "POST", "/rotate", api.Rotation{}, jeton.ErrConflict},
		{"an algorithm that no key has", "POST", "/rotate", api.Rotation{Algorithm: "RS256"}, jeton.ErrNotFound},
		{"an algorithm that is none", "POST", "/rotate", api.Rotation{Algorithm: "none"}, jeton.ErrInvalid},
		{"a member that is none", "POST", "/rotate", `{"algorithm":"ES256"}`, jeton.ErrInvalid},
		{"no body", "POST", "/rotate", ``, jeton.ErrInvalid},
		{"revoking an unknown key", "DELETE", "/absent", nil, jeton.ErrNotFound},
		{
			"a reason that is a book",
			"DELETE",
			"/" + next[0].ID + "?reason=" + strings.Repeat("x", 300),
			nil,
			jeton.ErrInvalid,
		},
	} {
		if err := s.Control(tc.method, "/api/v1/keys"+tc.path, tc.in, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}

	s.MustControl("POST", "/api/v1/keys/rotate", api.Rotation{Algorithm: "ES256", Now: true}, &next)
	if got := list(); got["ES256 current"].ID != next[0].ID || got["ES256 retired"].ID != first["ES256 current"].ID {
		t.Errorf("keys after a rotation now = %v, want the next one current and the first one retired", got)
	}

	for range 2 {
		s.MustControl("DELETE", "/api/v1/keys/"+next[0].ID+"?reason=it+was+shown", nil, nil)
	}

	// The configuration needs no key, so none replaces it.
	if got := list(); got["ES256 revoked"].ID != next[0].ID || got["ES256 current"].ID != "" ||
		got["EdDSA current"].ID != first["EdDSA current"].ID {
		t.Errorf("keys after a revocation = %v, want none of ES256 current, and EdDSA as before", got)
	}

	var said []string
	for _, e := range s.Events() {
		if strings.HasPrefix(e.Action, "key.") && e.Actor == "operator" {
			said = append(said, e.Action)
			if e.Action == "key.revoke" && (e.Reason != "it was shown" || e.Target != "key:"+next[0].ID) {
				t.Errorf("audit event = %+v, want the reason and the key", e)
			}
		}
	}

	if fmt.Sprint(said) != "[key.rotate key.rotate key.revoke]" {
		t.Errorf("audit log = %v, want two rotations and a revocation", said)
	}
}

func TestStartWithoutTheSecretOfTheKeys(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(path string) error
		want  []string
	}{
		{"another one", func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("07", 32)+"\n"), 0o600)
		}, []string{"does not open signing key", "restore the file from the backup", "jeton keys revoke"}},
		{"lost", os.Remove, []string{"is missing", "restore the file from its backup", "jeton keys revoke"}},
		{
			"damaged",
			func(path string) error { return os.Truncate(path, 10) },
			[]string{"64 hexadecimal digits", "restore it from the backup"},
		},
		{
			"open to others",
			func(path string) error { return os.Chmod(path, 0o644) },
			[]string{"can be read by other users", "chmod 600 "},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := withKeys(t, jose.ES256)
			path := filepath.Join(dir, "keys.secret")
			if err := tc.spoil(path); err != nil {
				t.Fatal(err)
			}

			_, err := jetontest.TryStart(t, shop(), jetontest.DataDir(dir))
			for _, want := range append(tc.want, path) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Start = %v, want %q", err, want)
				}
			}
		})
	}
}

// TestOnlyTheOperatorReplacesALostSecret follows what the error of a start says.
func TestOnlyTheOperatorReplacesALostSecret(t *testing.T) {
	dir := withKeys(t, jose.ES256)
	path := filepath.Join(dir, "keys.secret")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	for _, start := range []string{"first", "second"} {
		_, err := jetontest.TryStart(t, shop(), jetontest.DataDir(dir))
		if err == nil || !strings.Contains(err.Error(), path+" is missing") {
			t.Errorf("the %s start = %v, want an error that names the missing file", start, err)
		}
	}

	err := os.WriteFile(path, []byte(strings.Repeat("07", 32)+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}

	revokeAll(t, dir)
	jetontest.Start(t, shop(), jetontest.DataDir(dir))
}

// revokeAll revokes the keys of a data directory, as 'jeton keys revoke' does without a server.
func revokeAll(t *testing.T, dir string) {
	t.Helper()
	conf, err := config.Default(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	h, closeAll, err := server.Offline(t.Context(), server.Config{
		File:    conf,
		DataDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()

	call := func(method, path string) []byte {
		a := httptest.NewRecorder()
		h.ServeHTTP(a, httptest.NewRequestWithContext(t.Context(), method, "/api/v1/keys"+path, nil))
		if a.Code/100 != 2 {
			t.Fatalf("%s %s = %d %s, want a success", method, path, a.Code, a.Body)
		}
		return a.Body.Bytes()
	}

	var list []jeton.SigningKey
	if err := json.Unmarshal(call("GET", ""), &list); err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		call("DELETE", "/"+k.ID)
	}
}
