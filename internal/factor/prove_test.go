package factor_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of TOTP
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// must fails the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// code returns the code of an authenticator app at a time (RFC 6238).
func code(t *testing.T, secret jeton.Secret, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret.Reveal())
	must(t, err)

	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, factor.StepAt(at)) // a hash takes everything
	sum := m.Sum(nil)

	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&(1<<31-1)%1_000_000)
}

// TestAnAppThatDoesNotOpenHidesNoOther has a user whose first app was sealed with another key.
func TestAnAppThatDoesNotOpenHidesNoOther(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	must(t, db.AddUser(t.Context(), account.Account{
		Name:    "diane",
		Folded:  "diane",
		Version: 1,
	}, jeton.Event{}))
	diane, err := db.FindUser(t.Context(), "diane")
	must(t, err)

	owner := factor.Owner{ID: diane.ID, Name: diane.Name}
	now := time.Unix(1_800_000_000, 0)
	with := func(key byte) *factor.Factors {
		f, err := factor.New(factor.Config{
			Store:  db,
			Now:    func() time.Time { return now },
			Log:    slog.New(slog.DiscardHandler),
			Key:    bytes.Repeat([]byte{key}, 32),
			Issuer: "Jeton",
		})
		must(t, err)

		return f
	}
	var secrets []jeton.Secret
	for _, key := range []byte{1, 2} {
		app, err := with(key).EnrolTOTP(t.Context(), owner, "")
		must(t, err)
		must(t, with(key).ConfirmTOTP(t.Context(), owner, app.ID, code(t, app.Secret, now), jeton.Event{}))
		secrets = append(secrets, app.Secret)
		now = now.Add(time.Minute)
	}

	_, err = with(2).Prove(t.Context(), owner, code(t, secrets[0], now))
	if !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("a code of the app that does not open: got %v, want %v", err, jeton.ErrUnavailable)
	}
	_, err = with(2).Prove(t.Context(), owner, code(t, secrets[1], now))
	if err != nil {
		t.Errorf("a code of the other app: got %v, want success", err)
	}
}
